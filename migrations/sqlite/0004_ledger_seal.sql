-- The keys that sign checkpoints. The public halves are kept for ever, so that old checkpoints can
-- be checked.
CREATE TABLE ledger_key (
    kid TEXT NOT NULL PRIMARY KEY,
    public_jwk TEXT NOT NULL,
    sealed_private BLOB,
    created_at INTEGER NOT NULL,
    retired_at INTEGER
) STRICT;

-- How far the ledger is sealed, and which node seals it until when.
CREATE TABLE ledger_head (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    checkpoint INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    sealed_at INTEGER NOT NULL,
    holder INTEGER NOT NULL,
    lease_until INTEGER NOT NULL
) STRICT;
INSERT INTO ledger_head (id, checkpoint, seq, hash, sealed_at, holder, lease_until)
VALUES (1, 0, 0, x'0000000000000000000000000000000000000000000000000000000000000000', 0, 0, 0);

-- Each seals the entries behind the one before, in the order of `members`: their ids, one behind the
-- other.
CREATE TABLE ledger_checkpoint (
    number INTEGER NOT NULL PRIMARY KEY,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    members TEXT NOT NULL,
    hash BLOB NOT NULL,
    signed TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX ledger_checkpoint_age ON ledger_checkpoint (created_at, number);

-- What a restore switched off until somebody confirms it: keys and webhooks, by their ids.
CREATE TABLE restore_hold (
    id TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT;
