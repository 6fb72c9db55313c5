//! API keys: the list, one key, and what is done to it.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::api::Ask;
use super::fields::escape;
use super::new_key::{self, restrictions};
use super::page::{Failure, problem};
use super::redirect;
use super::show::{
    collect, field, has_text, id_link, id_text, instant, is, is_filtered, once, pager, secret,
    select, state, term, text, texts, time,
};
use super::visit::Visit;
use crate::app::error::Error;
use crate::app::webhooks::{EXPIRING_SECS, UNUSED_SECS};
use crate::domain::api_key;
use crate::domain::id::KeyId;
use crate::domain::time::Timestamp;

const STATES: [(&str, &str); 6] = [
    ("", "Any state"),
    ("active", "Active"),
    ("disabled", "Disabled"),
    ("expired", "Expired"),
    ("expiring", "Expires in 7 days"),
    ("unused", "Unused for 90 days"),
];

/// Whether a key that works expires soon.
fn is_expiring(key: &Value, now: Timestamp) -> bool {
    let soon = now.plus_secs(EXPIRING_SECS);
    text(key, "state") == "active" && instant(key, "expiresAt").is_some_and(|end| end <= soon)
}

/// Whether nobody has used a key that works for long.
fn is_unused(key: &Value, now: Timestamp) -> bool {
    let secrets = key.get("secrets").and_then(Value::as_array);
    let secrets = secrets.into_iter().flatten().filter_map(|secret| {
        let made = instant(secret, "createdAt")?;
        Some((made, instant(secret, "lastUsedAt")))
    });
    let before = now.plus_secs(-UNUSED_SECS);
    text(key, "state") == "active"
        && instant(key, "createdAt").is_some_and(|made| api_key::is_unused(made, secrets, before))
}

/// Whether a key is in a state of the filter.
fn is_like(key: &Value, wanted: &str, now: Timestamp) -> bool {
    match wanted {
        "" => true,
        "expiring" => is_expiring(key, now),
        "unused" => is_unused(key, now),
        state => text(key, "state") == state,
    }
}

/// What is to be seen to before it hurts, of the keys that are shown.
fn warnings(keys: &[Value], now: Timestamp) -> Markup {
    let count = |is: fn(&Value, Timestamp) -> bool| keys.iter().filter(|key| is(key, now)).count();
    let (expiring, unused) = (count(is_expiring), count(is_unused));
    html! {
        @if expiring > 0 {
            p.notice { a href="/ui/keys?state=expiring" { (expiring) " of these keys expire within 7 days" } "." }
        }
        @if unused > 0 {
            p.notice { a href="/ui/keys?state=unused" { (unused) " of these keys were not used for 90 days" } "; disable what nobody needs." }
        }
    }
}
const ENVIRONMENTS: [(&str, &str); 3] = [("", "Live and test"), ("live", "Live"), ("test", "Test")];

pub(super) async fn list(visit: Visit<'_>) -> Result<Response, Failure> {
    let (searched, wanted) = (visit.query.get("q"), visit.query.get("state"));
    let now = visit.now();
    let ask = Ask::get("token/list").with("environment", visit.query.get("environment"));
    let listed = collect(&visit, ask, |key| {
        is_like(key, wanted, now)
            && has_text(
                key,
                &["name", "description", "externalId", "hint", "id"],
                searched,
            )
    })
    .await?;
    let body = html! {
        div.head {
            h1 { "Keys" }
            @if visit.may_change("token/create", "tokens") { a.button.primary href="/ui/keys/new" { "New key" } }
        }
        (visit.notice())
        @if visit.query.get("done") == "revoked" { (gone_in_ledger(&visit, visit.query.get("gone"))) }
        @if !["expiring", "unused"].contains(&wanted) { (warnings(&listed.items, now)) }
        form.filters method="get" action="/ui/keys" role="search" {
            label.hide for="q" { "Search" }
            input id="q" name="q" type="search" value=(searched) placeholder="Name, hint, external id";
            label.hide for="state" { "State" }
            (select("state", wanted, &STATES))
            label.hide for="environment" { "Environment" }
            (select("environment", visit.query.get("environment"), &ENVIRONMENTS))
            button type="submit" { "Filter" }
        }
        @if listed.items.is_empty() {
            p.empty { @if is_filtered(&visit) { "No key is like that." } @else { "There are no keys yet." } }
        } @else {
            table {
                caption.hide { "API keys" }
                thead { tr {
                    th scope="col" { "Name" } th scope="col" { "Key" } th scope="col" { "State" }
                    th scope="col" { "May call" } th scope="col" { "Last used" } th scope="col" { "From" }
                    th scope="col" { "Made" }
                } }
                tbody { @for key in &listed.items { (row(&visit, key, now)) } }
            }
            (pager(&visit, &listed, "/ui/keys"))
        }
    };
    Ok(visit.page("Keys", &body))
}

