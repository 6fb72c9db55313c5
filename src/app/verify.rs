//! Whether a session token is good: signature, claims, liveness. One function for every door.

use std::sync::Arc;

use super::App;
use super::authorise::SessionCaller;
use super::error::{BadCredential, Error};
use crate::domain::effective::Effective;
use crate::domain::environment::Environment;
use crate::domain::time::Timestamp;
use crate::token::jws::parse_compact;
use crate::token::verify::{
    Audiences, Expected, Explanation, Leeway, SESSION_TYP, VerifiedSession, explain, verify_parsed,
};
use crate::token::{SessionParts, TokenError};

impl App {
    /// A session token of this issuer that is alive, whatever its audience. What the log knows must
    /// be fresh.
    pub(crate) fn identify_session(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<SessionCaller, Error> {
        let ring = self.signing.ring();
        let parsed = parse_compact(token).map_err(BadCredential::Token)?;
        let environment = Environment::ALL
            .into_iter()
            .find(|environment| ring.find(*environment, parsed.kid(), now).is_some())
            .ok_or(BadCredential::Token(TokenError::UnknownKey))?;
        let expected = Expected {
            issuer: self.issuer(environment),
            audiences: Audiences::Any,
            typ: SESSION_TYP,
            leeway: Leeway::NONE,
        };
        let VerifiedSession { claims, parts, kid } =
            verify_parsed(parsed, &ring.verifying(environment, now), &expected, now)
                .map_err(BadCredential::Token)?;
        let SessionParts { scope, tags, rev } = parts;
        self.pulse.check(&tags, rev)?;
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
}

impl App {
    /// What a session token says, and each check of it, for people. It tells only what the published
    /// keys tell; whether the session lives is another question.
    pub fn explain_session(&self, token: &str) -> Explanation {
        let now = self.now();
        let ring = self.signing.ring();
        let kid = parse_compact(token).map(|parsed| parsed.kid().to_owned());
        let environment = kid.ok().and_then(|kid| {
            let all = Environment::ALL.into_iter();
            all.into_iter()
                .find(|environment| ring.find(*environment, &kid, now).is_some())
        });
        let environment = environment.unwrap_or(Environment::Live);
        let expected = Expected {
            issuer: self.issuer(environment),
            audiences: Audiences::Any,
            typ: SESSION_TYP,
            leeway: Leeway::NONE,
        };
        explain(token, &ring.verifying(environment, now), &expected, now)
    }
}
