//! Accounts.

use std::sync::Arc;

use axum::response::Response;

use super::endpoint::{Call, id, ok, once};
use super::list::{self, ListQuery};
use super::problem::Problem;
use crate::app::accounts::Turn;
use crate::app::error::Error;
use crate::domain::text::Email;
use crate::store::accounts::Filter;

pub(super) async fn create(call: Call) -> Result<Response, Problem> {
    let replay = call.replay()?;
    let created = call
        .app
        .create_user(&call.presented, call.json()?, replay.as_ref())
        .await?;
    once(&created)
}

pub(super) async fn list(call: Call) -> Result<Response, Problem> {
    let query = ListQuery::parse(&call, &["email", "externalId"])?;
    let email = query
        .filter("email")
        .map(|email| Email::parse(email).map_err(|e| Error::invalid("email", e.to_string())))
        .transpose()?;
    let filter = Filter {
        email,
        external_id: query.filter("externalId").map(str::to_owned),
    };
    let shared = Arc::new((Arc::clone(&call.app), call.caller()?.clone(), filter));
    list::respond(&call, query, move |page| {
        let shared = Arc::clone(&shared);
        async move { shared.0.list_users(&shared.1, &shared.2, &page).await }
    })
    .await
}

pub(super) async fn fetch(call: Call) -> Result<Response, Problem> {
    ok(&call.app.fetch_user(call.caller()?, call.param(0)?).await?)
}

pub(super) async fn update(call: Call) -> Result<Response, Problem> {
    let updated = call
        .app
        .update_user(&call.presented, call.param(0)?, call.json()?)
        .await?;
    id(updated.as_str())
}

pub(super) async fn suspend(call: Call) -> Result<Response, Problem> {
    turn(call, Turn::Suspend).await
}

pub(super) async fn resume(call: Call) -> Result<Response, Problem> {
    turn(call, Turn::Resume).await
}

pub(super) async fn delete(call: Call) -> Result<Response, Problem> {
    turn(call, Turn::Delete).await
}

async fn turn(call: Call, turn: Turn) -> Result<Response, Problem> {
    call.empty_body()?;
    id(call
        .app
        .turn_user(&call.presented, call.param(0)?, turn)
        .await?
        .as_str())
}

pub(super) async fn fetch_self(call: Call) -> Result<Response, Problem> {
    ok(&call.app.fetch_self(call.caller()?)?)
}

pub(super) async fn update_self(call: Call) -> Result<Response, Problem> {
    id(call
        .app
        .update_self(&call.presented, call.json()?)
        .await?
        .as_str())
}

pub(super) async fn claim(call: Call) -> Result<Response, Problem> {
    let replay = call.replay()?;
    once(
        &call
            .app
            .claim(&call.presented, call.json()?, replay.as_ref())
            .await?,
    )
}
