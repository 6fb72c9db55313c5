//! The rows of the table: status, codes, message and members of one error, and those of what use cases
//! answer.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::app::Error;
use crate::app::error::{BadCredential, Conflict, Forbidden, InvalidCode};
use crate::domain::binding::Dimension;
use crate::domain::cover::Excess;
use crate::domain::grant::Refusal;
use crate::domain::permission::Permission;
use crate::domain::route::NotCovered;

/// Everything about one error, together, so that it cannot drift apart.
pub(super) struct Row {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) error_code: &'static str,
    pub(super) message: String,
    pub(super) extra: Map<String, Value>,
}

impl Row {
    pub(super) fn new(
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

    pub(super) fn bad(error_code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", error_code, message)
    }

    pub(super) fn unauthenticated(error_code: &'static str, message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "NOT_AUTHENTICATED",
            error_code,
            message,
        )
    }

    pub(super) fn forbidden(error_code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "NOT_AUTHORIZED", error_code, message)
    }

    pub(super) fn plain(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self::new(status, code, code, message)
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }
}

const NO_PERMISSION: &str = "The API key does not have permission to perform this action.";

pub(super) fn app(error: &Error) -> Row {
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

pub(super) fn unauthenticated(bad: &BadCredential) -> Row {
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
