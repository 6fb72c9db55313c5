//! The harness itself: what the other tests take for granted.

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
