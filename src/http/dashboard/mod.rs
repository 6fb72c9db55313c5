//! The dashboard: pages for people, made on the server.
//!
//! A page does nothing by itself. What it shows and what it does are requests to the API, made in
//! this process with the sign-in as their credential ([`api`]), so that routes, management,
//! bindings, liveness and the ledger are those of the API, and there is no second pipeline. What is
//! here is who is signed in, that a form was made by one of these pages, and HTML, which `maud`
//! escapes by construction.

mod accounts;
mod api;
mod assets;
mod cookie;
mod fields;
mod guard;
mod inspect;
mod keys;
mod ledger;
mod new_key;
mod page;
mod sessions;
mod show;
mod sign_in;
mod signing_keys;
mod usage;
mod visit;
mod webhooks;

use std::pin::Pin;

use axum::body::Body;
use axum::http::header::{
    ALLOW, CONTENT_SECURITY_POLICY, HeaderName, LOCATION, REFERRER_POLICY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use super::dispatch::{Edge, match_line};
use super::json::read_bytes;
use super::problem::Problem;
use crate::domain::id::RequestId;
use fields::Fields;
use guard::Guarded;
use page::Failure;
use visit::Visit;

/// The answer of a page, some time.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send + 'a>>;

/// A page, or what a form of a page does.
pub(super) struct Page {
    /// GET or POST.
    pub(super) method: &'static str,
    /// The whole path, with `{placeholders}`.
    pub(super) path: &'static str,
    access: Access,
    handler: for<'a> fn(Visit<'a>) -> Answer<'a>,
}

/// What a page asks of its visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Nothing, and nobody asks who it is.
    Public,
    /// Nothing.
    Open,
    /// To be signed in.
    SignedIn,
    /// To be signed in, and to act as nobody else: it has a form for what the API allows no parent
    /// that acts as a child.
    AsOneself,
    /// To be signed in, and a form that a page of the same sign-in made. Where either is missing,
    /// nothing is done, and what was typed is shown again.
    Form,
    /// The same, for buttons: nothing was typed.
    Button,
}

macro_rules! page {
    ($method:literal $path:literal $access:ident $handler:path) => {
        Page {
            method: $method,
            path: $path,
            access: Access::$access,
            handler: |visit| Box::pin($handler(visit)),
        }
    };
}

/// Every page, on one page.
#[rustfmt::skip]
pub(super) const PAGES: &[Page] = &[
    page!("GET"  "/"                              Open      sign_in::home),
    page!("POST" "/ui/sign-in"                    Public    sign_in::sign_in),
    page!("POST" "/ui/sign-out"                   Button    sign_in::sign_out),
    page!("POST" "/ui/sign-out-everywhere"        Button    sign_in::sign_out_everywhere),
    page!("GET"  "/ui/assets/{file}"              Public    assets::serve),
    page!("GET"  "/ui/keys"                       SignedIn  keys::list),
    page!("GET"  "/ui/keys/new"                   AsOneself new_key::form),
    page!("POST" "/ui/keys/new"                   Form      new_key::create),
    page!("POST" "/ui/keys/preview"               Form      new_key::preview),
    page!("GET"  "/ui/keys/{id}"                  SignedIn  keys::show),
    page!("GET"  "/ui/keys/{id}/{act}"            AsOneself keys::confirm),
    page!("POST" "/ui/keys/{id}/rotate"           Button    keys::rotate),
    page!("POST" "/ui/keys/{id}/disable"          Button    keys::disable),
    page!("POST" "/ui/keys/{id}/enable"           Button    keys::enable),
    page!("POST" "/ui/keys/{id}/end-sessions"     Button    keys::end_sessions),
    page!("POST" "/ui/keys/{id}/revoke"           Button    keys::revoke),
    page!("GET"  "/ui/sessions"                   SignedIn  sessions::list),
    page!("GET"  "/ui/sessions/mint"              SignedIn  sessions::mint_form),
    page!("POST" "/ui/sessions/mint"              Form      sessions::mint),
    page!("POST" "/ui/sessions/mint/with"         Form      sessions::mint_with),
    page!("GET"  "/ui/sessions/inspect"           SignedIn  inspect::form),
    page!("POST" "/ui/sessions/inspect"           Form      inspect::inspect),
    page!("GET"  "/ui/sessions/{id}"              SignedIn  sessions::show),
    page!("POST" "/ui/sessions/{id}/revoke"       Button    sessions::revoke),
    page!("GET"  "/ui/accounts"                   SignedIn  accounts::list),
    page!("GET"  "/ui/accounts/new"               AsOneself accounts::form),
    page!("POST" "/ui/accounts/new"               Form      accounts::create),
    page!("GET"  "/ui/accounts/{id}"              SignedIn  accounts::show),
    page!("GET"  "/ui/accounts/{id}/{act}"        AsOneself accounts::confirm),
    page!("POST" "/ui/accounts/{id}/suspend"      Button    accounts::suspend),
    page!("POST" "/ui/accounts/{id}/resume"       Button    accounts::resume),
    page!("POST" "/ui/accounts/{id}/delete"       Button    accounts::delete),
    page!("POST" "/ui/accounts/{id}/end-sessions" Button    accounts::end_sessions),
    page!("POST" "/ui/accounts/{id}/act"          Button    accounts::act),
    page!("POST" "/ui/act/end"                    Button    accounts::act_no_more),
    page!("GET"  "/ui/webhooks"                   SignedIn  webhooks::list),
    page!("GET"  "/ui/webhooks/new"               AsOneself webhooks::new),
    page!("POST" "/ui/webhooks/new"               Form      webhooks::create),
    page!("GET"  "/ui/webhooks/{id}"              SignedIn  webhooks::show),
    page!("GET"  "/ui/webhooks/{id}/edit"         AsOneself webhooks::edit),
    page!("POST" "/ui/webhooks/{id}/edit"         Form      webhooks::change),
    page!("GET"  "/ui/webhooks/{id}/{act}"        AsOneself webhooks::confirm),
    page!("POST" "/ui/webhooks/{id}/test"         Button    webhooks::test),
    page!("POST" "/ui/webhooks/{id}/replay/{delivery}" Button    webhooks::replay),
    page!("POST" "/ui/webhooks/{id}/rotate"       Button    webhooks::rotate),
    page!("POST" "/ui/webhooks/{id}/disable"      Button    webhooks::disable),
    page!("POST" "/ui/webhooks/{id}/enable"       Button    webhooks::enable),
    page!("POST" "/ui/webhooks/{id}/delete"       Button    webhooks::delete),
    page!("GET"  "/ui/ledger"                     SignedIn  ledger::list),
    page!("GET"  "/ui/ledger/acted"               SignedIn  ledger::acted),
    page!("GET"  "/ui/ledger/export"              SignedIn  ledger::export),
    page!("GET"  "/ui/signing-keys"               AsOneself signing_keys::list),
    page!("POST" "/ui/signing-keys/rotate"        Button    signing_keys::rotate),
    page!("GET"  "/ui/signing-keys/{kid}/revoke"  AsOneself signing_keys::confirm),
    page!("POST" "/ui/signing-keys/{kid}/revoke"  Button    signing_keys::revoke),
    page!("GET"  "/ui/usage"                      SignedIn  usage::show),
];

