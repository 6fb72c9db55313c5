//! The ledger: who did what, as whom.

use axum::http::HeaderValue;
use axum::http::header::CONTENT_DISPOSITION;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;

use super::api::Ask;
use super::fields::escape;
use super::page::Failure;
use super::show::{
    KeyNames, Listed, collect, id_link, id_text, instant, is_filtered, pager, select, text, time,
};
use super::visit::Visit;
use crate::domain::audit::Action;
use crate::domain::time::Timestamp;

fn actions() -> Vec<(&'static str, &'static str)> {
    let all = Action::ALL
        .iter()
        .map(|action| (action.as_str(), action.as_str()));
    std::iter::once(("", "Everything")).chain(all).collect()
}

fn ask(visit: &Visit<'_>) -> Ask {
    Ask::get("audit/list")
        .with("userId", visit.query.get("userId"))
        .with("action", visit.query.get("action"))
        .with("order", visit.query.get("order"))
}

pub(super) async fn list(visit: Visit<'_>) -> Result<Response, Failure> {
    let searched = visit.query.get("q");
    let listed = collect(&visit, ask(&visit), |entry| {
        searched.is_empty() || entry.to_string().contains(searched)
    })
    .await?;
    let entries = entries(&visit, &listed, "/ui/ledger").await;
    let mut export = String::from("/ui/ledger/export?");
    for name in ["userId", "action"] {
        if let Some(value) = visit.query.some(name) {
            export = export + name + "=" + &escape(value) + "&";
        }
    }
    let body = html! {
        div.head {
            h1 { "Ledger" }
            a.button href="/ui/ledger/acted" { "Who acted for me" }
            a.button href=(export.trim_end_matches(['?', '&'])) download="ledger.jsonl" { "Export" }
        }
        form.filters method="get" action="/ui/ledger" role="search" {
            label.hide for="q" { "Search" }
            input id="q" name="q" type="search" value=(searched) placeholder="Id, address, request";
            label.hide for="userId" { "Account" }
            input.mono id="userId" name="userId" type="text" value=(visit.query.get("userId")) placeholder="Account id, usr_…" size="16";
            label.hide for="action" { "What" }
            (select("action", visit.query.get("action"), &actions()))
            label.hide for="order" { "Order" }
            (select("order", visit.query.get("order"), &[("desc", "Newest first"), ("asc", "Oldest first")]))
            button type="submit" { "Filter" }
        }
        (entries)
    };
    Ok(visit.page("Ledger", &body))
}

/// What others did as this account.
pub(super) async fn acted(visit: Visit<'_>) -> Result<Response, Failure> {
    let me = visit
        .user
        .as_ref()
        .map(|user| user.account_id().to_owned())
        .unwrap_or_default();
    let ask = Ask::get("audit/list").with("userId", &me);
    let listed = collect(&visit, ask, |entry| {
        let actor = text(entry, "actorId");
        !actor.is_empty() && actor != me
    })
    .await?;
    let entries = entries(&visit, &listed, "/ui/ledger/acted").await;
    let body = html! {
        p.crumb { a href="/ui/ledger" { "Ledger" } }
        h1 { "Who acted for me" }
        p.help { "What was done as " span.mono { (me) } " by another account." }
        (entries)
    };
    Ok(visit.page("Who acted for me", &body))
}

async fn entries(visit: &Visit<'_>, listed: &Listed, path: &str) -> Markup {
    let now = visit.now();
    let names = KeyNames::read(visit).await;
    html! {
        @if listed.items.is_empty() {
            p.empty { @if is_filtered(visit) { "The ledger has nothing like that." } @else { "There is nothing yet." } }
        } @else {
            table {
                caption.hide { "Entries of the ledger" }
                thead { tr {
                    th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "For" }
                    th scope="col" { "By" } th scope="col" { "Key" } th scope="col" { "Concerns" }
                    th scope="col" { "From" } th scope="col" { "Details" }
                } }
                tbody { @for entry in &listed.items { (row(entry, &names, now)) } }
            }
            (pager(visit, listed, path))
        }
    }
}

fn row(entry: &Value, names: &KeyNames, now: Timestamp) -> Markup {
    let (user, actor) = (text(entry, "userId"), text(entry, "actorId"));
    let session = text(entry, "sessionId");
    let target = text(entry, "targetId");
    html! {
        tr {
            td data-label="When" { (time(instant(entry, "at"), now)) }
            td data-label="What" {
                @if text(entry, "outcome") == "refused" { span.badge.bad { (text(entry, "action")) } }
                @else { span.badge.plain { (text(entry, "action")) } }
            }
            td data-label="For" { (id_text(user)) }
            td data-label="By" {
                @if actor.is_empty() { span.faint.word { "the command line" } }
                @else if actor == user { span.faint.word { "itself" } }
                @else { strong { (id_text(actor)) } }
            }
            td data-label="Key" { @if !text(entry, "tokenId").is_empty() { (names.link(text(entry, "tokenId"))) } }
            td data-label="Concerns" {
                @if !session.is_empty() { (id_link("/ui/sessions", session)) }
                @if target.starts_with("key_") { (names.link(target)) }
                @else if target.starts_with("whk_") { (id_link("/ui/webhooks", target)) }
                @else if !target.is_empty() { (id_text(target)) }
            }
            td.mono data-label="From" { (text(entry, "address")) }
            td data-label="Details" { (details(entry)) }
        }
    }
}

fn details(entry: &Value) -> Markup {
    let details = entry.get("details").and_then(Value::as_object);
    html! {
        @if let Some(details) = details.filter(|details| !details.is_empty()) {
            details.inline {
                summary { "show" }
                dl.small {
                    @for (name, value) in details {
                        dt { (name) }
                        dd { code dir="auto" { @match value { Value::String(text) => (text), other => (other) } } }
                    }
                    dt { "request" } dd { code { (text(entry, "requestId")) } }
                }
            }
        }
    }
}

/// All of it, as the API streams it.
pub(super) async fn export(visit: Visit<'_>) -> Result<Response, Failure> {
    let mut response = visit.send(ask(&visit).lines()).await?;
    if response.status().is_success() {
        let name = HeaderValue::from_static("attachment; filename=\"ledger.jsonl\"");
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}
