//! What a gateway is told: who it is, for the API behind.

use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;

use super::GateProblem;
use crate::app::App;
use crate::app::authorise::{Caller, Who};
use crate::app::error::Error;
use crate::app::gate::Allowed;
use crate::http::dispatch::{limit_headers, turn_of};
use crate::http::fields::FieldSink;
use crate::http::problem::{Problem, rate_headers};

/// Names and values of all identity headers together, in bytes. nginx has 4 kB for the whole head of
/// an answer.
pub(super) const HEADERS_BYTES_MAX: usize = 3_500;

/// The headers that the API behind gets. Each is in every answer, empty when there is no value: a
/// gateway that copies them then overwrites whatever a client wrote there.
const IDENTITY: HeaderName = HeaderName::from_static("x-auth-identity");
const ACCOUNT: HeaderName = HeaderName::from_static("x-auth-account-id");
const ACTOR: HeaderName = HeaderName::from_static("x-auth-actor-id");
const KEY: HeaderName = HeaderName::from_static("x-auth-key-id");
const SESSION: HeaderName = HeaderName::from_static("x-auth-session-id");
const ENVIRONMENT: HeaderName = HeaderName::from_static("x-auth-environment");
const SCOPE: HeaderName = HeaderName::from_static("x-auth-scope");
const TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// Limit, remaining requests and seconds until all are there again, of a credential that has a
/// limit.
pub(super) fn rate(app: &App, caller: &Caller) -> Option<(u32, u32, i64)> {
    match &caller.who {
        Who::Key(_) | Who::Cli(_) => limit_headers(caller),
        Who::Session(_) => turn_of(caller, app.policy.gate.session_rate?),
    }
}

/// The body of every 200.
pub(in crate::http) const ALLOWED: &[u8] = b"{\"allowed\":true}";

/// Writes the fields of a 200, all identity headers among them.
pub(super) fn allow(
    app: &App,
    allowed: &Allowed,
    into: &mut impl FieldSink,
) -> Result<(), Problem> {
    let identity = allowed.identity();
    let dictionary = identity.to_dictionary();
    let values = [
        (IDENTITY, dictionary.as_str()),
        (ACCOUNT, identity.account.as_str()),
        (ACTOR, identity.actor.map_or("", |actor| actor.as_str())),
        (KEY, identity.key.map_or("", |key| key.as_str())),
        (
            SESSION,
            identity.session.map_or("", |session| session.as_str()),
        ),
        (ENVIRONMENT, identity.environment.as_str()),
        (SCOPE, identity.scope.unwrap_or("")),
        (TOKEN, allowed.token.as_deref().unwrap_or("")),
    ];
    let bytes: usize = values
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum();
    // A part of it would be somebody else.
    if bytes > HEADERS_BYTES_MAX {
        return Err(GateProblem::IdentityTooLarge.into());
    }
    let mut write = |name: &HeaderName, value: &str| {
        into.field(name, value)
            .map_err(|error| Error::Internal(error.into()))
    };
    write(&CONTENT_TYPE, "application/json")?;
    for (name, value) in &values {
        write(name, value)?;
    }
    if let Some((limit, remaining, reset_secs)) = rate(app, &allowed.caller) {
        rate_headers(into, limit, remaining, reset_secs)
            .map_err(|error| Error::Internal(error.into()))?;
    }
    Ok(())
}
