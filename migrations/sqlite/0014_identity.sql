-- Which registry this is: made with the database, kept by backup and restore.
--
-- The content store bears the same id, so that a lost database beside a full store, or a store that
-- is not mounted, is seen at start and not taken for an empty registry.
CREATE TABLE registry_identity (
    registry_id  TEXT PRIMARY KEY,
    -- Whether the store was given the id; from then on one that lacks it is another.
    store_marked BOOLEAN NOT NULL
) WITHOUT ROWID;
INSERT INTO registry_identity (registry_id, store_marked) VALUES (lower(hex(randomblob(16))), FALSE);
