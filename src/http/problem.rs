//! The only translation from errors to answers: one exhaustive table, one row an error.

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};

mod row;

use row::{Row, app, unauthenticated};

use super::fields::{BadValue, FieldSink};
use super::gate::GateProblem;
use super::headers::HeaderError;
use super::json::JsonError;
use super::query::QueryError;
use crate::app::Error;
use crate::app::error::{BadCredential, Forbidden};
use crate::domain::grant::Refusal;
use crate::domain::id::RequestId;
use crate::domain::route::PathError;

/// What an endpoint answers when it does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A use case said no.
    #[error(transparent)]
    App(#[from] Error),
    /// The path is ambiguous.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A header is not what it should be.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The body is not what it should be.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The query is not what it should be.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// There is nothing at this path for this method.
    #[error("the method is not allowed here")]
    Method(&'static str),
    /// An error of an OAuth endpoint, which has the shape of RFC 6749 §5.2.
    #[error(transparent)]
    OAuth(Box<Problem>),
    /// A grant type that is not known here.
    #[error("the grant type is not supported")]
    UnsupportedGrant,
    /// The token to be exchanged is not good.
    #[error("the subject token is not valid")]
    InvalidGrant,
    /// `Accept` names nothing that can be had.
    #[error("unsupported accept header")]
    Accept,
    /// The body did not arrive in time.
    #[error("the request body did not arrive in time")]
    BodyTooSlow,
    /// A request to the gate that it does not judge.
    #[error(transparent)]
    Gate(#[from] GateProblem),
}

/// What people are told of an error.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) status: StatusCode,
    pub(super) error_code: String,
    pub(super) message: String,
    pub(super) extra: Map<String, Value>,
}

impl Problem {
    fn row(&self) -> Row {
        match self {
            Self::App(error) => app(error),
            Self::Path(error) => Row::bad("AMBIGUOUS_PATH", sentence(error)),
            Self::Header(HeaderError::BadCredential | HeaderError::LongCredential) => {
                unauthenticated(&BadCredential::Key)
            }
            Self::Header(error) => Row::bad("INVALID_REQUEST", sentence(error)),
            Self::OAuth(problem) => problem.row(),
            Self::UnsupportedGrant | Self::InvalidGrant => {
                Row::bad("INVALID_REQUEST", sentence(self))
            }
            Self::Query(error) => Row::bad("INVALID_REQUEST", sentence(error)),
            Self::Json(error) => match error {
                JsonError::TooLarge => Row::plain(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "CONTENT_TOO_LARGE",
                    "The body is over 64 KiB.",
                ),
                JsonError::MediaType => Row::plain(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "UNSUPPORTED_MEDIA_TYPE",
                    "Send the body as application/json.",
                ),
                JsonError::Unreadable => Row::bad("INVALID_REQUEST", "The body could not be read."),
                JsonError::Body(body) => {
                    let row = Row::bad("INVALID_REQUEST", sentence(body));
                    match &body.field {
                        Some(field) => row.with("field", field.clone()),
                        None => row,
                    }
                }
            },
            Self::Method(_) => Row::plain(
                StatusCode::METHOD_NOT_ALLOWED,
                "METHOD_NOT_ALLOWED",
                "There is nothing here for this method.",
            ),
            Self::BodyTooSlow => Row::plain(
                StatusCode::REQUEST_TIMEOUT,
                "REQUEST_TIMEOUT",
                sentence(self),
            ),
            Self::Accept => Row::bad(
                "INVALID_REQUEST",
                "Accept application/json or application/jsonl.",
            ),
            Self::Gate(error) => Row::forbidden(error.code(), sentence(error)),
        }
    }

    /// The error as a page of the dashboard shows it.
    pub(super) fn shown(&self) -> Shown {
        let Row {
            status,
            error_code,
            message,
            extra,
            ..
        } = self.row();
        Shown {
            status,
            error_code: error_code.to_owned(),
            message,
            extra,
        }
    }

    /// The same error, as an OAuth endpoint answers it.
    pub(super) fn into_oauth(self) -> Self {
        if matches!(self, Self::OAuth(_)) {
            self
        } else {
            Self::OAuth(Box::new(self))
        }
    }

    /// The stable code of the error, for metrics and logs.
    pub fn error_code(&self) -> &'static str {
        self.row().error_code
    }

    /// The answer.
    pub fn into_response(self, request: &RequestId) -> Response {
        if let Self::OAuth(problem) = self {
            return problem.into_oauth_response(request);
        }
        let (status, error_code) = (self.status(), self.error_code());
        let body = self.body(request);
        self.finish(request, status, error_code, &body)
    }

    /// The answer to a gateway, which takes 401 and 403 for a refusal and nothing else: nginx makes
    /// 500 of any other status. The body says the same as at any other endpoint, and a header why.
    pub(super) fn into_gate_response(self, request: &RequestId) -> Response {
        let reason = self.reason();
        let mut response = self.into_response(request);
        if response.status() != StatusCode::UNAUTHORIZED {
            *response.status_mut() = StatusCode::FORBIDDEN;
        }
        if let Ok(reason) = HeaderValue::from_str(&reason) {
            response.headers_mut().insert("x-auth-reason", reason);
        }
        response
    }

    /// Why the gate refuses, for gateways and logs: the code of the error in lower case.
    pub(super) fn reason(&self) -> String {
        if matches!(self, Self::App(Error::TooMany { .. })) {
            "rate_limited".to_owned()
        } else {
            self.error_code().to_ascii_lowercase()
        }
    }

    /// The status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        self.row().status
    }

    /// The body of the answer.
    pub(super) fn body(&self, request: &RequestId) -> Value {
        let Row {
            status: _,
            code,
            error_code,
            message,
            extra,
        } = self.row();
        let mut error = json!({ "code": error_code, "message": message });
        if let Value::Object(error) = &mut error {
            error.extend(extra);
            error.insert("requestId".to_owned(), request.as_str().into());
        }
        json!({ "message": message, "code": code, "error": error })
    }

    /// The answer of an OAuth endpoint.
    fn into_oauth_response(self, request: &RequestId) -> Response {
        let Row {
            status,
            error_code,
            message,
            ..
        } = self.row();
        let (status, error) = self.oauth_error(status, error_code);
        let body = json!({ "error": error, "error_description": ascii(&message) });
        self.finish(request, status, error_code, &body)
    }

    fn oauth_error(&self, status: StatusCode, error_code: &str) -> (StatusCode, &'static str) {
        let bad = StatusCode::BAD_REQUEST;
        match self {
            Self::UnsupportedGrant => return (bad, "unsupported_grant_type"),
            Self::InvalidGrant => return (bad, "invalid_grant"),
            Self::App(Error::Forbidden(Forbidden::Grant(refusal))) => {
                return match **refusal {
                    Refusal::Audience(_) | Refusal::AudienceUnknown(_) => (bad, "invalid_target"),
                    Refusal::Expired => (StatusCode::UNAUTHORIZED, "invalid_client"),
                    Refusal::RoutesRequired
                    | Refusal::RoutesTooComplex(_)
                    | Refusal::RouteNotCovered(_)
                    | Refusal::NothingLeft
                    | Refusal::Permission(_)
                    | Refusal::Binding(_)
                    | Refusal::Domain(_)
                    | Refusal::Duration { .. }
                    | Refusal::Renewable { .. } => (bad, "invalid_scope"),
                };
            }
            Self::App(Error::Invalid(invalid)) if invalid.field == "audience" => {
                return (bad, "invalid_target");
            }
            Self::App(Error::Invalid(invalid))
                if ["scope", "permissions"].contains(&invalid.field.as_str()) =>
            {
                return (bad, "invalid_scope");
            }
            Self::App(_)
            | Self::Path(_)
            | Self::Header(_)
            | Self::Json(_)
            | Self::Query(_)
            | Self::Method(_)
            | Self::OAuth(_)
            | Self::Accept
            | Self::Gate(_)
            | Self::BodyTooSlow => {}
        }
        let error = match status {
            StatusCode::UNAUTHORIZED => "invalid_client",
            StatusCode::FORBIDDEN if error_code == "INSUFFICIENT_PERMISSIONS" => {
                "insufficient_scope"
            }
            StatusCode::FORBIDDEN => "access_denied",
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                "temporarily_unavailable"
            }
            StatusCode::INTERNAL_SERVER_ERROR => "server_error",
            _ => "invalid_request",
        };
        (status, error)
    }

    fn finish(
        self,
        request: &RequestId,
        status: StatusCode,
        error_code: &'static str,
        body: &Value,
    ) -> Response {
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, challenge(error_code));
        }
        if let Self::App(Error::TooMany { retry_ms, limit }) = &self {
            let retry_ms = *retry_ms.max(&0);
            headers.insert(RETRY_AFTER, HeaderValue::from(secs_up(retry_ms)));
            if let Some(limit) = limit {
                // The first turn comes back then, and the others one by one.
                let others = i64::from(limit.requests.saturating_sub(1));
                let all_ms =
                    i64::from(limit.per_secs) * 1000 * others / i64::from(limit.requests.max(1));
                // Numbers can stand in a header.
                rate_headers(headers, limit.requests, 0, secs_up(retry_ms + all_ms)).ok();
            }
        }
        if let Self::Method(allowed) = &self {
            headers.insert(ALLOW, HeaderValue::from_static(allowed));
        }
        log(&self, status, error_code, request);
        response
    }
}

