//! API keys: made, shown, changed, rotated and ended, never beyond the caller.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::App;
use super::accounts::{put, put_object};
use super::authorise::{Caller, Credential, Presented, Who};
use super::change::{About, Change};
use super::error::{self, Conflict, Error, Forbidden};
use super::idempotency::{Once, Replay};
use crate::domain::account::Account;
use crate::domain::api_key::{ApiKey, Ended, KeyChain, KeyProfile};
use crate::domain::audit::Action;
use crate::domain::config::Config;
use crate::domain::cover::{covers, covers_made};
use crate::domain::effective::Effective;
use crate::domain::environment::Environment;
use crate::domain::id::{AccountId, KeyId};
use crate::domain::limits;
use crate::domain::liveness::Tag;
use crate::domain::origin::Domains;
use crate::domain::restrictions::{
    CLEARABLE, Impersonation, Manage, MintRestrictions, Restrictions,
};
use crate::domain::secret::{KeyDigest, KeyKind, PlainKey};
use crate::domain::text::JsonObject;
use crate::domain::time::Timestamp;
use crate::store::api_keys::Filter;
use crate::store::secrets::Secret;
use crate::store::{Conn, Page, StoreError, accounts, api_keys, secrets};

/// What a caller writes about a new key.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct NewToken {
    pub name: Option<String>,
    pub description: Option<String>,
    pub meta: Option<JsonObject>,
    pub external_id: Option<String>,
    pub kind: Option<KeyKind>,
    pub environment: Option<Environment>,
    pub expires_at: Option<i64>,
    pub enabled: Option<bool>,
    pub operator: Option<bool>,
    pub unrestricted: Option<bool>,
    pub template: Option<String>,
    pub placeholders: Option<BTreeMap<String, String>>,
    pub config: Option<Config>,
}

/// What an operator writes about a key that is imported.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct ImportedToken {
    pub digest: String,
    pub user_id: Option<String>,
    pub name: Option<String>,
    pub description: Option<String>,
    pub meta: Option<JsonObject>,
    pub external_id: Option<String>,
    pub kind: Option<KeyKind>,
    pub environment: Option<Environment>,
    pub expires_at: Option<i64>,
    pub config: Option<Config>,
}

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

/// The answer that shows a secret, once.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct TokenCreated {
    pub id: KeyId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous_expires_at: Option<Timestamp>,
}

impl std::fmt::Debug for TokenCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCreated")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A secret as the API shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct SecretItem {
    pub hint: String,
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_agent: Option<String>,
}

/// A key as the API shows it. There is no secret in it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct TokenItem {
    pub id: KeyId,
    pub user_id: AccountId,
    pub kind: KeyKind,
    pub environment: Environment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<JsonObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    pub enabled: bool,
    pub state: &'static str,
    pub operator: bool,
    pub unrestricted: bool,
    pub config: Config,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maker_id: Option<KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grantor_id: Option<AccountId>,
    pub lineage: Vec<KeyId>,
    pub secrets: Vec<SecretItem>,
}

impl App {
    /// Creates a key for the caller's account, or for the child that it acts as. Its secret is in
    /// the answer and nowhere else.
    ///
    /// # Errors
    /// [`Forbidden::Exceeds`], [`Error::Invalid`], [`Conflict::Depth`].
    pub async fn create_token(
        &self,
        presented: &Presented,
        new: NewToken,
        replay: Option<&Replay>,
    ) -> Result<Once<TokenCreated>, Error> {
        let (mut change, caller) = self.change(presented).await?;
        if let Some(replay) = replay
            && let Some(answer) = replay.begin(&mut change).await?
        {
            return Ok(Once {
                answer,
                replayed: true,
            });
        }
        let key = self.new_key(
            &caller,
            &caller.effective,
            caller.subject.account(),
            new,
            &change,
        )?;
        let secret = self.insert_with_secret(&mut change, &key).await?;
        self.record_key(
            &mut change,
            Some(&caller),
            presented,
            &key,
            Action::TokenCreate,
        )
        .await?;
        let answer = TokenCreated {
            id: key.id.clone(),
            token: Some(secret.expose().to_owned()),
            hint: Some(secret.hint()),
            created_at: key.created_at,
            previous_expires_at: None,
        };
        if let Some(replay) = replay {
            replay.finish(self, change.conn(), &answer).await?;
        }
        change.commit().await?;
        Ok(Once::first(answer))
    }

