use serde_json::json;

use super::super::environment::Environment;
use super::super::route::RouteSet;
use super::super::session::SessionScope;
use super::super::support::{NOW, declared, may, path, routes};
use super::*;

/// A request that may be changed before it is asked about.
struct Request {
    method: &'static str,
    path: Option<RequestPath>,
    method_override: bool,
    address: Option<IpAddr>,
    origin: Option<&'static str>,
    named: NamedValues,
    permission: Option<Permission>,
    own: bool,
    manage: Option<Manage>,
    bindings: BindingCheck,
}

fn request(method: &'static str, text: &str) -> Request {
    Request {
        method,
        path: Some(path(text)),
        method_override: false,
        address: None,
        origin: None,
        named: NamedValues::new(),
        permission: None,
        own: false,
        manage: None,
        bindings: BindingCheck::Here,
    }
}

fn go() -> Turn {
    Turn::Go {
        remaining: 1,
        reset_ms: 0,
    }
}

impl Request {
    fn judged(&self, effective: &Effective, turn: Turn) -> Result<Permit, Deny> {
        let permission = self.permission.as_ref();
        let asked = Asked {
            method: self.method,
            path: self.path.as_ref(),
            method_override: self.method_override,
            address: self.address,
            origin: self.origin,
            named: &self.named,
            permission: if self.own {
                RoutePermission::Own(permission)
            } else {
                RoutePermission::Gate(permission)
            },
            manage: self.manage,
            bindings: self.bindings,
        };
        decide(effective, &asked, NOW, &mut || turn)
    }

    fn by(&self, effective: &Effective) -> Result<Permit, Deny> {
        self.judged(effective, go())
    }
}

fn named(dimension: Dimension, value: &str) -> NamedValues {
    NamedValues::from([(dimension, value.to_owned())])
}

fn permission(text: &str) -> Permission {
    Permission::parse(text).unwrap()
}

#[test]
fn the_first_check_that_refuses_in_the_order_of_the_contract_is_told() {
    let mut effective = may(json!({
        "allowedRoutes": ["GET bot/**"],
        "permissions": ["bots:read"],
        "bindings": {"bot": ["b1"]},
        "domains": ["example.com"],
        "cidrs": ["192.0.2.0/24"],
        "manage": ["audit"],
    }));
    effective.expires_at = Some(NOW);
    let mut request = request("POST", "key/k1");
    request.method_override = true;
    request.permission = Some(permission("bots:write"));
    request.manage = Some(Manage::Tokens);
    let mut turn = Turn::Wait { retry_ms: 7 };

    assert_eq!(request.judged(&effective, turn), Err(Deny::Address));
    request.address = Some("192.0.2.1".parse().unwrap());
    assert_eq!(
        request.judged(&effective, turn),
        Err(Deny::Rate { retry_ms: 7 })
    );
    turn = go();
    assert_eq!(request.judged(&effective, turn), Err(Deny::Expired));
    effective.expires_at = Some(NOW.plus_millis(1));
    assert_eq!(request.judged(&effective, turn), Err(Deny::MethodOverride));
    request.method_override = false;
    assert_eq!(request.judged(&effective, turn), Err(Deny::Route));
    request.path = Some(path("bot/b1"));
    assert_eq!(
        request.judged(&effective, turn),
        Err(Deny::Route),
        "the method counts"
    );
    request.method = "GET";
    assert_eq!(
        request.judged(&effective, turn),
        Err(Deny::Permission(Some(permission("bots:write"))))
    );
    request.permission = Some(permission("bots:read"));
    assert_eq!(
        request.judged(&effective, turn),
        Err(Deny::Manage(Manage::Tokens))
    );
    request.manage = Some(Manage::Audit);
    assert_eq!(
        request.judged(&effective, turn),
        Err(Deny::Binding(Dimension::Bot))
    );
    request.named = named(Dimension::Bot, "b1");
    assert_eq!(request.judged(&effective, turn), Err(Deny::Domain));
    request.origin = Some("https://example.com");
    let permit = request.judged(&effective, turn).unwrap();
    assert_eq!(permit.pattern(), Some("GET bot/**"));
}

#[test]
fn a_request_from_a_wrong_address_takes_no_turn() {
    let effective = may(json!({"cidrs": []}));
    let request = request("GET", "bot/b1");
    let asked = Asked {
        method: request.method,
        path: request.path.as_ref(),
        method_override: false,
        address: None,
        origin: None,
        named: &request.named,
        permission: RoutePermission::Gate(None),
        manage: None,
        bindings: BindingCheck::Here,
    };
    let mut turns = 0;

    let denied = decide(&effective, &asked, NOW, &mut || {
        turns += 1;
        go()
    });

    assert_eq!((denied, turns), (Err(Deny::Address), 0));
}