/// Whole seconds, rounded up.
pub(super) fn secs_up(ms: i64) -> i64 {
    (ms + 999) / 1000
}

/// What a client is told about the rate limit of its key.
pub(super) fn rate_headers(
    into: &mut impl FieldSink,
    limit: u32,
    remaining: u32,
    reset_secs: i64,
) -> Result<(), BadValue> {
    const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
    const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
    const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
    into.field(&LIMIT, &limit.to_string())?;
    into.field(&REMAINING, &remaining.to_string())?;
    into.field(&RESET, &reset_secs.to_string())
}

/// RFC 6750 §3: no error code when no credential was sent.
fn challenge(error_code: &str) -> HeaderValue {
    if error_code == "NOT_AUTHENTICATED" {
        HeaderValue::from_static("Bearer realm=\"hallpass\"")
    } else {
        HeaderValue::from_static("Bearer realm=\"hallpass\", error=\"invalid_token\"")
    }
}

fn log(problem: &Problem, status: StatusCode, code: &'static str, request: &RequestId) {
    // Refusals have their line, with the code, where every request has one.
    if status.is_server_error() {
        let error: &dyn std::error::Error = problem;
        tracing::error!(request.id = %request, status = status.as_u16(), code, error, "request failed");
    }
}

/// An error's text as a sentence for people.
fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    let first = chars
        .next()
        .map(|first| first.to_uppercase().to_string())
        .unwrap_or_default();
    let end = if text.ends_with(['.', '?', '!']) {
        ""
    } else {
        "."
    };
    format!("{first}{}{end}", chars.as_str())
}

/// RFC 6749 §5.2: a description is visible ASCII without quotation marks and backslashes.
fn ascii(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '"' | '`' | '\\' => '\'',
            c if c == ' ' || c.is_ascii_graphic() => c,
            _ => '.',
        })
        .collect()
}
