//! What is asked of a session beside its token.

use crate::domain::binding::{self, Dimension, NamedValues};
use crate::domain::permission::Permission;

/// A request as a verifier judges it.
///
/// ```
/// use hallpass::verifier::{Dimension, Request};
///
/// let request = Request::new("GET", "/v1/bot/b1?full=1")
///     .origin(Some("https://example.com"))
///     .names(Dimension::Bot, "b1")?;
/// # Ok::<(), hallpass::verifier::RequestError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Request<'r> {
    pub(super) method: &'r str,
    pub(super) target: &'r str,
    pub(super) origin: Option<&'r str>,
    pub(super) named: NamedValues,
    pub(super) method_override: bool,
    pub(super) run_as: bool,
    pub(super) permission: Option<&'r Permission>,
}

/// Why a request cannot be judged: 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A value that no binding can have.
    #[error("the value of {} is not well-formed", .0.header())]
    Value(Dimension),
    /// Two sources name two values.
    #[error("two values are named for {}", .0.header())]
    Contradiction(Dimension),
    /// A header that may be there once, several times.
    #[error("send one {0} header, not several")]
    Repeated(&'static str),
    /// A header whose value nobody can read.
    #[error("the value of the {0} header is not well-formed")]
    Malformed(&'static str),
}

impl<'r> Request<'r> {
    /// A method, and a target as it was sent: query included and nothing decoded.
    pub fn new(method: &'r str, target: &'r str) -> Self {
        Self {
            method,
            target,
            origin: None,
            named: NamedValues::new(),
            method_override: false,
            run_as: false,
            permission: None,
        }
    }

    /// The header `Origin`. A session that is narrowed to domains is refused without one.
    #[must_use]
    pub fn origin(mut self, origin: Option<&'r str>) -> Self {
        self.origin = origin;
        self
    }

    /// The project, workspace, bot or integration that the request is about, as a header or the
    /// path names it. A session that is bound in that dimension is refused unless the value is one
    /// of its own.
    ///
    /// # Errors
    /// [`RequestError::Value`]; [`RequestError::Contradiction`] when another value was named.
    pub fn names(mut self, dimension: Dimension, value: &str) -> Result<Self, RequestError> {
        if !binding::is_value(value) {
            return Err(RequestError::Value(dimension));
        }
        let before = self.named.insert(dimension, value.to_owned());
        if before.is_some_and(|before| before != value) {
            return Err(RequestError::Contradiction(dimension));
        }
        Ok(self)
    }

    /// The permission that this request needs. It goes before the table of
    /// [`VerifierBuilder::permission`](super::VerifierBuilder::permission).
    #[must_use]
    pub fn needs(mut self, permission: &'r Permission) -> Self {
        self.permission = Some(permission);
        self
    }

    /// The request has a header that makes it one of another method to the service behind, such as
    /// `X-HTTP-Method-Override`. A session whose routes name methods is refused then.
    #[must_use]
    pub fn overrides_method(mut self, overrides: bool) -> Self {
        self.method_override = overrides;
        self
    }

    /// The request has a header `X-RunAs-…`. A session speaks for its account alone, so it is
    /// refused.
    #[must_use]
    pub fn wishes_to_act_as_another(mut self, wishes: bool) -> Self {
        self.run_as = wishes;
        self
    }
}
