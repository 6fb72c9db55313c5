//! Webhooks: who is told, and how that went.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::api::Ask;
use super::fields::{Fields, escape};
use super::new_key::refilled;
use super::page::{Failure, problem};
use super::redirect;
use super::show::{
    area, collect, exact, field, input, instant, is, labels, once, pager, secret, select, state,
    term, text, texts, time,
};
use super::visit::Visit;
use crate::app::error::Error;
use crate::domain::time::Timestamp;
use crate::domain::webhook::EventKind;

pub(super) async fn list(visit: Visit<'_>) -> Result<Response, Failure> {
    let listed = collect(&visit, Ask::get("webhook/list"), |_| true).await?;
    let now = visit.now();
    let body = html! {
        div.head {
            h1 { "Webhooks" }
            @if visit.may_change("webhook/create", "webhooks") { a.button.primary href="/ui/webhooks/new" { "New webhook" } }
        }
        (visit.notice())
        @if listed.items.is_empty() {
            p.empty { "Nobody is told yet. A webhook is a URL of yours to which signed events are sent, such as a key that was reported." }
        } @else {
            table {
                caption.hide { "Webhooks" }
                thead { tr {
                    th scope="col" { "URL" } th scope="col" { "State" } th scope="col" { "Events" }
                    th scope="col" { "Last taken" } th scope="col" { "Made" }
                } }
                tbody { @for webhook in &listed.items { (row(webhook, now)) } }
            }
            (pager(&visit, &listed, "/ui/webhooks"))
        }
    };
    Ok(visit.page("Webhooks", &body))
}

fn row(webhook: &Value, now: Timestamp) -> Markup {
    html! {
        tr {
            td data-label="URL" {
                a.name href=(base(webhook)) { (text(webhook, "url")) }
                @if !text(webhook, "description").is_empty() { br; span.faint dir="auto" { (text(webhook, "description")) } }
            }
            td data-label="State" { (state(text(webhook, "state"))) }
            td data-label="Events" {
                @match texts(webhook, "events") { None => "all", Some(events) => { (events.len()) " kinds" } }
            }
            td data-label="Last taken" { (time(instant(webhook, "deliveredAt"), now)) }
            td data-label="Made" { (time(instant(webhook, "createdAt"), now)) }
        }
    }
}

fn base(webhook: &Value) -> String {
    format!("/ui/webhooks/{}", escape(text(webhook, "id")))
}

/// The path of the API below the webhook of this page.
fn at(visit: &Visit<'_>, verb: &str) -> String {
    format!("webhook/{}/{verb}", escape(visit.param(0)))
}

async fn fetch(visit: &Visit<'_>) -> Result<Value, Failure> {
    visit.ask(Ask::get(at(visit, "fetch"))).await
}

pub(super) async fn show(visit: Visit<'_>) -> Result<Response, Failure> {
    let webhook = fetch(&visit).await?;
    let body = one(&visit, &webhook, &html! {}).await?;
    Ok(visit.page("Webhook", &body))
}

async fn one(visit: &Visit<'_>, webhook: &Value, above: &Markup) -> Result<Markup, Failure> {
    let now = visit.now();
    let base = base(webhook);
    let may_change = visit.may_change(
        &format!("webhook/{}/update", text(webhook, "id")),
        "webhooks",
    );
    let enabled = is(webhook, "enabled");
    let log = log(visit, webhook, may_change && enabled).await?;
    Ok(html! {
        p.crumb { a href="/ui/webhooks" { "Webhooks" } }
        div.head {
            h1 { (text(webhook, "url")) }
            (state(text(webhook, "state")))
        }
        (visit.notice())
        (above)
        @if may_change {
            div.actions {
                @if enabled { (visit.button(&format!("{base}/test"), "primary", "Send a test event")) }
                a.button href=(format!("{base}/edit")) { "Change" }
                a.button href=(format!("{base}/rotate")) { "Rotate the secret" }
                @if enabled { (visit.button(&format!("{base}/disable"), "", "Disable")) }
                @else { (visit.button(&format!("{base}/enable"), "", "Enable")) }
                a.button.danger href=(format!("{base}/delete")) { "Delete" }
            }
        }
        section.card {
            h2.hide { "Webhook" }
            dl {
                (term("Id", &html! { span.mono { (text(webhook, "id")) } }))
                @if !text(webhook, "description").is_empty() {
                    (term("Description", &html! { span dir="auto" { (text(webhook, "description")) } }))
                }
                (term("Events", &labels(texts(webhook, "events").as_deref(), "all")))
                (term("Last taken", &time(instant(webhook, "deliveredAt"), now)))
                @for (name, label) in [
                    ("failingSince", "Failing since"), ("disabledAt", "Disabled by the service"),
                    ("overflowedAt", "An event was not kept"), ("previousSecretExpiresAt", "The old secret signs until"),
                ] {
                    @if let Some(at) = instant(webhook, name) { (term(label, &time(Some(at), now))) }
                }
                (term("Made", &time(instant(webhook, "createdAt"), now)))
            }
        }
        (log)
    })
}

