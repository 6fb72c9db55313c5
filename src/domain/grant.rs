//! The grant: what may be minted. A pure function from what a credential may do and what was wanted
//! to a [`Grant`] or a [`Refusal`].

use std::collections::BTreeSet;

use super::binding::{Bindings, Dimension};
use super::config::bindings_to_map;
use super::effective::Effective;
use super::limits;
use super::origin::Domains;
use super::permission::{Permission, Permissions};
use super::route::{NotCovered, RouteSet, RouteSetError};
use super::session::{Session, SessionScope};
use super::time::Timestamp;

/// What happens to what was wanted and lies outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// The mint is refused, with a counter-example.
    #[default]
    Strict,
    /// It is cut, and what was cut is told.
    Intersect,
}

/// What a caller wants of a session. What it leaves out is inherited.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Wanted {
    /// Routes.
    pub routes: Option<RouteSet>,
    /// Permissions.
    pub permissions: Option<Permissions>,
    /// Bindings.
    pub bindings: Bindings,
    /// Domains.
    pub domains: Option<Domains>,
    /// The audience.
    pub audience: Option<String>,
    /// The lifetime, in seconds.
    pub duration_secs: Option<i64>,
    /// For how long it shall be renewable, in seconds.
    pub renewable_secs: Option<i64>,
    /// Strict or intersect.
    pub mode: Mode,
}

impl Wanted {
    /// What a renewal of a session wants: the same again. What the key has lost meanwhile is cut,
    /// and nothing exceeds the session, since each dimension that it narrows is named.
    pub fn again(session: &Session, duration_secs: Option<i64>) -> Self {
        let SessionScope {
            routes,
            permissions,
            bindings,
            domains,
        } = &session.scope;
        Self {
            routes: Some(routes.clone()),
            permissions: permissions.clone(),
            bindings: bindings.clone(),
            domains: domains.clone(),
            audience: Some(session.audience.clone()),
            duration_secs: Some(duration_secs.unwrap_or(session.duration_secs)),
            renewable_secs: None,
            mode: Mode::Intersect,
        }
    }
}

/// The audiences that are configured here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audiences {
    /// The one of a session that names none.
    pub default: String,
    /// All of them, the default included.
    pub all: BTreeSet<String>,
}

/// Where the routes of a session that is minted on a profile end, when the key has no mint side of
/// its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ceiling {
    /// At the profile's routes: the right to call the path is the right to mint what it gives.
    Profile,
    /// At what the key may call, as everywhere else.
    Key,
}

/// What a profile gives, filled in for one path.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileTerms {
    /// The routes that it gives.
    pub routes: RouteSet,
    /// Where they end.
    pub ceiling: Ceiling,
    /// The lifetime of a session that names none, in seconds.
    pub duration_secs_default: i64,
    /// The longest lifetime, in seconds.
    pub duration_secs_max: i64,
}

impl ProfileTerms {
    /// What minting at `user/{userId}` gives: all that the parent's key may hand on to the child,
    /// and nothing by the right to call the path.
    pub fn of_child() -> Self {
        Self {
            routes: RouteSet::everything(),
            ceiling: Ceiling::Key,
            duration_secs_default: limits::SESSION_SECS_DEFAULT,
            duration_secs_max: limits::SESSION_SECS_MAX,
        }
    }
}

/// What was granted.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// What the session may do.
    pub scope: SessionScope,
    /// Its audience.
    pub audience: String,
    /// Its lifetime, in seconds, before the key's own end cuts it.
    pub duration_secs: i64,
    /// When it is issued, in whole seconds.
    pub issued_at: Timestamp,
    /// When it ends, in whole seconds.
    pub expires_at: Timestamp,
    /// Until when it may be renewed.
    pub renewable_until: Option<Timestamp>,
    /// What was cut in the mode [`Mode::Intersect`].
    pub cut: Vec<String>,
}

/// Why nothing was granted.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// The key does not narrow routes, so the request must name them.
    RoutesRequired,
    /// What the ceilings leave cannot be written as one set; the request must name routes.
    RoutesTooComplex(RouteSetError),
    /// A wanted route lies outside.
    RouteNotCovered(NotCovered),
    /// Nothing is left in a dimension in which something was wanted.
    NothingLeft,
    /// A wanted permission lies outside.
    Permission(Permission),
    /// A wanted binding lies outside.
    Binding(Dimension),
    /// A wanted domain lies outside.
    Domain(String),
    /// An audience that is not configured here.
    AudienceUnknown(String),
    /// An audience that the key may not mint for.
    Audience(String),
    /// A lifetime outside its range.
    Duration {
        /// The most, in seconds.
        max: i64,
    },
    /// A renewal window outside its range.
    Renewable {
        /// The most, in seconds.
        max: i64,
    },
    /// The key ends before a session of one second could.
    Expired,
}

