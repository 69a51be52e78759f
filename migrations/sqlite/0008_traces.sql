-- Traces of calls of an application, their spans, and what was said about them. `tid` is the
-- internal key.
CREATE TABLE traces (
    tid               INTEGER PRIMARY KEY,
    trace_id          TEXT NOT NULL UNIQUE,
    experiment_id     BIGINT NOT NULL REFERENCES experiments,
    timestamp_ms      BIGINT NOT NULL,
    execution_time_ms BIGINT,
    -- The sum of both; of a trace that runs, its beginning.
    end_time_ms       BIGINT,
    state             TEXT NOT NULL,
    client_request_id TEXT,
    request_preview   TEXT,
    response_preview  TEXT,
    -- What metadata mlflow.trace.tokenUsage and mlflow.trace.cost say, as numbers that add up.
    input_tokens                BIGINT,
    output_tokens               BIGINT,
    total_tokens                BIGINT,
    cache_read_input_tokens     BIGINT,
    cache_creation_input_tokens BIGINT
);
CREATE INDEX traces_started ON traces (experiment_id, timestamp_ms DESC, trace_id);
CREATE INDEX traces_state ON traces (experiment_id, state, timestamp_ms DESC, trace_id);
CREATE INDEX traces_duration ON traces (experiment_id, execution_time_ms);
CREATE INDEX traces_ended ON traces (experiment_id, end_time_ms);
CREATE INDEX traces_client_request ON traces (experiment_id, client_request_id);

CREATE TABLE trace_tags (
    tid           BIGINT NOT NULL REFERENCES traces ON DELETE CASCADE,
    key           TEXT NOT NULL,
    experiment_id BIGINT NOT NULL,
    value         TEXT NOT NULL,
    PRIMARY KEY (tid, key)
) WITHOUT ROWID;
CREATE INDEX trace_tags_value ON trace_tags (experiment_id, key, substr(value, 1, 200));

CREATE TABLE trace_metadata (
    tid           BIGINT NOT NULL REFERENCES traces ON DELETE CASCADE,
    key           TEXT NOT NULL,
    experiment_id BIGINT NOT NULL,
    value         TEXT NOT NULL,
    PRIMARY KEY (tid, key)
) WITHOUT ROWID;
CREATE INDEX trace_metadata_value ON trace_metadata (experiment_id, key, substr(value, 1, 200));

CREATE TABLE spans (
    sid            INTEGER PRIMARY KEY,
    tid            BIGINT NOT NULL REFERENCES traces ON DELETE CASCADE,
    span_id        TEXT NOT NULL,
    experiment_id  BIGINT NOT NULL,
    parent_span_id TEXT,
    name           TEXT NOT NULL,
    type           TEXT NOT NULL,
    status         TEXT NOT NULL,
    start_time_ns  BIGINT NOT NULL,
    end_time_ns    BIGINT NOT NULL,
    -- JSON as in an artifact traces.json.
    content        TEXT NOT NULL,
    -- JSON of token usage and cost, where the span says them.
    usage_json     TEXT,
    cost_json      TEXT,
    input_cost     DOUBLE PRECISION,
    output_cost    DOUBLE PRECISION,
    total_cost     DOUBLE PRECISION,
    model_name     TEXT,
    model_provider TEXT,
    UNIQUE (tid, span_id)
);
CREATE INDEX spans_name ON spans (experiment_id, substr(name, 1, 200));
CREATE INDEX spans_type ON spans (experiment_id, substr(type, 1, 200));
CREATE INDEX spans_started ON spans (experiment_id, start_time_ns);

CREATE TABLE trace_assessments (
    aid            INTEGER PRIMARY KEY,
    assessment_id  TEXT NOT NULL UNIQUE,
    tid            BIGINT NOT NULL REFERENCES traces ON DELETE CASCADE,
    experiment_id  BIGINT NOT NULL,
    -- feedback, expectation or issue
    kind           TEXT NOT NULL,
    name           TEXT NOT NULL,
    value_json     TEXT NOT NULL,
    -- The value as a number: of numbers, and of what means yes or no.
    number         DOUBLE PRECISION,
    is_number      BOOLEAN NOT NULL,
    error_json     TEXT,
    source_type    TEXT NOT NULL,
    source_id      TEXT,
    span_id        TEXT,
    rationale      TEXT,
    metadata_json  TEXT,
    overrides      TEXT,
    valid          BOOLEAN NOT NULL,
    -- Whether it is about all traces of the session.
    of_session     BOOLEAN NOT NULL,
    created_at_ms  BIGINT NOT NULL,
    updated_at_ms  BIGINT NOT NULL
);
CREATE INDEX trace_assessments_trace ON trace_assessments (tid);
CREATE INDEX trace_assessments_name ON trace_assessments (experiment_id, kind, name);

-- Traces that were linked to runs. A link may be made before its trace arrives.
CREATE TABLE trace_runs (
    run_id   TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    PRIMARY KEY (run_id, trace_id)
) WITHOUT ROWID;
CREATE INDEX trace_runs_trace ON trace_runs (trace_id);

-- Prompt versions, `name/version`, that a trace used.
CREATE TABLE trace_prompts (
    prompt TEXT NOT NULL,
    tid    BIGINT NOT NULL REFERENCES traces ON DELETE CASCADE,
    PRIMARY KEY (prompt, tid)
) WITHOUT ROWID;
CREATE INDEX trace_prompts_trace ON trace_prompts (tid);
