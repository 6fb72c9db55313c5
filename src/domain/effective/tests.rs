use serde_json::json;

use super::super::support::{NOW, account_id, declared, key, may, path, routes};
use super::*;

fn calls(effective: &Effective, text: &str) -> bool {
    effective.call.allow("POST", &path(text)).is_some()
}

fn ceiling(effective: &Effective, profile: Option<&RouteSet>) -> Option<Vec<String>> {
    let ceilings = effective.mint_ceilings(profile);
    ceilings.as_one().unwrap().map(|set| set.to_strings())
}

#[test]
fn absent_is_not_narrowed_and_empty_is_nothing() {
    let absent = may(json!({}));
    assert!(calls(&absent, "bot/b1"));
    assert_eq!(
        (absent.permissions, absent.domains, absent.cidrs),
        (None, None, None)
    );

    let empty = may(json!({"allowedRoutes": [], "permissions": [], "domains": [], "cidrs": []}));
    assert!(!calls(&empty, "bot/b1"));
    assert!(empty.permissions.is_some_and(|some| some.is_empty()));
    assert!(empty.domains.is_some_and(|some| some.is_empty()));
    assert_eq!(empty.cidrs, Some(Cidrs::default()));
}

#[test]
fn routes_do_not_give_management_or_impersonation() {
    for config in [
        json!({"allowedRoutes": ["**"]}),
        json!({"permissions": ["admin"]}),
        json!({"bindings": {"bot": ["b1"]}}),
        json!({}),
    ] {
        let effective = may(config.clone());

        assert!(effective.manage.is_empty(), "{config}");
        assert_eq!(effective.impersonation, None, "{config}");
    }
}

#[test]
fn an_unrestricted_key_manages_all_but_introspect_and_impersonates() {
    let effective = declared(json!({})).effective();

    assert_eq!(effective.manage, Manage::unrestricted());
    assert!(!effective.manage.contains(&Manage::Introspect));
    assert_eq!(effective.impersonation, Some(ImpersonationScope::default()));
}

#[test]
fn a_declared_key_that_is_narrowed_anywhere_loses_what_it_has_by_default() {
    for config in [
        json!({"rateLimit": {"requests": 1, "perSeconds": 1}}),
        json!({"domains": ["example.com"]}),
        json!({"session": {"maxDurationInSeconds": 60}}),
    ] {
        let effective = declared(config.clone()).effective();

        assert!(effective.manage.is_empty(), "{config}");
        assert_eq!(effective.impersonation, None, "{config}");
    }
}

#[test]
fn what_is_said_of_management_and_impersonation_holds() {
    let effective = may(json!({
        "allowedRoutes": ["**"],
        "manage": ["audit"],
        "impersonation": {"allowedRoutes": ["bot/**"], "users": []},
    }));

    assert_eq!(effective.manage, BTreeSet::from([Manage::Audit]));
    let scope = effective.impersonation.unwrap();
    assert_eq!(scope.routes, Some(routes(&["bot/**"])));
    assert_eq!(scope.users, Some(BTreeSet::new()));
    assert_eq!(
        declared(json!({"impersonation": false}))
            .effective()
            .impersonation,
        None
    );
}

#[test]
fn a_granted_key_is_no_operator_and_never_introspects_whatever_is_stored() {
    let mut stored = key(1, json!({"manage": ["tokens", "introspect"]}));
    stored.operator = true;
    assert!(stored.effective().operator);
    assert!(stored.effective().manage.contains(&Manage::Introspect));

    stored.grantors = vec![account_id(2)];

    assert!(!stored.effective().operator);
    assert_eq!(stored.effective().manage, BTreeSet::from([Manage::Tokens]));
    assert_eq!(stored.effective().grantors, [account_id(2)]);
}

#[test]
fn the_mint_side_inherits_what_it_does_not_say() {
    let effective = may(json!({
        "allowedRoutes": ["bot/**"],
        "permissions": ["bots:read"],
        "bindings": {"project": ["p1"], "bot": ["b1"]},
        "domains": ["example.com"],
    }));

    assert_eq!(effective.mint.permissions, effective.permissions);
    assert_eq!(effective.mint.bindings, effective.bindings);
    assert_eq!(effective.mint.domains, effective.domains);
    assert_eq!(ceiling(&effective, None), Some(vec!["bot/**".to_owned()]));
    assert_eq!(effective.mint.audiences, None);
    assert_eq!(effective.mint.duration_secs_max, 86_400);
    assert_eq!(effective.mint.renewable_secs_max, 86_400);
}

