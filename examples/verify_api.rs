//! An API behind hallpass: it verifies session tokens offline, from the published keys.
//!
//! The verifier needs only `hallpass = { default-features = false, features = ["verifier"] }`; axum
//! is this example's own choice. See `examples/verify-api/README.md`.
#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::env;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hallpass::clock::{Clock, SystemClock};
use hallpass::verifier::{Verifier, VerifyError};
use serde_json::{Value, json};

struct Api {
    verifier: Verifier,
    clock: SystemClock,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let verifier = Verifier::builder(env::var("ISSUER")?)
        .audience(env::var("AUDIENCE")?)
        .build()?;
    let api = Arc::new(Api {
        verifier,
        clock: SystemClock::new(),
    });
    let app = Router::new().fallback(answer).with_state(api);
    let port = env::var("PORT").unwrap_or_else(|_| "0".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn answer(State(api): State<Arc<Api>>, request: Request) -> Response {
    let Some(token) = bearer(request.headers()) else {
        return unauthorized("a bearer token is needed");
    };
    // The target as it was sent: nothing decoded, query included.
    let target = request.uri().to_string();
    let method = request.method().as_str();
    match api
        .verifier
        .verify(token, method, &target, api.clock.now())
        .await
    {
        Ok(verified) => {
            let claims = verified.claims();
            let body = json!({
                "method": method,
                "path": verified.path().as_str(),
                "account": claims.sub.as_str(),
                "actor": claims.act.as_ref().map(|actor| actor.sub.as_str()),
            });
            reply(StatusCode::OK, &body)
        }
        Err(VerifyError::Token(why)) => unauthorized(&why.to_string()),
        Err(why @ (VerifyError::Path(_) | VerifyError::Route)) => {
            refuse(StatusCode::FORBIDDEN, &why.to_string())
        }
        Err(why @ VerifyError::Keys(_)) => {
            refuse(StatusCode::SERVICE_UNAVAILABLE, &why.to_string())
        }
    }
}

/// The one bearer token; two headers are none.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token)
}

fn unauthorized(why: &str) -> Response {
    let response = refuse(StatusCode::UNAUTHORIZED, why);
    ([(header::WWW_AUTHENTICATE, "Bearer")], response).into_response()
}

fn refuse(status: StatusCode, why: &str) -> Response {
    reply(status, &json!({ "message": why }))
}

fn reply(status: StatusCode, body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (status, headers, body.to_string()).into_response()
}