/// Decides what may be minted.
///
/// # Errors
/// [`Refusal`].
pub fn grant(
    effective: &Effective,
    profile: Option<&ProfileTerms>,
    wanted: &Wanted,
    audiences: &Audiences,
    now: Timestamp,
) -> Result<Grant, Refusal> {
    let mut cut = Vec::new();
    let scope = SessionScope {
        routes: grant_routes(effective, profile, wanted, &mut cut)?,
        permissions: grant_permissions(effective, wanted, &mut cut)?,
        bindings: grant_bindings(effective, wanted, &mut cut)?,
        domains: grant_domains(effective, wanted, &mut cut)?,
    };
    let audience = grant_audience(effective, wanted.audience.as_deref(), audiences)?;
    let duration_secs = grant_duration(effective, profile, wanted)?;
    let issued_at = now.floor_to_secs();
    let end = issued_at.plus_secs(duration_secs);
    let expires_at = effective
        .expires_at
        .map_or(end, |key_end| end.min(key_end.floor_to_secs()));
    if expires_at <= now {
        return Err(Refusal::Expired);
    }
    Ok(Grant {
        scope,
        audience,
        duration_secs,
        issued_at,
        expires_at,
        renewable_until: grant_renewal(effective, wanted, issued_at)?,
        cut,
    })
}

fn grant_routes(
    effective: &Effective,
    profile: Option<&ProfileTerms>,
    wanted: &Wanted,
    cut: &mut Vec<String>,
) -> Result<RouteSet, Refusal> {
    let given = profile.and_then(|profile| match profile.ceiling {
        Ceiling::Profile => Some(&profile.routes),
        Ceiling::Key => None,
    });
    let ceilings = effective.mint_ceilings(given);
    let routes = match (&wanted.routes, profile) {
        (Some(routes), _) => match wanted.mode {
            Mode::Strict => {
                ceilings.cover(routes).map_err(Refusal::RouteNotCovered)?;
                routes.clone()
            }
            Mode::Intersect => {
                let (kept, lost) = ceilings.keep(routes.clone());
                cut.extend(lost);
                kept
            }
        },
        // Nothing was asked, so nothing can be asked too much: all that profile and ceilings give.
        (None, Some(profile)) => ceilings
            .and(Some(&profile.routes))
            .as_one()
            .map_err(Refusal::RoutesTooComplex)?
            .ok_or(Refusal::RoutesRequired)?,
        // A ceiling of `**` narrows nothing either. All routes are had by asking for them.
        (None, None) => ceilings
            .as_one()
            .map_err(Refusal::RoutesTooComplex)?
            .filter(|all| !all.is_everything())
            .ok_or(Refusal::RoutesRequired)?,
    };
    let nothing_wanted = wanted.routes.as_ref().is_some_and(RouteSet::is_empty);
    left(routes.is_empty(), nothing_wanted)?;
    Ok(routes)
}

/// A session for which nothing is left in some dimension is good for nothing, so it is refused,
/// unless nothing is what was wanted.
fn left(nothing: bool, nothing_wanted: bool) -> Result<(), Refusal> {
    if nothing && !nothing_wanted {
        Err(Refusal::NothingLeft)
    } else {
        Ok(())
    }
}

fn grant_permissions(
    effective: &Effective,
    wanted: &Wanted,
    cut: &mut Vec<String>,
) -> Result<Option<Permissions>, Refusal> {
    let Some(ceiling) = &effective.mint.permissions else {
        return Ok(wanted.permissions.clone());
    };
    let Some(permissions) = &wanted.permissions else {
        return Ok(Some(ceiling.clone()));
    };
    match wanted.mode {
        Mode::Strict => match ceiling.missing_from(permissions) {
            Some(scope) => Err(Refusal::Permission(scope.clone())),
            None => Ok(Some(permissions.clone())),
        },
        Mode::Intersect => {
            let (kept, lost) = permissions.within(ceiling);
            cut.extend(lost.iter().map(ToString::to_string));
            left(kept.is_empty(), permissions.is_empty())?;
            Ok(Some(kept))
        }
    }
}

