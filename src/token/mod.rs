//! Signing keys, and the way from claims to a signed string and back.
//!
//! This is the only place that signs or verifies. All cryptography is `aws-lc-rs`, see
//! `docs/decisions/0001-crypto.md`. Everything here is computation: time and randomness come as
//! arguments, and nothing does I/O. A [`verify::verify_token`] that answers `Ok` has checked
//! everything that can be checked without asking anybody; whether the session is still alive
//! (DESIGN.md §9) is the caller's second question.

pub mod algorithm;
pub mod claims;
pub mod error;
pub mod jwk;
pub mod jwks;
pub mod jws;
pub mod key;
pub mod keyring;
pub mod ledger;
mod low_s;
pub mod master;
pub mod revocations;
pub mod rotation;
pub mod session;
pub mod upstream;
pub mod verify;
pub mod webhook;

#[cfg(test)]
#[path = "tests/corpus.rs"]
mod corpus;
#[cfg(test)]
#[path = "tests/support.rs"]
mod support;
#[cfg(test)]
#[path = "tests/vectors.rs"]
mod vectors;

pub use algorithm::Algorithm;
pub use claims::{Actor, Claims};
pub use error::{ClaimReason, TokenError};
pub use jwk::{Jwk, JwkError};
pub use jwks::{Jwks, JwksDocument, KeySet, KeySetError};
pub use key::{KeyError, PrivateKey, PublicKey, SignError};
pub use keyring::{KeyRecord, KeyRing, KeyRingError, SigningKey, SigningKeyState};
pub use master::{MasterKey, SealError};
pub use revocations::{DocumentError, Revocations, read_revocations};
pub use rotation::{
    RotationError, RotationPolicy, Step, plan_revocation, plan_rotation, plan_upkeep,
};
pub use session::{SessionParts, read_session};
pub use verify::{Audiences, Expected, KeySource, Leeway, explain, verify_session, verify_token};
pub use webhook::{
    BadWebhookSecret, WEBHOOK_TOLERANCE_SECS, WebhookError, WebhookHeaders, WebhookSecret,
    verify_webhook,
};
