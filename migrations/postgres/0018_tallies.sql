-- Searches count rows and their children by the end of their keys. Without statistics of it PostgreSQL takes every
-- row for a group of its own, and sorts them all. Versions before 14 keep none of an expression.
DO $$
DECLARE
    counted TEXT;
    named TEXT;
    number TEXT;
BEGIN
    IF current_setting('server_version_num')::int < 140000 THEN
        RETURN;
    END IF;
    FOREACH counted IN ARRAY ARRAY[
        'runs.rid', 'params.rid', 'tags.rid', 'latest_metrics.rid',
        'logged_models.mid', 'logged_model_params.mid', 'logged_model_tags.mid',
        'traces.tid', 'trace_tags.tid', 'trace_metadata.tid'
    ] LOOP
        named := split_part(counted, '.', 1);
        number := split_part(counted, '.', 2);
        EXECUTE format('CREATE STATISTICS %I ON (%I & 2047) FROM %I', named || '_class', number, named);
        -- Of 30,000 rows, whatever the server's default is: of fewer it would not count 2,048 values.
        EXECUTE format('ALTER STATISTICS %I SET STATISTICS 100', named || '_class');
        -- An old database may have no reason to gather any for long.
        IF pg_relation_size(named::regclass) > 0 THEN
            EXECUTE format('ANALYZE %I', named);
        END IF;
    END LOOP;
END $$;
