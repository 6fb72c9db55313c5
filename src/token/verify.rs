//! The one function that says whether a session token is genuine, ours, and of now.

use super::claims::Claims;
use super::error::TokenError;
use super::jws::{self, Unverified};
use super::key::PublicKey;
use super::session::{SessionParts, read_session};
use crate::domain::time::Timestamp;

/// The `typ` of a session token (RFC 9068).
pub const SESSION_TYP: &str = "at+jwt";
/// The longest lifetime of a session, in seconds.
pub const LIFETIME_SECS_MAX: i64 = 86_400;
/// How far ahead `iat` may lie, in seconds: further, and a clock is wrong or a token is forged.
pub const IAT_AHEAD_SECS_MAX: i64 = 60;
/// The longest leeway for `nbf`, in seconds.
pub const LEEWAY_SECS_MAX: u8 = 5;

/// Where verifying keys come from.
pub trait KeySource {
    /// The key of that name, if tokens signed by it are to be accepted now.
    fn find(&self, kid: &str) -> Option<&PublicKey>;
}

/// The audiences that a door accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audiences {
    /// Whatever the token says. For those who only look, as `verify` and introspection do.
    Any,
    /// One of these, byte by byte; none when the list is empty.
    OneOf(Vec<String>),
}

impl Audiences {
    fn accept(&self, aud: &str) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(accepted) => accepted.iter().any(|accepted| accepted == aud),
        }
    }
}

/// How many seconds this clock may be behind that of the issuer: added to now when `nbf` is
/// judged. `exp` knows no leeway. At our own doors it is [`Leeway::NONE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leeway {
    secs: u8,
}

/// A leeway of more than [`LEEWAY_SECS_MAX`] was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the leeway is at most {LEEWAY_SECS_MAX} seconds")]
pub struct LeewayTooLong;

impl Leeway {
    /// No leeway.
    pub const NONE: Self = Self { secs: 0 };

    /// So many seconds.
    ///
    /// # Errors
    /// [`LeewayTooLong`] above [`LEEWAY_SECS_MAX`].
    pub const fn from_secs(secs: u8) -> Result<Self, LeewayTooLong> {
        if secs > LEEWAY_SECS_MAX {
            return Err(LeewayTooLong);
        }
        Ok(Self { secs })
    }
}

/// What a door demands of a token. There is nothing that can be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The issuer of the environment, byte by byte.
    pub issuer: String,
    /// The audiences that are accepted.
    pub audiences: Audiences,
    /// The kind of token: [`SESSION_TYP`] for sessions.
    pub typ: &'static str,
    /// How far the clocks may differ.
    pub leeway: Leeway,
}

/// One of the checks, in the order in which they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// Three parts, one spelling, a header of exactly three members.
    Form,
    /// The kind of token.
    Type,
    /// The signing key is known and trusted now.
    Key,
    /// The signature, with the key's own algorithm.
    Signature,
    /// Each claim is there and well-formed, and no other is.
    Claims,
    /// `iss`.
    Issuer,
    /// `aud`.
    Audience,
    /// `exp` lies behind `iat`, by at most a day.
    Lifetime,
    /// `iat` does not lie ahead.
    IssuedAt,
    /// `nbf` has come.
    NotBefore,
    /// `exp` has not come.
    Expiry,
    /// The token is not bound to a key whose possession we could not prove.
    Unbound,
}

impl Check {
    /// A stable name for programs and people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Type => "type",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Claims => "claims",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Lifetime => "lifetime",
            Self::IssuedAt => "issued_at",
            Self::NotBefore => "not_before",
            Self::Expiry => "expiry",
            Self::Unbound => "unbound",
        }
    }
}

/// The claims of a token that is genuine, ours and of now. Whether the session still lives is
/// another question (DESIGN.md §9).
///
/// # Errors
/// The first check that failed.
pub fn verify_token(
    token: &str,
    keys: &dyn KeySource,
    expected: &Expected,
    now: Timestamp,
) -> Result<Claims, TokenError> {
    verify_session(token, keys, expected, now).map(|session| session.claims)
}

