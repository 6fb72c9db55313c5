//! A session token, taken apart: what it says, and each check of it.

use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::api::Ask;
use super::new_key::refilled;
use super::page::{Failure, problem};
use super::show::{area, exact, field, id_link, is, labels, term, text, texts};
use super::visit::Visit;
use crate::domain::time::Timestamp;
use crate::token::verify::{Check, Outcome};

pub(super) async fn form(visit: Visit<'_>) -> Result<Response, Failure> {
    let body = whole(&visit, &html! {});
    Ok(visit.page("Look into a token", &body))
}

fn whole(visit: &Visit<'_>, answer: &Markup) -> Markup {
    html! {
        p.crumb { a href="/ui/sessions" { "Sessions" } }
        h1 { "Look into a token" }
        form.card method="post" action="/ui/sessions/inspect" {
            (visit.hidden())
            (field("token", "Session token", "It stays between this page and the service.", &area("token", visit.form.raw("token"), 5, "eyJ…")))
            div.actions { button.primary type="submit" { "Look" } }
        }
        (answer)
    }
}

pub(super) async fn inspect(visit: Visit<'_>) -> Result<Response, Failure> {
    if visit.refill.is_some() {
        let body = whole(&visit, &refilled(&visit));
        return Ok(visit.page("Look into a token", &body));
    }
    let token: String = visit.form.raw("token").split_whitespace().collect();
    let token = token.strip_prefix("Bearer").unwrap_or(&token);
    if token.is_empty() {
        let body = whole(&visit, &problem(&Failure::bad("Paste a token.")));
        return Ok(visit
            .frame()
            .render_with(StatusCode::BAD_REQUEST, "Look into a token", &body));
    }
    let answer = explain(&visit, token).await?;
    let body = whole(&visit, &answer);
    Ok(visit.page("Look into a token", &body))
}

async fn explain(visit: &Visit<'_>, token: &str) -> Result<Markup, Failure> {
    let explanation = visit.edge.app.explain_session(token);
    let genuine = explanation.refusal.is_none();
    let alive = if genuine && visit.may("POST", "session/verify", None) {
        let answer = visit
            .ask(Ask::post("session/verify", json!({ "token": token })))
            .await?;
        Some(is(&answer, "active"))
    } else {
        None
    };
    let good = genuine && alive == Some(true);
    Ok(html! {
        section.card {
            h2 { "Checks" }
            @if good {
                p.verdict.good { strong { "This token is good." } }
            } @else if genuine && alive == Some(false) {
                p.verdict.bad { strong { "This token is genuine, and not good: " } "it was revoked, or it is not yours to ask about." }
            } @else if genuine {
                p.verdict.plain { strong { "This token is genuine. " } "Whether it was revoked, your key may not ask." }
            } @else {
                p.verdict.bad { strong { "This token is not good." } }
            }
            ol.checks {
                @for (check, outcome) in &explanation.checks { (check_line(*check, *outcome)) }
                @match alive {
                    Some(true) => li.passed { b { "passed" } span { "Nothing that it descends from was ended: its key, its family, its account, those above." } },
                    Some(false) => li.failed { b { "failed" } span { "Something that it descends from was ended: its key, its family, its account or one above. Or it belongs to an account that is not yours." } },
                    None => li.not-reached { b { "not asked" } span { "Whether anything that it descends from was ended." } },
                }
            }
        }
        (decoded(visit, token))
    })
}

fn check_line(check: Check, outcome: Outcome) -> Markup {
    let means = match check {
        Check::Form => {
            "It has the form of a signed token: three parts, a header of exactly three members."
        }
        Check::Type => "It is a session token (typ at+jwt), and no other kind.",
        Check::Key => "The key that it names is published here and trusted now.",
        Check::Signature => "The signature is right, with the algorithm of that key.",
        Check::Claims => "Every claim is there and well-formed, and there is no other.",
        Check::Issuer => "It was issued by this service, for this environment.",
        Check::Audience => {
            "It is for an audience that is accepted. Here all are: an API accepts its own alone."
        }
        Check::Lifetime => "It lives for a day at most.",
        Check::IssuedAt => "It was not issued in the future.",
        Check::NotBefore => "Its time has come.",
        Check::Expiry => "Its time is not over.",
        Check::Unbound => "It is not bound to a key that its holder would have to prove.",
    };
    html! {
        @match outcome {
            Outcome::Passed => li.passed { b { "passed" } span { (means) } },
            Outcome::Failed(error) => li.failed { b { "failed" } span { (means) " " em { "It is not so: " (error) "." } } },
            Outcome::NotReached => li.not-reached { b { "not asked" } span { (means) } },
        }
    }
}

/// What the token says, believed or not.
fn decoded(visit: &Visit<'_>, token: &str) -> Markup {
    let part = |index: usize| {
        let part = token.split('.').nth(index)?;
        let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
        serde_json::from_slice::<Value>(&bytes).ok()
    };
    let (Some(header), Some(claims)) = (part(0), part(1)) else {
        return html! { section.card { h2 { "What it says" } p { "It cannot be read: it is no JSON Web Token." } } };
    };
    let secs = |name: &str| {
        claims
            .get(name)
            .and_then(Value::as_i64)
            .map(Timestamp::from_secs)
    };
    let at = |name: &str| {
        html! {
            @if let Some(at) = secs(name) { (super::show::time(Some(at), visit.now())) " " span.faint { (exact(at)) } }
        }
    };
    html! {
        section.card {
            h2 { "What it says" }
            dl {
                (term("Speaks for", &html! { span.mono { (text(&claims, "sub")) } }))
                @let actor = claims.pointer("/act/sub").and_then(Value::as_str).unwrap_or_default();
                @if !actor.is_empty() { (term("Really acts", &html! { span.mono { (actor) } })) }
                (term("Session", &id_link("/ui/sessions", text(&claims, "jti"))))
                (term("Key", &id_link("/ui/keys", text(&claims, "client_id"))))
                (term("May call", &labels(texts(&claims, "allowedRoutes").as_deref(), "not said")))
                (term("Issuer", &html! { span.mono { (text(&claims, "iss")) } }))
                (term("Audience", &html! { span.mono { (text(&claims, "aud")) } }))
                (term("Issued", &at("iat")))
                (term("Ends", &at("exp")))
                (term("Signed with", &html! { span.mono { (text(&header, "alg")) " " (text(&header, "kid")) } }))
            }
            details {
                summary { "All of it" }
                pre tabindex="0" { (pretty(&header)) "\n" (pretty(&claims)) }
            }
        }
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
