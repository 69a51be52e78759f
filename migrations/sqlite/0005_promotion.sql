-- Every requested stage transition, in the order it was applied.
CREATE TABLE promotions (
    id            INTEGER PRIMARY KEY,
    promotion_id  TEXT NOT NULL UNIQUE,
    -- promotion or rollback
    kind          TEXT NOT NULL,
    model_id      BIGINT NOT NULL REFERENCES registered_models (model_id),
    version_uid   TEXT NOT NULL REFERENCES model_versions (uid),
    from_stage    TEXT NOT NULL,
    to_stage      TEXT NOT NULL,
    actor         TEXT NOT NULL,
    reason        TEXT,
    -- Why no rollout follows, where one would be expected.
    note          TEXT,
    rollout_id    TEXT,
    applied_at_ms BIGINT NOT NULL
);
CREATE INDEX promotions_model ON promotions (model_id, id);
CREATE INDEX promotions_version ON promotions (version_uid, id);
CREATE INDEX promotions_rollout ON promotions (rollout_id);
