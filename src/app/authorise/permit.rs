//! Judgement: acting as a child, and the decision.

use std::sync::Arc;

use super::{
    Caller, Door, Facts, Identified, Named, Need, Permitted, Presented, RouteCheck, SessionCaller,
    Subject, Who,
};
use crate::app::App;
use crate::app::error::{BadCredential, Error, Forbidden};
use crate::app::pulse::reborrow;
use crate::domain::account::AccountChain;
use crate::domain::binding::Bindings;
use crate::domain::decision::{Asked, BindingCheck, Deny, Permit, RoutePermission, decide};
use crate::domain::effective::{Ceilings, Effective, MintSide};
use crate::domain::environment::Environment;
use crate::domain::limits;
use crate::domain::network::Cidrs;
use crate::domain::rate::Turn;
use crate::domain::restrictions::{ImpersonationScope, Manage};
use crate::domain::run_as::{Acting, RunAs, act_as};
use crate::domain::time::Timestamp;
use crate::store::{Conn, accounts};

impl App {
    /// Judges all that does not depend on whom the caller wants to act as, before anybody is looked
    /// up: so a refusal tells nothing about an account, and a wish takes a turn.
    pub(super) fn permit(
        &self,
        presented: &Presented,
        identified: Identified,
        now: Timestamp,
        first: bool,
    ) -> Result<Permitted, Error> {
        let Presented { wish, need, .. } = presented;
        let Identified {
            who,
            effective: own,
            ..
        } = &identified;
        match need.door {
            Door::Own => {}
            Door::Gate => self.policy.gate.accept(who)?,
        }
        if let Who::Session(session) = who {
            if wish.is_some() {
                return Err(Forbidden::Impersonation.into());
            }
            if !need.sessions {
                return Err(self.refuse_session(session));
            }
        }
        let mut turn = None;
        let permit = self.decide(presented, who, own, now, first.then_some(&mut turn))?;
        if wish.as_ref().is_some_and(|wish| wish.by_header) && !need.run_as_header {
            return Err(Forbidden::RunAsHere.into());
        }
        if need.operator && !own.operator {
            return Err(Forbidden::Operator.into());
        }
        if need.live && own.environment == Environment::Test {
            return Err(Forbidden::TestKey.into());
        }

        Ok(Permitted {
            identified,
            permit,
            turn,
        })
    }

    /// Looks up whom a caller names, and concludes. A child is remembered where it is said as of
    /// which position all is read.
    pub(super) async fn look_up(
        &self,
        conn: Conn<'_>,
        presented: &Presented,
        permitted: Permitted,
        first: bool,
    ) -> Result<Caller, Error> {
        let named = match (&permitted.identified.who, &presented.wish) {
            (Who::Session(session), _) => accounts::chain(conn, &session.claims.sub)
                .await?
                .map(Arc::new),
            (Who::Key(_) | Who::Cli(_), None) => None,
            (Who::Key(chain), Some(wish)) => {
                let target = self
                    .find_target(conn, chain.accounts(), &wish.run_as)
                    .await?;
                let target = target.map(Arc::new);
                if first && let Some(target) = &target {
                    self.remembered.account(target, permitted.identified.rev);
                }
                target
            }
            (Who::Cli(accounts), Some(wish)) => {
                let target = self.find_target(conn, accounts, &wish.run_as).await?;
                target.map(Arc::new)
            }
        };
        Self::conclude(presented, permitted, Named::Read(named))
    }