#[test]
fn an_empty_list_allows_nothing_in_any_dimension() {
    for (config, deny) in [
        (json!({"allowedRoutes": []}), Deny::Route),
        (
            json!({"permissions": []}),
            Deny::Permission(Some(permission("bots:read"))),
        ),
        (
            json!({"bindings": {"bot": []}}),
            Deny::Binding(Dimension::Bot),
        ),
        (json!({"domains": []}), Deny::Domain),
        (json!({"cidrs": []}), Deny::Address),
    ] {
        let mut request = request("GET", "bot/b1");
        request.permission = Some(permission("bots:read"));
        request.named = named(Dimension::Bot, "b1");
        request.origin = Some("https://example.com");
        request.address = Some("192.0.2.1".parse().unwrap());

        assert_eq!(request.by(&may(config.clone())), Err(deny), "{config}");
        assert!(request.by(&may(json!({}))).is_ok());
    }
}

#[test]
fn a_credential_is_over_at_its_end_and_not_before() {
    let request = request("GET", "bot/b1");
    let mut effective = may(json!({}));
    for (end, over) in [(-1, true), (0, true), (1, false)] {
        effective.expires_at = Some(NOW.plus_millis(end));

        assert_eq!(request.by(&effective) == Err(Deny::Expired), over, "{end}");
    }
}

#[test]
fn at_the_gate_a_route_without_a_permission_is_refused_to_narrowed_permissions() {
    let gate = request("GET", "bot/b1");
    for config in [
        json!({"permissions": []}),
        json!({"permissions": ["bots:read"]}),
        json!({"permissions": ["admin"]}),
    ] {
        assert_eq!(
            gate.by(&may(config.clone())),
            Err(Deny::Permission(None)),
            "{config}"
        );
    }
    assert!(gate.by(&may(json!({"allowedRoutes": ["**"]}))).is_ok());
}

#[test]
fn a_route_of_hallpass_asks_a_permission_only_if_it_has_one() {
    let mut own = request("POST", "session/create");
    own.own = true;
    let reader = may(json!({"permissions": ["bots:read"]}));
    assert!(own.by(&reader).is_ok());

    own.permission = Some(permission("bots:write"));

    assert_eq!(
        own.by(&reader),
        Err(Deny::Permission(Some(permission("bots:write"))))
    );
    assert!(own.by(&may(json!({"permissions": ["admin"]}))).is_ok());
}

#[test]
fn admin_implies_every_permission_and_no_management() {
    let mut request = request("POST", "token/create");
    request.own = true;
    request.permission = Some(permission("bots:write"));
    request.manage = Some(Manage::Tokens);

    assert_eq!(
        request.by(&may(json!({"permissions": ["admin"]}))),
        Err(Deny::Manage(Manage::Tokens))
    );
}

#[test]
fn route_and_management_must_both_allow() {
    let mut request = request("POST", "token/create");
    request.own = true;
    request.manage = Some(Manage::Tokens);

    assert_eq!(
        request.by(&may(json!({"allowedRoutes": ["**"]}))),
        Err(Deny::Manage(Manage::Tokens))
    );
    assert_eq!(
        request.by(&may(
            json!({"allowedRoutes": ["bot/**"], "manage": ["tokens"]})
        )),
        Err(Deny::Route)
    );
    assert!(
        request
            .by(&may(
                json!({"allowedRoutes": ["token/**"], "manage": ["tokens"]})
            ))
            .is_ok()
    );
    assert!(request.by(&declared(json!({})).effective()).is_ok());
    request.manage = Some(Manage::Introspect);
    assert_eq!(
        request.by(&declared(json!({})).effective()),
        Err(Deny::Manage(Manage::Introspect))
    );
}

#[test]
fn a_session_manages_nothing_whatever_its_routes() {
    let scope = SessionScope {
        routes: RouteSet::everything(),
        permissions: None,
        bindings: Bindings::default(),
        domains: None,
    };
    let session = Effective::of_session(Environment::Live, &scope, NOW.plus_secs(60));
    for manage in Manage::ALL {
        let mut request = request("POST", "token/create");
        request.own = true;
        request.manage = Some(manage);

        assert_eq!(request.by(&session), Err(Deny::Manage(manage)));
    }
}

#[test]
fn a_method_override_is_refused_when_methods_are_narrowed() {
    let mut request = request("GET", "bot/b1");
    request.method_override = true;

    assert_eq!(
        request.by(&may(json!({"allowedRoutes": ["GET bot/**"]}))),
        Err(Deny::MethodOverride)
    );
    assert!(
        request
            .by(&may(json!({"allowedRoutes": ["bot/**"]})))
            .is_ok()
    );
    assert!(request.by(&may(json!({}))).is_ok());
}

