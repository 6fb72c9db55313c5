//! Which accounts want to be told when somebody acts for another. Nearly every session of a child is
//! such a moment, so it is remembered who wants to hear of it, and mostly that is nobody.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use crate::app::App;
use crate::app::error::Error;
use crate::app::pulse::reborrow;
use crate::domain::id::AccountId;
use crate::domain::liveness::{Rev, Tag, Tags};
use crate::domain::webhook::EventKind;
use crate::store::{change_log, webhooks};

/// Webhooks of all accounts together that are gone through. Where there are more, the database is
/// asked about each session.
const WEBHOOKS_MAX: u32 = 10_000;

/// What this node knows of it.
#[derive(Debug, Default)]
pub(super) struct Watching {
    known: RwLock<Option<Arc<Known>>>,
    /// Held by who reads it anew: sessions that come together wait for one of them.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Known {
    /// The accounts with a webhook that wants it; nothing when there are too many webhooks.
    accounts: Option<HashSet<AccountId>>,
    rows: Tags,
    read_at: Rev,
}

impl App {
    /// Whether a webhook of one of these accounts wants to be told when somebody acts for another.
    /// `None` when the database has to be asked.
    ///
    /// A webhook that was made or changed on another node is heeded once this node knows of that.
    pub(super) async fn is_watched(&self, accounts: &[&AccountId]) -> Result<Option<bool>, Error> {
        let known = match self.watching() {
            Some(known) => known,
            None => self.read_watching().await?,
        };
        let is_in = |set: &HashSet<AccountId>| accounts.iter().any(|id| set.contains(*id));
        Ok(known.accounts.as_ref().map(is_in))
    }

    /// What is remembered, if it still holds.
    fn watching(&self) -> Option<Arc<Known>> {
        let known = self.webhooks.watching.get()?;
        self.pulse.as_of(&known.rows, known.read_at).map(|_| known)
    }

    async fn read_watching(&self) -> Result<Arc<Known>, Error> {
        let _turn = self.webhooks.watching.reading.lock().await;
        if let Some(known) = self.watching() {
            return Ok(known);
        }
        // Before anything is read, so that it is read again after whatever changes meanwhile.
        let before = self.pulse.known();
        let mut read = self.store.read().await?;
        let mut conn = read.conn();
        let head = change_log::head(reborrow(&mut conn)).await?;
        self.pulse.check_head(before, head)?;
        let accounts =
            webhooks::accounts_wanting(conn, EventKind::UserImpersonated, WEBHOOKS_MAX).await?;
        let mut rows = Tags::new();
        rows.add(Tag::WEBHOOKS);
        let known = Arc::new(Known {
            accounts,
            rows,
            read_at: head,
        });
        self.webhooks.watching.set(&known);
        Ok(known)
    }
}

impl Watching {
    fn get(&self) -> Option<Arc<Known>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    fn set(&self, known: &Arc<Known>) {
        let mut place = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *place = Some(Arc::clone(known));
    }
}