#[test]
fn the_mint_side_overrides_a_dimension_and_leaves_the_others() {
    let effective = may(json!({
        "permissions": ["bots:read"],
        "bindings": {"project": ["p1"], "bot": ["b1"]},
        "domains": ["admin.example.com"],
        "session": {
            "permissions": [],
            "bindings": {"bot": ["b2"], "workspace": []},
            "domains": ["example.com"],
            "maxDurationInSeconds": 60,
            "maxRenewableInSeconds": 120,
        },
    }));

    assert!(effective.mint.permissions.unwrap().is_empty());
    assert_eq!(
        effective.mint.domains.unwrap().to_strings(),
        ["example.com"]
    );
    let bound = super::super::config::bindings_to_map(&effective.mint.bindings).unwrap();
    assert_eq!(
        json!(bound),
        json!({"project": ["p1"], "bot": ["b2"], "workspace": []})
    );
    let own = super::super::config::bindings_to_map(&effective.bindings).unwrap();
    assert_eq!(json!(own), json!({"project": ["p1"], "bot": ["b1"]}));
    assert_eq!(effective.mint.duration_secs_max, 60);
    assert_eq!(effective.mint.renewable_secs_max, 120);
}

#[test]
fn the_routes_of_a_session_end_at_the_mint_side_else_at_the_profile_else_at_the_call() {
    let profile = routes(&["conversation/c1/**"]);
    let plain = may(json!({"allowedRoutes": ["bot/b1/session/create"]}));
    let minting = may(json!({
        "allowedRoutes": ["bot/b1/session/create"],
        "session": {"allowedRoutes": ["dataset/**"]},
    }));
    let nothing = may(json!({"session": {"allowedRoutes": []}}));

    let only = |text: &str| Some(vec![text.to_owned()]);
    assert_eq!(ceiling(&plain, None), only("bot/b1/session/create"));
    assert_eq!(ceiling(&plain, Some(&profile)), only("conversation/c1/**"));
    assert_eq!(ceiling(&minting, None), only("dataset/**"));
    assert_eq!(ceiling(&minting, Some(&profile)), only("dataset/**"));
    assert_eq!(ceiling(&nothing, Some(&profile)), Some(Vec::new()));
    assert_eq!(ceiling(&may(json!({})), None), None);
}

#[test]
fn acting_as_a_child_narrows_call_and_mint_to_the_routes_of_impersonation() {
    let parent = may(json!({
        "allowedRoutes": ["bot/**", "token/**"],
        "session": {"allowedRoutes": ["**"]},
        "impersonation": {"allowedRoutes": ["bot/*/fetch", "conversation/**"]},
        "manage": ["tokens", "introspect"],
    }));

    let acting = parent.acting_as_child(&account_id(7)).unwrap();

    assert!(calls(&acting, "bot/b1/fetch"));
    assert!(!calls(&acting, "bot/b1/update"), "outside impersonation");
    assert!(!calls(&acting, "conversation/c1"), "outside its own call");
    let own = ["bot/*/fetch", "conversation/**"].map(str::to_owned);
    assert_eq!(ceiling(&acting, None), Some(own.to_vec()));
    let profile = routes(&["conversation/c1/**", "integration/i1/**"]);
    assert_eq!(ceiling(&acting, Some(&profile)), Some(own.to_vec()));
    assert_eq!(acting.manage, BTreeSet::from([Manage::Tokens]));
    assert_eq!(acting.grantors, [account_id(7)]);
}

#[test]
fn a_profile_gives_a_child_no_more_than_impersonation_allows() {
    let parent = may(json!({
        "allowedRoutes": ["**"],
        "impersonation": {"allowedRoutes": ["bot/**"]},
    }));
    let acting = parent.acting_as_child(&account_id(7)).unwrap();

    let profile = routes(&["conversation/c1/**"]);

    assert_eq!(ceiling(&acting, Some(&profile)), Some(Vec::new()));
}

#[test]
fn an_operator_that_acts_as_a_child_is_none_there() {
    let mut operator = declared(json!({}));
    operator.operator = true;

    let acting = operator.effective().acting_as_child(&account_id(1));

    assert!(!acting.unwrap().operator);
}

