//! A key that was made with a key never escapes it.

use serde_json::json;

use super::support::{is_alive, is_dead, is_ended, refused};
use crate::support::town::Town;

fn manages() -> serde_json::Value {
    json!({"allowedRoutes": ["token/**", "session/**", "bot/**"], "manage": ["tokens"]})
}

#[tokio::test]
async fn no_key_survives_the_theft_and_deletion_of_the_key_that_made_it() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let stolen = owner.make_key(json!({"config": manages()})).await;
    let thief = stolen.make_key(json!({"config": manages()})).await;
    let again = thief.make_key(json!({"config": manages()})).await;
    let session = again
        .session(json!({"allowedRoutes": ["bot/**"], "renewableForInSeconds": 3600}))
        .await;

    let path = format!("/v1/token/{}/delete", stolen.id);
    owner.post(&path, json!({})).await.ok();

    for key in [&stolen, &thief, &again] {
        is_dead(&town, &key.token).await;
    }
    is_ended(&town, &session.token).await;
    is_alive(&town, &owner.token).await;
}

#[tokio::test]
async fn no_key_survives_a_report_of_the_key_that_made_it() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let stolen = shop.key(manages()).await;
    let thief = stolen.make_key(json!({"config": manages()})).await;
    let session = thief.session(json!({"allowedRoutes": ["bot/**"]})).await;

    let told = town
        .nobody()
        .post("/v1/token/report", json!({"secret": stolen.token}))
        .await;

    assert_eq!(told.ok(), json!({"revoked": true}));
    is_dead(&town, &stolen.token).await;
    is_dead(&town, &thief.token).await;
    is_ended(&town, &session.token).await;
}

#[tokio::test]
async fn no_key_survives_a_cut_secret_of_the_key_that_made_it() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let stolen = owner.make_key(json!({"config": manages()})).await;
    let session = stolen.session(json!({"allowedRoutes": ["bot/**"]})).await;
    let thief = stolen.make_key(json!({"config": manages()})).await;

    let path = format!("/v1/token/{}/rotate", stolen.id);
    let made = owner.post(&path, json!({"overlapInSeconds": 0})).await.ok();

    is_dead(&town, &stolen.token).await;
    is_dead(&town, &thief.token).await;
    is_ended(&town, &session.token).await;
    is_alive(&town, made["token"].as_str().unwrap()).await;
}

#[tokio::test]
async fn no_key_survives_that_its_maker_was_disabled_and_enabled_again() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let stolen = owner.make_key(json!({"config": manages()})).await;
    let session = stolen.session(json!({"allowedRoutes": ["bot/**"]})).await;
    let thief = stolen.make_key(json!({"config": manages()})).await;
    let thiefs = thief.session(json!({"allowedRoutes": ["bot/**"]})).await;

    let path = format!("/v1/token/{}/update", stolen.id);
    owner.post(&path, json!({"enabled": false})).await.ok();
    is_dead(&town, &thief.token).await;
    owner.post(&path, json!({"enabled": true})).await.ok();

    is_alive(&town, &stolen.token).await;
    is_dead(&town, &thief.token).await;
    for session in [&session, &thiefs] {
        is_ended(&town, &session.token).await;
    }
}

#[tokio::test]
async fn no_key_outlives_the_expiry_of_its_maker() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let end = town.now_ms() + 60_000;
    let maker = shop
        .make_key(json!({"config": manages(), "expiresAt": end}))
        .await;
    for wide in [
        json!({"config": manages()}),
        json!({"config": manages(), "expiresAt": end + 1}),
    ] {
        refused(&maker.post("/v1/token/create", wide).await);
    }
    let made = maker
        .make_key(json!({"config": manages(), "expiresAt": end}))
        .await;
    let session = made
        .session(json!({"allowedRoutes": ["bot/**"], "durationInSeconds": 600}))
        .await;
    assert!(session.claims()["exp"].as_i64().unwrap() * 1000 <= end);

    town.advance_secs(60);

    is_dead(&town, &made.token).await;
    is_ended(&town, &session.token).await;
}

#[tokio::test]
async fn no_key_keeps_what_its_maker_has_lost() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let maker = owner.make_key(json!({"config": manages()})).await;
    let within = maker
        .make_key(json!({"config": {"allowedRoutes": ["bot/**"]}}))
        .await;
    let outside = maker
        .make_key(json!({"config": {"allowedRoutes": ["session/**"]}}))
        .await;
    let below = maker.make_key(json!({"config": manages()})).await;
    let deeper = below
        .make_key(json!({"config": {"allowedRoutes": ["bot/b1/**"]}}))
        .await;

    let path = format!("/v1/token/{}/update", maker.id);
    let narrower = json!({"config": {"allowedRoutes": ["token/**", "bot/**"]}});
    owner.post(&path, narrower).await.ok();

    is_alive(&town, &within.token).await;
    is_dead(&town, &outside.token).await;
    is_dead(&town, &below.token).await;
    // It lies within, but the key that made it does not.
    is_dead(&town, &deeper.token).await;
    // To widen the maker again brings nothing back.
    let wider = json!({"config": manages()});
    owner.post(&path, wider).await.ok();
    for key in [&outside, &below, &deeper] {
        is_dead(&town, &key.token).await;
    }
}

