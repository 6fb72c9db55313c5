//! The claims of a session token that have a form of their own, read.

use super::claims::Claims;
use super::error::TokenError;
use crate::domain::binding::Bindings;
use crate::domain::config;
use crate::domain::liveness::{Rev, Tags};
use crate::domain::origin::Domains;
use crate::domain::permission::Permissions;
use crate::domain::route::limits::PATTERNS_PER_SET_MAX;
use crate::domain::route::{RoutePattern, RouteSet};
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
/// [`TokenError::Claim`] for the first that is malformed.
pub fn read_session(claims: &Claims) -> Result<SessionParts, TokenError> {
    let scope = SessionScope {
        routes: routes(claims)?,
        permissions: permissions(claims)?,
        bindings: bindings(claims)?,
        domains: domains(claims)?,
    };
    let tags = Tags::decode(&claims.lin).map_err(|_| TokenError::invalid("lin"))?;
    let rev = Rev::decode(&claims.rev).map_err(|_| TokenError::invalid("rev"))?;
    Ok(SessionParts { scope, tags, rev })
}

/// Each pattern stands in a token as it is printed. A verifier that compares texts then reads the
/// same routes as one that parses patterns.
fn routes(claims: &Claims) -> Result<RouteSet, TokenError> {
    let invalid = TokenError::invalid("allowedRoutes");
    if claims.allowed_routes.len() > PATTERNS_PER_SET_MAX {
        return Err(invalid);
    }
    let canonical = |text: &String| {
        RoutePattern::parse(text)
            .ok()
            .filter(|pattern| pattern.as_str() == text.as_str())
    };
    let patterns: Option<Vec<_>> = claims.allowed_routes.iter().map(canonical).collect();
    RouteSet::from_canonical(patterns.ok_or(invalid)?).map_err(|_| invalid)
}

fn permissions(claims: &Claims) -> Result<Option<Permissions>, TokenError> {
    match claims.scope.as_deref() {
        None => Ok(None),
        Some("") => Ok(Some(Permissions::default())),
        Some(scope) => Permissions::from_scope(scope)
            .map(Some)
            .ok_or(TokenError::invalid("scope")),
    }
}

fn bindings(claims: &Claims) -> Result<Bindings, TokenError> {
    let bindings = claims.bindings.as_ref().map(config::bindings);
    bindings
        .transpose()
        .map(Option::unwrap_or_default)
        .map_err(|_| TokenError::invalid("bindings"))
}

/// Host names stand in a token as they are compared: in lower case.
fn domains(claims: &Claims) -> Result<Option<Domains>, TokenError> {
    let invalid = TokenError::invalid("domains");
    let Some(texts) = &claims.domains else {
        return Ok(None);
    };
    let is_upper = |text: &String| text.bytes().any(|byte| byte.is_ascii_uppercase());
    if texts.iter().any(is_upper) {
        return Err(invalid);
    }
    config::domains(texts).map(Some).map_err(|_| invalid)
}
