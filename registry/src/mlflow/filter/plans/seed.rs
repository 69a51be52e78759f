//! A database in which reading a whole table shows.

use crate::db::{Conn, DbError};

/// Rows of each kind: enough that PostgreSQL, with statistics, reads a table whole only where no
/// index serves.
const STATEMENTS: &[&str] = &[
    "INSERT INTO experiments (name, artifact_location, lifecycle_stage, creation_time_ms, last_update_time_ms)
     WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
     SELECT 'experiment ' || i, 'x', CASE WHEN i % 10 = 9 THEN 'deleted' ELSE 'active' END, i, i * 7 % 20000 FROM n",
    "INSERT INTO experiment_tags (experiment_id, key, value)
     SELECT experiment_id, 'team', 'team ' || (experiment_id % 2000) FROM experiments",
    "INSERT INTO runs (run_id, experiment_id, name, user_id, status, start_time_ms, end_time_ms, lifecycle_stage,
         artifact_uri)
     WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
     SELECT 'run' || i, 1 + i % 2, 'name ' || i, 'user ' || (i % 50), CASE WHEN i % 99 = 0 THEN 'FAILED' ELSE 'FINISHED' END,
         i, i + i % 7, CASE WHEN i % 20 = 0 THEN 'deleted' ELSE 'active' END, 'x' FROM n",
    "INSERT INTO latest_metrics (rid, key, experiment_id, value, is_nan, timestamp_ms, step)
     SELECT r.rid, k.key, r.experiment_id, r.rid * k.factor % 1000 / 1000.0, FALSE, 1, 0
     FROM runs r CROSS JOIN (SELECT 'loss' AS key, 7 AS factor UNION ALL SELECT 'acc', 13 UNION ALL SELECT 'f1', 29) k",
    "INSERT INTO params (rid, key, experiment_id, value)
     SELECT r.rid, k.key, r.experiment_id, 'v' || (r.rid % k.many)
     FROM runs r CROSS JOIN (SELECT 'kind' AS key, 2 AS many UNION ALL SELECT 'seed', 2000) k",
    "INSERT INTO tags (rid, key, experiment_id, value)
     SELECT r.rid, k.key, r.experiment_id, 'v' || (r.rid % k.many)
     FROM runs r CROSS JOIN (SELECT 'team' AS key, 3 AS many UNION ALL SELECT 'commit', 2000) k",
    "INSERT INTO datasets (experiment_id, name, digest, source_type, source)
     WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
     SELECT 1, 'data ' || i, 'd', 't', 's' FROM n",
    "INSERT INTO run_datasets (rid, dataset_rid)
     SELECT r.rid, d.dataset_rid FROM runs r JOIN datasets d ON d.dataset_rid = 1 + r.rid % 2000
     WHERE r.experiment_id = 1",
    "INSERT INTO run_models (rid, role, model_id, step)
     SELECT rid, 'output', 'm' || rid, 0 FROM runs",
    "INSERT INTO run_dataset_tags (rid, dataset_rid, key, value)
     SELECT rid, dataset_rid, 'mlflow.data.context', 'training' FROM run_datasets",
    "INSERT INTO metrics (rid, key, timestamp_ms, step, value, is_nan)
     WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
     SELECT 1 + i % 10, 'loss', i, i, 0.5, FALSE FROM n",
    "INSERT INTO logged_models (model_id, experiment_id, name, artifact_location, creation_time_ms,
         last_update_time_ms, status, model_type, source_run_id, lifecycle_stage)
     WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
     SELECT 'm' || i, 1 + i % 2, 'model ' || (i % 10000), 'x', i, i * 7 % 20000, 'LOGGED_MODEL_READY', 't', 'run' || i, 'active' FROM n",
    "INSERT INTO logged_model_params (mid, key, experiment_id, value)
     SELECT mid, 'kind', experiment_id, 'v' || (mid % 1000) FROM logged_models",
    "INSERT INTO logged_model_tags (mid, key, experiment_id, value)
     SELECT mid, 'team', experiment_id, 'v' || (mid % 1000) FROM logged_models",
    "INSERT INTO logged_model_metrics (mid, key, timestamp_ms, step, run_id, experiment_id, value, is_nan, dataset_name,
         dataset_digest)
     SELECT l.mid, 'f1', t.step, t.step, l.source_run_id, l.experiment_id, (l.mid * 7 + t.step) % 1000 / 1000.0, FALSE,
         'data', 'd'
     FROM logged_models l CROSS JOIN (SELECT 1 AS step UNION ALL SELECT 2) t",
    "INSERT INTO registered_models (name, last_version, created_at_ms, updated_at_ms, is_prompt)
     WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
     SELECT 'model ' || i, 1, i, i * 7 % 20000, i % 3 = 0 FROM n",
    "INSERT INTO registered_model_tags (model_id, key, value)
     SELECT model_id, 'team', 'v' || (model_id % 2000) FROM registered_models
     UNION ALL SELECT model_id, 'mlflow.prompt.is_prompt', 'true' FROM registered_models WHERE is_prompt",
    // Half of the versions are of one model.
    "INSERT INTO model_versions (uid, model_id, version, custody, stage, source, location, run_id, created_by,
         created_at_ms, updated_at_ms, is_prompt)
     WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
     SELECT 'one' || i, 1, i, 'pointer', CASE WHEN i % 500 = 0 THEN 'archived' ELSE 'none' END, 's', 's', 'run' || i, 'a',
         i, i * 7 % 20000, FALSE FROM n
     UNION ALL SELECT 'any' || i, i, 1, 'pointer', 'none', 's', 's', 'run' || i, 'a', i, i * 7 % 20000, i % 3 = 0
     FROM n WHERE i > 1",
    "INSERT INTO model_version_tags (version_id, key, value)
     SELECT version_id, 'team', 'v' || (version_id % 4000) FROM model_versions",
    "INSERT INTO traces (trace_id, experiment_id, timestamp_ms, execution_time_ms, end_time_ms, state,
         client_request_id)
     WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
     SELECT 'tr' || i, 1 + i % 2, i, i * 7 % 20000, i + i * 7 % 20000, CASE WHEN i % 99 = 0 THEN 'ERROR' ELSE 'OK' END,
         'call' || i FROM n",
    "INSERT INTO trace_tags (tid, key, experiment_id, value)
     SELECT tid, 'mlflow.traceName', experiment_id, 'name ' || (tid % 2000) FROM traces",
    "INSERT INTO trace_metadata (tid, key, experiment_id, value)
     SELECT t.tid, k.key, t.experiment_id, k.start || (t.tid % 2000) FROM traces t
     CROSS JOIN (SELECT 'mlflow.trace.session' AS key, 'session ' AS start UNION ALL SELECT 'mlflow.sourceRun', 'run') k",
    "INSERT INTO trace_runs (run_id, trace_id) SELECT 'linked' || (tid % 2000), trace_id FROM traces",
    "INSERT INTO trace_prompts (prompt, tid) SELECT 'prompt/' || (tid % 2000), tid FROM traces",
    "INSERT INTO spans (tid, span_id, experiment_id, name, type, status, start_time_ns, end_time_ns, content)
     SELECT tid, 'a', experiment_id, 'span ' || (tid % 2000), 'LLM', 'OK', tid, tid, '{}' FROM traces",
    "INSERT INTO trace_assessments (assessment_id, tid, experiment_id, kind, name, value_json, is_number, source_type,
         valid, of_session, created_at_ms, updated_at_ms)
     SELECT 'a' || tid, tid, experiment_id, 'feedback', 'said ' || (tid % 2000), 'true', FALSE, 'HUMAN', TRUE,
         tid % 2 = 0, 1, 1 FROM traces",
];

pub async fn fill(tx: &mut Conn) -> Result<(), DbError> {
    for statement in STATEMENTS {
        tx.query(statement).execute().await?;
    }
    tx.analyze().await
}
