//! How much an account does over time, as its ledger tells.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::App;
use super::authorise::Caller;
use super::error::Error;
use crate::domain::audit::Outcome;
use crate::domain::environment::Environment;
use crate::domain::id::{AuditId, SessionId, first_suffix};
use crate::domain::time::Timestamp;
use crate::store::usage::{self, Count, Window};

/// What the gate of this node decided over time. Decisions are no rows, so that a node knows its own
/// alone, since it was started.
#[derive(Debug, Default)]
pub struct GateHistory(Mutex<History>);

#[derive(Debug, Default)]
struct History {
    allowed: u64,
    refused: u64,
    // Only times at which something was decided.
    noted: VecDeque<Noted>,
}

#[derive(Debug)]
struct Noted {
    at: Timestamp,
    allowed: u64,
    refused: u64,
}

/// How long it is kept, in seconds: as long as is asked for at most.
const HISTORY_SECS: i64 = 31 * 86_400;

impl GateHistory {
    fn note(&self, now: Timestamp, (allowed, refused): (u64, u64)) {
        let mut history = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = Noted {
            at: now,
            allowed: allowed.saturating_sub(history.allowed),
            refused: refused.saturating_sub(history.refused),
        };
        (history.allowed, history.refused) = (allowed, refused);
        let minute = |at: Timestamp| at.millis().div_euclid(60_000);
        if noted.allowed > 0 || noted.refused > 0 {
            match history.noted.back_mut() {
                Some(last) if minute(last.at) == minute(now) => {
                    last.allowed += noted.allowed;
                    last.refused += noted.refused;
                }
                Some(_) | None => history.noted.push_back(noted),
            }
        }
        let oldest = now.plus_secs(-HISTORY_SECS);
        while history.noted.front().is_some_and(|noted| noted.at < oldest) {
            history.noted.pop_front();
        }
    }

    fn between(&self, from: Timestamp, until: Timestamp) -> (u64, u64) {
        let history = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let within = history
            .noted
            .iter()
            .filter(|noted| from <= noted.at && noted.at < until);
        within.fold((0, 0), |sum, noted| {
            (sum.0 + noted.allowed, sum.1 + noted.refused)
        })
    }
}

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
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct Step {
    pub at: Timestamp,
    pub sessions: i64,
    pub refusals: i64,
    pub changes: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate_allowed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate_refused: Option<u64>,
}

impl App {
    /// Notes what the gate decided since the last time.
    pub fn note_gate(&self) {
        self.gate_history
            .note(self.now(), self.metrics.gate_decisions());
    }

    /// What was minted, refused and changed for the caller's account and its children, in the last
    /// so many seconds; for an operator also what the gate of this node decided. A test key sees test sessions, and nothing of the rest.
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
        let shows_gate = caller.effective.operator && !caller.acting;
        let steps = (0..STEPS).map(|step| {
            let at = from.plus_millis(step * step_ms);
            let gate = shows_gate.then(|| self.gate_history.between(at, at.plus_millis(step_ms)));
            Step {
                at,
                sessions: of(&sessions, step),
                refusals: of(&refusals, step),
                changes: of(&changes, step),
                gate_allowed: gate.map(|(allowed, _)| allowed),
                gate_refused: gate.map(|(_, refused)| refused),
            }
        });
        Ok(Usage {
            from,
            until: now,
            step_in_seconds: step_secs,
            steps: steps.collect(),
        })
    }
}
