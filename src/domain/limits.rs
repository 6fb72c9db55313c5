//! Every limit that is not a setting, with its reason.

/// Makers above a key, and accounts above an account. A token carries one tag for each.
pub const DEPTH_MAX: usize = 8;
/// `meta` and `limits` as JSON text, in bytes.
pub const META_BYTES_MAX: usize = 4096;
/// `data` of a session as JSON text, in bytes.
pub const DATA_BYTES_MAX: usize = 2048;
/// A token in compact form, in bytes. Gateways refuse headers of about 8 kB.
pub const TOKEN_BYTES_MAX: usize = 4096;
/// Names, in characters.
pub const NAME_CHARS_MAX: usize = 200;
/// Descriptions, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 2000;
/// `alias` and `externalId`, in characters.
pub const ALIAS_CHARS_MAX: usize = 200;
/// An image URL, in characters.
pub const IMAGE_CHARS_MAX: usize = 2000;
/// An e-mail address, in characters (RFC 5321 §4.5.3.1.3).
pub const EMAIL_CHARS_MAX: usize = 254;
/// Values in one restriction list (bindings of one dimension, domains, networks, users, …).
pub const LIST_LEN_MAX: usize = 100;
/// A value of a binding, in characters.
pub const BINDING_CHARS_MAX: usize = 128;
/// Default lifetime of a session, in seconds.
pub const SESSION_SECS_DEFAULT: i64 = 900;
/// Longest lifetime of a session, in seconds. Entries of the change log are kept for longer.
pub const SESSION_SECS_MAX: i64 = 86_400;
/// How long a session may be renewable unless its key says otherwise, in seconds.
pub const RENEWABLE_SECS_DEFAULT: i64 = 86_400;
/// How long a session may be renewable at all, in seconds (30 days).
pub const RENEWABLE_SECS_MAX: i64 = 30 * 86_400;
/// How long the old secret works after a rotation unless the caller says otherwise, in seconds.
pub const OVERLAP_SECS_DEFAULT: i64 = 86_400;
/// Longest overlap of two secrets, in seconds (30 days).
pub const OVERLAP_SECS_MAX: i64 = 30 * 86_400;
/// Secrets that one key may have at the same time.
pub const SECRETS_PER_KEY_MAX: usize = 5;
/// How long an entry of the change log is kept, in seconds: every token that was minted before it
/// has expired by then.
pub const LOG_ENTRY_SECS: i64 = 2 * SESSION_SECS_MAX;
/// How long the answer to an `Idempotency-Key` is kept, in seconds.
pub const IDEMPOTENCY_SECS: i64 = 86_400;
/// An `Idempotency-Key`, in characters.
pub const IDEMPOTENCY_CHARS_MAX: usize = 255;
/// A credential in a header, in bytes: the largest token that is looked at.
pub const CREDENTIAL_BYTES_MAX: usize = 8192;
/// An imported key that has not our form, in bytes.
pub const FOREIGN_KEY_BYTES_MAX: usize = 512;
/// Items on one page of a list.
pub const PAGE_LEN_MAX: u32 = 100;
/// How long the dashboard may rest before its user signs in again, in seconds.
pub const SIGN_IN_IDLE_SECS: i64 = 15 * 60;
/// How long one sign-in to the dashboard lasts at most, in seconds: a working day.
pub const SIGN_IN_SECS_MAX: i64 = 8 * 3600;
/// How old the note may be of when the dashboard was used last, in seconds.
pub const SIGN_IN_SEEN_SECS: i64 = 30;
/// Browsers that one key may be signed in with at the same time.
pub const SIGN_INS_PER_KEY_MAX: u32 = 50;
/// A request body, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Nesting of a JSON body.
pub const JSON_DEPTH_MAX: usize = 32;
/// Requests in the window of a rate limit.
pub const RATE_REQUESTS_MAX: u32 = 1_000_000;
/// The window of a rate limit, in seconds.
pub const RATE_SECS_MAX: u32 = 86_400;
/// A value of a run-as header, in bytes.
pub const RUN_AS_BYTES_MAX: usize = 254;
/// Webhooks of one account.
pub const WEBHOOKS_PER_ACCOUNT_MAX: usize = 20;
/// The URL of a webhook, in characters.
pub const WEBHOOK_URL_CHARS_MAX: usize = 2000;
/// Deliveries that wait for one webhook. What comes above is not told: a receiver that is away must
/// not fill the disk.
pub const WEBHOOK_PENDING_MAX: i64 = 10_000;
