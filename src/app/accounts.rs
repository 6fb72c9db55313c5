//! Accounts: the children of the caller, and the caller's own account.

use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::App;
use super::authorise::{Caller, Presented};
use super::change::{About, Change};
use super::error::{self, Conflict, Error, Forbidden};
use super::idempotency::{Once, Replay};
use crate::domain::account::{Account, AccountChain, AccountState, ImpersonationPolicy, Profile};
use crate::domain::audit::Action;
use crate::domain::id::AccountId;
use crate::domain::limits;
use crate::domain::liveness::Tag;
use crate::domain::text::{self, Email, JsonObject};
use crate::domain::time::Timestamp;
use crate::store::accounts::Filter;
use crate::store::{Batch, Page, StoreError, accounts};

/// An account as the API shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct UserItem {
    pub id: AccountId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<JsonObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<JsonObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    pub state: &'static str,
    pub can_impersonate: bool,
    pub impersonation_policy: &'static str,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl From<&Account> for UserItem {
    fn from(account: &Account) -> Self {
        let profile = account.profile.clone();
        Self {
            id: account.id.clone(),
            parent_id: account.parent.clone(),
            name: profile.name,
            email: profile.email.map(|email| email.as_str().to_owned()),
            alias: profile.alias,
            description: profile.description,
            image: profile.image,
            limits: profile.limits,
            meta: profile.meta,
            external_id: profile.external_id,
            state: account.state.as_str(),
            can_impersonate: account.can_impersonate,
            impersonation_policy: account.impersonation_policy.as_str(),
            created_at: account.created_at,
            updated_at: account.updated_at,
        }
    }
}

/// What a caller writes about an account.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct UserFields {
    pub name: Option<String>,
    pub email: Option<String>,
    pub alias: Option<String>,
    pub description: Option<String>,
    pub image: Option<String>,
    pub limits: Option<JsonObject>,
    pub meta: Option<JsonObject>,
    pub external_id: Option<String>,
    pub can_impersonate: Option<bool>,
    /// At creation only: an account without a parent.
    pub root: Option<bool>,
    /// At an update only: fields that are taken away.
    pub clear: Option<Vec<String>>,
}

/// What an account writes about itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct SelfFields {
    pub name: Option<String>,
    pub alias: Option<String>,
    pub description: Option<String>,
    pub image: Option<String>,
    pub meta: Option<JsonObject>,
    pub impersonation_policy: Option<String>,
}

/// The answer to a creation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct UserCreated {
    pub id: AccountId,
    pub created_at: Timestamp,
}

/// Puts what is named in place of what is there, each field checked.
fn apply_fields(profile: &mut Profile, fields: UserFields) -> Result<(), Error> {
    let UserFields {
        name,
        email,
        alias,
        description,
        image,
        limits: kept_limits,
        meta,
        external_id,
        can_impersonate: _,
        root: _,
        clear: _,
    } = fields;
    put(
        &mut profile.name,
        name,
        "name",
        limits::NAME_CHARS_MAX,
        false,
    )?;
    put(
        &mut profile.alias,
        alias,
        "alias",
        limits::ALIAS_CHARS_MAX,
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
        &mut profile.image,
        image,
        "image",
        limits::IMAGE_CHARS_MAX,
        false,
    )?;
    put(
        &mut profile.external_id,
        external_id,
        "externalId",
        limits::ALIAS_CHARS_MAX,
        false,
    )?;
    if let Some(email) = email {
        let email = Email::parse(&email).map_err(|e| Error::invalid("email", e.to_string()))?;
        profile.email = Some(email);
    }
    put_object(&mut profile.limits, kept_limits, "limits")?;
    put_object(&mut profile.meta, meta, "meta")
}

pub(crate) fn put(
    place: &mut Option<String>,
    value: Option<String>,
    field: &str,
    chars_max: usize,
    lines: bool,
) -> Result<(), Error> {
    if let Some(value) = value {
        error::text(field, text::check(&value, chars_max, lines))?;
        *place = Some(value);
    }
    Ok(())
}

pub(crate) fn put_object(
    place: &mut Option<JsonObject>,
    value: Option<JsonObject>,
    field: &str,
) -> Result<(), Error> {
    if let Some(value) = value {
        error::text(field, text::check_object(&value, limits::META_BYTES_MAX))?;
        *place = Some(value);
    }
    Ok(())
}

