mod small_world;

use serde_json::{Value, json};

use super::super::environment::Environment;
use super::super::support::{NOW, account_id, declared, key, may};
use super::*;

/// A key with a value in every dimension.
fn narrow() -> Value {
    json!({
        "allowedRoutes": ["bot/**"],
        "permissions": ["bots:read"],
        "bindings": {"bot": ["b1"]},
        "domains": ["example.com"],
        "cidrs": ["192.0.2.0/24"],
        "session": {
            "allowedRoutes": ["conversation/**"],
            "permissions": ["bots:read"],
            "bindings": {"bot": ["b1"]},
            "domains": ["example.com"],
            "audiences": ["shop"],
            "maxDurationInSeconds": 600,
            "maxRenewableInSeconds": 600,
        },
        "impersonation": {"allowedRoutes": ["bot/**"], "users": []},
        "manage": ["tokens"],
        "rateLimit": {"requests": 10, "perSeconds": 1},
    })
}

/// The narrow key with the value at a path of names changed; `null` takes it away.
fn with(pointer: &str, value: Value) -> Effective {
    let mut config = narrow();
    *config.pointer_mut(pointer).unwrap() = value;
    may(config)
}

#[test]
fn a_key_covers_itself_and_what_is_narrower_in_any_one_dimension() {
    let caller = may(narrow());

    assert_eq!(covers(&caller, &caller), Ok(()));
    for (pointer, value) in [
        ("/allowedRoutes", json!(["bot/*/fetch"])),
        ("/allowedRoutes", json!([])),
        ("/permissions", json!([])),
        ("/bindings", json!({"bot": []})),
        ("/bindings", json!({"bot": ["b1"], "project": ["p1"]})),
        ("/domains", json!([])),
        ("/cidrs", json!(["192.0.2.7"])),
        ("/cidrs", json!([])),
        (
            "/session/allowedRoutes",
            json!(["GET conversation/c1/fetch"]),
        ),
        ("/session/allowedRoutes", json!([])),
        ("/session/permissions", json!([])),
        ("/session/bindings", json!({"bot": []})),
        ("/session/bindings", Value::Null),
        ("/session/domains", Value::Null),
        ("/session/audiences", json!([])),
        ("/session/maxDurationInSeconds", json!(1)),
        ("/session/maxRenewableInSeconds", json!(1)),
        ("/impersonation", json!(false)),
        ("/impersonation", Value::Null),
        (
            "/impersonation",
            json!({"allowedRoutes": ["bot/a"], "users": []}),
        ),
        ("/manage", json!([])),
        ("/manage", Value::Null),
        ("/rateLimit", json!({"requests": 1, "perSeconds": 1})),
        ("/rateLimit", json!({"requests": 10, "perSeconds": 2})),
    ] {
        assert_eq!(
            covers(&caller, &with(pointer, value.clone())),
            Ok(()),
            "{pointer} {value}"
        );
    }
}

#[test]
fn what_is_wider_in_a_single_dimension_is_refused_by_the_name_of_its_field() {
    let caller = may(narrow());
    for (pointer, value, field) in [
        ("/allowedRoutes", Value::Null, "config.allowedRoutes"),
        (
            "/allowedRoutes",
            json!(["bot/**", "a"]),
            "config.allowedRoutes",
        ),
        ("/permissions", Value::Null, "config.permissions"),
        ("/permissions", json!(["admin"]), "config.permissions"),
        ("/bindings", Value::Null, "config.bindings"),
        ("/bindings", json!({"project": ["p1"]}), "config.bindings"),
        ("/bindings", json!({"bot": ["b1", "b2"]}), "config.bindings"),
        ("/domains", Value::Null, "config.domains"),
        ("/domains", json!(["*.example.com"]), "config.domains"),
        ("/cidrs", Value::Null, "config.cidrs"),
        ("/cidrs", json!(["192.0.0.0/16"]), "config.cidrs"),
        ("/session", Value::Null, "config.session.allowedRoutes"),
        (
            "/session/allowedRoutes",
            Value::Null,
            "config.session.allowedRoutes",
        ),
        (
            "/session/allowedRoutes",
            json!(["bot/**"]),
            "config.session.allowedRoutes",
        ),
        (
            "/session/permissions",
            json!(["bots:write"]),
            "config.session.permissions",
        ),
        (
            "/session/bindings",
            json!({"bot": ["b2"]}),
            "config.session.bindings",
        ),
        (
            "/session/domains",
            json!(["evil.io"]),
            "config.session.domains",
        ),
        (
            "/session/audiences",
            Value::Null,
            "config.session.audiences",
        ),
        (
            "/session/audiences",
            json!(["shop", "desk"]),
            "config.session.audiences",
        ),
        (
            "/session/maxDurationInSeconds",
            Value::Null,
            "config.session.maxDurationInSeconds",
        ),
        (
            "/session/maxDurationInSeconds",
            json!(601),
            "config.session.maxDurationInSeconds",
        ),
        (
            "/session/maxRenewableInSeconds",
            json!(601),
            "config.session.maxRenewableInSeconds",
        ),
        (
            "/impersonation",
            json!(true),
            "config.impersonation.allowedRoutes",
        ),
        (
            "/impersonation",
            json!({"allowedRoutes": ["bot/**"]}),
            "config.impersonation",
        ),
        (
            "/impersonation",
            json!({"allowedRoutes": ["**"], "users": []}),
            "config.impersonation.allowedRoutes",
        ),
        ("/manage", json!(["tokens", "audit"]), "config.manage"),
        ("/rateLimit", Value::Null, "config.rateLimit"),
        (
            "/rateLimit",
            json!({"requests": 20, "perSeconds": 2}),
            "config.rateLimit",
        ),
    ] {
        let excess = covers(&caller, &with(pointer, value.clone())).unwrap_err();

        assert_eq!(excess.field(), field, "{pointer} {value}");
    }
}

