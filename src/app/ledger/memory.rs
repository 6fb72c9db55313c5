//! What the sealer remembers, so that it tells entries that came late from those that are sealed.

use std::collections::HashMap;

use super::handed::Handed;
use super::order::{Ids, Leaves};
use super::{SWEEP_SECS, suffix};
use crate::app::error::Error;
use crate::app::pulse::reborrow;
use crate::domain::id::first_suffix;
use crate::domain::time::Timestamp;
use crate::store::Conn;
use crate::store::ledger::{self, Head, Kind};
use crate::token::ledger::Hash;

/// How far back each round looks for entries that came late, in seconds; how far some rounds look,
/// and every how many seconds.
const LOOK_BACK_SECS: i64 = 1;
const LOOK_FURTHER: [(i64, i64); 3] = [(3, 5), (15, 60), (60, SWEEP_SECS)];
/// Sealed ids that are remembered to tell late entries from those; above, the look back is shorter.
const REMEMBERED_MAX: usize = 300_000;

#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The checkpoint up to which the rest is right; none when it is to be read again.
    pub(super) checkpoint: Option<i64>,
    /// Of ids behind this suffix it is known whether they are sealed.
    cutoff: String,
    sealed: HashMap<&'static str, Ids>,
    /// What this node stored itself and did not seal yet.
    pub(super) handed: Leaves,
    /// Everything up to there was looked at.
    pub(super) looked_at: Option<Timestamp>,
    looked_further: [Option<Timestamp>; 3],
}

impl Memory {
    pub(super) fn set(&mut self, kind: Kind) -> &mut Ids {
        self.sealed.entry(kind.prefix()).or_default()
    }

    pub(super) fn remember(&mut self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            self.set(Kind::of(&id)).insert(id);
        }
    }

    /// Takes what was handed over, but for what was found in the database and sealed meanwhile.
    pub(super) fn take(&mut self, handed: &Handed) {
        let (sealed, cutoff) = (&self.sealed, &self.cutoff);
        let mut taken = handed.take(self.handed.len());
        taken.retain(|(id, _)| {
            let known = sealed.get(Kind::of(id).prefix());
            *suffix(id) > **cutoff && !known.is_some_and(|known| known.contains(id))
        });
        self.handed.extend(taken);
    }

    /// Remembers that these were sealed.
    pub(super) fn sealed(&mut self, entries: Vec<(String, Hash)>) {
        let mut ids: Vec<&str> = entries.iter().map(|(id, _)| id.as_str()).collect();
        self.handed.remove(&mut ids);
        self.remember(entries.into_iter().map(|(id, _)| id));
    }

    /// Forgets what is older than the sweep, or too much.
    pub(super) fn forget(&mut self, now: Timestamp) {
        let mut cutoff = first_suffix(now.plus_secs(-SWEEP_SECS));
        let count: usize = self.sealed.values().map(Ids::len).sum();
        if count > REMEMBERED_MAX {
            for set in self.sealed.values() {
                let over = set.len().saturating_sub(REMEMBERED_MAX / 2);
                let oldest = set.nth(over).map(|id| suffix(id).to_owned());
                cutoff = cutoff.max(oldest.unwrap_or_default());
            }
        }
        if cutoff > self.cutoff {
            for set in self.sealed.values_mut() {
                set.forget(|id| *suffix(id) <= *cutoff);
            }
            self.handed.retain(|id| *suffix(id) > *cutoff);
            self.cutoff = cutoff;
        }
    }

    /// From where this round looks.
    pub(super) fn from(&mut self, now: Timestamp) -> String {
        let Some(looked_at) = self.looked_at else {
            return self.cutoff.clone();
        };
        let mut back_secs = LOOK_BACK_SECS;
        for ((every, back), last) in LOOK_FURTHER.iter().zip(&mut self.looked_further) {
            if last.is_none_or(|last| last.plus_secs(*every) <= now) {
                *last = Some(now);
                back_secs = *back;
            }
        }
        first_suffix(looked_at.min(now).plus_secs(-back_secs)).max(self.cutoff.clone())
    }
}

/// What is sealed already, of what could still be looked at.
pub(super) async fn recall(mut conn: Conn<'_>, head: &Head) -> Result<Memory, Error> {
    let mut memory = Memory {
        checkpoint: Some(head.checkpoint),
        ..Memory::default()
    };
    if head.checkpoint > 0 {
        let since = Timestamp::from_millis(head.sealed_at).plus_secs(-SWEEP_SECS);
        let rows = ledger::since(reborrow(&mut conn), since.plus_secs(-SWEEP_SECS)).await?;
        memory.cutoff = first_suffix(since);
        for row in &rows {
            memory.remember(
                row.members()
                    .filter(|id| *suffix(id) > *memory.cutoff)
                    .map(str::to_owned)
                    .collect::<Vec<_>>(),
            );
        }
    }
    Ok(memory)
}
