//! Neither a clock that moves backwards nor a backup that was put back revives anything.

use hallpass::clock::ManualClock;
use serde_json::json;

use super::support::{is_active, is_alive, is_dead, is_ended};
use crate::support::town::Town;

const HOUR_MS: i64 = 3_600_000;

fn back(town: &Town, ms: i64) {
    town.advance_ms(-ms);
}

#[test]
fn the_manual_clock_moves_the_wall_backwards_alone() {
    use hallpass::clock::Clock as _;
    use hallpass::domain::time::Timestamp;
    let clock = ManualClock::at(Timestamp::from_millis(10));
    clock.advance_ms(-5);
    assert_eq!(clock.now().millis(), 5);
    assert_eq!(clock.monotonic_ms(), 0);
}

#[tokio::test]
async fn a_clock_that_moves_backwards_revives_nothing_that_was_ended() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let full = shop.full_key().await;
    let wanted = json!({"allowedRoutes": ["bot/**"], "renewableForInSeconds": 7200});
    let revoked = full.session(wanted.clone()).await;
    let deleted = shop
        .key(json!({"allowedRoutes": ["session/create", "bot/**"]}))
        .await;
    let of_deleted = deleted.session(json!({"allowedRoutes": ["bot/**"]})).await;
    let disabled = shop.full_key().await;
    let of_disabled = disabled.session(wanted.clone()).await;
    let of_branch = branch.full_key().await.session(wanted.clone()).await;
    town.advance_ms(HOUR_MS / 10);

    full.post(&format!("/v1/session/{}/revoke", revoked.id), json!({}))
        .await
        .ok();
    full.post(&format!("/v1/token/{}/delete", deleted.id), json!({}))
        .await
        .ok();
    full.post(
        &format!("/v1/token/{}/update", disabled.id),
        json!({"enabled": false}),
    )
    .await
    .ok();
    for end in ["suspend", "resume"] {
        full.post(&format!("/v1/user/{}/{end}", branch.id), json!({}))
            .await
            .ok();
    }
    back(&town, HOUR_MS / 10);

    for round in 0..2 {
        for session in [&revoked, &of_deleted, &of_disabled, &of_branch] {
            is_ended(&town, &session.token).await;
        }
        for key in [&deleted, &disabled] {
            is_dead(&town, &key.token).await;
        }
        if round == 0 {
            town.restart().await;
        }
    }
}

#[tokio::test]
async fn a_revocation_under_a_clock_that_went_backwards_takes_effect() {
    let town = Town::new().await;
    let full = town.account("shop").await.full_key().await;
    let session = full.session(json!({"allowedRoutes": ["bot/**"]})).await;
    let key = full.make_key(json!({"unrestricted": true})).await;
    let of_key = key.session(json!({"allowedRoutes": ["bot/**"]})).await;
    back(&town, 60_000);

    full.post(&format!("/v1/session/{}/revoke", session.id), json!({}))
        .await
        .ok();
    full.post(&format!("/v1/token/{}/delete", key.id), json!({}))
        .await
        .ok();
    town.advance_ms(60_000);

    is_ended(&town, &session.token).await;
    is_ended(&town, &of_key.token).await;
    is_dead(&town, &key.token).await;
}

#[tokio::test]
async fn a_secret_that_was_cut_stays_cut_when_the_clock_moves_backwards() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let full = shop.full_key().await;
    let old = shop.full_key().await;

    let path = format!("/v1/token/{}/rotate", old.id);
    full.post(&path, json!({"overlapInSeconds": 0})).await.ok();
    is_dead(&town, &old.token).await;
    back(&town, 1);

    is_dead(&town, &old.token).await;
    // Nor on a node that was started under such a clock.
    back(&town, HOUR_MS);
    town.restart().await;
    is_dead(&town, &old.token).await;
}

#[tokio::test]
async fn what_has_expired_stays_expired_when_the_clock_moves_backwards() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let full = shop.full_key().await;
    let end = town.now_ms() + 60_000;
    let key = shop
        .make_key(json!({"unrestricted": true, "expiresAt": end}))
        .await;
    let session = full
        .session(json!({"allowedRoutes": ["bot/**"], "durationInSeconds": 60}))
        .await;
    let old = shop.full_key().await;
    let path = format!("/v1/token/{}/rotate", old.id);
    full.post(&path, json!({"overlapInSeconds": 60})).await.ok();
    town.advance_secs(61);
    is_dead(&town, &key.token).await;
    is_dead(&town, &old.token).await;
    is_dead(&town, &session.token).await;

    back(&town, 30_000);

    is_dead(&town, &key.token).await;
    is_dead(&town, &old.token).await;
    is_dead(&town, &session.token).await;
}

