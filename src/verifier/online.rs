//! Asking the issuer about one token, when the feed is not heard of.

use std::fmt;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Url};
use serde_json::json;
use tokio::sync::Semaphore;

use super::BuildError;
use super::fetch::ask;
use super::knowledge::NotAlive;
use crate::domain::liveness::Dead;
use crate::domain::strict_json;

/// Questions that are under way at the same time; beyond, nobody is asked and the token is refused.
const ASKING_MAX: usize = 64;
const ANSWER_LEN_MAX: usize = 64 * 1024;
const DEPTH_MAX: usize = 32;

/// Where to ask, and as whom.
pub(super) struct Online {
    http: Client,
    url: Url,
    authorization: HeaderValue,
    asking: Semaphore,
}

impl fmt::Debug for Online {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Online").finish_non_exhaustive()
    }
}

impl Online {
    pub(super) fn new(http: Client, url: Url, key: &str) -> Result<Self, BuildError> {
        let authorization = HeaderValue::from_str(&format!("Bearer {key}"));
        let mut authorization = authorization.map_err(|_| BuildError::Key)?;
        authorization.set_sensitive(true);
        Ok(Self {
            http,
            url,
            authorization,
            asking: Semaphore::new(ASKING_MAX),
        })
    }

    /// Whether the issuer says that a token is active. Whatever else it says, or does not, is no.
    pub(super) async fn check(&self, token: &str) -> Result<(), NotAlive> {
        let Ok(_place) = self.asking.try_acquire() else {
            return Err(NotAlive::Unknown);
        };
        let request = self
            .http
            .post(self.url.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(json!({ "token": token }).to_string());
        let answer = ask(request, Duration::ZERO, ANSWER_LEN_MAX).await;
        let answer = answer.map_err(|_| NotAlive::Unknown)?;
        let answer = strict_json::parse(&answer.bytes, DEPTH_MAX).map_err(|_| NotAlive::Unknown)?;
        match answer.get("active").and_then(serde_json::Value::as_bool) {
            Some(true) => Ok(()),
            Some(false) => Err(NotAlive::Dead(Dead::Ended)),
            None => Err(NotAlive::Unknown),
        }
    }
}
