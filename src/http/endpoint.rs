//! What an endpoint is: a method, a path, what it asks of its caller, and a handler.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::gate::GatePeers;
use super::json;
use super::problem::Problem;
use crate::app::App;
use crate::app::authorise::{Caller, Door, Need, Presented, RouteCheck};
use crate::app::error::Error;
use crate::app::idempotency::{Once, Replay};
use crate::app::sessions::SessionCreated;
use crate::domain::decision::BindingCheck;
use crate::domain::restrictions::Manage;

/// The answer of a handler, some time.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;

/// One line of the table in `routes.rs`.
pub(super) struct Endpoint {
    /// GET or POST.
    pub(super) method: &'static str,
    /// The path below `/v1`, with `{placeholders}`.
    pub(super) path: &'static str,
    /// What it asks of its caller.
    pub(super) access: Access,
    /// What it does.
    pub(super) handler: fn(Call) -> Answer,
}

/// What an endpoint asks of its caller.
#[derive(Clone, Copy)]
pub(super) enum Access {
    /// Nothing: possession of what stands in the body is the proof.
    Public,
    /// A credential that may do this.
    Caller(Need),
    /// A key that may act as the child in the path, `{userId}`.
    ForChild(Need),
}

/// A key that may call the route.
pub(super) const KEY: Need = Need {
    door: Door::Own,
    route: RouteCheck::Always,
    sessions: false,
    manage: None,
    operator: false,
    bindings: BindingCheck::Here,
    run_as_header: true,
    live: false,
};

/// A key that mints; values of bindings may stand in the body.
pub(super) const MINT: Need = Need {
    bindings: BindingCheck::WithBody,
    ..KEY
};

/// A key that reads what it manages.
pub(super) const fn reads(manage: Manage) -> Need {
    Need {
        manage: Some(manage),
        ..KEY
    }
}

/// A key that changes what it manages, never as somebody else.
pub(super) const fn changes(manage: Manage) -> Need {
    Need {
        manage: Some(manage),
        run_as_header: false,
        ..KEY
    }
}

/// A key that changes what test keys may not.
pub(super) const fn changes_live(manage: Manage) -> Need {
    Need {
        live: true,
        ..changes(manage)
    }
}

/// An operator.
pub(super) const OPERATOR: Need = Need {
    operator: true,
    run_as_header: false,
    ..KEY
};

/// An operator that changes what test keys may not.
pub(super) const OPERATOR_LIVE: Need = Need {
    live: true,
    ..OPERATOR
};

/// A request that was admitted, as a handler gets it.
pub(super) struct Call {
    pub(super) app: Arc<App>,
    /// What asked to be admitted, for a change to ask again.
    pub(super) presented: Presented,
    /// Who was admitted; `None` at public endpoints.
    pub(super) caller: Option<Caller>,
    /// The values of the placeholders of the path, in order.
    pub(super) params: Vec<String>,
    pub(super) headers: HeaderMap,
    pub(super) query: Option<String>,
    pub(super) body: Bytes,
    /// The `Idempotency-Key`.
    pub(super) idempotency_key: Option<String>,
    /// Who may ask the gate.
    pub(super) gate: GatePeers,
    /// The other end of the connection.
    pub(super) peer: Option<IpAddr>,
}

impl Call {
    /// The admitted caller.
    pub(super) fn caller(&self) -> Result<&Caller, Problem> {
        Ok(self
            .caller
            .as_ref()
            .ok_or_else(|| Error::internal("a handler without a caller"))?)
    }

    /// The value of the placeholder at this place of the path.
    pub(super) fn param(&self, index: usize) -> Result<&str, Problem> {
        let param = self.params.get(index).map(String::as_str);
        Ok(param.ok_or_else(|| Error::internal("a handler without its parameter"))?)
    }

    /// The body, parsed strictly.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        Ok(json::parse_request(&self.headers, &self.body)?)
    }

    /// The place of the answer for a repetition, when the client asked for one.
    pub(super) fn replay(&self) -> Result<Option<Replay>, Problem> {
        let Some(key) = &self.idempotency_key else {
            return Ok(None);
        };
        Ok(Replay::new(
            &self.presented,
            self.caller()?,
            key,
            &self.body,
        ))
    }

    /// Refuses a body that has anything in it.
    pub(super) fn empty_body(&self) -> Result<(), Problem> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        let Nothing {} = self.json()?;
        Ok(())
    }
}

/// 200 with a JSON body.
pub(super) fn ok(body: &impl Serialize) -> Result<Response, Problem> {
    Ok(with_type("application/json", to_json(body)?))
}

fn to_json(body: &impl Serialize) -> Result<Vec<u8>, Problem> {
    Ok(serde_json::to_vec(body).map_err(|error| Error::Internal(error.into()))?)
}

/// 200 with a JSON body, and whether it is a repetition.
pub(super) fn once(once: &Once<impl Serialize>) -> Result<Response, Problem> {
    Ok(first_or_again(to_json(&once.answer)?, once.replayed))
}

/// [`once`] with a session and its token. The token is most of it and has no character that JSON would
/// escape, so it is not looked through: it stands as it is behind all else.
pub(super) fn session_once(mut once: Once<SessionCreated>) -> Result<Response, Problem> {
    let token = std::mem::take(&mut once.answer.token);
    let mut body = to_json(&once.answer)?;
    // The end of the object.
    body.pop();
    for part in [",\"token\":\"", &token, "\"}"] {
        body.extend_from_slice(part.as_bytes());
    }
    Ok(first_or_again(body, once.replayed))
}

fn first_or_again(body: Vec<u8>, replayed: bool) -> Response {
    let mut response = with_type("application/json", body);
    if replayed {
        let name = HeaderName::from_static("idempotent-replayed");
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static("true"));
    }
    response
}

/// 200 with the id of what was changed.
pub(super) fn id(id: &str) -> Result<Response, Problem> {
    ok(&serde_json::json!({ "id": id }))
}

/// 200 with a body of some type.
pub(super) fn with_type(media_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::OK;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
