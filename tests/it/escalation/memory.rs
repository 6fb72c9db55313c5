//! What a node remembers of keys and children is never believed longer than it holds: whatever ends
//! or narrows a key is in force for the very next request of the node that did it, and for the
//! others as soon as they hear of it.

use hallpass::domain::environment::Environment;
use hallpass::domain::secret::{KeyKind, PlainKey};
use hallpass::entropy::SeededEntropy;
use serde_json::{Value, json};

use super::support::{MINT, TOKENS, as_child, is_alive, is_dead, post};
use crate::support::town::{Account, Key, Town};

const CONFIG: &str = r#"{
    "allowedRoutes": ["token/**", "session/**", "bot/**", "user/**"],
    "manage": ["tokens", "users"],
    "impersonation": true
}"#;

fn config() -> Value {
    serde_json::from_str(CONFIG).unwrap()
}

struct Street {
    town: Town,
    above: Key,
    shop: Account,
    owner: Key,
    maker: Key,
    key: Key,
}

async fn street() -> Street {
    let town = Town::new().await;
    let above = town.first_key().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let maker = owner.make_key(json!({ "config": config() })).await;
    let key = maker.make_key(json!({ "config": config() })).await;
    Street {
        town,
        above,
        shop,
        owner,
        maker,
        key,
    }
}

/// Lets a node see a key, so that it asks nothing of the database afterwards.
async fn warm(node: &Town, key: &str) {
    is_alive(node, key).await;
    let presented = post(node, key, &["session", "create"], MINT);
    node.app().admit(&presented).await.unwrap();
}

#[tokio::test]
async fn a_caller_that_was_seen_before_needs_no_database() {
    let Street {
        town, owner, shop, ..
    } = street().await;
    let child = shop.child("branch").await;
    let asked = [
        post(&town, &owner.token, &["session", "create"], MINT),
        as_child(
            post(&town, &owner.token, &["session", "create"], MINT),
            &child,
            true,
        ),
    ];
    for presented in &asked {
        town.app().admit(presented).await.unwrap();
    }

    for table in ["api_key", "api_key_secret", "account"] {
        town.sql(&format!("ALTER TABLE {table} RENAME TO {table}_gone"))
            .await;
    }

    for presented in &asked {
        town.app().admit(presented).await.unwrap();
    }
    town.advance_secs(2);
    for table in ["api_key", "api_key_secret", "account"] {
        town.sql(&format!("ALTER TABLE {table}_gone RENAME TO {table}"))
            .await;
    }
    for presented in &asked {
        town.app().admit(presented).await.unwrap();
    }
}

/// The same, and lets the node remember it in little only, as when very many keys are in use.
async fn warm_in_little(node: &Town, key: &str) {
    warm(node, key).await;
    node.app().forget_full_keys();
}

#[tokio::test]
async fn a_caller_that_is_remembered_in_little_needs_no_database_and_is_the_same() {
    let Street {
        town,
        above,
        owner,
        maker,
        key,
        ..
    } = street().await;
    let described = json!({
        "name": "till", "description": "of the shop", "meta": {"a": [1, 2.5]}, "externalId": "t-1",
        "expiresAt": town.now_ms() + 60_000,
        "config": {
            "allowedRoutes": ["token/self/**", "session/**"],
            "permissions": ["bots:read"],
            "bindings": {"bot": ["b1"]},
            "cidrs": ["0.0.0.0/0", "::/0"],
            "session": {"allowedRoutes": ["bot/b1/**"], "maxDurationInSeconds": 60},
            "rateLimit": {"requests": 1_000_000, "perSeconds": 1},
        },
    });
    let described = owner.make_key(described).await;
    for key in [&above, &owner, &maker, &key, &described] {
        let mut presented = post(&town, &key.token, &["session", "create"], MINT);
        presented.facts.address = Some([192, 0, 2, 7].into());
        let read = town.app().admit(&presented).await.unwrap();
        town.app().forget_full_keys();
        town.sql("ALTER TABLE api_key RENAME TO api_key_gone").await;

        let recalled = town.app().admit(&presented).await.unwrap();

        town.sql("ALTER TABLE api_key_gone RENAME TO api_key").await;
        assert_eq!(recalled.who, read.who);
        assert_eq!(recalled.effective, read.effective);
    }
}

