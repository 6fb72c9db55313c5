//! Ending keys: deleted by who covers them, reported by whoever holds their secret.

use crate::app::App;
use crate::app::authorise::{Caller, Credential, Presented};
use crate::app::change::Change;
use crate::app::error::Error;
use crate::domain::api_key::{ApiKey, Ended};
use crate::domain::audit::Action;
use crate::domain::id::KeyId;
use crate::domain::secret::KeyDigest;

impl App {
    /// Ends a key for good, with the keys that were made with it unless they shall live on.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`].
    pub async fn delete_token(
        &self,
        presented: &Presented,
        id: &str,
        descendants: bool,
    ) -> Result<KeyId, Error> {
        let (mut change, caller) = self.change(presented).await?;
        let key = self.find_governed(&mut change, &caller, id).await?;
        let id = key.id.clone();
        self.end_key(
            &mut change,
            Some(&caller),
            presented,
            key,
            descendants,
            Action::TokenDelete,
        )
        .await?;
        change.commit().await?;
        Ok(id)
    }

    /// Ends whatever a leaked secret opens: a key with all that was made with it, or a session with
    /// its family. Possession is the proof. `false` when it opens nothing.
    ///
    /// # Errors
    /// [`Error::TooMany`] for an address that guesses.
    pub async fn report(&self, presented: &Presented, secret: &str) -> Result<bool, Error> {
        let clock_ms = self.clock.monotonic_ms();
        let address = presented.facts.address;
        let digest = KeyDigest::of(secret.as_bytes());
        if let Some(retry_ms) = self.limiter.blocked(address, &digest, clock_ms) {
            return Err(Error::too_many(retry_ms));
        }
        let reported = match Credential::parse(secret) {
            Ok(Credential::Token(token)) => self.report_session(presented, &token).await?,
            Ok(Credential::Key(key)) => self.report_key(presented, &key.digest()).await?,
            Ok(_) | Err(_) => false,
        };
        if !reported && let Some(retry_ms) = self.limiter.failed(address, clock_ms) {
            return Err(Error::too_many(retry_ms));
        }
        Ok(reported)
    }

    async fn report_key(&self, presented: &Presented, digest: &KeyDigest) -> Result<bool, Error> {
        let now = self.now();
        let found = self
            .find_key(self.store.read().await?.conn(), digest, now)
            .await?;
        if found.is_none_or(|found| found.chain.key().ended.is_some()) {
            return Ok(false);
        }
        let mut change = self.change_unasked().await?;
        let now = change.now;
        let Some(found) = self.find_key(change.conn(), digest, now).await? else {
            return Ok(false);
        };
        let key = found.chain.key().clone();
        if key.ended.is_some() {
            return Ok(false);
        }
        self.end_key(&mut change, None, presented, key, true, Action::TokenReport)
            .await?;
        change.commit().await?;
        Ok(true)
    }

    async fn end_key(
        &self,
        change: &mut Change<'_>,
        caller: Option<&Caller>,
        presented: &Presented,
        mut key: ApiKey,
        descendants: bool,
        action: Action,
    ) -> Result<(), Error> {
        key.ended = Some(Ended {
            at: change.now,
            line_lives_on: !descendants,
        });
        key.updated_at = change.now;
        change.end(key.tag).await?;
        if descendants {
            change.end(key.line_tag).await?;
        }
        change.update_key(&key).await?;
        self.record_key(change, caller, presented, &key, action)
            .await
    }
}
