//! Changing keys: what they may do, and their secrets.

use serde::Deserialize;

use super::view::TokenCreated;
use super::{apply_profile, check_introspect};
use crate::app::App;
use crate::app::authorise::Presented;
use crate::app::change::Change;
use crate::app::error::{Conflict, Error};
use crate::app::idempotency::{Once, Replay};
use crate::domain::api_key::{ApiKey, Ended};
use crate::domain::audit::Action;
use crate::domain::config::Config;
use crate::domain::cover::{covers, covers_made};
use crate::domain::id::KeyId;
use crate::domain::limits;
use crate::domain::restrictions::CLEARABLE;
use crate::domain::secret::KeyDigest;
use crate::domain::text::JsonObject;
use crate::domain::time::Timestamp;
use crate::store::{api_keys, secrets};

/// What a caller changes about a key. What is left out stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct TokenChanges {
    pub name: Option<String>,
    pub description: Option<String>,
    pub meta: Option<JsonObject>,
    pub external_id: Option<String>,
    pub enabled: Option<bool>,
    pub expires_at: Option<i64>,
    pub config: Option<Config>,
    pub clear: Option<Vec<String>>,
}

/// How a key is rotated.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct Rotation {
    pub overlap_in_seconds: Option<i64>,
    pub descendants: Option<bool>,
}

impl App {
    /// Changes a key. The caller covers it before and after; whatever is not provably wider ends
    /// its sessions, and the keys of its line that it no longer covers.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::Invalid`].
    pub async fn update_token(
        &self,
        presented: &Presented,
        id: &str,
        changes: TokenChanges,
    ) -> Result<KeyId, Error> {
        let (mut change, caller) = self.change(presented).await?;
        let before = self.find_governed(&mut change, &caller, id).await?;
        let TokenChanges {
            name,
            description,
            meta,
            external_id,
            enabled,
            expires_at,
            config,
            clear,
        } = changes;
        let mut after = before.clone();
        for dimension in clear.iter().flatten() {
            let known = match dimension.as_str() {
                "name" => {
                    after.profile.name = None;
                    true
                }
                "description" => {
                    after.profile.description = None;
                    true
                }
                "meta" => {
                    after.profile.meta = None;
                    true
                }
                "externalId" => {
                    after.profile.external_id = None;
                    true
                }
                "expiresAt" => {
                    after.expires_at = None;
                    true
                }
                dimension => after.restrictions.clear(dimension),
            };
            if !known {
                let problem =
                    format!("name, description, meta, externalId, expiresAt, {CLEARABLE}");
                return Err(Error::invalid("clear", problem));
            }
        }
        apply_profile(&mut after.profile, name, description, meta, external_id)?;
        after.restrictions = after.restrictions.changed_by(&self.parse_config(config)?);
        if let Some(at) = expires_at {
            let at = Timestamp::from_millis(at);
            if at <= change.now {
                return Err(Error::invalid(
                    "expiresAt",
                    "an instant in the future, in milliseconds",
                ));
            }
            after.expires_at = Some(at);
        }
        after.enabled = enabled.unwrap_or(before.enabled);
        after.updated_at = change.now;
        if after.restrictions.manage != before.restrictions.manage {
            check_introspect(&caller, &after.restrictions)?;
        }
        covers(&caller.effective, &after.effective())?;

        let disabled = before.enabled && !after.enabled;
        let wider = covers(&after.effective(), &before.effective()).is_ok();
        if disabled {
            after.line_cut_at = Some(change.position());
            change.end(after.tag).await?;
            change.end(after.line_tag).await?;
        } else if !wider {
            change.end(after.tag).await?;
            self.end_uncovered(&mut change, &after).await?;
        }
        change.update_key(&after).await?;
        self.record_key(
            &mut change,
            Some(&caller),
            presented,
            &after,
            Action::TokenUpdate,
        )
        .await?;
        change.commit().await?;
        Ok(after.id)
    }

    /// Ends the keys of a line that its narrowed maker no longer covers.
    async fn end_uncovered(&self, change: &mut Change<'_>, maker: &ApiKey) -> Result<(), Error> {
        let own = maker.effective();
        for mut key in api_keys::descendants(change.conn(), &maker.id).await? {
            let covered = covers_made(&own, &key).is_ok();
            if covered {
                continue;
            }
            key.ended = Some(Ended {
                at: change.now,
                line_lives_on: false,
            });
            key.updated_at = change.now;
            change.end(key.tag).await?;
            change.end(key.line_tag).await?;
            change.update_key(&key).await?;
        }
        Ok(())
    }

    /// Gives a key a new secret. The old one works for the overlap; without one it is cut at once,
    /// and with it the sessions and, unless they shall live on, the keys that were made with it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Conflict::Secrets`].
    pub async fn rotate_token(
        &self,
        presented: &Presented,
        id: &str,
        rotation: Rotation,
        replay: Option<&Replay>,
    ) -> Result<Once<TokenCreated>, Error> {
        let overlap_secs = rotation
            .overlap_in_seconds
            .unwrap_or(limits::OVERLAP_SECS_DEFAULT);
        if !(0..=limits::OVERLAP_SECS_MAX).contains(&overlap_secs) {
            let problem = format!("whole seconds from 0 to {}", limits::OVERLAP_SECS_MAX);
            return Err(Error::invalid("overlapInSeconds", problem));
        }
        let (mut change, caller) = self.change(presented).await?;
        if let Some(replay) = replay
            && let Some(answer) = replay.begin(&mut change).await?
        {
            return Ok(Once {
                answer,
                replayed: true,
            });
        }
        let mut key = self.find_governed(&mut change, &caller, id).await?;
        let old = secrets::of_key(change.conn(), &key.id).await?;
        let living = old
            .iter()
            .filter(|secret| secret.expires_at.is_none_or(|at| at > change.now))
            .count();
        if overlap_secs > 0 && living >= limits::SECRETS_PER_KEY_MAX {
            return Err(Error::Conflict(Conflict::Secrets));
        }
        let until = change.now.plus_secs(overlap_secs);
        if overlap_secs == 0 {
            for secret in &old {
                let nobodys = KeyDigest::of(&self.entropy.bytes::<32>()?);
                secrets::cut(change.conn(), &secret.digest, &nobodys, until).await?;
            }
        } else {
            secrets::expire(change.conn(), &key.id, until).await?;
        }
        let plain = self.insert_secret(&mut change, &key).await?;
        if overlap_secs == 0 {
            change.end(key.tag).await?;
            if rotation.descendants.unwrap_or(true) {
                key.line_cut_at = Some(change.position());
                change.end(key.line_tag).await?;
            }
        }
        key.updated_at = change.now;
        change.update_key(&key).await?;
        self.record_key(
            &mut change,
            Some(&caller),
            presented,
            &key,
            Action::TokenRotate,
        )
        .await?;
        let answer = TokenCreated::shown(&key.id, &plain, change.now, Some(until));
        if let Some(replay) = replay {
            replay.finish(self, change.conn(), &answer).await?;
        }
        change.commit().await?;
        Ok(Once::first(answer))
    }
}
