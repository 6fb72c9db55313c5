//! The revocation feed. Everybody may read it.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use super::endpoint::{Call, with_type};
use super::problem::Problem;
use super::query::parse_query;
use crate::app::error::Error;
use crate::app::feed::{FeedRequest, WAIT_SECS_MAX, read_nonce};
use crate::domain::environment::Environment;
use crate::domain::feed::Cursor;

/// For how long a document without a nonce may be cached. It makes nothing fresh, so that an old one
/// does no harm.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=10");

pub(super) async fn live(call: Call) -> Result<Response, Problem> {
    answer(call, Environment::Live).await
}

pub(super) async fn test(call: Call) -> Result<Response, Problem> {
    answer(call, Environment::Test).await
}

async fn answer(call: Call, environment: Environment) -> Result<Response, Problem> {
    let request = read(&call, environment)?;
    let answer = call.app.revocations(request).await?;
    let mut response = if let Some(body) = answer.body {
        with_type("application/json", Bytes::from_owner(body))
    } else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    };
    if let Some(etag) = answer.etag.and_then(|etag| etag.parse().ok()) {
        response.headers_mut().insert(ETAG, etag);
        response.headers_mut().insert(CACHE_CONTROL, CACHED);
    }
    Ok(response)
}

fn read(call: &Call, environment: Environment) -> Result<FeedRequest, Problem> {
    let mut since = None;
    let mut nonce = None;
    let mut wait_secs = 0;
    for (name, value) in parse_query(call.query.as_deref())? {
        match name.as_str() {
            "since" => {
                let cursor = Cursor::decode(&value);
                since = Some(cursor.map_err(|_| Error::invalid("since", "no cursor"))?);
            }
            "nonce" => nonce = Some(read_nonce(&value)?),
            "wait" => {
                let secs = value.parse().ok().filter(|secs| *secs <= WAIT_SECS_MAX);
                let whole = format!("whole seconds from 0 to {WAIT_SECS_MAX}");
                wait_secs = secs.ok_or_else(|| Error::invalid("wait", whole))?;
            }
            other => {
                let name: String = other.chars().take(100).collect();
                return Err(Error::invalid(name, "there is no such parameter").into());
            }
        }
    }
    if wait_secs > 0 && nonce.is_none() {
        return Err(Error::invalid("wait", "only with a nonce").into());
    }
    let known_etags = call.headers.get_all(IF_NONE_MATCH).iter();
    Ok(FeedRequest {
        environment,
        since,
        nonce,
        wait: Duration::from_secs(wait_secs),
        known_etags: known_etags
            .filter_map(|tags| tags.to_str().ok())
            .flat_map(|tags| tags.split(','))
            .map(|tag| tag.trim().to_owned())
            .collect(),
    })
}
