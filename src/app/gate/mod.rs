//! The gate: whether a credential may make a request of the API behind it. One use case for every
//! gateway and for every API that asks by itself; the judgement is that of [`App::admit`].

mod token;

pub use token::UpstreamTokens;

use std::sync::Arc;

use super::App;
use super::authorise::{Caller, Credential, Door, Facts, Need, Presented, RouteCheck, Who, Wish};
use super::error::{BadCredential, Error, Forbidden};
use crate::domain::decision::BindingCheck;
use crate::domain::environment::Environment;
use crate::domain::gate::{Disagreement, Explanation, GateTable, Identity, Place, Remedy, explain};
use crate::domain::permission::{Permission, Permissions};
use crate::domain::rate::RateLimit;
use crate::domain::route::{Mount, PathError, RequestPath, TrailingSlash};

/// The settings that the gate decides by.
#[derive(Debug)]
pub struct GatePolicy {
    /// Below which path the routes of the API behind the gate lie.
    pub mount: Mount,
    /// What a slash at the end of a path means there.
    pub trailing_slash: TrailingSlash,
    /// The environments whose credentials are accepted.
    pub environments: Vec<Environment>,
    /// The audiences of sessions that are accepted.
    pub audiences: Vec<String>,
    /// Permissions and named segments by route.
    pub table: GateTable,
    /// The token for the API behind the gate, when it gets one.
    pub token: Option<UpstreamToken>,
    /// How often one session may be used; `None` is unlimited.
    pub session_rate: Option<RateLimit>,
}

/// What the token for the API behind the gate is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamToken {
    /// Its audience, which no session has.
    pub audience: String,
    /// How long it lives, in seconds.
    pub duration_secs: i64,
}

impl GatePolicy {
    /// Whether a credential that is alive is for this gate at all.
    ///
    /// # Errors
    /// [`BadCredential::TokenAudience`], [`Forbidden::Environment`].
    pub fn accept(&self, who: &Who) -> Result<(), Error> {
        let environment = match who {
            Who::Key(chain) => chain.key().environment,
            Who::Session(session) => {
                if !self.audiences.contains(&session.claims.aud) {
                    return Err(BadCredential::TokenAudience.into());
                }
                session.environment
            }
            // It presents no credential, so it is nobody to the API behind.
            Who::Cli(_) => return Err(BadCredential::Missing.into()),
        };
        if self.environments.contains(&environment) {
            Ok(())
        } else {
            Err(Forbidden::Environment(environment).into())
        }
    }

    /// What would be accepted, where [`GatePolicy::accept`] refused.
    fn acceptable(&self, error: &Error) -> Remedy {
        let environments = self.environments.iter();
        match error {
            Error::Forbidden(_) => Remedy::new(
                Place::Credential,
                "environment",
                environments.map(ToString::to_string).collect(),
            ),
            Error::Unauthenticated(_)
            | Error::NotFound
            | Error::Invalid(_)
            | Error::Conflict(_)
            | Error::TooMany { .. }
            | Error::Unavailable(_)
            | Error::Internal(_) => {
                Remedy::new(Place::Credential, "audience", self.audiences.clone())
            }
        }
    }

    /// Reads the target of a request as the gateway got it, query included.
    ///
    /// # Errors
    /// [`PathError`] for every target that two programs could read differently.
    pub fn path(&self, target: &[u8]) -> Result<RequestPath, PathError> {
        RequestPath::parse(target, &self.mount, self.trailing_slash)
    }
}

/// What a request of the API behind the gate asks of its caller.
pub const GATE: Need = Need {
    door: Door::Gate,
    route: RouteCheck::Always,
    sessions: true,
    manage: None,
    operator: false,
    bindings: BindingCheck::Here,
    run_as_header: true,
    live: false,
};

/// A request that was allowed.
#[derive(Debug)]
pub struct Allowed {
    /// For whom.
    pub caller: Caller,
    /// Its permissions, with spaces between them; `None` when they are not narrowed.
    pub scope: Option<String>,
    /// The token for the API behind the gate, when it gets one.
    pub token: Option<Arc<str>>,
}

