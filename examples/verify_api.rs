//! An API behind hallpass: it verifies session tokens offline, from the published keys, and follows
//! the revocation feed.
//!
//! A service needs only `hallpass = { default-features = false, features = ["verifier-axum"] }`. See
//! `examples/verify/README.md`.
#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::env;
use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use hallpass::verifier::{Verified, Verifier, VerifyLayer};
use serde_json::json;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut verifier = Verifier::builder(env::var("ISSUER")?).audience(env::var("AUDIENCE")?);
    if let Ok(secs) = env::var("BOUND_SECS") {
        verifier = verifier.bound_secs(secs.parse()?);
    }
    let verifier = verifier.build()?;
    verifier.ready().await;
    // Every route of this router is behind the verifier; what it refuses never comes to `answer`.
    let app = Router::new()
        .fallback(answer)
        .layer(VerifyLayer::new(Arc::new(verifier)));
    let port = env::var("PORT").unwrap_or_else(|_| "0".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// `Verified` is the proof that the request was allowed; there is no other way to get one.
async fn answer(verified: Verified, method: Method) -> impl IntoResponse {
    let actor = verified
        .is_impersonated()
        .then(|| verified.actor().as_str());
    let body = json!({
        "method": method.as_str(),
        "path": verified.path().as_str(),
        "account": verified.account().as_str(),
        "actor": actor,
    });
    ([(CONTENT_TYPE, "application/json")], body.to_string())
}
