//! Lists: pages as JSON, or all pages as JSON lines.

use std::future::Future;

use axum::body::{Body, Bytes};
use axum::http::header::ACCEPT;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use super::endpoint::{Call, ok, with_type};
use super::problem::Problem;
use super::query::parse_query;
use crate::app::accounts::UserItem;
use crate::app::api_keys::TokenItem;
use crate::app::audit::AuditItem;
use crate::app::error::Error;
use crate::app::keyring::SigningKeyItem;
use crate::app::sessions::SessionItem;
use crate::app::webhooks::{DeliveryItem, WebhookItem};
use crate::domain::id::is_id;
use crate::domain::limits;
use crate::domain::text::JsonObject;
use crate::store::{Batch, Order, Page};

/// What can be listed: it has an id, which is the cursor.
pub(super) trait Listed: Serialize + Send + 'static {
    fn cursor(&self) -> &str;
    fn meta(&self) -> Option<&JsonObject> {
        None
    }
}

impl Listed for UserItem {
    fn cursor(&self) -> &str {
        self.id.as_str()
    }
    fn meta(&self) -> Option<&JsonObject> {
        self.meta.as_ref()
    }
}

impl Listed for TokenItem {
    fn cursor(&self) -> &str {
        self.id.as_str()
    }
    fn meta(&self) -> Option<&JsonObject> {
        self.meta.as_ref()
    }
}

impl Listed for SessionItem {
    fn cursor(&self) -> &str {
        self.id.as_str()
    }
}

impl Listed for AuditItem {
    fn cursor(&self) -> &str {
        &self.id
    }
}

impl Listed for WebhookItem {
    fn cursor(&self) -> &str {
        self.id.as_str()
    }
    fn meta(&self) -> Option<&JsonObject> {
        self.meta.as_ref()
    }
}

impl Listed for DeliveryItem {
    fn cursor(&self) -> &str {
        self.id.as_str()
    }
}

impl Listed for SigningKeyItem {
    fn cursor(&self) -> &str {
        &self.kid
    }
}

/// A page of what is at hand as a whole, in the order of `desc`. Behind a cursor that is not there,
/// there is nothing.
pub(super) fn page_of<T: Listed>(mut whole: Vec<T>, page: &Page) -> Batch<T> {
    if page.order == Order::Asc {
        whole.reverse();
    }
    let after = page.after.as_deref();
    let begin = after.map_or(0, |after| {
        let found = whole.iter().position(|item| item.cursor() == after);
        found.map_or(whole.len(), |index| index + 1)
    });
    let take = usize::try_from(page.take).unwrap_or(usize::MAX);
    let items = whole.into_iter().skip(begin).take(take).collect();
    page.batch(items, Listed::cursor)
}

/// The query of a list.
#[derive(Debug)]
pub(super) struct ListQuery {
    pub(super) page: Page,
    meta: Vec<(String, String)>,
    filters: Vec<(String, String)>,
}

impl ListQuery {
    /// Reads the query of a list whose cursors are ids. `names` are the filters that it has.
    pub(super) fn parse(call: &Call, names: &[&str]) -> Result<Self, Problem> {
        Self::parse_with(call, names, is_id)
    }

    /// Reads the query of a list whose cursors are names.
    pub(super) fn parse_named(call: &Call) -> Result<Self, Problem> {
        Self::parse_with(call, &[], |cursor| !cursor.contains(char::is_control))
    }

    fn parse_with(
        call: &Call,
        names: &[&str],
        is_cursor: fn(&str) -> bool,
    ) -> Result<Self, Problem> {
        let mut page = Page {
            after: None,
            order: Order::Desc,
            take: limits::PAGE_LEN_MAX,
        };
        let mut meta = Vec::new();
        let mut filters = Vec::new();
        for (name, value) in parse_query(call.query.as_deref())? {
            match name.as_str() {
                "cursor" if value.is_empty() => {}
                "cursor" if is_cursor(&value) => page.after = Some(value),
                "cursor" => {
                    let problem = "the cursor of the page before, as it was given";
                    return Err(Error::invalid("cursor", problem).into());
                }
                "order" => {
                    page.order = match value.as_str() {
                        "asc" => Order::Asc,
                        "desc" => Order::Desc,
                        _ => return Err(Error::invalid("order", "asc or desc").into()),
                    };
                }
                "take" => {
                    page.take = value
                        .parse()
                        .ok()
                        .filter(|take| (1..=limits::PAGE_LEN_MAX).contains(take))
                        .ok_or_else(|| Error::invalid("take", "a whole number from 1 to 100"))?;
                }
                name if names.contains(&name) => filters.push((name.to_owned(), value)),
                name => match name.strip_prefix("meta.") {
                    Some(key) if !key.is_empty() => meta.push((key.to_owned(), value)),
                    _ => return Err(Error::invalid(name, "there is no such parameter").into()),
                },
            }
        }
        Ok(Self {
            page,
            meta,
            filters,
        })
    }

