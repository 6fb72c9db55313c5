//! Why a request is refused.

use super::knowledge::NotAlive;
use super::{FetchError, RequestError};
use crate::domain::decision::Deny;
use crate::domain::liveness::Dead;
use crate::domain::permission::Permission;
use crate::domain::route::PathError;
use crate::token::{ClaimReason, TokenError};

/// Why a request is refused. It never contains the token or a part of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is no bearer token: 401.
    #[error("the request has no bearer token")]
    Missing,
    /// The credential stands in more than one place, or is not `Bearer <token>`: 401.
    #[error("the request has not exactly one bearer token")]
    Credential,
    /// The token is not genuine, not ours, not for us, or not of now: 401.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The session or its signing key was ended (401), or that is not known (503).
    #[error(transparent)]
    NotAlive(#[from] NotAlive),
    /// There are no keys to judge the token by: 503.
    #[error("the published keys cannot be fetched")]
    Keys(#[from] FetchError),
    /// The request cannot be read in one way only: 400.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The path can be read in two ways, or lies outside the mount: 403.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A session of an impersonated account, and this verifier takes none: 403.
    #[error("the session acts for another account")]
    Impersonated,
    /// A header asks to act as another account, which a session never does: 403.
    #[error("a session does not act as another account")]
    RunAs,
    /// The session may not make this request: 403.
    #[error("the session does not allow this request")]
    Refused(Deny),
}

impl VerifyError {
    /// A stable name for programs and logs. It is never given another meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "credential_missing",
            Self::Credential => "credential_malformed",
            Self::Token(error) => error.code(),
            Self::NotAlive(NotAlive::Dead(Dead::Ended)) => "session_ended",
            Self::NotAlive(NotAlive::Dead(Dead::OtherLog)) => "session_of_other_log",
            Self::NotAlive(NotAlive::Dead(Dead::Forgotten)) => "session_forgotten",
            Self::NotAlive(NotAlive::RevokedKey) => "key_revoked",
            Self::NotAlive(NotAlive::Unknown) => "revocation_unknown",
            Self::NotAlive(NotAlive::FellBack) => "revocation_fell_back",
            Self::Keys(error) => error.code(),
            Self::Request(_) => "request_malformed",
            Self::Path(_) => "path_ambiguous",
            Self::Impersonated => "impersonated",
            Self::RunAs => "impersonation_denied",
            Self::Refused(deny) => match deny {
                Deny::Address => "address_not_allowed",
                Deny::Rate { .. } => "too_many_requests",
                Deny::Expired => "token_expired",
                Deny::MethodOverride => "method_override",
                Deny::Route => "route_not_allowed",
                Deny::Permission(_) => "permission_missing",
                Deny::Manage(_) => "management_not_allowed",
                Deny::Binding(_) => "binding_denied",
                Deny::Domain => "domain_not_allowed",
            },
        }
    }

    /// The claim that is at fault, if it is one.
    pub fn claim(&self) -> Option<&'static str> {
        match self {
            Self::Token(error) => error.claim(),
            Self::NotAlive(NotAlive::Dead(Dead::Ended)) => Some("lin"),
            Self::NotAlive(NotAlive::Dead(Dead::OtherLog | Dead::Forgotten)) => Some("rev"),
            Self::Impersonated => Some("act"),
            Self::Refused(deny) => match deny {
                Deny::Route | Deny::MethodOverride => Some("allowedRoutes"),
                Deny::Permission(_) => Some("scope"),
                Deny::Binding(_) => Some("bindings"),
                Deny::Domain => Some("domains"),
                Deny::Expired => Some("exp"),
                Deny::Address | Deny::Rate { .. } | Deny::Manage(_) => None,
            },
            Self::Missing
            | Self::Credential
            | Self::NotAlive(NotAlive::RevokedKey | NotAlive::Unknown | NotAlive::FellBack)
            | Self::Keys(_)
            | Self::Request(_)
            | Self::Path(_)
            | Self::RunAs => None,
        }
    }

    /// What is wrong with that claim.
    pub fn reason(&self) -> Option<ClaimReason> {
        if let Self::Token(error) = self {
            error.reason()
        } else {
            self.claim().map(|_| ClaimReason::CheckFailed)
        }
    }

    /// The permission that would have been needed.
    pub fn required_permission(&self) -> Option<&Permission> {
        if let Self::Refused(Deny::Permission(permission)) = self {
            permission.as_ref()
        } else {
            None
        }
    }

    /// The status of an answer to such a request: 400, 401, 403 or 503.
    pub fn status(&self) -> u16 {
        match self {
            Self::Missing
            | Self::Credential
            | Self::Token(_)
            | Self::NotAlive(NotAlive::Dead(_) | NotAlive::RevokedKey)
            | Self::Refused(Deny::Expired) => 401,
            Self::NotAlive(NotAlive::Unknown | NotAlive::FellBack) | Self::Keys(_) => 503,
            Self::Request(_) => 400,
            Self::Path(_)
            | Self::Impersonated
            | Self::RunAs
            | Self::Refused(
                Deny::Address
                | Deny::Rate { .. }
                | Deny::MethodOverride
                | Deny::Route
                | Deny::Permission(_)
                | Deny::Manage(_)
                | Deny::Binding(_)
                | Deny::Domain,
            ) => 403,
        }
    }
}
