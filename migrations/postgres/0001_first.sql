-- Instants are milliseconds since 1970. Tags, log ids and positions are 64-bit numbers.
-- Text is compared byte by byte, as SQLite does, whatever the language of the database is: lists are
-- paged by the order of ids.

CREATE TABLE instance (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    operator_account_id TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);

-- The lock of all changes, and the position of the last one.
CREATE TABLE change_head (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    log_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    -- The highest position of an entry that was dropped from the log.
    floor BIGINT NOT NULL
);

-- What was ended where. Entries go when every token that was minted before them has expired.
CREATE TABLE change_log (
    position BIGINT NOT NULL,
    tag BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (position, tag)
);
CREATE INDEX change_log_age ON change_log (created_at, position);

CREATE TABLE account (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    parent_id TEXT COLLATE "C" REFERENCES account (id),
    -- Roots are the children of ''.
    parent_key TEXT COLLATE "C" NOT NULL GENERATED ALWAYS AS (COALESCE(parent_id, '')) STORED,
    depth BIGINT NOT NULL,
    name TEXT COLLATE "C",
    email TEXT COLLATE "C",
    alias TEXT COLLATE "C",
    description TEXT COLLATE "C",
    image TEXT COLLATE "C",
    limits TEXT COLLATE "C",
    meta TEXT COLLATE "C",
    external_id TEXT COLLATE "C",
    state TEXT COLLATE "C" NOT NULL,
    can_impersonate BIGINT NOT NULL,
    impersonation_policy TEXT COLLATE "C" NOT NULL,
    tag BIGINT NOT NULL,
    child_tag BIGINT NOT NULL,
    parent_tag BIGINT NOT NULL,
    denied_at BIGINT,
    barred_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX account_email ON account (parent_key, email)
    WHERE email IS NOT NULL AND state <> 'deleted';
CREATE INDEX account_children ON account (parent_key, id) WHERE state <> 'deleted';
CREATE INDEX account_external ON account (parent_key, external_id, id)
    WHERE external_id IS NOT NULL AND state <> 'deleted';

CREATE TABLE api_key (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account_id TEXT COLLATE "C" NOT NULL REFERENCES account (id),
    maker_id TEXT COLLATE "C" REFERENCES api_key (id),
    grantors TEXT COLLATE "C" NOT NULL,
    depth BIGINT NOT NULL,
    environment TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C",
    description TEXT COLLATE "C",
    meta TEXT COLLATE "C",
    external_id TEXT COLLATE "C",
    enabled BIGINT NOT NULL,
    operator BIGINT NOT NULL,
    unrestricted BIGINT NOT NULL,
    config TEXT COLLATE "C" NOT NULL,
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
CREATE INDEX api_key_account ON api_key (account_id, id) WHERE ended_at IS NULL;
CREATE INDEX api_key_external ON api_key (account_id, external_id, id)
    WHERE external_id IS NOT NULL AND ended_at IS NULL;
CREATE INDEX api_key_own ON api_key (account_id) WHERE grantors = '[]';
CREATE INDEX api_key_maker ON api_key (maker_id) WHERE maker_id IS NOT NULL;

-- A key has one secret, and for a while after a rotation more. Only digests are here.
CREATE TABLE api_key_secret (
    digest BYTEA NOT NULL PRIMARY KEY,
    key_id TEXT COLLATE "C" NOT NULL REFERENCES api_key (id),
    hint TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT,
    last_used_address TEXT COLLATE "C",
    last_used_agent TEXT COLLATE "C"
);
CREATE INDEX api_key_secret_key ON api_key_secret (key_id);
CREATE INDEX api_key_secret_expiry ON api_key_secret (expires_at) WHERE expires_at IS NOT NULL;

-- One row a minted token. It is the ledger entry of the mint, too.
CREATE TABLE session (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    family_id TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    parent_id TEXT COLLATE "C",
    actor_id TEXT COLLATE "C",
    key_id TEXT COLLATE "C" NOT NULL,
    environment TEXT COLLATE "C" NOT NULL,
    audience TEXT COLLATE "C" NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    renewable_until BIGINT,
    family_tag BIGINT NOT NULL,
    tags TEXT COLLATE "C" NOT NULL,
    log_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    request_id TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C",
    detail TEXT COLLATE "C" NOT NULL
);
CREATE INDEX session_account ON session (account_id, id);
CREATE INDEX session_key ON session (key_id, account_id, id);
CREATE INDEX session_parent ON session (parent_id, id) WHERE parent_id IS NOT NULL;
CREATE INDEX session_expiry ON session (expires_at);

CREATE TABLE audit (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    parent_id TEXT COLLATE "C",
    actor_id TEXT COLLATE "C",
    key_id TEXT COLLATE "C",
    session_id TEXT COLLATE "C",
    target TEXT COLLATE "C",
    request_id TEXT COLLATE "C",
    address TEXT COLLATE "C",
    details TEXT COLLATE "C" NOT NULL
);
CREATE INDEX audit_account ON audit (account_id, id);
CREATE INDEX audit_parent ON audit (parent_id, id) WHERE parent_id IS NOT NULL;

CREATE TABLE signing_key (
    kid TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    environment TEXT COLLATE "C" NOT NULL,
    algorithm TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    public_jwk TEXT COLLATE "C" NOT NULL,
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