fn row(visit: &Visit<'_>, key: &Value, now: Timestamp) -> Markup {
    let id = text(key, "id");
    let name = text(key, "name");
    let own = visit.user.as_ref().is_some_and(|user| user.key_id() == id);
    html! {
        tr {
            td data-label="Name" {
                a.name dir="auto" href=(format!("/ui/keys/{}", escape(id))) {
                    @if name.is_empty() { "(no name)" } @else { (name) }
                }
                @if own { " " span.badge { "this sign-in" } }
            }
            td.mono data-label="Key" { (text(key, "hint")) }
            td data-label="State" {
                (state(text(key, "state")))
                @if text(key, "environment") == "test" { " " span.badge.test { "test" } }
                @if is(key, "operator") { " " span.badge { "operator" } }
                @if is_expiring(key, now) { " " span.badge.warn { "expires " (time(instant(key, "expiresAt"), now)) } }
                @if is_unused(key, now) { " " span.badge.warn { "unused" } }
            }
            td data-label="May call" { (summary(key)) }
            td data-label="Last used" { (time(instant(key, "lastUsedAt"), now)) }
            td.mono data-label="From" { (text(key, "lastUsedAddress")) }
            td data-label="Made" { (time(instant(key, "createdAt"), now)) }
        }
    }
}

/// What a key may call, in one line.
fn summary(key: &Value) -> Markup {
    let config = key.get("config").unwrap_or(&Value::Null);
    match texts(config, "allowedRoutes") {
        None if is(key, "unrestricted") => html! { strong { "everything" } },
        None => html! { "all routes" },
        Some(routes) => match routes.as_slice() {
            [] => html! { "nothing" },
            [one] => html! { code { (one) } },
            [one, others @ ..] => {
                html! { code { (one) } span.faint { " and " (others.len()) " more" } }
            }
        },
    }
}

/// A key, and whether it may be changed from here.
async fn fetch(visit: &Visit<'_>) -> Result<Value, Failure> {
    visit
        .ask(Ask::get(format!("token/{}/fetch", escape(visit.param(0)))))
        .await
}

pub(super) async fn show(visit: Visit<'_>) -> Result<Response, Failure> {
    let key = match fetch(&visit).await {
        Ok(key) => key,
        Err(failure) if failure.status() == StatusCode::NOT_FOUND => {
            return Ok(nothing(&visit));
        }
        Err(failure) => return Err(failure),
    };
    let tried = new_key::try_existing(&visit, &key).await?;
    let body = one(&visit, &key, &html! {}, &tried);
    Ok(visit.page(title(&key), &body))
}

/// There is no such key, any more perhaps: links of the ledger lead to keys that were deleted.
fn nothing(visit: &Visit<'_>) -> Response {
    let body = html! {
        p.crumb { a href="/ui/keys" { "Keys" } }
        h1 { "There is no such key" }
        p { "It was deleted, or it is not a key of this account." }
        (gone_in_ledger(visit, visit.param(0)))
    };
    visit
        .frame()
        .render_with(StatusCode::NOT_FOUND, "There is no such key", &body)
}

fn title(key: &Value) -> &str {
    match text(key, "name") {
        "" => text(key, "hint"),
        name => name,
    }
}

