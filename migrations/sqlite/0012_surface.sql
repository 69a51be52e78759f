-- Secrets that the replicas of a registry share, each made once: what signs URLs.
CREATE TABLE shared_secrets (
    name   TEXT NOT NULL PRIMARY KEY,
    value  BLOB NOT NULL
) WITHOUT ROWID;

-- Files that arrive in parts, to be put together at `path`.
CREATE TABLE multipart_uploads (
    upload_id      TEXT NOT NULL PRIMARY KEY,
    path           TEXT NOT NULL,
    num_parts      BIGINT NOT NULL,
    -- 'complete': the file is there; kept so that a repeated request gets its answer.
    -- 'closing': given up or expired; its parts are being removed.
    state          TEXT NOT NULL CHECK (state IN ('open', 'complete', 'closing')),
    created_at_ms  BIGINT NOT NULL,
    expires_at_ms  BIGINT NOT NULL
);
CREATE INDEX multipart_uploads_expiry ON multipart_uploads (expires_at_ms);

-- Their parts, objects of the content store that no blob names.
CREATE TABLE multipart_parts (
    upload_id     TEXT NOT NULL REFERENCES multipart_uploads (upload_id) ON DELETE CASCADE,
    part_number   BIGINT NOT NULL,
    digest        TEXT NOT NULL,
    size_bytes    BIGINT NOT NULL,
    -- As in `representations`.
    generation    TEXT NOT NULL UNIQUE,
    layout        TEXT NOT NULL CHECK (layout IN ('blob', 'arrival')),
    block_hashes  BLOB NOT NULL,
    PRIMARY KEY (upload_id, part_number)
) WITHOUT ROWID;