    /// The value of a filter.
    pub(super) fn filter(&self, name: &str) -> Option<&str> {
        let found = self.filters.iter().find(|(filter, _)| filter == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }
}

fn has_meta(item: &impl Listed, wanted: &[(String, String)]) -> bool {
    wanted.iter().all(|(key, value)| {
        let found = item.meta().and_then(|meta| meta.get(key));
        match found {
            Some(serde_json::Value::String(text)) => text == value,
            Some(found) => found.to_string().as_str() == value,
            None => false,
        }
    })
}

/// How the answer is written.
enum Form {
    Json,
    Lines,
}

/// The first media range decides; parameters are ignored.
fn form(call: &Call) -> Result<Form, Problem> {
    let accept = call
        .headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let first = accept
        .and_then(|accept| accept.split([',', ';']).next())
        .map_or("", str::trim);
    match first {
        "" | "*/*" | "application/*" | "application/json" => Ok(Form::Json),
        "application/jsonl" => Ok(Form::Lines),
        _ => Err(Problem::Accept),
    }
}

/// Pages that are read for one page of an answer at most, where a filter leaves few items: then the
/// answer is shorter than asked for, and its cursor goes on.
const READS_MAX: usize = 100;

/// Answers with one page, or streams all of them. `fetch` reads one page.
pub(super) async fn respond<T, F, Fut>(
    call: &Call,
    query: ListQuery,
    fetch: F,
) -> Result<Response, Problem>
where
    T: Listed,
    F: Fn(Page) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Batch<T>, Error>> + Send + 'static,
{
    let ListQuery { page, meta, .. } = query;
    match form(call)? {
        Form::Json => {
            let (items, cursor) = collect(&fetch, page, &meta).await?;
            ok(&json!({ "items": items, "cursor": cursor }))
        }
        Form::Lines => {
            // The first page is read before the answer begins, so that its errors are answers.
            let first = fetch(page.clone()).await?;
            let state = Some((page, first));
            let lines = futures_util::stream::unfold((state, fetch, meta), next_lines);
            Ok(with_type("application/jsonl", Body::from_stream(lines)))
        }
    }
}

async fn collect<T, F, Fut>(
    fetch: &F,
    mut page: Page,
    meta: &[(String, String)],
) -> Result<(Vec<T>, String), Error>
where
    T: Listed,
    F: Fn(Page) -> Fut,
    Fut: Future<Output = Result<Batch<T>, Error>>,
{
    let wanted = usize::try_from(page.take).unwrap_or(usize::MAX);
    let mut items: Vec<T> = Vec::new();
    let mut cursor = String::new();
    for _ in 0..READS_MAX {
        let batch = fetch(page.clone()).await?;
        for item in batch.items.into_iter().filter(|item| has_meta(item, meta)) {
            items.push(item);
            if items.len() == wanted {
                break;
            }
        }
        let Some(read_up_to) = batch.read_up_to else {
            break;
        };
        // A full page goes on behind its last item, a page that is not behind what was read.
        if let Some(last) = items.get(wanted.saturating_sub(1)) {
            last.cursor().clone_into(&mut cursor);
            break;
        }
        cursor.clone_from(&read_up_to);
        if !batch.more {
            break;
        }
        page.after = Some(read_up_to);
    }
    Ok((items, cursor))
}

type Lines<T, F> = (Option<(Page, Batch<T>)>, F, Vec<(String, String)>);

async fn next_lines<T, F, Fut>(
    (state, fetch, meta): Lines<T, F>,
) -> Option<(Result<Bytes, std::convert::Infallible>, Lines<T, F>)>
where
    T: Listed,
    F: Fn(Page) -> Fut,
    Fut: Future<Output = Result<Batch<T>, Error>>,
{
    let (mut page, batch) = state?;
    let mut lines = String::new();
    for item in batch.items.iter().filter(|item| has_meta(*item, &meta)) {
        lines.push_str(&json!({ "type": "item", "data": item }).to_string());
        lines.push('\n');
    }
    let mut state = None;
    if batch.more && batch.read_up_to.is_some() {
        page.after = batch.read_up_to;
        match fetch(page.clone()).await {
            Ok(next) => state = Some((page, next)),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "a stream broke off");
                let data =
                    json!({ "message": "The list broke off.", "code": "SERVICE_UNAVAILABLE" });
                lines.push_str(&json!({ "type": "error", "data": data }).to_string());
                lines.push('\n');
            }
        }
    }
    Some((Ok(Bytes::from(lines)), (state, fetch, meta)))
}
