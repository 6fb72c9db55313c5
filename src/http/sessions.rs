//! Sessions.

use std::sync::Arc;

use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::endpoint::{Call, id, ok, session_once};
use super::list::{self, ListQuery};
use super::problem::Problem;
use crate::app::error::Error;
use crate::app::sessions::{MintOn, NewSession};
use crate::domain::id::KeyId;
use crate::domain::route::RequestPath;
use crate::store::sessions::Filter;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verify {
    token: String,
}

pub(super) async fn create(call: Call) -> Result<Response, Problem> {
    let new: NewSession = call.json()?;
    // What ChatBotKit's clients write stands on the paths that they call.
    let foreign = [
        ("contact", new.contact.is_some()),
        ("meta", new.meta.is_some()),
        ("messages", new.messages.is_some()),
        ("config", new.config.is_some()),
    ];
    if let Some((field, _)) = foreign.iter().find(|(_, there)| *there) {
        return Err(Error::invalid(*field, "there is no such field here; use `data`").into());
    }
    mint(&call, MintOn::Large, new).await
}

pub(super) async fn create_for_child(call: Call) -> Result<Response, Problem> {
    let new = call.json()?;
    mint(&call, MintOn::Child, new).await
}

pub(super) async fn create_on_profile(call: Call) -> Result<Response, Problem> {
    let new = call.json()?;
    let resource = RequestPath::from_segments(call.param(0)?.split('/'))?;
    let (profile, values) = call.app.find_profile(&resource).ok_or(Error::NotFound)?;
    mint(&call, MintOn::Profile(profile, &values), new).await
}

async fn mint(call: &Call, on: MintOn<'_>, new: NewSession) -> Result<Response, Problem> {
    let replay = call.replay()?;
    let minted = call
        .app
        .mint(call.caller()?, &call.presented, on, new, replay.as_ref())
        .await?;
    session_once(minted)
}

pub(super) async fn renew(call: Call) -> Result<Response, Problem> {
    session_once(
        call.app
            .renew(call.caller()?, &call.presented, &call.json()?)
            .await?,
    )
}

pub(super) async fn verify(call: Call) -> Result<Response, Problem> {
    let Verify { token } = call.json()?;
    match call.app.verify_session(call.caller()?, &token).await? {
        Some(claims) => ok(&claims),
        None => ok(&json!({ "active": false })),
    }
}

pub(super) async fn list(call: Call) -> Result<Response, Problem> {
    let query = ListQuery::parse(&call, &["tokenId", "state"])?;
    let key = query
        .filter("tokenId")
        .map(|key| KeyId::parse(key).map_err(|_| Error::invalid("tokenId", "the id of a token")))
        .transpose()?;
    let state = query.filter("state").map(str::to_owned);
    if state
        .as_deref()
        .is_some_and(|state| !["active", "expired", "revoked"].contains(&state))
    {
        return Err(Error::invalid("state", "active, expired or revoked").into());
    }
    let filter = Filter {
        key,
        environment: None,
    };
    let shared = Arc::new((Arc::clone(&call.app), call.caller()?.clone(), filter, state));
    list::respond(&call, query, move |page| {
        let shared = Arc::clone(&shared);
        async move {
            let (app, caller, filter, state) = &*shared;
            app.list_sessions(caller, filter, state.as_deref(), &page)
                .await
        }
    })
    .await
}

pub(super) async fn fetch(call: Call) -> Result<Response, Problem> {
    ok(&call
        .app
        .fetch_session(call.caller()?, call.param(0)?)
        .await?)
}

pub(super) async fn revoke(call: Call) -> Result<Response, Problem> {
    call.empty_body()?;
    id(call
        .app
        .revoke_session(&call.presented, call.param(0)?)
        .await?
        .as_str())
}