    /// The first key of a child without a grantor: made once, with a key that a parent made for it,
    /// and it ends all such keys.
    ///
    /// # Errors
    /// [`Forbidden::Granted`] with any other key, [`Conflict::Claimed`].
    pub async fn claim(
        &self,
        presented: &Presented,
        new: NewToken,
        replay: Option<&Replay>,
    ) -> Result<Once<TokenCreated>, Error> {
        let (mut change, caller) = self.change(presented).await?;
        let Some(own) = caller
            .key()
            .filter(|chain| !chain.key().grantors.is_empty())
        else {
            return Err(Forbidden::Granted.into());
        };
        if let Some(replay) = replay
            && let Some(answer) = replay.begin(&mut change).await?
        {
            return Ok(Once {
                answer,
                replayed: true,
            });
        }
        let account = caller.subject.account().clone();
        let mine = api_keys::of_account(change.conn(), &account.id).await?;
        if mine.iter().any(|key| key.grantors.is_empty()) {
            return Err(Error::Conflict(Conflict::Claimed));
        }
        let mut own_power = caller.effective.clone();
        own_power.grantors.clear();
        let mut key = self.new_key(&caller, &own_power, &account, new, &change)?;
        key.maker = None;
        key.depth = 1;
        for granted in &mine {
            change.end(granted.tag).await?;
            change.end(granted.line_tag).await?;
        }
        let now = change.now;
        api_keys::end_granted(change.conn(), &account.id, now).await?;
        let secret = self.insert_with_secret(&mut change, &key).await?;
        let mut details = Map::new();
        details.insert("claimedWith".to_owned(), own.key().id.as_str().into());
        let about = About {
            action: Action::UserClaim,
            account: &account,
            target: Some(key.id.as_str().to_owned()),
            session: None,
            details,
        };
        change
            .record(Some(&caller), &presented.facts, about)
            .await?;
        let answer = TokenCreated {
            id: key.id.clone(),
            token: Some(secret.expose().to_owned()),
            hint: Some(secret.hint()),
            created_at: key.created_at,
            previous_expires_at: None,
        };
        if let Some(replay) = replay {
            replay.finish(self, change.conn(), &answer).await?;
        }
        change.commit().await?;
        Ok(Once::first(answer))
    }

    /// Takes over a key from elsewhere by its digest. Operators only.
    ///
    /// # Errors
    /// [`Conflict::Digest`], [`Error::Invalid`].
    pub async fn import_token(
        &self,
        presented: &Presented,
        imported: ImportedToken,
    ) -> Result<TokenCreated, Error> {
        let (mut change, caller) = self.change(presented).await?;
        let ImportedToken {
            digest,
            user_id,
            name,
            description,
            meta,
            external_id,
            kind,
            environment,
            expires_at,
            config,
        } = imported;
        let digest = KeyDigest::parse(&digest)
            .ok_or_else(|| Error::invalid("digest", "the SHA-256 of the key as hex or base64"))?;
        let account = match user_id {
            None => caller.subject.account().clone(),
            Some(id) => {
                let id = AccountId::parse(&id)
                    .map_err(|_| Error::invalid("userId", "the id of a user"))?;
                let chain = accounts::chain(change.conn(), &id)
                    .await?
                    .ok_or(Error::NotFound)?;
                chain.account().clone()
            }
        };
        let new = NewToken {
            name,
            description,
            meta,
            external_id,
            kind,
            environment,
            expires_at,
            config,
            ..NewToken::default()
        };
        let mut key = self.new_key(&caller, &caller.effective, &account, new, &change)?;
        key.maker = None;
        key.depth = 1;
        api_keys::insert(change.conn(), &key).await?;
        let secret = Secret {
            digest,
            key: key.id.clone(),
            hint: "imported".to_owned(),
            created_at: change.now,
            expires_at: None,
            last_used: None,
        };
        secrets::insert(change.conn(), &secret)
            .await
            .map_err(digest_taken)?;
        self.record_key(
            &mut change,
            Some(&caller),
            presented,
            &key,
            Action::TokenImport,
        )
        .await?;
        change.commit().await?;
        Ok(TokenCreated {
            id: key.id,
            token: None,
            hint: None,
            created_at: key.created_at,
            previous_expires_at: None,
        })
    }