#[test]
fn the_names_in_which_a_key_acts_are_kept_and_the_nearest_comes_first() {
    let mut granted = declared(json!({}));
    granted.grantors = vec![account_id(2)];

    let acting = granted.effective().acting_as_child(&account_id(1)).unwrap();

    assert_eq!(acting.grantors, [account_id(1), account_id(2)]);
}

#[test]
fn a_key_that_may_not_impersonate_acts_as_nobody() {
    for config in [
        json!({"allowedRoutes": ["**"]}),
        json!({"impersonation": false}),
    ] {
        assert_eq!(may(config).acting_as_child(&account_id(7)), None);
    }
}

fn scope() -> SessionScope {
    SessionScope {
        routes: routes(&["conversation/**"]),
        permissions: None,
        bindings: Bindings::default(),
        domains: None,
    }
}

#[test]
fn a_session_mints_manages_and_impersonates_nothing() {
    let session = Effective::of_session(Environment::Live, &scope(), NOW);

    assert!(calls(&session, "conversation/c1"));
    assert!(!calls(&session, "bot/b1"));
    assert_eq!(ceiling(&session, None), Some(Vec::new()));
    let profile = routes(&["conversation/c1/**"]);
    assert_eq!(ceiling(&session, Some(&profile)), Some(Vec::new()));
    assert_eq!(session.mint.duration_secs_max, 0);
    assert_eq!(session.mint.renewable_secs_max, 0);
    assert!(session.manage.is_empty());
    assert!(!session.operator);
    assert_eq!(session.impersonation, None);
    assert_eq!(session.expires_at, Some(NOW));
}

#[test]
fn an_exchange_gives_what_the_session_has_for_its_own_audience_and_time() {
    let exchange = Effective::of_exchange(Environment::Test, &scope(), "shop", NOW);

    assert_eq!(
        ceiling(&exchange, None),
        Some(vec!["conversation/**".to_owned()])
    );
    assert_eq!(
        exchange.mint.audiences,
        Some(BTreeSet::from(["shop".to_owned()]))
    );
    assert_eq!(exchange.mint.renewable_secs_max, 0);
    assert_eq!(exchange.expires_at, Some(NOW));
    assert_eq!(exchange.environment, Environment::Test);
    assert!(exchange.manage.is_empty());
}

#[test]
fn where_several_ceilings_apply_each_must_allow() {
    let both = Ceilings::from_option(Some(&routes(&["bot/**", "a"]))).and(Some(&routes(&["*/b1"])));

    assert!(both.allow("GET", &path("bot/b1")).is_some());
    assert!(both.allow("GET", &path("bot/b2")).is_none());
    assert!(both.allow("GET", &path("key/b1")).is_none());
    assert_eq!(both.cover(&routes(&["bot/b1"])), Ok(()));
    assert!(both.cover(&routes(&["bot/b1", "a"])).is_err());
    assert!(both.cover(&routes(&["bot/*"])).is_err());
    assert_eq!(
        both.as_one().unwrap().unwrap().to_strings(),
        ["bot/b1".to_owned()]
    );
    let (kept, cut) = both.keep(routes(&["bot/b1", "bot/b2", "c"]));
    assert_eq!(kept.to_strings(), ["bot/b1"]);
    assert_eq!(cut, ["c", "bot/b2"]);
}

#[test]
fn no_ceiling_is_covered_by_everything_alone() {
    let narrow = Ceilings::from_option(Some(&routes(&["bot/**"])));
    let all = Ceilings::from_option(Some(&RouteSet::everything()));

    assert!(narrow.cover_all(&Ceilings::none()).is_err());
    assert_eq!(all.cover_all(&Ceilings::none()), Ok(()));
    assert_eq!(Ceilings::none().cover_all(&narrow), Ok(()));
    assert_eq!(Ceilings::none().cover_all(&Ceilings::none()), Ok(()));
    assert_eq!(
        narrow.cover_all(&Ceilings::from_option(Some(&RouteSet::empty()))),
        Ok(())
    );
}

#[test]
fn methods_are_narrowed_when_any_ceiling_names_one() {
    let any = routes(&["bot/**"]);
    let get = routes(&["GET bot/**"]);

    assert!(!Ceilings::none().narrow_methods());
    assert!(!Ceilings::from_option(Some(&any)).narrow_methods());
    assert!(
        Ceilings::from_option(Some(&any))
            .and(Some(&get))
            .narrow_methods()
    );
    assert!(Ceilings::from_option(Some(&get)).narrow_methods());
}
