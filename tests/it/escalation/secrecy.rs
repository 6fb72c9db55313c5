//! No secret is kept, logged or handed to anybody but the one to whom it was given.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::support::{is_alive, refused};
use crate::support::town::{Answer, Key, Session, Town};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hears all that this process logs, the threads of the database included.
fn listen(lines: &Lines) {
    let writer = lines.clone();
    let all = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(all).unwrap();
}

/// Runs one test of this program in a process of its own, as nextest does with each. `true` when
/// this is that process: what a process logs can be heard whole only where nothing else runs.
fn alone(test: &str) -> bool {
    if std::env::var_os("NEXTEST").is_some() {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let child = std::process::Command::new(program)
        .args(["--exact", test])
        .env("NEXTEST", "1")
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success() && out.contains("1 passed"), "{out}");
    false
}

/// As text, as hexadecimal and as base64, since blobs are dumped and logged so.
fn spellings(secret: &str) -> Vec<String> {
    use base64::Engine as _;
    let hex: String = secret.bytes().map(|byte| format!("{byte:02X}")).collect();
    let base64 = base64::engine::general_purpose::STANDARD.encode(secret);
    // The last characters of base64 depend on what follows.
    let base64 = base64.trim_end_matches('=');
    let base64 = base64[..base64.len() - 2].to_owned();
    vec![secret.to_owned(), hex.to_lowercase(), hex, base64]
}

#[track_caller]
fn holds_none(what: &str, text: &str, secrets: &[(String, String)]) {
    for (name, secret) in secrets {
        for spelling in spellings(secret) {
            assert!(!text.contains(&spelling), "{what} holds {name}: {spelling}");
        }
    }
}

