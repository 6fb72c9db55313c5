//! What operators, gateways and verifiers read without a credential.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::endpoint::{Call, ok, with_type};
use super::problem::Problem;
use crate::app::error::Error;
use crate::domain::environment::Environment;

const OPENAPI: &str = include_str!("../../openapi.yaml");

pub(super) async fn health(_: Call) -> Result<Response, Problem> {
    ok(&json!({ "status": "ok" }))
}

/// Ready when it is not about to stop, a signing key may sign, and the database answers.
pub(super) async fn ready(call: Call) -> Result<Response, Problem> {
    call.app.check_ready()?;
    call.app.store.ping().await.map_err(Error::from)?;
    ok(&json!({ "status": "ready" }))
}

pub(super) async fn metrics(call: Call) -> Result<Response, Problem> {
    Ok(with_type(
        crate::metrics::CONTENT_TYPE,
        call.app.render_metrics(),
    ))
}

pub(super) async fn openapi(_: Call) -> Result<Response, Problem> {
    Ok(with_type("application/yaml", OPENAPI))
}

pub(super) async fn jwks_live(call: Call) -> Result<Response, Problem> {
    jwks(&call, Environment::Live).await
}

pub(super) async fn jwks_test(call: Call) -> Result<Response, Problem> {
    jwks(&call, Environment::Test).await
}

/// How long the database may take to confirm the key set.
const CONFIRM_TIMEOUT: Duration = Duration::from_millis(500);

async fn jwks(call: &Call, environment: Environment) -> Result<Response, Problem> {
    // A node that slept, or cannot ask, may not have the newest key. Its set is still good for old
    // tokens, so it is told, but nobody may keep it.
    let confirmed = tokio::time::timeout(CONFIRM_TIMEOUT, call.app.ensure_fresh()).await;
    let is_current = matches!(confirmed, Ok(Ok(())));
    let document = call
        .app
        .jwks(environment)
        .render()
        .map_err(|error| Error::Internal(error.into()))?;
    let known = call
        .headers
        .get(IF_NONE_MATCH)
        .and_then(|tags| tags.to_str().ok());
    let unchanged = known.is_some_and(|tags| {
        tags.split(',')
            .map(str::trim)
            .any(|tag| tag == document.etag || tag == "*")
    });
    let mut response = with_type("application/json", document.body);
    if unchanged {
        *response.body_mut() = Body::empty();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let max_age = if is_current {
        format!("public, max-age={}", call.app.policy.jwks_max_age_secs)
    } else {
        "no-cache".to_owned()
    };
    let headers = response.headers_mut();
    if let (Ok(etag), Ok(max_age)) = (
        HeaderValue::from_str(&document.etag),
        HeaderValue::from_str(&max_age),
    ) {
        headers.insert(ETAG, etag);
        headers.insert(CACHE_CONTROL, max_age);
    }
    Ok(response)
}

pub(super) async fn metadata_live(call: Call) -> Result<Response, Problem> {
    metadata(&call, Environment::Live)
}

pub(super) async fn metadata_test(call: Call) -> Result<Response, Problem> {
    metadata(&call, Environment::Test)
}

/// RFC 8414 and OpenID Connect Discovery, as far as it applies.
fn metadata(call: &Call, environment: Environment) -> Result<Response, Problem> {
    let app = &call.app;
    let issuer = app.issuer(environment);
    let base = &app.policy.issuer;
    let algorithms: std::collections::BTreeSet<String> = app
        .jwks(environment)
        .keys()
        .iter()
        .map(|key| key.alg().to_string())
        .collect();
    let scopes: Vec<String> = app.policy.vocabulary.names();
    let mut response = ok(&json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "token_endpoint": format!("{base}/oauth2/token"),
        "introspection_endpoint": format!("{base}/oauth2/introspect"),
        "revocation_endpoint": format!("{base}/oauth2/revoke"),
        "grant_types_supported": [
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
        "scopes_supported": scopes,
        "service_documentation": format!("{base}/openapi.yaml"),
    }))?;
    let max_age = format!("public, max-age={}", app.policy.jwks_max_age_secs);
    if let Ok(max_age) = HeaderValue::from_str(&max_age) {
        response.headers_mut().insert(CACHE_CONTROL, max_age);
    }
    Ok(response)
}
