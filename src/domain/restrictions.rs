//! All that narrows a credential: one type for every key.
//!
//! Absent means "not narrowed in this dimension"; an empty list means "nothing". The difference is
//! kept in the types: `None` is not narrowed, an empty set allows nothing.

use std::collections::BTreeSet;

use super::binding::Bindings;
use super::id::AccountId;
use super::limits;
use super::network::Cidrs;
use super::origin::Domains;
use super::permission::Permissions;
use super::rate::RateLimit;
use super::route::RouteSet;

/// What a key may manage. Routes do not give it: route and `manage` must both allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Manage {
    /// Keys of its account, and sessions that other keys minted.
    Tokens,
    /// Child accounts.
    Users,
    /// Webhooks.
    Webhooks,
    /// The ledger.
    Audit,
    /// Answers about other tenants' tokens. Granted by the operator only.
    Introspect,
}

impl Manage {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Tokens,
        Self::Users,
        Self::Webhooks,
        Self::Audit,
        Self::Introspect,
    ];

    /// As it stands in `manage`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Users => "users",
            Self::Webhooks => "webhooks",
            Self::Audit => "audit",
            Self::Introspect => "introspect",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|manage| manage.as_str() == text)
    }

    /// What an unrestricted key manages: all but `introspect`.
    pub fn unrestricted() -> BTreeSet<Self> {
        Self::ALL
            .into_iter()
            .filter(|manage| *manage != Self::Introspect)
            .collect()
    }
}

/// Whether and how far a key may act as children of its account.
#[derive(Debug, Clone, PartialEq, Hash)]
pub enum Impersonation {
    /// Not at all.
    Denied,
    /// Yes, within this scope.
    Allowed(ImpersonationScope),
}

/// How far a key may act as children.
#[derive(Debug, Clone, PartialEq, Hash, Default)]
pub struct ImpersonationScope {
    /// The routes that it may call as a child, and that anything minted for one may carry.
    pub routes: Option<RouteSet>,
    /// The children.
    pub users: Option<BTreeSet<AccountId>>,
}

/// The mint side: what sessions minted with the key may carry. What is absent is inherited from the
/// key.
#[derive(Debug, Clone, PartialEq, Hash, Default)]
pub struct MintRestrictions {
    /// The routes of sessions; the ceiling on profile paths, too, when present.
    pub routes: Option<RouteSet>,
    /// The permissions of sessions.
    pub permissions: Option<Permissions>,
    /// What sessions are bound to.
    pub bindings: Bindings,
    /// Where sessions may be presented from.
    pub domains: Option<Domains>,
    /// The audiences of sessions; absent means the default one only.
    pub audiences: Option<BTreeSet<String>>,
    /// The longest lifetime, in seconds.
    pub duration_secs_max: Option<i64>,
    /// For how long a session may be renewed, in seconds.
    pub renewable_secs_max: Option<i64>,
}

impl MintRestrictions {
    fn narrows_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// All that narrows a key.
#[derive(Debug, Clone, PartialEq, Hash, Default)]
pub struct Restrictions {
    /// The routes that it may call.
    pub routes: Option<RouteSet>,
    /// Its permissions.
    pub permissions: Option<Permissions>,
    /// What it is bound to.
    pub bindings: Bindings,
    /// Where it may be presented from.
    pub domains: Option<Domains>,
    /// The addresses that it may be presented from.
    pub cidrs: Option<Cidrs>,
    /// The mint side.
    pub session: MintRestrictions,
    /// Whether it may act as children; absent means yes for an unrestricted key, no for any other.
    pub impersonation: Option<Impersonation>,
    /// What it manages; absent means all but `introspect` for an unrestricted key, nothing for any
    /// other.
    pub manage: Option<BTreeSet<Manage>>,
    /// How often it may be used.
    pub rate_limit: Option<RateLimit>,
}

impl Restrictions {
    /// Whether no dimension is narrowed. A key is unrestricted only if it was declared so, too.
    pub fn narrow_nothing(&self) -> bool {
        let Self {
            routes,
            permissions,
            bindings,
            domains,
            cidrs,
            session,
            impersonation,
            manage,
            rate_limit,
        } = self;
        let full_impersonation = match impersonation {
            None => true,
            Some(Impersonation::Allowed(scope)) => *scope == ImpersonationScope::default(),
            Some(Impersonation::Denied) => false,
        };
        routes.is_none()
            && permissions.is_none()
            && bindings.is_empty()
            && domains.is_none()
            && cidrs.is_none()
            && session.narrows_nothing()
            && full_impersonation
            && manage
                .as_ref()
                .is_none_or(|manage| manage.is_superset(&Manage::unrestricted()))
            && rate_limit.is_none()
    }