impl Allowed {
    /// Who the request was allowed for.
    pub fn identity(&self) -> Identity<'_> {
        identity(&self.caller, self.scope.as_deref())
    }
}

fn identity<'c>(caller: &'c Caller, scope: Option<&'c str>) -> Identity<'c> {
    Identity {
        account: caller.account(),
        actor: caller.actor().filter(|actor| *actor != caller.account()),
        key: caller.key_id(),
        session: match &caller.who {
            Who::Session(session) => Some(&session.claims.jti),
            Who::Key(_) | Who::Cli(_) => None,
        },
        environment: caller.effective.environment,
        scope,
    }
}

/// Whether a request could pass, for its own caller.
#[derive(Debug)]
pub struct Explained {
    /// The pattern that allows the route; `None` when routes are not narrowed, or refuse.
    pub pattern: Option<String>,
    /// The permission that the route needs, by the table of the gate.
    pub permission: Option<Permission>,
    /// Why the request does not pass; `None` when it does.
    pub refusal: Option<Error>,
    /// What would have to be changed, all of it.
    pub remedies: Vec<Remedy>,
}

/// Methods that change nothing (RFC 9110 §9.2.1). All others are in the ledger when somebody acts as
/// somebody else.
const SAFE_METHODS: [&str; 4] = ["GET", "HEAD", "OPTIONS", "TRACE"];

impl App {
    /// Whether the caller could make a request of the API behind the gate, and if not, what would
    /// have to be changed. The caller asks about itself. When it acts as a child, every refusal is
    /// the one answer.
    ///
    /// # Errors
    /// [`Forbidden::Impersonation`].
    pub fn explain(&self, caller: &Caller, mut facts: Facts) -> Result<Explained, Error> {
        let explained = self.explain_own(caller, &mut facts);
        match (&explained.refusal, caller.acting) {
            (Some(_), true) => Err(Forbidden::Impersonation.into()),
            (Some(_), false) | (None, _) => Ok(explained),
        }
    }

    fn explain_own(&self, caller: &Caller, facts: &mut Facts) -> Explained {
        let policy = &self.policy.gate;
        let permission = policy
            .table
            .permission_of(&facts.method, &facts.path)
            .cloned();
        let mut explained = Explained {
            pattern: None,
            permission,
            refusal: None,
            remedies: Vec::new(),
        };
        if let Err(error) = policy.accept(&caller.who) {
            explained.remedies.push(policy.acceptable(&error));
            explained.refusal = Some(error);
        }
        // A proxy that changes either of the two would change who is meant.
        if let Err(Disagreement(dimension)) =
            policy
                .table
                .name_values(&facts.method, &facts.path, &mut facts.named)
        {
            let header = dimension.header_shown();
            let remedy = Remedy::new(Place::Request, header, Vec::new());
            explained.remedies.push(remedy);
            let refusal = Forbidden::Binding(dimension).into();
            explained.refusal = explained.refusal.or(Some(refusal));
        }
        let asked = self.asked(facts, GATE, false);
        let Explanation { outcome, remedies } = explain(&caller.effective, &asked, self.now());
        explained.remedies.extend(remedies);
        match outcome {
            Ok(permit) => explained.pattern = permit.pattern().map(str::to_owned),
            Err(deny) => {
                let refusal = Self::denied(&caller.who, deny);
                explained.refusal = explained.refusal.or(Some(refusal));
            }
        }
        explained
    }

    /// Whether a credential may make a request of the API behind the gate. `facts` has the request
    /// with the values that its headers name; those that its path names are added here.
    ///
    /// # Errors
    /// Whatever [`App::admit`] answers.
    pub async fn authorize(
        self: &Arc<Self>,
        credential: Credential,
        wish: Option<Wish>,
        facts: Facts,
    ) -> Result<Allowed, Error> {
        match self.authorize_at_once(credential, wish, facts) {
            AtOnce::Answered(outcome) => outcome,
            AtOnce::Unanswered(rest) => self.authorize_rest(*rest).await,
        }
    }

