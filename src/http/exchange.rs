//! A request while it is answered: its name, its log line, its metrics, and the headers that every
//! answer has.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, HeaderName,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;

use super::dispatch::Edge;
use super::fields::{BadValue, FieldSink};
use super::problem::Problem;
use crate::domain::id::RequestId;
use crate::entropy::NoEntropy;
use crate::metrics::RequestTimer;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request that is being answered: what its log line, its metrics and its headers are made of.
pub(super) struct Exchange {
    pub(super) id: RequestId,
    timer: RequestTimer,
    is_gate: bool,
    cross_origin: bool,
    method: &'static str,
    /// The path in the table of routes, once it was found.
    pub(super) template: Option<&'static str>,
}

impl Exchange {
    pub(super) fn begin(
        edge: &Edge,
        method: &Method,
        is_gate: bool,
        cross_origin: bool,
    ) -> Result<Self, NoEntropy> {
        let app = &edge.app;
        let timer = app.metrics.begin_request();
        Ok(Self {
            id: RequestId::of_request(app.now(), &*app.entropy)?,
            timer,
            is_gate,
            cross_origin,
            method: standard_method(method),
            template: None,
        })
    }

    pub(super) fn end(self, edge: &Edge, answer: Result<Response, Problem>) -> Response {
        let metrics = &edge.app.metrics;
        let mut code = None;
        let mut response = match answer {
            Ok(response) => response,
            Err(problem) => {
                code = Some(problem.error_code());
                metrics.refused(problem.error_code());
                if self.is_gate {
                    metrics.gate_refused();
                    problem.into_gate_response(&self.id)
                } else {
                    problem.into_response(&self.id)
                }
            }
        };
        let status = response.status();
        let headers = response.headers_mut();
        finish(headers, &self.id);
        if self.cross_origin {
            // Browsers may present a session token. A key has no business there, but no cookie of
            // ours could be abused either: every credential stands in a header that the page itself
            // sets.
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            let exposed = HeaderValue::from_static("X-Request-Id, Retry-After");
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
        self.close(status, code);
        response
    }

    /// The request was answered: it is counted and logged.
    pub(super) fn close(self, status: StatusCode, code: Option<&'static str>) {
        let Self {
            id,
            timer,
            is_gate,
            method,
            template,
            ..
        } = self;
        let status = status.as_u16();
        let duration_ms = timer.finish(template, status);
        let route = template.unwrap_or("none");
        // Neither the path nor the query: either may hold what is nobody else's business.
        if is_gate && code.is_none() {
            // There is one for every request of the API behind.
            tracing::debug!(request.id = %id, method, route, status, duration_ms, "request allowed");
        } else if route.ends_with("revocations") && code.is_none() {
            // Each verifier asks all the time.
            tracing::debug!(request.id = %id, method, route, status, duration_ms, "request answered");
        } else {
            tracing::info!(request.id = %id, method, route, status, code, duration_ms, "request answered");
        }
    }
}

/// The headers of every answer that has no others of their names.
pub(super) fn sign(into: &mut impl FieldSink, id: &RequestId) -> Result<(), BadValue> {
    into.field(&REQUEST_ID, id.as_str())?;
    into.field(&X_CONTENT_TYPE_OPTIONS, "nosniff")
}

pub(super) fn no_store(into: &mut impl FieldSink) -> Result<(), BadValue> {
    into.field(&CACHE_CONTROL, "no-store")
}

/// The headers of every answer.
pub(super) fn finish(headers: &mut HeaderMap, id: &RequestId) {
    // All that ids are made of can stand in a header.
    sign(headers, id).ok();
    if !headers.contains_key(CACHE_CONTROL) {
        no_store(headers).ok();
    }
}

/// The method as it is logged. Clients may make up any, of any length.
fn standard_method(method: &Method) -> &'static str {
    const STANDARD: [&str; 9] = [
        "GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT",
    ];
    let known = STANDARD.into_iter().find(|known| *known == method.as_str());
    known.unwrap_or("other")
}
