//! Who wants to be told that somebody acts for another is remembered, and heeded when it changes.

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
