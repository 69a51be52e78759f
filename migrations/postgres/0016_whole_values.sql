-- Nothing to do: indexes of PostgreSQL keep prefixes, as an entry may have 2.7 KB at most.
SELECT 1;
