//! The shortest way to read a payload that is in order, which is that of nearly every token. It takes
//! nothing that [`Claims::parse`] would not take without it, and says nothing of what is wrong: that
//! is told by the other way.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{Actor, CLAIMS_DEPTH_MAX, Claims, NUMERIC_DATE_MAX};
use crate::domain::id::{AccountId, KeyId, SessionId};
use crate::domain::strict_json::Strictly;

/// [`Claims`] as serde reads them. A name that is repeated or unknown is an error of serde's.
#[derive(Deserialize)]
#[serde(remote = "Claims", deny_unknown_fields)]
struct Payload {
    iss: String,
    sub: AccountId,
    aud: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: SessionId,
    client_id: KeyId,
    #[serde(default, deserialize_with = "actor")]
    act: Option<Actor>,
    #[serde(rename = "allowedRoutes")]
    allowed_routes: Vec<String>,
    #[serde(default, deserialize_with = "present")]
    scope: Option<String>,
    #[serde(default, deserialize_with = "bindings")]
    bindings: Option<BTreeMap<String, Vec<String>>>,
    #[serde(default, deserialize_with = "present")]
    domains: Option<Vec<String>>,
    lin: String,
    rev: String,
    #[serde(default, deserialize_with = "object")]
    data: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "object")]
    cnf: Option<Map<String, Value>>,
}

/// What is there is not `null`.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(json: D) -> Result<Option<T>, D::Error> {
    T::deserialize(json).map(Some)
}

/// A claim that nests, read like those of any payload. It lies in the object of all.
fn nested<'de, T, D: Deserializer<'de>>(
    json: D,
    read: fn(Value) -> Option<T>,
) -> Result<Option<T>, D::Error> {
    let Strictly(value) = Strictly::<{ CLAIMS_DEPTH_MAX - 1 }>::deserialize(json)?;
    read(value)
        .map(Some)
        .ok_or_else(|| D::Error::custom("not of its form"))
}

fn actor<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Actor>, D::Error> {
    nested(json, super::actor)
}

fn bindings<'de, D: Deserializer<'de>>(
    json: D,
) -> Result<Option<BTreeMap<String, Vec<String>>>, D::Error> {
    nested(json, super::bindings)
}

fn object<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Map<String, Value>>, D::Error> {
    nested(json, super::object)
}

pub(super) fn read(payload: &[u8]) -> Option<Claims> {
    // serde would read an array as an object, too.
    if payload.first() != Some(&b'{') {
        return None;
    }
    let mut json = serde_json::Deserializer::from_slice(payload);
    let claims = Payload::deserialize(&mut json).ok()?;
    json.end().ok()?;
    let Claims {
        iss,
        aud,
        lin,
        rev,
        iat,
        nbf,
        exp,
        scope,
        ..
    } = &claims;
    let empty = [iss, aud, lin, rev].into_iter().any(String::is_empty);
    let times = [iat, nbf, exp]
        .into_iter()
        .all(|secs| (0..=NUMERIC_DATE_MAX).contains(secs));
    let scope = scope.as_deref().is_none_or(super::is_scope);
    (!empty && times && scope).then_some(claims)
}