#[tokio::test]
async fn a_key_that_is_remembered_in_little_is_refused_by_the_next_request_after_it_ended() {
    for how in ENDS {
        for by_other_node in [false, true] {
            let street = street().await;
            let node = if by_other_node {
                street.town.second_node().await
            } else {
                street.town.clone()
            };
            warm_in_little(&node, &street.key.token).await;

            end(&street, how).await;
            if by_other_node {
                node.poll().await;
            }
            node.app().forget_full_keys();

            println!("{how} {by_other_node}");
            is_dead(&node, &street.key.token).await;
        }
    }
}

#[tokio::test]
async fn what_expired_is_refused_though_it_is_remembered_in_little() {
    let Street {
        town, owner, key, ..
    } = street().await;
    let path = format!("/v1/token/{}/rotate", key.id);
    owner
        .post(&path, json!({"overlapInSeconds": 60}))
        .await
        .ok();
    let at = town.now_ms() + 60_000;
    let maker = owner
        .make_key(json!({"config": config(), "expiresAt": at}))
        .await;
    let made = maker
        .make_key(json!({"config": config(), "expiresAt": at}))
        .await;
    for key in [&key, &maker, &made] {
        warm_in_little(&town, &key.token).await;
    }
    town.advance_secs(59);
    town.poll().await;
    for key in [&key, &maker, &made] {
        warm_in_little(&town, &key.token).await;
    }

    town.advance_secs(1);
    town.poll().await;
    town.app().forget_full_keys();

    for key in [&key, &maker, &made] {
        is_dead(&town, &key.token).await;
    }
}

#[tokio::test]
async fn nobody_fills_the_memory_with_secrets_that_open_nothing() {
    let Street {
        town, owner, key, ..
    } = street().await;
    let path = format!("/v1/token/{}/delete", key.id);
    owner.post(&path, json!({})).await.ok();
    let remembered = async || {
        let metrics = town.nobody().get("/metrics").await.text();
        let line = metrics
            .lines()
            .find(|line| line.starts_with("hallpass_remembered_bytes "));
        line.unwrap().to_owned()
    };
    warm(&town, &owner.token).await;
    let before = remembered().await;
    assert!(!before.ends_with(" 0"), "{before}");

    let entropy = SeededEntropy::new(99);
    for turn in 0..200 {
        let unknown = PlainKey::generate(KeyKind::Secret, Environment::Live, &entropy).unwrap();
        is_dead_or_limited(&town, unknown.expose()).await;
        is_dead_or_limited(&town, &format!("{}x{turn}", unknown.expose())).await;
        is_dead_or_limited(&town, &format!("imported-{turn}-{}", "y".repeat(32))).await;
    }
    is_dead_or_limited(&town, &key.token).await;

    assert_eq!(remembered().await, before);
}

async fn is_dead_or_limited(town: &Town, credential: &str) {
    let answer = town.bearer(credential).get("/v1/token/self/fetch").await;
    assert!([401, 429].contains(&answer.status.as_u16()), "{answer}");
}

/// Every way to end a key, by name.
const ENDS: [&str; 10] = [
    "delete",
    "disable",
    "cut the secret",
    "report",
    "delete its maker",
    "disable its maker",
    "cut its maker's line",
    "narrow its maker",
    "suspend its account",
    "delete its account",
];

async fn end(street: &Street, how: &str) {
    let Street {
        above,
        shop,
        owner,
        maker,
        key,
        town,
    } = street;
    let token = |key: &Key, verb: &str| format!("/v1/token/{}/{verb}", key.id);
    let (by, path, body) = match how {
        "delete" => (owner, token(key, "delete"), json!({})),
        "disable" => (owner, token(key, "update"), json!({"enabled": false})),
        "cut the secret" => (owner, token(key, "rotate"), json!({"overlapInSeconds": 0})),
        "report" => {
            let body = json!({"secret": key.token});
            town.nobody().post("/v1/token/report", body).await.ok();
            return;
        }
        "delete its maker" => (owner, token(maker, "delete"), json!({})),
        "disable its maker" => (owner, token(maker, "update"), json!({"enabled": false})),
        "cut its maker's line" => (
            owner,
            token(maker, "rotate"),
            json!({"overlapInSeconds": 0}),
        ),
        "narrow its maker" => (
            owner,
            token(maker, "update"),
            json!({"config": {"allowedRoutes": ["session/**"]}}),
        ),
        "suspend its account" => (above, format!("/v1/user/{}/suspend", shop.id), json!({})),
        "delete its account" => (above, format!("/v1/user/{}/delete", shop.id), json!({})),
        other => panic!("{other}"),
    };
    by.post(&path, body).await.ok();
}

