-- Traces of calls of an application, their spans, and what was said about them. `tid` is the
-- internal key.
CREATE TABLE traces (
    tid               BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trace_id          TEXT COLLATE "C" NOT NULL UNIQUE,
    experiment_id     BIGINT NOT NULL REFERENCES experiments,
    timestamp_ms      BIGINT NOT NULL,
    execution_time_ms BIGINT,
    -- The sum of both; of a trace that runs, its beginning.
    end_time_ms       BIGINT,
    state             TEXT COLLATE "C" NOT NULL,
    client_request_id TEXT COLLATE "C",
    request_preview   TEXT COLLATE "C",
    response_preview  TEXT COLLATE "C",
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
    key           TEXT COLLATE "C" NOT NULL,
    experiment_id BIGINT NOT NULL,
    value         TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tid, key)
);
CREATE INDEX trace_tags_value ON trace_tags (experiment_id, key, substr(value, 1, 200));

CREATE TABLE trace_metadata (
    tid           BIGINT NOT NULL REFERENCES traces ON DELETE CASCADE,
    key           TEXT COLLATE "C" NOT NULL,
    experiment_id BIGINT NOT NULL,
    value         TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tid, key)
);
CREATE INDEX trace_metadata_value ON trace_metadata (experiment_id, key, substr(value, 1, 200));

CREATE TABLE spans (
    sid            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tid            BIGINT NOT NULL REFERENCES traces ON DELETE CASCADE,
    span_id        TEXT COLLATE "C" NOT NULL,
    experiment_id  BIGINT NOT NULL,
    parent_span_id TEXT COLLATE "C",
    name           TEXT COLLATE "C" NOT NULL,
    type           TEXT COLLATE "C" NOT NULL,
    status         TEXT COLLATE "C" NOT NULL,
    start_time_ns  BIGINT NOT NULL,
    end_time_ns    BIGINT NOT NULL,
    -- JSON as in an artifact traces.json.
    content        TEXT COLLATE "C" NOT NULL,
    -- JSON of token usage and cost, where the span says them.
    usage_json     TEXT COLLATE "C",
    cost_json      TEXT COLLATE "C",
    input_cost     DOUBLE PRECISION,
    output_cost    DOUBLE PRECISION,
    total_cost     DOUBLE PRECISION,
    model_name     TEXT COLLATE "C",
    model_provider TEXT COLLATE "C",
    UNIQUE (tid, span_id)
);
CREATE INDEX spans_name ON spans (experiment_id, substr(name, 1, 200));
CREATE INDEX spans_type ON spans (experiment_id, substr(type, 1, 200));
CREATE INDEX spans_started ON spans (experiment_id, start_time_ns);

CREATE TABLE trace_assessments (
    aid            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    assessment_id  TEXT COLLATE "C" NOT NULL UNIQUE,
    tid            BIGINT NOT NULL REFERENCES traces ON DELETE CASCADE,
    experiment_id  BIGINT NOT NULL,
    -- feedback, expectation or issue
    kind           TEXT COLLATE "C" NOT NULL,
    name           TEXT COLLATE "C" NOT NULL,
    value_json     TEXT COLLATE "C" NOT NULL,
    -- The value as a number: of numbers, and of what means yes or no.
    number         DOUBLE PRECISION,
    is_number      BOOLEAN NOT NULL,
    error_json     TEXT COLLATE "C",
    source_type    TEXT COLLATE "C" NOT NULL,
    source_id      TEXT COLLATE "C",
    span_id        TEXT COLLATE "C",
    rationale      TEXT COLLATE "C",
    metadata_json  TEXT COLLATE "C",
    overrides      TEXT COLLATE "C",
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
    run_id   TEXT COLLATE "C" NOT NULL,
    trace_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (run_id, trace_id)
);
CREATE INDEX trace_runs_trace ON trace_runs (trace_id);

-- Prompt versions, `name/version`, that a trace used.
CREATE TABLE trace_prompts (
    prompt TEXT COLLATE "C" NOT NULL,
    tid    BIGINT NOT NULL REFERENCES traces ON DELETE CASCADE,
    PRIMARY KEY (prompt, tid)
);
CREATE INDEX trace_prompts_trace ON trace_prompts (tid);
