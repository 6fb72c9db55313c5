//! Sessions: the list, one of them, and minting one to try it.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::api::Ask;
use super::fields::escape;
use super::new_key::refilled;
use super::page::{Failure, problem};
use super::redirect;
use super::show::{
    KeyNames, area, collect, field, id_link, id_text, input, instant, is_filtered, labels, once,
    pager, secret, select, state, term, text, texts, time,
};
use super::visit::Visit;
use crate::domain::time::Timestamp;

const STATES: [(&str, &str); 4] = [
    ("", "Any state"),
    ("active", "Active"),
    ("expired", "Expired"),
    ("revoked", "Revoked"),
];

pub(super) async fn list(visit: Visit<'_>) -> Result<Response, Failure> {
    let (key, wanted) = (visit.query.get("tokenId"), visit.query.get("state"));
    let searched = visit.query.get("q");
    let ask = Ask::get("session/list")
        .with("tokenId", key)
        .with("state", wanted);
    let listed = collect(&visit, ask, |session| {
        let routes = texts(session, "allowedRoutes").unwrap_or_default();
        searched.is_empty()
            || routes.iter().any(|route| route.contains(searched))
            || ["id", "userId", "actorId", "audience", "address"]
                .iter()
                .any(|name| text(session, name).contains(searched))
    })
    .await?;
    let now = visit.now();
    let names = KeyNames::read(&visit).await;
    let body = html! {
        div.head {
            h1 { "Sessions" }
            a.button href="/ui/sessions/inspect" { "Look into a token" }
            @if visit.may("POST", "session/create", None) { a.button.primary href="/ui/sessions/mint" { "Mint one" } }
        }
        (visit.notice())
        form.filters method="get" action="/ui/sessions" role="search" {
            label.hide for="q" { "Search" }
            input id="q" name="q" type="search" value=(searched) placeholder="Route, id, audience, address";
            label.hide for="tokenId" { "Key" }
            input.mono id="tokenId" name="tokenId" type="text" value=(key) placeholder="Key id, key_…" size="16";
            label.hide for="state" { "State" }
            (select("state", wanted, &STATES))
            button type="submit" { "Filter" }
        }
        @if listed.items.is_empty() {
            p.empty { @if is_filtered(&visit) { "No session is like that." } @else { "There are no sessions yet." } }
        } @else {
            table {
                caption.hide { "Sessions" }
                thead { tr {
                    th scope="col" { "Session" } th scope="col" { "State" } th scope="col" { "For" }
                    th scope="col" { "May call" } th scope="col" { "Key" } th scope="col" { "Minted" }
                    th scope="col" { "Ends" } th scope="col" { "From" }
                } }
                tbody { @for session in &listed.items { (row(session, &names, now)) } }
            }
            (pager(&visit, &listed, "/ui/sessions"))
        }
    };
    Ok(visit.page("Sessions", &body))
}

fn row(session: &Value, names: &KeyNames, now: Timestamp) -> Markup {
    let routes = texts(session, "allowedRoutes").unwrap_or_default();
    html! {
        tr {
            td data-label="Session" {
                (id_link("/ui/sessions", text(session, "id")))
                @if text(session, "environment") == "test" { " " span.badge.test { "test" } }
            }
            td data-label="State" { (state(text(session, "state"))) }
            td data-label="For" {
                (id_text(text(session, "userId")))
                @if !text(session, "actorId").is_empty() { br; span.faint { "by " (id_text(text(session, "actorId"))) } }
            }
            td data-label="May call" {
                @if let Some(first) = routes.first() { code { (first) } }
                @if routes.len() > 1 { span.faint { " and " (routes.len() - 1) " more" } }
            }
            td data-label="Key" { (names.link(text(session, "tokenId"))) }
            td data-label="Minted" { (time(instant(session, "createdAt"), now)) }
            td data-label="Ends" { (time(instant(session, "expiresAt"), now)) }
            td.mono data-label="From" { (text(session, "address")) }
        }
    }
}

