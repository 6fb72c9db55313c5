mod sources;

use serde_json::{Value, json};

use super::super::support::{NOW, account_id, audiences, declared, may, restrictions, routes};
use super::*;

/// What a body wants, written as the session part of a config, in the strict mode.
fn wants(config: Value) -> Wanted {
    let wanted = restrictions(config);
    Wanted {
        routes: wanted.routes,
        permissions: wanted.permissions,
        bindings: wanted.bindings,
        domains: wanted.domains,
        ..Wanted::default()
    }
}

fn cutting(config: Value) -> Wanted {
    Wanted {
        mode: Mode::Intersect,
        ..wants(config)
    }
}

fn asks(key: Value, wanted: &Wanted) -> Result<Grant, Refusal> {
    grant(&may(key), None, wanted, &audiences(), NOW)
}

fn profile(texts: &[&str]) -> ProfileTerms {
    ProfileTerms {
        routes: routes(texts),
        ceiling: Ceiling::Profile,
        duration_secs_default: 3600,
        duration_secs_max: 7200,
    }
}

fn scope_routes(grant: Result<Grant, Refusal>) -> Vec<String> {
    grant.unwrap().scope.routes.to_strings()
}

// Routes

#[test]
fn a_session_of_a_key_that_does_not_narrow_routes_must_name_them() {
    for key in [
        json!({}),
        json!({"permissions": ["bots:read"]}),
        json!({"allowedRoutes": ["**"]}),
        json!({"allowedRoutes": ["bot/**"], "session": {"allowedRoutes": ["**"]}}),
    ] {
        assert_eq!(
            asks(key.clone(), &Wanted::default()),
            Err(Refusal::RoutesRequired),
            "{key}"
        );
        let named = asks(key, &wants(json!({"allowedRoutes": ["**"]})));
        assert_eq!(scope_routes(named), ["**"]);
    }
    let unrestricted = declared(json!({})).effective();
    assert_eq!(
        grant(&unrestricted, None, &Wanted::default(), &audiences(), NOW),
        Err(Refusal::RoutesRequired)
    );
}

#[test]
fn what_a_request_leaves_out_is_inherited_from_the_mint_side() {
    let key = json!({
        "allowedRoutes": ["session/create"],
        "permissions": ["bots:read", "bots:write"],
        "bindings": {"project": ["p1"]},
        "session": {
            "allowedRoutes": ["conversation/**"],
            "permissions": ["bots:read"],
            "bindings": {"bot": ["b1"]},
            "domains": ["example.com"],
        },
    });

    let scope = asks(key, &Wanted::default()).unwrap().scope;

    assert_eq!(scope.routes.to_strings(), ["conversation/**"]);
    assert_eq!(scope.permissions.as_ref().unwrap().to_scope(), "bots:read");
    assert_eq!(
        json!(bindings_claim(&scope)),
        json!({"project": ["p1"], "bot": ["b1"]})
    );
    assert_eq!(scope.domains.unwrap().to_strings(), ["example.com"]);
}

#[test]
fn an_empty_mint_side_mints_nothing() {
    let key = json!({"session": {"allowedRoutes": []}});

    assert_eq!(
        asks(key.clone(), &Wanted::default()),
        Err(Refusal::NothingLeft)
    );
    assert!(matches!(
        asks(key.clone(), &wants(json!({"allowedRoutes": ["a"]}))),
        Err(Refusal::RouteNotCovered(_))
    ));
    assert_eq!(
        asks(key, &cutting(json!({"allowedRoutes": ["a"]}))),
        Err(Refusal::NothingLeft)
    );
}

#[test]
fn in_the_strict_mode_a_route_outside_is_refused_with_a_counter_example() {
    let refusal = asks(
        json!({"allowedRoutes": ["bot/*/fetch"]}),
        &wants(json!({"allowedRoutes": ["bot/**"]})),
    );

    let Err(Refusal::RouteNotCovered(NotCovered::CounterExample { path, .. })) = refusal else {
        panic!("{refusal:?}");
    };
    assert_eq!(path, "bot/x");
}

#[test]
fn in_the_mode_intersect_what_lies_outside_is_cut_and_told() {
    let grant = asks(
        json!({"allowedRoutes": ["bot/**", "file/f1"], "permissions": ["bots:read"],
            "bindings": {"bot": ["b1"]}, "domains": ["example.com"]}),
        &cutting(json!({
            "allowedRoutes": ["bot/*/fetch", "file/**", "key/**"],
            "permissions": ["bots:read", "bots:write"],
            "bindings": {"bot": ["b1", "b2"]},
            "domains": ["example.com", "evil.io"],
        })),
    )
    .unwrap();

    assert_eq!(grant.scope.routes.to_strings(), ["bot/*/fetch", "file/f1"]);
    assert_eq!(grant.scope.permissions.unwrap().to_scope(), "bots:read");
    assert_eq!(grant.scope.domains.unwrap().to_strings(), ["example.com"]);
    assert_eq!(
        grant.scope.bindings.get(Dimension::Bot),
        Some(&BTreeSet::from(["b1".to_owned()]))
    );
    assert_eq!(
        grant.cut,
        ["file/**", "key/**", "bots:write", "bot:b2", "evil.io"]
    );
}

