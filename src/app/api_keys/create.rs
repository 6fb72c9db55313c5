//! Making keys: by template, by restrictions, as unrestricted, for a child, by claim, by import.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Map;

use super::view::TokenCreated;
use super::{apply_profile, check_introspect, digest_taken};
use crate::app::App;
use crate::app::authorise::{Caller, Presented};
use crate::app::change::About;
use crate::app::domains::check_suffixes;
use crate::app::error::{self, Conflict, Error, Forbidden};
use crate::app::idempotency::{Once, Replay};
use crate::domain::account::Account;
use crate::domain::api_key::{ApiKey, KeyChain, KeyProfile};
use crate::domain::audit::Action;
use crate::domain::config::Config;
use crate::domain::cover::covers;
use crate::domain::effective::Effective;
use crate::domain::environment::Environment;
use crate::domain::id::{AccountId, KeyId};
use crate::domain::limits;
use crate::domain::liveness::{Position, Tag};
use crate::domain::restrictions::{Impersonation, MintRestrictions, Restrictions};
use crate::domain::secret::{KeyDigest, KeyKind};
use crate::domain::text::JsonObject;
use crate::domain::time::Timestamp;
use crate::store::secrets::Secret;
use crate::store::{accounts, api_keys, secrets};

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
            caller.subject()?.account(),
            new,
            change.now,
            change.position(),
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
        let answer = TokenCreated::shown(&key.id, &secret, key.created_at, None);
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
        let account = caller.subject()?.account().clone();
        let mine = api_keys::of_account(change.conn(), &account.id).await?;
        if api_keys::had_own(change.conn(), &account.id).await? {
            return Err(Error::Conflict(Conflict::Claimed));
        }
        let mut own_power = Effective::clone(&caller.effective);
        own_power.grantors.clear();
        let mut key = self.new_key(
            &caller,
            &own_power,
            &account,
            new,
            change.now,
            change.position(),
        )?;
        key.maker = None;
        key.depth = 1;
        for granted in &mine {
            change.end(granted.tag).await?;
            change.end(granted.line_tag).await?;
        }
        let now = change.now;
        api_keys::end_granted(change.conn(), &account.id, now).await?;
        change.touch(account.tag).await?;
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
        let answer = TokenCreated::shown(&key.id, &secret, key.created_at, None);
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
            None => caller.subject()?.account().clone(),
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
        let mut key = self.new_key(
            &caller,
            &caller.effective,
            &account,
            new,
            change.now,
            change.position(),
        )?;
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
        now: Timestamp,
        position: Position,
    ) -> Result<ApiKey, Error> {
        let key = self.draft(caller, ceiling, account, new, now, position)?;
        Self::check_made(caller, ceiling, &key)?;
        Ok(key)
    }

    /// Whether the caller may make a key.
    pub(super) fn check_made(
        caller: &Caller,
        ceiling: &Effective,
        key: &ApiKey,
    ) -> Result<(), Error> {
        check_introspect(caller, &key.restrictions)?;
        Ok(covers(ceiling, &key.effective())?)
    }

    /// A key as it was asked for, whether or not the caller may make it.
    pub(super) fn draft(
        &self,
        caller: &Caller,
        ceiling: &Effective,
        account: &Account,
        new: NewToken,
        now: Timestamp,
        position: Position,
    ) -> Result<ApiKey, Error> {
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
            made_at: position,
            line_cut_at: None,
            created_at: now,
            updated_at: now,
        };
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

    pub(super) fn parse_config(&self, config: Option<Config>) -> Result<Restrictions, Error> {
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