    /// A key as it was asked for, if the caller may make it.
    fn new_key(
        &self,
        caller: &Caller,
        ceiling: &Effective,
        account: &Account,
        new: NewToken,
        change: &Change<'_>,
    ) -> Result<ApiKey, Error> {
        let now = change.now;
        let NewToken {
            name,
            description,
            meta,
            external_id,
            kind,
            environment,
            expires_at,
            enabled,
            operator,
            unrestricted,
            template,
            placeholders,
            config,
        } = new;
        let unrestricted = unrestricted.unwrap_or(false);
        let operator = operator.unwrap_or(false);
        let (template_kind, template_unrestricted, base) =
            self.expand_template(template.as_deref(), placeholders)?;
        let own = self.parse_config(config)?;
        let mut restrictions = base.changed_by(&own);
        let declared_unrestricted = unrestricted || template_unrestricted;
        let mut expires_at = expires_at.map(Timestamp::from_millis);
        if template.is_none() && !declared_unrestricted && !restrictions.narrow_what_counts() {
            if ceiling.grantors.is_empty() {
                return Err(Error::invalid(
                    "config",
                    "name a template, or narrow allowedRoutes, permissions or bindings, or say \"unrestricted\": true",
                ));
            }
            // A key that is made for a child and narrows nothing gets exactly what its maker has.
            restrictions = inherited(ceiling)?.changed_by(&own);
            expires_at = expires_at.or(ceiling.expires_at);
        }
        if expires_at.is_some_and(|at| at <= now) {
            return Err(Error::invalid(
                "expiresAt",
                "an instant in the future, in milliseconds",
            ));
        }
        let mut profile = KeyProfile::default();
        apply_profile(&mut profile, name, description, meta, external_id)?;

        let maker = caller.key().map(KeyChain::key);
        let depth = maker.map_or(0, |maker| maker.depth) + 1;
        if depth > limits::DEPTH_MAX {
            return Err(Error::Conflict(Conflict::Depth));
        }
        if operator && (!caller.effective.operator || account.id != self.operator) {
            return Err(Forbidden::Operator.into());
        }
        let key = ApiKey {
            id: KeyId::new(now, &*self.entropy)?,
            account: account.id.clone(),
            maker: maker.map(|maker| maker.id.clone()),
            grantors: ceiling.grantors.clone(),
            depth,
            environment: environment.unwrap_or(ceiling.environment),
            kind: kind.or(template_kind).unwrap_or(KeyKind::Secret),
            profile,
            enabled: enabled.unwrap_or(true),
            operator,
            declared_unrestricted,
            restrictions,
            expires_at,
            ended: None,
            tag: Tag::new(&*self.entropy)?,
            line_tag: Tag::new(&*self.entropy)?,
            made_at: change.position(),
            line_cut_at: None,
            created_at: now,
            updated_at: now,
        };
        check_introspect(caller, &key.restrictions)?;
        covers(ceiling, &key.effective())?;
        Ok(key)
    }

    fn expand_template(
        &self,
        name: Option<&str>,
        placeholders: Option<BTreeMap<String, String>>,
    ) -> Result<(Option<KeyKind>, bool, Restrictions), Error> {
        let Some(name) = name else {
            if placeholders.is_some() {
                return Err(Error::invalid(
                    "placeholders",
                    "there is no template to fill",
                ));
            }
            return Ok((None, false, Restrictions::default()));
        };
        let template = self
            .policy
            .templates
            .iter()
            .find(|template| template.name == name)
            .ok_or_else(|| {
                let names: Vec<_> = self
                    .policy
                    .templates
                    .iter()
                    .map(|template| template.name.as_str())
                    .collect();
                Error::invalid("template", format!("one of {}", names.join(", ")))
            })?;
        let config = template
            .expand(&placeholders.unwrap_or_default())
            .map_err(|error| Error::invalid("placeholders", error.to_string()))?;
        let restrictions = self.parse_config(Some(config))?;
        Ok((Some(template.kind), template.unrestricted, restrictions))
    }

    fn parse_config(&self, config: Option<Config>) -> Result<Restrictions, Error> {
        let Some(config) = config else {
            return Ok(Restrictions::default());
        };
        let restrictions = config
            .parse(&self.policy.vocabulary)
            .map_err(|problem| error::config("config.", &problem))?;
        check_suffixes("config.domains", restrictions.domains.as_ref())?;
        check_suffixes(
            "config.session.domains",
            restrictions.session.domains.as_ref(),
        )?;
        let audiences = restrictions.session.audiences.iter().flatten();
        for audience in audiences {
            if !self.policy.audiences.all.contains(audience) {
                return Err(Error::invalid(
                    "config.session.audiences",
                    format!("`{audience}` is not an audience that is configured here"),
                ));
            }
        }
        Ok(restrictions)
    }