#[test]
fn in_the_mode_intersect_nothing_left_is_a_refusal_in_every_dimension() {
    for (key, wanted) in [
        (
            json!({"allowedRoutes": ["a"]}),
            json!({"allowedRoutes": ["b"]}),
        ),
        (
            json!({"allowedRoutes": ["a"], "permissions": ["bots:read"]}),
            json!({"permissions": ["bots:write"]}),
        ),
        (
            json!({"allowedRoutes": ["a"], "permissions": []}),
            json!({"permissions": ["admin"]}),
        ),
        (
            json!({"allowedRoutes": ["a"], "bindings": {"bot": ["b1"]}}),
            json!({"bindings": {"bot": ["b2"]}}),
        ),
        (
            json!({"allowedRoutes": ["a"], "domains": ["example.com"]}),
            json!({"domains": ["www.example.com"]}),
        ),
    ] {
        assert_eq!(
            asks(key.clone(), &cutting(wanted.clone())),
            Err(Refusal::NothingLeft),
            "{key} {wanted}"
        );
    }
}

#[test]
fn whoever_wants_nothing_gets_nothing() {
    let grant = asks(
        json!({"allowedRoutes": ["bot/**"]}),
        &wants(
            json!({"allowedRoutes": [], "permissions": [], "domains": [],
            "bindings": {"bot": []}}),
        ),
    )
    .unwrap();

    assert!(grant.scope.routes.is_empty());
    assert!(grant.scope.permissions.unwrap().is_empty());
    assert!(grant.scope.domains.unwrap().is_empty());
    assert_eq!(
        grant.scope.bindings.get(Dimension::Bot),
        Some(&BTreeSet::new())
    );
}

// Profiles

#[test]
fn the_right_to_call_a_profile_is_the_right_to_mint_what_it_gives_and_no_more() {
    let key = json!({"allowedRoutes": ["bot/b1/session/create"]});
    let terms = profile(&["conversation/c1/**"]);
    let minted =
        |wanted: &Wanted| grant(&may(key.clone()), Some(&terms), wanted, &audiences(), NOW);

    assert_eq!(
        scope_routes(minted(&Wanted::default())),
        ["conversation/c1/**"]
    );
    let narrower = wants(json!({"allowedRoutes": ["GET conversation/c1/message/list"]}));
    assert_eq!(
        scope_routes(minted(&narrower)),
        ["GET conversation/c1/message/list"]
    );
    for wider in [
        "conversation/**",
        "conversation/c2/**",
        "bot/b1/session/create",
    ] {
        assert!(
            matches!(
                minted(&wants(json!({"allowedRoutes": [wider]}))),
                Err(Refusal::RouteNotCovered(_))
            ),
            "{wider}"
        );
    }
}

#[test]
fn a_mint_side_of_its_own_is_the_ceiling_on_a_profile_too() {
    let terms = profile(&["conversation/c1/**"]);
    let minted = |mint: Value, wanted: &Wanted| {
        let key = may(json!({"allowedRoutes": ["**"], "session": {"allowedRoutes": mint}}));
        grant(&key, Some(&terms), wanted, &audiences(), NOW)
    };

    assert_eq!(
        scope_routes(minted(json!(["*/*/message/**"]), &Wanted::default())),
        ["conversation/c1/message/**"],
        "what is not named is what profile and mint side both give"
    );
    assert_eq!(
        minted(json!(["bot/**"]), &Wanted::default()),
        Err(Refusal::NothingLeft)
    );
    assert_eq!(
        minted(json!([]), &Wanted::default()),
        Err(Refusal::NothingLeft)
    );
    let named = wants(json!({"allowedRoutes": ["bot/b1"]}));
    assert_eq!(scope_routes(minted(json!(["bot/**"]), &named)), ["bot/b1"]);
}