#[tokio::test]
async fn no_secret_is_in_the_database_the_logs_the_errors_or_the_metrics() {
    let own_name =
        "escalation::secrecy::no_secret_is_in_the_database_the_logs_the_errors_or_the_metrics";
    if !alone(own_name) {
        return;
    }
    let lines = Lines::default();
    listen(&lines);
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop
        .child_with(json!({"email": "branch@example.com"}))
        .await;
    let mut secrets: Vec<(String, String)> = Vec::new();
    let mut told: Vec<Answer> = Vec::new();
    let idempotency = "an-idempotency-key-of-39-characters-x1";
    secrets.push(("the Idempotency-Key".to_owned(), idempotency.to_owned()));
    let master = [7_u8; 32];
    secrets.push((
        "the master key".to_owned(),
        String::from_utf8(master.to_vec()).unwrap(),
    ));

    // The whole life of keys and sessions.
    let full = shop.full_key().await;
    let created = full
        .idempotent(idempotency)
        .post("/v1/token/create", json!({"unrestricted": true}))
        .await;
    let key = Key::of(&town, &created.ok());
    let path = format!("/v1/token/{}/rotate", key.id);
    let rotated = full.idempotent(idempotency).post(&path, json!({})).await;
    let rotated = Key::of(&town, &rotated.ok());
    let wanted =
        json!({"allowedRoutes": ["bot/**"], "renewableForInSeconds": 3600, "data": {"a": 1}});
    let minted = full
        .idempotent(idempotency)
        .post("/v1/session/create", wanted.clone())
        .await;
    let session = Session::of(&town, &minted.ok());
    let replayed = full
        .idempotent(idempotency)
        .post("/v1/session/create", wanted.clone())
        .await;
    assert_eq!(replayed.ok(), minted.ok());
    let renewed = session.post("/v1/session/renew", json!({})).await;
    let renewed = Session::of(&town, &renewed.ok());
    let path = format!("/v1/user/{}/token/create", branch.id);
    let granted = full.idempotent(idempotency).post(&path, json!({})).await;
    let granted = Key::of(&town, &granted.ok());
    let acted = full
        .acting_as(&branch)
        .post("/v1/session/create", wanted)
        .await;
    let acted = Session::of(&town, &acted.ok());
    let form = [
        ("grant_type", "client_credentials"),
        ("client_secret", full.token.as_str()),
        ("allowed_routes", "[\"bot/**\"]"),
    ];
    let oauth = town.nobody().post_form("/oauth2/token", &form).await.ok();
    for (name, key) in [
        ("full", &full),
        ("key", &key),
        ("rotated", &rotated),
        ("granted", &granted),
    ] {
        secrets.push((format!("the key `{name}`"), key.token.clone()));
        let body = key.token.rsplit('_').next().unwrap();
        secrets.push((format!("the body of the key `{name}`"), body.to_owned()));
    }
    secrets.push((
        "the first key".to_owned(),
        town.first_key().await.token.clone(),
    ));
    let oauth = oauth["access_token"].as_str().unwrap();
    for token in [&session.token, &renewed.token, &acted.token, oauth] {
        let signature = token.rsplit('.').next().unwrap();
        secrets.push(("a token".to_owned(), token.to_string()));
        secrets.push(("a signature".to_owned(), signature.to_owned()));
    }

    // What is shown of them, and every kind of failure with them.
    let wrong = format!("{}x", full.token);
    for caller in [
        town.bearer(&wrong),
        town.bearer(&format!("{}x", session.token)),
        town.nobody().header(
            "authorization",
            &format!("Bearer {} {}", full.token, full.token),
        ),
        town.nobody()
            .header("authorization", &format!("Basic {}", full.token)),
        town.nobody().header("authorization", &full.token),
        full.header("authorization", &format!("Bearer {}", key.token)),
        full.header("x-runas-user-id", &key.token),
        full.header("x-runas-user-email", &key.token),
        full.header("origin", &key.token),
        full.header("x-project-id", &key.token),
        full.header("user-agent", "curl"),
        full.idempotent(idempotency).idempotent(idempotency),
        session.acting_as(&branch),
    ] {
        told.push(caller.get("/v1/token/self/fetch").await);
        told.push(caller.post("/v1/session/create", json!({})).await);
    }
    for caller in [&*full, &*granted] {
        for path in [
            "/v1/token/list",
            "/v1/session/list",
            "/v1/audit/list",
            "/v1/user/list",
        ] {
            told.push(caller.get(path).await);
        }
        told.push(
            caller
                .idempotent(idempotency)
                .post("/v1/session/create", json!({"x": 1}))
                .await,
        );
        told.push(
            caller
                .idempotent(idempotency)
                .post("/v1/session/create", json!({}))
                .await,
        );
        let report = json!({"secret": wrong});
        told.push(caller.post("/v1/token/report", report).await);
        let verify = json!({"token": session.token});
        told.push(caller.post("/v1/session/verify", verify).await);
    }
    let operator = town.operator_key().await;
    told.push(operator.get("/v1/signing-key/list").await);
    for path in ["/metrics", "/.well-known/jwks.json", "/healthz", "/readyz"] {
        told.push(town.nobody().get(path).await);
    }
    let report = json!({"secret": renewed.token});
    told.push(town.nobody().post("/v1/token/report", report).await);
    town.write_batches().await;
    town.app().prune().await.unwrap();
    town.keep_signing_keys().await;
    town.poll().await;
    let logged = String::from_utf8_lossy(&lines.0.lock().unwrap()).into_owned();
    assert!(logged.contains("request answered"), "nothing was heard");
    holds_none("the log", &logged, &secrets);
    for (table, rows) in town.database().await {
        holds_none(table, &rows.join("\n"), &secrets);
        // The beginning of an unsealed EC private key (PKCS#8).
        let dump = rows.join("\n").to_uppercase();
        assert!(
            !dump.contains("301306072A8648CE3D0201"),
            "{table} holds a private key"
        );
    }
    for answer in &told {
        let text = answer.text();
        // A session's id is no secret, and what the caller wrote itself is told to nobody else.
        holds_none(&answer.to_string(), &text, &secrets);
        assert!(!text.contains("\"d\":"), "a private key: {answer}");
        for (name, value) in &answer.headers {
            holds_none(name.as_str(), value.to_str().unwrap(), &secrets);
        }
    }
}