fn one(visit: &Visit<'_>, key: &Value, above: &Markup, tried: &Markup) -> Markup {
    let now = visit.now();
    let id = text(key, "id");
    let base = format!("/ui/keys/{}", escape(id));
    let enabled = is(key, "enabled");
    let own = visit.user.as_ref().is_some_and(|user| user.key_id() == id);
    html! {
        p.crumb { a href="/ui/keys" { "Keys" } }
        div.head {
            h1 dir="auto" { (title(key)) }
            (state(text(key, "state")))
            @if text(key, "environment") == "test" { span.badge.test { "test" } }
            @if is(key, "operator") { span.badge { "operator" } }
            @if own { span.badge { "this sign-in" } }
        }
        (visit.notice())
        (above)
        @if visit.may_change(&format!("token/{id}/update"), "tokens") {
            div.actions {
                a.button href=(format!("{base}/rotate")) { "Rotate" }
                @if enabled {
                    @if !own { a.button href=(format!("{base}/end-sessions")) { "End its sessions" } }
                    a.button href=(format!("{base}/disable")) { "Disable" }
                } @else {
                    (visit.button(&format!("{base}/enable"), "", "Enable"))
                }
                a.button.danger href=(format!("{base}/revoke")) { "Revoke" }
            }
        }
        div.columns {
            section.card {
                h2 { "Key" }
                dl {
                    (term("Id", &html! { span.mono { (id) } }))
                    @if !text(key, "description").is_empty() {
                        (term("Description", &html! { span dir="auto" { (text(key, "description")) } }))
                    }
                    @if !text(key, "externalId").is_empty() {
                        (term("External id", &html! { span.mono dir="auto" { (text(key, "externalId")) } }))
                    }
                    (term("Made", &time(instant(key, "createdAt"), now)))
                    (term("Expires", &time(instant(key, "expiresAt"), now)))
                    (term("Last used", &html! {
                        (time(instant(key, "lastUsedAt"), now))
                        @if !text(key, "lastUsedAddress").is_empty() {
                            " from " span.mono { (text(key, "lastUsedAddress")) }
                        }
                        @if !text(key, "lastUsedAgent").is_empty() {
                            br; span.faint dir="auto" { (text(key, "lastUsedAgent")) }
                        }
                    }))
                    @if !text(key, "makerId").is_empty() {
                        (term("Made with", &id_link("/ui/keys", text(key, "makerId"))))
                    }
                    @if !text(key, "grantorId").is_empty() {
                        (term("Granted by", &id_text(text(key, "grantorId"))))
                    }
                }
                p {
                    a href=(format!("/ui/sessions?tokenId={}", escape(id))) { "Sessions of this key" }
                    @if visit.may("GET", "audit/list", Some("audit")) {
                        " · " (in_ledger(id))
                    }
                }
            }
            section.card {
                h2 { "Secrets" }
                (secrets(key, now))
            }
            section.card {
                h2 { "What it may do" }
                (restrictions(key.get("config").unwrap_or(&Value::Null), is(key, "unrestricted")))
            }
            section.card #try {
                h2 { "Try a request" }
                (tried)
            }
        }
    }
}

fn secrets(key: &Value, now: Timestamp) -> Markup {
    let secrets = key.get("secrets").and_then(Value::as_array);
    html! {
        table.small {
            caption.hide { "Secrets of this key" }
            thead { tr {
                th scope="col" { "Secret" } th scope="col" { "Made" } th scope="col" { "Works until" }
                th scope="col" { "Last used" } th scope="col" { "From" }
            } }
            tbody {
                @for secret in secrets.into_iter().flatten() {
                    @let end = instant(secret, "expiresAt");
                    tr {
                        td.mono data-label="Secret" { (text(secret, "hint")) }
                        td data-label="Made" { (time(instant(secret, "createdAt"), now)) }
                        td data-label="Works until" {
                            @match end {
                                None => "no end",
                                Some(end) if end <= now => { "ended " (time(Some(end), now)) },
                                Some(end) => (time(Some(end), now)),
                            }
                        }
                        td data-label="Last used" { (time(instant(secret, "lastUsedAt"), now)) }
                        td.mono data-label="From" { (text(secret, "lastUsedAddress")) }
                    }
                }
            }
        }
    }
}

