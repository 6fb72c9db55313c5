//! `tests/vectors/tokens` at the doors of the server: none accepts what another one refuses.
//!
//! The town is given the keys of the corpus as retired signing keys, and the log and the account of
//! its tokens.

#![cfg(all(feature = "server", feature = "sqlite", feature = "postgres"))]

use std::path::Path;

use axum::http::HeaderValue;
use hallpass::store::signing_keys::{self, SigningKeyRow};
use serde_json::{Value, json};

use crate::support::town::{Answer, Key, Town};

/// All tokens come from one place, and each failure would slow down the next. That place may ask the
/// gate.
const SETTINGS: &str = "\
[limits]
failed_authentications = { requests = 100000, per_seconds = 1 }
[gate]
peers = [\"192.0.2.0/24\"]
";

fn read(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/tokens");
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

/// The token, which a large one builds of repeated texts.
fn token(vector: &Value) -> String {
    let Some(pieces) = vector.get("pieces") else {
        return vector["token"].as_str().unwrap().to_owned();
    };
    let piece = |piece: &Value| {
        if let Some(text) = piece.as_str() {
            return text.to_owned();
        }
        let times = usize::try_from(piece["times"].as_u64().unwrap()).unwrap();
        piece["repeat"].as_str().unwrap().repeat(times)
    };
    pieces.as_array().unwrap().iter().map(piece).collect()
}

/// A town that signed the tokens of the corpus, and a key that may ask about all tokens.
async fn town_of_the_corpus() -> (Town, Key) {
    let town = Town::with_settings(SETTINGS).await;
    let corpus = read("good.json");
    assert_eq!(corpus["issuer"], Town::issuer());
    assert_eq!(corpus["now"], town.now_ms() / 1000);
    let mut write = town.app().store.write().await.unwrap();
    for jwk in read("jwks.json")["keys"].as_array().unwrap() {
        let row = SigningKeyRow {
            kid: jwk["kid"].as_str().unwrap().to_owned(),
            environment: "live".to_owned(),
            algorithm: jwk["alg"].as_str().unwrap().to_owned(),
            state: "retired".to_owned(),
            public_jwk: jwk.to_string(),
            sealed_private: None,
            created_at: town.now_ms() - 200_000_000,
            activated_at: Some(town.now_ms() - 100_000_000),
            retired_at: Some(town.now_ms()),
            revoked_at: None,
        };
        signing_keys::insert(write.conn(), &row).await.unwrap();
    }
    write.commit().await.unwrap();
    town.sql("UPDATE change_head SET log_id = 0").await;
    // The account of its tokens, a child of the only one that there is.
    let child = town
        .sql(
            "INSERT INTO account (id, parent_id, depth, state, can_impersonate,
                 impersonation_policy, tag, child_tag, parent_tag, created_at, updated_at)
             SELECT 'usr_01hzy0000000000000000000aa', id, depth + 1, state, can_impersonate,
                 impersonation_policy, tag, child_tag, parent_tag, created_at, updated_at
             FROM account",
        )
        .await;
    assert_eq!(child, 1);
    town.restart().await;
    let inspector = town
        .operator_key()
        .await
        .make_key(
            json!({"config": {"allowedRoutes": ["session/verify"], "manage": ["introspect"]}}),
        )
        .await;
    (town, inspector)
}

/// The audience is asked by some doors only: that is another question, with tests of its own.
fn is_for_another(vector: &Value) -> bool {
    vector["claim"] == "aud" && vector["reason"] == "check_failed"
}

/// What those say who are asked about a token.
async fn opinions(key: &Key, token: &str) -> [Answer; 2] {
    [
        key.post("/v1/session/verify", json!({"token": token}))
            .await,
        key.post_form("/oauth2/introspect", &[("token", token)])
            .await,
    ]
}

#[tokio::test]
async fn those_who_are_asked_accept_every_good_token() {
    let (_town, inspector) = town_of_the_corpus().await;
    for vector in read("good.json")["tokens"].as_array().unwrap() {
        for answer in opinions(&inspector, &token(vector)).await {
            let told = answer.ok();
            assert_eq!(told["active"], true, "{}", vector["name"]);
            assert_eq!(told["jti"], vector["payload"]["jti"]);
        }
    }
}

#[tokio::test]
async fn those_who_are_asked_refuse_every_bad_token() {
    let (_town, inspector) = town_of_the_corpus().await;
    for vector in read("bad.json")["tokens"].as_array().unwrap() {
        // Those who are asked say for whom the token is, and leave it to the one who asks.
        if is_for_another(vector) {
            continue;
        }
        let token = token(vector);
        for answer in opinions(&inspector, &token).await {
            match answer.status.as_u16() {
                200 => assert_eq!(answer.ok(), json!({"active": false}), "{}", vector["name"]),
                // Too large to be read at all, empty, or with what no form may have.
                400 | 413 => {
                    let unreadable = token.is_empty() || token.contains(char::is_control);
                    assert!(unreadable || token.len() > 8_192, "{answer}");
                }
                _ => panic!("{}: {answer}", vector["name"]),
            }
        }
    }
}

#[tokio::test]
async fn nobody_gets_in_with_a_bad_token() {
    let (town, inspector) = town_of_the_corpus().await;
    let mut presented = 0;
    for vector in read("bad.json")["tokens"].as_array().unwrap() {
        let token = token(vector);
        // What no header can carry does not arrive.
        let arrives = HeaderValue::from_bytes(token.as_bytes()).is_ok();
        if !arrives || is_for_another(vector) {
            continue;
        }
        presented += 1;
        let bearer = town.bearer(&token);
        let self_asked = json!({"token": "x"});
        for answer in [
            bearer.post("/v1/session/renew", json!({})).await,
            bearer.post("/v1/session/verify", self_asked).await,
        ] {
            let status = answer.status.as_u16();
            assert!(
                [400, 401, 431].contains(&status),
                "{}: {answer}",
                vector["name"]
            );
        }
        let form = [
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            ("subject_token", token.as_str()),
            (
                "subject_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
        ];
        let answer = inspector.post_form("/oauth2/token", &form).await;
        let status = answer.status.as_u16();
        assert!(
            [400, 401, 403, 413].contains(&status),
            "{}: {answer}",
            vector["name"]
        );
    }
    assert!(presented > 900, "{presented}");
}

/// What the gate says about `GET /v1/bot/b1` with this token.
async fn gate(town: &Town, token: &str) -> Answer {
    let asked = json!({"credential": token, "method": "GET", "path": "/v1/bot/b1"});
    town.nobody().post("/v1/authorize", asked).await
}

#[tokio::test]
async fn the_gate_allows_nothing_with_a_bad_token() {
    let (town, _) = town_of_the_corpus().await;
    for vector in read("good.json")["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .take(3)
    {
        let answer = gate(&town, &token(vector)).await;
        assert_eq!(answer.ok()["allowed"], true, "{}: {answer}", vector["name"]);
    }
    for vector in read("bad.json")["tokens"].as_array().unwrap() {
        let token = token(vector);
        let answer = gate(&town, &token).await;
        match answer.status.as_u16() {
            200 => assert_eq!(
                answer.ok()["allowed"],
                false,
                "{}: {answer}",
                vector["name"]
            ),
            400 | 413 => {}
            _ => panic!("{}: {answer}", vector["name"]),
        }
    }
}