    async fn insert_with_secret(
        &self,
        change: &mut Change<'_>,
        key: &ApiKey,
    ) -> Result<PlainKey, Error> {
        let plain = PlainKey::generate(key.kind, key.environment, &*self.entropy)?;
        api_keys::insert(change.conn(), key).await?;
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
        Ok(plain)
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
        let about = About {
            action,
            account: chain.account(),
            target: Some(key.id.as_str().to_owned()),
            session: None,
            details: Map::new(),
        };
        change.record(caller, &presented.facts, about).await
    }

    /// The keys of the caller's account, or of the child that it acts as.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_tokens(
        &self,
        caller: &Caller,
        mut filter: Filter,
        page: &Page,
    ) -> Result<Vec<TokenItem>, Error> {
        if caller.effective.environment == Environment::Test {
            if filter.environment == Some(Environment::Live) {
                return Ok(Vec::new());
            }
            filter.environment = Some(Environment::Test);
        }
        let mut read = self.store.read().await?;
        let keys = api_keys::list(read.conn(), caller.account(), &filter, page).await?;
        let mut items = Vec::with_capacity(keys.len());
        for key in &keys {
            items.push(self.item(read.conn(), key).await?);
        }
        Ok(items)
    }

    /// A key of the caller's account, or of the child that it acts as.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn fetch_token(&self, caller: &Caller, id: &str) -> Result<TokenItem, Error> {
        let mut read = self.store.read().await?;
        let key = find_visible(read.conn(), caller, id).await?;
        self.item(read.conn(), &key).await
    }

    pub(crate) async fn item(&self, mut conn: Conn<'_>, key: &ApiKey) -> Result<TokenItem, Error> {
        let secrets = secrets::of_key(super::pulse::reborrow(&mut conn), &key.id).await?;
        let makers = match key.maker {
            None => Vec::new(),
            Some(_) => api_keys::lineage(conn, &key.id)
                .await?
                .map(|(_, makers)| makers)
                .unwrap_or_default(),
        };
        let last = secrets
            .iter()
            .filter_map(|secret| secret.last_used.as_ref())
            .max_by_key(|used| used.at);
        let state = match key.expires_at {
            Some(at) if at <= self.now() => "expired",
            _ if key.enabled => "active",
            _ => "disabled",
        };
        Ok(TokenItem {
            id: key.id.clone(),
            user_id: key.account.clone(),
            kind: key.kind,
            environment: key.environment,
            name: key.profile.name.clone(),
            description: key.profile.description.clone(),
            meta: key.profile.meta.clone(),
            external_id: key.profile.external_id.clone(),
            hint: secrets.first().map(|secret| secret.hint.clone()),
            enabled: key.enabled,
            state,
            operator: key.operator,
            unrestricted: key.is_unrestricted(),
            config: Config::from_restrictions(&key.restrictions),
            expires_at: key.expires_at,
            created_at: key.created_at,
            updated_at: key.updated_at,
            last_used_at: last.map(|used| used.at),
            last_used_address: last.and_then(|used| used.address.clone()),
            last_used_agent: last.and_then(|used| used.agent.clone()),
            maker_id: key.maker.clone(),
            grantor_id: key.grantors.first().cloned(),
            lineage: makers.into_iter().map(|maker| maker.id).collect(),
            secrets: secrets
                .iter()
                .map(|secret| SecretItem {
                    hint: secret.hint.clone(),
                    created_at: secret.created_at,
                    expires_at: secret.expires_at,
                    last_used_at: secret.last_used.as_ref().map(|used| used.at),
                    last_used_address: secret
                        .last_used
                        .as_ref()
                        .and_then(|used| used.address.clone()),
                    last_used_agent: secret
                        .last_used
                        .as_ref()
                        .and_then(|used| used.agent.clone()),
                })
                .collect(),
        })
    }

    /// Changes a key. The caller covers it before and after; whatever is not provably wider ends
    /// its sessions, and the keys of its line that it no longer covers.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Forbidden::Exceeds`], [`Error::Invalid`].
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
        api_keys::update(change.conn(), &after).await?;
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
            api_keys::update(change.conn(), &key).await?;
        }
        Ok(())
    }

    /// Gives a key a new secret. The old one works for the overlap; without one it is cut at once,
    /// and with it the sessions and, unless they shall live on, the keys that were made with it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Forbidden::Exceeds`], [`Conflict::Secrets`].
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
        let living = secrets::of_key(change.conn(), &key.id)
            .await?
            .iter()
            .filter(|secret| secret.expires_at.is_none_or(|at| at > change.now))
            .count();
        if overlap_secs > 0 && living >= limits::SECRETS_PER_KEY_MAX {
            return Err(Error::Conflict(Conflict::Secrets));
        }
        let until = change.now.plus_secs(overlap_secs);
        secrets::expire(change.conn(), &key.id, until).await?;
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
        if overlap_secs == 0 {
            change.end(key.tag).await?;
            if rotation.descendants.unwrap_or(true) {
                key.line_cut_at = Some(change.position());
                change.end(key.line_tag).await?;
            }
        }
        key.updated_at = change.now;
        api_keys::update(change.conn(), &key).await?;
        self.record_key(
            &mut change,
            Some(&caller),
            presented,
            &key,
            Action::TokenRotate,
        )
        .await?;
        let answer = TokenCreated {
            id: key.id.clone(),
            token: Some(plain.expose().to_owned()),
            hint: Some(plain.hint()),
            created_at: change.now,
            previous_expires_at: Some(until),
        };
        if let Some(replay) = replay {
            replay.finish(self, change.conn(), &answer).await?;
        }
        change.commit().await?;
        Ok(Once::first(answer))
    }

    /// Ends a key for good, with the keys that were made with it unless they shall live on.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Forbidden::Exceeds`].
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
        if found.is_none_or(|chain| chain.key().ended.is_some()) {
            return Ok(false);
        }
        let mut change = self.change_unasked().await?;
        let now = change.now;
        let Some(chain) = self.find_key(change.conn(), digest, now).await? else {
            return Ok(false);
        };
        let key = chain.key().clone();
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
        api_keys::update(change.conn(), &key).await?;
        self.record_key(change, caller, presented, &key, action)
            .await
    }

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

