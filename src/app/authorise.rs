//! The one pipeline from a credential to a [`Caller`]: authentication, liveness, acting as a child,
//! decision. Every door goes through it, and a change goes through it a second time under the lock
//! of the change log.

use std::net::IpAddr;

use super::App;
use super::error::{BadCredential, Error, Forbidden};
use super::pulse::reborrow;
use crate::domain::account::AccountChain;
use crate::domain::api_key::KeyChain;
use crate::domain::binding::NamedValues;
use crate::domain::decision::{Asked, BindingCheck, Deny, Permit, RoutePermission, decide};
use crate::domain::effective::{Ceilings, Effective, MintSide};
use crate::domain::environment::Environment;
use crate::domain::id::{AccountId, KeyId, RequestId};
use crate::domain::limits;
use crate::domain::liveness::{Rev, Tags};
use crate::domain::network::Cidrs;
use crate::domain::rate::Turn;
use crate::domain::restrictions::{ImpersonationScope, Manage};
use crate::domain::route::RequestPath;
use crate::domain::run_as::{Acting, RunAs, act_as};
use crate::domain::secret::{KeyDigest, PlainKey};
use crate::domain::session::SessionScope;
use crate::domain::time::Timestamp;
use crate::store::{Conn, accounts, api_keys, change_log, secrets};
use crate::token::TokenError;
use crate::token::claims::Claims;

/// What came in the `Authorization` header, not yet believed.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Nothing.
    None,
    /// Not a JWT.
    Key(PlainKey),
    /// A JWT.
    Token(String),
    /// The operator's CLI, which has the database before it. `None` speaks for the operator
    /// account.
    Cli(Option<AccountId>),
}

impl Credential {
    /// Reads a bearer string: what begins with `eyJ` and has two dots is a JWT, anything else a key.
    ///
    /// # Errors
    /// [`BadCredential::Key`].
    pub fn parse(bearer: &str) -> Result<Self, BadCredential> {
        let dots = bearer.bytes().filter(|byte| *byte == b'.').count();
        if bearer.starts_with("eyJ") && dots == 2 {
            return Ok(Self::Token(bearer.to_owned()));
        }
        PlainKey::parse(bearer)
            .map(Self::Key)
            .map_err(|_| BadCredential::Key)
    }
}

/// The wish to act as a child.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Whom.
    pub run_as: RunAs,
    /// Whether it stands in a header; else the path says it.
    pub by_header: bool,
}

/// What is known of a request beside its credential.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The request, as logs, errors and the ledger name it.
    pub request: RequestId,
    /// The method, as sent.
    pub method: String,
    /// The path, parsed.
    pub path: RequestPath,
    /// Whether a method-override header came.
    pub method_override: bool,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The client's program, as it says itself.
    pub agent: Option<String>,
    /// The `Origin` header.
    pub origin: Option<String>,
    /// The values of bindings that header and path name.
    pub named: NamedValues,
}

/// Whether the route check applies to an endpoint of hallpass itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteCheck {
    /// It does.
    Always,
    /// It does not: the holder asks about its own credential.
    Exempt,
    /// It does for keys; a session may always end itself.
    Keys,
}

impl RouteCheck {
    fn is_exempt(self, who: &Who) -> bool {
        match self {
            Self::Always => false,
            Self::Exempt => true,
            Self::Keys => matches!(who, Who::Session(_)),
        }
    }
}

/// What an endpoint asks of its caller. `http/routes.rs` has one for each endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a rule of its own, named where it is set"
)]
pub struct Need {
    /// Whether the route check applies.
    pub route: RouteCheck,
    /// Session tokens are admitted, of any audience.
    pub sessions: bool,
    /// What is managed here.
    pub manage: Option<Manage>,
    /// Only an operator may.
    pub operator: bool,
    /// Where bindings are judged.
    pub bindings: BindingCheck,
    /// A run-as header is admitted.
    pub run_as_header: bool,
    /// Live things are changed here, which no test key may.
    pub live: bool,
}

/// A request that asks to be admitted.
#[derive(Debug, Clone)]
pub struct Presented {
    /// The credential.
    pub credential: Credential,
    /// The wish to act as a child.
    pub wish: Option<Wish>,
    /// What else is known.
    pub facts: Facts,
    /// What the endpoint asks.
    pub need: Need,
}

