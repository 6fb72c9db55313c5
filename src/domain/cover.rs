//! Nothing that a credential makes, changes or reveals exceeds it: the one containment check.

use super::api_key::ApiKey;
use super::binding::Dimension;
use super::effective::{Effective, MintSide};
use super::network::Cidrs;
use super::origin::Domains;
use super::permission::{Permission, Permissions};
use super::restrictions::{ImpersonationScope, Manage};
use super::route::{NotCovered, RouteSet, covers as routes_cover};
use super::time::Timestamp;

/// In which dimension a key would exceed the credential that makes or changes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Excess {
    /// Routes that it may call, or that its sessions may carry.
    Routes {
        /// The field below `config`.
        field: &'static str,
        /// The counter-example, or that the question is too complex.
        why: NotCovered,
    },
    /// `session.allowedRoutes` must be named, since the caller's own is.
    MintRoutesUnnamed,
    /// A permission scope; `None` when permissions must be narrowed at all.
    Permission {
        /// The field below `config`.
        field: &'static str,
        /// The scope that is missing.
        scope: Option<Permission>,
    },
    /// A binding.
    Binding {
        /// The field below `config`.
        field: &'static str,
        /// The dimension.
        dimension: Dimension,
    },
    /// A domain; `None` when domains must be narrowed at all.
    Domain {
        /// The field below `config`.
        field: &'static str,
        /// The entry that is not covered.
        entry: Option<String>,
    },
    /// A network; `None` when networks must be narrowed at all.
    Network(Option<String>),
    /// An audience.
    Audience,
    /// A longer lifetime of sessions.
    Duration {
        /// The field below `config`.
        field: &'static str,
        /// The most, in seconds.
        max: i64,
    },
    /// A wider right to act as children.
    Impersonation,
    /// More management.
    Manage(Manage),
    /// A wider rate.
    Rate,
    /// A later end.
    Expiry(Timestamp),
    /// The live environment.
    Environment,
    /// Operator power.
    Operator,
    /// It would not act in the same accounts' names as the caller does.
    Grantor,
}

impl Excess {
    /// The field that would have to be narrower, by its name on the wire.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Routes { field, .. }
            | Self::Permission { field, .. }
            | Self::Binding { field, .. }
            | Self::Domain { field, .. }
            | Self::Duration { field, .. } => field,
            Self::MintRoutesUnnamed => "config.session.allowedRoutes",
            Self::Network(_) => "config.cidrs",
            Self::Audience => "config.session.audiences",
            Self::Impersonation => "config.impersonation",
            Self::Manage(_) => "config.manage",
            Self::Rate => "config.rateLimit",
            Self::Expiry(_) => "expiresAt",
            Self::Environment => "environment",
            Self::Operator => "operator",
            Self::Grantor => "grantor",
        }
    }
}

/// Whether `caller` may make, change or end a key that may do `target`: in every dimension the
/// target lies within the caller.
///
/// # Errors
/// [`Excess`], the first dimension in which it does not.
pub fn covers(caller: &Effective, target: &Effective) -> Result<(), Excess> {
    if !caller.environment.covers(target.environment) {
        return Err(Excess::Environment);
    }
    if target.operator && !caller.operator {
        return Err(Excess::Operator);
    }
    // One that is missing would be shed; one too many is a name that the caller does not act in,
    // and the ledger would blame that account for what the caller does. An operator stands above
    // the names of others, and has none of its own to shed.
    let operator = caller.operator && caller.grantors.is_empty();
    if caller.grantors != target.grantors && !operator {
        return Err(Excess::Grantor);
    }
    if let Some(end) = caller.expires_at
        && target.expires_at.is_none_or(|wanted| wanted > end)
    {
        return Err(Excess::Expiry(end));
    }
    caller
        .call
        .cover_all(&target.call)
        .map_err(|why| Excess::Routes {
            field: "config.allowedRoutes",
            why,
        })?;
    let field = "config.permissions";
    cover_permissions(
        field,
        caller.permissions.as_ref(),
        target.permissions.as_ref(),
    )?;
    if let Some(dimension) = caller.bindings.exceeded_by(&target.bindings) {
        return Err(Excess::Binding {
            field: "config.bindings",
            dimension,
        });
    }
    cover_domains(
        "config.domains",
        caller.domains.as_ref(),
        target.domains.as_ref(),
    )?;
    cover_cidrs(caller.cidrs.as_ref(), target.cidrs.as_ref())?;
    cover_mint(caller, target)?;
    cover_impersonation(caller.impersonation.as_ref(), target.impersonation.as_ref())?;
    if let Some(manage) = target
        .manage
        .iter()
        .find(|manage| !caller.manage.contains(manage))
    {
        // An operator grants `introspect` without having it.
        if !(caller.operator && *manage == Manage::Introspect) {
            return Err(Excess::Manage(*manage));
        }
    }
    if let Some(limit) = caller.rate_limit
        && !target
            .rate_limit
            .is_some_and(|wanted| limit.covers(&wanted))
    {
        return Err(Excess::Rate);
    }
    Ok(())
}