#[test]
fn a_narrowed_key_makes_no_unrestricted_one() {
    let all = declared(json!({})).effective();
    assert_eq!(covers(&all, &all), Ok(()));
    for config in [
        json!({"allowedRoutes": ["**"], "manage": ["tokens"]}),
        json!({"manage": ["tokens", "users", "webhooks", "audit", "introspect"]}),
        json!({"impersonation": true}),
        narrow(),
    ] {
        assert!(covers(&may(config.clone()), &all).is_err(), "{config}");
        assert!(covers(&all, &may(json!({"manage": ["tokens"]}))).is_ok());
    }
}

#[test]
fn an_end_is_handed_on_and_never_put_off() {
    let mut caller = may(json!({}));
    let mut target = may(json!({}));
    target.expires_at = Some(NOW);
    assert_eq!(covers(&caller, &target), Ok(()));

    caller.expires_at = Some(NOW);

    assert_eq!(covers(&caller, &target), Ok(()));
    target.expires_at = Some(NOW.plus_millis(1));
    assert_eq!(covers(&caller, &target), Err(Excess::Expiry(NOW)));
    target.expires_at = None;
    assert_eq!(covers(&caller, &target), Err(Excess::Expiry(NOW)));
}

#[test]
fn a_test_key_touches_no_live_key() {
    let live = may(json!({}));
    let mut test = live.clone();
    test.environment = Environment::Test;

    assert_eq!(covers(&live, &test), Ok(()));
    assert_eq!(covers(&test, &test), Ok(()));
    assert_eq!(covers(&test, &live), Err(Excess::Environment));
}

#[test]
fn only_an_operator_touches_an_operator_key() {
    let plain = declared(json!({})).effective();
    let mut operator = plain.clone();
    operator.operator = true;

    assert_eq!(covers(&plain, &operator), Err(Excess::Operator));
    assert_eq!(covers(&operator, &operator), Ok(()));
    assert_eq!(covers(&operator, &plain), Ok(()));
}

#[test]
fn only_an_operator_grants_introspect_and_it_needs_not_have_it() {
    let target = may(json!({"manage": ["introspect"]}));
    let mut caller = declared(json!({})).effective();
    assert_eq!(
        covers(&caller, &target),
        Err(Excess::Manage(Manage::Introspect))
    );

    caller.operator = true;

    assert_eq!(covers(&caller, &target), Ok(()));
    caller.manage.clear();
    assert_eq!(
        covers(&caller, &may(json!({"manage": ["tokens"]}))),
        Err(Excess::Manage(Manage::Tokens))
    );
}

#[test]
fn an_operator_opens_audiences_and_long_renewals_which_nobody_else_can() {
    let target = may(json!({"session": {
        "audiences": ["desk"],
        "maxRenewableInSeconds": 2_592_000,
    }}));
    let mut caller = declared(json!({})).effective();
    assert_eq!(covers(&caller, &target), Err(Excess::Audience));

    caller.operator = true;

    assert_eq!(covers(&caller, &target), Ok(()));
}

