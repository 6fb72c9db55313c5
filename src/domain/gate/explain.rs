//! Why the gate refuses a request, and the smallest change that would allow it.

use std::net::IpAddr;

use crate::domain::binding::{Bindings, Dimension};
use crate::domain::decision::{Asked, Deny, Permit, RoutePermission, decide};
use crate::domain::effective::{Ceilings, Effective};
use crate::domain::network::Cidrs;
use crate::domain::origin::{Domains, origin_host};
use crate::domain::permission::Permissions;
use crate::domain::rate::Turn;
use crate::domain::route::{Method, RequestPath, RoutePattern};
use crate::domain::time::Timestamp;

/// Where something would have to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the restrictions of the credential. A session cannot be changed; another one is minted.
    Credential,
    /// In the request.
    Request,
    /// In the settings of the gate.
    Gate,
}

impl Place {
    /// As it is written on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Request => "request",
            Self::Gate => "gate",
        }
    }
}

/// One change that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// Where.
    pub place: Place,
    /// The restriction, header or setting.
    pub field: String,
    /// What to add to a restriction; of a header, what it may say. Empty when there is nothing that
    /// could be named.
    pub values: Vec<String>,
}

impl Remedy {
    /// A change at a place.
    pub fn new(place: Place, field: impl Into<String>, values: Vec<String>) -> Self {
        Self {
            place,
            field: field.into(),
            values,
        }
    }
}

/// Why a request passes or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The decision.
    pub outcome: Result<Permit, Deny>,
    /// What would have to be changed, all of it, in the order of the checks. Empty when the request
    /// passes.
    pub remedies: Vec<Remedy>,
}

/// Explains the decision on a request. Each check that refuses is lifted in turn, so that the changes
/// together are enough.
pub fn explain(effective: &Effective, asked: &Asked<'_>, now: Timestamp) -> Explanation {
    let judge = |effective: &Effective, asked: &Asked<'_>| {
        let mut free = || Turn::Go {
            remaining: 0,
            reset_ms: 0,
        };
        decide(effective, asked, now, &mut free)
    };
    let outcome = judge(effective, asked);
    let mut remedies = Vec::new();
    let mut lifted = effective.clone();
    let mut asked = asked.clone();
    let mut next = outcome.as_ref().err().cloned();
    while let Some(deny) = next {
        let Some(remedy) = lift(&deny, &mut lifted, &mut asked) else {
            break;
        };
        remedies.push(remedy);
        next = judge(&lifted, &asked).err();
    }
    Explanation { outcome, remedies }
}

/// What would have to be changed about one check, which refuses no more afterwards. `None` when
/// nothing could be changed about it.
fn lift(deny: &Deny, effective: &mut Effective, asked: &mut Asked<'_>) -> Option<Remedy> {
    let credential = |field: &str, values| Remedy::new(Place::Credential, field, values);
    Some(match deny {
        Deny::Address => {
            let own = effective.cidrs.take();
            match asked.address {
                Some(address) => credential("cidrs", vec![one_address(address)]),
                None => Remedy::new(
                    Place::Request,
                    "address",
                    own.as_ref().map(Cidrs::to_strings).unwrap_or_default(),
                ),
            }
        }
        Deny::Expired => {
            effective.expires_at = None;
            credential("expiresAt", Vec::new())
        }
        Deny::MethodOverride => {
            asked.method_override = false;
            Remedy::new(Place::Request, "X-HTTP-Method-Override", Vec::new())
        }
        Deny::Route => {
            effective.call = Ceilings::none();
            let pattern = asked.path.and_then(|path| exactly(asked.method, path));
            credential("allowedRoutes", pattern.into_iter().collect())
        }
        Deny::Permission(Some(wanted)) => {
            let own = effective.permissions.take().unwrap_or_default();
            let with = own.iter().chain([wanted]).cloned();
            effective.permissions = Some(Permissions::new(with));
            credential("permissions", vec![wanted.as_str().to_owned()])
        }
        Deny::Permission(None) => {
            asked.permission = RoutePermission::Own(None);
            let pattern = asked.path.and_then(|path| exactly(asked.method, path));
            Remedy::new(Place::Gate, "gate.routes", pattern.into_iter().collect())
        }
        Deny::Binding(dimension) => lift_binding(*dimension, effective, asked),
        Deny::Domain => {
            let own = effective.domains.take();
            match asked.origin.and_then(origin_host) {
                Some(host) => credential("domains", vec![host]),
                None => Remedy::new(
                    Place::Request,
                    "Origin",
                    own.as_ref().map(Domains::to_strings).unwrap_or_default(),
                ),
            }
        }
        // The first comes back by itself, and the gate manages nothing.
        Deny::Rate { .. } | Deny::Manage(_) => return None,
    })
}

fn lift_binding(dimension: Dimension, effective: &mut Effective, asked: &Asked<'_>) -> Remedy {
    let mut others = Bindings::default();
    let mut own = Vec::new();
    for (bound, values) in effective.bindings.iter() {
        if bound == dimension {
            own.extend(values.iter().cloned());
        } else {
            others.narrow(bound, values.clone());
        }
    }
    effective.bindings = others;
    match asked.named.get(&dimension) {
        Some(value) => Remedy::new(
            Place::Credential,
            format!("bindings.{}", dimension.as_str()),
            vec![value.clone()],
        ),
        None => Remedy::new(Place::Request, dimension.header_shown(), own),
    }
}

fn one_address(address: IpAddr) -> String {
    ipnet::IpNet::from(address.to_canonical()).to_string()
}