#[test]
fn a_child_gets_what_the_key_may_hand_on_and_nothing_by_the_right_to_call_its_path() {
    let minted = |key: Value, wanted: &Wanted| {
        let acting = may(key).acting_as_child(&account_id(1)).unwrap();
        let terms = ProfileTerms::of_child();
        grant(&acting, Some(&terms), wanted, &audiences(), NOW)
    };
    let all = wants(json!({"allowedRoutes": ["**"]}));

    let narrow = json!({"allowedRoutes": ["user/*/session/create"], "impersonation": true});
    assert_eq!(
        scope_routes(minted(narrow.clone(), &Wanted::default())),
        ["user/*/session/create"]
    );
    assert!(matches!(
        minted(narrow, &all),
        Err(Refusal::RouteNotCovered(_))
    ));
    let both = json!({"allowedRoutes": ["bot/**", "file/**"],
        "impersonation": {"allowedRoutes": ["**/fetch", "user/**"]}});
    assert_eq!(
        scope_routes(minted(both, &Wanted::default())),
        ["bot/**/fetch", "file/**/fetch"]
    );
    let wide = json!({"impersonation": true});
    let grant = minted(wide, &Wanted::default()).unwrap();
    assert_eq!(grant.scope.routes.to_strings(), ["**"]);
    assert_eq!(grant.duration_secs, 900);
}

// The other dimensions

#[test]
fn in_the_strict_mode_what_lies_outside_is_refused_by_name() {
    let key = json!({
        "allowedRoutes": ["a"],
        "permissions": ["bots:read"],
        "bindings": {"bot": ["b1"]},
        "domains": ["example.com"],
    });
    for (wanted, refusal) in [
        (
            json!({"permissions": ["bots:read", "bots:write"]}),
            Refusal::Permission(Permission::parse("bots:write").unwrap()),
        ),
        (
            json!({"permissions": ["admin"]}),
            Refusal::Permission(Permission::parse("admin").unwrap()),
        ),
        (
            json!({"bindings": {"bot": ["b1", "b2"]}}),
            Refusal::Binding(Dimension::Bot),
        ),
        (
            json!({"domains": ["*.example.com"]}),
            Refusal::Domain("*.example.com".to_owned()),
        ),
    ] {
        assert_eq!(
            asks(key.clone(), &wants(wanted.clone())),
            Err(refusal),
            "{wanted}"
        );
    }
}

#[test]
fn a_session_is_bound_as_its_key_and_as_it_wants() {
    let grant = asks(
        json!({"allowedRoutes": ["a"], "bindings": {"bot": ["b1", "b2"]}}),
        &wants(json!({"bindings": {"bot": ["b2"], "project": ["p1"]}})),
    );

    assert_eq!(
        json!(bindings_claim(&grant.unwrap().scope)),
        json!({"bot": ["b2"], "project": ["p1"]})
    );
}

#[test]
fn the_audience_is_the_default_unless_the_key_says_otherwise() {
    let minted = |own: Value, wanted: Option<&str>| {
        let key = may(json!({"allowedRoutes": ["a"], "session": {"audiences": own}}));
        let wanted = Wanted {
            audience: wanted.map(str::to_owned),
            ..Wanted::default()
        };
        grant(&key, None, &wanted, &audiences(), NOW).map(|grant| grant.audience)
    };
    let is = |audience: &str| Ok(audience.to_owned());
    let refused = |audience: &str| Err(Refusal::Audience(audience.to_owned()));
    let unknown = |audience: &str| Err(Refusal::AudienceUnknown(audience.to_owned()));

    assert_eq!(minted(Value::Null, None), is("api"));
    assert_eq!(minted(Value::Null, Some("api")), is("api"));
    assert_eq!(minted(Value::Null, Some("shop")), refused("shop"));
    assert_eq!(minted(json!(["shop", "api"]), None), is("api"));
    assert_eq!(minted(json!(["shop"]), None), is("shop"));
    assert_eq!(minted(json!(["shop"]), Some("api")), refused("api"));
    assert_eq!(minted(json!(["shop", "desk"]), None), refused("api"));
    assert_eq!(minted(json!(["shop", "desk"]), Some("desk")), is("desk"));
    assert_eq!(minted(json!([]), None), refused("api"));
    assert_eq!(minted(json!([]), Some("api")), refused("api"));
    assert_eq!(minted(json!(["gone"]), None), unknown("gone"));
    assert_eq!(minted(json!(["gone"]), Some("gone")), unknown("gone"));
}

// Times

fn lifetime(
    key_max: Option<i64>,
    terms: Option<&ProfileTerms>,
    secs: Option<i64>,
    mode: Mode,
) -> Result<i64, Refusal> {
    let key = may(json!({
        "allowedRoutes": ["conversation/**"],
        "session": {"maxDurationInSeconds": key_max},
    }));
    let wanted = Wanted {
        duration_secs: secs,
        mode,
        ..Wanted::default()
    };
    let grant = grant(&key, terms, &wanted, &audiences(), NOW)?;
    assert_eq!(grant.issued_at, NOW.floor_to_secs());
    assert_eq!(
        grant.expires_at,
        grant.issued_at.plus_secs(grant.duration_secs)
    );
    Ok(grant.duration_secs)
}