const STATES: [(&str, &str); 4] = [
    ("", "Any state"),
    ("pending", "Pending"),
    ("delivered", "Delivered"),
    ("failed", "Failed"),
];

/// What was sent, and what became of it.
async fn log(visit: &Visit<'_>, webhook: &Value, may_send: bool) -> Result<Markup, Failure> {
    let wanted = visit.query.get("state");
    let ask = Ask::get(at(visit, "delivery/list")).with("state", wanted);
    let listed = collect(visit, ask, |_| true).await?;
    let now = visit.now();
    let base = base(webhook);
    Ok(html! {
        section {
            div.head { h2 { "Deliveries" } }
            form.filters method="get" action=(base) {
                label.hide for="state" { "State" }
                (select("state", wanted, &STATES))
                button type="submit" { "Filter" }
            }
            @if listed.items.is_empty() {
                p.empty { @if wanted.is_empty() { "Nothing was sent yet." } @else { "No delivery is like that." } }
            } @else {
                table {
                    caption.hide { "Deliveries of 30 days" }
                    thead { tr {
                        th scope="col" { "When" } th scope="col" { "Event" } th scope="col" { "State" }
                        th scope="col" { "Answer" } th scope="col" { "Attempts" } th scope="col" { "Next" }
                        th scope="col" { "Payload" } @if may_send { th scope="col" { span.hide { "Send again" } } }
                    } }
                    tbody { @for delivery in &listed.items { (delivered(visit, &base, delivery, may_send, now)) } }
                }
                (pager(visit, &listed, &base))
            }
        }
    })
}

fn delivered(
    visit: &Visit<'_>,
    base: &str,
    delivery: &Value,
    may_send: bool,
    now: Timestamp,
) -> Markup {
    let number = |name: &str| delivery.get(name).and_then(Value::as_i64);
    let payload = delivery.get("payload").unwrap_or(&Value::Null);
    html! {
        tr {
            td data-label="When" { (time(instant(delivery, "createdAt"), now)) }
            td data-label="Event" {
                span.badge.plain { (text(delivery, "type")) }
                @if text(delivery, "environment") == "test" { " " span.badge.test { "test" } }
                @if !text(delivery, "replayOf").is_empty() { br; span.faint { "sent again" } }
            }
            td data-label="State" { (state(text(delivery, "state"))) }
            td data-label="Answer" {
                @if let Some(status) = number("status") { (status) " " }
                (why(text(delivery, "problem")))
                @if let Some(ms) = number("durationInMilliseconds") { " " span.faint { "in " (ms) " ms" } }
            }
            td data-label="Attempts" { (number("attempts").unwrap_or_default()) }
            td data-label="Next" { @if let Some(next) = instant(delivery, "nextAttemptAt") { (time(Some(next), now)) } }
            td data-label="Payload" {
                details.inline {
                    summary { "show" }
                    pre tabindex="0" dir="auto" { (format!("{payload:#}")) }
                }
            }
            @if may_send {
                td {
                    // What waits is sent without being asked.
                    @if text(delivery, "state") != "pending" {
                        (visit.button(&format!("{base}/replay/{}", escape(text(delivery, "id"))), "", "Send again"))
                    }
                }
            }
        }
    }
}

/// What went wrong, beside the status.
fn why(problem: &str) -> &str {
    match problem {
        "address" => "no public address",
        "connection" => "no connection",
        "name" => "the name is not known",
        "redirect" => "redirects are not followed",
        "status" => "",
        "timeout" => "no answer in time",
        other => other,
    }
}

/// The fields of a webhook: as they were typed, else as they are.
struct Typed<'v> {
    url: &'v str,
    description: &'v str,
    events: Vec<String>,
}

impl<'v> Typed<'v> {
    fn of_form(form: &'v Fields) -> Self {
        Self {
            url: form.get("url"),
            description: form.raw("description"),
            events: form.all("events").into_iter().map(str::to_owned).collect(),
        }
    }