/// Whether a key still covers one that was made with it or with a key of its line: in its own
/// account, or below it, where it acted as one child after the other.
///
/// # Errors
/// [`Excess`], the first dimension in which it does not.
pub fn covers_made(maker: &Effective, made: &ApiKey) -> Result<(), Excess> {
    let below = made.grantors.len().checked_sub(maker.grantors.len());
    let below = below.ok_or(Excess::Grantor)?;
    let mut acting = maker.clone();
    // Nearest first, so the maker's own account is the last of those that were added.
    let parents = made.grantors.iter().take(below).rev();
    let children = parents.clone().skip(1).chain([&made.account]);
    for (parent, child) in parents.zip(children) {
        let named = acting.impersonation.as_ref().is_some_and(|scope| {
            scope
                .users
                .as_ref()
                .is_none_or(|users| users.contains(child))
        });
        acting = acting
            .acting_as_child(parent)
            .filter(|_| named)
            .ok_or(Excess::Impersonation)?;
    }
    covers(&acting, &made.effective())
}

fn cover_permissions(
    field: &'static str,
    caller: Option<&Permissions>,
    target: Option<&Permissions>,
) -> Result<(), Excess> {
    let Some(caller) = caller else { return Ok(()) };
    let Some(target) = target else {
        return Err(Excess::Permission { field, scope: None });
    };
    match caller.missing_from(target) {
        Some(scope) => Err(Excess::Permission {
            field,
            scope: Some(scope.clone()),
        }),
        None => Ok(()),
    }
}

fn cover_domains(
    field: &'static str,
    caller: Option<&Domains>,
    target: Option<&Domains>,
) -> Result<(), Excess> {
    let Some(caller) = caller else { return Ok(()) };
    let Some(target) = target else {
        return Err(Excess::Domain { field, entry: None });
    };
    match caller.missing_from(target) {
        Some(entry) => Err(Excess::Domain {
            field,
            entry: Some(entry.as_str().to_owned()),
        }),
        None => Ok(()),
    }
}

fn cover_cidrs(caller: Option<&Cidrs>, target: Option<&Cidrs>) -> Result<(), Excess> {
    let Some(caller) = caller else { return Ok(()) };
    let Some(target) = target else {
        return Err(Excess::Network(None));
    };
    match caller.missing_from(target) {
        Some(network) => Err(Excess::Network(Some(network.to_string()))),
        None => Ok(()),
    }
}

fn cover_mint(caller: &Effective, target: &Effective) -> Result<(), Excess> {
    let MintSide {
        explicit,
        above,
        permissions,
        bindings,
        domains,
        audiences,
        duration_secs_max,
        renewable_secs_max,
    } = &caller.mint;
    let wanted = &target.mint;

    let ceilings = caller.mint_ceilings(None);
    match &wanted.explicit {
        Some(routes) => ceilings
            .cover_all(&wanted.above.and(Some(routes)))
            .map_err(|why| Excess::Routes {
                field: "config.session.allowedRoutes",
                why,
            })?,
        // Without a ceiling of its own the target mints on profile paths what the profiles give, so
        // a caller that has one must hand one on.
        None if explicit.is_some() || !above.is_none() => {
            let within = above.cover_all(&wanted.above).is_ok() && !wanted.above.is_none();
            if explicit.is_some() || !within {
                return Err(Excess::MintRoutesUnnamed);
            }
        }
        None => {}
    }
    let field = "config.session.permissions";
    cover_permissions(field, permissions.as_ref(), wanted.permissions.as_ref())?;
    if let Some(dimension) = bindings.exceeded_by(&wanted.bindings) {
        return Err(Excess::Binding {
            field: "config.session.bindings",
            dimension,
        });
    }
    cover_domains(
        "config.session.domains",
        domains.as_ref(),
        wanted.domains.as_ref(),
    )?;
    let audiences_covered = match (audiences, &wanted.audiences) {
        _ if caller.operator => true,
        (None, None) => true,
        (None, Some(wanted)) => wanted.is_empty(),
        (Some(_), None) => false,
        (Some(own), Some(wanted)) => wanted.is_subset(own),
    };
    if !audiences_covered {
        return Err(Excess::Audience);
    }
    if wanted.duration_secs_max > *duration_secs_max {
        let field = "config.session.maxDurationInSeconds";
        return Err(Excess::Duration {
            field,
            max: *duration_secs_max,
        });
    }
    if wanted.renewable_secs_max > *renewable_secs_max && !caller.operator {
        let field = "config.session.maxRenewableInSeconds";
        return Err(Excess::Duration {
            field,
            max: *renewable_secs_max,
        });
    }
    Ok(())
}

fn cover_impersonation(
    caller: Option<&ImpersonationScope>,
    target: Option<&ImpersonationScope>,
) -> Result<(), Excess> {
    let Some(target) = target else { return Ok(()) };
    let Some(caller) = caller else {
        return Err(Excess::Impersonation);
    };
    if let Some(routes) = &caller.routes {
        let wanted = target.routes.clone().unwrap_or_else(RouteSet::everything);
        routes_cover(routes, &wanted).map_err(|why| Excess::Routes {
            field: "config.impersonation.allowedRoutes",
            why,
        })?;
    }
    match (&caller.users, &target.users) {
        (None, _) => Ok(()),
        (Some(own), Some(wanted)) if wanted.is_subset(own) => Ok(()),
        (Some(_), _) => Err(Excess::Impersonation),
    }
}

#[cfg(test)]
mod tests;
