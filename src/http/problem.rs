//! The only translation from errors to answers: one exhaustive table, one row an error.

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::gate::GateProblem;
use super::headers::HeaderError;
use super::json::JsonError;
use super::query::QueryError;
use crate::app::Error;
use crate::app::error::{BadCredential, Conflict, Forbidden, InvalidCode};
use crate::domain::binding::Dimension;
use crate::domain::cover::Excess;
use crate::domain::grant::Refusal;
use crate::domain::id::RequestId;
use crate::domain::permission::Permission;
use crate::domain::route::{NotCovered, PathError};

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

/// Everything about one error, together, so that it cannot drift apart.
struct Row {
    status: StatusCode,
    code: &'static str,
    error_code: &'static str,
    message: String,
    extra: Map<String, Value>,
}

/// What people are told of an error.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) status: StatusCode,
    pub(super) error_code: String,
    pub(super) message: String,
    pub(super) extra: Map<String, Value>,
}

impl Row {
    fn new(
        status: StatusCode,
        code: &'static str,
        error_code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            error_code,
            message: message.into(),
            extra: Map::new(),
        }
    }

    fn bad(error_code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", error_code, message)
    }

    fn unauthenticated(error_code: &'static str, message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "NOT_AUTHENTICATED",
            error_code,
            message,
        )
    }

    fn forbidden(error_code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "NOT_AUTHORIZED", error_code, message)
    }

    fn plain(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, code, code, message)
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }
}

const NO_PERMISSION: &str = "The API key does not have permission to perform this action.";

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
                rate_headers(headers, limit.requests, 0, secs_up(retry_ms + all_ms));
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
pub(super) fn rate_headers(headers: &mut HeaderMap, limit: u32, remaining: u32, reset_secs: i64) {
    headers.insert("ratelimit-limit", limit.into());
    headers.insert("ratelimit-remaining", remaining.into());
    headers.insert("ratelimit-reset", reset_secs.into());
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

fn app(error: &Error) -> Row {
    match error {
        Error::Unauthenticated(bad) => unauthenticated(bad),
        Error::Forbidden(forbidden) => self::forbidden(forbidden),
        Error::NotFound => Row::plain(StatusCode::NOT_FOUND, "NOT_FOUND", "Not found."),
        Error::Invalid(invalid) => {
            let code = match invalid.code {
                InvalidCode::Request => "INVALID_REQUEST",
                InvalidCode::RoutePattern => "INVALID_ROUTE_PATTERN",
                InvalidCode::RoutesRequired => "ROUTES_REQUIRED",
                InvalidCode::AmbiguousPath => "AMBIGUOUS_PATH",
                InvalidCode::TokenTooLarge => "TOKEN_TOO_LARGE",
            };
            Row::bad(code, format!("{}: {}", invalid.field, invalid.problem))
                .with("field", invalid.field.clone())
        }
        Error::Conflict(conflict) => {
            let message = match conflict {
                Conflict::Email => "A user with this email exists already.",
                Conflict::Digest => "A key with this digest exists already.",
                Conflict::IdempotencyKey => {
                    "This Idempotency-Key was used with another request body."
                }
                Conflict::Claimed => "The account has a key of its own already.",
                Conflict::Depth => "The tree would be more than 8 deep.",
                Conflict::Secrets => {
                    "The key has five secrets that still work; wait, or rotate with overlapInSeconds 0."
                }
                Conflict::SigningKey => {
                    "The signing key cannot do that now: the next key has not been published for long enough, or the key is revoked already."
                }
                Conflict::Webhooks => "The account has as many webhooks as it may have.",
                Conflict::State => "This cannot be done in the present state.",
            };
            Row::plain(StatusCode::CONFLICT, "CONFLICT", message)
        }
        Error::TooMany { .. } => Row::plain(
            StatusCode::TOO_MANY_REQUESTS,
            "TOO_MANY_REQUESTS",
            "Too many requests. Try again later.",
        ),
        Error::Unavailable(_) => Row::plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "SERVICE_UNAVAILABLE",
            "The service is not available at the moment. Try again later.",
        ),
        Error::Internal(_) => Row::plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL_SERVER_ERROR",
            "Something went wrong on our side.",
        ),
    }
}