    /// The caller, once it is known whom it names. To act as a child, the request must lie in the
    /// routes of the key's impersonation, too.
    pub(super) fn conclude(
        presented: &Presented,
        permitted: Permitted,
        named: Named,
    ) -> Result<Caller, Error> {
        let Permitted {
            identified,
            permit,
            turn,
        } = permitted;
        let Identified {
            who,
            effective: own,
            rev,
            asked_at_ms,
        } = identified;
        let (subject, effective, acting) = match &who {
            Who::Session(session) => {
                let subject = match named {
                    Named::Recalled(_) => Subject::Named(session.claims.sub.clone()),
                    Named::Read(chain) => Subject::Read(chain.ok_or(BadCredential::TokenEnded)?),
                };
                (subject, own, false)
            }
            Who::Key(chain) => speak(chain.accounts(), own, presented, named)?,
            Who::Cli(accounts) => speak(accounts, own, presented, named)?,
        };
        Ok(Caller {
            who,
            subject,
            acting,
            effective,
            permit,
            rev,
            turn,
            asked_at_ms,
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
        let asked = self.asked(facts, *need, need.route.is_exempt(who));
        let mut rate = || match (who, &mut turn) {
            (Who::Key(chain), Some(turn)) => {
                **turn = self.limiter.take_key(chain, self.clock.monotonic_ms());
                if matches!(**turn, Some(Turn::Wait { .. })) {
                    self.limit_exceeded(chain.key(), chain.accounts(), facts, now);
                }
                turn.unwrap_or(FREE)
            }
            (Who::Session(session), Some(turn)) => {
                **turn = self.take_session(session, need.door);
                turn.unwrap_or(FREE)
            }
            (Who::Key(_) | Who::Session(_) | Who::Cli(_), _) => FREE,
        };
        decide(own, &asked, now, &mut rate).map_err(|deny| match (who, &deny) {
            (Who::Session(_), Deny::Rate { retry_ms }) => Error::TooMany {
                retry_ms: *retry_ms,
                limit: self.policy.gate.session_rate,
            },
            (Who::Key(_) | Who::Session(_) | Who::Cli(_), _) => Self::denied(who, deny),
        })
    }

    /// What is asked of a request, beside the credential.
    pub(crate) fn asked<'a>(&'a self, facts: &'a Facts, need: Need, exempt: bool) -> Asked<'a> {
        Asked {
            method: &facts.method,
            path: (!exempt).then_some(&facts.path),
            method_override: facts.method_override,
            address: facts.address,
            origin: facts.origin.as_deref(),
            named: &facts.named,
            permission: match need.door {
                Door::Own => {
                    RoutePermission::Own(self.policy.permission_of(&facts.method, &facts.path))
                }
                Door::Gate => {
                    let table = &self.policy.gate.table;
                    RoutePermission::Gate(table.permission_of(&facts.method, &facts.path))
                }
            },
            manage: need.manage,
            bindings: if exempt {
                BindingCheck::Exempt
            } else {
                need.bindings
            },
        }
    }

    /// The turn of a session: at the gate each has a limit of its own.
    fn take_session(&self, session: &SessionCaller, door: Door) -> Option<Turn> {
        match door {
            Door::Own => None,
            Door::Gate => {
                let limit = self.policy.gate.session_rate?;
                let now_ms = self.clock.monotonic_ms();
                Some(
                    self.limiter
                        .take_session(&session.claims.jti, limit, now_ms),
                )
            }
        }
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

/// For whom one of these accounts speaks, what it may do then, and whether it acts as a child: for
/// itself, or for the child that it wants to act as.
fn speak(
    accounts: &Arc<AccountChain>,
    own: Arc<Effective>,
    presented: &Presented,
    named: Named,
) -> Result<(Subject, Arc<Effective>, bool), Error> {
    if presented.wish.is_none() {
        return Ok((Subject::Read(Arc::clone(accounts)), own, false));
    }
    let (Named::Recalled(target) | Named::Read(target)) = named;
    let Acting { child, effective } =
        act_as(&own, accounts, target).map_err(|_| Forbidden::Impersonation)?;
    let Presented { facts, need, .. } = presented;
    let exempt = need.route == RouteCheck::Exempt;
    let ceilings = &effective.call;
    if !exempt && ceilings.allow(&facts.method, &facts.path).is_none() {
        return Err(Forbidden::Impersonation.into());
    }
    Ok((Subject::Read(child), Arc::new(effective), true))
}

const FREE: Turn = Turn::Go {
    remaining: u32::MAX,
    reset_ms: 0,
};

/// What the operator's CLI may do: it has the database before it.
pub(super) fn everything() -> Effective {
    Effective {
        environment: Environment::Live,
        expires_at: None,
        operator: true,
        grantors: Vec::new(),
        call: Ceilings::none(),
        permissions: None,
        bindings: Bindings::default(),
        domains: None,
        cidrs: None::<Cidrs>,
        mint: MintSide {
            explicit: None,
            above: Ceilings::none(),
            permissions: None,
            bindings: Bindings::default(),
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
