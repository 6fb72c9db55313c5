//! The shortest way to read a payload that is in order, which is that of nearly every token. It takes
//! nothing that [`Claims::parse`] would not take without it, and says nothing of what is wrong: that
//! is told by the other way.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{Actor, CLAIMS_DEPTH_MAX, Claims, NUMERIC_DATE_MAX, actor, bindings, is_scope, object};
use crate::domain::id::{AccountId, KeyId, SessionId};
use crate::domain::strict_json::Strictly;

/// The value of a claim lies in the object of all.
type Nested = Strictly<{ CLAIMS_DEPTH_MAX - 1 }>;

/// A name that is repeated or unknown is an error of serde's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    iss: String,
    sub: AccountId,
    aud: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: SessionId,
    client_id: KeyId,
    #[serde(default, deserialize_with = "present")]
    act: Option<Nested>,
    #[serde(rename = "allowedRoutes")]
    allowed_routes: Vec<String>,
    #[serde(default, deserialize_with = "present")]
    scope: Option<String>,
    #[serde(default, deserialize_with = "present")]
    bindings: Option<Nested>,
    #[serde(default, deserialize_with = "present")]
    domains: Option<Vec<String>>,
    lin: String,
    rev: String,
    #[serde(default, deserialize_with = "present")]
    data: Option<Nested>,
    #[serde(default, deserialize_with = "present")]
    cnf: Option<Nested>,
}

/// What is there is not `null`.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(json: D) -> Result<Option<T>, D::Error> {
    T::deserialize(json).map(Some)
}

pub(super) fn read(payload: &[u8]) -> Option<Claims> {
    // serde would read an array as an object, too.
    if payload.first() != Some(&b'{') {
        return None;
    }
    let Payload {
        iss,
        sub,
        aud,
        iat,
        nbf,
        exp,
        jti,
        client_id,
        act,
        allowed_routes,
        scope,
        bindings: bound,
        domains,
        lin,
        rev,
        data,
        cnf,
    } = serde_json::from_slice(payload).ok()?;
    let empty = [&iss, &aud, &lin, &rev].into_iter().any(String::is_empty);
    let times = [iat, nbf, exp]
        .iter()
        .all(|secs| (0..=NUMERIC_DATE_MAX).contains(secs));
    if empty || !times || !scope.as_deref().is_none_or(is_scope) {
        return None;
    }
    let act: Option<Actor> = read_if_there(act, actor).ok()?;
    let data: Option<Map<String, Value>> = read_if_there(data, object).ok()?;
    Some(Claims {
        iss,
        sub,
        aud,
        iat,
        nbf,
        exp,
        jti,
        client_id,
        act,
        allowed_routes,
        scope,
        bindings: read_if_there(bound, bindings).ok()?,
        domains,
        lin,
        rev,
        data,
        cnf: read_if_there(cnf, object).ok()?,
    })
}

/// A value that is there and cannot be read.
struct Unreadable;

fn read_if_there<T>(
    value: Option<Nested>,
    read: fn(Value) -> Option<T>,
) -> Result<Option<T>, Unreadable> {
    match value {
        None => Ok(None),
        Some(Strictly(value)) => read(value).map(Some).ok_or(Unreadable),
    }
}
