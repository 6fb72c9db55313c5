//! `/v1/signing-key/…` and the published key sets.

use serde_json::{Value, json};

use crate::support::town::{Key, Town, jose_header};

/// For how long a key is published before it may sign: `max-age` of the key set, and a moment in
/// which other nodes learn of it.
const LEAD_SECS: i64 = 605;

async fn states(operator: &Key, environment: &str) -> Vec<(String, String)> {
    let list = operator.get("/v1/signing-key/list").await.ok();
    let items = list["items"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut states: Vec<(String, String)> = items
        .filter(|item| item["environment"] == environment)
        .map(|item| (text(&item["state"]), text(&item["algorithm"])))
        .collect();
    states.sort();
    states
}

async fn published(town: &Town, path: &str) -> Vec<String> {
    let set = town.nobody().get(path).await.ok();
    let keys = set["keys"].as_array().unwrap().iter();
    let mut kids: Vec<String> = keys
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect();
    kids.sort();
    kids
}

fn kid(token: &str) -> String {
    jose_header(token)["kid"].as_str().unwrap().to_owned()
}

const LIVE: &str = "/.well-known/jwks.json";

#[tokio::test]
async fn one_key_signs_and_a_next_one_is_published() {
    let town = Town::new().await;
    let operator = town.operator_key().await;
    for environment in ["live", "test"] {
        let expected = [("active", "ES256"), ("next", "ES256")];
        let expected = expected.map(|(state, alg)| (state.to_owned(), alg.to_owned()));
        assert_eq!(states(&operator, environment).await, expected);
    }
    let key = town.account("shop").await.full_key().await;
    let session = key.session(json!({"allowedRoutes": ["**"]})).await;
    let live = published(&town, LIVE).await;
    let test = published(&town, "/test/.well-known/jwks.json").await;
    assert_eq!(live.len(), 2);
    assert!(live.contains(&kid(&session.token)));
    assert!(live.iter().all(|kid| !test.contains(kid)));
    let set = town.nobody().get(LIVE).await.ok();
    for key in set["keys"].as_array().unwrap() {
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert_eq!(key.get(private), None);
        }
    }
}

#[tokio::test]
async fn a_key_set_is_cached_by_its_tag() {
    let town = Town::new().await;
    let answer = town.nobody().get(LIVE).await;
    answer.ok();
    assert_eq!(answer.header("cache-control"), Some("public, max-age=600"));
    let tag = answer.header("etag").unwrap().to_owned();
    for known in [tag.clone(), format!("\"other\", {tag}"), "*".to_owned()] {
        let again = town
            .nobody()
            .header("if-none-match", &known)
            .get(LIVE)
            .await;
        again.status(304);
        assert!(again.body.is_empty());
        assert_eq!(again.header("etag"), Some(&*tag));
    }
    let other = town
        .nobody()
        .header("if-none-match", "\"x\"")
        .get(LIVE)
        .await;
    other.ok();
    let operator = town.operator_key().await;
    town.advance_secs(LEAD_SECS);
    operator
        .post("/v1/signing-key/rotate", json!({}))
        .await
        .ok();
    let changed = town.nobody().header("if-none-match", &tag).get(LIVE).await;
    changed.ok();
    assert_ne!(changed.header("etag"), Some(&*tag));
}

#[tokio::test]
async fn tokens_of_a_retired_key_verify_until_they_are_over() {
    let town = Town::new().await;
    let operator = town.operator_key().await;
    let key = town.account("shop").await.full_key().await;
    let old = key
        .session(json!({"allowedRoutes": ["**"], "durationInSeconds": 86_400}))
        .await;
    // The next key is too young.
    let answer = operator
        .post("/v1/signing-key/rotate", json!({"environment": "live"}))
        .await;
    answer.refused(409, "CONFLICT");
    town.advance_secs(LEAD_SECS);
    operator
        .post("/v1/signing-key/rotate", json!({"environment": "live"}))
        .await
        .ok();
    let new = key.session(json!({"allowedRoutes": ["**"]})).await;
    assert_ne!(kid(&old.token), kid(&new.token));
    old.get("/v1/token/self/fetch").await.ok();
    let states = states(&operator, "live").await;
    let names: Vec<&str> = states.iter().map(|(state, _)| state.as_str()).collect();
    assert_eq!(names, ["active", "next", "retired"]);
    assert!(published(&town, LIVE).await.contains(&kid(&old.token)));

    town.advance_secs(86_400 + 3600);
    town.keep_signing_keys().await;
    assert!(!published(&town, LIVE).await.contains(&kid(&old.token)));
}