#[test]
fn nobody_sheds_or_takes_on_the_name_of_a_grantor() {
    let named = |numbers: &[i64]| {
        let mut effective = may(json!({}));
        effective.grantors = numbers.iter().copied().map(account_id).collect();
        effective
    };
    for (caller, target, outcome) in [
        (&[][..], &[][..], Ok(())),
        (&[2], &[2], Ok(())),
        (&[2, 3], &[2, 3], Ok(())),
        (&[2], &[], Err(Excess::Grantor)),
        (&[], &[2], Err(Excess::Grantor)),
        (&[2, 3], &[2], Err(Excess::Grantor)),
        (&[2], &[2, 3], Err(Excess::Grantor)),
        (&[2], &[3], Err(Excess::Grantor)),
    ] {
        assert_eq!(
            covers(&named(caller), &named(target)),
            outcome,
            "{caller:?} {target:?}"
        );
    }
}

#[test]
fn an_operator_ends_keys_that_others_granted() {
    let mut operator = declared(json!({})).effective();
    operator.operator = true;
    let mut granted = may(json!({"allowedRoutes": ["a"]}));
    granted.grantors = vec![account_id(2)];

    assert_eq!(covers(&operator, &granted), Ok(()));
}

#[test]
fn a_key_without_a_mint_side_hands_its_call_on_as_one() {
    let caller = may(json!({"allowedRoutes": ["bot/**", "token/create"]}));
    let target = |mint: &[&str]| {
        may(json!({"allowedRoutes": ["bot/**"], "session": {"allowedRoutes": mint}}))
    };

    assert_eq!(covers(&caller, &target(&["bot/b1"])), Ok(()));
    assert!(covers(&caller, &target(&["conversation/**"])).is_err());
    assert_eq!(
        covers(
            &caller,
            &may(json!({"allowedRoutes": ["bot/b1/session/create"]}))
        ),
        Ok(()),
        "whoever may call a profile may let others call it"
    );
}

#[test]
fn a_key_with_a_mint_side_makes_none_that_mints_what_profiles_give() {
    let caller = may(json!({
        "allowedRoutes": ["bot/**", "token/create"],
        "session": {"allowedRoutes": ["bot/b1/fetch"]},
    }));

    assert_eq!(
        covers(
            &caller,
            &may(json!({"allowedRoutes": ["bot/b1/session/create"]}))
        ),
        Err(Excess::MintRoutesUnnamed)
    );
}

#[test]
fn a_granted_key_lies_in_call_and_in_mint_and_in_the_routes_of_impersonation() {
    let parent = may(json!({
        "allowedRoutes": ["bot/**", "file/**"],
        "session": {"allowedRoutes": ["conversation/**", "bot/**"]},
        "impersonation": {"allowedRoutes": ["bot/**", "conversation/**"]},
    }));
    let acting = parent.acting_as_child(&account_id(2)).unwrap();
    let granted = |call: &[&str], mint: Option<&[&str]>| {
        let mut key = key(
            1,
            json!({"allowedRoutes": call, "session": {"allowedRoutes": mint}}),
        );
        key.grantors = vec![account_id(2)];
        covers(&acting, &key.effective())
    };

    assert_eq!(granted(&["bot/b1"], Some(&["conversation/**"])), Ok(()));
    assert_eq!(granted(&["bot/b1"], Some(&["bot/**"])), Ok(()));
    assert!(
        granted(&["file/f1"], Some(&[])).is_err(),
        "no impersonation"
    );
    assert!(granted(&["conversation/c"], Some(&[])).is_err(), "no call");
    assert!(granted(&[], Some(&["file/f1"])).is_err(), "no mint");
    assert_eq!(granted(&["bot/b1"], None), Err(Excess::MintRoutesUnnamed));
}

#[test]
fn a_granted_key_of_a_parent_without_a_mint_side_must_name_one_if_impersonation_is_narrowed() {
    let acting = may(json!({"impersonation": {"allowedRoutes": ["bot/**"]}}))
        .acting_as_child(&account_id(2))
        .unwrap();
    let granted = |config: Value| {
        let mut key = key(1, config);
        key.grantors = vec![account_id(2)];
        covers(&acting, &key.effective())
    };

    assert_eq!(
        granted(json!({"allowedRoutes": ["bot/b1/session/create"]})),
        Err(Excess::MintRoutesUnnamed),
        "the profile would give it conversations"
    );
    assert_eq!(
        granted(json!({"allowedRoutes": ["bot/**"], "session": {"allowedRoutes": ["bot/**"]}})),
        Ok(())
    );
}

