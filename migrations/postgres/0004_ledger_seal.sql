-- The keys that sign checkpoints. The public halves are kept for ever, so that old checkpoints can
-- be checked.
CREATE TABLE ledger_key (
    kid TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    public_jwk TEXT COLLATE "C" NOT NULL,
    sealed_private BYTEA,
    created_at BIGINT NOT NULL,
    retired_at BIGINT
);

-- How far the ledger is sealed, and which node seals it until when.
CREATE TABLE ledger_head (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    checkpoint BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    sealed_at BIGINT NOT NULL,
    holder BIGINT NOT NULL,
    lease_until BIGINT NOT NULL
);
INSERT INTO ledger_head (id, checkpoint, seq, hash, sealed_at, holder, lease_until)
VALUES (1, 0, 0, '\x0000000000000000000000000000000000000000000000000000000000000000', 0, 0, 0);

-- Each seals the entries behind the one before, in the order of `members`: their ids, one behind the
-- other.
CREATE TABLE ledger_checkpoint (
    number BIGINT NOT NULL PRIMARY KEY,
    first_seq BIGINT NOT NULL,
    last_seq BIGINT NOT NULL,
    members TEXT COLLATE "C" NOT NULL,
    hash BYTEA NOT NULL,
    signed TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX ledger_checkpoint_age ON ledger_checkpoint (created_at, number);

-- What a restore switched off until somebody confirms it: keys and webhooks, by their ids.
CREATE TABLE restore_hold (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL
);
