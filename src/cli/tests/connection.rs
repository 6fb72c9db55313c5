//! Where commands go, and what becomes of the answer.

use std::io;
use std::path::Path;

use axum::Router;
use axum::extract::{Query, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::collections::HashMap;

use super::super::output::Format;
use super::{hallpass, hallpass_reading};

/// A server for as long as the test runs.
async fn server(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(tokio::spawn(async move {
        axum::serve(listener, router).await.unwrap();
    }));
    format!("http://{address}")
}

fn json_of(value: &Value) -> (HeaderMap, String) {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    (headers, value.to_string())
}

#[tokio::test]
async fn a_server_is_given_the_key_and_the_body() {
    let url = server(Router::new().fallback(async |request: Request| {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 10_000).await.unwrap();
        let header = |name: &str| Some(parts.headers.get(name)?.to_str().ok()?.to_owned());
        json_of(&json!({
            "line": format!("{} {}", parts.method, parts.uri),
            "authorization": header("authorization"),
            "idempotencyKey": header("idempotency-key"),
            "contentType": header("content-type"),
            "body": String::from_utf8_lossy(&body),
        }))
    }))
    .await;
    let key_file = |path: &Path| match path.to_str() {
        Some("k.txt") => Ok("sk_live_file\n".to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };

    let create = [
        "token",
        "create",
        "--unrestricted",
        "--url",
        &url,
        "--key",
        "sk_live_x",
        "--idempotency-key",
        "once",
    ];
    let created = hallpass(&create).await;
    let list = ["token", "list", "--url", &url, "--key-file", "k.txt"];
    let listed = hallpass_reading(&list, Format::Json, &key_file).await;

    assert_eq!(
        created.json(),
        json!({
            "line": "POST /v1/token/create",
            "authorization": "Bearer sk_live_x",
            "idempotencyKey": "once",
            "contentType": "application/json",
            "body": r#"{"unrestricted":true}"#,
        })
    );
    assert_eq!(listed.json()["line"], "GET /v1/token/list");
    assert_eq!(listed.json()["authorization"], "Bearer sk_live_file");
    assert_eq!((created.code, created.err.as_str()), (0, ""));
}

#[tokio::test]
async fn a_refusal_is_told_in_words_and_exit_code_1() {
    let body = json!({
        "message": "no", "code": "NOT_AUTHORIZED",
        "error": { "code": "INSUFFICIENT_PERMISSIONS", "message": "not allowed", "required_scope": "bots:write" },
    });
    let url =
        server(Router::new().fallback(async move || (StatusCode::FORBIDDEN, json_of(&body)))).await;

    let ran = hallpass(&["token", "self", "--url", &url]).await;

    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    insta::assert_snapshot!(ran.err, @r"
    error: not allowed
      code               INSUFFICIENT_PERMISSIONS (403)
      needed permission  bots:write
    ");
}

#[tokio::test]
async fn an_answer_of_no_is_shown_and_exit_code_1() {
    let router = Router::new()
        .route(
            "/v1/session/verify",
            post(async || json_of(&json!({ "active": false }))),
        )
        .route(
            "/v1/token/report",
            post(async || json_of(&json!({ "revoked": false }))),
        );
    let url = server(router).await;

    let verify = hallpass(&["session", "verify", "eyJ.a.b", "--url", &url]).await;
    let report = hallpass(&["token", "report", "sk_live_x", "--url", &url]).await;

    assert_eq!(
        (verify.code, verify.json()),
        (1, json!({ "active": false }))
    );
    assert_eq!(
        (report.code, report.json()),
        (1, json!({ "revoked": false }))
    );
}

#[tokio::test]
async fn what_is_no_answer_of_hallpass_is_exit_code_3() {
    let moved = (
        StatusCode::FOUND,
        [(header::LOCATION, "https://other.example")],
    );
    let router = Router::new()
        .route("/v1/token/list", get(async move || moved))
        .route("/v1/session/list", get(async || "<html>"))
        .route(
            "/v1/audit/list",
            get(async || {
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    json_of(&json!({ "message": "later" })),
                )
            }),
        );
    let url = server(router).await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);

    let cases = [
        (
            "token",
            url.as_str(),
            "error: the server answers with a redirect (302)",
        ),
        (
            "session",
            &url,
            "error: the answer is not JSON (status 200)",
        ),
        ("audit", &url, "error: later\n  code  503\n"),
        ("token", &closed, "error: cannot reach the server: "),
    ];
    for (command, url, message) in cases {
        let ran = hallpass(&[command, "list", "--url", url, "--key", "sk_live_x"]).await;
        assert_eq!(ran.code, 3, "{command}: {ran:?}");
        assert!(ran.err.starts_with(message), "{command}: {ran:?}");
        assert!(!ran.err.contains("sk_live_x"), "{ran:?}");
    }
}

