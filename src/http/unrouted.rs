//! What the server answers without the router: the same error body, headers, metrics and log.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use super::exchange::finish;
use super::gate;
use super::json::JsonError;
use super::problem::Problem;
use super::server::{RenderProblem, ServerProblem};
use crate::app::App;
use crate::app::error::Error;
use crate::domain::id::RequestId;

/// The answers of this service to what goes wrong before or beside its endpoints.
pub fn server_problems(app: &Arc<App>) -> Arc<RenderProblem> {
    let app = Arc::clone(app);
    Arc::new(move |problem, target| answer(&app, problem, target))
}

fn answer(app: &App, problem: ServerProblem, target: &Uri) -> Response {
    let Ok(id) = RequestId::of_request(app.now(), &*app.entropy) else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return response;
    };
    let problem = match problem {
        ServerProblem::BodyTooLarge => Problem::Json(JsonError::TooLarge),
        ServerProblem::BodyUnreadable => Problem::Json(JsonError::Unreadable),
        ServerProblem::BodyTooSlow => Problem::BodyTooSlow,
        ServerProblem::Panicked => Error::internal("a handler panicked").into(),
        ServerProblem::TooSlow => {
            Error::Unavailable("a handler did not answer in time".into()).into()
        }
        ServerProblem::Overloaded => {
            Error::Unavailable("too many requests are under way".into()).into()
        }
    };
    let timer = app.metrics.begin_request();
    let code = problem.error_code();
    app.metrics.refused(code);
    // Gateways make an error of their own of any other refusal, as they do of the gate's.
    let mut response = if gate::find(target.path()).is_some() {
        app.metrics.gate_refused();
        problem.into_gate_response(&id)
    } else {
        problem.into_response(&id)
    };
    let status = response.status().as_u16();
    timer.finish(None, status);
    tracing::info!(request.id = %id, status, code, "request answered by the server");
    finish(response.headers_mut(), &id);
    response
}