fn grant_bindings(
    effective: &Effective,
    wanted: &Wanted,
    cut: &mut Vec<String>,
) -> Result<Bindings, Refusal> {
    let ceiling = &effective.mint.bindings;
    let both = ceiling.intersection(&wanted.bindings);
    let exceeds = |dimension: Dimension| both.get(dimension) != wanted.bindings.get(dimension);
    for (dimension, values) in wanted.bindings.iter() {
        if !exceeds(dimension) {
            continue;
        }
        match wanted.mode {
            Mode::Strict => return Err(Refusal::Binding(dimension)),
            Mode::Intersect => {
                let kept = both.get(dimension);
                let lost = values
                    .iter()
                    .filter(|value| !kept.is_some_and(|kept| kept.contains(*value)));
                cut.extend(lost.map(|value| format!("{}:{value}", dimension.as_str())));
                left(kept.is_none_or(BTreeSet::is_empty), values.is_empty())?;
            }
        }
    }
    Ok(both)
}

fn grant_domains(
    effective: &Effective,
    wanted: &Wanted,
    cut: &mut Vec<String>,
) -> Result<Option<Domains>, Refusal> {
    let Some(ceiling) = &effective.mint.domains else {
        return Ok(wanted.domains.clone());
    };
    let Some(domains) = &wanted.domains else {
        return Ok(Some(ceiling.clone()));
    };
    match wanted.mode {
        Mode::Strict => match ceiling.missing_from(domains) {
            Some(entry) => Err(Refusal::Domain(entry.as_str().to_owned())),
            None => Ok(Some(domains.clone())),
        },
        Mode::Intersect => {
            let (kept, lost) = domains.within(ceiling);
            cut.extend(lost.iter().map(|entry| entry.as_str().to_owned()));
            left(kept.is_empty(), domains.is_empty())?;
            Ok(Some(kept))
        }
    }
}

fn grant_audience(
    effective: &Effective,
    wanted: Option<&str>,
    audiences: &Audiences,
) -> Result<String, Refusal> {
    let audience = match (wanted, &effective.mint.audiences) {
        (Some(wanted), _) => wanted,
        (None, None) => return Ok(audiences.default.clone()),
        (None, Some(own)) if own.contains(&audiences.default) => {
            return Ok(audiences.default.clone());
        }
        // The key does not mint for the default audience; if it mints for one alone, that is meant.
        (None, Some(own)) => match own.iter().next() {
            Some(only) if own.len() == 1 => only,
            _ => return Err(Refusal::Audience(audiences.default.clone())),
        },
    };
    if !audiences.all.contains(audience) {
        return Err(Refusal::AudienceUnknown(audience.to_owned()));
    }
    let allowed = match &effective.mint.audiences {
        None => audience == audiences.default,
        Some(own) => own.contains(audience),
    };
    if allowed {
        Ok(audience.to_owned())
    } else {
        Err(Refusal::Audience(audience.to_owned()))
    }
}

fn grant_duration(
    effective: &Effective,
    profile: Option<&ProfileTerms>,
    wanted: &Wanted,
) -> Result<i64, Refusal> {
    let profile_max = profile.map_or(limits::SESSION_SECS_MAX, |profile| {
        profile.duration_secs_max
    });
    let max = effective.mint.duration_secs_max.min(profile_max);
    let default = profile.map_or(limits::SESSION_SECS_DEFAULT, |profile| {
        profile.duration_secs_default
    });
    match wanted.duration_secs {
        None => Ok(default.min(max)),
        Some(secs) if (1..=max).contains(&secs) => Ok(secs),
        Some(secs)
            if secs > max && secs <= limits::SESSION_SECS_MAX && wanted.mode == Mode::Intersect =>
        {
            Ok(max)
        }
        Some(_) => Err(Refusal::Duration { max }),
    }
}

fn grant_renewal(
    effective: &Effective,
    wanted: &Wanted,
    issued_at: Timestamp,
) -> Result<Option<Timestamp>, Refusal> {
    let max = effective
        .mint
        .renewable_secs_max
        .min(limits::RENEWABLE_SECS_MAX);
    match wanted.renewable_secs {
        None => Ok(None),
        Some(secs) if (1..=max).contains(&secs) => Ok(Some(issued_at.plus_secs(secs))),
        Some(_) => Err(Refusal::Renewable { max }),
    }
}

/// The bindings of a scope as they stand in a claim.
pub fn bindings_claim(
    scope: &SessionScope,
) -> Option<std::collections::BTreeMap<String, Vec<String>>> {
    bindings_to_map(&scope.bindings)
}

#[cfg(test)]
mod tests;