pub(super) async fn show(visit: Visit<'_>) -> Result<Response, Failure> {
    let path = format!("session/{}/fetch", escape(visit.param(0)));
    let session = visit.ask(Ask::get(path)).await?;
    let now = visit.now();
    let id = text(&session, "id");
    // Who acts as a child ends there what it minted, and nothing else.
    let user = visit.user.as_ref();
    let minted = user.is_some_and(|user| user.key_id() == text(&session, "tokenId"));
    let may_revoke =
        (minted || visit.is_oneself()) && visit.may("POST", &format!("session/{id}/revoke"), None);
    let body = html! {
        p.crumb { a href="/ui/sessions" { "Sessions" } }
        div.head {
            h1.mono { (super::show::short(id)) }
            (state(text(&session, "state")))
            @if text(&session, "environment") == "test" { span.badge.test { "test" } }
        }
        (visit.notice())
        @if may_revoke && text(&session, "state") == "active" {
            div.actions { (visit.button(&format!("/ui/sessions/{}/revoke", escape(id)), "danger", "Revoke")) }
        }
        section.card {
            h2.hide { "Session" }
            dl {
                (term("Id", &html! { span.mono { (id) } }))
                (term("Family", &html! { span.mono { (text(&session, "familyId")) } }))
                (term("Speaks for", &html! { span.mono { (text(&session, "userId")) } }))
                @if !text(&session, "actorId").is_empty() {
                    (term("Really acts", &html! { span.mono { (text(&session, "actorId")) } }))
                }
                (term("Minted with", &id_link("/ui/keys", text(&session, "tokenId"))))
                (term("How", &html! { (text(&session, "origin")) }))
                (term("May call", &labels(texts(&session, "allowedRoutes").as_deref(), "")))
                @for (name, label) in [("permissions", "Permissions"), ("domains", "Domains")] {
                    @if let Some(list) = texts(&session, name) { (term(label, &labels(Some(&list), ""))) }
                }
                @if let Some(bindings) = session.get("bindings").filter(|bindings| bindings.is_object()) {
                    (term("Bindings", &html! { code { (bindings) } }))
                }
                (term("Audience", &html! { span.mono { (text(&session, "audience")) } }))
                (term("Minted", &time(instant(&session, "createdAt"), now)))
                (term("Ends", &time(instant(&session, "expiresAt"), now)))
                @if let Some(until) = instant(&session, "renewableUntil") {
                    (term("Renewable until", &time(Some(until), now)))
                }
                @if let Some(data) = session.get("data").filter(|data| data.is_object()) {
                    (term("Data", &html! { code dir="auto" { (data) } }))
                }
                (term("Request", &html! { span.mono { (text(&session, "requestId")) } }))
                (term("From", &html! { span.mono { (text(&session, "address")) } }))
            }
            @if visit.may("GET", "audit/list", Some("audit")) {
                p { a href=(format!("/ui/ledger?q={}", escape(id))) { "This session in the ledger" } }
            }
        }
    };
    Ok(visit.page("Session", &body))
}

pub(super) async fn revoke(visit: Visit<'_>) -> Result<Response, Failure> {
    let id = escape(visit.param(0));
    visit
        .ask(Ask::post(format!("session/{id}/revoke"), json!({})))
        .await?;
    Ok(redirect(&format!("/ui/sessions/{id}?done=session-revoked")))
}

const LIFETIMES: [(&str, &str); 5] = [
    ("60", "A minute"),
    ("900", "15 minutes"),
    ("3600", "An hour"),
    ("28800", "8 hours"),
    ("86400", "A day"),
];

pub(super) async fn mint_form(visit: Visit<'_>) -> Result<Response, Failure> {
    let body = whole(&visit, &html! {}, "")?;
    Ok(visit.page("Mint a session", &body))
}

/// The form for a key that was just made: its secret is still at hand.
pub(super) async fn mint_with(visit: Visit<'_>) -> Result<Response, Failure> {
    let body = whole(&visit, &refilled(&visit), visit.form.get("key"))?;
    Ok(visit.page("Mint a session", &body))
}