fn unauthenticated(bad: &BadCredential) -> Row {
    match bad {
        BadCredential::Missing => Row::unauthenticated(
            "NOT_AUTHENTICATED",
            "Send an API key or a session token as `Authorization: Bearer …`.",
        ),
        BadCredential::Key | BadCredential::Scheme => {
            Row::unauthenticated("INVALID_API_KEY", "The API key is not valid.")
        }
        BadCredential::KeyExpired => {
            Row::unauthenticated("API_KEY_EXPIRED", "The API key has expired.")
        }
        BadCredential::Token(_) | BadCredential::TokenEnded | BadCredential::TokenAudience => {
            Row::unauthenticated("INVALID_TOKEN", "The session token is not valid here.")
        }
    }
}

fn forbidden(forbidden: &Forbidden) -> Row {
    match forbidden {
        Forbidden::Route => Row::forbidden(
            "ROUTE_NOT_ALLOWED",
            "The credential may not call this route.",
        ),
        Forbidden::MethodOverride => Row::forbidden(
            "ROUTE_NOT_ALLOWED",
            "A method-override header is refused, since the credential is narrowed to methods.",
        ),
        Forbidden::Permission(scope) => permission(scope.as_ref()),
        Forbidden::Manage(manage) => Row::forbidden(
            "MANAGEMENT_NOT_ALLOWED",
            format!(
                "The key does not manage {0}; it needs `{0}` in `manage`.",
                manage.as_str()
            ),
        ),
        Forbidden::Operator => Row::forbidden(
            "MANAGEMENT_NOT_ALLOWED",
            "Only an operator key or the command line may do this.",
        ),
        Forbidden::Session => Row::forbidden(
            "MANAGEMENT_NOT_ALLOWED",
            "A session manages and mints nothing.",
        ),
        Forbidden::RunAsHere => Row::forbidden(
            "MANAGEMENT_NOT_ALLOWED",
            "This cannot be done while acting as another user; leave out the run-as header.",
        ),
        Forbidden::Binding(dimension) => binding(*dimension),
        Forbidden::Domain => Row::forbidden(
            "DOMAIN_NOT_ALLOWED",
            "The credential may not be used from this origin.",
        ),
        Forbidden::Address => Row::forbidden(
            "ADDRESS_NOT_ALLOWED",
            "The credential may not be used from this address.",
        ),
        Forbidden::Impersonation => Row::forbidden(
            "IMPERSONATION_DENIED",
            "Acting as this user is not allowed.",
        ),
        Forbidden::Environment(environment) => Row::forbidden(
            "ENVIRONMENT_NOT_ALLOWED",
            format!("Credentials of the {environment} environment are not accepted here."),
        ),
        Forbidden::TestKey => Row::forbidden(
            "MANAGEMENT_NOT_ALLOWED",
            "A test key changes no live thing.",
        ),
        Forbidden::Granted => Row::forbidden(
            "MANAGEMENT_NOT_ALLOWED",
            "A key that was made for a child cannot do this for it.",
        ),
        Forbidden::Exceeds(excess) => exceeds(excess),
        Forbidden::Grant(refusal) => grant(refusal),
        Forbidden::NotRenewable => Row::forbidden(
            "NOT_RENEWABLE",
            "The session cannot be renewed, or not any more.",
        ),
    }
}

fn permission(scope: Option<&Permission>) -> Row {
    let row = Row::forbidden("INSUFFICIENT_PERMISSIONS", NO_PERMISSION);
    match scope {
        Some(scope) => row.with("required_scope", scope.as_str()),
        None => row,
    }
}

fn binding(dimension: Dimension) -> Row {
    let code = match dimension {
        Dimension::Project => "PROJECT_ACCESS_DENIED",
        Dimension::Workspace | Dimension::Bot | Dimension::Integration => "BINDING_DENIED",
    };
    let name = dimension.as_str();
    Row::forbidden(
        code,
        format!(
            "The credential is bound, and the request names no {name} or one that it may not use."
        ),
    )
    .with("dimension", name)
}

