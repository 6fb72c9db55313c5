//! What is asked before a page is reached: a sign-in that is alive, and a form of our own.

use axum::http::header::{HOST, HeaderName, ORIGIN, SET_COOKIE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;

use super::api::Ask;
use super::page::Failure;
use super::visit::{User, Visit};
use super::{Access, Page, page, sign_in};
use crate::domain::id::AccountId;

/// What became of a request.
pub(super) enum Guarded<'a> {
    /// It goes on to its page.
    Visit(Box<Visit<'a>>),
    /// It is answered.
    Answer(Response),
}

const OUTDATED: &str = "This page was made before you signed in again, or before you began or ended \
    acting as another account. Nothing was done. Look at it once more, and send it again.";

/// Checks what a page asks of its visitor.
pub(super) async fn check<'a>(mut visit: Visit<'a>, page: &Page) -> Result<Guarded<'a>, Failure> {
    if visit.parts.method == Method::POST && !is_from_here(&visit) {
        return Err(Failure::Page {
            status: StatusCode::FORBIDDEN,
            title: "Not from here",
            message: "This form was sent by another site, or by a browser that does not say where it comes from. Nothing was done."
                .to_owned(),
        });
    }
    if page.access == Access::Public {
        return Ok(Guarded::Visit(Box::new(visit)));
    }
    match identify(&mut visit).await? {
        Identified::Nobody | Identified::User => {}
        Identified::Ended(why) => return Ok(Guarded::Answer(ended(&visit, why))),
        Identified::ActsNoMore => {
            return Err(Failure::Page {
                status: StatusCode::FORBIDDEN,
                title: "No longer acting as this account",
                message: "You may not act as this account any more. You act as yourself again; nothing was done."
                    .to_owned(),
            });
        }
    }
    match (page.access, &visit.user) {
        (Access::Public | Access::Open, _) | (Access::SignedIn, Some(_)) => {}
        (Access::SignedIn | Access::AsOneself | Access::Form | Access::Button, None) => {
            return Ok(Guarded::Answer(sign_in::ask(&visit, None)));
        }
        (Access::AsOneself, Some(user)) => {
            if user.acting().is_some() {
                return Ok(Guarded::Answer(page::failure(
                    &visit.frame(),
                    &Failure::Page {
                        status: StatusCode::FORBIDDEN,
                        title: "Not while acting as another account",
                        message: "What you want to change is managed by its own account alone. End acting first, or let somebody of that account do it."
                            .to_owned(),
                    },
                )));
            }
        }
        (Access::Form | Access::Button, Some(user)) => {
            let acting = user.sign_in.acting_as.as_ref();
            if !user.handle.made_form(visit.form.raw("_form"), acting) {
                if page.access == Access::Button {
                    return Ok(Guarded::Answer(page::failure(
                        &visit.frame(),
                        &Failure::Page {
                            status: StatusCode::CONFLICT,
                            title: "This page was out of date",
                            message: OUTDATED.to_owned(),
                        },
                    )));
                }
                visit.refill = Some(OUTDATED);
            }
        }
    }
    Ok(Guarded::Visit(Box::new(visit)))
}

enum Identified {
    Nobody,
    User,
    Ended(&'static str),
    ActsNoMore,
}

/// Finds out who is signed in, as whom, and that the key is alive at this moment.
async fn identify(visit: &mut Visit<'_>) -> Result<Identified, Failure> {
    let Some(handle) = visit.cookie().read(&visit.parts.headers) else {
        return Ok(Identified::Nobody);
    };
    let app = &visit.edge.app;
    let Some(sign_in) = app.signed_in(&handle).await? else {
        return Ok(Identified::Ended(
            "You were signed out after a while, or elsewhere.",
        ));
    };
    visit.user = Some(User {
        handle,
        sign_in,
        me: serde_json::Value::Null,
        account: None,
    });
    let me = match visit.ask(Ask::get("token/self/fetch")).await {
        Ok(me) => me,
        Err(Failure::Api(shown)) if shown.status == StatusCode::UNAUTHORIZED => {
            if let Some(user) = visit.user.take() {
                app.sign_out(&user.sign_in).await?;
            }
            return Ok(Identified::Ended(
                "The key with which you signed in is not valid any more.",
            ));
        }
        Err(Failure::Api(shown)) if shown.error_code == "IMPERSONATION_DENIED" => {
            if let Some(user) = &visit.user {
                app.act_in_dashboard(&user.sign_in, None::<&AccountId>)
                    .await?;
            }
            return Ok(Identified::ActsNoMore);
        }
        Err(failure) => return Err(failure),
    };
    if let Some(user) = &mut visit.user {
        user.me = me;
    }
    if visit.may("GET", "user/self/fetch", Some("users")) {
        let account = visit.ask(Ask::get("user/self/fetch")).await.ok();
        if let Some(user) = &mut visit.user {
            user.account = account;
        }
    }
    Ok(Identified::User)
}

/// The sign-in page, and no cookie any more.
fn ended(visit: &Visit<'_>, why: &'static str) -> Response {
    let mut response = sign_in::ask(visit, Some(why));
    if let Some(gone) = visit.cookie().clear() {
        response.headers_mut().append(SET_COOKIE, gone);
    }
    response
}

/// Whether a form was sent by one of our own pages, as far as the browser knows. A page of another
/// site cannot say that it is one of ours; one that says nothing is not believed.
fn is_from_here(visit: &Visit<'_>) -> bool {
    let headers = &visit.parts.headers;
    let site = one(headers, &HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| site != "same-origin") {
        return false;
    }
    let Some(origin) = one(headers, &ORIGIN) else {
        return false;
    };
    let issuer = &visit.edge.app.policy.issuer;
    if origin_of(issuer) == Some(origin) {
        return true;
    }
    // Under another name than the public one, such as `localhost`. HTTP/2 has it in the target.
    let host = one(headers, &HOST).or_else(|| visit.parts.uri.authority().map(Authority::as_str));
    let named = origin.split_once("://").map(|(_, host)| host);
    named.is_some() && named == host
}

fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        (None | Some(_), _) => None,
    }
}

/// Scheme, host and port of a URL.
fn origin_of(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next()?;
    url.get(..scheme.len() + "://".len() + host.len())
}
