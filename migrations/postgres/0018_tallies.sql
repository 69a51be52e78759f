-- Searches count rows and their children by the end of their keys. Without statistics of it PostgreSQL takes every
-- row for a group of its own, and sorts them all. Versions before 14 keep none of an expression.
DO $$
DECLARE
    counted TEXT;
BEGIN
    IF current_setting('server_version_num')::int >= 140000 THEN
        FOREACH counted IN ARRAY ARRAY[
            'runs.rid', 'params.rid', 'tags.rid', 'latest_metrics.rid',
            'logged_models.mid', 'logged_model_params.mid', 'logged_model_tags.mid',
            'traces.tid', 'trace_tags.tid', 'trace_metadata.tid'
        ] LOOP
            EXECUTE format('CREATE STATISTICS %I ON (%I & 2047) FROM %I',
                split_part(counted, '.', 1) || '_class', split_part(counted, '.', 2), split_part(counted, '.', 1));
        END LOOP;
    END IF;
END $$;
