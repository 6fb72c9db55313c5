//! When a key was used last, as its owner is shown it.

use serde_json::json;

use super::tokens::item;
use crate::support::town::Town;

#[tokio::test]
async fn the_last_use_is_written_in_batches() {
    let town = Town::new().await;
    let owner = town.account("shop").await.full_key().await;
    let key = owner.make_key(json!({"unrestricted": true})).await;
    key.address("198.51.100.7")
        .header("user-agent", "till/1.0")
        .get("/v1/token/self/fetch")
        .await
        .ok();
    assert_eq!(item(&owner, &key.id).await.get("lastUsedAt"), None);
    let used_at = town.now_ms();
    town.advance_secs(5);
    town.write_batches().await;
    let shown = item(&owner, &key.id).await;
    assert_eq!(shown["lastUsedAt"], used_at);
    assert_eq!(shown["lastUsedAddress"], "198.51.100.7");
    assert_eq!(shown["lastUsedAgent"], "till/1.0");
    assert_eq!(shown["secrets"][0]["lastUsedAt"], used_at);
}

/// What could not be written is not lost: the next batch has it.
#[tokio::test]
async fn a_use_that_could_not_be_written_is_written_the_next_time() {
    let town = Town::new().await;
    let owner = town.account("shop").await.full_key().await;
    let key = owner.make_key(json!({"unrestricted": true})).await;
    key.get("/v1/token/self/fetch").await.ok();
    town.sql("ALTER TABLE api_key_secret RENAME TO elsewhere")
        .await;
    assert!(town.app().write_batches().await.is_err());
    town.sql("ALTER TABLE elsewhere RENAME TO api_key_secret")
        .await;
    assert_eq!(item(&owner, &key.id).await.get("lastUsedAt"), None);

    town.write_batches().await;

    assert!(item(&owner, &key.id).await["lastUsedAt"].is_i64());
}