/// A token that [`verify_token`] accepts, with all that was read on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedSession {
    /// What it says.
    pub claims: Claims,
    /// The claims that have a form of their own, read.
    pub parts: SessionParts,
    /// The name of the key that signed.
    pub kid: String,
}

/// [`verify_token`] for those who go on to ask what the session may do, and whether it is alive.
///
/// # Errors
/// The first check that failed.
pub fn verify_session(
    token: &str,
    keys: &dyn KeySource,
    expected: &Expected,
    now: Timestamp,
) -> Result<VerifiedSession, TokenError> {
    verify_parsed(jws::parse_compact(token)?, keys, expected, now)
}

/// [`verify_session`] for those who looked at the header before, to choose what they expect.
///
/// # Errors
/// The first check that failed.
pub fn verify_parsed(
    parsed: Unverified<'_>,
    keys: &dyn KeySource,
    expected: &Expected,
    now: Timestamp,
) -> Result<VerifiedSession, TokenError> {
    check_type(&parsed, expected)?;
    let key = find_key(&parsed, keys)?;
    let kid = parsed.kid().to_owned();
    let payload = parsed.verify(key)?;
    let (claims, parts) = read_payload(&payload)?;
    recheck_claims(&claims, expected, now)?;
    Ok(VerifiedSession { claims, parts, kid })
}

/// Every claim is read to the end here, so none turns out to be malformed at a later door.
fn read_payload(payload: &[u8]) -> Result<(Claims, SessionParts), TokenError> {
    let claims = Claims::parse(payload)?;
    let parts = read_session(&claims)?;
    Ok((claims, parts))
}

/// Whether claims whose signature was checked before are still ours and of now.
///
/// # Errors
/// The first check that failed.
pub fn recheck_claims(
    claims: &Claims,
    expected: &Expected,
    now: Timestamp,
) -> Result<(), TokenError> {
    CLAIM_CHECKS
        .iter()
        .try_for_each(|(_, check)| check(claims, expected, now))
}

type ClaimCheck = fn(&Claims, &Expected, Timestamp) -> Result<(), TokenError>;

const CLAIM_CHECKS: [(Check, ClaimCheck); 7] = [
    (Check::Issuer, check_issuer),
    (Check::Audience, check_audience),
    (Check::Lifetime, check_lifetime),
    (Check::IssuedAt, check_issued_at),
    (Check::NotBefore, check_not_before),
    (Check::Expiry, check_expiry),
    (Check::Unbound, check_unbound),
];

fn check_type(parsed: &Unverified<'_>, expected: &Expected) -> Result<(), TokenError> {
    if parsed.typ() == expected.typ {
        Ok(())
    } else {
        Err(TokenError::Type)
    }
}

fn find_key<'k>(
    parsed: &Unverified<'_>,
    keys: &'k dyn KeySource,
) -> Result<&'k PublicKey, TokenError> {
    keys.find(parsed.kid()).ok_or(TokenError::UnknownKey)
}

fn check_issuer(claims: &Claims, expected: &Expected, _: Timestamp) -> Result<(), TokenError> {
    if claims.iss == expected.issuer {
        Ok(())
    } else {
        Err(TokenError::check_failed("iss"))
    }
}

fn check_audience(claims: &Claims, expected: &Expected, _: Timestamp) -> Result<(), TokenError> {
    if expected.audiences.accept(&claims.aud) {
        Ok(())
    } else {
        Err(TokenError::check_failed("aud"))
    }
}

fn check_lifetime(claims: &Claims, _: &Expected, _: Timestamp) -> Result<(), TokenError> {
    if (1..=LIFETIME_SECS_MAX).contains(&claims.exp.saturating_sub(claims.iat)) {
        Ok(())
    } else {
        Err(TokenError::check_failed("exp"))
    }
}

