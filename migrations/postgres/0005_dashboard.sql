-- Who is signed in to the dashboard. The handle is in a cookie; its digest is here, and that of the
-- key with which its holder signed in. Neither can be had from the other.
CREATE TABLE dashboard_sign_in (
    digest BYTEA NOT NULL PRIMARY KEY,
    key_id TEXT COLLATE "C" NOT NULL,
    key_digest BYTEA NOT NULL,
    acting_as TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX dashboard_sign_in_key ON dashboard_sign_in (key_id, created_at);
CREATE INDEX dashboard_sign_in_expiry ON dashboard_sign_in (expires_at);
