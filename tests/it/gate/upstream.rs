//! The token for the API behind the gate.

use serde_json::{Value, json};

use super::support::{allowed, nginx, refused, town};
use crate::support::town::{Answer, Session, Town, claims, jose_header};

const TOKEN: &str = "token = { audience = \"https://inside.example\", duration_secs = 40 }\n";

fn token(answer: &Answer) -> String {
    allowed(answer);
    answer.header("x-auth-token").unwrap().to_owned()
}

async fn acting(town: &Town) -> (Answer, Session, String, String) {
    let shop = town.account("shop").await;
    let child = shop.child("branch").await;
    let key = shop.full_key().await;
    let answer = nginx(&key.acting_as(&child), "GET", "/v1/bot").await;
    let body = json!({"allowedRoutes": ["bot/**"], "permissions": ["bots:read"]});
    let minted = key.acting_as(&child).post("/v1/session/create", body).await;
    (answer, Session::of(town, &minted.ok()), child.id, shop.id)
}

#[tokio::test]
async fn the_upstream_gets_a_short_token_of_its_own_kind() {
    let town = town(&format!("default_permission = \"bots:read\"\n{TOKEN}")).await;
    let (answer, session, child, shop) = acting(&town).await;
    let now = town.now_ms() / 1000;

    let first = token(&answer);
    assert_eq!(jose_header(&first)["typ"], "hallpass-upstream+jwt");
    let told = claims(&first);
    assert_eq!(told["iss"], "https://hallpass.test");
    assert_eq!(told["aud"], "https://inside.example");
    assert_eq!(told["sub"], *child);
    assert_eq!(told["act"], json!({ "sub": shop }));
    assert_eq!(
        (&told["iat"], &told["exp"]),
        (&json!(now), &json!(now + 40))
    );
    assert!(told.get("sid").is_none() && told.get("scope").is_none());

    let second = token(&nginx(&session, "GET", "/v1/bot/b1").await);
    let told = claims(&second);
    assert_eq!(told["sid"], *session.id);
    assert_eq!(told["act"], json!({ "sub": shop }));
    assert_eq!(told["scope"], "bots:read");
}

#[tokio::test]
async fn a_token_for_the_upstream_opens_no_door_of_hallpass() {
    let town = town(TOKEN).await;
    let (answer, _, _, _) = acting(&town).await;
    let token = token(&answer);
    let holder = town.bearer(&token);
    let key = town.first_key().await;

    refused(
        &nginx(&holder, "GET", "/v1/bot").await,
        401,
        "INVALID_TOKEN",
    );
    for path in [
        "/v1/session/create",
        "/v1/session/renew",
        "/v1/authorize/explain",
        "/v1/bot/b1/session/create",
    ] {
        holder
            .post(path, json!({}))
            .await
            .refused(401, "INVALID_TOKEN");
    }
    for path in ["/v1/token/self/fetch", "/v1/session/list", "/v1/token/list"] {
        holder.get(path).await.refused(401, "INVALID_TOKEN");
    }
    let verified = key
        .post("/v1/session/verify", json!({"token": token}))
        .await
        .ok();
    assert_eq!(verified, json!({"active": false}));
    let form = [("token", token.as_str())];
    let told = key.post_form("/oauth2/introspect", &form).await.ok();
    assert_eq!(told, json!({"active": false}));
    let exchange = [
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
    key.post_form("/oauth2/token", &exchange)
        .await
        .refused(400, "invalid_grant");
    let reported = town
        .nobody()
        .post("/v1/token/report", json!({"secret": token}))
        .await;
    assert_eq!(reported.ok()["revoked"], false);
}

#[tokio::test]
async fn a_token_is_given_again_for_a_moment_and_only_for_the_same_caller() {
    let town = town(TOKEN).await;
    let shop = town.account("shop").await;
    let child = shop.child("branch").await;
    let (key, other) = (shop.full_key().await, shop.full_key().await);
    let ask =
        async |caller: &crate::support::town::Caller| token(&nginx(caller, "GET", "/v1/bot").await);

    let first = ask(&key).await;
    assert_eq!(ask(&key).await, first);
    assert_ne!(ask(&other).await, first);
    assert_ne!(ask(&key.acting_as(&child)).await, first);
    town.advance_secs(19);
    assert_eq!(ask(&key).await, first);
    // In the second half of its life there is another.
    town.advance_secs(1);
    let next = ask(&key).await;
    assert_ne!(next, first);
    assert_eq!(claims(&next)["exp"], json!(town.now_ms() / 1000 + 40));
}

#[tokio::test]
async fn a_token_never_outlives_its_credential_and_is_never_given_to_a_dead_one() {
    let town = town(TOKEN).await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let ends = town.now_ms() + 15_000;
    let body = json!({"unrestricted": true, "expiresAt": ends});
    let key = shop.make_key(body).await;
    let expiry = |answer: &Answer| -> Value { claims(&token(answer))["exp"].clone() };

    let answer = nginx(&key, "GET", "/v1/bot").await;
    assert_eq!(expiry(&answer), json!(ends / 1000));
    let session = owner
        .session(json!({"allowedRoutes": ["**"], "durationInSeconds": 10}))
        .await;
    let answer = nginx(&session, "GET", "/v1/bot").await;
    assert_eq!(expiry(&answer), json!(town.now_ms() / 1000 + 10));

    // What was remembered for an end that lies further away is not given for an earlier one.
    let long = shop.full_key().await;
    assert_eq!(
        expiry(&nginx(&long, "GET", "/v1/bot").await),
        json!(town.now_ms() / 1000 + 40)
    );
    let sooner = town.now_ms() + 5_000;
    let path = format!("/v1/token/{}/update", long.id);
    owner.post(&path, json!({"expiresAt": sooner})).await.ok();
    assert_eq!(
        expiry(&nginx(&long, "GET", "/v1/bot").await),
        json!(sooner / 1000)
    );

    owner
        .post(&format!("/v1/token/{}/delete", key.id), json!({}))
        .await
        .ok();
    refused(&nginx(&key, "GET", "/v1/bot").await, 401, "INVALID_API_KEY");
}

/// Tokens end at whole seconds, keys do not.
#[tokio::test]
async fn no_token_that_is_over_is_given_in_the_last_moment_of_a_key() {
    let town = town(TOKEN).await;
    let shop = town.account("shop").await;
    let ends = town.now_ms() / 1000 * 1000 + 15_900;
    let body = json!({"unrestricted": true, "expiresAt": ends});
    let key = shop.make_key(body).await;
    let whole = ends / 1000 * 1000;

    town.advance_ms(whole - 1 - town.now_ms());
    nginx(&key, "GET", "/v1/bot").await.status(200);
    town.advance_ms(1);

    refused(&nginx(&key, "GET", "/v1/bot").await, 401, "API_KEY_EXPIRED");
}

#[tokio::test]
async fn apis_that_ask_by_themselves_get_it_too() {
    let town = town(TOKEN).await;
    let key = town.account("shop").await.full_key().await;
    let question = json!({"credential": key.token, "method": "GET", "path": "/v1/bot"});

    let answer = town.nobody().post("/v1/authorize", question).await.ok();

    assert_eq!(
        claims(answer["token"].as_str().unwrap())["aud"],
        "https://inside.example"
    );
}
