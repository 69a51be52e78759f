-- What environments desire, what happens towards it, what really served, and its logs.
CREATE TABLE environments (
    environment TEXT COLLATE "C" PRIMARY KEY,
    -- Goes up with every change that the environment's deployer has to see.
    revision    BIGINT NOT NULL
);
INSERT INTO environments (environment, revision) VALUES ('test', 0), ('staging', 0), ('production', 0);

-- Who may act: one holder per name, a fence that goes up with every new holder, database time.
CREATE TABLE leases (
    name          TEXT COLLATE "C" PRIMARY KEY,
    holder        TEXT COLLATE "C" NOT NULL,
    fence         BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL
);

CREATE TABLE deployments (
    id                  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id       TEXT COLLATE "C" NOT NULL UNIQUE,
    model_id            BIGINT NOT NULL REFERENCES registered_models (model_id),
    environment         TEXT COLLATE "C" NOT NULL REFERENCES environments (environment),
    -- Version and rollout that the environment desires; NULL once its stage was emptied.
    desired_uid         TEXT COLLATE "C" REFERENCES model_versions (uid),
    desired_rollout_id  TEXT,
    generation          BIGINT NOT NULL,
    observed_generation BIGINT NOT NULL,
    created_at_ms       BIGINT NOT NULL,
    UNIQUE (model_id, environment)
);

CREATE TABLE rollouts (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rollout_id    TEXT COLLATE "C" NOT NULL UNIQUE,
    deployment    BIGINT NOT NULL REFERENCES deployments (id),
    generation    BIGINT NOT NULL,
    version_uid   TEXT COLLATE "C" NOT NULL REFERENCES model_versions (uid),
    phase         TEXT COLLATE "C" NOT NULL,
    reason_code   TEXT,
    message       TEXT,
    actor         TEXT COLLATE "C" NOT NULL,
    reason        TEXT,
    -- The revision that it runs, as JSON, once the deployer has told.
    revision      TEXT,
    started_at_ms BIGINT NOT NULL,
    ended_at_ms   BIGINT
);
CREATE INDEX rollouts_deployment ON rollouts (deployment, id);

-- Unbroken times in which a version really served; at most one is open per deployment.
CREATE TABLE serving_intervals (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment  BIGINT NOT NULL REFERENCES deployments (id),
    version_uid TEXT COLLATE "C" NOT NULL REFERENCES model_versions (uid),
    revision_id TEXT COLLATE "C" NOT NULL,
    rollout_id  TEXT COLLATE "C" NOT NULL,
    actor       TEXT COLLATE "C" NOT NULL,
    reason      TEXT,
    from_ms     BIGINT NOT NULL,
    to_ms       BIGINT
);
CREATE INDEX serving_intervals_deployment ON serving_intervals (deployment, id);
CREATE UNIQUE INDEX serving_intervals_open ON serving_intervals (deployment) WHERE to_ms IS NULL;

-- Positions of a deployment's log. The row's lock makes appends of one deployment commit in the
-- order of their positions, so that a reader who follows positions misses nothing.
CREATE TABLE log_heads (
    deployment BIGINT PRIMARY KEY REFERENCES deployments (id),
    last_seq   BIGINT NOT NULL,
    -- Lines up to here were dropped to keep the log within its cap.
    dropped_to BIGINT NOT NULL,
    -- Idempotency key of the newest append: a retry of it adds nothing.
    last_key   TEXT
);

CREATE TABLE log_lines (
    deployment BIGINT NOT NULL REFERENCES deployments (id),
    seq        BIGINT NOT NULL,
    rollout_id TEXT COLLATE "C" NOT NULL,
    at_ms      BIGINT NOT NULL,
    stream     TEXT COLLATE "C" NOT NULL,
    text       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (deployment, seq)
);