/// The pattern that allows this request and as little else as can be written: a segment that no
/// literal can be is any segment.
fn exactly(method: &str, path: &RequestPath) -> Option<String> {
    let segments = path.segments().map(|segment| {
        let is_literal = RoutePattern::parse(&format!("x/{segment}"))
            .is_ok_and(|read| read.as_str() == format!("x/{segment}"));
        if is_literal && !segment.starts_with('*') {
            segment
        } else {
            "*"
        }
    });
    let path = segments.collect::<Vec<_>>().join("/");
    let text = match Method::from_request(method) {
        Some(method) => format!("{method} {path}"),
        None => path,
    };
    let pattern = RoutePattern::parse(&text).ok()?;
    Some(pattern.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::binding::NamedValues;
    use super::super::super::decision::BindingCheck;
    use super::super::super::permission::Permission;
    use super::super::super::route::{Mount, TrailingSlash};
    use super::super::super::support::may;
    use super::*;

    fn path(text: &str) -> RequestPath {
        RequestPath::parse(
            format!("/v1/{text}"),
            &Mount::default(),
            TrailingSlash::Equal,
        )
        .unwrap()
    }

    fn asked<'a>(
        path: &'a RequestPath,
        named: &'a NamedValues,
        permission: Option<&'a Permission>,
    ) -> Asked<'a> {
        Asked {
            method: "POST",
            path: Some(path),
            method_override: false,
            address: Some("192.0.2.1".parse().unwrap()),
            origin: Some("https://shop.example"),
            named,
            permission: RoutePermission::Gate(permission),
            manage: None,
            bindings: BindingCheck::Here,
        }
    }

    fn told(explanation: &Explanation) -> Vec<String> {
        let remedies = explanation.remedies.iter();
        remedies
            .map(|remedy| {
                let Remedy {
                    place,
                    field,
                    values,
                } = remedy;
                format!("{} {field} {}", place.as_str(), values.join(" "))
            })
            .collect()
    }

    const NOW: Timestamp = Timestamp::from_millis(0);

    #[test]
    fn what_passes_needs_no_change() {
        let (path, named) = (path("bot/b1/fetch"), NamedValues::new());
        let explanation = explain(
            &may(json!({"allowedRoutes": ["bot/**"]})),
            &asked(&path, &named, None),
            NOW,
        );

        assert_eq!(explanation.outcome.unwrap().pattern(), Some("bot/**"));
        assert!(explanation.remedies.is_empty());
    }

    #[test]
    fn every_check_that_refuses_is_told_in_order_and_the_first_is_the_refusal() {
        let (path, named) = (path("bot/b1/fetch"), NamedValues::new());
        let write = Permission::parse("bots:write").unwrap();
        let config = json!({
            "allowedRoutes": ["GET bot/**"],
            "permissions": ["bots:read"],
            "bindings": {"bot": ["b1", "b2"]},
            "domains": ["example.com"],
            "cidrs": ["198.51.100.0/24"],
        });
        let explanation = explain(&may(config), &asked(&path, &named, Some(&write)), NOW);

        assert_eq!(explanation.outcome, Err(Deny::Address));
        assert_eq!(
            told(&explanation),
            [
                "credential cidrs 192.0.2.1/32",
                "credential allowedRoutes POST bot/b1/fetch",
                "credential permissions bots:write",
                "request X-Bot-ID b1 b2",
                "credential domains shop.example",
            ]
        );
    }

    #[test]
    fn a_value_that_is_not_bound_is_added_and_one_that_is_missing_is_sent() {
        let path = path("bot/b3/fetch");
        let named = NamedValues::from([(Dimension::Bot, "b3".to_owned())]);
        let effective = may(json!({"bindings": {"bot": ["b1"], "project": ["p1"]}}));

        let explanation = explain(&effective, &asked(&path, &named, None), NOW);

        assert_eq!(
            told(&explanation),
            ["request X-Project-ID p1", "credential bindings.bot b3"]
        );
    }

    #[test]
    fn a_route_without_a_permission_is_for_the_gate_to_mend() {
        let (path, named) = (
            path("bot/a b/**".replace(' ', "%20").as_str()),
            NamedValues::new(),
        );
        let effective = may(json!({"permissions": ["admin"]}));

        let explanation = explain(&effective, &asked(&path, &named, None), NOW);

        assert_eq!(told(&explanation), ["gate gate.routes POST bot/*/*"]);
    }

    #[test]
    fn without_origin_and_address_the_request_has_to_name_them() {
        let (path, named) = (path("bot"), NamedValues::new());
        let effective = may(json!({"domains": ["example.com"], "cidrs": ["198.51.100.0/24"]}));
        let mut asked = asked(&path, &named, None);
        asked.address = None;
        asked.origin = Some("null");

        assert_eq!(
            told(&explain(&effective, &asked, NOW)),
            [
                "request address 198.51.100.0/24",
                "request Origin example.com"
            ]
        );
    }

    #[test]
    fn the_pattern_to_add_allows_the_request() {
        for (method, text) in [
            ("POST", "bot/b1"),
            ("PROPFIND", "bot/b1"),
            ("GET", "v1/x"),
            ("GET", "me@example.com/caf%C3%A9"),
            ("GET", "a/*/**"),
        ] {
            let path = path(text);
            let pattern = RoutePattern::parse(&exactly(method, &path).unwrap()).unwrap();
            assert!(pattern.matches(method, &path), "{method} {text}: {pattern}");
        }
        let long = path(&"a/".repeat(33));
        assert_eq!(exactly("GET", &long), None);
    }
}