#[tokio::test]
async fn a_key_that_was_just_seen_is_refused_by_the_next_request_after_it_ended() {
    for how in ENDS {
        let street = street().await;
        warm(&street.town, &street.key.token).await;

        end(&street, how).await;

        println!("{how}");
        is_dead(&street.town, &street.key.token).await;
    }
}

#[tokio::test]
async fn another_node_refuses_a_key_that_ended_as_soon_as_it_hears_of_it() {
    for how in ENDS {
        let street = street().await;
        let other = street.town.second_node().await;
        warm(&other, &street.key.token).await;

        end(&street, how).await;
        other.poll().await;

        println!("{how}");
        is_dead(&other, &street.key.token).await;
    }
}

#[tokio::test]
async fn another_node_that_heard_nothing_for_a_second_asks_the_database() {
    let street = street().await;
    let other = street.town.second_node().await;
    warm(&other, &street.key.token).await;

    end(&street, "delete").await;
    other.advance_ms(1_001);

    is_dead(&other, &street.key.token).await;
}

#[tokio::test]
async fn what_a_version_changed_that_says_nothing_of_touches_is_read_again() {
    for later in [false, true] {
        let street = street().await;
        let other = street.town.second_node().await;
        warm(&other, &street.key.token).await;
        warm(&other, &street.owner.token).await;

        let disable = format!(
            "UPDATE api_key SET enabled = 0 WHERE id = '{}'",
            street.key.id
        );
        assert_eq!(street.town.sql(&disable).await, 1);
        street
            .town
            .sql("UPDATE change_head SET position = position + 1")
            .await;
        if later {
            // Another change, by this version, hides it from whoever looks at the last one alone.
            street.shop.child("branch").await;
        }
        other.poll().await;

        is_dead(&other, &street.key.token).await;
        is_alive(&other, &street.owner.token).await;
    }
}

#[tokio::test]
async fn a_secret_past_its_overlap_is_refused_though_it_was_just_seen() {
    let Street {
        town, owner, key, ..
    } = street().await;
    let path = format!("/v1/token/{}/rotate", key.id);
    owner
        .post(&path, json!({"overlapInSeconds": 60}))
        .await
        .ok();
    warm(&town, &key.token).await;

    town.advance_secs(59);
    town.poll().await;
    warm(&town, &key.token).await;
    town.advance_ms(1_000);
    town.poll().await;

    is_dead(&town, &key.token).await;
}

#[tokio::test]
async fn an_expired_key_and_a_key_of_an_expired_maker_are_refused_though_they_were_just_seen() {
    let Street { town, owner, .. } = street().await;
    let at = town.now_ms() + 60_000;
    let maker = owner
        .make_key(json!({"config": config(), "expiresAt": at}))
        .await;
    let made = maker
        .make_key(json!({"config": config(), "expiresAt": at}))
        .await;
    for key in [&maker, &made] {
        warm(&town, &key.token).await;
    }

    town.advance_secs(59);
    town.poll().await;
    for key in [&maker, &made] {
        warm(&town, &key.token).await;
    }
    town.advance_secs(1);
    town.poll().await;

    for key in [&maker, &made] {
        is_dead(&town, &key.token).await;
    }
}

#[tokio::test]
async fn a_key_that_was_narrowed_is_narrow_at_once_and_one_that_was_widened_is_wide() {
    let Street {
        town, owner, maker, ..
    } = street().await;
    let other = town.second_node().await;
    for node in [&town, &other] {
        warm(node, &maker.token).await;
    }
    let path = format!("/v1/token/{}/update", maker.id);
    let list = async |node: &Town| node.bearer(&maker.token).get("/v1/token/list").await;

    let narrow = json!({"config": {"allowedRoutes": ["session/**"]}});
    owner.post(&path, narrow).await.ok();
    other.poll().await;
    for node in [&town, &other] {
        list(node).await.refused(403, "ROUTE_NOT_ALLOWED");
    }

    let wide = json!({"config": {"allowedRoutes": ["session/**", "token/**"]}});
    owner.post(&path, wide).await.ok();
    other.poll().await;
    for node in [&town, &other] {
        list(node).await.ok();
    }
}

/// Every way to end the right to act as a child, by name.
const RIGHTS: [&str; 6] = [
    "the child denies",
    "the child is suspended",
    "the child is deleted",
    "the parent may not",
    "the parent is suspended",
    "the key may not",
];

