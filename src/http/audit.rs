//! The ledger.

use std::sync::Arc;

use axum::response::Response;

use super::endpoint::Call;
use super::list::{self, ListQuery};
use super::problem::Problem;
use crate::app::audit::Filter;
use crate::app::error::Error;
use crate::domain::audit::Action;
use crate::domain::id::AccountId;

pub(super) async fn list(call: Call) -> Result<Response, Problem> {
    let query = ListQuery::parse(&call, &["userId", "action"])?;
    let account = query
        .filter("userId")
        .map(|id| AccountId::parse(id).map_err(|_| Error::invalid("userId", "the id of a user")))
        .transpose()?;
    let action = query
        .filter("action")
        .map(|name| {
            let names = || Action::ALL.map(Action::as_str).join(", ");
            Action::parse(name).ok_or_else(|| Error::invalid("action", names()))
        })
        .transpose()?;
    let shared = Arc::new((
        Arc::clone(&call.app),
        call.caller()?.clone(),
        Filter { account, action },
    ));
    list::respond(&call, query, move |page| {
        let shared = Arc::clone(&shared);
        async move { shared.0.list_audit(&shared.1, &shared.2, &page).await }
    })
    .await
}
