-- What was brought over from another registry, so that it is brought once. `import_rid` is an
-- import's internal key.
CREATE TABLE imports (
    import_rid    INTEGER PRIMARY KEY,
    import_id     TEXT NOT NULL UNIQUE,
    -- mlflow
    kind          TEXT NOT NULL,
    -- Address of the registry that objects come from, without user name and password.
    source        TEXT NOT NULL,
    detail        TEXT NOT NULL,
    created_by    TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    UNIQUE (kind, source)
);

-- An object there and what it is here. Without a fingerprint it is not here completely.
CREATE TABLE imported_objects (
    import_rid    BIGINT NOT NULL REFERENCES imports (import_rid),
    kind          TEXT NOT NULL,
    source_id     TEXT NOT NULL,
    local_id      TEXT NOT NULL,
    fingerprint   TEXT,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (import_rid, kind, source_id)
) WITHOUT ROWID;
CREATE INDEX imported_objects_local ON imported_objects (kind, local_id);