/// A session as caller.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionCaller {
    /// The claims of its token.
    pub claims: Claims,
    /// Its environment.
    pub environment: Environment,
    /// What it may do.
    pub scope: SessionScope,
    /// All that it descends from.
    pub tags: Tags,
    /// As of where it was minted.
    pub rev: Rev,
}

/// Whose credential it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Who {
    /// A key, alive.
    Key(Box<KeyChain>),
    /// A session, alive.
    Session(Box<SessionCaller>),
    /// The operator's CLI.
    Cli(Box<AccountChain>),
}

/// An authenticated caller: its credential is known and alive. What it may do is not yet judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Identified {
    /// Whose credential it is.
    pub who: Who,
    /// The position of the log as of which all of it was read.
    pub rev: Rev,
}

/// A caller that may do what it asks. Use cases take one; there is no other way to get it.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whose credential it is.
    pub who: Who,
    /// For whom it speaks, with all above: its account, or the child that it acts as.
    pub subject: AccountChain,
    /// Whether it acts as a child.
    pub acting: bool,
    /// What it may do, as whom it acts.
    pub effective: Effective,
    /// That it was allowed.
    pub permit: Permit,
    /// The lowest position of the log as of which anything here was read.
    pub rev: Rev,
    /// The turn that was taken of its rate limit.
    pub turn: Option<Turn>,
}

impl Caller {
    /// The key, when it is one.
    pub fn key(&self) -> Option<&KeyChain> {
        match &self.who {
            Who::Key(chain) => Some(chain),
            Who::Session(_) | Who::Cli(_) => None,
        }
    }

    /// The id of the key with which it came, or which minted its session.
    pub fn key_id(&self) -> Option<&KeyId> {
        match &self.who {
            Who::Key(chain) => Some(&chain.key().id),
            Who::Session(session) => Some(&session.claims.client_id),
            Who::Cli(_) => None,
        }
    }

    /// Who really acts: itself, the parent that acts as it or that made its key.
    pub fn actor(&self) -> Option<&AccountId> {
        match &self.who {
            Who::Cli(_) => None,
            Who::Session(session) => Some(
                session
                    .claims
                    .act
                    .as_ref()
                    .map_or(&session.claims.sub, |act| &act.sub),
            ),
            Who::Key(_) => Some(
                self.effective
                    .grantors
                    .first()
                    .unwrap_or(&self.subject.account().id),
            ),
        }
    }

    /// The id of the account for which it speaks.
    pub fn account(&self) -> &AccountId {
        &self.subject.account().id
    }
}

impl App {
    /// Admits a request or refuses it.
    ///
    /// # Errors
    /// Any but [`Error::NotFound`] and [`Error::Conflict`].
    pub async fn admit(&self, presented: &Presented) -> Result<Caller, Error> {
        if matches!(presented.credential, Credential::None) {
            return Err(BadCredential::Missing.into());
        }
        self.pulse.ensure_fresh(&self.store).await?;
        let mut read = self.store.read().await?;
        self.admit_in(read.conn(), presented, true).await
    }

    /// Admits a request by what a connection sees. Under the lock of the change log this is the
    /// second time, and takes no second turn of a rate limit.
    pub(crate) async fn admit_in(
        &self,
        mut conn: Conn<'_>,
        presented: &Presented,
        first: bool,
    ) -> Result<Caller, Error> {
        let now = self.now();
        let identified = self
            .identify(reborrow(&mut conn), presented, now, first)
            .await?;
        let key = match &identified.who {
            Who::Key(chain) if first => Some(chain.key().clone()),
            Who::Key(_) | Who::Session(_) | Who::Cli(_) => None,
        };
        let result = self.permit(conn, presented, identified, now, first).await;
        if let (Err(Error::Forbidden(_)), Some(key)) = (&result, key) {
            self.lately.refused(self, presented, &key, now);
        }
        result
    }

