-- Instants are milliseconds since 1970. Tags, log ids and positions are 64-bit numbers.

CREATE TABLE instance (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    operator_account_id TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- The lock of all changes, and the position of the last one.
CREATE TABLE change_head (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    log_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    -- The highest position of an entry that was dropped from the log.
    floor INTEGER NOT NULL
) STRICT;

-- What was ended where. Entries go when every token that was minted before them has expired.
CREATE TABLE change_log (
    position INTEGER NOT NULL,
    tag INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (position, tag)
) STRICT;
CREATE INDEX change_log_age ON change_log (created_at, position);

CREATE TABLE account (
    id TEXT NOT NULL PRIMARY KEY,
    parent_id TEXT REFERENCES account (id),
    -- Roots are the children of ''.
    parent_key TEXT NOT NULL GENERATED ALWAYS AS (COALESCE(parent_id, '')) STORED,
    depth INTEGER NOT NULL,
    name TEXT,
    email TEXT,
    alias TEXT,
    description TEXT,
    image TEXT,
    limits TEXT,
    meta TEXT,
    external_id TEXT,
    state TEXT NOT NULL,
    can_impersonate INTEGER NOT NULL,
    impersonation_policy TEXT NOT NULL,
    tag INTEGER NOT NULL,
    child_tag INTEGER NOT NULL,
    parent_tag INTEGER NOT NULL,
    denied_at INTEGER,
    barred_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX account_email ON account (parent_key, email)
    WHERE email IS NOT NULL AND state <> 'deleted';
CREATE INDEX account_children ON account (parent_key, id) WHERE state <> 'deleted';
CREATE INDEX account_external ON account (parent_key, external_id, id)
    WHERE external_id IS NOT NULL AND state <> 'deleted';

CREATE TABLE api_key (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id),
    maker_id TEXT REFERENCES api_key (id),
    grantors TEXT NOT NULL,
    depth INTEGER NOT NULL,
    environment TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT,
    description TEXT,
    meta TEXT,
    external_id TEXT,
    enabled INTEGER NOT NULL,
    operator INTEGER NOT NULL,
    unrestricted INTEGER NOT NULL,
    config TEXT NOT NULL,
    expires_at INTEGER,
    ended_at INTEGER,
    line_lives_on INTEGER NOT NULL,
    tag INTEGER NOT NULL,
    line_tag INTEGER NOT NULL,
    made_at INTEGER NOT NULL,
    line_cut_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX api_key_account ON api_key (account_id, id) WHERE ended_at IS NULL;
CREATE INDEX api_key_external ON api_key (account_id, external_id, id)
    WHERE external_id IS NOT NULL AND ended_at IS NULL;
CREATE INDEX api_key_own ON api_key (account_id) WHERE grantors = '[]';
CREATE INDEX api_key_maker ON api_key (maker_id) WHERE maker_id IS NOT NULL;

-- A key has one secret, and for a while after a rotation more. Only digests are here.
CREATE TABLE api_key_secret (
    digest BLOB NOT NULL PRIMARY KEY,
    key_id TEXT NOT NULL REFERENCES api_key (id),
    hint TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER,
    last_used_address TEXT,
    last_used_agent TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX api_key_secret_key ON api_key_secret (key_id);
CREATE INDEX api_key_secret_expiry ON api_key_secret (expires_at) WHERE expires_at IS NOT NULL;

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
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    renewable_until INTEGER,
    family_tag INTEGER NOT NULL,
    tags TEXT NOT NULL,
    log_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    address TEXT,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX session_account ON session (account_id, id);
CREATE INDEX session_key ON session (key_id, account_id, id);
CREATE INDEX session_parent ON session (parent_id, id) WHERE parent_id IS NOT NULL;
CREATE INDEX session_expiry ON session (expires_at);

CREATE TABLE audit (
    id TEXT NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
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
) STRICT;
CREATE INDEX audit_account ON audit (account_id, id);
CREATE INDEX audit_parent ON audit (parent_id, id) WHERE parent_id IS NOT NULL;

CREATE TABLE signing_key (
    kid TEXT NOT NULL PRIMARY KEY,
    environment TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    state TEXT NOT NULL,
    public_jwk TEXT NOT NULL,
    sealed_private BLOB,
    created_at INTEGER NOT NULL,
    activated_at INTEGER,
    retired_at INTEGER,
    revoked_at INTEGER
) STRICT;
CREATE UNIQUE INDEX signing_key_active ON signing_key (environment) WHERE state = 'active';

-- Answers to be replayed, sealed under a key derived from the credential and the Idempotency-Key.
CREATE TABLE idempotency (
    id BLOB NOT NULL PRIMARY KEY,
    body_digest BLOB NOT NULL,
    sealed_answer BLOB NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_expiry ON idempotency (expires_at);