fn clear(profile: &mut Profile, names: &[String]) -> Result<(), Error> {
    for name in names {
        match name.as_str() {
            "name" => profile.name = None,
            "email" => profile.email = None,
            "alias" => profile.alias = None,
            "description" => profile.description = None,
            "image" => profile.image = None,
            "limits" => profile.limits = None,
            "meta" => profile.meta = None,
            "externalId" => profile.external_id = None,
            _ => {
                let problem = "name, email, alias, description, image, limits, meta or externalId";
                return Err(Error::invalid("clear", problem));
            }
        }
    }
    Ok(())
}

fn email_taken(error: StoreError) -> Error {
    match error {
        StoreError::Conflict => Error::Conflict(Conflict::Email),
        error @ (StoreError::Unavailable(_)
        | StoreError::Corrupt { .. }
        | StoreError::Database(_)) => error.into(),
    }
}

/// What can be done to a child as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Stop it, with all below it.
    Suspend,
    /// Bring its keys back.
    Resume,
    /// End it for good, with all below it.
    Delete,
}

impl App {
    /// Creates a child of the caller's account, or a root for an operator.
    ///
    /// # Errors
    /// [`Conflict::Email`], [`Conflict::Depth`], [`Error::Invalid`].
    pub async fn create_user(
        &self,
        presented: &Presented,
        fields: UserFields,
        replay: Option<&Replay>,
    ) -> Result<Once<UserCreated>, Error> {
        if fields.clear.is_some() {
            return Err(Error::invalid(
                "clear",
                "there is nothing to clear at a creation",
            ));
        }
        let (mut change, caller) = self.change(presented).await?;
        let root = fields.root.unwrap_or(false);
        if root && !caller.effective.operator {
            return Err(Forbidden::Operator.into());
        }
        if let Some(replay) = replay
            && let Some(answer) = replay.begin(&mut change).await?
        {
            return Ok(Once {
                answer,
                replayed: true,
            });
        }
        let parent = (!root)
            .then(|| caller.subject())
            .transpose()?
            .map(|chain| chain.account());
        let can_impersonate = fields.can_impersonate.unwrap_or(true);
        let mut profile = Profile::default();
        apply_fields(&mut profile, fields)?;
        let account = self.new_account(parent, profile, can_impersonate, change.now)?;
        accounts::insert(change.conn(), &account)
            .await
            .map_err(email_taken)?;
        let about = About {
            action: Action::UserCreate,
            account: &account,
            target: None,
            session: None,
            details: Map::new(),
        };
        change
            .record(Some(&caller), &presented.facts, about)
            .await?;
        let answer = UserCreated {
            id: account.id,
            created_at: account.created_at,
        };
        if let Some(replay) = replay {
            replay.finish(self, change.conn(), &answer).await?;
        }
        change.commit().await?;
        Ok(Once::first(answer))
    }

    pub(crate) fn new_account(
        &self,
        parent: Option<&Account>,
        profile: Profile,
        can_impersonate: bool,
        now: Timestamp,
    ) -> Result<Account, Error> {
        let depth = parent.map_or(0, |parent| parent.depth) + 1;
        if depth > limits::DEPTH_MAX {
            return Err(Error::Conflict(Conflict::Depth));
        }
        Ok(Account {
            id: AccountId::new(now, &*self.entropy)?,
            parent: parent.map(|parent| parent.id.clone()),
            depth,
            profile,
            state: AccountState::Active,
            can_impersonate,
            impersonation_policy: ImpersonationPolicy::Allow,
            tag: Tag::new(&*self.entropy)?,
            child_tag: Tag::new(&*self.entropy)?,
            parent_tag: Tag::new(&*self.entropy)?,
            denied_at: None,
            barred_at: None,
            created_at: now,
            updated_at: now,
        })
    }

