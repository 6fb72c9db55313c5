-- Who is signed in to the dashboard. The handle is in a cookie; its digest is here, and that of the
-- key with which its holder signed in. Neither can be had from the other.
CREATE TABLE dashboard_sign_in (
    digest BLOB NOT NULL PRIMARY KEY,
    key_id TEXT NOT NULL,
    key_digest BLOB NOT NULL,
    acting_as TEXT,
    created_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX dashboard_sign_in_key ON dashboard_sign_in (key_id, created_at);
CREATE INDEX dashboard_sign_in_expiry ON dashboard_sign_in (expires_at);