/// The method and path of every page. They are for browsers and no part of the API, so
/// `openapi.yaml` has none of them.
pub fn pages() -> Vec<(&'static str, &'static str)> {
    PAGES.iter().map(|page| (page.method, page.path)).collect()
}

/// Whether a path belongs to the dashboard.
pub(super) fn is_page(path: &str) -> bool {
    path == "/" || path.starts_with("/ui/")
}

/// Answers a request for a page. Errors are pages, too.
pub(super) async fn answer(
    edge: &Edge,
    parts: Parts,
    body: Body,
    id: &RequestId,
    template: &mut Option<&'static str>,
) -> Response {
    let (page, params) = match find(parts.method.as_str(), parts.uri.path()) {
        Ok(found) => found,
        Err(problem) => return nothing(problem),
    };
    *template = Some(page.path);
    let body = match read_bytes(body).await {
        Ok(body) => body,
        Err(error) => return nothing(error.into()),
    };
    let fields = Fields::of_query(parts.uri.query())
        .and_then(|query| Ok((query, Fields::of_form(&parts.headers, &body)?)));
    let Ok((query, form)) = fields else {
        let mut response = page::failure(&page::Frame::bare(), &too_many_fields());
        protect(&mut response);
        return response;
    };
    let visit = Visit {
        edge,
        parts: &parts,
        id,
        params,
        query,
        form,
        path: page.path,
        user: None,
        refill: None,
    };
    let mut response = match guard::check(visit, page).await {
        Ok(Guarded::Visit(visit)) => {
            let visit = *visit;
            let frame = visit.frame();
            match (page.handler)(visit).await {
                Ok(response) => response,
                Err(failure) => {
                    edge.app.metrics.refused("DASHBOARD");
                    page::failure(&frame, &failure)
                }
            }
        }
        Ok(Guarded::Answer(response)) => response,
        Err(failure) => page::failure(&page::Frame::bare(), &failure),
    };
    protect(&mut response);
    response
}

/// There is no such page, or not for this method, or what was sent cannot be read.
fn nothing(problem: Problem) -> Response {
    let allowed = if let Problem::Method(allowed) = &problem {
        Some(HeaderValue::from_static(allowed))
    } else {
        None
    };
    let mut response = page::failure(&page::Frame::bare(), &problem.into());
    if let Some(allowed) = allowed {
        response.headers_mut().insert(ALLOW, allowed);
    }
    protect(&mut response);
    response
}

fn too_many_fields() -> Failure {
    Failure::bad(format!(
        "More than {} fields were sent, and so many are not read. Nothing was done. Go back, choose \
        fewer, and send it again; the API takes longer lists.",
        fields::FIELDS_MAX
    ))
}

fn find(method: &str, path: &str) -> Result<(&'static Page, Vec<String>), Problem> {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let mut other_method = None;
    for page in PAGES {
        let Some(params) = match_line(page.path.trim_start_matches('/'), &segments) else {
            continue;
        };
        if method == page.method || (method == "HEAD" && page.method == "GET") {
            let decode = |param: String| {
                percent_encoding::percent_decode_str(&param)
                    .decode_utf8_lossy()
                    .into_owned()
            };
            return Ok((page, params.into_iter().map(decode).collect()));
        }
        other_method = Some(page.method);
    }
    match other_method {
        Some(allowed) => Err(Problem::Method(allowed)),
        None => Err(crate::app::error::Error::NotFound.into()),
    }
}

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

fn protect(response: &mut Response) {
    let unauthenticated = response.status() == StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    if unauthenticated {
        // RFC 9110 wants one; browsers know nothing of this scheme and ask nobody.
        let challenge = HeaderValue::from_static("Bearer realm=\"hallpass\"");
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: with it browsers send `Origin: null` with our own forms.
        (REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Sends the browser on to another page.
fn redirect(to: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(LOCATION, to);
    }
    response
}
