//! One request of a browser, and who is signed in.

use axum::http::request::Parts;
use serde_json::Value;

use super::cookie;
use super::fields::Fields;
use super::page::Frame;
use crate::app::dashboard::{Handle, SignIn, SignedIn};
use crate::domain::id::{AccountId, RequestId};
use crate::domain::route::{RequestPath, RouteSet};
use crate::domain::time::Timestamp;
use crate::http::dispatch::Edge;

/// A request for a page.
pub(super) struct Visit<'a> {
    pub(super) edge: &'a Edge,
    /// What the browser sent.
    pub(super) parts: &'a Parts,
    pub(super) id: &'a RequestId,
    /// The values of the placeholders of the path, in order.
    pub(super) params: Vec<String>,
    pub(super) query: Fields,
    pub(super) form: Fields,
    /// The path of the page in the table.
    pub(super) path: &'static str,
    /// Who is signed in.
    pub(super) user: Option<User>,
    /// Why a form is shown again with what was typed, in place of what it does.
    pub(super) refill: Option<&'static str>,
}

/// Who is signed in.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) handle: Handle,
    pub(super) sign_in: SignIn,
    /// What `token/self/fetch` says.
    pub(super) me: Value,
    /// What `user/self/fetch` says, if it may be asked.
    pub(super) account: Option<Value>,
}

impl User {
    /// What every request of a page to the API presents.
    pub(super) fn credential(&self) -> SignedIn {
        SignedIn {
            handle: self.handle.clone(),
            key: self.sign_in.key_digest,
        }
    }

    /// The child as which it acts.
    pub(super) fn acting(&self) -> Option<&str> {
        self.sign_in.acting_as.as_ref().map(AccountId::as_str)
    }

    /// The token that its forms bring along.
    pub(super) fn form_token(&self) -> String {
        self.handle.form_token(self.sign_in.acting_as.as_ref())
    }

    /// Whether the key manages this.
    pub(super) fn manages(&self, what: &str) -> bool {
        let manage = self
            .me
            .pointer("/effective/manage")
            .and_then(Value::as_array);
        manage.is_some_and(|manage| manage.iter().any(|one| one == what))
    }

    /// Whether it is an operator key, acting as itself.
    pub(super) fn is_operator(&self) -> bool {
        let operator = self.me.pointer("/token/operator").and_then(Value::as_bool);
        operator == Some(true) && self.acting().is_none()
    }

    /// Whether the routes of the key allow a request, for what is offered to a user. The API
    /// decides.
    pub(super) fn may_call(&self, method: &str, path: &str) -> bool {
        let Ok(path) = RequestPath::from_segments(path.split('/')) else {
            return false;
        };
        let ceilings = self.me.pointer("/effective/allowedRoutes");
        let Some(ceilings) = ceilings.and_then(Value::as_array) else {
            return true;
        };
        ceilings.iter().all(|ceiling| {
            let patterns = ceiling.as_array().into_iter().flatten();
            RouteSet::parse(patterns.filter_map(Value::as_str))
                .is_ok_and(|set| set.matches(method, &path).is_some())
        })
    }

    /// The id of the key with which it signed in.
    pub(super) fn key_id(&self) -> &str {
        self.sign_in.key.as_str()
    }

    /// The id of the account for which it speaks.
    pub(super) fn account_id(&self) -> &str {
        self.me
            .get("userId")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

impl Visit<'_> {
    /// Now.
    pub(super) fn now(&self) -> Timestamp {
        self.edge.app.now()
    }

    /// How the cookie is set here.
    pub(super) fn cookie(&self) -> cookie::Kind {
        cookie::Kind::of_issuer(&self.edge.app.policy.issuer)
    }

    /// The value of the placeholder at this place of the path; empty when there is none, which the
    /// API does not find.
    pub(super) fn param(&self, index: usize) -> &str {
        self.params.get(index).map_or("", String::as_str)
    }

    /// What stands around a page.
    pub(super) fn frame(&self) -> Frame {
        Frame::new(self)
    }

    /// Whether the API may be asked this by the one who is signed in.
    pub(super) fn may(&self, method: &str, path: &str, manage: Option<&str>) -> bool {
        self.user.as_ref().is_some_and(|user| {
            user.may_call(method, path) && manage.is_none_or(|manage| user.manages(manage))
        })
    }

    /// Whether somebody is signed in, and acts as nobody else.
    pub(super) fn is_oneself(&self) -> bool {
        self.user
            .as_ref()
            .is_some_and(|user| user.acting().is_none())
    }

    /// Whether it may be changed here: never while acting as a child.
    pub(super) fn may_change(&self, path: &str, manage: &str) -> bool {
        self.is_oneself() && self.may("POST", path, Some(manage))
    }
}