#[tokio::test]
async fn a_revocation_is_not_forgotten_by_a_clock_that_leapt_forward_and_came_back() {
    let town = Town::new().await;
    let full = town.account("shop").await.full_key().await;
    let session = full
        .session(json!({"allowedRoutes": ["bot/**"], "durationInSeconds": 86_400}))
        .await;
    full.post(&format!("/v1/session/{}/revoke", session.id), json!({}))
        .await
        .ok();

    town.advance_ms(72 * HOUR_MS);
    town.app().prune().await.unwrap();
    back(&town, 72 * HOUR_MS);

    is_ended(&town, &session.token).await;
}

#[tokio::test]
async fn a_log_with_another_id_ends_every_token_of_the_old_one() {
    let town = Town::new().await;
    let full = town.account("shop").await.full_key().await;
    let wanted = json!({"allowedRoutes": ["bot/**"], "renewableForInSeconds": 3600});
    let session = full.session(wanted.clone()).await;

    town.sql("UPDATE change_head SET log_id = log_id + 1").await;
    town.advance_secs(2);

    is_ended(&town, &session.token).await;
    let fresh = full.session(wanted).await;
    assert!(is_active(&town, &fresh.token).await);
    town.restart().await;
    is_ended(&town, &session.token).await;
}

#[tokio::test]
async fn a_log_that_falls_back_is_answered_with_503_until_it_has_another_id() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let full = shop.full_key().await;
    let session = full
        .session(json!({"allowedRoutes": ["bot/**"], "renewableForInSeconds": 3600}))
        .await;
    full.post(&format!("/v1/session/{}/revoke", session.id), json!({}))
        .await
        .ok();
    town.poll().await;

    // A backup from before the revocation is put back, and nobody says so.
    town.sql("UPDATE change_head SET position = position - 1000")
        .await;
    town.sql("DELETE FROM change_log").await;

    // What a node knows is good for a second at most.
    for wait_ms in [2000, 0, 0] {
        town.advance_ms(wait_ms);
        for answer in [
            full.get("/v1/token/self/fetch").await,
            full.post("/v1/session/create", json!({"allowedRoutes": ["bot/**"]}))
                .await,
            full.post("/v1/token/create", json!({"unrestricted": true}))
                .await,
            full.post("/v1/session/verify", json!({"token": session.token}))
                .await,
        ] {
            answer.refused(503, "SERVICE_UNAVAILABLE");
        }
    }

    town.sql("UPDATE change_head SET log_id = log_id + 1").await;
    town.poll().await;
    is_alive(&town, &full.token).await;
    is_ended(&town, &session.token).await;
}

/// Whoever polls learns of it first, before anything is asked.
#[tokio::test]
async fn a_poll_that_sees_the_log_fall_back_renews_nothing() {
    let town = Town::new().await;
    let full = town.account("shop").await.full_key().await;
    is_alive(&town, &full.token).await;
    town.poll().await;
    town.sql("UPDATE change_head SET position = position - 1")
        .await;

    for _ in 0..2 {
        assert!(town.app().poll().await.is_err());
        let answer = full.get("/v1/token/self/fetch").await;
        answer.refused(503, "SERVICE_UNAVAILABLE");
    }
}

#[tokio::test]
async fn knowledge_that_is_too_old_and_cannot_be_renewed_is_answered_with_503() {
    let town = Town::new().await;
    let full = town.account("shop").await.full_key().await;
    let session = full.session(json!({"allowedRoutes": ["bot/**"]})).await;

    town.sql("ALTER TABLE change_head RENAME TO gone").await;
    town.advance_secs(2);

    for caller in [town.bearer(&full.token), town.bearer(&session.token)] {
        let answer = caller.get("/v1/token/self/fetch").await;
        let status = answer.status.as_u16();
        assert!([500, 503].contains(&status), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_poll_takes_a_change_that_passed_it_for_a_log_that_fell_back() {
    let town = Town::new().await;
    let full = town.account("shop").await.full_key().await;
    let mut polls = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let app = town.app();
        polls.spawn(async move {
            for _ in 0..150 {
                app.poll().await.unwrap();
            }
        });
    }

    for _ in 0..40 {
        full.post("/v1/user/self/update", json!({"name": "x"}))
            .await
            .ok();
    }

    while let Some(polled) = polls.join_next().await {
        polled.unwrap();
    }
    is_alive(&town, &full.token).await;
}
