//! The claims of a session token (DESIGN.md §4), written and read.
//!
//! A payload has one reading: a JSON object, each name once at every depth, no claim that we do
//! not know, times as whole numbers, and `null` nowhere but inside `data`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::error::TokenError;
use crate::domain::id::{AccountId, KeyId, SessionId};
use crate::domain::strict_json;

/// How deep a payload may be nested; only `act` and `data` nest at all.
pub const CLAIMS_DEPTH_MAX: usize = 32;
/// The last second of the year 9999. Later instants are mistakes, and cannot overflow anything.
const NUMERIC_DATE_MAX: i64 = 253_402_300_799;

/// What a session token says. Times are whole seconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Claims {
    /// The environment's issuer.
    pub iss: String,
    /// The account for whom the session speaks.
    pub sub: AccountId,
    /// The one audience.
    pub aud: String,
    /// When it was minted.
    pub iat: i64,
    /// From when on it is valid.
    pub nbf: i64,
    /// From when on it is valid no more.
    pub exp: i64,
    /// The session.
    pub jti: SessionId,
    /// The key that minted it.
    pub client_id: KeyId,
    /// The account that really acts, when that is another than `sub`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
    /// The routes that it may call, as canonical patterns; empty means none.
    #[serde(rename = "allowedRoutes")]
    pub allowed_routes: Vec<String>,
    /// Permissions, separated by single spaces. `None` means that permissions are not narrowed,
    /// the empty text that there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// By dimension, the values that it is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bindings: Option<BTreeMap<String, Vec<String>>>,
    /// Where it may be presented from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domains: Option<Vec<String>>,
    /// Revocation tags (DESIGN.md §9), in the form of the liveness rules.
    pub lin: String,
    /// Log id and position (DESIGN.md §9), in the form of the liveness rules.
    pub rev: String,
    /// What the caller attached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Map<String, Value>>,
    /// The key to which the session is bound (RFC 7800). Reserved: nothing proves possession yet,
    /// so [`super::verify_token`] refuses a token that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Map<String, Value>>,
}

/// Who acts (RFC 8693 §4.1), and for whom that one acts in turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Actor {
    /// The account that acts.
    pub sub: AccountId,
    /// The one before, when a chain exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Actor>>,
}

impl Actor {
    /// The chain of those who act, nearest first. `None` when there is nobody.
    pub fn chain<'a>(actors: impl DoubleEndedIterator<Item = &'a AccountId>) -> Option<Self> {
        let nest = |act: Option<Box<Self>>, sub: &AccountId| {
            Some(Box::new(Self {
                sub: sub.clone(),
                act,
            }))
        };
        actors.rev().fold(None, nest).map(|act| *act)
    }
}

impl Claims {
    /// The payload of a token.
    ///
    /// # Errors
    /// None that is known; `serde_json` reserves one.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads a payload. Whether its values are those that were wanted is not asked here.
    ///
    /// # Errors
    /// [`TokenError::Payload`], [`TokenError::UnknownClaim`], [`TokenError::Claim`].
    pub fn parse(payload: &[u8]) -> Result<Self, TokenError> {
        match quick::read(payload) {
            Some(claims) => Ok(claims),
            None => Self::parse_slowly(payload),
        }
    }

    /// Reads a payload in a way that can tell what is wrong with it, and in which order.
    fn parse_slowly(payload: &[u8]) -> Result<Self, TokenError> {
        let payload =
            strict_json::parse(payload, CLAIMS_DEPTH_MAX).map_err(|_| TokenError::Payload)?;
        let Value::Object(members) = payload else {
            return Err(TokenError::Payload);
        };
        let mut members = Members(members);
        let claims = Self {
            iss: members.text("iss")?,
            sub: members.id("sub", AccountId::parse)?,
            aud: members.text("aud")?,
            iat: members.seconds("iat")?,
            nbf: members.seconds("nbf")?,
            exp: members.seconds("exp")?,
            jti: members.id("jti", SessionId::parse)?,
            client_id: members.id("client_id", KeyId::parse)?,
            act: members.optional("act", actor)?,
            allowed_routes: members.required("allowedRoutes", texts)?,
            scope: members.optional("scope", scope)?,
            bindings: members.optional("bindings", bindings)?,
            domains: members.optional("domains", texts)?,
            lin: members.text("lin")?,
            rev: members.text("rev")?,
            data: members.optional("data", object)?,
            cnf: members.optional("cnf", object)?,
        };
        if members.0.is_empty() {
            Ok(claims)
        } else {
            Err(TokenError::UnknownClaim)
        }
    }
}

/// The members that nobody has asked for yet.
struct Members(Map<String, Value>);

impl Members {
    fn optional<T>(
        &mut self,
        claim: &'static str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Option<T>, TokenError> {
        match self.0.remove(claim) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or(TokenError::invalid(claim)),
        }
    }

    fn required<T>(
        &mut self,
        claim: &'static str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<T, TokenError> {
        self.optional(claim, read)?
            .ok_or(TokenError::missing(claim))
    }

    fn text(&mut self, claim: &'static str) -> Result<String, TokenError> {
        self.required(claim, |value| text(value).filter(|text| !text.is_empty()))
    }

    fn id<T, E>(
        &mut self,
        claim: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, TokenError> {
        self.required(claim, |value| parse(value.as_str()?).ok())
    }

    /// A whole number; a float, even a whole one, is refused by `as_i64`.
    fn seconds(&mut self, claim: &'static str) -> Result<i64, TokenError> {
        self.required(claim, |value| {
            value
                .as_i64()
                .filter(|secs| (0..=NUMERIC_DATE_MAX).contains(secs))
        })
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(members) => Some(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            None
        }
    }
}

fn texts(value: Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => items.into_iter().map(text).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            None
        }
    }
}

fn bindings(value: Value) -> Option<BTreeMap<String, Vec<String>>> {
    object(value)?
        .into_iter()
        .map(|(dimension, values)| Some((dimension, texts(values)?)))
        .collect()
}

/// RFC 6749 §3.3, with the empty text for "no permission at all".
fn scope(value: Value) -> Option<String> {
    text(value).filter(|scope| is_scope(scope))
}

fn is_scope(scope: &str) -> bool {
    let is_token = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
    };
    scope.is_empty() || scope.split(' ').all(is_token)
}

/// Depth is bounded by that of the payload.
fn actor(value: Value) -> Option<Actor> {
    let mut members = object(value)?;
    let sub = AccountId::parse(members.remove("sub")?.as_str()?).ok()?;
    let act = match members.remove("act") {
        None => None,
        Some(value) => Some(Box::new(actor(value)?)),
    };
    members.is_empty().then_some(Actor { sub, act })
}

mod quick;

#[cfg(test)]
#[path = "tests/claims.rs"]
mod tests;
