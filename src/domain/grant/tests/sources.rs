//! Sessions from which others are made: renewals and exchanges.

use serde_json::{Value, json};

use super::super::super::environment::Environment;
use super::super::super::id::{RequestId, SessionId};
use super::super::super::liveness::{LogId, Position, Rev, Tag, Tags};
use super::super::super::session::Origin;
use super::super::super::support::{NOW, account_id, audiences, key_id, path};
use super::super::*;
use super::{asks, cutting, profile, wants};

fn session(scope: SessionScope) -> Session {
    let id = SessionId::parse(&format!("ses_{:026}", 1)).unwrap();
    Session {
        id: id.clone(),
        family: id,
        family_tag: Tag::from_i64(1),
        origin: Origin::Mint,
        account: account_id(1),
        actors: Vec::new(),
        key: key_id(1),
        environment: Environment::Live,
        audience: "api".to_owned(),
        scope,
        data: None,
        tags: Tags::new(),
        rev: Rev {
            log: LogId::from_i64(1),
            position: Position::new(1),
        },
        duration_secs: 600,
        profile: None,
        issued_at: NOW,
        expires_at: NOW.plus_secs(600),
        renewable_until: Some(NOW.plus_secs(6000)),
        request: RequestId::parse(&format!("req_{:026}", 1)).unwrap(),
        address: None,
    }
}

fn minted(key: Value, wanted: &Wanted) -> Session {
    session(asks(key, wanted).unwrap().scope)
}

#[test]
fn a_renewal_gets_the_same_again_while_the_key_still_has_it() {
    let key = json!({"allowedRoutes": ["bot/**"], "permissions": ["bots:read"],
        "bindings": {"bot": ["b1"]}, "domains": ["example.com"]});
    let session = minted(key.clone(), &wants(json!({"allowedRoutes": ["bot/b1"]})));

    let renewed = asks(key, &Wanted::again(&session, None)).unwrap();

    assert_eq!(renewed.scope, session.scope);
    assert_eq!(renewed.duration_secs, 600);
    assert_eq!(renewed.renewable_until, None, "fixed at the first mint");
    assert!(renewed.cut.is_empty());
}

#[test]
fn what_the_key_has_lost_since_is_cut_at_a_renewal() {
    let session = minted(
        json!({}),
        &wants(json!({"allowedRoutes": ["bot/**", "file/**"]})),
    );
    let key = json!({
        "allowedRoutes": ["bot/b1", "file/**"],
        "permissions": ["bots:read"],
        "bindings": {"bot": ["b1"]},
        "session": {"maxDurationInSeconds": 60, "domains": ["example.com"]},
    });

    let renewed = asks(key.clone(), &Wanted::again(&session, None)).unwrap();

    assert_eq!(renewed.scope.routes.to_strings(), ["bot/b1", "file/**"]);
    assert_eq!(renewed.scope.permissions.unwrap().to_scope(), "bots:read");
    assert!(renewed.scope.bindings.get(Dimension::Bot).is_some());
    assert_eq!(renewed.scope.domains.unwrap().to_strings(), ["example.com"]);
    assert_eq!(renewed.duration_secs, 60);
    assert!(matches!(
        asks(
            json!({"allowedRoutes": ["key/**"]}),
            &Wanted::again(&session, None)
        ),
        Err(Refusal::NothingLeft)
    ));
}

#[test]
fn a_renewal_never_exceeds_the_session_however_wide_the_key_has_become() {
    let narrow = wants(json!({
        "allowedRoutes": ["bot/b1"], "permissions": ["bots:read"],
        "bindings": {"bot": ["b1"]}, "domains": ["example.com"],
    }));
    let session = minted(json!({}), &narrow);

    let renewed = asks(
        json!({"session": {"audiences": ["api", "shop"]}}),
        &Wanted::again(&session, Some(1200)),
    )
    .unwrap();

    assert_eq!(renewed.scope, session.scope);
    assert_eq!(renewed.audience, session.audience);
    assert_eq!(renewed.duration_secs, 1200);
}