    /// The first half of [`App::authorize`]: all that needs no database, which is nearly always all.
    pub fn authorize_at_once(
        &self,
        credential: Credential,
        wish: Option<Wish>,
        mut facts: Facts,
    ) -> AtOnce {
        let table = &self.policy.gate.table;
        if let Err(Disagreement(dimension)) =
            table.name_values(&facts.method, &facts.path, &mut facts.named)
        {
            return AtOnce::Answered(Err(Forbidden::Binding(dimension).into()));
        }
        let presented = Presented {
            credential,
            wish,
            facts,
            need: GATE,
        };
        match self.admit_at_once(&presented) {
            Some(Ok(caller))
                if is_told_of(&caller, &presented.facts) || !self.can_sign_at_once() =>
            {
                AtOnce::Unanswered(Box::new(Rest {
                    presented,
                    caller: Some(caller),
                }))
            }
            Some(Ok(caller)) => AtOnce::Answered(self.allow(caller, &presented.facts)),
            Some(Err(error)) => AtOnce::Answered(Err(error)),
            None => AtOnce::Unanswered(Box::new(Rest {
                presented,
                caller: None,
            })),
        }
    }

    /// The second half of [`App::authorize`].
    ///
    /// # Errors
    /// Whatever [`App::admit`] answers.
    pub async fn authorize_rest(self: &Arc<Self>, rest: Rest) -> Result<Allowed, Error> {
        let Rest { presented, caller } = rest;
        let caller = match caller {
            Some(caller) => caller,
            None => self.admit(&presented).await?,
        };
        let facts = &presented.facts;
        if is_told_of(&caller, facts) {
            let scope = scope_of(&caller);
            let identity = identity(&caller, scope.as_deref());
            self.record_acting(&caller, &identity, facts).await?;
        }
        if self.policy.gate.token.is_some() {
            self.ensure_signing_keys().await?;
        }
        self.allow(caller, facts)
    }

    /// Whether the token for the API behind is not wanted, or can be signed with the keys that are
    /// here: they are as new as what is known of the log.
    fn can_sign_at_once(&self) -> bool {
        self.policy.gate.token.is_none() || self.signing.is_as_new_as(self.pulse.known())
    }

    /// What the API behind is told of a caller that was admitted.
    fn allow(&self, caller: Caller, facts: &Facts) -> Result<Allowed, Error> {
        let scope = scope_of(&caller);
        let token = match &self.policy.gate.token {
            None => None,
            Some(wanted) => {
                let identity = identity(&caller, scope.as_deref());
                Some(self.upstream_token(wanted, &caller, &identity, facts)?)
            }
        };
        self.pulse.check_in_time(caller.asked_at_ms)?;
        Ok(Allowed {
            caller,
            scope,
            token,
        })
    }
}

/// What [`App::authorize_at_once`] came to.
#[derive(Debug)]
pub enum AtOnce {
    /// The answer.
    Answered(Result<Allowed, Error>),
    /// The database is needed; go on with [`App::authorize_rest`].
    Unanswered(Box<Rest>),
}

/// A request that is not answered yet.
#[derive(Debug)]
pub struct Rest {
    presented: Presented,
    /// Who was admitted already, and is to be told of in the ledger.
    caller: Option<Caller>,
}

fn scope_of(caller: &Caller) -> Option<String> {
    let permissions = caller.effective.permissions.as_ref();
    permissions.map(Permissions::to_scope)
}

/// Whether the ledger tells of a request: somebody acts as somebody else, and may change something.
fn is_told_of(caller: &Caller, facts: &Facts) -> bool {
    let acts = caller
        .actor()
        .is_some_and(|actor| actor != caller.account());
    acts && !SAFE_METHODS.contains(&facts.method.as_str())
}
