-- Where an account is told of what happened. The secrets are sealed under the master key.
CREATE TABLE webhook (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id),
    url TEXT NOT NULL,
    description TEXT,
    meta TEXT,
    -- A JSON list of names; without one, all events.
    events TEXT,
    enabled INTEGER NOT NULL,
    sealed_secret BLOB NOT NULL,
    sealed_old_secret BLOB,
    old_secret_until INTEGER,
    -- Deliveries that failed since the last that did not, and since when.
    failures INTEGER NOT NULL,
    failing_since INTEGER,
    -- Nothing is sent before this instant.
    retry_at INTEGER NOT NULL,
    disabled_at INTEGER,
    overflowed_at INTEGER,
    delivered_at INTEGER,
    deleted_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_account ON webhook (account_id, id) WHERE deleted_at IS NULL;
CREATE INDEX webhook_deleted ON webhook (deleted_at) WHERE deleted_at IS NOT NULL;

-- The outbox: what happened, in the transaction in which it happened, as it is sent.
CREATE TABLE webhook_event (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    environment TEXT,
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_event_age ON webhook_event (created_at);

-- One event for one webhook. Who takes it to send it moves `due_at`, which is the lease.
CREATE TABLE webhook_delivery (
    id TEXT NOT NULL PRIMARY KEY,
    webhook_id TEXT NOT NULL REFERENCES webhook (id),
    event_id TEXT NOT NULL REFERENCES webhook_event (id),
    -- What the event is about. Events about one thing are sent in the order of `ordinal`.
    subject TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    tried_at INTEGER,
    status INTEGER,
    problem TEXT,
    duration_ms INTEGER,
    replay_of TEXT,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_delivery_log ON webhook_delivery (webhook_id, id);
CREATE INDEX webhook_delivery_due ON webhook_delivery (webhook_id, due_at)
    WHERE state = 'pending';
CREATE INDEX webhook_delivery_subject ON webhook_delivery (webhook_id, subject, ordinal)
    WHERE state = 'pending';
CREATE INDEX webhook_delivery_age ON webhook_delivery (created_at);
CREATE INDEX webhook_delivery_event ON webhook_delivery (event_id);

-- What was told once and is not told again.
CREATE TABLE webhook_notice (
    id TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_notice_age ON webhook_notice (created_at);

CREATE INDEX api_key_expiry ON api_key (expires_at) WHERE expires_at IS NOT NULL;
