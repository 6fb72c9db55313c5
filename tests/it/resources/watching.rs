//! Who wants to be told that somebody acts for another is remembered, and heeded when it changes; and
//! what is told is stored with the sessions of which it tells.

use serde_json::json;

use super::webhooks::{Hook, Scene};
use crate::support::receiver::Receiver;

/// Lets the parent mint for the child, and gives what the parent's receiver was told.
async fn told(scene: &Scene, above: &Receiver) -> Vec<String> {
    let child = format!("/v1/user/{}/session/create", scene.shop.id);
    let parent = scene.town.first_key().await;
    parent.post(&child, json!({})).await.ok();
    scene.town.deliver().await;
    let kinds = above.kinds();
    above.take();
    kinds
}

#[tokio::test]
async fn the_next_session_is_told_to_whoever_wants_it_by_then() {
    const TOLD: [&str; 1] = ["user.impersonated"];
    const NOT: [&str; 0] = [];
    let scene = Scene::new().await;
    let above = Receiver::new().await;
    assert_eq!(told(&scene, &above).await, NOT);
    assert_eq!(told(&scene, &above).await, NOT);

    let parent = scene.town.first_key().await;
    let hook = Hook::new(&parent, &above, json!({"events": TOLD})).await;
    assert_eq!(told(&scene, &above).await, TOLD);
    hook.post("delete", json!({})).await;
    assert_eq!(told(&scene, &above).await, NOT);

    let hook = Hook::new(&parent, &above, json!({"enabled": false})).await;
    assert_eq!(told(&scene, &above).await, NOT);
    for (change, expected) in [
        (json!({"enabled": true}), &TOLD[..]),
        (json!({"events": ["token.created"]}), &NOT),
        (json!({"clear": ["events"]}), &TOLD),
        (json!({"enabled": false}), &NOT),
    ] {
        hook.post("update", change.clone()).await;
        assert_eq!(told(&scene, &above).await, expected, "{change}");
    }
}

#[tokio::test]
async fn sessions_that_come_together_are_stored_each_with_what_is_told_of_it() {
    let scene = Scene::new().await;
    let above = Receiver::new().await;
    let parent = scene.town.first_key().await;
    Hook::new(&parent, &above, json!({"events": ["user.impersonated"]})).await;
    let child = format!("/v1/user/{}/session/create", scene.shop.id);

    let mints = (0..60).map(|number| {
        let (parent, owner, child) = (parent.clone(), scene.owner.clone(), child.clone());
        async move {
            if number % 3 == 0 {
                owner.session(json!({"allowedRoutes": ["**"]})).await;
                return None;
            }
            let made = parent.post(&child, json!({})).await.ok();
            Some(made["id"].as_str().unwrap().to_owned())
        }
    });
    let made = futures_util::future::join_all(mints).await;

    let mut acted: Vec<String> = made.into_iter().flatten().collect();
    acted.sort();
    assert_eq!(acted.len(), 40);
    while scene.town.deliver().await > 0 {}
    let mut told: Vec<String> = above
        .take()
        .iter()
        .map(|got| got.json()["data"]["sessionId"].as_str().unwrap().to_owned())
        .collect();
    told.sort();
    assert_eq!(told, acted);
}

#[tokio::test]
async fn a_session_is_not_stored_without_what_is_to_be_told_of_it_and_fails_no_other() {
    let scene = Scene::new().await;
    let above = Receiver::new().await;
    let parent = scene.town.first_key().await;
    Hook::new(&parent, &above, json!({})).await;
    let child = format!("/v1/user/{}/session/create", scene.shop.id);
    let rename = |from: &str, to: &str| format!("ALTER TABLE {from} RENAME TO {to}");
    let town = &scene.town;
    town.sql(&rename("webhook_event", "away")).await;

    let (acted, own) = tokio::join!(
        parent.post(&child, json!({})),
        scene.owner.session(json!({"allowedRoutes": ["**"]})),
    );

    town.sql(&rename("away", "webhook_event")).await;
    acted.refused(500, "INTERNAL_SERVER_ERROR");
    let list = scene.owner.get("/v1/session/list").await.ok();
    let ids: Vec<&str> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [&*own.id]);
    parent.post(&child, json!({})).await.ok();
}

#[tokio::test]
async fn sessions_that_come_together_are_not_kept_for_a_webhook_beyond_its_bound() {
    let scene = Scene::new().await;
    let above = Receiver::new().await;
    let parent = scene.town.first_key().await;
    let hook = Hook::new(&parent, &above, json!({"events": ["user.impersonated"]})).await;
    let child = format!("/v1/user/{}/session/create", scene.shop.id);
    parent.post(&child, json!({})).await.ok();
    let more = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9995)
        INSERT INTO webhook_delivery (id, webhook_id, event_id, subject, ordinal, state, attempts,
            due_at, created_at)
        SELECT 'dlv_' || CAST(i AS TEXT), webhook_id, event_id, CAST(i AS TEXT), ordinal, state,
            attempts, due_at, created_at
        FROM n, webhook_delivery";
    assert_eq!(scene.town.sql(more).await, 9_995);

    let mints = (0..30).map(|_| parent.post(&child, json!({})));
    for made in futures_util::future::join_all(mints).await {
        made.ok();
    }

    assert!(hook.shown().await["overflowedAt"].is_number());
    let waiting = "DELETE FROM webhook_delivery WHERE state = 'pending'";
    assert_eq!(scene.town.sql(waiting).await, 10_000);
}
