-- Where an account is told of what happened. The secrets are sealed under the master key.
CREATE TABLE webhook (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account_id TEXT COLLATE "C" NOT NULL REFERENCES account (id),
    url TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    meta TEXT COLLATE "C",
    -- A JSON list of names; without one, all events.
    events TEXT COLLATE "C",
    enabled BIGINT NOT NULL,
    sealed_secret BYTEA NOT NULL,
    sealed_old_secret BYTEA,
    old_secret_until BIGINT,
    -- Deliveries that failed since the last that did not, and since when.
    failures BIGINT NOT NULL,
    failing_since BIGINT,
    -- Nothing is sent before this instant.
    retry_at BIGINT NOT NULL,
    disabled_at BIGINT,
    overflowed_at BIGINT,
    delivered_at BIGINT,
    deleted_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX webhook_account ON webhook (account_id, id) WHERE deleted_at IS NULL;
CREATE INDEX webhook_deleted ON webhook (deleted_at) WHERE deleted_at IS NOT NULL;

-- The outbox: what happened, in the transaction in which it happened, as it is sent.
CREATE TABLE webhook_event (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    environment TEXT COLLATE "C",
    body TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX webhook_event_age ON webhook_event (created_at);

-- One event for one webhook. Who takes it to send it moves `due_at`, which is the lease.
CREATE TABLE webhook_delivery (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    webhook_id TEXT COLLATE "C" NOT NULL REFERENCES webhook (id),
    event_id TEXT COLLATE "C" NOT NULL REFERENCES webhook_event (id),
    -- What the event is about. Events about one thing are sent in the order of `ordinal`.
    subject TEXT COLLATE "C" NOT NULL,
    ordinal BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    attempts BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    tried_at BIGINT,
    status BIGINT,
    problem TEXT COLLATE "C",
    duration_ms BIGINT,
    replay_of TEXT COLLATE "C",
    created_at BIGINT NOT NULL
);
CREATE INDEX webhook_delivery_log ON webhook_delivery (webhook_id, id);
CREATE INDEX webhook_delivery_due ON webhook_delivery (webhook_id, due_at)
    WHERE state = 'pending';
CREATE INDEX webhook_delivery_subject ON webhook_delivery (webhook_id, subject, ordinal)
    WHERE state = 'pending';
CREATE INDEX webhook_delivery_age ON webhook_delivery (created_at);
CREATE INDEX webhook_delivery_event ON webhook_delivery (event_id);

-- What was told once and is not told again.
CREATE TABLE webhook_notice (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL
);
CREATE INDEX webhook_notice_age ON webhook_notice (created_at);

CREATE INDEX api_key_expiry ON api_key (expires_at) WHERE expires_at IS NOT NULL;