    async fn identify(
        &self,
        mut conn: Conn<'_>,
        presented: &Presented,
        now: Timestamp,
        first: bool,
    ) -> Result<Identified, Error> {
        // Before anything is read or asked, so that whatever ends meanwhile ends what is made of
        // it, too: rows are as new as the database, liveness is as new as this node's knowledge.
        let known = self.pulse.known();
        let head = change_log::head(reborrow(&mut conn)).await?;
        self.pulse.check_head(known, head)?;
        let rev = match &presented.credential {
            Credential::Token(_) if first => self.knowledge(reborrow(&mut conn), head).await?,
            // Under the lock the head is this change's own, which nobody may take for known yet.
            Credential::Token(_) => self
                .pulse
                .known()
                .min(head)
                .ok_or(BadCredential::TokenEnded)?,
            Credential::None | Credential::Key(_) | Credential::Cli(_) => head,
        };
        let who = match &presented.credential {
            Credential::None => return Err(BadCredential::Missing.into()),
            Credential::Key(key) => {
                let chain = self
                    .identify_key(conn, &key.digest(), presented, now)
                    .await?;
                Who::Key(Box::new(chain))
            }
            Credential::Token(token) => {
                Who::Session(Box::new(self.identify_token(token, presented, now)?))
            }
            Credential::Cli(account) => {
                let id = account.as_ref().unwrap_or(&self.operator);
                let chain = accounts::chain(conn, id).await?.ok_or(Error::NotFound)?;
                Who::Cli(Box::new(chain))
            }
        };
        Ok(Identified { who, rev })
    }

    /// As of where this node knows the change log, read again when that is older than `head`: what
    /// relies on both would be as old as the older of them, and a change that was made before may
    /// have ended it already.
    pub(crate) async fn knowledge(&self, conn: Conn<'_>, head: Rev) -> Result<Rev, Error> {
        let known = self.pulse.known();
        if known.log == head.log && known.position >= head.position {
            return Ok(head);
        }
        self.pulse.refresh(conn).await?;
        self.pulse
            .known()
            .min(head)
            .ok_or_else(|| BadCredential::TokenEnded.into())
    }

    async fn identify_key(
        &self,
        mut conn: Conn<'_>,
        digest: &KeyDigest,
        presented: &Presented,
        now: Timestamp,
    ) -> Result<KeyChain, Error> {
        let address = presented.facts.address;
        let clock_ms = self.clock.monotonic_ms();
        if let Some(retry_ms) = self.limiter.blocked(address, digest, clock_ms) {
            return Err(Error::too_many(retry_ms));
        }
        match self.find_key(reborrow(&mut conn), digest, now).await? {
            Some(chain) if chain.check_alive(now).is_ok() => {
                self.limiter.good(digest);
                self.lately.used(digest, &presented.facts, now);
                Ok(chain)
            }
            _ => {
                self.metrics.authentication_failed("key");
                match self.limiter.failed(address, clock_ms) {
                    Some(retry_ms) => Err(Error::too_many(retry_ms)),
                    None => Err(BadCredential::Key.into()),
                }
            }
        }
    }

    /// A session token, with the same limit on guesses as keys have.
    fn identify_token(
        &self,
        token: &str,
        presented: &Presented,
        now: Timestamp,
    ) -> Result<SessionCaller, Error> {
        let address = presented.facts.address;
        let clock_ms = self.clock.monotonic_ms();
        let digest = KeyDigest::of(token.as_bytes());
        if let Some(retry_ms) = self.limiter.blocked(address, &digest, clock_ms) {
            return Err(Error::too_many(retry_ms));
        }
        let identified = self.identify_session(token, now);
        match &identified {
            Ok(_) => self.limiter.good(&digest),
            // Signed here, and over: no guess.
            Err(Error::Unauthenticated(
                BadCredential::Token(TokenError::Expired) | BadCredential::TokenEnded,
            )) => {}
            Err(Error::Unauthenticated(_)) => {
                self.metrics.authentication_failed("token");
                if let Some(retry_ms) = self.limiter.failed(address, clock_ms) {
                    return Err(Error::too_many(retry_ms));
                }
            }
            Err(_) => {}
        }
        identified
    }

