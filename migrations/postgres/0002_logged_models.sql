-- Models that clients log, with or without a run. `mid` is the internal key.
CREATE TABLE logged_models (
    mid                 BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id            TEXT COLLATE "C" NOT NULL UNIQUE,
    experiment_id       BIGINT NOT NULL REFERENCES experiments,
    name                TEXT COLLATE "C" NOT NULL,
    artifact_location   TEXT COLLATE "C" NOT NULL,
    creation_time_ms    BIGINT NOT NULL,
    last_update_time_ms BIGINT NOT NULL,
    status              TEXT COLLATE "C" NOT NULL,
    status_message      TEXT COLLATE "C",
    model_type          TEXT COLLATE "C" NOT NULL,
    source_run_id       TEXT COLLATE "C" NOT NULL,
    lifecycle_stage     TEXT COLLATE "C" NOT NULL
);
CREATE INDEX logged_models_created
    ON logged_models (experiment_id, lifecycle_stage, creation_time_ms DESC, model_id);

CREATE TABLE logged_model_params (
    mid           BIGINT NOT NULL REFERENCES logged_models,
    key           TEXT COLLATE "C" NOT NULL,
    experiment_id BIGINT NOT NULL,
    value         TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (mid, key)
);
CREATE INDEX logged_model_params_value ON logged_model_params (experiment_id, key, substr(value, 1, 200));

CREATE TABLE logged_model_tags (
    mid           BIGINT NOT NULL REFERENCES logged_models,
    key           TEXT COLLATE "C" NOT NULL,
    experiment_id BIGINT NOT NULL,
    value         TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (mid, key)
);
CREATE INDEX logged_model_tags_value ON logged_model_tags (experiment_id, key, substr(value, 1, 200));

-- Metrics that runs logged with a model's id, perhaps measured on a dataset.
CREATE TABLE logged_model_metrics (
    mid            BIGINT NOT NULL,
    key            TEXT COLLATE "C" NOT NULL,
    timestamp_ms   BIGINT NOT NULL,
    step           BIGINT NOT NULL,
    run_id         TEXT COLLATE "C" NOT NULL,
    experiment_id  BIGINT NOT NULL,
    value          DOUBLE PRECISION NOT NULL,
    is_nan         BOOLEAN NOT NULL,
    dataset_name   TEXT COLLATE "C",
    dataset_digest TEXT COLLATE "C",
    PRIMARY KEY (mid, key, timestamp_ms, step, run_id)
);
CREATE INDEX logged_model_metrics_value ON logged_model_metrics (experiment_id, key, is_nan, value);
