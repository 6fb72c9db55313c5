//! API keys: made, shown, changed, rotated and ended, never beyond the caller.

mod change;
mod create;
mod end;
mod preview;
mod view;

pub use change::{Rotation, TokenChanges};
pub use create::{ImportedToken, NewToken};
pub use preview::{NewPreview, Preview, Tried};
pub use view::{SecretItem, TokenCreated, TokenItem};

use serde_json::Map;

use super::App;
use super::accounts::{put, put_object};
use super::authorise::{Caller, Presented, Who};
use super::change::{About, Change};
use super::error::{Conflict, Error, Forbidden};
use crate::domain::api_key::{ApiKey, KeyProfile};
use crate::domain::audit::Action;
use crate::domain::cover::covers;
use crate::domain::id::KeyId;
use crate::domain::limits;
use crate::domain::restrictions::{Manage, Restrictions};
use crate::domain::secret::PlainKey;
use crate::domain::text::JsonObject;
use crate::store::secrets::Secret;
use crate::store::{Conn, StoreError, accounts, api_keys, secrets};

impl App {
    /// A key that the caller may change: it sees it, covers it as it is, and, where the caller was
    /// made for a child, it is of its own line.
    async fn find_governed(
        &self,
        change: &mut Change<'_>,
        caller: &Caller,
        id: &str,
    ) -> Result<ApiKey, Error> {
        let key = find_visible(change.conn(), caller, id).await?;
        if key.operator && !caller.effective.operator {
            return Err(Forbidden::Operator.into());
        }
        let own = caller
            .key()
            .filter(|chain| !chain.key().grantors.is_empty());
        if let Some(own) = own
            && own.key().id != key.id
        {
            let line = api_keys::lineage(change.conn(), &key.id).await?;
            let in_line =
                line.is_some_and(|(_, makers)| makers.iter().any(|maker| maker.id == own.key().id));
            if !in_line {
                return Err(Forbidden::Granted.into());
            }
        }
        covers(&caller.effective, &key.effective())?;
        Ok(key)
    }

    async fn record_key(
        &self,
        change: &mut Change<'_>,
        caller: Option<&Caller>,
        presented: &Presented,
        key: &ApiKey,
        action: Action,
    ) -> Result<(), Error> {
        let chain = accounts::chain(change.conn(), &key.account)
            .await?
            .ok_or_else(|| Error::internal("a key without an account"))?;
        let mut details = Map::new();
        details.insert("environment".to_owned(), key.environment.as_str().into());
        let about = About {
            action,
            account: chain.account(),
            target: Some(key.id.as_str().to_owned()),
            session: None,
            details,
        };
        change.record(caller, &presented.facts, about).await
    }

    /// Stores a new key with its first secret.
    async fn insert_with_secret(
        &self,
        change: &mut Change<'_>,
        key: &ApiKey,
    ) -> Result<PlainKey, Error> {
        api_keys::insert(change.conn(), key).await?;
        self.insert_secret(change, key).await
    }

    /// Gives a key one more secret.
    async fn insert_secret(
        &self,
        change: &mut Change<'_>,
        key: &ApiKey,
    ) -> Result<PlainKey, Error> {
        let plain = PlainKey::generate(key.kind, key.environment, &*self.entropy)?;
        let secret = Secret {
            digest: plain.digest(),
            key: key.id.clone(),
            hint: plain.hint(),
            created_at: change.now,
            expires_at: None,
            last_used: None,
        };
        secrets::insert(change.conn(), &secret)
            .await
            .map_err(digest_taken)?;
        // So that it works at once even where its address is throttled for the guesses of others.
        self.limiter.good(&secret.digest);
        Ok(plain)
    }
}

/// A key of the account for which the caller speaks. What a test key may not see is not there.
async fn find_visible(conn: Conn<'_>, caller: &Caller, id: &str) -> Result<ApiKey, Error> {
    let id = KeyId::parse(id).map_err(|_| Error::NotFound)?;
    let key = match caller.who {
        // The operator's CLI has every account before it.
        Who::Cli(_) => api_keys::lineage(conn, &id)
            .await?
            .map(|(key, _)| key)
            .filter(|key| key.ended.is_none()),
        Who::Key(_) | Who::Session(_) => api_keys::find_in(conn, caller.account(), &id).await?,
    };
    key.filter(|key| caller.effective.environment.covers(key.environment))
        .ok_or(Error::NotFound)
}

/// `introspect` is granted by an operator only.
fn check_introspect(caller: &Caller, restrictions: &Restrictions) -> Result<(), Error> {
    let wanted = restrictions
        .manage
        .as_ref()
        .is_some_and(|manage| manage.contains(&Manage::Introspect));
    if wanted && !caller.effective.operator {
        return Err(Forbidden::Operator.into());
    }
    Ok(())
}

fn apply_profile(
    profile: &mut KeyProfile,
    name: Option<String>,
    description: Option<String>,
    meta: Option<JsonObject>,
    external_id: Option<String>,
) -> Result<(), Error> {
    put(
        &mut profile.name,
        name,
        "name",
        limits::NAME_CHARS_MAX,
        false,
    )?;
    put(
        &mut profile.description,
        description,
        "description",
        limits::DESCRIPTION_CHARS_MAX,
        true,
    )?;
    put(
        &mut profile.external_id,
        external_id,
        "externalId",
        limits::ALIAS_CHARS_MAX,
        false,
    )?;
    put_object(&mut profile.meta, meta, "meta")
}

fn digest_taken(error: StoreError) -> Error {
    match error {
        StoreError::Conflict => Error::Conflict(Conflict::Digest),
        error @ (StoreError::Unavailable(_)
        | StoreError::Corrupt { .. }
        | StoreError::Database(_)) => error.into(),
    }
}
