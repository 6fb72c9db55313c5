//! The one pipeline from a credential to a [`Caller`]: authentication, liveness, acting as a child,
//! decision. Every door goes through it, and a change goes through it a second time under the lock
//! of the change log.

mod compact;
mod identify;
mod permit;
mod recall;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::App;
use super::dashboard::SignedIn;
use super::error::{BadCredential, Error};
use super::pulse::reborrow;
use crate::domain::account::AccountChain;
use crate::domain::api_key::KeyChain;
use crate::domain::binding::NamedValues;
use crate::domain::decision::{BindingCheck, Permit};
use crate::domain::effective::Effective;
use crate::domain::environment::Environment;
use crate::domain::id::{AccountId, KeyId, RequestId};
use crate::domain::liveness::{Rev, Tags};
use crate::domain::rate::Turn;
use crate::domain::restrictions::Manage;
use crate::domain::route::RequestPath;
use crate::domain::run_as::RunAs;
use crate::domain::secret::PlainKey;
use crate::domain::session::SessionScope;
use crate::domain::time::Timestamp;
use crate::store::Conn;
use crate::token::claims::Claims;

use recall::Recalled;
pub(crate) use recall::Remembered;

/// How long a request may wait for the database until it is admitted or refused.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(8);

/// What came with the request, not yet believed.
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
    /// The dashboard's cookie, which stands for the key with which its user signed in.
    Dashboard(SignedIn),
}

impl Credential {
    /// Reads a bearer string: what begins with `eyJ` and has two dots is a JWT, anything else a key.
    ///
    /// # Errors
    /// [`BadCredential::Key`].
    pub fn parse(bearer: &str) -> Result<Self, BadCredential> {
        if bearer.starts_with("eyJ") && bearer.matches('.').count() == 2 {
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

/// Whose routes a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Those of hallpass itself.
    Own,
    /// Those of the API behind the gate: its table of permissions, and the audiences and
    /// environments that it accepts.
    Gate,
}

/// What an endpoint asks of its caller. `http/routes.rs` has one for each endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a rule of its own, named where it is set"
)]
pub struct Need {
    /// Whose routes the request is about.
    pub door: Door,
    /// Whether the route check applies.
    pub route: RouteCheck,
    /// Session tokens are admitted: at the gate those of its audiences, else those of any.
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
    /// The signing key whose signature is on it.
    pub kid: String,
    /// Its environment.
    pub environment: Environment,
    /// What it carries.
    pub scope: SessionScope,
    /// What it may do.
    pub effective: Arc<Effective>,
    /// All that it descends from.
    pub tags: Tags,
    /// As of where it was minted.
    pub rev: Rev,
}

/// Whose credential it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Who {
    /// A key, alive.
    Key(Arc<KeyChain>),
    /// A session, alive.
    Session(Arc<SessionCaller>),
    /// The operator's CLI.
    Cli(Arc<AccountChain>),
}

/// An authenticated caller: its credential is known and alive. What it may do is not yet judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Identified {
    /// Whose credential it is.
    pub who: Who,
    /// What it may do as itself.
    pub effective: Arc<Effective>,
    /// The position of the log as of which all of it was read.
    pub rev: Rev,
    /// When that was asked of the database by which it was identified: the change log, or its rows.
    pub asked_at_ms: i64,
}

/// For whom a caller speaks.
#[derive(Debug, Clone)]
pub enum Subject {
    /// An account that was read, with all above it.
    Read(Arc<AccountChain>),
    /// The account that a token names. Liveness was asked of its tags, so no row is needed to judge
    /// it.
    Named(AccountId),
}

/// A caller that may do what it asks. Use cases take one; there is no other way to get it.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whose credential it is.
    pub who: Who,
    /// For whom it speaks, with all above: its account, or the child that it acts as.
    pub subject: Subject,
    /// Whether it acts as a child.
    pub acting: bool,
    /// What it may do, as whom it acts.
    pub effective: Arc<Effective>,
    /// That it was allowed.
    pub permit: Permit,
    /// The lowest position of the log as of which anything here was read.
    pub rev: Rev,
    /// The turn that was taken of its rate limit.
    pub turn: Option<Turn>,
    /// When that was asked of the database by which it was judged: the change log, or its rows.
    pub asked_at_ms: i64,
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
            Who::Key(_) => Some(self.effective.grantors.first().unwrap_or(self.account())),
        }
    }

    /// The id of the account for which it speaks.
    pub fn account(&self) -> &AccountId {
        match &self.subject {
            Subject::Read(chain) => &chain.account().id,
            Subject::Named(id) => id,
        }
    }

    /// The account for which it speaks, with all above it.
    ///
    /// # Errors
    /// [`Error::Internal`] at a door that does not read it.
    pub fn subject(&self) -> Result<&Arc<AccountChain>, Error> {
        match &self.subject {
            Subject::Read(chain) => Ok(chain),
            Subject::Named(_) => Err(Error::internal("the account was not read at this door")),
        }
    }
}

impl App {
    /// Admits a request or refuses it.
    ///
    /// # Errors
    /// Any but [`Error::NotFound`] and [`Error::Conflict`].
    pub async fn admit(&self, presented: &Presented) -> Result<Caller, Error> {
        if let Some(outcome) = self.admit_at_once(presented) {
            return outcome;
        }
        let asked = async {
            self.ensure_fresh().await?;
            let mut read = self.store.read().await?;
            self.admit_in(read.conn(), presented, true).await
        };
        // A database that is silent refuses no connection and ends none.
        tokio::time::timeout(DATABASE_TIMEOUT, asked)
            .await
            .unwrap_or_else(|_| {
                Err(Error::Unavailable(
                    "the database did not answer in time".into(),
                ))
            })
    }

    /// The first half of [`App::admit`]: whatever needs no database. Nothing when it has to be asked.
    pub(crate) fn admit_at_once(&self, presented: &Presented) -> Option<Result<Caller, Error>> {
        if matches!(presented.credential, Credential::None) {
            return Some(Err(BadCredential::Missing.into()));
        }
        let now = self.now();
        let Recalled { identified, child } = match self.recall(presented, now)? {
            Ok(recalled) => recalled,
            Err(error) => return Some(Err(error)),
        };
        let who = identified.who.clone();
        let outcome = self
            .permit(presented, identified, now, true)
            .and_then(|permitted| Self::conclude(presented, permitted, Named::Recalled(child)));
        Some(self.noted(presented, &who, now, outcome))
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
        let who = identified.who.clone();
        let outcome = match self.permit(presented, identified, now, first) {
            Ok(permitted) => self.look_up(conn, presented, permitted, first).await,
            Err(error) => Err(error),
        };
        if first {
            self.noted(presented, &who, now, outcome)
        } else {
            outcome
        }
    }

    /// Keeps in mind that an identified caller was refused.
    fn noted(
        &self,
        presented: &Presented,
        who: &Who,
        now: Timestamp,
        outcome: Result<Caller, Error>,
    ) -> Result<Caller, Error> {
        if let Err(Error::Forbidden(_)) = &outcome {
            self.lately.refused(self, presented, who, now);
        }
        outcome
    }
}

/// The account that a caller names: that of its token, or the child that it wants to act as.
enum Named {
    /// None was read: the child was recalled, if one is wanted.
    Recalled(Option<Arc<AccountChain>>),
    /// What the database has; nothing when there is no such account.
    Read(Option<Arc<AccountChain>>),
}

/// A caller that may do what it asks as itself. Whom it wants to act as was not looked at.
struct Permitted {
    identified: Identified,
    permit: Permit,
    turn: Option<Turn>,
}
