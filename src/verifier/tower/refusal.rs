//! The answer to a request that is refused, in the shape that hallpass itself answers.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use reqwest::Url;
use serde_json::{Map, Value, json};

use super::super::{Deny, NotAlive, VerifyError};
use crate::domain::binding::Dimension;
use crate::domain::permission::Permission;

/// In the extensions of an answer that refuses: the stable code of the reason, for logs and metrics.
/// The client is told less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal(pub &'static str);

/// `WWW-Authenticate` (RFC 6750 §3, RFC 9728 §5.1).
#[derive(Debug)]
pub(super) struct Challenge {
    metadata: Option<Url>,
}

impl Challenge {
    pub(super) fn new(metadata: Option<Url>) -> Self {
        Self { metadata }
    }

    fn header(&self, error: Option<&str>, scope: Option<&str>) -> Option<HeaderValue> {
        // Scopes and parsed addresses have no quotation marks and backslashes.
        let parameters = [
            ("error", error),
            ("scope", scope),
            ("resource_metadata", self.metadata.as_ref().map(Url::as_str)),
        ];
        let parameters: Vec<String> = parameters
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| format!("{name}=\"{value}\"")))
            .collect();
        let text = if parameters.is_empty() {
            "Bearer".to_owned()
        } else {
            format!("Bearer {}", parameters.join(", "))
        };
        HeaderValue::from_str(&text).ok()
    }
}

struct Row {
    code: &'static str,
    error_code: &'static str,
    message: &'static str,
    extra: Map<String, Value>,
}

fn row(error: &VerifyError) -> Row {
    let plain = |code, error_code, message| Row {
        code,
        error_code,
        message,
        extra: Map::new(),
    };
    let with = |mut row: Row, name: &str, value: &str| {
        row.extra.insert(name.to_owned(), value.into());
        row
    };
    let forbidden = |error_code, message| plain("NOT_AUTHORIZED", error_code, message);
    match error {
        VerifyError::Missing => plain(
            "NOT_AUTHENTICATED",
            "NOT_AUTHENTICATED",
            "Send a session token as `Authorization: Bearer …`.",
        ),
        // One answer: the reason is in the log of this service.
        VerifyError::Credential
        | VerifyError::Token(_)
        | VerifyError::NotAlive(NotAlive::Dead(_) | NotAlive::RevokedKey)
        | VerifyError::Refused(Deny::Expired) => plain(
            "NOT_AUTHENTICATED",
            "INVALID_TOKEN",
            "The session token is not valid here.",
        ),
        VerifyError::NotAlive(NotAlive::Unknown | NotAlive::FellBack) | VerifyError::Keys(_) => {
            plain(
                "SERVICE_UNAVAILABLE",
                "SERVICE_UNAVAILABLE",
                "Whether the session token is valid cannot be said at the moment. Try again later.",
            )
        }
        VerifyError::Request(_) => plain(
            "BAD_REQUEST",
            "INVALID_REQUEST",
            "A header of the request is repeated or not well-formed.",
        ),
        VerifyError::Path(_) => forbidden(
            "AMBIGUOUS_PATH",
            "The path can be read in two ways, or is none of this service.",
        ),
        VerifyError::Impersonated | VerifyError::RunAs => forbidden(
            "IMPERSONATION_DENIED",
            "Acting as this user is not allowed.",
        ),
        VerifyError::Refused(deny) => match deny {
            Deny::Route | Deny::Manage(_) => forbidden(
                "ROUTE_NOT_ALLOWED",
                "The credential may not call this route.",
            ),
            Deny::MethodOverride => forbidden(
                "ROUTE_NOT_ALLOWED",
                "A method-override header is refused, since the credential is narrowed to methods.",
            ),
            Deny::Permission(permission) => {
                let row = forbidden(
                    "INSUFFICIENT_PERMISSIONS",
                    "The session does not have permission to perform this action.",
                );
                match permission {
                    Some(permission) => with(row, "required_scope", permission.as_str()),
                    None => row,
                }
            }
            Deny::Binding(dimension) => {
                let code = match dimension {
                    Dimension::Project => "PROJECT_ACCESS_DENIED",
                    Dimension::Workspace | Dimension::Bot | Dimension::Integration => {
                        "BINDING_DENIED"
                    }
                };
                let row = forbidden(
                    code,
                    "The credential is bound, and the request names no value or one that it may not use.",
                );
                with(row, "dimension", dimension.as_str())
            }
            Deny::Domain => forbidden(
                "DOMAIN_NOT_ALLOWED",
                "The credential may not be used from this origin.",
            ),
            Deny::Address | Deny::Rate { .. } | Deny::Expired => forbidden(
                "ADDRESS_NOT_ALLOWED",
                "The credential may not be used from this address.",
            ),
        },
    }
}

/// The answer to a request that is refused.
pub(super) fn refuse<R: From<String>>(error: &VerifyError, challenge: &Challenge) -> Response<R> {
    let Row {
        code,
        error_code,
        message,
        extra,
    } = row(error);
    let mut inner = json!({ "code": error_code, "message": message });
    if let Value::Object(inner) = &mut inner {
        inner.extend(extra);
    }
    let body = json!({ "message": message, "code": code, "error": inner });
    let mut response = Response::new(R::from(body.to_string()));
    *response.status_mut() =
        StatusCode::from_u16(error.status()).unwrap_or(StatusCode::UNAUTHORIZED);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let scope = error.required_permission().map(Permission::as_str);
    let challenged = match (error, error.status()) {
        (VerifyError::Missing, _) => challenge.header(None, None),
        (_, 401) => challenge.header(Some("invalid_token"), None),
        (VerifyError::Refused(Deny::Permission(_)), _) => {
            challenge.header(Some("insufficient_scope"), scope)
        }
        (_, _) => None,
    };
    if let Some(challenged) = challenged {
        headers.insert(WWW_AUTHENTICATE, challenged);
    }
    response.extensions_mut().insert(Refusal(error.code()));
    response
}
