//! Signing keys, for operators.

use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::endpoint::{Call, ok};
use super::problem::Problem;
use crate::domain::environment::Environment;
use crate::token::Algorithm;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Rotation {
    environment: Option<Environment>,
    algorithm: Option<Algorithm>,
}

pub(super) async fn list(call: Call) -> Result<Response, Problem> {
    let items = call.app.list_signing_keys().await?;
    let cursor = items
        .last()
        .map(|item| item.kid.clone())
        .unwrap_or_default();
    ok(&json!({ "items": items, "cursor": cursor }))
}

pub(super) async fn rotate(call: Call) -> Result<Response, Problem> {
    let Rotation {
        environment,
        algorithm,
    } = call.json()?;
    let environment = environment.unwrap_or(Environment::Live);
    let kid = call
        .app
        .rotate_signing_key(&call.presented, environment, algorithm)
        .await?;
    ok(&json!({ "kid": kid }))
}

pub(super) async fn revoke(call: Call) -> Result<Response, Problem> {
    call.empty_body()?;
    let kid = call.param(0)?;
    call.app.revoke_signing_key(&call.presented, kid).await?;
    ok(&json!({ "kid": kid }))
}
