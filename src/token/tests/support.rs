//! What the tests of this module share.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::keyring::{KeyRecord, SigningKeyState};
use super::verify::{Audiences, Expected, KeySource, Leeway, SESSION_TYP};
use super::{Algorithm, Claims, PrivateKey, PublicKey};
use crate::domain::environment::Environment;
use crate::domain::id::{AccountId, KeyId, SessionId};
use crate::domain::time::Timestamp;

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_900_000_000_000);
pub(super) const ISSUER: &str = "https://auth.example.com";
pub(super) const AUDIENCE: &str = "https://auth.example.com/api";
pub(super) const SUB: &str = "usr_01hzy0000000000000000000aa";
pub(super) const PARENT: &str = "usr_01hzy0000000000000000000bb";

static KEYS: LazyLock<[PrivateKey; 3]> =
    LazyLock::new(|| Algorithm::ALL.map(|alg| PrivateKey::generate(alg).unwrap()));

/// One key of each algorithm, made once.
pub(super) fn key(alg: Algorithm) -> &'static PrivateKey {
    KEYS.iter().find(|key| key.alg() == alg).unwrap()
}

/// Knows the keys of [`key`] by their own names.
#[derive(Debug)]
pub(super) struct OurKeys;

impl KeySource for OurKeys {
    fn find(&self, kid: &str) -> Option<&PublicKey> {
        let mut keys = KEYS.iter().map(PrivateKey::public);
        keys.find(|key| key.kid() == kid)
    }
}

pub(super) fn expected() -> Expected {
    Expected {
        issuer: ISSUER.to_owned(),
        audiences: Audiences::OneOf(vec![AUDIENCE.to_owned()]),
        typ: SESSION_TYP,
        leeway: Leeway::NONE,
    }
}

/// The claims of a plain session that was minted ten seconds ago.
pub(super) fn claims() -> Claims {
    let iat = NOW.secs_floor() - 10;
    Claims {
        iss: ISSUER.to_owned(),
        sub: AccountId::parse(SUB).unwrap(),
        aud: AUDIENCE.to_owned(),
        iat,
        nbf: iat,
        exp: iat + 900,
        jti: SessionId::parse("ses_01hzy0000000000000000000cc").unwrap(),
        client_id: KeyId::parse("key_01hzy0000000000000000000dd").unwrap(),
        act: None,
        allowed_routes: vec!["POST conversation/c1/**".to_owned()],
        scope: None,
        bindings: None,
        domains: None,
        lin: "AAAAAAAAAAAAAAAAAAAAAQ".to_owned(),
        rev: "AAAAAAAAAAA.1900000000000000".to_owned(),
        data: None,
        cnf: None,
    }
}

/// The payload of [`claims`], to be spoiled.
pub(super) fn payload() -> Value {
    serde_json::to_value(claims()).unwrap()
}

/// Any header and any payload, with a signature that is right.
pub(super) fn forge(header: &str, payload: &[u8], key: &PrivateKey) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    );
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

/// The header that belongs to `key`.
pub(super) fn header(key: &PrivateKey) -> Value {
    json!({"alg": key.alg().as_str(), "typ": SESSION_TYP, "kid": key.public().kid()})
}

/// A key that has been in its state for `secs`, and was published a day before that.
pub(super) fn record(kid: &str, state: SigningKeyState, secs: i64) -> KeyRecord {
    use SigningKeyState::{Active, Next, Retired, Revoked};
    let since = NOW.plus_secs(-secs);
    let before = since.plus_secs(-86_400);
    let published_at = if state == Next { since } else { before };
    KeyRecord {
        kid: kid.to_owned(),
        alg: Algorithm::Es256,
        env: Environment::Live,
        state,
        created_at: published_at,
        published_at,
        activated_at: match state {
            Next => None,
            Active => Some(since),
            Retired | Revoked => Some(before),
        },
        retired_at: (state == Retired).then_some(since),
        revoked_at: (state == Revoked).then_some(since),
    }
}