    /// The key that a digest opens, with its makers and accounts, whatever their state; nothing
    /// when the secret is unknown or past its overlap.
    pub(crate) async fn find_key(
        &self,
        mut conn: Conn<'_>,
        digest: &KeyDigest,
        now: Timestamp,
    ) -> Result<Option<KeyChain>, Error> {
        let secret = secrets::find(reborrow(&mut conn), digest).await?;
        let Some(secret) = secret.filter(|secret| secret.digest.matches(digest)) else {
            return Ok(None);
        };
        if secret.expires_at.is_some_and(|at| at <= now) {
            return Ok(None);
        }
        self.key_chain(conn, &secret.key).await
    }

    /// A key with its makers and accounts, whatever their state.
    pub(crate) async fn key_chain(
        &self,
        mut conn: Conn<'_>,
        id: &KeyId,
    ) -> Result<Option<KeyChain>, Error> {
        let Some((key, makers)) = api_keys::lineage(reborrow(&mut conn), id).await? else {
            return Ok(None);
        };
        let accounts = accounts::chain(conn, &key.account)
            .await?
            .ok_or_else(|| Error::internal("a key without an account"))?;
        Ok(Some(KeyChain::new(key, makers, accounts)))
    }

    async fn permit(
        &self,
        conn: Conn<'_>,
        presented: &Presented,
        identified: Identified,
        now: Timestamp,
        first: bool,
    ) -> Result<Caller, Error> {
        let Presented {
            wish, facts, need, ..
        } = presented;
        let Identified { who, rev } = identified;
        let own = match &who {
            Who::Session(session) => {
                if wish.is_some() {
                    return Err(Forbidden::Impersonation.into());
                }
                if !need.sessions {
                    return Err(self.refuse_session(session));
                }
                session.effective()
            }
            Who::Key(chain) => {
                let mut own = chain.key().effective();
                own.operator = own.operator && self.is_operator(chain.key());
                own
            }
            Who::Cli(_) => everything(),
        };

        // All that does not depend on whom the caller wants to act as is judged before anybody is
        // looked up, so that a refusal tells nothing about an account, and a wish takes a turn.
        let mut turn = None;
        let permit = self.decide(presented, &who, &own, now, first.then_some(&mut turn))?;
        if wish.as_ref().is_some_and(|wish| wish.by_header) && !need.run_as_header {
            return Err(Forbidden::RunAsHere.into());
        }
        if need.operator && !own.operator {
            return Err(Forbidden::Operator.into());
        }
        if need.live && own.environment == Environment::Test {
            return Err(Forbidden::TestKey.into());
        }

        let (subject, effective, acting) = match (&who, wish) {
            (Who::Session(session), _) => {
                let subject = accounts::chain(conn, &session.claims.sub)
                    .await?
                    .ok_or(BadCredential::TokenEnded)?;
                (subject, own, false)
            }
            (Who::Key(chain), None) => (chain.accounts().clone(), own, false),
            (Who::Cli(accounts), None) => (AccountChain::clone(accounts), own, false),
            (Who::Key(chain), Some(wish)) => {
                let Acting { child, effective } = self
                    .act(conn, chain.accounts(), &own, wish, facts, need)
                    .await?;
                (child, effective, true)
            }
            (Who::Cli(accounts), Some(wish)) => {
                let Acting { child, effective } =
                    self.act(conn, accounts, &own, wish, facts, need).await?;
                (child, effective, true)
            }
        };
        Ok(Caller {
            who,
            subject,
            acting,
            effective,
            permit,
            rev,
            turn,
        })
    }

    /// Asks the decision whether a credential may make this request as itself.
    fn decide(
        &self,
        presented: &Presented,
        who: &Who,
        own: &Effective,
        now: Timestamp,
        mut turn: Option<&mut Option<Turn>>,
    ) -> Result<Permit, Error> {
        let Presented { facts, need, .. } = presented;
        let exempt = need.route.is_exempt(who);
        let asked = Asked {
            method: &facts.method,
            path: (!exempt).then_some(&facts.path),
            method_override: facts.method_override,
            address: facts.address,
            origin: facts.origin.as_deref(),
            named: &facts.named,
            permission: RoutePermission::Own(self.policy.permission_of(&facts.method, &facts.path)),
            manage: need.manage,
            bindings: if exempt {
                BindingCheck::Exempt
            } else {
                need.bindings
            },
        };
        let mut rate = || match (who, &mut turn) {
            (Who::Key(chain), Some(turn)) => {
                **turn = self.limiter.take_key(chain, self.clock.monotonic_ms());
                turn.unwrap_or(FREE)
            }
            (Who::Key(_) | Who::Session(_) | Who::Cli(_), _) => FREE,
        };
        decide(own, &asked, now, &mut rate).map_err(|deny| Self::denied(who, deny))
    }