#[tokio::test]
async fn an_earlier_expiry_of_the_maker_ends_the_keys_that_would_outlive_it() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let maker = owner.make_key(json!({"config": manages()})).await;
    let session = maker.session(json!({"allowedRoutes": ["bot/**"]})).await;
    let made = maker.make_key(json!({"config": manages()})).await;

    let path = format!("/v1/token/{}/update", maker.id);
    let earlier = json!({"expiresAt": town.now_ms() + 3_600_000});
    owner.post(&path, earlier).await.ok();

    is_dead(&town, &made.token).await;
    is_ended(&town, &session.token).await;
    is_alive(&town, &maker.token).await;
}

#[tokio::test]
async fn no_key_escapes_the_addresses_of_its_maker() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let mut config = manages();
    config["cidrs"] = json!(["192.0.2.0/24"]);
    let maker = shop.key(config.clone()).await;

    for cidrs in [
        json!(null),
        json!(["0.0.0.0/0"]),
        json!(["192.0.2.0/24", "2001:db8::/32"]),
    ] {
        let mut wide = config.clone();
        wide["cidrs"] = cidrs;
        let answer = maker
            .post("/v1/token/create", json!({"config": wide}))
            .await;
        answer.refused(403, "ADDRESS_NOT_ALLOWED");
    }
    let made = maker.make_key(json!({"config": config})).await;
    for stranger in [made.address("198.51.100.1"), made.no_address()] {
        let answer = stranger.get("/v1/token/list").await;
        answer.refused(403, "ADDRESS_NOT_ALLOWED");
    }
}

#[tokio::test]
async fn no_key_escapes_the_domains_of_its_maker() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let mut config = manages();
    config["domains"] = json!(["example.com"]);
    let maker = shop.key(config.clone()).await;
    let in_place = maker.origin("https://example.com");

    for domains in [
        json!(null),
        json!(["evil.example"]),
        json!(["*.example.com"]),
    ] {
        let mut wide = config.clone();
        wide["domains"] = domains;
        let answer = in_place
            .post("/v1/token/create", json!({"config": wide}))
            .await;
        answer.refused(403, "DOMAIN_NOT_ALLOWED");
    }
    // Nor do the sessions that it mints.
    for wide in [json!(["evil.example"]), json!(["*.example.com"])] {
        let body = json!({"allowedRoutes": ["bot/**"], "domains": wide});
        let answer = in_place.post("/v1/session/create", body).await;
        answer.refused(403, "DOMAIN_NOT_ALLOWED");
    }
    let body = json!({"allowedRoutes": ["bot/**"]});
    let minted = in_place.post("/v1/session/create", body).await.ok();
    assert_eq!(minted["domains"], json!(["example.com"]));
}

#[tokio::test]
async fn no_key_escapes_the_rate_of_its_maker() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let mut config = manages();
    config["rateLimit"] = json!({"requests": 4, "perSeconds": 3600});
    let maker = shop.key(config.clone()).await;
    let one = maker.make_key(json!({"config": config})).await;
    let two = one.make_key(json!({"config": config})).await;

    // Two of the four turns are taken, by the maker and by its key; the other two are shared.
    one.get("/v1/token/list").await.ok();
    two.get("/v1/token/list").await.ok();
    for key in [&maker, &one, &two] {
        key.get("/v1/token/list")
            .await
            .refused(429, "TOO_MANY_REQUESTS");
    }
}

#[tokio::test]
async fn no_line_is_deeper_than_eight() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let mut key = shop.key(manages()).await;
    for _ in 2..=8 {
        key = key.make_key(json!({"config": manages()})).await;
    }

    let answer = key
        .post("/v1/token/create", json!({"config": manages()}))
        .await;

    answer.refused(409, "CONFLICT");
}

#[tokio::test]
async fn no_secret_past_its_overlap_opens_reports_or_replays_anything() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let old = owner.make_key(json!({"config": manages()})).await;
    let minted = old
        .idempotent("one")
        .post("/v1/session/create", json!({"allowedRoutes": ["bot/**"]}))
        .await;
    minted.ok();
    let path = format!("/v1/token/{}/rotate", old.id);
    let made = owner
        .post(&path, json!({"overlapInSeconds": 60}))
        .await
        .ok();
    is_alive(&town, &old.token).await;

    town.advance_secs(60);

    is_dead(&town, &old.token).await;
    let replayed = old
        .idempotent("one")
        .post("/v1/session/create", json!({"allowedRoutes": ["bot/**"]}))
        .await;
    replayed.refused(401, "INVALID_API_KEY");
    let told = town
        .nobody()
        .post("/v1/token/report", json!({"secret": old.token}))
        .await;
    assert_eq!(told.ok(), json!({"revoked": false}));
    is_alive(&town, made["token"].as_str().unwrap()).await;
}
