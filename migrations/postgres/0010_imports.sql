-- What was brought over from another registry, so that it is brought once. `import_rid` is an
-- import's internal key.
CREATE TABLE imports (
    import_rid    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    import_id     TEXT COLLATE "C" NOT NULL UNIQUE,
    -- mlflow
    kind          TEXT COLLATE "C" NOT NULL,
    -- Address of the registry that objects come from, without user name and password.
    source        TEXT COLLATE "C" NOT NULL,
    detail        TEXT COLLATE "C" NOT NULL,
    created_by    TEXT COLLATE "C" NOT NULL,
    created_at_ms BIGINT NOT NULL,
    UNIQUE (kind, source)
);

-- An object there and what it is here. Without a fingerprint it is not here completely.
CREATE TABLE imported_objects (
    import_rid    BIGINT NOT NULL REFERENCES imports (import_rid),
    kind          TEXT COLLATE "C" NOT NULL,
    source_id     TEXT COLLATE "C" NOT NULL,
    local_id      TEXT COLLATE "C" NOT NULL,
    fingerprint   TEXT COLLATE "C",
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (import_rid, kind, source_id)
);
CREATE INDEX imported_objects_local ON imported_objects (kind, local_id);
