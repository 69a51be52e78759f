-- Every requested stage transition, in the order it was applied.
CREATE TABLE promotions (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    promotion_id  TEXT COLLATE "C" NOT NULL UNIQUE,
    -- promotion or rollback
    kind          TEXT COLLATE "C" NOT NULL,
    model_id      BIGINT NOT NULL REFERENCES registered_models (model_id),
    version_uid   TEXT COLLATE "C" NOT NULL REFERENCES model_versions (uid),
    from_stage    TEXT COLLATE "C" NOT NULL,
    to_stage      TEXT COLLATE "C" NOT NULL,
    actor         TEXT COLLATE "C" NOT NULL,
    reason        TEXT,
    -- Why no rollout follows, where one would be expected.
    note          TEXT,
    rollout_id    TEXT,
    applied_at_ms BIGINT NOT NULL
);
CREATE INDEX promotions_model ON promotions (model_id, id);
CREATE INDEX promotions_version ON promotions (version_uid, id);
CREATE INDEX promotions_rollout ON promotions (rollout_id);
