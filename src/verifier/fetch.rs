//! Asking the issuer, with a bound on time and bytes and without redirects.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};

use super::BuildError;

/// How long an answer may take beyond what it was asked to wait.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why the issuer gave no answer that can be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AnswerError {
    /// No answer in time, or the connection failed.
    #[error("the issuer cannot be reached")]
    Unreachable(#[source] Arc<reqwest::Error>),
    /// Another status than 200; redirects are not followed.
    #[error("the issuer answered {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// More bytes than such an answer may have.
    #[error("the answer of the issuer is too long")]
    TooLong,
}

/// A body of a good answer, and for how many seconds it may be kept.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) max_age_secs: Option<i64>,
}

/// The one HTTP client of a verifier.
pub(super) fn client() -> Result<Client, BuildError> {
    Client::builder()
        .connect_timeout(TIMEOUT)
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("hallpass-verifier/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(BuildError::Client)
}

/// An address that nobody on the way can answer for: https, or http on this machine.
pub(super) fn safe_url(url: &str) -> Result<Url, BuildError> {
    let url = Url::parse(url).map_err(|_| BuildError::Url)?;
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    if url.scheme() == "https" || url.scheme() == "http" && is_here {
        Ok(url)
    } else {
        Err(BuildError::Url)
    }
}

/// Sends a request and reads its answer. `wait` is how long the answer was asked to wait.
pub(super) async fn ask(
    request: RequestBuilder,
    wait: Duration,
    len_max: usize,
) -> Result<Body, AnswerError> {
    let unreachable = |error| AnswerError::Unreachable(Arc::new(error));
    let sent = request.timeout(wait + TIMEOUT).send().await;
    let mut answer = sent.map_err(unreachable)?;
    if answer.status() != StatusCode::OK {
        return Err(AnswerError::Status {
            status: answer.status().as_u16(),
        });
    }
    let max_age_secs = max_age_secs(&answer);
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if bytes.len().saturating_add(chunk.len()) > len_max {
            return Err(AnswerError::TooLong);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Body {
        bytes,
        max_age_secs,
    })
}

fn max_age_secs(answer: &Response) -> Option<i64> {
    let header = answer.headers().get(reqwest::header::CACHE_CONTROL)?;
    let directives = header.to_str().ok()?.split(',');
    directives
        .filter_map(|directive| directive.trim().strip_prefix("max-age="))
        .find_map(|secs| secs.parse().ok())
}