    /// Acts as a child: the request must lie in the routes of the key's impersonation, too.
    async fn act(
        &self,
        conn: Conn<'_>,
        own: &AccountChain,
        effective: &Effective,
        wish: &Wish,
        facts: &Facts,
        need: &Need,
    ) -> Result<Acting, Error> {
        let target = self.find_target(conn, own, &wish.run_as).await?;
        let acting = act_as(effective, own, target).map_err(|_| Forbidden::Impersonation)?;
        let exempt = need.route == RouteCheck::Exempt;
        if !exempt
            && acting
                .effective
                .call
                .allow(&facts.method, &facts.path)
                .is_none()
        {
            return Err(Forbidden::Impersonation.into());
        }
        Ok(acting)
    }

    /// The account that a wish names. Each kind of wish costs the same look-ups whether there is
    /// such an account or not, so that time tells nothing.
    async fn find_target(
        &self,
        mut conn: Conn<'_>,
        own: &AccountChain,
        wish: &RunAs,
    ) -> Result<Option<AccountChain>, Error> {
        let own = &own.account().id;
        let id = match wish {
            RunAs::Id(id) => id.clone(),
            RunAs::Email(Some(email)) => {
                accounts::find_child_by_email(reborrow(&mut conn), own, email).await?
            }
            RunAs::Email(None) => None,
        };
        let chain = accounts::chain(conn, id.as_ref().unwrap_or(own)).await?;
        Ok(chain.filter(|_| id.is_some()))
    }

    fn refuse_session(&self, session: &SessionCaller) -> Error {
        if session.claims.aud == self.policy.manage_audience() {
            Forbidden::Session.into()
        } else {
            BadCredential::TokenAudience.into()
        }
    }

    pub(crate) fn denied(who: &Who, deny: Deny) -> Error {
        match deny {
            Deny::Address => Forbidden::Address.into(),
            Deny::Rate { retry_ms } => Error::TooMany {
                retry_ms,
                limit: match who {
                    Who::Key(chain) => chain.key().restrictions.rate_limit,
                    Who::Session(_) | Who::Cli(_) => None,
                },
            },
            Deny::Expired => match who {
                Who::Key(_) | Who::Cli(_) => BadCredential::KeyExpired.into(),
                Who::Session(_) => BadCredential::TokenEnded.into(),
            },
            Deny::MethodOverride => Forbidden::MethodOverride.into(),
            Deny::Route => Forbidden::Route.into(),
            Deny::Permission(permission) => Forbidden::Permission(permission).into(),
            Deny::Manage(manage) => Forbidden::Manage(manage).into(),
            Deny::Binding(dimension) => Forbidden::Binding(dimension).into(),
            Deny::Domain => Forbidden::Domain.into(),
        }
    }
}

const FREE: Turn = Turn::Go {
    remaining: u32::MAX,
    reset_ms: 0,
};

impl SessionCaller {
    /// What the session may do.
    pub fn effective(&self) -> Effective {
        let end = Timestamp::from_secs(self.claims.exp);
        Effective::of_session(self.environment, &self.scope, end)
    }
}

/// What the operator's CLI may do: it has the database before it.
fn everything() -> Effective {
    Effective {
        environment: Environment::Live,
        expires_at: None,
        operator: true,
        grantors: Vec::new(),
        call: Ceilings::none(),
        permissions: None,
        bindings: crate::domain::binding::Bindings::default(),
        domains: None,
        cidrs: None::<Cidrs>,
        mint: MintSide {
            explicit: None,
            above: Ceilings::none(),
            permissions: None,
            bindings: crate::domain::binding::Bindings::default(),
            domains: None,
            audiences: None,
            duration_secs_max: limits::SESSION_SECS_MAX,
            renewable_secs_max: limits::RENEWABLE_SECS_MAX,
        },
        impersonation: Some(ImpersonationScope::default()),
        manage: Manage::ALL.into_iter().collect(),
        rate_limit: None,
    }
}
