//! Signing keys, for operators.

use std::sync::Arc;

use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::endpoint::{Call, ok};
use super::list::{ListQuery, page_of, respond};
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
    let query = ListQuery::parse_named(&call)?;
    let app = Arc::clone(&call.app);
    respond(&call, query, move |page| {
        let app = Arc::clone(&app);
        async move {
            let mut keys = app.list_signing_keys().await?;
            keys.sort_by(|one, other| {
                let at = other.created_at.cmp(&one.created_at);
                at.then_with(|| one.kid.cmp(&other.kid))
            });
            Ok(page_of(keys, &page))
        }
    })
    .await
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
    let unsigned_until = call.app.revoke_signing_key(&call.presented, kid).await?;
    ok(&match unsigned_until {
        None => json!({ "kid": kid }),
        Some(until) => json!({ "kid": kid, "unsignedUntil": until }),
    })
}
