-- Registered models, their numbered versions, what was signed about them.
-- Deleted rows stay with deleted_at_ms set: history and audit name versions by uid for ever.
CREATE TABLE registered_models (
    model_id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          TEXT COLLATE "C" NOT NULL,
    description   TEXT,
    last_version  BIGINT NOT NULL DEFAULT 0,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    deleted_at_ms BIGINT
);
CREATE UNIQUE INDEX registered_models_name ON registered_models (name) WHERE deleted_at_ms IS NULL;

CREATE TABLE registered_model_tags (
    model_id BIGINT NOT NULL REFERENCES registered_models (model_id),
    key      TEXT COLLATE "C" NOT NULL,
    value    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (model_id, key)
);
CREATE INDEX registered_model_tags_prompt ON registered_model_tags (model_id)
    WHERE key = 'mlflow.prompt.is_prompt';

CREATE TABLE registered_model_aliases (
    model_id BIGINT NOT NULL REFERENCES registered_models (model_id),
    alias    TEXT COLLATE "C" NOT NULL,
    version  BIGINT NOT NULL,
    PRIMARY KEY (model_id, alias)
);

CREATE TABLE model_versions (
    version_id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uid             TEXT COLLATE "C" NOT NULL UNIQUE,
    model_id        BIGINT NOT NULL REFERENCES registered_models (model_id),
    version         BIGINT NOT NULL,
    -- frozen, pointer or prompt
    custody         TEXT COLLATE "C" NOT NULL,
    -- none, test, staging, production or archived
    stage           TEXT COLLATE "C" NOT NULL,
    -- As posted, and where a pointer's files are once models:/ references are followed.
    source          TEXT COLLATE "C" NOT NULL,
    location        TEXT COLLATE "C" NOT NULL,
    description     TEXT,
    run_id          TEXT,
    run_link        TEXT,
    logged_model_id TEXT,
    created_by      TEXT COLLATE "C" NOT NULL,
    created_at_ms   BIGINT NOT NULL,
    updated_at_ms   BIGINT NOT NULL,
    deleted_at_ms   BIGINT,
    -- Frozen versions only.
    manifest_digest          TEXT,
    oms_root                 TEXT,
    file_count               BIGINT,
    size_bytes               BIGINT,
    requirements_digest      TEXT,
    experiment_config_digest TEXT,
    snapshot_digest          TEXT,
    UNIQUE (model_id, version)
);
CREATE INDEX model_versions_run ON model_versions (run_id);
CREATE INDEX model_versions_stage ON model_versions (model_id, stage, version);
CREATE INDEX model_versions_updated ON model_versions (updated_at_ms);

CREATE TABLE model_version_tags (
    version_id BIGINT NOT NULL REFERENCES model_versions (version_id),
    key        TEXT COLLATE "C" NOT NULL,
    value      TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (version_id, key)
);
-- Searches leave prompts out.
CREATE INDEX model_version_tags_prompt ON model_version_tags (version_id)
    WHERE key = 'mlflow.prompt.is_prompt';

-- Documents, signatures and statements about a version. Content stands here where the row's own
-- transaction made it, else in the content store under its digest.
CREATE TABLE referrers (
    referrer_id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uid           TEXT COLLATE "C" NOT NULL REFERENCES model_versions (uid),
    artifact_type TEXT COLLATE "C" NOT NULL,
    digest        TEXT COLLATE "C" NOT NULL,
    size_bytes    BIGINT NOT NULL,
    signed_by     TEXT,
    content       TEXT,
    lock_key      TEXT,
    created_at_ms BIGINT NOT NULL,
    UNIQUE (uid, artifact_type, digest)
);
CREATE INDEX referrers_digest ON referrers (digest);
CREATE INDEX referrers_lock_key ON referrers (lock_key, referrer_id) WHERE lock_key IS NOT NULL;

-- Public keys whose signatures this registry has seen or made.
CREATE TABLE signing_keys (
    hint           TEXT COLLATE "C" PRIMARY KEY,
    role           TEXT COLLATE "C" NOT NULL,
    algorithm      TEXT COLLATE "C" NOT NULL,
    public_key_pem TEXT COLLATE "C" NOT NULL,
    added_by       TEXT COLLATE "C" NOT NULL,
    created_at_ms  BIGINT NOT NULL
);

-- What a write that carried an Idempotency-Key made, claimed in the write's own transaction: a
-- version's uid or a promotion's id. The same key again gives the same answer and changes nothing.
CREATE TABLE idempotency_keys (
    actor         TEXT COLLATE "C" NOT NULL,
    operation     TEXT COLLATE "C" NOT NULL,
    key           TEXT COLLATE "C" NOT NULL,
    body_digest   TEXT COLLATE "C" NOT NULL,
    result        TEXT COLLATE "C" NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (actor, operation, key)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at_ms);
