//! Sessions: minted, renewed, exchanged, shown, verified and ended.

mod mint;
mod renew;
pub mod view;
mod writer;

pub use mint::{MintOn, NewSession};
pub use renew::{Exchange, Renewal};
pub(super) use writer::Writer;

pub use view::{SessionCreated, SessionItem};

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::App;
use super::authorise::{Caller, Presented, SessionCaller, Who};
use super::change::{About, Change};
use super::error::{BadCredential, Error, Forbidden};
use super::pulse::reborrow;
use crate::domain::account::AccountChain;
use crate::domain::api_key::KeyChain;
use crate::domain::audit::Action;
use crate::domain::cover::covers;
use crate::domain::environment::Environment;
use crate::domain::grant::Grant;
use crate::domain::id::{AccountId, SessionId};
use crate::domain::limits;
use crate::domain::liveness::Rev;
use crate::domain::profile::ProfileUse;
use crate::domain::restrictions::Manage;
use crate::domain::session::{Origin, Session};
use crate::domain::text::JsonObject;
use crate::domain::time::Timestamp;
use crate::store::sessions::Filter;
use crate::store::{Batch, Conn, Page, accounts, sessions};
use crate::token::claims::{Actor, Claims};
use crate::token::jws::sign_compact;
use crate::token::verify::SESSION_TYP;

/// A session that is ready to be signed and stored.
#[derive(Debug)]
struct Draft<'a> {
    origin: Origin,
    /// The key that mints.
    key: &'a KeyChain,
    /// For whom.
    subject: &'a AccountChain,
    /// Who really acts, nearest first.
    actors: Vec<AccountId>,
    grant: Grant,
    data: Option<JsonObject>,
    /// The session that it comes from, and the tags of its family.
    source: Option<&'a Session>,
    profile: Option<ProfileUse>,
    rev: Rev,
}

impl App {
    /// The record of a session, and its token. Nothing is stored yet.
    fn sign(&self, draft: Draft<'_>, presented: &Presented) -> Result<(Session, String), Error> {
        let Draft {
            origin,
            key,
            subject,
            actors,
            grant,
            data,
            source,
            profile,
            rev,
        } = draft;
        let now = self.now();
        let (id, family_tag) = match source {
            Some(source) => (SessionId::new(now, &*self.entropy)?, source.family_tag),
            None => SessionId::with_family(now, &*self.entropy)?,
        };
        let mut tags = source.map(|source| source.tags.clone()).unwrap_or_default();
        tags.add_all(&key.tags());
        subject.add_tags(&mut tags);
        if subject.account().id != key.key().account
            && let Some((child, parent)) = subject.link(&key.key().account)
        {
            tags.add(child.child_tag);
            tags.add(parent.parent_tag);
        }
        tags.add(family_tag);
        let mut session = Session {
            family: source.map_or_else(|| id.clone(), |source| source.family.clone()),
            id,
            family_tag,
            origin,
            account: subject.account().id.clone(),
            actors,
            key: key.key().id.clone(),
            environment: key.key().environment,
            audience: grant.audience,
            scope: grant.scope,
            data,
            tags,
            rev,
            duration_secs: grant.duration_secs,
            profile,
            issued_at: grant.issued_at,
            expires_at: grant.expires_at,
            renewable_until: grant.renewable_until,
            request: presented.facts.request.clone(),
            address: presented.facts.address,
        };
        let ring = self.signing.ring();
        let signer = ring
            .active(session.environment, now)
            .and_then(|key| key.private.as_ref())
            .ok_or_else(|| Error::Unavailable("no signing key may sign at this moment".into()))?;
        // What is attached may be large: it is lent to the claims.
        let mut claims = self.claims(&session);
        claims.data = session.data.take();
        let payload = claims.to_json();
        session.data = claims.data.take();
        let payload = payload.map_err(|error| Error::Internal(error.into()))?;
        let token = sign_compact(SESSION_TYP, &payload, signer)
            .map_err(|error| Error::Internal(error.into()))?;
        if token.len() > limits::TOKEN_BYTES_MAX {
            return Err(super::error::too_large());
        }
        Ok((session, token))
    }

    /// The claims of a session, without what is attached to it.
    fn claims(&self, session: &Session) -> Claims {
        let act = Actor::chain(session.actors.iter());
        Claims {
            iss: self.issuer(session.environment),
            sub: session.account.clone(),
            aud: session.audience.clone(),
            iat: session.issued_at.secs_floor(),
            nbf: session.issued_at.secs_floor(),
            exp: session.expires_at.secs_floor(),
            jti: session.id.clone(),
            client_id: session.key.clone(),
            act,
            allowed_routes: session.scope.routes.to_strings(),
            scope: session
                .scope
                .permissions
                .as_ref()
                .map(crate::domain::permission::Permissions::to_scope),
            bindings: crate::domain::config::bindings_to_map(&session.scope.bindings),
            domains: session
                .scope
                .domains
                .as_ref()
                .map(crate::domain::origin::Domains::to_strings),
            lin: session.tags.encode(),
            rev: session.rev.encode(),
            data: None,
            cnf: None,
        }
    }

