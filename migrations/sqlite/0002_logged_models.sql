-- Models that clients log, with or without a run. `mid` is the internal key.
CREATE TABLE logged_models (
    mid                 INTEGER PRIMARY KEY,
    model_id            TEXT NOT NULL UNIQUE,
    experiment_id       BIGINT NOT NULL REFERENCES experiments,
    name                TEXT NOT NULL,
    artifact_location   TEXT NOT NULL,
    creation_time_ms    BIGINT NOT NULL,
    last_update_time_ms BIGINT NOT NULL,
    status              TEXT NOT NULL,
    status_message      TEXT,
    model_type          TEXT NOT NULL,
    source_run_id       TEXT NOT NULL,
    lifecycle_stage     TEXT NOT NULL
);
CREATE INDEX logged_models_created
    ON logged_models (experiment_id, lifecycle_stage, creation_time_ms DESC, model_id);

CREATE TABLE logged_model_params (
    mid           BIGINT NOT NULL REFERENCES logged_models,
    key           TEXT NOT NULL,
    experiment_id BIGINT NOT NULL,
    value         TEXT NOT NULL,
    PRIMARY KEY (mid, key)
) WITHOUT ROWID;
CREATE INDEX logged_model_params_value ON logged_model_params (experiment_id, key, substr(value, 1, 200));

CREATE TABLE logged_model_tags (
    mid           BIGINT NOT NULL REFERENCES logged_models,
    key           TEXT NOT NULL,
    experiment_id BIGINT NOT NULL,
    value         TEXT NOT NULL,
    PRIMARY KEY (mid, key)
) WITHOUT ROWID;
CREATE INDEX logged_model_tags_value ON logged_model_tags (experiment_id, key, substr(value, 1, 200));

-- Metrics that runs logged with a model's id, perhaps measured on a dataset.
CREATE TABLE logged_model_metrics (
    mid            BIGINT NOT NULL,
    key            TEXT NOT NULL,
    timestamp_ms   BIGINT NOT NULL,
    step           BIGINT NOT NULL,
    run_id         TEXT NOT NULL,
    experiment_id  BIGINT NOT NULL,
    value          DOUBLE PRECISION NOT NULL,
    is_nan         BOOLEAN NOT NULL,
    dataset_name   TEXT,
    dataset_digest TEXT,
    PRIMARY KEY (mid, key, timestamp_ms, step, run_id)
) WITHOUT ROWID;
CREATE INDEX logged_model_metrics_value ON logged_model_metrics (experiment_id, key, is_nan, value);
