//! What the server answers without, or in place of, its handler.

use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

/// What the server answers without, or in place of, the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerProblem {
    /// The body has more than [`BODY_BYTES_MAX`](crate::domain::limits::BODY_BYTES_MAX) bytes: 413.
    BodyTooLarge,
    /// The body did not arrive in time: 408.
    BodyTooSlow,
    /// The body broke off or was not well-formed: 400.
    BodyUnreadable,
    /// The handler panicked: 500. Nothing is granted.
    Panicked,
    /// The handler did not answer in time: 503. It goes on, so that the outcome is not known.
    TooSlow,
    /// Too many requests are under way: 503.
    Overloaded,
}

impl ServerProblem {
    pub(super) const fn leaves_body_unread(self) -> bool {
        match self {
            Self::BodyTooLarge | Self::BodyTooSlow | Self::BodyUnreadable | Self::Overloaded => {
                true
            }
            Self::Panicked | Self::TooSlow => false,
        }
    }
}

/// Makes the answer to a [`ServerProblem`] of a request for a target.
pub type RenderProblem = dyn Fn(ServerProblem, &Uri) -> Response + Send + Sync;

/// The error body of DESIGN.md §8 without a request id, for a server that renders none itself.
pub fn plain_problem(problem: ServerProblem, _: &Uri) -> Response {
    let (status, code, message) = match problem {
        ServerProblem::BodyTooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "CONTENT_TOO_LARGE",
            "The request body is too large.",
        ),
        ServerProblem::BodyTooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            "REQUEST_TIMEOUT",
            "The request body did not arrive in time.",
        ),
        ServerProblem::BodyUnreadable => (
            StatusCode::BAD_REQUEST,
            "BAD_REQUEST",
            "The request body could not be read.",
        ),
        ServerProblem::Panicked => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL_SERVER_ERROR",
            "Internal error.",
        ),
        ServerProblem::TooSlow | ServerProblem::Overloaded => (
            StatusCode::SERVICE_UNAVAILABLE,
            "SERVICE_UNAVAILABLE",
            "The service is busy. Try again later.",
        ),
    };
    let body = serde_json::json!({
        "message": message,
        "code": code,
        "error": { "code": code, "message": message },
    });
    let json = [(CONTENT_TYPE, "application/json")];
    (status, json, body.to_string()).into_response()
}
