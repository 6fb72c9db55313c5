//! What stands around every page, and pages that say what went wrong.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use super::assets;
use super::show::{account_name, text};
use super::visit::{User, Visit};
use crate::app::error::Error;
use crate::http::problem::{Problem, Shown};

/// Why a page cannot be shown, or did not do what it was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// The API said no.
    Api(Box<Shown>),
    /// The dashboard itself did.
    Page {
        status: StatusCode,
        title: &'static str,
        message: String,
    },
}

impl Failure {
    /// What was typed cannot be used.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::Page {
            status: StatusCode::BAD_REQUEST,
            title: "This cannot be done",
            message: message.into(),
        }
    }

    /// What people are told. The API names fields as programs write them; pages have labels.
    pub(super) fn message(&self) -> String {
        let shown = match self {
            Self::Api(shown) => shown,
            Self::Page { message, .. } => return message.clone(),
        };
        if shown.error_code == "ROUTES_REQUIRED" {
            return "The key does not narrow routes, so say which the session may call; ** is all of them."
                .to_owned();
        }
        let field = shown.extra.get("field").and_then(|field| field.as_str());
        let said = field.and_then(|field| {
            let rest = shown.message.strip_prefix(field)?.strip_prefix(": ")?;
            Some(format!("{}: {rest}", label(field)))
        });
        said.unwrap_or_else(|| shown.message.clone())
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Api(shown) => shown.status,
            Self::Page { status, .. } => *status,
        }
    }

    /// The shortest request that a wish would allow and its ceiling does not.
    pub(super) fn counter_example(&self) -> Option<String> {
        match self {
            Self::Api(shown) => shown.extra.get("counterExample").map(counter_example),
            Self::Page { .. } => None,
        }
    }
}

/// What a page calls a field of the API.
fn label(field: &str) -> &str {
    match field {
        "allowedRoutes" => "Routes",
        "domains" => "Domains",
        "durationInSeconds" => "Lives for",
        "description" => "Description",
        "email" => "Email",
        "name" => "Name",
        "path" => "Path",
        "url" => "URL",
        other => other,
    }
}

/// `METHOD path`, however it is written.
pub(super) fn counter_example(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(_) => format!("{} {}", text(value, "method"), text(value, "path")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => value.to_string(),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Api(Box::new(Problem::from(error).shown()))
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Api(Box::new(problem.shown()))
    }
}

/// What stands around a page: who is signed in, and where one can go.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    user: Option<User>,
    links: Vec<(&'static str, &'static str)>,
    path: &'static str,
}

impl Frame {
    /// Around a page that nobody needs to be signed in for.
    pub(super) fn bare() -> Self {
        Self {
            user: None,
            links: Vec::new(),
            path: "/",
        }
    }

    pub(super) fn new(visit: &Visit<'_>) -> Self {
        let mut links = Vec::new();
        for (path, name, route, manage) in [
            ("/ui/keys", "Keys", "token/list", Some("tokens")),
            ("/ui/sessions", "Sessions", "session/list", None),
            ("/ui/accounts", "Accounts", "user/list", Some("users")),
            ("/ui/webhooks", "Webhooks", "webhook/list", Some("webhooks")),
            ("/ui/ledger", "Ledger", "audit/list", Some("audit")),
            ("/ui/usage", "Usage", "usage/fetch", Some("audit")),
        ] {
            if visit.may("GET", route, manage) {
                links.push((path, name));
            }
        }
        if visit.user.as_ref().is_some_and(User::is_operator) {
            links.push(("/ui/signing-keys", "Signing keys"));
        }
        Self {
            user: visit.user.clone(),
            links,
            path: visit.path,
        }
    }

    /// Where a user begins.
    pub(super) fn first(&self) -> Option<&'static str> {
        self.links.first().map(|(path, _)| *path)
    }

    /// A whole page.
    pub(super) fn render(&self, title: &str, body: &Markup) -> Response {
        self.render_with(StatusCode::OK, title, body)
    }

    pub(super) fn render_with(&self, status: StatusCode, title: &str, body: &Markup) -> Response {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="robots" content="noindex";
                    title { (title) " · hallpass" }
                    link rel="icon" type="image/svg+xml" href=(assets::icon());
                    link rel="stylesheet" href=(assets::style());
                    script src=(assets::script()) defer {}
                }
                body {
                    a.skip href="#main" { "Skip to content" }
                    @if let Some(user) = &self.user {
                        (Self::top(user))
                        div.shell {
                            (self.nav(user))
                            main #main tabindex="-1" { (Self::banner(user)) (body) }
                        }
                    } @else {
                        main #main.alone tabindex="-1" { (body) }
                    }
                }
            }
        };
        html_response(status, &page)
    }

    fn top(user: &User) -> Markup {
        let key = user.me.get("token").unwrap_or(&Value::Null);
        let environment = text(&user.me, "environment");
        html! {
            header.top {
                a.brand href="/" { (mark()) span { "hallpass" } }
                div.who {
                    @if environment == "test" { span.badge.test { "test" } }
                    @if user.is_operator() { span.badge { "operator" } }
                    span.whose dir="auto" title=(user.account_id()) {
                        (user.account.as_ref().map_or_else(|| user.account_id().to_owned(), account_name))
                    }
                    @let name = text(key, "name");
                    span.with.mono dir="auto" title="The key with which you signed in" {
                        @if name.is_empty() { (text(key, "hint")) } @else { (name) }
                    }
                    form method="post" action="/ui/sign-out" {
                        (hidden(user))
                        button.quiet type="submit" { "Sign out" }
                    }
                }
            }
        }
    }

    fn nav(&self, user: &User) -> Markup {
        html! {
            nav.side aria-label="Pages" {
                ul {
                    @for (path, name) in &self.links {
                        @let here = self.path.starts_with(path);
                        li { a href=(path) aria-current=[here.then_some("page")] { (name) } }
                    }
                }
                form method="post" action="/ui/sign-out-everywhere" {
                    (hidden(user))
                    button.quiet type="submit" { "Sign out everywhere" }
                }
            }
        }
    }

    fn banner(user: &User) -> Markup {
        html! {
            @if let Some(child) = user.acting() {
                aside.acting role="status" {
                    p {
                        strong { "Acting as " bdi { (user.account.as_ref().map_or_else(|| child.to_owned(), account_name)) } }
                        " "
                        span.mono { (child) }
                        @let actor = text(&user.me, "actorId");
                        br;
                        span { "All that you see and do is theirs, and both ledgers say that " }
                        span.mono { @if actor.is_empty() { "your account" } @else { (actor) } }
                        span { " acted. Nothing of your own account can be managed meanwhile." }
                    }
                    form method="post" action="/ui/act/end" {
                        (hidden(user))
                        button type="submit" { "End acting" }
                    }
                }
            }
        }
    }
}