#[test]
fn a_renewal_for_an_audience_that_the_key_has_lost_is_refused() {
    let mut session = minted(json!({}), &wants(json!({"allowedRoutes": ["bot/b1"]})));
    session.audience = "shop".to_owned();

    assert_eq!(
        asks(json!({}), &Wanted::again(&session, None)),
        Err(Refusal::Audience("shop".to_owned()))
    );
}

#[test]
fn an_exchange_never_exceeds_its_source_in_anything() {
    let scope = minted(
        json!({}),
        &wants(json!({
            "allowedRoutes": ["bot/**"], "permissions": ["bots:read"],
            "bindings": {"bot": ["b1"]}, "domains": ["example.com"],
        })),
    )
    .scope;
    let end = NOW.plus_secs(30);
    let source = Effective::of_exchange(Environment::Live, &scope, "shop", end);
    let exchanged = |wanted: &Wanted| grant(&source, None, wanted, &audiences(), NOW);

    let same = exchanged(&Wanted::default()).unwrap();
    assert_eq!(same.scope, scope);
    assert_eq!(same.audience, "shop");
    assert_eq!(same.expires_at, end.floor_to_secs());
    assert_eq!(same.renewable_until, None);
    for wider in [
        json!({"allowedRoutes": ["**"]}),
        json!({"permissions": ["admin"]}),
        json!({"bindings": {"bot": ["b2"]}}),
        json!({"domains": ["evil.io"]}),
    ] {
        assert!(exchanged(&wants(wider.clone())).is_err(), "{wider}");
    }
    let other = Wanted {
        audience: Some("api".to_owned()),
        ..Wanted::default()
    };
    assert!(exchanged(&other).is_err());
    let renewable = Wanted {
        renewable_secs: Some(1),
        ..Wanted::default()
    };
    assert!(exchanged(&renewable).is_err());
}

#[test]
fn a_session_itself_mints_nothing() {
    let scope = minted(json!({}), &wants(json!({"allowedRoutes": ["**"]}))).scope;
    let effective = Effective::of_session(Environment::Live, &scope, NOW.plus_secs(60));
    let terms = profile(&["conversation/c1/**"]);
    for terms in [None, Some(&terms)] {
        for wanted in [
            Wanted::default(),
            wants(json!({"allowedRoutes": ["a"]})),
            wants(json!({"allowedRoutes": []})),
            cutting(json!({"allowedRoutes": ["a"]})),
        ] {
            assert!(grant(&effective, terms, &wanted, &audiences(), NOW).is_err());
        }
    }
}

#[test]
fn a_session_knows_the_path_at_which_it_was_minted() {
    use super::super::super::profile::ProfileUse;
    use super::super::super::route::PlaceholderValue;
    use std::collections::BTreeMap;

    let mut session = minted(json!({}), &wants(json!({"allowedRoutes": ["a"]})));
    assert_eq!(session.mint_path(), Some(path("session/create")));

    let value = PlaceholderValue::parse("b1").unwrap();
    session.profile = Some(ProfileUse {
        path: "bot/{botId}".to_owned(),
        values: BTreeMap::from([("botId".to_owned(), value)]),
    });
    assert_eq!(session.mint_path(), Some(path("bot/b1/session/create")));

    for wrong in ["bot/{otherId}", "bot/**", "GET bot/{botId}", "bot//x"] {
        session.profile.as_mut().unwrap().path = wrong.to_owned();
        assert_eq!(session.mint_path(), None, "{wrong}");
    }
}

#[test]
fn a_session_is_renewed_at_four_fifths_of_its_life_if_it_can_be() {
    let mut session = minted(json!({}), &wants(json!({"allowedRoutes": ["a"]})));

    assert_eq!(session.renew_at(), Some(NOW.plus_secs(480)));
    session.renewable_until = Some(NOW.plus_secs(480));
    assert_eq!(session.renew_at(), None);
    session.renewable_until = None;
    assert_eq!(session.renew_at(), None);
}