fn check_issued_at(claims: &Claims, _: &Expected, now: Timestamp) -> Result<(), TokenError> {
    if Timestamp::from_secs(claims.iat) <= now.plus_secs(IAT_AHEAD_SECS_MAX) {
        Ok(())
    } else {
        Err(TokenError::NotYetValid { claim: "iat" })
    }
}

fn check_not_before(
    claims: &Claims,
    expected: &Expected,
    now: Timestamp,
) -> Result<(), TokenError> {
    if Timestamp::from_secs(claims.nbf) <= now.plus_secs(i64::from(expected.leeway.secs)) {
        Ok(())
    } else {
        Err(TokenError::NotYetValid { claim: "nbf" })
    }
}

fn check_expiry(claims: &Claims, _: &Expected, now: Timestamp) -> Result<(), TokenError> {
    if now < Timestamp::from_secs(claims.exp) {
        Ok(())
    } else {
        Err(TokenError::Expired)
    }
}

fn check_unbound(claims: &Claims, _: &Expected, _: Timestamp) -> Result<(), TokenError> {
    match claims.cnf {
        None => Ok(()),
        Some(_) => Err(TokenError::check_failed("cnf")),
    }
}

/// What became of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not.
    Failed(TokenError),
    /// It could not be made, since one before it failed.
    NotReached,
}

/// What [`explain`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// All checks, in order.
    pub checks: Vec<(Check, Outcome)>,
    /// What the token says, if the signature is right and the claims can be read. They may be
    /// believed only if `refusal` is `None`.
    pub claims: Option<Claims>,
    /// What [`verify_token`] answers: the first failure, or `None` when the token is accepted.
    pub refusal: Option<TokenError>,
}

/// The same checks as [`verify_token`], with the outcome of each. Checks of single claims are all
/// made, even behind one that failed.
pub fn explain(
    token: &str,
    keys: &dyn KeySource,
    expected: &Expected,
    now: Timestamp,
) -> Explanation {
    let mut report = Report::default();
    let claims = report.read(token, keys, expected);
    for (name, check) in CLAIM_CHECKS {
        match &claims {
            Some(claims) => {
                report.note(name, check(claims, expected, now));
            }
            None => report.checks.push((name, Outcome::NotReached)),
        }
    }
    Explanation {
        checks: report.checks,
        claims,
        refusal: report.refusal,
    }
}

#[derive(Default)]
struct Report {
    checks: Vec<(Check, Outcome)>,
    refusal: Option<TokenError>,
}

impl Report {
    fn note<T>(&mut self, check: Check, outcome: Result<T, TokenError>) -> Option<T> {
        match outcome {
            Ok(value) => {
                self.checks.push((check, Outcome::Passed));
                Some(value)
            }
            Err(error) => {
                self.checks.push((check, Outcome::Failed(error)));
                self.refusal = self.refusal.or(Some(error));
                None
            }
        }
    }

    /// The checks that build on each other: the first failure ends them.
    fn read(&mut self, token: &str, keys: &dyn KeySource, expected: &Expected) -> Option<Claims> {
        let claims = self.read_until_failure(token, keys, expected);
        let made = self.checks.len();
        let all = [
            Check::Form,
            Check::Type,
            Check::Key,
            Check::Signature,
            Check::Claims,
        ];
        for check in all.into_iter().skip(made) {
            self.checks.push((check, Outcome::NotReached));
        }
        claims
    }

    fn read_until_failure(
        &mut self,
        token: &str,
        keys: &dyn KeySource,
        expected: &Expected,
    ) -> Option<Claims> {
        let parsed = self.note(Check::Form, jws::parse_compact(token))?;
        self.note(Check::Type, check_type(&parsed, expected))?;
        let key = self.note(Check::Key, find_key(&parsed, keys))?;
        let payload = self.note(Check::Signature, parsed.verify(key))?;
        self.note(Check::Claims, read_payload(&payload))
            .map(|(claims, _)| claims)
    }
}

#[cfg(test)]
#[path = "tests/verify.rs"]
mod tests;
