-- Who is told of changes.
CREATE TABLE webhooks (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook_id    TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    description   TEXT,
    url           TEXT NOT NULL,
    -- ACTIVE or DISABLED.
    status        TEXT NOT NULL,
    -- Encrypted with a key that is not in the database.
    sealed_secret TEXT,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    -- The row stays: a change that is being made may still put deliveries under it.
    deleted_at_ms BIGINT
);
CREATE INDEX webhooks_created ON webhooks (created_at_ms, id) WHERE deleted_at_ms IS NULL;

-- Events are named `<entity>.<action>`.
CREATE TABLE webhook_subscriptions (
    event   TEXT NOT NULL,
    webhook BIGINT NOT NULL REFERENCES webhooks (id),
    PRIMARY KEY (event, webhook)
) WITHOUT ROWID;
CREATE INDEX webhook_subscriptions_webhook ON webhook_subscriptions (webhook);

-- The outbox, written in the transaction of the change that it tells of; then its history.
CREATE TABLE webhook_deliveries (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    delivery_id     TEXT NOT NULL UNIQUE,
    webhook         BIGINT NOT NULL REFERENCES webhooks (id),
    event           TEXT NOT NULL,
    -- What is sent, byte by byte.
    body            TEXT NOT NULL,
    -- pending, delivered, failed or cancelled.
    state           TEXT NOT NULL,
    attempts        BIGINT NOT NULL,
    created_at_ms   BIGINT NOT NULL,
    -- When the next attempt is due.
    due_at_ms       BIGINT NOT NULL,
    ended_at_ms     BIGINT,
    -- What came of the newest attempt.
    response_status BIGINT,
    response_body   TEXT,
    error           TEXT,
    duration_ms     BIGINT,
    -- The delivery whose body this one sends again.
    replay_of       TEXT
);
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (webhook, due_at_ms, id) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_webhook ON webhook_deliveries (webhook, id);
CREATE INDEX webhook_deliveries_state ON webhook_deliveries (webhook, state, id);
CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (ended_at_ms) WHERE ended_at_ms IS NOT NULL;