#[tokio::test]
async fn no_repetition_hands_a_secret_to_another_caller() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let branch = shop.child("branch").await;
    let other = town.account("other").await.full_key().await;
    let full = shop.full_key().await;
    let equal = shop.full_key().await;
    let body = json!({"allowedRoutes": ["bot/**"]});
    let mine = full
        .idempotent("one")
        .post("/v1/session/create", body.clone())
        .await
        .ok();

    for caller in [(*equal).clone(), (*other).clone(), full.acting_as(&branch)] {
        let answer = caller
            .idempotent("one")
            .post("/v1/session/create", body.clone())
            .await;
        assert_eq!(answer.header("idempotent-replayed"), None);
        assert_ne!(answer.ok()["token"], mine["token"]);
        assert_ne!(answer.ok()["id"], mine["id"]);
    }
    // Elsewhere it is another request.
    let answer = full
        .idempotent("one")
        .post("/v1/bot/b1/session/create", json!({}))
        .await;
    assert_ne!(answer.ok()["token"], mine["token"]);
    // The same caller gets it again, and nothing for another body.
    let answer = full
        .idempotent("one")
        .post("/v1/session/create", body)
        .await;
    assert_eq!(answer.header("idempotent-replayed"), Some("true"));
    assert_eq!(answer.ok(), mine);
    let answer = full
        .idempotent("one")
        .post("/v1/session/create", json!({"allowedRoutes": ["**"]}))
        .await;
    answer.refused(409, "CONFLICT");
}

#[tokio::test]
async fn no_repetition_is_answered_to_whom_would_be_refused_now() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let owner = shop.full_key().await;
    let config = json!({"allowedRoutes": ["token/**", "session/**", "bot/**"], "manage": ["tokens"], "cidrs": ["192.0.2.0/24"]});
    let key = shop.key(config.clone()).await;
    let mint = json!({"allowedRoutes": ["bot/**"]});
    let make = json!({ "config": config });
    key.idempotent("one")
        .post("/v1/session/create", mint.clone())
        .await
        .ok();
    key.idempotent("one")
        .post("/v1/token/create", make.clone())
        .await
        .ok();
    let again = async |caller: &crate::support::town::Caller| {
        for (path, body) in [("/v1/session/create", &mint), ("/v1/token/create", &make)] {
            let answer = caller.idempotent("one").post(path, body.clone()).await;
            refused(&answer);
            assert!(!answer.text().contains("_live_"), "{answer}");
        }
    };

    again(&key.address("198.51.100.7")).await;
    let path = format!("/v1/token/{}/update", key.id);
    let narrower = json!({"config": {"allowedRoutes": ["bot/**"]}});
    owner.post(&path, narrower).await.ok();
    again(&key).await;
    owner.post(&path, json!({"enabled": false})).await.ok();
    again(&key).await;
}

#[tokio::test]
async fn a_secret_is_shown_once() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let full = shop.full_key().await;
    let key = full.make_key(json!({"unrestricted": true})).await;

    for answer in [
        full.get("/v1/token/list").await,
        full.get(&format!("/v1/token/{}/fetch", key.id)).await,
        key.get("/v1/token/self/fetch").await,
        full.post(
            &format!("/v1/token/{}/update", key.id),
            json!({"name": "x"}),
        )
        .await,
        full.get("/v1/audit/list").await,
    ] {
        let text = answer.ok().to_string();
        assert!(!text.contains(&key.token));
        assert!(!text.contains(&key.token[8..40]), "{text}");
    }
    is_alive(&town, &key.token).await;
}

#[tokio::test]
async fn ids_hints_and_digests_are_no_credentials() {
    let town = Town::new().await;
    let shop = town.account("shop").await;
    let key = shop.full_key().await;
    let session = key.session(json!({"allowedRoutes": ["bot/**"]})).await;
    let shown = key.get("/v1/token/self/fetch").await.ok();
    let hint = shown["token"]["hint"].as_str().unwrap().to_owned();
    let digest = hallpass::domain::secret::KeyDigest::of(key.token.as_bytes());
    let hex: String = digest
        .as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();

    for credential in [
        key.id.as_str(),
        &shop.id,
        &session.id,
        &hex,
        &key.token[..key.token.len() - 1],
        &key.token[..key.token.len() - 6],
        &key.token.to_uppercase(),
    ] {
        let answer = town.bearer(credential).get("/v1/token/self/fetch").await;
        answer.refused(401, "INVALID_API_KEY");
    }
    let answer = town
        .nobody()
        .raw_header("authorization", format!("Bearer {hint}").as_bytes())
        .get("/v1/token/self/fetch")
        .await;
    answer.status(401);
}
