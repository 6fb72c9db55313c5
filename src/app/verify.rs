//! Whether a session token is good: signature, claims, liveness. One function for every door.

use std::sync::Arc;

use super::App;
use super::authorise::SessionCaller;
use super::error::{BadCredential, Error};
use crate::domain::binding::Bindings;
use crate::domain::config;
use crate::domain::effective::Effective;
use crate::domain::environment::Environment;
use crate::domain::liveness::{Rev, Tags};
use crate::domain::permission::Permissions;
use crate::domain::session::SessionScope;
use crate::domain::time::Timestamp;
use crate::token::claims::Claims;
use crate::token::jws::parse_compact;
use crate::token::verify::{Audiences, Expected, Leeway, SESSION_TYP, verify_token};
use crate::token::{ClaimReason, TokenError};

impl App {
    /// A session token of this issuer that is alive, whatever its audience. What the log knows must
    /// be fresh.
    pub(crate) fn identify_session(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<SessionCaller, Error> {
        let ring = self.signing.ring();
        let kid = parse_compact(token)
            .map_err(BadCredential::Token)?
            .kid()
            .to_owned();
        let environment = Environment::ALL
            .into_iter()
            .find(|environment| ring.find(*environment, &kid, now).is_some())
            .ok_or(BadCredential::Token(TokenError::UnknownKey))?;
        let expected = Expected {
            issuer: self.issuer(environment),
            audiences: Audiences::Any,
            typ: SESSION_TYP,
            leeway: Leeway::NONE,
        };
        let claims = verify_token(token, &ring.verifying(environment, now), &expected, now)
            .map_err(BadCredential::Token)?;
        let session = read_claims(claims, kid, environment)?;
        self.pulse.check(&session.tags, session.rev)?;
        Ok(session)
    }
}

/// Reads the claims that have a form of their own.
fn read_claims(
    claims: Claims,
    kid: String,
    environment: Environment,
) -> Result<SessionCaller, BadCredential> {
    let bad = |claim| {
        BadCredential::Token(TokenError::Claim {
            claim,
            reason: ClaimReason::Invalid,
        })
    };
    let permissions = match claims.scope.as_deref() {
        None => None,
        Some("") => Some(Permissions::default()),
        Some(scope) => Some(Permissions::from_scope(scope).ok_or_else(|| bad("scope"))?),
    };
    let bindings = match &claims.bindings {
        None => Bindings::default(),
        Some(bindings) => config::bindings(bindings).map_err(|_| bad("bindings"))?,
    };
    let domains = match &claims.domains {
        None => None,
        Some(domains) => Some(config::domains(domains).map_err(|_| bad("domains"))?),
    };
    let scope = SessionScope {
        routes: config::routes(&claims.allowed_routes).map_err(|_| bad("allowedRoutes"))?,
        permissions,
        bindings,
        domains,
    };
    let tags = Tags::decode(&claims.lin).map_err(|_| bad("lin"))?;
    let rev = Rev::decode(&claims.rev).map_err(|_| bad("rev"))?;
    let end = Timestamp::from_secs(claims.exp);
    Ok(SessionCaller {
        effective: Arc::new(Effective::of_session(environment, &scope, end)),
        claims,
        kid,
        environment,
        scope,
        tags,
        rev,
    })
}
