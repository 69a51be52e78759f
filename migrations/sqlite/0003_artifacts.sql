-- A blob's bytes as they lie in the content store. A new upload of the same content after damage
-- makes a new one; a late delete of the old generation cannot hit it.
CREATE TABLE representations (
    representation_id INTEGER PRIMARY KEY,
    -- Last part of the object's key, never used twice.
    generation     TEXT NOT NULL UNIQUE,
    -- Which key of the layout: 'blob' or 'arrival'.
    layout         TEXT NOT NULL CHECK (layout IN ('blob', 'arrival')),
    -- 'damaged': a read found other bytes, or none; the next upload of the content replaces it.
    state          TEXT NOT NULL CHECK (state IN ('available', 'damaged')),
    -- BLAKE3 of each 4 MiB block, 32 bytes each, in order.
    block_hashes   BLOB NOT NULL,
    created_at_ms  BIGINT NOT NULL
);

-- What exists: a file's bytes, named by their digest. Never changed, only re-represented.
CREATE TABLE blobs (
    blob_id           INTEGER PRIMARY KEY,
    digest            TEXT NOT NULL UNIQUE,
    size_bytes        BIGINT NOT NULL,
    representation_id BIGINT NOT NULL REFERENCES representations (representation_id)
);

-- The one namespace of artifact paths. A row without a blob is a directory; the root is ''.
CREATE TABLE artifact_entries (
    path     TEXT NOT NULL PRIMARY KEY,
    parent   TEXT REFERENCES artifact_entries (path) ON DELETE CASCADE,
    blob_id  BIGINT REFERENCES blobs (blob_id)
) WITHOUT ROWID;
CREATE INDEX artifact_entries_parent ON artifact_entries (parent, path);
INSERT INTO artifact_entries (path) VALUES ('');

-- The files of frozen versions, served read-only under .versions/<uid>/.
CREATE TABLE version_files (
    uid         TEXT NOT NULL,
    path        TEXT NOT NULL,
    digest      TEXT NOT NULL REFERENCES blobs (digest),
    size_bytes  BIGINT NOT NULL,
    PRIMARY KEY (uid, path)
) WITHOUT ROWID;

-- Upload sessions. The files of one that has not expired are leases on their digests.
CREATE TABLE uploads (
    upload_id      TEXT NOT NULL PRIMARY KEY,
    created_at_ms  BIGINT NOT NULL,
    expires_at_ms  BIGINT NOT NULL
);
CREATE INDEX uploads_expiry ON uploads (expires_at_ms);

CREATE TABLE upload_files (
    upload_id   TEXT NOT NULL REFERENCES uploads (upload_id) ON DELETE CASCADE,
    path        TEXT NOT NULL,
    digest      TEXT NOT NULL,
    size_bytes  BIGINT NOT NULL,
    PRIMARY KEY (upload_id, path)
) WITHOUT ROWID;
CREATE INDEX upload_files_digest ON upload_files (digest);
