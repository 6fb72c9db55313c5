//! What a use case answers when it does not do what was asked. `http/problem.rs` is the only place
//! that turns it into a status and a text.

use crate::domain::binding::Dimension;
use crate::domain::config::ConfigError;
use crate::domain::cover::Excess;
use crate::domain::environment::Environment;
use crate::domain::grant::Refusal;
use crate::domain::permission::Permission;
use crate::domain::rate::RateLimit;
use crate::domain::restrictions::Manage;
use crate::domain::text::TextError;
use crate::entropy::NoEntropy;
use crate::store::StoreError;
use crate::token::TokenError;

/// Why a credential was not accepted.
#[derive(Debug, Clone, PartialEq)]
pub enum BadCredential {
    /// There is none.
    Missing,
    /// Unknown, malformed, disabled, revoked: one answer.
    Key,
    /// The key is the right one and has expired.
    KeyExpired,
    /// The token is not good; the reason is told, it is in the token.
    Token(TokenError),
    /// The token was ended.
    TokenEnded,
    /// The token is for somebody else than hallpass.
    TokenAudience,
    /// OAuth only: the client's credentials are in a form that is not known.
    Scheme,
}

/// A field of a request that does not hold what it should.
#[derive(Debug, Clone, PartialEq)]
pub struct Invalid {
    /// The field, by its path.
    pub field: String,
    /// What is wrong, for people.
    pub problem: String,
    /// Which code the answer has.
    pub code: InvalidCode,
}

/// The codes of invalid requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names on the wire say it")]
pub enum InvalidCode {
    Request,
    RoutePattern,
    RoutesRequired,
    AmbiguousPath,
    TokenTooLarge,
}

/// Why something that the caller may see is not allowed.
#[derive(Debug, Clone, PartialEq)]
pub enum Forbidden {
    /// A route that the credential may not call.
    Route,
    /// A method-override header, and methods are narrowed.
    MethodOverride,
    /// A permission that the credential lacks.
    Permission(Option<Permission>),
    /// The credential does not manage this.
    Manage(Manage),
    /// Only an operator may.
    Operator,
    /// A session manages nothing.
    Session,
    /// A run-as header where none may be.
    RunAsHere,
    /// A bound credential, and no value or another one.
    Binding(Dimension),
    /// A request from an origin that is not one of the credential's.
    Domain,
    /// A request from an address that is not one of the credential's.
    Address,
    /// The one answer to every failed impersonation.
    Impersonation,
    /// An environment that the gate does not accept.
    Environment(Environment),
    /// A test key and a live thing.
    TestKey,
    /// A key that was made for a child, and what only the child itself may do.
    Granted,
    /// It would exceed the caller.
    Exceeds(Box<Excess>),
    /// A session would exceed its key.
    Grant(Box<Refusal>),
    /// The session cannot be renewed any more, or never could be.
    NotRenewable,
}

/// What stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// A sibling has this e-mail address.
    Email,
    /// The digest is known already.
    Digest,
    /// The same `Idempotency-Key` with another request.
    IdempotencyKey,
    /// The account has a key of its own already.
    Claimed,
    /// The tree of accounts, or the line of keys, is as deep as it may be.
    Depth,
    /// The key has as many secrets as it may have.
    Secrets,
    /// The signing key cannot go into that state now.
    SigningKey,
    /// The account has as many webhooks as it may have.
    Webhooks,
    /// It is not in a state in which this can be done.
    State,
}

/// Why a use case did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 401.
    #[error("the credential was not accepted")]
    Unauthenticated(BadCredential),
    /// 403.
    #[error("the credential may not do this")]
    Forbidden(Forbidden),
    /// 404: what is not there and what is somebody else's.
    #[error("not found")]
    NotFound,
    /// 400.
    #[error("the request is not valid")]
    Invalid(Invalid),
    /// 409.
    #[error("the request conflicts with what is there")]
    Conflict(Conflict),
    /// 429.
    #[error("too many requests")]
    TooMany {
        /// Milliseconds until the next may pass.
        retry_ms: i64,
        /// The limit of the key; `None` when it was that of an address.
        limit: Option<RateLimit>,
    },
    /// 503.
    #[error("a part of the service is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// 500.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// A field that does not hold what it should.
    pub fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid(Invalid {
            field: field.into(),
            problem: problem.into(),
            code: InvalidCode::Request,
        })
    }

    /// Too many failed attempts from one address.
    pub fn too_many(retry_ms: i64) -> Self {
        Self::TooMany {
            retry_ms,
            limit: None,
        }
    }

    /// An invariant that the compiler cannot see did not hold.
    pub fn internal(what: &'static str) -> Self {
        Self::Internal(what.into())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(error.into()),
            StoreError::Conflict | StoreError::Corrupt { .. } | StoreError::Database(_) => {
                Self::Internal(error.into())
            }
        }
    }
}

impl From<NoEntropy> for Error {
    fn from(error: NoEntropy) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<Forbidden> for Error {
    fn from(forbidden: Forbidden) -> Self {
        Self::Forbidden(forbidden)
    }
}

impl From<BadCredential> for Error {
    fn from(bad: BadCredential) -> Self {
        Self::Unauthenticated(bad)
    }
}

impl From<Excess> for Error {
    fn from(excess: Excess) -> Self {
        Self::Forbidden(Forbidden::Exceeds(Box::new(excess)))
    }
}

/// A token that no gateway would pass on.
pub(crate) fn too_large() -> Error {
    Error::Invalid(Invalid {
        field: "data".to_owned(),
        problem: "the token would be over 4096 bytes; name fewer routes or attach less".to_owned(),
        code: InvalidCode::TokenTooLarge,
    })
}

/// A text field that was refused.
pub(crate) fn text(field: &str, result: Result<(), TextError>) -> Result<(), Error> {
    result.map_err(|problem| Error::invalid(field, problem.to_string()))
}

/// A field of `config` that was refused.
pub(crate) fn config(prefix: &str, error: &ConfigError) -> Error {
    use crate::domain::config::ConfigProblem;

    let code = match &error.problem {
        ConfigProblem::Routes(_) => InvalidCode::RoutePattern,
        ConfigProblem::Permission { .. }
        | ConfigProblem::Dimension(_)
        | ConfigProblem::BindingValue(_)
        | ConfigProblem::Twice
        | ConfigProblem::Domain { .. }
        | ConfigProblem::Network(_)
        | ConfigProblem::Impersonation
        | ConfigProblem::User(_)
        | ConfigProblem::Manage(_)
        | ConfigProblem::Range { .. }
        | ConfigProblem::Audience(_)
        | ConfigProblem::TooMany { .. } => InvalidCode::Request,
    };
    Error::Invalid(Invalid {
        field: format!("{prefix}{}", error.field),
        problem: error.problem.to_string(),
        code,
    })
}