    fn of_webhook(webhook: &'v Value) -> Self {
        Self {
            url: text(webhook, "url"),
            description: text(webhook, "description"),
            events: texts(webhook, "events").unwrap_or_default(),
        }
    }
}

fn form(
    visit: &Visit<'_>,
    typed: &Typed<'_>,
    action: &str,
    button: &str,
    above: &Markup,
) -> Result<Markup, Failure> {
    let back = action.rsplit_once('/').map_or("/ui/webhooks", |(up, _)| up);
    Ok(html! {
        p.crumb { a href="/ui/webhooks" { "Webhooks" } }
        h1 { (button) }
        (above)
        form.card.narrow method="post" action=(action) {
            (visit.hidden())
            (once(visit)?)
            (field("url", "URL", "It begins with https:// and leads to a public address.", &input("url", typed.url)))
            (field("description", "Description", "", &area("description", typed.description, 2, "")))
            fieldset {
                legend { "Events" }
                div.ticks {
                    @for kind in EventKind::ALL.into_iter().filter(|kind| *kind != EventKind::WebhookTest) {
                        @let name = kind.as_str();
                        label.tick {
                            input type="checkbox" name="events" value=(name) checked[typed.events.iter().any(|one| one == name)];
                            (name)
                        }
                    }
                }
                p.help { "None ticked: all of them." }
            }
            div.actions {
                button.primary type="submit" { (button) }
                a.button href=(back) { "Cancel" }
            }
        }
    })
}

const CREATE: &str = "Create webhook";
const CHANGE: &str = "Change webhook";

pub(super) async fn new(visit: Visit<'_>) -> Result<Response, Failure> {
    let typed = Typed::of_form(&visit.form);
    let body = form(&visit, &typed, "/ui/webhooks/new", CREATE, &html! {})?;
    Ok(visit.page("New webhook", &body))
}

pub(super) async fn create(visit: Visit<'_>) -> Result<Response, Failure> {
    let typed = Typed::of_form(&visit.form);
    if visit.refill.is_some() {
        let above = refilled(&visit);
        let body = form(&visit, &typed, "/ui/webhooks/new", CREATE, &above)?;
        return Ok(visit.page("New webhook", &body));
    }
    let mut wanted = Map::new();
    wanted.insert("url".to_owned(), typed.url.into());
    if !typed.description.is_empty() {
        wanted.insert("description".to_owned(), typed.description.into());
    }
    if !typed.events.is_empty() {
        wanted.insert("events".to_owned(), typed.events.clone().into());
    }
    let ask = Ask::post("webhook/create", Value::Object(wanted));
    match visit.ask(ask.once(visit.form.get("_once"))).await {
        Ok(made) => Ok(visit.page("Webhook created", &created(&made))),
        Err(failure) => {
            let above = problem(&failure);
            let body = form(&visit, &typed, "/ui/webhooks/new", CREATE, &above)?;
            Ok(visit
                .frame()
                .render_with(failure.status(), "New webhook", &body))
        }
    }
}

fn created(made: &Value) -> Markup {
    html! {
        p.crumb { a href="/ui/webhooks" { "Webhooks" } }
        h1 { "The webhook is made" }
        div.card.made role="status" {
            p { strong { "Its secret is shown this once." } " The receiver needs it to check the signatures." }
            (secret("secret", "Secret", text(made, "secret")))
            div.actions { a.button.primary href=(base(made)) { "Go to the webhook" } }
        }
    }
}

pub(super) async fn edit(visit: Visit<'_>) -> Result<Response, Failure> {
    let webhook = fetch(&visit).await?;
    let action = format!("{}/edit", base(&webhook));
    let typed = Typed::of_webhook(&webhook);
    let body = form(&visit, &typed, &action, CHANGE, &html! {})?;
    Ok(visit.page(CHANGE, &body))
}

pub(super) async fn change(visit: Visit<'_>) -> Result<Response, Failure> {
    let typed = Typed::of_form(&visit.form);
    let back = format!("/ui/webhooks/{}", escape(visit.param(0)));
    let action = format!("{back}/edit");
    if visit.refill.is_some() {
        let body = form(&visit, &typed, &action, CHANGE, &refilled(&visit))?;
        return Ok(visit.page(CHANGE, &body));
    }
    let before = fetch(&visit).await?;
    let mut changes = Map::new();
    let mut clear = Vec::new();
    // The same URL once more would forget that the webhook fails.
    if typed.url != text(&before, "url") {
        changes.insert("url".to_owned(), typed.url.into());
    }
    match typed.description {
        "" => clear.push("description"),
        description => {
            changes.insert("description".to_owned(), description.into());
        }
    }
    if typed.events.is_empty() {
        clear.push("events");
    } else {
        changes.insert("events".to_owned(), typed.events.clone().into());
    }
    changes.insert("clear".to_owned(), clear.into());
    match visit
        .ask(Ask::post(at(&visit, "update"), Value::Object(changes)))
        .await
    {
        Ok(_) => Ok(redirect(&format!("{back}?done=webhook-changed"))),
        Err(failure) => {
            let body = form(&visit, &typed, &action, CHANGE, &problem(&failure))?;
            Ok(visit.frame().render_with(failure.status(), CHANGE, &body))
        }
    }
}

