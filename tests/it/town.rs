//! The harness itself: what the other tests take for granted.

#![cfg(all(feature = "server", feature = "sqlite", feature = "postgres"))]

use serde_json::json;

use crate::support::town::Town;

#[tokio::test]
async fn the_first_key_mints_a_session_and_everybody_is_who_they_are() {
    let town = Town::new().await;
    let first = town.first_key().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let till = shop
        .key(json!({"allowedRoutes": ["order/**", "session/create"]}))
        .await;

    let session = first.session(json!({"allowedRoutes": ["**"]})).await;
    assert_eq!(session.claims()["sub"], town.operator().id);
    let mine = till.get("/v1/token/self/fetch").await.ok();
    assert_eq!(mine["userId"], shop.id);
    let key = branch.full_key().await;
    let mine = key.get("/v1/token/self/fetch").await.ok();
    assert_eq!(mine["userId"], branch.id);
    town.operator_key()
        .await
        .get("/v1/signing-key/list")
        .await
        .ok();

    town.restart().await;
    session.get("/v1/token/self/fetch").await.ok();
    let other = town.second_node().await;
    other
        .bearer(&till.token)
        .get("/v1/token/self/fetch")
        .await
        .ok();
}

#[tokio::test]
async fn a_refused_request_leaves_the_database_as_it_was() {
    let town = Town::new().await;
    let till = town
        .account("shop")
        .await
        .key(json!({"allowedRoutes": ["order/**", "session/create"]}))
        .await;
    let before = town.database().await;

    let answer = till
        .post("/v1/session/create", json!({"allowedRoutes": ["**"]}))
        .await;

    answer.refused(403, "ROUTE_NOT_COVERED");
    assert_eq!(town.database().await, before);
}

#[tokio::test]
async fn what_one_node_ends_another_refuses_as_soon_as_it_has_read_the_log() {
    let town = Town::new().await;
    let other = town.second_node().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let key = owner.make_key(json!({"unrestricted": true})).await;
    let session = key.session(json!({"allowedRoutes": ["**"]})).await;
    let path = "/v1/token/self/fetch";
    other.bearer(&key.token).get(path).await.ok();
    other.bearer(&session.token).get(path).await.ok();
    owner
        .post(&format!("/v1/token/{}/delete", key.id), json!({}))
        .await
        .ok();
    other.poll().await;
    let dead = other.bearer(&key.token).get(path).await;
    dead.refused(401, "INVALID_API_KEY");
    let dead = other.bearer(&session.token).get(path).await;
    dead.refused(401, "INVALID_TOKEN");
}

#[tokio::test]
async fn a_node_that_has_not_read_the_log_for_a_while_reads_it_before_it_answers() {
    let town = Town::new().await;
    let other = town.second_node().await;
    let owner = town.account("shop").await.full_key().await;
    let session = owner.session(json!({"allowedRoutes": ["**"]})).await;
    let path = "/v1/token/self/fetch";
    other.bearer(&session.token).get(path).await.ok();
    owner
        .post(&format!("/v1/session/{}/revoke", session.id), json!({}))
        .await
        .ok();
    // The bound on what a node may not know.
    town.advance_ms(1001);
    let dead = other.bearer(&session.token).get(path).await;
    dead.refused(401, "INVALID_TOKEN");
}
