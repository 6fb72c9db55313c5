//! Signing in and out.

use axum::http::header::SET_COOKIE;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use maud::{Markup, html};

use super::cookie;
use super::fields::Fields;
use super::page::{Failure, Frame, mark};
use super::visit::Visit;
use super::{Access, find, redirect};
use crate::app::authorise::{Credential, Need, Presented, RouteCheck};
use crate::app::error::{BadCredential, Error};
use crate::domain::binding::NamedValues;
use crate::domain::decision::BindingCheck;
use crate::domain::route::RequestPath;
use crate::http::dispatch;
use crate::http::endpoint::KEY;
use crate::http::problem::Problem;

/// Of a form that was sent without a sign-in, what its page asks for again after it.
const KEPT: &str = "kept.";
/// Fields that are never shown again: whoever signs in next may be somebody else.
const SECRETS: [&str; 1] = ["key"];

pub(super) async fn home(visit: Visit<'_>) -> Result<Response, Failure> {
    let frame = visit.frame();
    match (&visit.user, frame.first()) {
        (None, _) => Ok(ask(&visit, None)),
        (Some(_), Some(first)) => Ok(redirect(first)),
        (Some(user), None) => {
            let body = html! {
                h1 { "Signed in" }
                p { "This key can be used for its work, but none of what is shown here: it may not list sessions, and it manages nothing." }
                p { span.mono { (user.key_id()) } }
            };
            Ok(frame.render("Signed in", &body))
        }
    }
}

/// The page that asks for a key. What a form brought is kept in it.
pub(super) fn ask(visit: &Visit<'_>, why: Option<&str>) -> Response {
    let next = visit
        .parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let kept: Vec<(String, String)> = visit
        .form
        .iter()
        .filter(|(name, _)| *name != "_form" && !SECRETS.contains(name))
        .map(|(name, value)| (format!("{KEPT}{name}"), value.to_owned()))
        .collect();
    form(visit, StatusCode::OK, next, &Fields::new(kept), why, None)
}

fn form(
    visit: &Visit<'_>,
    status: StatusCode,
    next: &str,
    kept: &Fields,
    why: Option<&str>,
    problem: Option<&str>,
) -> Response {
    let has_kept = kept.iter().next().is_some();
    let body = html! {
        div.card.sign-in {
            h1 { (mark()) "hallpass" }
            (visit.notice())
            @if let Some(why) = why { p.notice role="status" { (why) } }
            @if has_kept { p { "What you typed is kept; it is shown again after you sign in." } }
            @if visit.cookie() == cookie::Kind::None {
                (clear_text(visit))
            } @else {
                @if let Some(problem) = problem { div.problem role="alert" { p { (problem) } } }
                form method="post" action="/ui/sign-in" {
                    @if next != "/" { input type="hidden" name="next" value=(next); }
                    @for (name, value) in kept.iter() { input type="hidden" name=(name) value=(value); }
                    div.field {
                        label for="key" { "API key" }
                        input.mono id="key" name="key" type="password" required autofocus autocomplete="off"
                            spellcheck="false" placeholder="sk_live_…" aria-describedby="key-help";
                        p.help id="key-help" {
                            "The first key was printed when the service was started for the first time. The key itself is not kept."
                        }
                    }
                    button.primary type="submit" { "Sign in" }
                }
            }
        }
        p.foot.faint { "You are signed out after 15 minutes without use, and after 8 hours." }
    };
    Frame::bare().render_with(status, "Sign in", &body)
}

fn clear_text(visit: &Visit<'_>) -> Markup {
    html! {
        div.problem role="alert" {
            p {
                "Nobody can sign in here: this service calls itself " code { (visit.edge.app.policy.issuer) }
                ", and over http a key would cross the network in clear text."
            }
            p { "Put TLS in front, and set the issuer to the https address." }
        }
    }
}

pub(super) async fn sign_in(mut visit: Visit<'_>) -> Result<Response, Failure> {
    let cookies = visit.cookie();
    if cookies == cookie::Kind::None {
        return Ok(ask(&visit, None));
    }
    let next = visit.form.get("next").to_owned();
    let kept: Vec<(String, String)> = visit
        .form
        .iter()
        .filter(|(name, _)| {
            let kept = name.strip_prefix(KEPT);
            kept.is_some_and(|name| !SECRETS.contains(&name))
        })
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let handle = match admit(&visit).await {
        Ok(handle) => handle,
        Err(problem) => {
            let shown = problem.shown();
            let kept = Fields::new(kept);
            let said = match shown.status {
                StatusCode::UNAUTHORIZED => "This key is not valid. Take care that it is whole.",
                _ => &shown.message,
            };
            return Ok(form(&visit, shown.status, &next, &kept, None, Some(said)));
        }
    };
    // Whoever was signed in in this browser is not any more.
    if let Some(before) = cookies.read(&visit.parts.headers)
        && let Some(before) = visit.edge.app.signed_in(&before).await?
    {
        visit.edge.app.sign_out(&before).await?;
    }
    let next = safe(&next);
    let mut response = if kept.is_empty() {
        // Only what can be read is gone to; a button that was pressed in vain is pressed again.
        redirect(readable(next))
    } else {
        visit.form = Fields::new(
            kept.into_iter()
                .map(|(name, value)| (name.trim_start_matches(KEPT).to_owned(), value))
                .collect(),
        );
        again(&visit, next)
    };
    if let Some(value) = cookies.set(&handle) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    Ok(response)
}

