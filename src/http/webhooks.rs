//! Webhooks.

use std::sync::Arc;

use axum::response::Response;

use super::endpoint::{Call, id, ok, once};
use super::list::{self, ListQuery};
use super::problem::Problem;
use crate::app::error::Error;
use crate::domain::webhook::DeliveryState;

pub(super) async fn create(call: Call) -> Result<Response, Problem> {
    let replay = call.replay()?;
    once(
        &call
            .app
            .create_webhook(&call.presented, call.json()?, replay.as_ref())
            .await?,
    )
}

pub(super) async fn list(call: Call) -> Result<Response, Problem> {
    let query = ListQuery::parse(&call, &[])?;
    let shared = Arc::new((Arc::clone(&call.app), call.caller()?.clone()));
    list::respond(&call, query, move |page| {
        let shared = Arc::clone(&shared);
        async move { shared.0.list_webhooks(&shared.1, &page).await }
    })
    .await
}

pub(super) async fn fetch(call: Call) -> Result<Response, Problem> {
    ok(&call
        .app
        .fetch_webhook(call.caller()?, call.param(0)?)
        .await?)
}

pub(super) async fn update(call: Call) -> Result<Response, Problem> {
    let updated = call
        .app
        .update_webhook(&call.presented, call.param(0)?, call.json()?)
        .await?;
    id(updated.as_str())
}

pub(super) async fn delete(call: Call) -> Result<Response, Problem> {
    call.empty_body()?;
    let deleted = call
        .app
        .delete_webhook(&call.presented, call.param(0)?)
        .await?;
    id(deleted.as_str())
}

pub(super) async fn rotate(call: Call) -> Result<Response, Problem> {
    let replay = call.replay()?;
    once(
        &call
            .app
            .rotate_webhook(
                &call.presented,
                call.param(0)?,
                &call.json()?,
                replay.as_ref(),
            )
            .await?,
    )
}

pub(super) async fn test(call: Call) -> Result<Response, Problem> {
    call.empty_body()?;
    ok(&call
        .app
        .test_webhook(&call.presented, call.param(0)?)
        .await?)
}

pub(super) async fn deliveries(call: Call) -> Result<Response, Problem> {
    let query = ListQuery::parse(&call, &["state"])?;
    let state = query
        .filter("state")
        .map(|name| {
            DeliveryState::parse(name)
                .ok_or_else(|| Error::invalid("state", "pending, delivered or failed"))
        })
        .transpose()?;
    let webhook = call.param(0)?.to_owned();
    let shared = Arc::new((Arc::clone(&call.app), call.caller()?.clone(), webhook));
    list::respond(&call, query, move |page| {
        let shared = Arc::clone(&shared);
        async move {
            shared
                .0
                .list_deliveries(&shared.1, &shared.2, state, &page)
                .await
        }
    })
    .await
}

pub(super) async fn replay(call: Call) -> Result<Response, Problem> {
    call.empty_body()?;
    let (webhook, delivery) = (call.param(0)?, call.param(1)?);
    ok(&call
        .app
        .replay_delivery(&call.presented, webhook, delivery)
        .await?)
}
