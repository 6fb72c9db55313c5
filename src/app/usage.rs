//! How much an account does over time, as its ledger tells.

use serde::Serialize;

use super::App;
use super::authorise::Caller;
use super::error::Error;
use crate::domain::audit::Outcome;
use crate::domain::environment::Environment;
use crate::domain::id::{AuditId, SessionId, first_suffix};
use crate::domain::time::Timestamp;
use crate::store::usage::{self, Count, Window};

/// Steps in an answer.
const STEPS: i64 = 48;

/// Usage over time.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct Usage {
    pub from: Timestamp,
    pub until: Timestamp,
    pub step_in_seconds: i64,
    pub steps: Vec<Step>,
}

/// One step of it.
#[derive(Debug, Clone, Serialize)]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct Step {
    pub at: Timestamp,
    pub sessions: i64,
    pub refusals: i64,
    pub changes: i64,
}

impl App {
    /// What was minted, refused and changed for the caller's account and its children, in the last
    /// so many seconds. A test key sees test sessions, and nothing of the rest.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn usage(&self, caller: &Caller, secs: i64) -> Result<Usage, Error> {
        let step_secs = (secs / STEPS).max(1);
        let step_ms = step_secs * 1000;
        // Steps begin at round instants, and the last one is under way.
        let now = self.now();
        let end = now.millis().div_euclid(step_ms) * step_ms + step_ms;
        let from = Timestamp::from_millis(end - STEPS * step_ms);
        let window = Window { from, step_ms };
        let account = caller.account();
        let test = caller.effective.environment == Environment::Test;
        let environment = test.then_some(Environment::Test.as_str());
        let suffix = first_suffix(from);
        let after = |prefix: &str| format!("{prefix}{suffix}");

        let mut read = self.store.read().await?;
        let ids = after(SessionId::PREFIX);
        let sessions = usage::sessions(read.conn(), account, &ids, environment, window).await?;
        let ids = after(AuditId::PREFIX);
        let (mut refusals, mut changes) = (Vec::new(), Vec::new());
        if !test {
            let refused = Outcome::Refused.as_str();
            refusals = usage::entries(read.conn(), account, &ids, refused, window).await?;
            let done = Outcome::Done.as_str();
            changes = usage::entries(read.conn(), account, &ids, done, window).await?;
        }
        let of = |counts: &[Count], step: i64| {
            let found = counts.iter().find(|count| count.step == step);
            found.map_or(0, |count| count.number)
        };
        let steps = (0..STEPS).map(|step| Step {
            at: from.plus_millis(step * step_ms),
            sessions: of(&sessions, step),
            refusals: of(&refusals, step),
            changes: of(&changes, step),
        });
        Ok(Usage {
            from,
            until: now,
            step_in_seconds: step_secs,
            steps: steps.collect(),
        })
    }
}