fn not_covered(why: &NotCovered) -> Row {
    match why {
        NotCovered::CounterExample { method, path } => Row::forbidden(
            "ROUTE_NOT_COVERED",
            format!("`{method} {path}` would be allowed and lies outside what the credential may hand on."),
        )
        .with("counterExample", json!({ "method": method, "path": path })),
        NotCovered::TooComplex => Row::bad(
            "ROUTES_TOO_COMPLEX",
            "The routes are too complex to compare. Use fewer `**`.",
        ),
    }
}

fn exceeds(excess: &Excess) -> Row {
    let field = excess.field();
    let outside = |what: &str| {
        format!("{field}: {what} lies outside what the calling credential may hand on.")
    };
    let row = match excess {
        Excess::Routes { why, .. } => not_covered(why),
        Excess::MintRoutesUnnamed => Row::forbidden(
            "ROUTE_NOT_COVERED",
            format!(
                "{field}: name the routes of sessions, since those of the calling credential are narrowed."
            ),
        ),
        Excess::Permission { scope, .. } => permission(scope.as_ref()),
        Excess::Binding { dimension, .. } => binding(*dimension),
        Excess::Domain { entry, .. } => Row::forbidden(
            "DOMAIN_NOT_ALLOWED",
            outside(entry.as_deref().unwrap_or("every origin")),
        ),
        Excess::Network(network) => Row::forbidden(
            "ADDRESS_NOT_ALLOWED",
            outside(network.as_deref().unwrap_or("every address")),
        ),
        Excess::Manage(manage) => {
            Row::forbidden("MANAGEMENT_NOT_ALLOWED", outside(manage.as_str()))
        }
        Excess::Operator => Row::forbidden(
            "MANAGEMENT_NOT_ALLOWED",
            outside("the power of an operator"),
        ),
        Excess::Duration { max, .. } => Row::forbidden(
            "RESTRICTION_NOT_COVERED",
            outside(&format!("more than {max}")),
        ),
        Excess::Expiry(at) => Row::forbidden(
            "RESTRICTION_NOT_COVERED",
            outside(&format!("an end later than {}", at.millis())),
        ),
        Excess::Audience => Row::forbidden("RESTRICTION_NOT_COVERED", outside("an audience")),
        Excess::Impersonation => {
            Row::forbidden("RESTRICTION_NOT_COVERED", outside("acting as these users"))
        }
        Excess::Rate => Row::forbidden("RESTRICTION_NOT_COVERED", outside("this rate")),
        Excess::Environment => {
            Row::forbidden("RESTRICTION_NOT_COVERED", outside("the live environment"))
        }
        Excess::Grantor => Row::forbidden(
            "RESTRICTION_NOT_COVERED",
            outside("a key in whose name another account acts or does not act"),
        ),
    };
    row.with("field", field)
}

fn grant(refusal: &Refusal) -> Row {
    let nothing = "Nothing is left of what was asked for.";
    match refusal {
        Refusal::RouteNotCovered(why) => not_covered(why).with("field", "allowedRoutes"),
        Refusal::NothingLeft => Row::forbidden("ROUTE_NOT_COVERED", nothing),
        Refusal::Permission(scope) => permission(Some(scope)).with("field", "permissions"),
        Refusal::Binding(dimension) => binding(*dimension).with("field", "bindings"),
        Refusal::Domain(entry) => Row::forbidden(
            "DOMAIN_NOT_ALLOWED",
            format!("domains: `{entry}` lies outside what the key may hand on."),
        )
        .with("field", "domains"),
        Refusal::Audience(audience) => Row::forbidden(
            "RESTRICTION_NOT_COVERED",
            format!("audience: the key may not mint for `{audience}`."),
        )
        .with("field", "audience"),
        Refusal::Expired => Row::unauthenticated("API_KEY_EXPIRED", "The API key has expired."),
        // These are mistakes of the request; the use case says so before it comes to this.
        Refusal::RoutesRequired
        | Refusal::RoutesTooComplex(_)
        | Refusal::AudienceUnknown(_)
        | Refusal::Duration { .. }
        | Refusal::Renewable { .. } => Row::bad("INVALID_REQUEST", nothing),
    }
}