/// All that a credential may do, written as the restrictions of a key that may do the same.
fn inherited(ceiling: &Effective) -> Result<Restrictions, Error> {
    let too_complex = |_| {
        Error::invalid(
            "config.allowedRoutes",
            "what is left cannot be written as one set; name routes",
        )
    };
    let mint = &ceiling.mint;
    let narrowed = mint.explicit.is_some() || !mint.above.is_none();
    let routes = if narrowed {
        ceiling.mint_ceilings(None).as_one().map_err(too_complex)?
    } else {
        None
    };
    Ok(Restrictions {
        routes: ceiling.call.as_one().map_err(too_complex)?,
        permissions: ceiling.permissions.clone(),
        bindings: ceiling.bindings.clone(),
        domains: ceiling.domains.clone(),
        cidrs: ceiling.cidrs.clone(),
        session: MintRestrictions {
            routes,
            permissions: mint.permissions.clone(),
            bindings: mint.bindings.clone(),
            domains: mint.domains.clone(),
            audiences: mint.audiences.clone(),
            duration_secs_max: Some(mint.duration_secs_max),
            renewable_secs_max: Some(mint.renewable_secs_max),
        },
        impersonation: Some(match &ceiling.impersonation {
            Some(scope) => Impersonation::Allowed(scope.clone()),
            None => Impersonation::Denied,
        }),
        manage: Some(ceiling.manage.clone()),
        rate_limit: ceiling.rate_limit,
    })
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

/// A domain under which anybody can register a name narrows nothing.
fn check_suffixes(field: &str, domains: Option<&Domains>) -> Result<(), Error> {
    for entry in domains.into_iter().flat_map(Domains::iter) {
        let host = entry.host();
        let suffix = psl::suffix(host.as_bytes()).filter(psl::Suffix::is_known);
        if suffix.is_some_and(|suffix| suffix.as_bytes() == host.as_bytes()) {
            let problem = format!(
                "`{}` is a public suffix; name a domain below it",
                entry.as_str()
            );
            return Err(Error::invalid(field, problem));
        }
    }
    Ok(())
}

fn digest_taken(error: StoreError) -> Error {
    match error {
        StoreError::Conflict => Error::Conflict(Conflict::Digest),
        error @ (StoreError::Unavailable(_)
        | StoreError::Corrupt { .. }
        | StoreError::Database(_)) => error.into(),
    }
}