#[tokio::test]
async fn a_revoked_key_signs_nothing_and_verifies_nothing() {
    let town = Town::new().await;
    let operator = town.operator_key().await;
    let key = town.account("shop").await.full_key().await;
    let session = key.session(json!({"allowedRoutes": ["**"]})).await;
    let stolen = kid(&session.token);
    town.advance_secs(LEAD_SECS);
    let path = format!("/v1/signing-key/{stolen}/revoke");
    assert_eq!(operator.post(&path, json!({})).await.ok()["kid"], stolen);
    session
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_TOKEN");
    assert!(!published(&town, LIVE).await.contains(&stolen));
    let new = key.session(json!({"allowedRoutes": ["**"]})).await;
    assert_ne!(kid(&new.token), stolen);
    new.get("/v1/token/self/fetch").await.ok();
    operator
        .post(&path, json!({}))
        .await
        .refused(409, "CONFLICT");
    let answer = operator
        .post("/v1/signing-key/nonsense/revoke", json!({}))
        .await;
    answer.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_revocation_says_until_when_nothing_is_signed() {
    let town = Town::new().await;
    let operator = town.operator_key().await;
    let key = town.account("shop").await.full_key().await;
    let routes = json!({"allowedRoutes": ["**"]});
    let gap = async |state: &str| {
        let list = operator.get("/v1/signing-key/list").await.ok();
        let items = list["items"].as_array().unwrap();
        let of_state = |key: &&Value| key["environment"] == "live" && key["state"] == state;
        let found = items.iter().find(of_state).unwrap();
        (
            found["kid"].as_str().unwrap().to_owned(),
            found["unsignedUntil"].clone(),
        )
    };
    let until = town.now_ms() + LEAD_SECS * 1000;
    assert_eq!(gap("next").await.1, Value::Null);
    town.advance_secs(LEAD_SECS - 1);
    let (active, foreseen) = gap("active").await;
    assert_eq!(foreseen, json!(until));

    let path = format!("/v1/signing-key/{active}/revoke");
    let answer = operator.post(&path, json!({})).await.ok();

    assert_eq!(answer["unsignedUntil"], json!(until));
    town.nobody().get("/readyz").await.status(503);
    key.post("/v1/session/create", routes.clone())
        .await
        .status(503);
    // Until then the others are no way out, and say so.
    assert_eq!(gap("next").await.1, json!(until));
    town.advance_secs(1);
    town.nobody().get("/readyz").await.status(200);
    key.session(routes).await;

    town.advance_secs(LEAD_SECS);
    let (active, foreseen) = gap("active").await;
    assert_eq!(foreseen, Value::Null);
    let path = format!("/v1/signing-key/{active}/revoke");
    let answer = operator.post(&path, json!({})).await.ok();
    assert_eq!(answer.get("unsignedUntil"), None);
    town.nobody().get("/readyz").await.status(200);
}

#[tokio::test]
async fn the_algorithm_is_changed_by_rotation_and_every_token_goes_on_verifying() {
    let town = Town::new().await;
    let operator = town.operator_key().await;
    let key = town.account("shop").await.full_key().await;
    let body = json!({"allowedRoutes": ["**"], "durationInSeconds": 86_400});
    let mut sessions = vec![key.session(body.clone()).await];
    for algorithm in ["EdDSA", "RS256"] {
        // The next key has the old algorithm: it is replaced, and its successor needs its time.
        for _ in 0..2 {
            town.advance_secs(LEAD_SECS);
            let wish = json!({"environment": "live", "algorithm": algorithm});
            operator.post("/v1/signing-key/rotate", wish).await.ok();
        }
        sessions.push(key.session(body.clone()).await);
        let header = jose_header(&sessions.last().unwrap().token);
        assert_eq!(header["alg"], algorithm);
    }
    for session in &sessions {
        session.get("/v1/token/self/fetch").await.ok();
    }
    let set = town.nobody().get(LIVE).await.ok();
    let mut kinds: Vec<&str> = set["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kty"].as_str().unwrap())
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, ["EC", "OKP", "RSA"]);
    for wrong in ["HS256", "none", "es256", ""] {
        let answer = operator
            .post("/v1/signing-key/rotate", json!({"algorithm": wrong}))
            .await;
        answer.refused(400, "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn keys_are_rotated_by_the_clock() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    let before = key.session(json!({"allowedRoutes": ["**"]})).await;
    town.advance_secs(31 * 86_400);
    town.keep_signing_keys().await;
    let after = key.session(json!({"allowedRoutes": ["**"]})).await;
    assert_ne!(kid(&before.token), kid(&after.token));
}

#[tokio::test]
async fn the_metadata_of_an_environment_names_its_issuer_and_key_set() {
    let town = Town::new().await;
    let issuer = Town::issuer();
    for (path, environment) in [
        ("/.well-known/openid-configuration", issuer.to_owned()),
        ("/.well-known/oauth-authorization-server", issuer.to_owned()),
        (
            "/test/.well-known/openid-configuration",
            format!("{issuer}/test"),
        ),
        (
            "/.well-known/oauth-authorization-server/test",
            format!("{issuer}/test"),
        ),
    ] {
        let metadata = town.nobody().get(path).await.ok();
        assert_eq!(metadata["issuer"], environment);
        let keys = metadata["jwks_uri"].as_str().unwrap();
        assert_eq!(keys, format!("{environment}/.well-known/jwks.json"));
        let keys = keys.strip_prefix(issuer).unwrap();
        town.nobody().get(keys).await.ok();
    }
}