/// The form, with a key that was just made. One that was typed is not shown again.
fn whole(visit: &Visit<'_>, above: &Markup, made: &str) -> Result<Markup, Failure> {
    let form = &visit.form;
    let seconds = form.some("seconds").unwrap_or("900");
    Ok(html! {
        p.crumb { a href="/ui/sessions" { "Sessions" } }
        h1 { "Mint a session" }
        (above)
        form.card.narrow method="post" action="/ui/sessions/mint" {
            (visit.hidden())
            (once(visit)?)
            (field("key", "With the key", "Empty: the one with which you are signed in. It goes to the service and is not kept.", &html! {
                input.mono id="key" name="key" type="password" value=(made) placeholder="sk_live_…"
                    autocomplete="off" spellcheck="false" aria-describedby="key-help";
            }))
            (field("on", "On", "A resource such as bot/b1; then its profile says what the session may call. Empty: at large, with the routes below.", &input("on", form.get("on"))))
            (field("routes", "Routes", "One a line. Needed unless a resource or the key says which.", &area("routes", form.raw("routes"), 4, "GET bot/**")))
            (field("domains", "Domains", "Where it may be presented from, one a line. Empty: as the key has it.", &area("domains", form.raw("domains"), 2, "")))
            div.pair {
                (field("seconds", "Lives for", "", &select("seconds", seconds, &LIFETIMES)))
                (field("mode", "A route that the key does not have", "", &select("mode", form.get("mode"), &[("strict", "is refused"), ("intersect", "is cut to what it has")])))
            }
            div.actions {
                button.primary type="submit" { "Mint" }
                a.button href="/ui/sessions" { "Cancel" }
            }
        }
    })
}

pub(super) async fn mint(visit: Visit<'_>) -> Result<Response, Failure> {
    if visit.refill.is_some() {
        let body = whole(&visit, &refilled(&visit), "")?;
        return Ok(visit.page("Mint a session", &body));
    }
    match send(&visit).await {
        Ok(made) => {
            let body = minted(&visit, &made);
            Ok(visit.page("Session minted", &body))
        }
        Err(failure) => {
            let body = whole(&visit, &problem(&failure), "")?;
            Ok(visit
                .frame()
                .render_with(failure.status(), "Mint a session", &body))
        }
    }
}

async fn send(visit: &Visit<'_>) -> Result<Value, Failure> {
    let form = &visit.form;
    let mut wanted = Map::new();
    for (name, key) in [("routes", "allowedRoutes"), ("domains", "domains")] {
        let list = form.list(name);
        if !list.is_empty() {
            wanted.insert(key.to_owned(), list.into());
        }
    }
    if let Some(seconds) = form.some("seconds") {
        let seconds: i64 = seconds
            .parse()
            .map_err(|_| Failure::bad("Choose how long it lives."))?;
        wanted.insert("durationInSeconds".to_owned(), seconds.into());
    }
    if let Some(mode) = form.some("mode") {
        wanted.insert("mode".to_owned(), mode.into());
    }
    let on = form.get("on").trim_matches('/');
    let path = match on.strip_suffix("/session/create").unwrap_or(on) {
        "" | "session/create" => "session/create".to_owned(),
        on => {
            let on: Vec<String> = on.split('/').map(escape).collect();
            format!("{}/session/create", on.join("/"))
        }
    };
    let ask = Ask::post(path, Value::Object(wanted));
    let ask = ask.once(form.get("_once")).with_key(form.get("key"));
    visit.ask(ask).await
}

fn minted(visit: &Visit<'_>, made: &Value) -> Markup {
    let id = match text(made, "sessionId") {
        "" => text(made, "id"),
        id => id,
    };
    html! {
        p.crumb { a href="/ui/sessions" { "Sessions" } }
        h1 { "The session is minted" }
        div.card.made role="status" {
            p { "Its token is shown this once, and ends " (time(instant(made, "expiresAt"), visit.now())) "." }
            (secret("token", "Session token", text(made, "token")))
            dl {
                (term("May call", &labels(texts(made, "allowedRoutes").as_deref(), "")))
                @if let Some(cut) = texts(made, "cut").filter(|cut| !cut.is_empty()) {
                    (term("Was cut", &labels(Some(&cut), "")))
                }
            }
            div.actions {
                form method="post" action="/ui/sessions/inspect" {
                    (visit.hidden())
                    input type="hidden" name="token" value=(text(made, "token"));
                    button.primary type="submit" { "Look into it" }
                }
                a.button href=(format!("/ui/sessions/{}", escape(id))) { "Go to the session" }
            }
        }
    }
}