/// What a key of account 3 with this config says to a key of account 1 that was made through it:
/// for account 3's child 2, or by that for its grandchild 1.
fn still(config: Value, made: Value, grantors: &[i64]) -> Result<(), Excess> {
    let mut key = key(9, made);
    key.grantors = grantors.iter().copied().map(account_id).collect();
    if grantors.is_empty() {
        key.account = account_id(3);
    }
    covers_made(&may(config), &key)
}

#[test]
fn a_line_is_covered_across_the_accounts_below() {
    let wide = json!({"allowedRoutes": ["bot/**"], "impersonation": true});
    let made = json!({"allowedRoutes": ["bot/b1"]});

    assert_eq!(still(wide.clone(), made.clone(), &[]), Ok(()));
    assert_eq!(still(wide.clone(), made.clone(), &[3]), Ok(()));
    assert_eq!(still(wide.clone(), made.clone(), &[2, 3]), Ok(()));
    let file = json!({"allowedRoutes": ["file/**"]});
    for grantors in [&[][..], &[3], &[2, 3]] {
        assert!(still(wide.clone(), file.clone(), grantors).is_err());
    }
}

#[test]
fn a_key_that_lost_the_right_to_impersonate_covers_no_key_that_it_granted() {
    let made = json!({"allowedRoutes": ["bot/b1"], "session": {"allowedRoutes": []}});
    for config in [
        json!({"allowedRoutes": ["bot/**"], "impersonation": false}),
        json!({"allowedRoutes": ["bot/**"]}),
        json!({"impersonation": {"users": []}}),
        json!({"impersonation": {"users": [account_id(7).as_str()]}}),
    ] {
        assert_eq!(still(config.clone(), made.clone(), &[]), Ok(()), "{config}");
        for grantors in [&[3][..], &[2, 3]] {
            assert_eq!(
                still(config.clone(), made.clone(), grantors),
                Err(Excess::Impersonation),
                "{config}"
            );
        }
    }
    let narrowed = json!({"impersonation": {"allowedRoutes": ["file/**"]}});
    assert!(matches!(
        still(narrowed, made, &[3]),
        Err(Excess::Routes { .. })
    ));
}

#[test]
fn each_account_on_the_way_down_must_be_one_of_the_users() {
    let made = json!({"allowedRoutes": ["bot/b1"]});
    let users = |numbers: &[i64]| {
        let ids: Vec<_> = numbers
            .iter()
            .map(|id| account_id(*id).to_string())
            .collect();
        json!({"impersonation": {"users": ids}})
    };

    assert_eq!(still(users(&[1]), made.clone(), &[3]), Ok(()));
    assert_eq!(still(users(&[1, 2]), made.clone(), &[2, 3]), Ok(()));
    for some in [users(&[1]), users(&[2])] {
        assert_eq!(
            still(some, made.clone(), &[2, 3]),
            Err(Excess::Impersonation)
        );
    }
}

#[test]
fn a_key_does_not_cover_what_acts_in_other_names_than_its_own_line() {
    let mut maker = may(json!({"impersonation": true}));
    maker.grantors = vec![account_id(4)];
    let made = |numbers: &[i64]| {
        let mut key = key(9, json!({"allowedRoutes": ["a"]}));
        key.grantors = numbers.iter().copied().map(account_id).collect();
        covers_made(&maker, &key)
    };

    assert_eq!(made(&[4]), Ok(()));
    assert_eq!(made(&[3, 4]), Ok(()));
    assert_eq!(made(&[]), Err(Excess::Grantor));
    assert_eq!(made(&[5]), Err(Excess::Grantor));
    assert_eq!(made(&[3, 5]), Err(Excess::Grantor));
}

#[test]
fn a_question_that_is_too_complex_is_answered_with_no() {
    let heavy = format!("**/a/{}", ["*"; 15].join("/"));
    let caller = may(json!({"allowedRoutes": [heavy, "b"]}));
    let target = may(json!({"allowedRoutes": [format!("**/a/**/{}", ["*"; 16].join("/"))]}));

    assert!(matches!(
        covers(&caller, &target),
        Err(Excess::Routes { .. })
    ));
}
