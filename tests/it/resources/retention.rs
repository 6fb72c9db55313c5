//! What the clock drops, and when: batch after batch, and nothing that is not sealed.

use serde_json::json;

use crate::support::town::{Key, Town};

const DAY_SECS: i64 = 86_400;
/// The columns of a session but for its id.
const OTHERS: &str = "family_id, account_id, parent_id, actor_id, key_id, environment, audience,
    issued_at, expires_at, renewable_until, family_tag, tags, log_id, position, request_id, address,
    detail";

async fn mint(key: &Key) {
    key.session(json!({"allowedRoutes": ["**"]})).await;
}

/// As if so many more had been minted like those that are there.
async fn many_sessions(town: &Town, count: u64) {
    let more = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
        INSERT INTO session (id, {OTHERS}) SELECT id || CAST(i AS TEXT), {OTHERS} FROM n, session"
    );
    assert_eq!(town.sql(&more).await, count);
}

#[tokio::test]
async fn all_sessions_that_are_long_over_are_dropped_at_once_however_many() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    mint(&key).await;
    many_sessions(&town, 1_300).await;
    town.advance_secs(91 * DAY_SECS);
    mint(&key).await;
    town.seal().await;

    town.app().prune().await.unwrap();

    assert_eq!(town.database().await["session"].len(), 1);
}

#[tokio::test]
async fn all_old_answers_and_deliveries_are_dropped_at_once_however_many() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    key.caller()
        .idempotent("once")
        .post(
            "/v1/token/create",
            json!({"config": {"allowedRoutes": ["**"]}}),
        )
        .await
        .ok();
    let rows: Vec<String> = (0..600_u16)
        .map(|i| town.blob(&i.to_be_bytes()))
        .map(|id| format!("({id}, {id}, {id}, 1)"))
        .collect();
    let rows = format!("INSERT INTO idempotency VALUES {}", rows.join(", "));
    town.sql(&rows).await;
    town.sql(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600)
        INSERT INTO webhook_event (id, kind, environment, body, created_at)
        SELECT 'evt_' || CAST(i AS TEXT), 'a', NULL, '{}', 0 FROM n",
    )
    .await;
    town.advance_secs(40 * DAY_SECS);

    town.app().prune().await.unwrap();

    let rows = town.database().await;
    assert_eq!(rows["idempotency"].len(), 0);
    assert_eq!(rows["webhook_event"].len(), 0);
}

#[tokio::test]
async fn no_session_is_dropped_that_may_not_be_sealed() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    town.seal().await;
    mint(&key).await;
    town.advance_secs(91 * DAY_SECS);

    town.app().prune().await.unwrap();
    assert_eq!(town.database().await["session"].len(), 1);

    town.seal().await;
    town.app().prune().await.unwrap();
    assert_eq!(town.database().await["session"].len(), 0);
}
