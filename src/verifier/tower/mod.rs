//! A tower layer that lets only allowed requests through, and an axum extractor of the proof.
//!
//! ```no_run
//! # #[cfg(feature = "server")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use axum::{Router, routing::get};
//! use hallpass::verifier::{Verified, Verifier, VerifyLayer};
//!
//! let verifier = Verifier::builder("https://hallpass.example.com")
//!     .audience("https://api.example.com")
//!     .build()?;
//! let app: Router = Router::new()
//!     .route("/v1/bot/{bot}", get(async |verified: Verified| verified.account().to_string()))
//!     .layer(VerifyLayer::new(Arc::new(verifier)));
//! # Ok(())
//! # }
//! ```

mod headers;
mod refusal;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, request};
use serde_json::json;
use tower_layer::Layer;
use tower_service::Service;

use super::{Verified, Verifier, VerifyError};
use headers::{bearer, read_headers};
use refusal::{Challenge, refuse};

pub use refusal::Refusal;

/// Puts a [`Verifier`] before a service. Requests that it allows come through with a [`Verified`]
/// in their extensions; others are answered here: 400, 401, 403 or 503, with the error body that
/// hallpass itself has, and a [`Refusal`] in the extensions of the answer.
///
/// It answers the metadata of RFC 9728 at `/.well-known/oauth-protected-resource`, without a token,
/// when the resource has an address, and names them in `WWW-Authenticate`.
///
/// Routes that everybody may call, and the answers to CORS preflights, stand outside of it.
#[derive(Debug, Clone)]
pub struct VerifyLayer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    verifier: Arc<Verifier>,
    metadata: Option<Metadata>,
    challenge: Challenge,
}

#[derive(Debug)]
struct Metadata {
    path: String,
    body: String,
}

impl VerifyLayer {
    /// A layer of this verifier.
    pub fn new(verifier: Arc<Verifier>) -> Self {
        let resource = verifier.resource.as_deref();
        let url = resource.and_then(|resource| reqwest::Url::parse(resource).ok());
        let metadata = url.as_ref().map(|url| Metadata {
            path: metadata_path(url),
            body: metadata(&verifier, url),
        });
        let challenge = Challenge::new(url.as_ref().map(|url| {
            let mut at = url.clone();
            at.set_path(&metadata_path(url));
            at.set_query(None);
            at.set_fragment(None);
            at
        }));
        let shared = Shared {
            verifier,
            metadata,
            challenge,
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

/// RFC 9728 §3.1: the well-known path stands before that of the resource.
fn metadata_path(resource: &reqwest::Url) -> String {
    let path = resource.path().trim_end_matches('/');
    format!("/.well-known/oauth-protected-resource{path}")
}

fn metadata(verifier: &Verifier, resource: &reqwest::Url) -> String {
    let by_rules = verifier
        .table
        .rules()
        .iter()
        .filter_map(|rule| rule.permission());
    let mut scopes: Vec<&str> = by_rules
        .chain(verifier.table.default_permission())
        .map(super::Permission::as_str)
        .collect();
    scopes.sort_unstable();
    scopes.dedup();
    // The resource as it was given: a parsed address without a path gains a slash.
    let resource = verifier.resource.as_deref().unwrap_or(resource.as_str());
    json!({
        "resource": resource,
        "authorization_servers": [verifier.expected.issuer],
        "scopes_supported": scopes,
        "bearer_methods_supported": ["header"],
    })
    .to_string()
}

impl<S> Layer<S> for VerifyLayer {
    type Service = VerifyService<S>;

    fn layer(&self, inner: S) -> VerifyService<S> {
        VerifyService {
            inner,
            shared: Arc::clone(&self.shared),
        }
    }
}

/// See [`VerifyLayer`].
#[derive(Debug, Clone)]
pub struct VerifyService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B, R> Service<Request<B>> for VerifyService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: From<String>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let waiting = self.inner.clone();
        // The one that said it was ready.
        let mut inner = std::mem::replace(&mut self.inner, waiting);
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            if let Some(metadata) = shared.metadata_for(&parts) {
                return Ok(metadata);
            }
            match shared.judge(&parts).await {
                Ok(verified) => {
                    parts.extensions.insert(verified);
                    inner.call(Request::from_parts(parts, body)).await
                }
                Err(error) => Ok(refuse(&error, &shared.challenge)),
            }
        })
    }
}

impl Shared {
    fn metadata_for<R: From<String>>(&self, parts: &request::Parts) -> Option<Response<R>> {
        let metadata = self.metadata.as_ref()?;
        let reads = parts.method == Method::GET || parts.method == Method::HEAD;
        if !reads || parts.uri.path() != metadata.path {
            return None;
        }
        let mut response = Response::new(R::from(metadata.body.clone()));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        Some(response)
    }

    async fn judge(&self, parts: &request::Parts) -> Result<Verified, VerifyError> {
        let token = bearer(&parts.headers)?;
        let target = parts
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let request = super::Request::new(parts.method.as_str(), target);
        let request = read_headers(request, &parts.headers)?;
        self.verifier.verify(token, &request).await
    }
}

/// The proof that a [`VerifyLayer`] allowed this request. Without one before it, 401: a handler that
/// asks for the proof is never run without.
#[cfg(feature = "verifier-axum")]
impl<S: Send + Sync> axum_core::extract::FromRequestParts<S> for Verified {
    type Rejection = NotVerified;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, NotVerified> {
        parts.extensions.get().cloned().ok_or(NotVerified)
    }
}

/// A handler asked for a [`Verified`], and no [`VerifyLayer`] stands before it.
#[cfg(feature = "verifier-axum")]
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("no verifier stands before this handler")]
pub struct NotVerified;

#[cfg(feature = "verifier-axum")]
impl axum_core::response::IntoResponse for NotVerified {
    fn into_response(self) -> axum_core::response::Response {
        refuse(&VerifyError::Missing, &Challenge::new(None))
    }
}
