//! What races a revocation, a narrowing or a restore is born dead. Each race is run in both orders:
//! the request that was admitted first is held while the other is done, and the other way round.

use hallpass::app::api_keys::{NewToken, Rotation};
use hallpass::app::error::Error;
use hallpass::app::sessions::{MintOn, NewSession, Renewal};
use serde_json::{Value, json};

use super::support::{HOLDER, Held, MINT, TOKENS, as_child, hold, is_dead, is_ended, post};
use crate::support::town::{Account, Key, Session, Town};

fn wanted() -> NewSession {
    let body = json!({"allowedRoutes": ["bot/**"], "renewableForInSeconds": 3600});
    serde_json::from_value(body).unwrap()
}

/// Lets a held mint take effect. Its token.
async fn mint(town: &Town, held: &Held) -> Result<String, Error> {
    let Held { presented, caller } = held;
    let minted = town
        .app()
        .mint(caller, presented, MintOn::Large, wanted(), None)
        .await?;
    let answer = serde_json::to_value(&minted.answer).unwrap();
    Ok(answer["token"].as_str().unwrap().to_owned())
}

struct Street {
    town: Town,
    above: Key,
    shop: Account,
    /// Whoever may end the maker.
    owner: Key,
    /// What the key was made with.
    maker: Key,
    key: Key,
    branch: Account,
    branches: Key,
}

fn config() -> Value {
    json!({
        "allowedRoutes": ["token/**", "session/**", "bot/**", "user/**"],
        "manage": ["tokens"],
        "impersonation": true,
    })
}

async fn street() -> Street {
    let town = Town::new().await;
    let above = town.first_key().await;
    let shop = town.account("shop").await;
    let config = config();
    let owner = shop.full_key().await;
    let maker = owner.make_key(json!({ "config": config })).await;
    let key = maker.make_key(json!({ "config": config })).await;
    let branch = shop.child("branch").await;
    let branches = branch.full_key().await;
    Street {
        town,
        above,
        shop,
        owner,
        maker,
        key,
        branch,
        branches,
    }
}

/// Every way in which the right of `key` to act as `branch` ends.
#[derive(Debug, Clone, Copy)]
enum End {
    DeleteKey,
    DisableKey,
    NarrowKey,
    ShortenKey,
    CutSecret,
    Report,
    DeleteMaker,
    NarrowMaker,
    DisableMaker,
    CutMaker,
    SuspendAccount,
    DeleteAccount,
}

const ENDS: [End; 12] = [
    End::DeleteKey,
    End::DisableKey,
    End::NarrowKey,
    End::ShortenKey,
    End::CutSecret,
    End::Report,
    End::DeleteMaker,
    End::NarrowMaker,
    End::DisableMaker,
    End::CutMaker,
    End::SuspendAccount,
    End::DeleteAccount,
];

impl Street {
    async fn do_end(&self, end: End) {
        let key = |end: &str| format!("/v1/token/{}/{end}", self.key.id);
        let maker = |end: &str| format!("/v1/token/{}/{end}", self.maker.id);
        let narrower = json!({"config": {"allowedRoutes": ["token/**", "session/create"]}});
        let cut = json!({"overlapInSeconds": 0});
        let answer = match end {
            End::DeleteKey => self.owner.post(&key("delete"), json!({})).await,
            End::DisableKey => {
                let body = json!({"enabled": false});
                self.owner.post(&key("update"), body).await
            }
            End::NarrowKey => self.owner.post(&key("update"), narrower).await,
            End::ShortenKey => {
                let body = json!({"expiresAt": self.town.now_ms() + 1});
                self.owner.post(&key("update"), body).await
            }
            End::CutSecret => self.owner.post(&key("rotate"), cut).await,
            End::Report => {
                let body = json!({"secret": self.key.token});
                self.town.nobody().post("/v1/token/report", body).await
            }
            End::DeleteMaker => self.owner.post(&maker("delete"), json!({})).await,
            End::NarrowMaker => self.owner.post(&maker("update"), narrower).await,
            End::DisableMaker => {
                let body = json!({"enabled": false});
                self.owner.post(&maker("update"), body).await
            }
            End::CutMaker => self.owner.post(&maker("rotate"), cut).await,
            End::SuspendAccount => {
                let path = format!("/v1/user/{}/suspend", self.shop.id);
                self.above.post(&path, json!({})).await
            }
            End::DeleteAccount => {
                let path = format!("/v1/user/{}/delete", self.shop.id);
                self.above.post(&path, json!({})).await
            }
        };
        answer.ok();
    }

    fn minting(&self) -> hallpass::app::authorise::Presented {
        post(&self.town, &self.key.token, &["session", "create"], MINT)
    }
}