#[tokio::test]
async fn a_child_that_was_just_acted_as_is_out_of_reach_once_the_right_is_gone() {
    for how in RIGHTS {
        for by_other_node in [false, true] {
            let Street {
                town,
                above,
                shop,
                owner,
                maker,
                ..
            } = street().await;
            let node = if by_other_node {
                town.second_node().await
            } else {
                town.clone()
            };
            let child = shop.child("branch").await;
            let own = child.full_key().await;
            let wish = as_child(
                post(&node, &maker.token, &["session", "create"], MINT),
                &child,
                true,
            );
            for _ in 0..2 {
                node.app().admit(&wish).await.unwrap();
            }

            let user = |id: &str, verb: &str| format!("/v1/user/{id}/{verb}");
            let (by, path, body) = match how {
                "the child denies" => (
                    &own,
                    user("self", "update"),
                    json!({"impersonationPolicy": "deny"}),
                ),
                "the child is suspended" => (&owner, user(&child.id, "suspend"), json!({})),
                "the child is deleted" => (&owner, user(&child.id, "delete"), json!({})),
                "the parent may not" => (
                    &above,
                    user(&shop.id, "update"),
                    json!({"canImpersonate": false}),
                ),
                "the parent is suspended" => (&above, user(&shop.id, "suspend"), json!({})),
                "the key may not" => (
                    &owner,
                    format!("/v1/token/{}/update", maker.id),
                    json!({"config": {"impersonation": false}}),
                ),
                other => panic!("{other}"),
            };
            by.post(&path, body).await.ok();
            if by_other_node {
                node.poll().await;
            }

            println!("{how}, by another node: {by_other_node}");
            node.app().admit(&wish).await.unwrap_err();
        }
    }
}

#[tokio::test]
async fn an_address_that_a_child_gave_up_leads_to_whoever_has_it_now() {
    let Street {
        town, shop, owner, ..
    } = street().await;
    let first = shop
        .child_with(json!({"name": "first", "email": "desk@example.com"}))
        .await;
    let ask = async || {
        let answer = owner
            .caller()
            .header("X-RunAs-User-Email", "desk@example.com")
            .get("/v1/token/self/fetch")
            .await;
        answer.ok()["userId"].as_str().unwrap().to_owned()
    };
    for _ in 0..2 {
        assert_eq!(ask().await, first.id);
    }

    let path = format!("/v1/user/{}/update", first.id);
    owner
        .post(&path, json!({"email": "gone@example.com"}))
        .await
        .ok();
    owner
        .caller()
        .header("X-RunAs-User-Email", "desk@example.com")
        .get("/v1/token/self/fetch")
        .await
        .refused(403, "IMPERSONATION_DENIED");
    let second = shop
        .child_with(json!({"name": "second", "email": "desk@example.com"}))
        .await;

    for _ in 0..2 {
        assert_eq!(ask().await, second.id);
    }
    town.poll().await;
    assert_eq!(ask().await, second.id);
}

#[tokio::test]
async fn a_session_that_is_minted_right_after_a_change_by_the_same_node_lives() {
    let Street {
        town, owner, maker, ..
    } = street().await;
    warm(&town, &maker.token).await;
    let path = format!("/v1/token/{}/update", maker.id);
    let narrow = json!({"config": {"allowedRoutes": ["session/**", "bot/**"]}});
    owner.post(&path, narrow).await.ok();

    for _ in 0..3 {
        let session = maker.session(json!({"allowedRoutes": ["bot/**"]})).await;
        is_alive(&town, &session.token).await;
    }
}

#[tokio::test]
async fn a_mint_by_a_key_that_was_remembered_before_it_was_cut_elsewhere_is_born_dead() {
    let Street {
        town, owner, maker, ..
    } = street().await;
    let other = town.second_node().await;
    warm(&other, &maker.token).await;
    let path = format!("/v1/token/{}/delete", maker.id);
    owner.post(&path, json!({})).await.ok();

    // The other node has not heard of it yet, and mints within its bound.
    let minted = other
        .bearer(&maker.token)
        .post("/v1/session/create", json!({"allowedRoutes": ["bot/**"]}))
        .await
        .ok();

    let token = minted["token"].as_str().unwrap();
    is_dead(&town, token).await;
    other.poll().await;
    is_dead(&other, token).await;
}

#[tokio::test]
async fn a_change_is_judged_by_the_database_whatever_is_remembered() {
    let street = street().await;
    let other = street.town.second_node().await;
    warm(&other, &street.maker.token).await;
    end(&street, "delete its maker").await;

    let presented = post(&other, &street.maker.token, &["token", "create"], TOKENS);
    let app = other.app();

    // A node that has not heard of it yet.
    app.change(&presented).await.unwrap_err();
}