const OVERLAPS: [(&str, &str); 4] = [
    ("0", "no longer"),
    ("3600", "an hour"),
    ("86400", "a day"),
    ("604800", "a week"),
];

/// Asks before something is done that cannot be taken back.
pub(super) async fn confirm(visit: Visit<'_>) -> Result<Response, Failure> {
    let webhook = fetch(&visit).await?;
    let act = visit.param(1).to_owned();
    let (heading, class, words) = match act.as_str() {
        "rotate" => (
            "Rotate the secret",
            "primary",
            html! {
                p { "A new secret is made. For a while deliveries are signed with both, so that the receiver can change over." }
                (field("overlap", "The old secret signs for", "", &select("overlap", "86400", &OVERLAPS)))
            },
        ),
        "delete" => (
            "Delete the webhook",
            "danger",
            html! { p { "Nothing is sent there any more, and what waits is dropped. This cannot be taken back." } },
        ),
        _ => return Err(Error::NotFound.into()),
    };
    let base = base(&webhook);
    let body = html! {
        p.crumb { a href="/ui/webhooks" { "Webhooks" } " / " a href=(base) { (text(&webhook, "url")) } }
        h1 { (heading) }
        div.card.narrow {
            form method="post" action=(format!("{base}/{act}")) {
                (visit.hidden())
                (once(&visit)?)
                (words)
                div.actions {
                    button.(class) type="submit" { (heading) }
                    a.button href=(base) { "Cancel" }
                }
            }
        }
    };
    Ok(visit.page(heading, &body))
}

pub(super) async fn rotate(visit: Visit<'_>) -> Result<Response, Failure> {
    let overlap: i64 = visit
        .form
        .get("overlap")
        .parse()
        .map_err(|_| Failure::bad("Say for how long the old secret signs."))?;
    let ask = Ask::post(at(&visit, "rotate"), json!({ "overlapInSeconds": overlap }));
    let made = visit.ask(ask.once(visit.form.get("_once"))).await?;
    let above = html! {
        div.made role="status" {
            p { strong { "The new secret is shown this once." } }
            (secret("secret", "New secret", text(&made, "secret")))
            @if let Some(end) = instant(&made, "previousSecretExpiresAt") {
                p { "The old secret signs, too, until " (exact(end)) "." }
            }
        }
    };
    let webhook = fetch(&visit).await?;
    let body = one(&visit, &webhook, &above).await?;
    Ok(visit.page("Rotated", &body))
}

async fn act(visit: &Visit<'_>, verb: &str, body: Value, done: &str) -> Result<Response, Failure> {
    visit.ask(Ask::post(at(visit, verb), body)).await?;
    Ok(redirect(&format!(
        "/ui/webhooks/{}?done={done}",
        escape(visit.param(0))
    )))
}

pub(super) async fn test(visit: Visit<'_>) -> Result<Response, Failure> {
    act(&visit, "test", json!({}), "webhook-sent").await
}

pub(super) async fn replay(visit: Visit<'_>) -> Result<Response, Failure> {
    let verb = format!("delivery/{}/replay", escape(visit.param(1)));
    act(&visit, &verb, json!({}), "webhook-sent").await
}

pub(super) async fn disable(visit: Visit<'_>) -> Result<Response, Failure> {
    let body = json!({ "enabled": false });
    act(&visit, "update", body, "webhook-disabled").await
}

pub(super) async fn enable(visit: Visit<'_>) -> Result<Response, Failure> {
    let body = json!({ "enabled": true });
    act(&visit, "update", body, "webhook-enabled").await
}

pub(super) async fn delete(visit: Visit<'_>) -> Result<Response, Failure> {
    visit
        .ask(Ask::post(at(&visit, "delete"), json!({})))
        .await?;
    Ok(redirect("/ui/webhooks?done=webhook-deleted"))
}