/// What every form brings along.
pub(super) fn hidden(user: &User) -> Markup {
    html! { input type="hidden" name="_form" value=(user.form_token()); }
}

impl Visit<'_> {
    /// What every form brings along.
    pub(super) fn hidden(&self) -> Markup {
        html! { @if let Some(user) = &self.user { (hidden(user)) } }
    }

    /// A form with one button.
    pub(super) fn button(&self, action: &str, class: &str, name: &str) -> Markup {
        html! {
            form method="post" action=(action) {
                (self.hidden())
                button.(class) type="submit" { (name) }
            }
        }
    }

    /// Makes a page.
    pub(super) fn page(&self, title: &str, body: &Markup) -> Response {
        self.frame().render(title, body)
    }

    /// What was done before this page, from a closed list: nobody can write into a link what we
    /// would say.
    pub(super) fn notice(&self) -> Markup {
        let done = match self.query.get("done") {
            "revoked" => "The key is revoked, and so is all that was made with it.",
            "disabled" => "The key is disabled, and its sessions have ended.",
            "enabled" => "The key is enabled.",
            "ended" => "The sessions have ended.",
            "session-revoked" => "The session and its renewals are revoked.",
            "account-created" => "The account is there.",
            "suspended" => "The account is suspended, with everything below it.",
            "resumed" => "The account is active again. Its sessions stay ended.",
            "deleted" => "The account is deleted, with everything below it.",
            "acting" => "You act as this account now.",
            "acted" => "You act as yourself again.",
            "rotated" => "The signing key was rotated.",
            "signing-revoked" => {
                "The signing key is revoked. Every token that it signed is refused."
            }
            "webhook-sent" => "It is on its way; load the page again to see what became of it.",
            "webhook-changed" => "The webhook is changed.",
            "webhook-enabled" => "The webhook is enabled, and it is forgotten that it failed.",
            "webhook-disabled" => "The webhook is disabled. Nothing is sent there.",
            "webhook-deleted" => "The webhook is deleted.",
            "signed-out-everywhere" => "You are signed out everywhere.",
            "signed-out" => "You are signed out.",
            _ => return html! {},
        };
        html! { p.notice role="status" { (done) } }
    }
}

/// A page that says what went wrong.
pub(super) fn failure(frame: &Frame, failure: &Failure) -> Response {
    let status = failure.status();
    let title = match failure {
        Failure::Page { title, .. } => (*title).to_owned(),
        Failure::Api(_) => match status {
            StatusCode::NOT_FOUND => "There is nothing here".to_owned(),
            StatusCode::FORBIDDEN => "Your key may not do this".to_owned(),
            StatusCode::CONFLICT => "This cannot be done now".to_owned(),
            StatusCode::TOO_MANY_REQUESTS => "Too many requests".to_owned(),
            StatusCode::SERVICE_UNAVAILABLE => "Not available at the moment".to_owned(),
            _ => "This did not work".to_owned(),
        },
    };
    let body = html! {
        h1 { (title) }
        (problem(failure))
        @if status == StatusCode::NOT_FOUND {
            p { "It may have been deleted while the page was open." }
        }
        p { a href="/" { "Back to the start" } }
    };
    frame.render_with(status, &title, &body)
}

/// What went wrong, within a page.
pub(super) fn problem(failure: &Failure) -> Markup {
    html! {
        div.problem role="alert" {
            p { (failure.message()) }
            @if let Some(example) = failure.counter_example() {
                p { "For example, it would allow " code { (example) } ", which your key does not." }
            }
        }
    }
}

/// HTML.
pub(super) fn html_response(status: StatusCode, page: &Markup) -> Response {
    let mut response = Response::new(page.0.clone().into());
    *response.status_mut() = status;
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    response
}

/// The mark of the product.
pub(super) fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" {
            path d="M4 5.5A2.5 2.5 0 0 1 6.5 3h11A2.5 2.5 0 0 1 20 5.5v13a2.5 2.5 0 0 1-2.5 2.5h-11A2.5 2.5 0 0 1 4 18.5z" fill="currentColor" opacity=".16" {}
            circle cx="12" cy="9.5" r="3" fill="none" stroke="currentColor" stroke-width="2" {}
            path d="M12 12.5V18m0-2.5h2.5" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" {}
        }
    }
}
