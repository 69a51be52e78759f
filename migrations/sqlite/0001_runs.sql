-- Experiments, runs and what clients log to them.
--
-- `rid` is a run's internal key: public ids in every child row would double the database.
-- Children carry `experiment_id` so that a search within an experiment is driven by one index.
-- Indexes on values hold a prefix: PostgreSQL's entries may have 2.7 KB at most.
CREATE TABLE experiments (
    experiment_id       INTEGER PRIMARY KEY AUTOINCREMENT,
    name                TEXT NOT NULL UNIQUE,
    artifact_location   TEXT NOT NULL,
    lifecycle_stage     TEXT NOT NULL,
    creation_time_ms    BIGINT NOT NULL,
    last_update_time_ms BIGINT NOT NULL
);
CREATE INDEX experiments_created ON experiments (creation_time_ms DESC, experiment_id);

CREATE TABLE experiment_tags (
    experiment_id BIGINT NOT NULL REFERENCES experiments,
    key           TEXT NOT NULL,
    value         TEXT NOT NULL,
    PRIMARY KEY (experiment_id, key)
) WITHOUT ROWID;

CREATE TABLE runs (
    rid             INTEGER PRIMARY KEY,
    run_id          TEXT NOT NULL UNIQUE,
    experiment_id   BIGINT NOT NULL REFERENCES experiments,
    name            TEXT NOT NULL,
    user_id         TEXT NOT NULL,
    status          TEXT NOT NULL,
    start_time_ms   BIGINT NOT NULL,
    end_time_ms     BIGINT,
    lifecycle_stage TEXT NOT NULL,
    deleted_time_ms BIGINT,
    artifact_uri    TEXT NOT NULL
);
CREATE INDEX runs_started ON runs (experiment_id, lifecycle_stage, start_time_ms DESC, run_id);
CREATE INDEX runs_ended ON runs (experiment_id, lifecycle_stage, end_time_ms);

-- The four tables below have no foreign key: it is checked per row, and a batch has a thousand.

-- Every value of every metric. NaN is `value = 0, is_nan`: it cannot be compared, nor bound.
CREATE TABLE metrics (
    rid          BIGINT NOT NULL,
    key          TEXT NOT NULL,
    timestamp_ms BIGINT NOT NULL,
    step         BIGINT NOT NULL,
    value        DOUBLE PRECISION NOT NULL,
    is_nan       BOOLEAN NOT NULL,
    PRIMARY KEY (rid, key, timestamp_ms, step, value, is_nan)
) WITHOUT ROWID;

-- Of each metric the value of the highest (step, timestamp, value).
CREATE TABLE latest_metrics (
    rid           BIGINT NOT NULL,
    key           TEXT NOT NULL,
    experiment_id BIGINT NOT NULL,
    value         DOUBLE PRECISION NOT NULL,
    is_nan        BOOLEAN NOT NULL,
    timestamp_ms  BIGINT NOT NULL,
    step          BIGINT NOT NULL,
    PRIMARY KEY (rid, key)
) WITHOUT ROWID;
CREATE INDEX latest_metrics_value ON latest_metrics (experiment_id, key, is_nan, value);

CREATE TABLE params (
    rid           BIGINT NOT NULL,
    key           TEXT NOT NULL,
    experiment_id BIGINT NOT NULL,
    value         TEXT NOT NULL,
    PRIMARY KEY (rid, key)
) WITHOUT ROWID;
CREATE INDEX params_value ON params (experiment_id, key, substr(value, 1, 200));

CREATE TABLE tags (
    rid           BIGINT NOT NULL,
    key           TEXT NOT NULL,
    experiment_id BIGINT NOT NULL,
    value         TEXT NOT NULL,
    PRIMARY KEY (rid, key)
) WITHOUT ROWID;
CREATE INDEX tags_value ON tags (experiment_id, key, substr(value, 1, 200));

CREATE TABLE datasets (
    dataset_rid   INTEGER PRIMARY KEY,
    experiment_id BIGINT NOT NULL REFERENCES experiments,
    name          TEXT NOT NULL,
    digest        TEXT NOT NULL,
    source_type   TEXT NOT NULL,
    source        TEXT NOT NULL,
    schema_json   TEXT,
    profile_json  TEXT,
    UNIQUE (experiment_id, name, digest)
);

CREATE TABLE run_datasets (
    rid         BIGINT NOT NULL REFERENCES runs,
    dataset_rid BIGINT NOT NULL REFERENCES datasets,
    PRIMARY KEY (rid, dataset_rid)
) WITHOUT ROWID;
CREATE INDEX run_datasets_dataset ON run_datasets (dataset_rid, rid);

CREATE TABLE run_dataset_tags (
    rid         BIGINT NOT NULL,
    dataset_rid BIGINT NOT NULL,
    key         TEXT NOT NULL,
    value       TEXT NOT NULL,
    PRIMARY KEY (rid, dataset_rid, key),
    FOREIGN KEY (rid, dataset_rid) REFERENCES run_datasets
) WITHOUT ROWID;

-- Logged models that a run read or made.
CREATE TABLE run_models (
    rid      BIGINT NOT NULL REFERENCES runs,
    role     TEXT NOT NULL,
    model_id TEXT NOT NULL,
    step     BIGINT NOT NULL,
    PRIMARY KEY (rid, role, model_id)
) WITHOUT ROWID;