    /// The sessions of the caller's account, or of the child that it acts as; without `manage:
    /// tokens` those of the caller's own key.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_sessions(
        &self,
        caller: &Caller,
        filter: &Filter,
        state: Option<&str>,
        page: &Page,
    ) -> Result<Batch<SessionItem>, Error> {
        let mut filter = filter.clone();
        if !caller.effective.manage.contains(&Manage::Tokens) {
            let own = caller.key_id().cloned();
            if filter.key.is_some() && filter.key != own {
                return Ok(page.batch(Vec::new(), |item: &SessionItem| item.id.as_str()));
            }
            filter.key = own;
        }
        if caller.effective.environment == Environment::Test {
            filter.environment = Some(Environment::Test);
        }
        self.ensure_fresh().await?;
        let mut read = self.store.read().await?;
        let list = sessions::list(read.conn(), caller.account(), &filter, page).await?;
        let shown = list.into_iter().map(|session| self.show(session)).collect();
        let mut batch = page.batch(shown, |item: &SessionItem| item.id.as_str());
        // The state is no column: it is asked of the change log and the clock.
        batch
            .items
            .retain(|item| state.is_none_or(|state| item.state == state));
        Ok(batch)
    }

    /// A session as [`App::list_sessions`] would show it.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn fetch_session(&self, caller: &Caller, id: &str) -> Result<SessionItem, Error> {
        let mut read = self.store.read().await?;
        let session = find_visible(read.conn(), caller, id).await?;
        Ok(self.show(session))
    }

    /// The session that a good token of this issuer names.
    pub fn session_named_by(&self, token: &str) -> Option<SessionId> {
        self.identify_session(token, self.now())
            .ok()
            .map(|session| session.claims.jti)
    }

    pub(crate) fn show(&self, session: Session) -> SessionItem {
        let dead = self.pulse.check(&session.tags, session.rev).is_err();
        SessionItem::new(session, dead, self.now())
    }

    /// Ends a session with its whole family.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Forbidden::Exceeds`].
    pub async fn revoke_session(
        &self,
        presented: &Presented,
        id: &str,
    ) -> Result<SessionId, Error> {
        let (mut change, caller) = self.change(presented).await?;
        let session = match &caller.who {
            Who::Session(own) => {
                let wanted = SessionId::parse(id).map_err(|_| Error::NotFound)?;
                let family = sessions::find(change.conn(), &own.claims.jti)
                    .await?
                    .ok_or(Error::NotFound)?
                    .family;
                sessions::find(change.conn(), &wanted)
                    .await?
                    .filter(|session| session.family == family)
                    .ok_or(Error::NotFound)?
            }
            Who::Key(_) | Who::Cli(_) => {
                let session = find_visible(change.conn(), &caller, id).await?;
                self.check_governs(change.conn(), &caller, &session).await?;
                session
            }
        };
        self.end_family(&mut change, Some(&caller), presented, &session)
            .await?;
        change.commit().await?;
        Ok(session.id)
    }

    /// To end sessions of another key is to act against that key, so the caller covers it.
    async fn check_governs(
        &self,
        conn: Conn<'_>,
        caller: &Caller,
        session: &Session,
    ) -> Result<(), Error> {
        if caller.key_id() == Some(&session.key) {
            return Ok(());
        }
        let Some(minter) = self.key_chain(conn, &session.key).await? else {
            return Ok(());
        };
        let minter = minter.key();
        let mut power = minter.effective();
        if minter.account != session.account
            && let Some(acting) = power.acting_as_child(&minter.account)
        {
            power = acting;
        }
        // A key that has ended no longer has a power that could be covered.
        if minter.ended.is_none() {
            covers(&caller.effective, &power)?;
        }
        Ok(())
    }

    pub(crate) async fn report_session(
        &self,
        presented: &Presented,
        token: &str,
    ) -> Result<bool, Error> {
        self.ensure_fresh().await?;
        let Ok(SessionCaller { claims, .. }) = self.identify_session(token, self.now()) else {
            return Ok(false);
        };
        let mut change = self.change_unasked().await?;
        let Some(session) = sessions::find(change.conn(), &claims.jti).await? else {
            return Ok(false);
        };
        self.end_family(&mut change, None, presented, &session)
            .await?;
        change.commit().await?;
        Ok(true)
    }

    async fn end_family(
        &self,
        change: &mut Change<'_>,
        caller: Option<&Caller>,
        presented: &Presented,
        session: &Session,
    ) -> Result<(), Error> {
        change.end(session.family_tag).await?;
        let chain = accounts::chain(change.conn(), &session.account)
            .await?
            .ok_or_else(|| Error::internal("a session without an account"))?;
        let mut details = Map::new();
        details.insert(
            "environment".to_owned(),
            session.environment.as_str().into(),
        );
        if caller.is_none() {
            details.insert("reported".to_owned(), true.into());
        }
        let about = About {
            action: Action::SessionRevoke,
            account: chain.account(),
            target: None,
            session: Some(session.id.clone()),
            details,
        };
        change.record(caller, &presented.facts, about).await
    }

    /// What a token says, if it is good and the caller may know: a token of the caller's account or
    /// of one below, or any with `introspect`. `None` is "not active", for whatever reason.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn verify_session(
        &self,
        caller: &Caller,
        token: &str,
    ) -> Result<Option<Value>, Error> {
        let now = self.now();
        self.ensure_fresh().await?;
        let session = match self.identify_session(token, now) {
            Ok(session) => session,
            Err(Error::Unauthenticated(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        if !caller.effective.environment.covers(session.environment) {
            return Ok(None);
        }
        let mut read = self.store.read().await?;
        let subject = accounts::chain(read.conn(), &session.claims.sub).await?;
        let below = subject
            .is_some_and(|chain| chain.iter().any(|account| account.id == *caller.account()));
        if !below && !caller.effective.manage.contains(&Manage::Introspect) {
            return Ok(None);
        }
        let payload = session
            .claims
            .to_json()
            .map_err(|error| Error::Internal(error.into()))?;
        let mut claims: Value =
            serde_json::from_slice(&payload).map_err(|error| Error::Internal(error.into()))?;
        if let Value::Object(claims) = &mut claims {
            claims.insert("active".to_owned(), true.into());
        }
        Ok(Some(claims))
    }
}

/// A session of the account for which the caller speaks, minted by its own key unless it manages
/// tokens.
async fn find_visible(mut conn: Conn<'_>, caller: &Caller, id: &str) -> Result<Session, Error> {
    let id = SessionId::parse(id).map_err(|_| Error::NotFound)?;
    let session = match caller.who {
        // The operator's CLI has every account before it.
        Who::Cli(_) => sessions::find(reborrow(&mut conn), &id).await?,
        Who::Key(_) | Who::Session(_) => {
            sessions::find_in(reborrow(&mut conn), caller.account(), &id).await?
        }
    };
    let manages = caller.effective.manage.contains(&Manage::Tokens);
    session
        .filter(|session| manages || caller.key_id() == Some(&session.key))
        .filter(|session| caller.effective.environment.covers(session.environment))
        .ok_or(Error::NotFound)
}

/// A session as caller, at the doors that only sessions may enter.
fn session_caller(caller: &Caller) -> Result<&SessionCaller, Error> {
    match &caller.who {
        Who::Session(session) => Ok(session),
        Who::Key(_) | Who::Cli(_) => Err(BadCredential::TokenAudience.into()),
    }
}

/// A key as caller: only a key mints.
fn key_caller(caller: &Caller) -> Result<&KeyChain, Error> {
    match &caller.who {
        Who::Key(chain) => Ok(chain),
        Who::Session(_) => Err(Forbidden::Session.into()),
        // The command line on the database speaks for an account, and has no key.
        Who::Cli(_) => Err(Error::invalid(
            "key",
            "sessions are minted with an API key; name a server with --url and a key with --key-file",
        )),
    }
}

fn merge(into: &mut JsonObject, name: &str, value: Option<Value>) -> Result<(), Error> {
    let Some(value) = value else { return Ok(()) };
    if into.insert(name.to_owned(), value).is_some() {
        return Err(Error::invalid(
            name,
            format!("stands in `data.{name}`, too"),
        ));
    }
    Ok(())
}

/// What is attached to a session, if it is small enough.
fn check_data(data: JsonObject) -> Result<Option<JsonObject>, Error> {
    super::error::text(
        "data",
        crate::domain::text::check_object(&data, limits::DATA_BYTES_MAX),
    )?;
    Ok((!data.is_empty()).then_some(data))
}

/// The values of a profile's placeholders as text.
fn texts(profile: &ProfileUse) -> BTreeMap<String, String> {
    profile
        .values
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().to_owned()))
        .collect()
}

/// When a session issued now would end.
fn capped(expires_at: Timestamp, cap: Timestamp) -> Timestamp {
    expires_at.min(cap.floor_to_secs())
}