/// Asks before something is done that cannot be taken back.
pub(super) async fn confirm(visit: Visit<'_>) -> Result<Response, Failure> {
    let key = fetch(&visit).await?;
    let act = visit.param(1).to_owned();
    let (heading, button, words) = match act.as_str() {
        "rotate" => (
            "Rotate",
            "Rotate",
            html! {
                p { "A new secret is made for the same key. The old one works on for a while, so that whoever holds it can change over." }
                (field("overlap", "The old secret works for", "", &select("overlap", "86400", &OVERLAPS)))
            },
        ),
        "disable" => (
            "Disable",
            "Disable",
            html! {
                p { "The key stops working now, its sessions end, and so do the keys that were made with it. It can be enabled again; they cannot." }
            },
        ),
        "end-sessions" => (
            "End the sessions of",
            "End its sessions",
            html! {
                p { "Every session that this key minted ends now. The key itself goes on: it is disabled and enabled again. The keys that were made with it end." }
            },
        ),
        "revoke" => (
            "Revoke",
            "Revoke for ever",
            html! {
                p { "The key is deleted. Its sessions and all keys that were made with it end now. This cannot be taken back." }
            },
        ),
        _ => return Err(Error::NotFound.into()),
    };
    let own = visit
        .user
        .as_ref()
        .is_some_and(|user| user.key_id() == text(&key, "id"));
    let base = format!("/ui/keys/{}", escape(text(&key, "id")));
    let danger = act != "rotate";
    let body = html! {
        p.crumb { a href="/ui/keys" { "Keys" } " / " a dir="auto" href=(base) { (title(&key)) } }
        h1 { (heading) " " span dir="auto" { (title(&key)) } }
        div.card.narrow {
            form method="post" action=(format!("{base}/{act}")) {
                (visit.hidden())
                (once(&visit)?)
                (words)
                @if own { p.warning { "This is the key with which you are signed in." } }
                div.actions {
                    button.(if danger { "danger" } else { "primary" }) type="submit" { (button) }
                    a.button href=(base) { "Cancel" }
                }
            }
        }
    };
    Ok(visit.page(heading, &body))
}

const OVERLAPS: [(&str, &str); 5] = [
    ("0", "no longer: cut it off now"),
    ("3600", "an hour"),
    ("86400", "a day"),
    ("604800", "a week"),
    ("2592000", "30 days"),
];

pub(super) async fn rotate(visit: Visit<'_>) -> Result<Response, Failure> {
    let overlap: i64 = visit
        .form
        .get("overlap")
        .parse()
        .map_err(|_| Failure::bad("Say for how long the old secret works."))?;
    let path = format!("token/{}/rotate", escape(visit.param(0)));
    let ask = Ask::post(path, json!({ "overlapInSeconds": overlap }));
    let made = visit.ask(ask.once(visit.form.get("_once"))).await?;
    let above = html! {
        div.made role="status" {
            p { strong { "The new secret is shown this once." } " Put it where it is used, then let the old one end." }
            (secret("secret", "New secret", text(&made, "token")))
            @if let Some(end) = instant(&made, "previousExpiresAt") {
                p { "The old secret works until " (super::show::exact(end)) "." }
            }
        }
    };
    // With no overlap the key of this sign-in is over, and so is the sign-in.
    let body = match fetch(&visit).await {
        Ok(key) => one(&visit, &key, &above, &html! {}),
        Err(failure) => html! { h1 { "Rotated" } (above) (problem(&failure)) },
    };
    Ok(visit.page("Rotated", &body))
}

async fn update(visit: &Visit<'_>, changes: Value) -> Result<(), Failure> {
    let path = format!("token/{}/update", escape(visit.param(0)));
    visit.ask(Ask::post(path, changes)).await?;
    Ok(())
}

fn back(visit: &Visit<'_>, done: &str) -> Response {
    redirect(&format!("/ui/keys/{}?done={done}", escape(visit.param(0))))
}

pub(super) async fn disable(visit: Visit<'_>) -> Result<Response, Failure> {
    update(&visit, json!({ "enabled": false })).await?;
    Ok(back(&visit, "disabled"))
}

pub(super) async fn enable(visit: Visit<'_>) -> Result<Response, Failure> {
    update(&visit, json!({ "enabled": true })).await?;
    Ok(back(&visit, "enabled"))
}

/// Disabling a key ends its sessions, and enabling brings none back.
pub(super) async fn end_sessions(visit: Visit<'_>) -> Result<Response, Failure> {
    update(&visit, json!({ "enabled": false })).await?;
    update(&visit, json!({ "enabled": true })).await?;
    Ok(back(&visit, "ended"))
}

pub(super) async fn revoke(visit: Visit<'_>) -> Result<Response, Failure> {
    let path = format!("token/{}/delete", escape(visit.param(0)));
    visit.ask(Ask::post(path, json!({}))).await?;
    Ok(redirect(&format!(
        "/ui/keys?done=revoked&gone={}",
        escape(visit.param(0))
    )))
}

fn in_ledger(id: &str) -> Markup {
    html! { a href=(format!("/ui/ledger?q={}", escape(id))) { "This key in the ledger" } }
}

/// Where one reads of a key that is gone, for those who may.
fn gone_in_ledger(visit: &Visit<'_>, id: &str) -> Markup {
    let readable = visit.may("GET", "audit/list", Some("audit")) && KeyId::parse(id).is_ok();
    html! { @if readable { p { (in_ledger(id)) } } }
}
