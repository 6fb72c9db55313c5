-- Instants are milliseconds since 1970. Tags, log ids and positions are 64-bit numbers.

CREATE TABLE instance (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    operator_account_id TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- The lock of all changes, and the position of the last one.
CREATE TABLE change_head (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    log_id BIGINT NOT NULL,
    position BIGINT NOT NULL
);

-- What was ended where. Entries go when every token that was minted before them has expired.
CREATE TABLE change_log (
    position BIGINT NOT NULL,
    tag BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (position, tag)
);

CREATE TABLE account (
    id TEXT NOT NULL PRIMARY KEY,
    parent_id TEXT REFERENCES account (id),
    depth BIGINT NOT NULL,
    name TEXT,
    email TEXT,
    alias TEXT,
    description TEXT,
    image TEXT,
    limits TEXT,
    meta TEXT,
    external_id TEXT,
    state TEXT NOT NULL,
    can_impersonate BIGINT NOT NULL,
    impersonation_policy TEXT NOT NULL,
    tag BIGINT NOT NULL,
    child_tag BIGINT NOT NULL,
    parent_tag BIGINT NOT NULL,
    denied_at BIGINT,
    barred_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX account_email ON account (COALESCE(parent_id, ''), email)
    WHERE email IS NOT NULL AND state <> 'deleted';
CREATE INDEX account_parent ON account (parent_id, id);
CREATE INDEX account_external ON account (parent_id, external_id) WHERE external_id IS NOT NULL;

CREATE TABLE api_key (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id),
    maker_id TEXT REFERENCES api_key (id),
    grantors TEXT NOT NULL,
    depth BIGINT NOT NULL,
    environment TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT,
    description TEXT,
    meta TEXT,
    external_id TEXT,
    enabled BIGINT NOT NULL,
    operator BIGINT NOT NULL,
    unrestricted BIGINT NOT NULL,
    config TEXT NOT NULL,
    expires_at BIGINT,
    ended_at BIGINT,
    line_lives_on BIGINT NOT NULL,
    tag BIGINT NOT NULL,
    line_tag BIGINT NOT NULL,
    made_at BIGINT NOT NULL,
    line_cut_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX api_key_account ON api_key (account_id, id);
CREATE INDEX api_key_maker ON api_key (maker_id) WHERE maker_id IS NOT NULL;

-- A key has one secret, and for a while after a rotation more. Only digests are here.
CREATE TABLE api_key_secret (
    digest BYTEA NOT NULL PRIMARY KEY,
    key_id TEXT NOT NULL REFERENCES api_key (id),
    hint TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT,
    last_used_address TEXT,
    last_used_agent TEXT
);
CREATE INDEX api_key_secret_key ON api_key_secret (key_id);

-- One row a minted token. It is the ledger entry of the mint, too.
CREATE TABLE session (
    id TEXT NOT NULL PRIMARY KEY,
    family_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    parent_id TEXT,
    actor_id TEXT,
    key_id TEXT NOT NULL,
    environment TEXT NOT NULL,
    audience TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    renewable_until BIGINT,
    family_tag BIGINT NOT NULL,
    tags TEXT NOT NULL,
    log_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    request_id TEXT NOT NULL,
    address TEXT,
    detail TEXT NOT NULL
);
CREATE INDEX session_account ON session (account_id, id);
CREATE INDEX session_parent ON session (parent_id, id) WHERE parent_id IS NOT NULL;
CREATE INDEX session_expiry ON session (expires_at);

CREATE TABLE audit (
    id TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    account_id TEXT NOT NULL,
    parent_id TEXT,
    actor_id TEXT,
    key_id TEXT,
    session_id TEXT,
    target TEXT,
    request_id TEXT,
    address TEXT,
    details TEXT NOT NULL
);
CREATE INDEX audit_account ON audit (account_id, id);
CREATE INDEX audit_parent ON audit (parent_id, id) WHERE parent_id IS NOT NULL;

CREATE TABLE signing_key (
    kid TEXT NOT NULL PRIMARY KEY,
    environment TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    state TEXT NOT NULL,
    public_jwk TEXT NOT NULL,
    sealed_private BYTEA,
    created_at BIGINT NOT NULL,
    activated_at BIGINT,
    retired_at BIGINT,
    revoked_at BIGINT
);
CREATE UNIQUE INDEX signing_key_active ON signing_key (environment) WHERE state = 'active';

-- Answers to be replayed, sealed under a key derived from the credential and the Idempotency-Key.
CREATE TABLE idempotency (
    id BYTEA NOT NULL PRIMARY KEY,
    body_digest BYTEA NOT NULL,
    sealed_answer BYTEA NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX idempotency_expiry ON idempotency (expires_at);