#[test]
fn a_lifetime_is_from_one_second_to_the_least_of_all_limits() {
    use Mode::{Intersect, Strict};
    let terms = profile(&["conversation/c1/**"]);
    let over = |max| Err(Refusal::Duration { max });
    for (key_max, on_profile, secs, mode, outcome) in [
        (None, false, None, Strict, Ok(900)),
        (None, false, Some(1), Strict, Ok(1)),
        (None, false, Some(86_400), Strict, Ok(86_400)),
        (None, false, Some(86_401), Strict, over(86_400)),
        (None, false, Some(0), Strict, over(86_400)),
        (None, false, Some(-1), Strict, over(86_400)),
        (None, false, Some(i64::MIN), Strict, over(86_400)),
        (None, false, Some(i64::MAX), Strict, over(86_400)),
        (Some(60), false, None, Strict, Ok(60)),
        (Some(60), false, Some(60), Strict, Ok(60)),
        (Some(60), false, Some(61), Strict, over(60)),
        (Some(60), false, Some(61), Intersect, Ok(60)),
        (Some(60), false, Some(86_401), Intersect, over(60)),
        (Some(60), false, Some(0), Intersect, over(60)),
        (None, true, None, Strict, Ok(3600)),
        (None, true, Some(7200), Strict, Ok(7200)),
        (None, true, Some(7201), Strict, over(7200)),
        (Some(60), true, None, Strict, Ok(60)),
        (Some(60), true, Some(61), Strict, over(60)),
    ] {
        let terms = on_profile.then_some(&terms);
        assert_eq!(
            lifetime(key_max, terms, secs, mode),
            outcome,
            "{key_max:?} {secs:?} {mode:?}"
        );
    }
}

#[test]
fn a_session_never_outlives_its_key() {
    let mut key = may(json!({"allowedRoutes": ["a"]}));
    let floor = NOW.floor_to_secs();
    for (end, outcome) in [
        (NOW.plus_secs(10_000), Ok(floor.plus_secs(900))),
        (NOW.plus_secs(10), Ok(floor.plus_secs(10))),
        (floor.plus_millis(1999), Ok(floor.plus_secs(1))),
        (floor.plus_millis(999), Err(Refusal::Expired)),
        (NOW, Err(Refusal::Expired)),
        (NOW.plus_secs(-10), Err(Refusal::Expired)),
    ] {
        key.expires_at = Some(end);

        let grant = grant(&key, None, &Wanted::default(), &audiences(), NOW);

        assert_eq!(grant.map(|grant| grant.expires_at), outcome, "{end:?}");
    }
}

#[test]
fn a_session_is_renewable_only_if_it_wants_and_at_most_as_its_key_says() {
    let minted = |max: Value, secs: Option<i64>| {
        let key = may(json!({"allowedRoutes": ["a"], "session": {"maxRenewableInSeconds": max}}));
        let wanted = Wanted {
            renewable_secs: secs,
            ..Wanted::default()
        };
        grant(&key, None, &wanted, &audiences(), NOW).map(|grant| grant.renewable_until)
    };
    let until = |secs| Ok(Some(NOW.floor_to_secs().plus_secs(secs)));
    let over = |max| Err(Refusal::Renewable { max });

    assert_eq!(minted(Value::Null, None), Ok(None));
    assert_eq!(minted(Value::Null, Some(86_400)), until(86_400));
    assert_eq!(minted(Value::Null, Some(86_401)), over(86_400));
    assert_eq!(minted(Value::Null, Some(0)), over(86_400));
    assert_eq!(minted(Value::Null, Some(-1)), over(86_400));
    assert_eq!(minted(json!(2_592_000), Some(2_592_000)), until(2_592_000));
    assert_eq!(minted(json!(2_592_000), Some(2_592_001)), over(2_592_000));
    assert_eq!(minted(json!(60), Some(61)), over(60));
}

#[test]
fn the_hard_limit_of_renewal_holds_whatever_a_key_says() {
    let mut key = may(json!({"allowedRoutes": ["a"]}));
    key.mint.renewable_secs_max = i64::MAX;
    let wanted = Wanted {
        renewable_secs: Some(limits::RENEWABLE_SECS_MAX + 1),
        ..Wanted::default()
    };

    assert_eq!(
        grant(&key, None, &wanted, &audiences(), NOW),
        Err(Refusal::Renewable {
            max: limits::RENEWABLE_SECS_MAX
        })
    );
}
