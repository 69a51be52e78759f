-- Every state change, written in the transaction that makes it. Append-only.
CREATE TABLE audit_events (
    event_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms       BIGINT NOT NULL,
    actor       TEXT NOT NULL,
    action      TEXT NOT NULL,
    subject     TEXT NOT NULL,
    from_state  TEXT,
    to_state    TEXT,
    reason      TEXT,
    request_id  TEXT
);
CREATE INDEX audit_events_subject ON audit_events (subject, event_id);