/// Judges the key as any request is judged, and signs it in.
async fn admit(visit: &Visit<'_>) -> Result<crate::app::dashboard::Handle, Problem> {
    let credential = Credential::parse(visit.form.get("key")).map_err(Error::from)?;
    let path = RequestPath::from_segments(["token", "self", "fetch"])?;
    let facts = dispatch::facts(visit.edge, visit.parts, path, visit.id, NamedValues::new())?;
    let presented = Presented {
        credential,
        wish: None,
        facts,
        need: Need {
            route: RouteCheck::Exempt,
            bindings: BindingCheck::Exempt,
            run_as_header: false,
            ..KEY
        },
    };
    let caller = visit.edge.app.admit(&presented).await?;
    let Credential::Key(key) = &presented.credential else {
        return Err(Error::from(BadCredential::Key).into());
    };
    Ok(visit.edge.app.sign_in(&caller, key).await?)
}

/// A page that sends what was typed to its form once more; with it comes the new sign-in.
fn again(visit: &Visit<'_>, next: &str) -> Response {
    let path = next.split('?').next().unwrap_or_default();
    let is_form = find("POST", path).is_ok_and(|(page, _)| page.access == Access::Form);
    if !is_form {
        return redirect(readable(next));
    }
    let body = html! {
        div.card.sign-in {
            h1 { "Signed in" }
            p { "What you typed is kept. Nothing was done with it yet." }
            form method="post" action=(path) data-send {
                @for (name, value) in visit.form.iter() { input type="hidden" name=(name) value=(value); }
                button.primary type="submit" { "Go on" }
            }
        }
    };
    Frame::bare().render("Signed in", &body)
}

/// A path of the dashboard, or its start.
fn safe(next: &str) -> &str {
    let path = next.split('?').next().unwrap_or_default();
    let ours = path == "/" || (path.starts_with("/ui/") && !next.contains(char::is_control));
    if ours { next } else { "/" }
}

/// The page that can be read at a path, or the one above it.
fn readable(next: &str) -> &str {
    let mut path = next;
    loop {
        let bare = path.split('?').next().unwrap_or_default();
        if find("GET", bare).is_ok_and(|(page, _)| page.method == "GET") {
            return path;
        }
        match bare.rsplit_once('/') {
            Some((above, _)) if above.starts_with("/ui/") => path = above,
            Some(_) | None => return "/",
        }
    }
}

pub(super) async fn sign_out(visit: Visit<'_>) -> Result<Response, Failure> {
    if let Some(user) = &visit.user {
        visit.edge.app.sign_out(&user.sign_in).await?;
    }
    Ok(gone(&visit, "/?done=signed-out"))
}

pub(super) async fn sign_out_everywhere(visit: Visit<'_>) -> Result<Response, Failure> {
    if let Some(user) = &visit.user {
        visit
            .edge
            .app
            .sign_out_everywhere(&user.sign_in.key)
            .await?;
    }
    Ok(gone(&visit, "/?done=signed-out-everywhere"))
}

/// Without the cookie, and without what the browser keeps of the pages.
fn gone(visit: &Visit<'_>, to: &str) -> Response {
    let mut response = redirect(to);
    let headers = response.headers_mut();
    if let Some(value) = visit.cookie().clear() {
        headers.append(SET_COOKIE, value);
    }
    let cache = HeaderValue::from_static("\"cache\"");
    headers.insert(HeaderName::from_static("clear-site-data"), cache);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_sent_to_our_own_pages_alone() {
        for (next, expected) in [
            ("/ui/keys?state=active", "/ui/keys?state=active"),
            ("/", "/"),
            ("", "/"),
            ("//evil.example", "/"),
            ("https://evil.example/ui/", "/"),
            ("/v1/token/list", "/"),
            ("/ui/\r\nset-cookie: a", "/"),
        ] {
            assert_eq!(safe(next), expected, "{next}");
        }
    }

    #[test]
    fn a_button_leads_back_to_its_page() {
        for (next, expected) in [
            ("/ui/keys", "/ui/keys"),
            ("/ui/keys/key_1/disable", "/ui/keys/key_1/disable"),
            ("/ui/sessions/ses_1/revoke", "/ui/sessions/ses_1"),
            ("/ui/act/end", "/"),
            ("/ui/sign-out", "/"),
            ("/ui/nothing/at/all/there", "/"),
        ] {
            assert_eq!(readable(next), expected, "{next}");
        }
    }
}