#[test]
fn where_the_route_check_is_exempt_all_others_still_hold() {
    let mut request = request("GET", "x");
    request.path = None;
    request.bindings = BindingCheck::Exempt;
    request.method_override = true;

    let permit = request.by(&may(json!({"allowedRoutes": [], "permissions": []})));
    assert_eq!(permit.unwrap().pattern(), None);
    assert_eq!(
        request.by(&may(json!({"domains": ["example.com"]}))),
        Err(Deny::Domain)
    );
    assert_eq!(
        request.by(&may(json!({"cidrs": ["192.0.2.0/24"]}))),
        Err(Deny::Address)
    );
    let mut over = may(json!({}));
    over.expires_at = Some(NOW);
    assert_eq!(request.by(&over), Err(Deny::Expired));
}

#[test]
fn a_bound_credential_must_name_a_value_of_each_of_its_dimensions() {
    let effective = may(json!({"bindings": {"project": ["p1"], "bot": ["b1", "b2"]}}));
    let mut request = request("GET", "bot/b1");

    assert_eq!(
        request.by(&effective),
        Err(Deny::Binding(Dimension::Project))
    );
    request.named = named(Dimension::Project, "p1");
    assert_eq!(request.by(&effective), Err(Deny::Binding(Dimension::Bot)));
    request.named.insert(Dimension::Bot, "b3".to_owned());
    assert_eq!(request.by(&effective), Err(Deny::Binding(Dimension::Bot)));
    request.named.insert(Dimension::Bot, "b2".to_owned());
    assert!(request.by(&effective).is_ok());
    request.named.insert(Dimension::Project, "P1".to_owned());
    assert_eq!(
        request.by(&effective),
        Err(Deny::Binding(Dimension::Project))
    );
}

#[test]
fn where_a_body_may_name_values_a_wrong_one_in_the_header_is_refused_all_the_same() {
    let effective = may(json!({"bindings": {"project": ["p1"], "bot": ["b1"]}}));
    let mut request = request("POST", "session/create");
    request.bindings = BindingCheck::WithBody;
    request.named = named(Dimension::Bot, "b2");

    assert_eq!(request.by(&effective), Err(Deny::Binding(Dimension::Bot)));
    request.named = named(Dimension::Bot, "b1");
    let permit = request.by(&effective).unwrap();
    assert_eq!(permit.unnamed(), [Dimension::Project]);
}

#[test]
fn the_body_of_a_mint_names_what_header_and_path_did_not_and_contradicts_neither() {
    let effective = may(json!({"bindings": {"project": ["p1"], "bot": ["b1", "b2"]}}));
    let mut request = request("POST", "session/create");
    request.bindings = BindingCheck::WithBody;
    request.named = named(Dimension::Bot, "b1");
    let permit = request.by(&effective).unwrap();
    let body = |value: serde_json::Value| may(json!({"bindings": value})).bindings;
    let judged = |value| decide_body(&effective, &permit, &request.named, &body(value));

    assert_eq!(judged(json!({"project": ["p1"]})), Ok(()));
    assert_eq!(judged(json!({"project": ["p1"], "bot": ["b1"]})), Ok(()));
    assert_eq!(
        judged(json!({"project": ["p1"], "bot": ["b1", "b2"]})),
        Ok(())
    );
    for (value, dimension) in [
        (json!({}), Dimension::Project),
        (json!({"project": []}), Dimension::Project),
        (json!({"project": ["p2"]}), Dimension::Project),
        (json!({"project": ["p1", "p2"]}), Dimension::Project),
        (json!({"project": ["p1"], "bot": ["b2"]}), Dimension::Bot),
        (json!({"project": ["p1"], "bot": []}), Dimension::Bot),
    ] {
        assert_eq!(
            judged(value.clone()),
            Err(Deny::Binding(dimension)),
            "{value}"
        );
    }
}

#[test]
fn a_request_without_an_origin_is_not_from_an_allowed_domain() {
    let effective = may(json!({"domains": ["example.com"]}));
    let mut request = request("GET", "bot/b1");
    for (origin, allowed) in [
        (None, false),
        (Some("null"), false),
        (Some("https://www.example.com"), false),
        (Some("https://example.com.evil.io"), false),
        (Some("https://example.com:8443"), true),
    ] {
        request.origin = origin;

        assert_eq!(request.by(&effective).is_ok(), allowed, "{origin:?}");
    }
}

#[test]
fn a_key_that_acts_as_a_child_is_held_to_both_route_sets() {
    let mut parent = may(json!({
        "allowedRoutes": ["bot/**"],
        "impersonation": {"allowedRoutes": ["GET **"]},
    }));
    parent = parent
        .acting_as_child(&super::super::support::account_id(1))
        .unwrap();

    assert!(request("GET", "bot/b1").by(&parent).is_ok());
    assert_eq!(request("POST", "bot/b1").by(&parent), Err(Deny::Route));
    assert_eq!(request("GET", "key/k1").by(&parent), Err(Deny::Route));
    let mut overridden = request("GET", "bot/b1");
    overridden.method_override = true;
    assert_eq!(overridden.by(&parent), Err(Deny::MethodOverride));
    assert_eq!(parent.call.to_strings().len(), 2);
    assert!(parent.call.cover(&routes(&["GET bot/b1"])).is_ok());
}
