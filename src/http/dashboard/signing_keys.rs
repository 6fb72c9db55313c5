//! The keys that sign tokens, for operators.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::api::Ask;
use super::fields::escape;
use super::page::Failure;
use super::redirect;
use super::show::{exact, instant, state, text, time};
use super::visit::Visit;
use crate::app::error::Error;

async fn fetch(visit: &Visit<'_>) -> Result<Vec<Value>, Failure> {
    let page = visit.ask(Ask::get("signing-key/list")).await?;
    let keys = page.get("items").and_then(Value::as_array);
    Ok(keys.cloned().unwrap_or_default())
}

pub(super) async fn list(visit: Visit<'_>) -> Result<Response, Failure> {
    let keys = fetch(&visit).await?;
    let body = html! {
        h1 { "Signing keys" }
        (visit.notice())
        @for environment in ["live", "test"] { (of_environment(&visit, environment, &keys)) }
    };
    Ok(visit.page("Signing keys", &body))
}

fn of_environment(visit: &Visit<'_>, environment: &str, keys: &[Value]) -> Markup {
    let now = visit.now();
    let keys: Vec<&Value> = keys
        .iter()
        .filter(|key| text(key, "environment") == environment)
        .collect();
    let active = keys.iter().find(|key| text(key, "state") == "active");
    let rotation = &visit.edge.app.policy.rotation;
    let next = active
        .and_then(|key| instant(key, "activatedAt"))
        .and_then(|since| rotation.rotates_at(since));
    html! {
        section {
            div.head {
                h2 { @if environment == "live" { "Live" } @else { "Test" } }
                form method="post" action="/ui/signing-keys/rotate" {
                    (visit.hidden())
                    input type="hidden" name="environment" value=(environment);
                    button type="submit" { "Rotate now" }
                }
            }
            p.help {
                @match next {
                    Some(next) => { "The next key takes over " (time(Some(next), now)) "." },
                    None => "There is no schedule; keys are rotated by hand.",
                }
            }
            table {
                caption.hide { "Signing keys, " (environment) }
                thead { tr {
                    th scope="col" { "Key" } th scope="col" { "State" } th scope="col" { "Algorithm" }
                    th scope="col" { "Made" } th scope="col" { "Signing since" } th scope="col" { "Ended" }
                    th scope="col" { span.hide { "What to do" } }
                } }
                tbody {
                    @for key in keys {
                        @let ended = instant(key, "revokedAt").or(instant(key, "retiredAt"));
                        tr {
                            td data-label="Key" { span.mono title=(text(key, "kid")) { (kid(key)) } }
                            td data-label="State" { (state(text(key, "state"))) }
                            td data-label="Algorithm" { (text(key, "algorithm")) }
                            td data-label="Made" { (time(instant(key, "createdAt"), now)) }
                            td data-label="Signing since" { (time(instant(key, "activatedAt"), now)) }
                            td data-label="Ended" { @if ended.is_some() { (time(ended, now)) } }
                            td {
                                @if text(key, "state") != "revoked" {
                                    a href=(format!("/ui/signing-keys/{}/revoke", escape(text(key, "kid")))) {
                                        "Revoke" span.hide { " " (kid(key)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn kid(key: &Value) -> String {
    text(key, "kid").chars().take(12).chain(['…']).collect()
}

pub(super) async fn rotate(visit: Visit<'_>) -> Result<Response, Failure> {
    let body = json!({ "environment": visit.form.get("environment") });
    visit.ask(Ask::post("signing-key/rotate", body)).await?;
    Ok(redirect("/ui/signing-keys?done=rotated"))
}

pub(super) async fn confirm(visit: Visit<'_>) -> Result<Response, Failure> {
    let kid = visit.param(0);
    let keys = fetch(&visit).await?;
    let key = keys
        .iter()
        .find(|key| text(key, "kid") == kid)
        .ok_or(Error::NotFound)?;
    let body = html! {
        p.crumb { a href="/ui/signing-keys" { "Signing keys" } }
        h1 { "Revoke a signing key" }
        div.card.narrow {
            p { "Every token that it signed is refused from now on, whatever else is true of it. Do this when its private half is known to others. To change keys in good order, rotate." }
            @if let Some(until) = instant(key, "unsignedUntil") {
                p.warning {
                    "The next key has not been published for long enough to take its place. Until "
                    (exact(until)) " no " (text(key, "environment")) " session is minted, and "
                    code { "/readyz" } " says that no node is ready."
                }
            }
            p.mono { (kid) }
            form method="post" action=(format!("/ui/signing-keys/{}/revoke", escape(kid))) {
                (visit.hidden())
                div.actions {
                    button.danger type="submit" { "Revoke for ever" }
                    a.button href="/ui/signing-keys" { "Cancel" }
                }
            }
        }
    };
    Ok(visit.page("Revoke a signing key", &body))
}

pub(super) async fn revoke(visit: Visit<'_>) -> Result<Response, Failure> {
    let path = format!("signing-key/{}/revoke", escape(visit.param(0)));
    visit.ask(Ask::post(path, json!({}))).await?;
    Ok(redirect("/ui/signing-keys?done=signing-revoked"))
}
