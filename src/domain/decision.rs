//! The decision: whether a credential may make a request. One function for every door.

use std::net::IpAddr;

use super::binding::{Bindings, Dimension, NamedValues};
use super::effective::Effective;
use super::permission::Permission;
use super::rate::Turn;
use super::restrictions::Manage;
use super::route::RequestPath;
use super::time::Timestamp;

/// What is asked of a request beside the credential.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// The method, as sent.
    pub method: &'a str,
    /// The path, parsed. `None` where the route check is exempt.
    pub path: Option<&'a RequestPath>,
    /// Whether the request carries a method-override header.
    pub method_override: bool,
    /// The client's address, when it is known.
    pub address: Option<IpAddr>,
    /// The `Origin` header.
    pub origin: Option<&'a str>,
    /// The values of bindings that header and path name.
    pub named: &'a NamedValues,
    /// The permission that the route has, if it has one.
    pub permission: RoutePermission<'a>,
    /// What the endpoint manages, if it manages anything.
    pub manage: Option<Manage>,
    /// Where bindings are judged.
    pub bindings: BindingCheck,
}

/// The permission that a route has, and what it means when it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutePermission<'a> {
    /// A route of the API behind the gate. Without a permission it is refused to a credential whose
    /// permissions are narrowed.
    Gate(Option<&'a Permission>),
    /// A route of hallpass itself. Without a permission none is asked: management has a right of
    /// its own, and what is minted never has more permissions than the credential.
    Own(Option<&'a Permission>),
}

/// Where the bindings of a request are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindingCheck {
    /// Here: the request must name a value in every narrowed dimension.
    Here,
    /// Where the body is read, since a mint may name values in it. A value that header or path
    /// name is judged here all the same.
    WithBody,
    /// Nowhere: the request addresses no resource.
    Exempt,
}

/// Proof that a request was allowed, and by which pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    pattern: Option<String>,
    unnamed: Vec<Dimension>,
}

impl Permit {
    /// The pattern that matched; `None` when routes are not narrowed or not asked.
    pub fn pattern(&self) -> Option<&str> {
        self.pattern.as_deref()
    }

    /// The narrowed dimensions for which the body must name a value.
    pub fn unnamed(&self) -> &[Dimension] {
        &self.unnamed
    }
}

/// Judges the values that the body of a mint names, where header and path may have named none. A
/// value that they named must be among those of the body: two sources that disagree are refused.
///
/// # Errors
/// [`Deny::Binding`].
pub fn decide_body(
    effective: &Effective,
    permit: &Permit,
    named: &NamedValues,
    body: &Bindings,
) -> Result<(), Deny> {
    for (dimension, values) in body.iter() {
        if named
            .get(&dimension)
            .is_some_and(|value| !values.contains(value))
        {
            return Err(Deny::Binding(dimension));
        }
    }
    for dimension in permit.unnamed() {
        let allowed = effective.bindings.get(*dimension);
        let within = body.get(*dimension).is_some_and(|values| {
            !values.is_empty() && allowed.is_some_and(|allowed| values.is_subset(allowed))
        });
        if !within {
            return Err(Deny::Binding(*dimension));
        }
    }
    Ok(())
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deny {
    /// The address is not in the credential's networks.
    Address,
    /// Too many requests.
    Rate {
        /// Milliseconds until the next may pass.
        retry_ms: i64,
    },
    /// The credential has expired.
    Expired,
    /// The method could be overridden behind us, and methods are narrowed.
    MethodOverride,
    /// No pattern allows the route.
    Route,
    /// The route needs a permission that the credential lacks; `None` when the route has none and
    /// permissions are narrowed.
    Permission(Option<Permission>),
    /// The credential does not manage this.
    Manage(Manage),
    /// The credential is bound, and the request names no value or another one.
    Binding(Dimension),
    /// The origin is not one of the credential's domains.
    Domain,
}

/// Whether a credential that is alive may make a request, in the order of DESIGN.md §8: address,
/// rate, expiry, route, permission, management, binding, domain. `rate` takes one turn.
///
/// # Errors
/// [`Deny`], the first check that refused.
pub fn decide(
    effective: &Effective,
    asked: &Asked<'_>,
    now: Timestamp,
    rate: &mut dyn FnMut() -> Turn,
) -> Result<Permit, Deny> {
    if effective
        .cidrs
        .as_ref()
        .is_some_and(|cidrs| !cidrs.contain(asked.address))
    {
        return Err(Deny::Address);
    }
    if let Turn::Wait { retry_ms } = rate() {
        return Err(Deny::Rate { retry_ms });
    }
    if effective.expires_at.is_some_and(|end| end <= now) {
        return Err(Deny::Expired);
    }
    let mut pattern = None;
    if let Some(path) = asked.path {
        if asked.method_override && effective.call.narrow_methods() {
            return Err(Deny::MethodOverride);
        }
        let allowed = effective
            .call
            .allow(asked.method, path)
            .ok_or(Deny::Route)?;
        pattern = allowed.pattern.map(ToString::to_string);
        decide_permission(effective, asked.permission)?;
    }
    if let Some(manage) = asked.manage
        && !effective.manage.contains(&manage)
    {
        return Err(Deny::Manage(manage));
    }
    let unnamed = decide_bindings(effective, asked).map_err(Deny::Binding)?;
    if effective
        .domains
        .as_ref()
        .is_some_and(|domains| !domains.allow_origin(asked.origin))
    {
        return Err(Deny::Domain);
    }
    Ok(Permit { pattern, unnamed })
}

fn decide_permission(effective: &Effective, asked: RoutePermission<'_>) -> Result<(), Deny> {
    let Some(own) = &effective.permissions else {
        return Ok(());
    };
    match asked {
        RoutePermission::Gate(Some(wanted)) | RoutePermission::Own(Some(wanted)) => {
            if own.allows(wanted) {
                Ok(())
            } else {
                Err(Deny::Permission(Some(wanted.clone())))
            }
        }
        RoutePermission::Gate(None) => Err(Deny::Permission(None)),
        RoutePermission::Own(None) => Ok(()),
    }
}

fn decide_bindings(effective: &Effective, asked: &Asked<'_>) -> Result<Vec<Dimension>, Dimension> {
    let mut unnamed = Vec::new();
    for (dimension, values) in effective.bindings.iter() {
        match (asked.named.get(&dimension), asked.bindings) {
            (_, BindingCheck::Exempt) => {}
            (Some(value), BindingCheck::Here | BindingCheck::WithBody) => {
                if !values.contains(value) {
                    return Err(dimension);
                }
            }
            (None, BindingCheck::Here) => return Err(dimension),
            (None, BindingCheck::WithBody) => unnamed.push(dimension),
        }
    }
    Ok(unnamed)
}

#[cfg(test)]
mod tests;