#[tokio::test]
async fn all_pages_become_one_list() {
    let page = async |Query(query): Query<HashMap<String, String>>| {
        assert_eq!(query.get("take").map(String::as_str), Some("1"));
        json_of(&match query.get("cursor").map(String::as_str) {
            None => json!({ "items": [{ "id": "key_1" }], "cursor": "a" }),
            Some("a") => json!({ "items": [{ "id": "key_2" }], "cursor": "b" }),
            Some(_) => json!({ "items": [{ "id": "key_3" }], "cursor": "b" }),
        })
    };
    let url = server(Router::new().route("/v1/token/list", get(page))).await;

    let args = ["token", "list", "--all", "--take", "1", "--url", &url];
    let json = hallpass(&args).await;
    let table = hallpass_reading(&args, Format::Table, &|_| unreachable!()).await;

    let ids = json!([{ "id": "key_1" }, { "id": "key_2" }, { "id": "key_3" }]);
    assert_eq!(json.json(), json!({ "items": ids, "cursor": "" }));
    assert_eq!(table.out.lines().count(), 4);
    assert_eq!(table.err, "");
}

#[tokio::test]
async fn flags_that_name_two_places_are_refused() {
    let cases: [(&[&str], &str); 6] = [
        (
            &[
                "--url",
                "http://127.0.0.1:1",
                "--database-url",
                "sqlite://x.db",
            ],
            "error: --url and --database-url cannot be given together\n",
        ),
        (
            &[
                "--url",
                "http://127.0.0.1:1",
                "--key",
                "a",
                "--key-file",
                "b",
            ],
            "error: --key and --key-file cannot be given together\n",
        ),
        (
            &["--url", "http://127.0.0.1:1", "--account", "usr_1"],
            "error: --account works on the database only; a server acts for the account of the key that it is given\n",
        ),
        (
            &["--key", "a"],
            "error: --key needs --url (or HALLPASS_URL)\n",
        ),
        (
            &["--key-file", "a"],
            "error: --key-file needs --url (or HALLPASS_URL)\n",
        ),
        (
            &["--url", "127.0.0.1"],
            "error: --url has to be http:// or https://, a host, and at most a path, without user or query\n",
        ),
    ];
    for (flags, message) in cases {
        let ran = hallpass(&[&["token", "list"], flags].concat()).await;
        assert_eq!((ran.code, ran.err.as_str()), (2, message), "{flags:?}");
    }
}

#[tokio::test]
async fn a_parent_is_not_for_servers() {
    let args = [
        "account",
        "create",
        "--parent",
        "usr_1",
        "--url",
        "http://127.0.0.1:1",
    ];

    let ran = hallpass(&args).await;

    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("works on the database only"), "{ran:?}");
}

#[tokio::test]
async fn a_key_is_never_repeated_in_an_error() {
    let key = "sk_live_ with a space";
    let args = ["token", "list", "--url", "http://127.0.0.1:1", "--key", key];

    let ran = hallpass(&args).await;

    assert_eq!(ran.code, 2);
    assert!(!ran.err.contains("sk_live"), "{ran:?}");
}