#[tokio::test]
async fn a_mint_that_races_an_end_is_born_dead() {
    for end in ENDS {
        let street = street().await;
        let held = hold(&street.town, street.minting()).await;

        street.do_end(end).await;
        let token = mint(&street.town, &held).await;

        match token {
            Ok(token) => is_ended(&street.town, &token).await,
            Err(error) => panic!("{end:?}: the mint relies on what it read: {error}"),
        }
        // On a node that has only the database, too.
        street.town.restart().await;
    }
}

#[tokio::test]
async fn a_mint_before_an_end_dies_with_it_and_one_after_it_is_not_made() {
    for end in ENDS {
        let street = street().await;
        let held = hold(&street.town, street.minting()).await;
        let token = mint(&street.town, &held).await.unwrap();

        street.do_end(end).await;

        is_ended(&street.town, &token).await;
        let after = street.town.app().admit(&street.minting()).await;
        match (end, after) {
            // The key goes on with less.
            (End::NarrowKey | End::ShortenKey, Ok(caller)) => {
                let presented = street.minting();
                let held = Held { presented, caller };
                let minted = mint(&street.town, &held).await;
                if matches!(end, End::NarrowKey) {
                    assert!(matches!(minted, Err(Error::Forbidden(_))), "{end:?}");
                }
            }
            (_, Ok(_)) => panic!("{end:?}: the key lives"),
            (_, Err(Error::Unauthenticated(_))) => {}
            (_, Err(error)) => panic!("{end:?}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_new_key_that_races_an_end_is_not_made() {
    for end in ENDS {
        let street = street().await;
        let town = &street.town;
        let presented = post(town, &street.key.token, &["token", "create"], TOKENS);
        let held = hold(town, presented).await;

        street.do_end(end).await;
        let before = town.database().await;
        let new: NewToken = serde_json::from_value(json!({ "config": config() })).unwrap();
        let made = town.app().create_token(&held.presented, new, None).await;

        assert!(made.is_err(), "{end:?}: {made:?}");
        let after = town.database().await;
        assert_eq!(after["api_key"], before["api_key"], "{end:?}");
        assert_eq!(after["api_key_secret"], before["api_key_secret"], "{end:?}");
    }
}

#[tokio::test]
async fn a_new_key_before_an_end_dies_with_it() {
    for end in ENDS {
        let street = street().await;
        let town = &street.town;
        let made = street.key.make_key(json!({ "config": config() })).await;
        let session = made.session(json!({"allowedRoutes": ["bot/**"]})).await;

        street.do_end(end).await;

        is_dead(town, &made.token).await;
        is_ended(town, &session.token).await;
    }
}

#[tokio::test]
async fn a_rotation_that_races_an_end_gives_no_secret() {
    for end in ENDS {
        let street = street().await;
        let town = &street.town;
        let path = ["token", street.key.id.as_str(), "rotate"];
        let held = hold(town, post(town, &street.key.token, &path, TOKENS)).await;

        street.do_end(end).await;
        let rotated = town
            .app()
            .rotate_token(&held.presented, &street.key.id, Rotation::default(), None)
            .await;

        match (end, rotated) {
            // It was narrowed and still governs itself.
            (End::NarrowKey | End::ShortenKey, _) => {}
            (_, Ok(rotated)) => panic!("{end:?}: {rotated:?}"),
            (_, Err(error)) => assert!(matches!(error, Error::Unauthenticated(_)), "{end:?}"),
        }
    }
}

#[tokio::test]
async fn a_renewal_that_races_an_end_is_born_dead_or_not_made() {
    let mut ends: Vec<Option<End>> = ENDS.into_iter().map(Some).collect();
    // `None` ends the session itself.
    ends.push(None);
    for end in ends {
        let street = street().await;
        let town = &street.town;
        let body = json!({"allowedRoutes": ["bot/**"], "renewableForInSeconds": 3600});
        let session = street.key.session(body).await;
        let presented = post(town, &session.token, &["session", "renew"], HOLDER);
        let held = hold(town, presented).await;

        match end {
            Some(end) => street.do_end(end).await,
            None => {
                let path = format!("/v1/session/{}/revoke", session.id);
                street.key.post(&path, json!({})).await.ok();
            }
        }
        let renewed = town
            .app()
            .renew(&held.caller, &held.presented, &Renewal::default())
            .await;

        if let Ok(renewed) = renewed {
            let answer = serde_json::to_value(&renewed.answer).unwrap();
            is_ended(town, answer["token"].as_str().unwrap()).await;
        }
    }
}

#[tokio::test]
async fn an_impersonated_mint_that_races_a_denial_is_born_dead() {
    for by_header in [true, false] {
        for deny in [true, false] {
            let street = street().await;
            let town = &street.town;
            let path: Vec<&str> = if by_header {
                vec!["session", "create"]
            } else {
                vec!["user", &street.branch.id, "session", "create"]
            };
            let presented = post(town, &street.key.token, &path, MINT);
            let presented = as_child(presented, &street.branch, by_header);
            let held = hold(town, presented.clone()).await;
            let early = mint(town, &hold(town, presented.clone()).await)
                .await
                .unwrap();

            if deny {
                let body = json!({"impersonationPolicy": "deny"});
                street
                    .branches
                    .post("/v1/user/self/update", body)
                    .await
                    .ok();
            } else {
                let body = json!({"canImpersonate": false});
                let path = format!("/v1/user/{}/update", street.shop.id);
                street.above.post(&path, body).await.ok();
            }

            let late = mint(town, &held).await.unwrap();
            is_ended(town, &early).await;
            is_ended(town, &late).await;
            let after = town.app().admit(&presented).await;
            assert!(matches!(after, Err(Error::Forbidden(_))), "{after:?}");
        }
    }
}

#[tokio::test]
async fn a_key_for_a_child_that_races_its_denial_is_not_made() {
    let street = street().await;
    let town = &street.town;
    let path = ["user", street.branch.id.as_str(), "token", "create"];
    let presented = post(town, &street.key.token, &path, TOKENS);
    let held = hold(town, as_child(presented, &street.branch, false)).await;

    let body = json!({"impersonationPolicy": "deny"});
    street
        .branches
        .post("/v1/user/self/update", body)
        .await
        .ok();
    let made = town
        .app()
        .create_token(&held.presented, NewToken::default(), None)
        .await;

    assert!(matches!(made, Err(Error::Forbidden(_))), "{made:?}");
}

#[tokio::test]
async fn a_mint_that_races_a_restore_is_born_dead() {
    let street = street().await;
    let town = &street.town;
    let held = hold(town, street.minting()).await;
    let early = mint(town, &hold(town, street.minting()).await)
        .await
        .unwrap();

    town.sql("UPDATE change_head SET log_id = log_id + 1").await;
    let late = mint(town, &held).await.unwrap();
    town.advance_secs(2);

    is_ended(town, &early).await;
    is_ended(town, &late).await;
    // What is minted after it is good.
    let token = mint(town, &hold(town, street.minting()).await)
        .await
        .unwrap();
    assert!(super::support::is_active(town, &token).await);
}

#[tokio::test]
async fn a_mint_on_one_node_that_races_a_revocation_on_another_is_born_dead() {
    let street = street().await;
    let other = street.town.second_node().await;
    let early = {
        let held = hold(
            &other,
            post(&other, &street.key.token, &["session", "create"], MINT),
        )
        .await;
        mint(&other, &held).await.unwrap()
    };
    let held = hold(
        &other,
        post(&other, &street.key.token, &["session", "create"], MINT),
    )
    .await;

    street.do_end(End::DeleteKey).await;
    let late = mint(&other, &held).await.unwrap();

    for token in [&early, &late] {
        is_ended(&street.town, token).await;
    }
    // The other node knows it within its bound, which is a second.
    other.advance_ms(1001);
    for token in [&early, &late] {
        is_ended(&other, token).await;
    }
    is_dead(&other, &street.key.token).await;
}

#[tokio::test]
async fn of_two_changes_neither_passes_the_other() {
    // Each of two equal keys deletes the other. Whoever is first wins, and the second is dead.
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let config = json!({"allowedRoutes": ["token/**"], "manage": ["tokens"]});
    let one = shop.key(config.clone()).await;
    let two = shop.key(config).await;

    let (at_two, at_one) = (
        format!("/v1/token/{}/delete", two.id),
        format!("/v1/token/{}/delete", one.id),
    );
    let (first, second) = tokio::join!(one.post(&at_two, json!({})), two.post(&at_one, json!({})),);

    let mut statuses = [first.status.as_u16(), second.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
}

#[tokio::test]
async fn a_revoked_family_stays_revoked_when_its_renewal_was_stored_later() {
    let street = street().await;
    let town = &street.town;
    let body = json!({"allowedRoutes": ["bot/**"], "renewableForInSeconds": 3600});
    let session: Session = street.key.session(body).await;
    let presented = post(town, &session.token, &["session", "renew"], HOLDER);
    let held = hold(town, presented).await;

    let path = format!("/v1/session/{}/revoke", session.id);
    street.key.post(&path, json!({})).await.ok();
    let renewed = town
        .app()
        .renew(&held.caller, &held.presented, &Renewal::default())
        .await;

    if let Ok(renewed) = renewed {
        let answer = serde_json::to_value(&renewed.answer).unwrap();
        let token = answer["token"].as_str().unwrap();
        is_ended(town, token).await;
        town.restart().await;
        is_ended(town, token).await;
    }
}
