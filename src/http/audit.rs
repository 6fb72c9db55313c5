//! The ledger.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::Response;
use serde_json::json;

use super::endpoint::{Call, ok, with_type};
use super::list::{self, ListQuery};
use super::problem::Problem;
use super::query::parse_query;
use crate::app::audit::Filter;
use crate::app::error::Error;
use crate::domain::audit::Action;
use crate::domain::id::AccountId;
use crate::domain::time::Timestamp;

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

pub(super) async fn checkpoint(call: Call) -> Result<Response, Problem> {
    ok(&call.app.last_checkpoint().await?)
}

pub(super) async fn keys(call: Call) -> Result<Response, Problem> {
    ok(&json!({ "keys": call.app.ledger_keys().await? }))
}

pub(super) async fn rotate_key(call: Call) -> Result<Response, Problem> {
    call.empty_body()?;
    ok(&json!({ "kid": call.app.rotate_ledger_key(&call.presented).await? }))
}

/// The whole ledger, in a form that can be checked, as one stream. What breaks off has no last
/// checkpoint, and is found to.
pub(super) async fn export(call: Call) -> Result<Response, Problem> {
    let mut since = None;
    for (name, value) in parse_query(call.query.as_deref())? {
        if name != "since" {
            return Err(Error::invalid(name, "there is no such parameter").into());
        }
        let at = value
            .parse()
            .map_err(|_| Error::invalid("since", "milliseconds since 1970"))?;
        since = Some(Timestamp::from_millis(at));
    }
    let app = Arc::clone(&call.app);
    let export = app.begin_export(since).await?;
    let last = *export.numbers.end();
    let first = Some(Step::Head(export.head, *export.numbers.start()));
    let chunks = futures_util::stream::unfold(first, move |step| {
        let app = Arc::clone(&app);
        async move {
            let (chunk, next) = match step? {
                Step::Head(head, first) => (Ok(head), Some(Step::Checkpoint(first))),
                Step::Checkpoint(number) if number <= last => {
                    let chunk = app.export_checkpoint(number).await;
                    (chunk, Some(Step::Checkpoint(number + 1)))
                }
                Step::Checkpoint(_) => (app.export_unsealed(last).await, None),
            };
            let failed = chunk.is_err();
            if let Err(error) = &chunk {
                let error: &dyn std::error::Error = error;
                tracing::error!(error, "an export broke off");
            }
            let chunk = chunk
                .map(Bytes::from)
                .map_err(|_| std::io::Error::other("the export broke off"));
            Some((chunk, next.filter(|_| !failed)))
        }
    });
    Ok(with_type("application/jsonl", Body::from_stream(chunks)))
}

enum Step {
    Head(String, i64),
    Checkpoint(i64),
}
