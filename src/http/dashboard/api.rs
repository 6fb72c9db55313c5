//! Requests of a page to the API, made in this process.

use std::pin::Pin;

use axum::body::Body;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, ORIGIN, USER_AGENT};
use axum::http::{HeaderValue, Method, Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::fields::escape;
use super::page::Failure;
use super::visit::{User, Visit};
use crate::app::error::Error;
use crate::http::dispatch::{self, Edge};
use crate::http::problem::Shown;
use crate::http::server::PeerAddr;

/// A request to the API.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    body: Option<Value>,
    once: Option<String>,
    lines: bool,
    as_child: Option<String>,
    key: Option<String>,
}

impl Ask {
    /// Reads what is at a path below `/v1/`.
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            query: Vec::new(),
            body: None,
            once: None,
            lines: false,
            as_child: None,
            key: None,
        }
    }

    /// Does something.
    pub(super) fn post(path: impl Into<String>, body: Value) -> Self {
        Self {
            method: Method::POST,
            body: Some(body),
            ..Self::get(path)
        }
    }

    /// With a parameter, unless its value is empty.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        if !value.is_empty() {
            self.query.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Once, however often it is sent.
    pub(super) fn once(mut self, key: &str) -> Self {
        if !key.is_empty() {
            self.once = Some(key.to_owned());
        }
        self
    }

    /// As JSON lines, through all pages.
    pub(super) fn lines(mut self) -> Self {
        self.lines = true;
        self
    }

    /// As a child.
    pub(super) fn for_child(mut self, id: &str) -> Self {
        self.as_child = Some(id.to_owned());
        self
    }

    /// With this key, as whoever holds it would, in place of the one that signed in. Nothing when it
    /// is empty.
    pub(super) fn with_key(mut self, key: &str) -> Self {
        if !key.is_empty() {
            self.key = Some(key.to_owned());
        }
        self
    }

    /// Whether the API leaves things out of the list.
    pub(super) fn is_filtered(&self) -> bool {
        self.query
            .iter()
            .any(|(name, _)| !["cursor", "order", "take"].contains(&name.as_str()))
    }

    fn target(&self) -> String {
        let mut target = format!("/v1/{}", self.path);
        for (index, (name, value)) in self.query.iter().enumerate() {
            target.push(if index == 0 { '?' } else { '&' });
            target.push_str(&escape(name));
            target.push('=');
            target.push_str(&escape(value));
        }
        target
    }
}

/// What the API is told of the browser's request, so that addresses, programs and origins are those
/// of the user.
const PASSED_ON: [HeaderName; 3] = [
    USER_AGENT,
    ORIGIN,
    HeaderName::from_static("x-forwarded-for"),
];

impl Visit<'_> {
    /// The answer of the API, if it is a good one.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Value, Failure> {
        let response = self.send(ask).await?;
        let status = response.status();
        let body = response.into_body().collect().await;
        let bytes = body
            .map_err(|_| Error::internal("an answer that cannot be read"))?
            .to_bytes();
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|_| Error::internal("an answer that is not JSON"))?;
        if status == StatusCode::OK {
            Ok(value)
        } else {
            Err(Failure::Api(Box::new(shown(status, &value))))
        }
    }

    /// The answer of the API as it is.
    pub(super) async fn send(&self, ask: Ask) -> Result<Response, Failure> {
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(ask.target())
            .body(match &ask.body {
                Some(body) => Body::from(body.to_string()),
                None => Body::empty(),
            })
            .map_err(|_| Error::internal("a page made a request that cannot be"))?;
        let headers = request.headers_mut();
        for name in PASSED_ON {
            for value in self.parts.headers.get_all(&name) {
                headers.append(&name, value.clone());
            }
        }
        let accept = if ask.lines {
            "application/jsonl"
        } else {
            "application/json"
        };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if ask.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        // Another key speaks for itself.
        let user = self.user.as_ref().filter(|_| ask.key.is_none());
        let acting = user.and_then(User::acting);
        let bearer = ask.key.as_ref().map(|key| format!("Bearer {key}"));
        for (name, value) in [
            (AUTHORIZATION, bearer.as_deref()),
            (
                HeaderName::from_static("x-runas-user-id"),
                ask.as_child.as_deref().or(acting),
            ),
            (
                HeaderName::from_static("idempotency-key"),
                ask.once.as_deref(),
            ),
        ] {
            if let Some(value) = value {
                let value = HeaderValue::from_str(value)
                    .map_err(|_| Failure::bad("This is not a text that can be used here."))?;
                headers.insert(name, value);
            }
        }
        let extensions = request.extensions_mut();
        if let Some(peer) = self.parts.extensions.get::<PeerAddr>() {
            extensions.insert(*peer);
        }
        if let Some(user) = user {
            extensions.insert(user.credential());
        }
        let mut template = None;
        let answer = handle(self.edge, request, self.id, &mut template).await;
        answer.map_err(Failure::from)
    }
}

type Handled<'a> =
    Pin<Box<dyn Future<Output = Result<Response, crate::http::Problem>> + Send + 'a>>;

/// In a box, since the router calls the page that calls the router.
fn handle<'a>(
    edge: &'a Edge,
    request: Request<Body>,
    id: &'a crate::domain::id::RequestId,
    template: &'a mut Option<&'static str>,
) -> Handled<'a> {
    Box::pin(dispatch::handle(edge, request, id, template))
}

fn shown(status: StatusCode, answer: &Value) -> Shown {
    let error = answer.get("error").and_then(Value::as_object);
    let text = |name: &str| {
        let value = error.and_then(|error| error.get(name));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    Shown {
        status,
        error_code: text("code"),
        message: text("message"),
        extra: error.cloned().unwrap_or_default(),
    }
}
