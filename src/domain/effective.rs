//! Effective restrictions: the one function that says what a credential may do.
//!
//! Every door uses it: minting, minting for a child, renewing, acting as a child, the gate,
//! verification, exchange, making or changing a key.

use std::collections::BTreeSet;

use super::api_key::ApiKey;
use super::binding::Bindings;
use super::environment::Environment;
use super::id::AccountId;
use super::limits;
use super::network::Cidrs;
use super::origin::Domains;
use super::permission::Permissions;
use super::rate::RateLimit;
use super::restrictions::{
    Impersonation, ImpersonationScope, Manage, duration_secs_max, renewable_secs_max,
};
use super::route::{
    Methods, NotCovered, RequestPath, RoutePattern, RouteSet, RouteSetError, covers,
};
use super::session::SessionScope;
use super::time::Timestamp;

/// Route sets that must all allow. None at all allows everything.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ceilings(Vec<RouteSet>);

/// That a request may pass.
#[derive(Debug, Clone, Copy)]
pub struct Allowed<'a> {
    /// The pattern that matched; `None` when routes are not narrowed.
    pub pattern: Option<&'a RoutePattern>,
}

impl Ceilings {
    /// Not narrowed.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// One set, or not narrowed.
    pub fn from_option(set: Option<&RouteSet>) -> Self {
        Self(set.cloned().into_iter().collect())
    }

    /// These and one more.
    #[must_use]
    pub fn and(&self, set: Option<&RouteSet>) -> Self {
        let mut sets = self.0.clone();
        sets.extend(set.cloned());
        Self(sets)
    }

    /// All of both.
    #[must_use]
    pub fn and_all(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
    }

    /// Whether routes are narrowed at all.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a request may pass, and by which pattern of the last set; `None` when not.
    pub fn allow(&self, method: &str, path: &RequestPath) -> Option<Allowed<'_>> {
        let mut pattern = None;
        for set in &self.0 {
            pattern = Some(set.matches(method, path)?);
        }
        Some(Allowed { pattern })
    }

    /// Whether each of them covers the wanted set.
    ///
    /// # Errors
    /// [`NotCovered`], with the shortest counter-example of the first that does not.
    pub fn cover(&self, wanted: &RouteSet) -> Result<(), NotCovered> {
        self.0.iter().try_for_each(|set| covers(set, wanted))
    }

    /// Whether each of them covers all that `wanted` allows. Where `wanted` is several sets, one of
    /// them must be covered, which is enough since all of them hold.
    ///
    /// # Errors
    /// [`NotCovered`].
    pub fn cover_all(&self, wanted: &Self) -> Result<(), NotCovered> {
        let Some(last) = wanted.0.last() else {
            return self.cover(&RouteSet::everything());
        };
        self.0.iter().try_for_each(|ceiling| {
            if wanted.0.iter().any(|set| covers(ceiling, set).is_ok()) {
                Ok(())
            } else {
                covers(ceiling, last)
            }
        })
    }

    /// One set that allows exactly what all of them allow; `None` when nothing is narrowed.
    ///
    /// # Errors
    /// [`RouteSetError`] when it does not fit into the limits of a set.
    pub fn as_one(&self) -> Result<Option<RouteSet>, RouteSetError> {
        let mut sets = self.0.iter();
        let Some(first) = sets.next() else {
            return Ok(None);
        };
        sets.try_fold(first.clone(), |all, set| all.intersection(set))
            .map(Some)
    }

    /// What of the wanted set lies within all of them, and what was cut.
    pub fn keep(&self, wanted: RouteSet) -> (RouteSet, Vec<String>) {
        let mut kept = wanted;
        let mut cut = Vec::new();
        for set in &self.0 {
            let within = kept.within(set);
            kept = within.kept;
            cut.extend(within.cut);
        }
        (kept, cut)
    }

    /// Whether any of them tells methods apart.
    pub fn narrow_methods(&self) -> bool {
        let named = |pattern: &RoutePattern| pattern.methods() != Methods::Any;
        self.0.iter().any(|set| set.patterns().iter().any(named))
    }

    /// The patterns of each set, for people.
    pub fn to_strings(&self) -> Vec<Vec<String>> {
        self.0.iter().map(RouteSet::to_strings).collect()
    }
}

/// The mint side of a credential: what sessions minted with it may carry.
#[derive(Debug, Clone, PartialEq)]
pub struct MintSide {
    /// `session.allowedRoutes`, when the key says it.
    pub explicit: Option<RouteSet>,
    /// What lies above in any case: the impersonation routes of a parent that acts.
    pub above: Ceilings,
    /// Permissions of sessions.
    pub permissions: Option<Permissions>,
    /// What sessions are bound to.
    pub bindings: Bindings,
    /// Where sessions may be presented from.
    pub domains: Option<Domains>,
    /// Audiences beside the default one; `None` means the default only.
    pub audiences: Option<BTreeSet<String>>,
    /// The longest lifetime, in seconds.
    pub duration_secs_max: i64,
    /// For how long a session may be renewed, in seconds.
    pub renewable_secs_max: i64,
}