    /// Whether they narrow one of the dimensions of which a new key must narrow at least one.
    pub fn narrow_what_counts(&self) -> bool {
        self.routes.is_some() || self.permissions.is_some() || !self.bindings.is_empty()
    }

    /// These, with every dimension that `change` names in place of the own one. What `change`
    /// leaves out stays.
    #[must_use]
    pub fn changed_by(&self, change: &Self) -> Self {
        let Self {
            routes,
            permissions,
            bindings,
            domains,
            cidrs,
            session,
            impersonation,
            manage,
            rate_limit,
        } = change.clone();
        Self {
            routes: routes.or_else(|| self.routes.clone()),
            permissions: permissions.or_else(|| self.permissions.clone()),
            bindings: overlay(&self.bindings, &bindings),
            domains: domains.or_else(|| self.domains.clone()),
            cidrs: cidrs.or_else(|| self.cidrs.clone()),
            session: MintRestrictions {
                routes: session.routes.or_else(|| self.session.routes.clone()),
                permissions: session
                    .permissions
                    .or_else(|| self.session.permissions.clone()),
                bindings: overlay(&self.session.bindings, &session.bindings),
                domains: session.domains.or_else(|| self.session.domains.clone()),
                audiences: session.audiences.or_else(|| self.session.audiences.clone()),
                duration_secs_max: session.duration_secs_max.or(self.session.duration_secs_max),
                renewable_secs_max: session
                    .renewable_secs_max
                    .or(self.session.renewable_secs_max),
            },
            impersonation: impersonation.or_else(|| self.impersonation.clone()),
            manage: manage.or_else(|| self.manage.clone()),
            rate_limit: rate_limit.or(self.rate_limit),
        }
    }

    /// Takes a dimension away, by its name on the wire. `false` when there is no such dimension.
    pub fn clear(&mut self, dimension: &str) -> bool {
        match dimension {
            "allowedRoutes" => self.routes = None,
            "permissions" => self.permissions = None,
            "bindings" => self.bindings = Bindings::default(),
            "domains" => self.domains = None,
            "cidrs" => self.cidrs = None,
            "session" => self.session = MintRestrictions::default(),
            "session.allowedRoutes" => self.session.routes = None,
            "session.permissions" => self.session.permissions = None,
            "session.bindings" => self.session.bindings = Bindings::default(),
            "session.domains" => self.session.domains = None,
            "session.audiences" => self.session.audiences = None,
            "session.maxDurationInSeconds" => self.session.duration_secs_max = None,
            "session.maxRenewableInSeconds" => self.session.renewable_secs_max = None,
            "impersonation" => self.impersonation = None,
            "manage" => self.manage = None,
            "rateLimit" => self.rate_limit = None,
            _ => return false,
        }
        true
    }
}

/// The dimensions that [`Restrictions::clear`] knows.
pub const CLEARABLE: &str = "allowedRoutes, permissions, bindings, domains, cidrs, session, \
    session.allowedRoutes, session.permissions, session.bindings, session.domains, \
    session.audiences, session.maxDurationInSeconds, session.maxRenewableInSeconds, \
    impersonation, manage, rateLimit";

fn overlay(own: &Bindings, change: &Bindings) -> Bindings {
    let mut bindings = own.clone();
    for (dimension, values) in change.iter() {
        bindings.narrow(dimension, values.clone());
    }
    bindings
}

/// The longest lifetime of a session under these mint restrictions, in seconds.
pub fn duration_secs_max(session: &MintRestrictions) -> i64 {
    session
        .duration_secs_max
        .unwrap_or(limits::SESSION_SECS_MAX)
}

/// For how long a session may be renewed under these mint restrictions, in seconds.
pub fn renewable_secs_max(session: &MintRestrictions) -> i64 {
    session
        .renewable_secs_max
        .unwrap_or(limits::RENEWABLE_SECS_DEFAULT)
}

#[cfg(test)]
mod tests;