    /// The children of the caller's account; for an operator's CLI without an account, the roots.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_users(
        &self,
        caller: &Caller,
        filter: &Filter,
        page: &Page,
    ) -> Result<Batch<UserItem>, Error> {
        let mut read = self.store.read().await?;
        let children = accounts::list(read.conn(), Some(caller.account()), filter, page).await?;
        Ok(
            page.batch(children.iter().map(UserItem::from).collect(), |item| {
                item.id.as_str()
            }),
        )
    }

    /// A child of the caller's account.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn fetch_user(&self, caller: &Caller, id: &str) -> Result<UserItem, Error> {
        let mut read = self.store.read().await?;
        let child = find_child(read.conn(), caller, id).await?;
        Ok(UserItem::from(child.account()))
    }

    /// Changes a child of the caller's account.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Conflict::Email`], [`Error::Invalid`].
    pub async fn update_user(
        &self,
        presented: &Presented,
        id: &str,
        fields: UserFields,
    ) -> Result<AccountId, Error> {
        if fields.root.is_some() {
            return Err(Error::invalid(
                "root",
                "an account never changes its parent",
            ));
        }
        let (mut change, caller) = self.change(presented).await?;
        let mut account = find_child(change.conn(), &caller, id)
            .await?
            .account()
            .clone();
        let can_impersonate = fields.can_impersonate;
        clear(
            &mut account.profile,
            fields.clear.as_deref().unwrap_or_default(),
        )?;
        apply_fields(&mut account.profile, fields)?;
        if let Some(can) = can_impersonate {
            if account.can_impersonate && !can {
                account.barred_at = Some(change.position());
                change.end(account.parent_tag).await?;
            }
            account.can_impersonate = can;
        }
        self.store_changed(&mut change, &caller, presented, account, Action::UserUpdate)
            .await?;
        change.commit().await?;
        parse_id(id)
    }

    /// Suspends, resumes or deletes a child of the caller's account. One entry of the log ends
    /// every token of the whole tree below it; nothing is walked.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn turn_user(
        &self,
        presented: &Presented,
        id: &str,
        turn: Turn,
    ) -> Result<AccountId, Error> {
        let (mut change, caller) = self.change(presented).await?;
        let mut account = find_child(change.conn(), &caller, id)
            .await?
            .account()
            .clone();
        let (state, action) = match turn {
            Turn::Suspend => (AccountState::Suspended, Action::UserSuspend),
            Turn::Resume => (AccountState::Active, Action::UserResume),
            Turn::Delete => (AccountState::Deleted, Action::UserDelete),
        };
        if state != AccountState::Active {
            change.end(account.tag).await?;
        }
        account.state = state;
        self.store_changed(&mut change, &caller, presented, account, action)
            .await?;
        change.commit().await?;
        parse_id(id)
    }

    /// The caller's own account, or the child that it acts as.
    ///
    /// # Errors
    /// [`Error`].
    pub fn fetch_self(&self, caller: &Caller) -> Result<UserItem, Error> {
        Ok(UserItem::from(caller.subject()?.account()))
    }

    /// Changes the caller's own account. Nobody who acts for it may, since this is where it says
    /// whether anybody may.
    ///
    /// # Errors
    /// [`Forbidden::Granted`], [`Error::Invalid`].
    pub async fn update_self(
        &self,
        presented: &Presented,
        fields: SelfFields,
    ) -> Result<AccountId, Error> {
        let (mut change, caller) = self.change(presented).await?;
        if !caller.effective.grantors.is_empty() || caller.acting {
            return Err(Forbidden::Granted.into());
        }
        let mut account = caller.subject()?.account().clone();
        let SelfFields {
            name,
            alias,
            description,
            image,
            meta,
            impersonation_policy,
        } = fields;
        let written = UserFields {
            name,
            alias,
            description,
            image,
            meta,
            ..UserFields::default()
        };
        apply_fields(&mut account.profile, written)?;
        if let Some(policy) = impersonation_policy {
            let policy = ImpersonationPolicy::parse(&policy)
                .ok_or_else(|| Error::invalid("impersonationPolicy", "allow or deny"))?;
            if policy == ImpersonationPolicy::Deny {
                account.denied_at = Some(change.position());
                change.end(account.child_tag).await?;
            }
            account.impersonation_policy = policy;
        }
        let id = account.id.clone();
        self.store_changed(
            &mut change,
            &caller,
            presented,
            account,
            Action::UserSelfUpdate,
        )
        .await?;
        change.commit().await?;
        Ok(id)
    }

    async fn store_changed(
        &self,
        change: &mut Change<'_>,
        caller: &Caller,
        presented: &Presented,
        mut account: Account,
        action: Action,
    ) -> Result<(), Error> {
        account.updated_at = change.now;
        change.update_account(&account).await.map_err(email_taken)?;
        let about = About {
            action,
            account: &account,
            target: None,
            session: None,
            details: Map::new(),
        };
        change.record(Some(caller), &presented.facts, about).await
    }
}

fn parse_id(id: &str) -> Result<AccountId, Error> {
    AccountId::parse(id).map_err(|_| Error::NotFound)
}

/// A direct child of the caller's account that was not deleted. Somebody else's and nobody's are
/// one answer.
async fn find_child(
    conn: crate::store::Conn<'_>,
    caller: &Caller,
    id: &str,
) -> Result<AccountChain, Error> {
    let chain = accounts::chain(conn, &parse_id(id)?)
        .await?
        .ok_or(Error::NotFound)?;
    let child = chain.account();
    let own = child.parent.as_ref() == Some(caller.account());
    // The operator's CLI has every account before it.
    let any = matches!(caller.who, super::authorise::Who::Cli(_));
    if (own || any) && child.state != AccountState::Deleted {
        Ok(chain)
    } else {
        Err(Error::NotFound)
    }
}