/// What a credential may do.
#[derive(Debug, Clone, PartialEq)]
pub struct Effective {
    /// Live or test.
    pub environment: Environment,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// Whether it may do what only an operator may.
    pub operator: bool,
    /// In whose name it acts beside its account's own; nearest first.
    pub grantors: Vec<AccountId>,
    /// The routes that it may call.
    pub call: Ceilings,
    /// Its permissions.
    pub permissions: Option<Permissions>,
    /// What it is bound to.
    pub bindings: Bindings,
    /// Where it may be presented from.
    pub domains: Option<Domains>,
    /// The addresses that it may be presented from.
    pub cidrs: Option<Cidrs>,
    /// The mint side.
    pub mint: MintSide,
    /// How far it may act as children.
    pub impersonation: Option<ImpersonationScope>,
    /// What it manages.
    pub manage: BTreeSet<Manage>,
    /// How often it may be used.
    pub rate_limit: Option<RateLimit>,
}

impl Effective {
    /// What a key may do.
    pub fn of(key: &ApiKey) -> Self {
        let unrestricted = key.is_unrestricted();
        let restrictions = &key.restrictions;
        let session = &restrictions.session;
        let impersonation = match &restrictions.impersonation {
            Some(Impersonation::Allowed(scope)) => Some(scope.clone()),
            Some(Impersonation::Denied) => None,
            None => unrestricted.then(ImpersonationScope::default),
        };
        let mut manage = match &restrictions.manage {
            Some(manage) => manage.clone(),
            None if unrestricted => Manage::unrestricted(),
            None => BTreeSet::new(),
        };
        let granted = !key.grantors.is_empty();
        if granted {
            manage.remove(&Manage::Introspect);
        }
        let mint_bindings = session.bindings.iter().fold(
            restrictions.bindings.clone(),
            |mut bindings, (dimension, values)| {
                bindings.narrow(dimension, values.clone());
                bindings
            },
        );
        Self {
            environment: key.environment,
            expires_at: key.expires_at,
            // A key that was made for a child is neither, whatever is stored.
            operator: key.operator && !granted,
            grantors: key.grantors.clone(),
            call: Ceilings::from_option(restrictions.routes.as_ref()),
            permissions: restrictions.permissions.clone(),
            bindings: restrictions.bindings.clone(),
            domains: restrictions.domains.clone(),
            cidrs: restrictions.cidrs.clone(),
            mint: MintSide {
                explicit: session.routes.clone(),
                above: Ceilings::none(),
                permissions: session
                    .permissions
                    .clone()
                    .or_else(|| restrictions.permissions.clone()),
                bindings: mint_bindings,
                domains: session
                    .domains
                    .clone()
                    .or_else(|| restrictions.domains.clone()),
                audiences: session.audiences.clone(),
                duration_secs_max: duration_secs_max(session),
                renewable_secs_max: renewable_secs_max(session),
            },
            impersonation,
            manage,
            rate_limit: restrictions.rate_limit,
        }
    }

    /// What a session may do. It mints, manages and impersonates nothing.
    pub fn of_session(
        environment: Environment,
        scope: &SessionScope,
        expires_at: Timestamp,
    ) -> Self {
        Self {
            environment,
            expires_at: Some(expires_at),
            operator: false,
            grantors: Vec::new(),
            call: Ceilings::from_option(Some(&scope.routes)),
            permissions: scope.permissions.clone(),
            bindings: scope.bindings.clone(),
            domains: scope.domains.clone(),
            cidrs: None,
            mint: MintSide {
                explicit: Some(RouteSet::empty()),
                above: Ceilings::none(),
                permissions: Some(Permissions::default()),
                bindings: Bindings::default(),
                domains: Some(Domains::default()),
                audiences: Some(BTreeSet::new()),
                duration_secs_max: 0,
                renewable_secs_max: 0,
            },
            impersonation: None,
            manage: BTreeSet::new(),
            rate_limit: None,
        }
    }

    /// What may be made of a session by exchange: nothing but what it may do itself, for the same
    /// audience, no longer than it lives, and never renewable.
    pub fn of_exchange(
        environment: Environment,
        scope: &SessionScope,
        audience: &str,
        expires_at: Timestamp,
    ) -> Self {
        let session = Self::of_session(environment, scope, expires_at);
        Self {
            mint: MintSide {
                explicit: Some(scope.routes.clone()),
                above: Ceilings::none(),
                permissions: scope.permissions.clone(),
                bindings: scope.bindings.clone(),
                domains: scope.domains.clone(),
                audiences: Some(BTreeSet::from([audience.to_owned()])),
                duration_secs_max: limits::SESSION_SECS_MAX,
                renewable_secs_max: 0,
            },
            ..session
        }
    }

    /// What remains of this credential when it acts as a child of `parent`: its call and its mint
    /// lie in the routes of its impersonation, too, and it is never an operator and never answers
    /// for other tenants. `None` when it may not act as children at all.
    pub fn acting_as_child(&self, parent: &AccountId) -> Option<Self> {
        let scope = self.impersonation.as_ref()?;
        let mut acting = self.clone();
        acting.operator = false;
        acting.grantors.insert(0, parent.clone());
        acting.call = acting.call.and(scope.routes.as_ref());
        acting.mint.above = acting.mint.above.and(scope.routes.as_ref());
        acting.manage.remove(&Manage::Introspect);
        Some(acting)
    }

    /// The ceilings of the routes of a session. On a profile path, the right to call the path is
    /// the right to mint what the profile gives, unless the key says otherwise.
    pub fn mint_ceilings(&self, profile_routes: Option<&RouteSet>) -> Ceilings {
        let own = match (&self.mint.explicit, profile_routes) {
            (Some(explicit), _) => Ceilings::from_option(Some(explicit)),
            (None, Some(profile)) => Ceilings::from_option(Some(profile)),
            (None, None) => self.call.clone(),
        };
        own.and_all(&self.mint.above)
    }
}

#[cfg(test)]
mod tests;
