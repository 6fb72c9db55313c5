//! The claims of a session token that have a form of their own, read.

use super::claims::Claims;
use super::error::TokenError;
use crate::domain::binding::Bindings;
use crate::domain::config;
use crate::domain::liveness::{Rev, Tags};
use crate::domain::permission::Permissions;
use crate::domain::session::SessionScope;

/// What a session may do, and what it descends from.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionParts {
    /// What it may do.
    pub scope: SessionScope,
    /// Its revocation tags.
    pub tags: Tags,
    /// As of where in the change log it was minted.
    pub rev: Rev,
}

/// Reads the routes, permissions, bindings and domains of a session, its tags and its position.
///
/// # Errors
/// [`TokenError::Claim`].
pub fn read_session(claims: &Claims) -> Result<SessionParts, TokenError> {
    let bad = TokenError::invalid;
    let permissions = match claims.scope.as_deref() {
        None => None,
        Some("") => Some(Permissions::default()),
        Some(scope) => Some(Permissions::from_scope(scope).ok_or(bad("scope"))?),
    };
    let bindings = match &claims.bindings {
        None => Bindings::default(),
        Some(bindings) => config::bindings(bindings).map_err(|_| bad("bindings"))?,
    };
    let domains = match &claims.domains {
        None => None,
        Some(domains) => Some(config::domains(domains).map_err(|_| bad("domains"))?),
    };
    Ok(SessionParts {
        scope: SessionScope {
            routes: config::routes(&claims.allowed_routes).map_err(|_| bad("allowedRoutes"))?,
            permissions,
            bindings,
            domains,
        },
        tags: Tags::decode(&claims.lin).map_err(|_| bad("lin"))?,
        rev: Rev::decode(&claims.rev).map_err(|_| bad("rev"))?,
    })
}
