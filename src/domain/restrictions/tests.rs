use serde_json::{Value, json};

use super::super::binding::Dimension;
use super::super::config::Config;
use super::super::support::restrictions;
use super::*;

fn full() -> Value {
    json!({
        "allowedRoutes": ["bot/**"],
        "permissions": ["bots:read"],
        "bindings": {"bot": ["b1"], "project": ["p1"]},
        "domains": ["example.com"],
        "cidrs": ["192.0.2.0/24"],
        "session": {
            "allowedRoutes": ["a"],
            "permissions": [],
            "bindings": {"bot": ["b1"]},
            "domains": ["a.example.com"],
            "audiences": ["shop"],
            "maxDurationInSeconds": 60,
            "maxRenewableInSeconds": 60,
        },
        "impersonation": {"users": []},
        "manage": ["tokens"],
        "rateLimit": {"requests": 1, "perSeconds": 1},
    })
}

fn written(restrictions: &Restrictions) -> Value {
    serde_json::to_value(Config::from_restrictions(restrictions)).unwrap()
}

#[test]
fn a_change_that_names_nothing_changes_nothing() {
    let own = restrictions(full());

    assert_eq!(own.changed_by(&Restrictions::default()), own);
}

#[test]
fn a_change_replaces_what_it_names_and_leaves_the_rest() {
    let change = json!({
        "allowedRoutes": [],
        "bindings": {"bot": ["b2"]},
        "session": {"domains": [], "bindings": {"workspace": ["w1"]}},
        "impersonation": {"allowedRoutes": ["a"]},
        "manage": [],
    });

    let changed = restrictions(full()).changed_by(&restrictions(change));

    let mut wanted = full();
    wanted["allowedRoutes"] = json!([]);
    wanted["bindings"]["bot"] = json!(["b2"]);
    wanted["session"]["domains"] = json!([]);
    wanted["session"]["bindings"]["workspace"] = json!(["w1"]);
    wanted["impersonation"] = json!({"allowedRoutes": ["a"]});
    wanted["manage"] = json!([]);
    assert_eq!(written(&changed), wanted);
}

#[test]
fn every_dimension_is_changed_when_it_is_named_and_kept_when_it_is_not() {
    let none = Restrictions::default();
    let all = restrictions(full());

    assert_eq!(none.changed_by(&all), all);
    assert_eq!(all.changed_by(&none), all);
}

#[test]
fn a_dimension_is_taken_away_by_its_name_alone() {
    for name in CLEARABLE.split(", ") {
        let mut own = restrictions(full());
        assert!(own.clear(name), "{name}");

        let mut wanted = full();
        match name.split_once('.') {
            Some((outer, inner)) => {
                wanted[outer].as_object_mut().unwrap().shift_remove(inner);
            }
            None => {
                wanted.as_object_mut().unwrap().shift_remove(name);
            }
        }
        assert_eq!(written(&own), wanted, "{name}");
    }
    assert_eq!(CLEARABLE.split(", ").count(), 16);
}

#[test]
fn what_is_no_dimension_cannot_be_cleared() {
    for name in [
        "",
        "AllowedRoutes",
        "allowedRoutes ",
        "config.allowedRoutes",
        "operator",
        "expiresAt",
        "grantor",
        "environment",
        "session.",
        "bindings.bot",
    ] {
        let mut own = restrictions(full());

        assert!(!own.clear(name), "{name}");
        assert_eq!(own, restrictions(full()));
    }
}

#[test]
fn only_routes_permissions_and_bindings_count_as_narrowing_a_new_key() {
    for (config, counts) in [
        (json!({"allowedRoutes": ["bot/**"]}), true),
        (json!({"allowedRoutes": []}), true),
        (json!({"permissions": []}), true),
        (json!({"bindings": {"bot": []}}), true),
        (json!({"projects": ["p1"]}), true),
        (json!({}), false),
        (json!({"bindings": {}}), false),
        (json!({"domains": ["example.com"]}), false),
        (json!({"cidrs": []}), false),
        (json!({"session": {"allowedRoutes": []}}), false),
        (json!({"manage": []}), false),
        (json!({"impersonation": false}), false),
        (
            json!({"rateLimit": {"requests": 1, "perSeconds": 1}}),
            false,
        ),
    ] {
        assert_eq!(
            restrictions(config.clone()).narrow_what_counts(),
            counts,
            "{config}"
        );
    }
}

#[test]
fn each_dimension_alone_ends_that_nothing_is_narrowed() {
    let full = full();
    assert!(Restrictions::default().narrow_nothing());
    for (name, value) in full.as_object().unwrap() {
        let one = json!({name.as_str(): value});
        assert!(!restrictions(one).narrow_nothing(), "{name}");
    }
    for (name, value) in full["session"].as_object().unwrap() {
        let one = json!({"session": {name.as_str(): value}});
        assert!(!restrictions(one).narrow_nothing(), "session.{name}");
    }
}

#[test]
fn saying_what_holds_anyway_narrows_nothing() {
    let all: Vec<_> = Manage::ALL.iter().map(|manage| manage.as_str()).collect();
    for config in [
        json!({"impersonation": true}),
        json!({"manage": ["tokens", "users", "webhooks", "audit"]}),
        json!({"manage": all}),
        json!({"session": {}}),
        json!({"bindings": {}}),
    ] {
        assert!(restrictions(config.clone()).narrow_nothing(), "{config}");
    }
}

#[test]
fn no_list_of_values_is_lost_between_dimensions() {
    let own = restrictions(json!({"bindings": {"bot": ["b1"]}}));

    let changed = own.changed_by(&restrictions(json!({"bindings": {"bot": []}})));

    assert_eq!(changed.bindings.get(Dimension::Bot), Some(&BTreeSet::new()));
}
