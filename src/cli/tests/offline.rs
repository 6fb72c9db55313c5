//! Commands that ask no server, and those that are one.

use std::io;
use std::path::Path;

use serde_json::json;

use super::super::output::Format;
use super::{NOW, Ran, hallpass, hallpass_reading};
use crate::domain::id::{AccountId, KeyId, SessionId};
use crate::token::verify::SESSION_TYP;
use crate::token::{Algorithm, Claims, Jwks, PrivateKey, jws};

async fn on_a_terminal(args: &[&str]) -> Ran {
    hallpass_reading(
        args,
        Format::Table,
        &|_| Err(io::ErrorKind::NotFound.into()),
    )
    .await
}

#[tokio::test]
async fn serving_takes_its_settings_before_and_behind_the_command() {
    let cases: [(&[&str], &str); 5] = [
        (&[], "error: serve - - - -\n"),
        (
            &["--listen", "a", "--config", "c"],
            "error: serve a - - c\n",
        ),
        (
            &["--listen", "a", "serve", "--issuer", "i", "--config", "c"],
            "error: serve a i - c\n",
        ),
        (&["--config", "b", "serve"], "error: serve - - - b\n"),
        (
            &["init", "--keys-dir", "k", "--config", "c"],
            "error: init - - k c\n",
        ),
    ];
    for (args, message) in cases {
        let ran = hallpass(args).await;
        assert_eq!((ran.code, ran.err.as_str()), (3, message), "{args:?}");
    }
}

#[tokio::test]
async fn the_settings_file_is_not_the_config_of_a_key() {
    let args = [
        "--config",
        "hallpass.toml",
        "token",
        "create",
        "--config",
        r#"{"cidrs":[]}"#,
    ];

    let ran = hallpass(&args).await;

    assert_eq!(ran.json()["body"], json!({ "config": { "cidrs": [] } }));
}

#[tokio::test]
async fn signing_keys_are_rewrapped_on_the_database_only() {
    let rewrap = ["signing-key", "rewrap", "--new-master-key-file", "new.key"];

    let local = on_a_terminal(&rewrap).await;
    let remote = hallpass(&[&rewrap[..], &["--url", "http://127.0.0.1:1"]].concat()).await;

    assert_eq!((local.code, local.out.as_str()), (0, "rewrapped  3\n"));
    assert_eq!(remote.code, 2);
}

#[tokio::test]
async fn covers_shows_what_is_not_covered() {
    let covered = [
        "routes",
        "covers",
        "--ceiling",
        "bot/*",
        "bot/*/**",
        "--wanted",
        "bot/**",
    ];
    let wider = [
        "routes",
        "covers",
        "--ceiling",
        "GET bot/**",
        "--wanted",
        "bot/*",
    ];

    assert_eq!(hallpass(&covered).await.json(), json!({ "covered": true }));
    assert_eq!(on_a_terminal(&covered).await.out, "covered\n");
    let refused = on_a_terminal(&wider).await;
    assert_eq!(refused.code, 1);
    assert!(refused.out.starts_with("not covered: `"), "{refused:?}");
    let refused = hallpass(&wider).await;
    assert_eq!(refused.code, 1);
    assert_eq!(refused.json()["covered"], false);
    assert!(refused.json()["counterExample"]["path"].is_string());
}

#[tokio::test]
async fn match_names_the_pattern() {
    let cases: [(&[&str], u8, &str); 6] = [
        (
            &[
                "--pattern",
                "a/*",
                "--pattern",
                "bot/*/fetch",
                "/v1/bot/b1/fetch",
            ],
            0,
            "`bot/*/fetch` matches GET bot/b1/fetch\n",
        ),
        (
            &["--pattern", "POST bot/**", "--method", "POST", "bot/b1"],
            0,
            "`POST bot/**` matches POST bot/b1\n",
        ),
        (
            &["--pattern", "POST bot/**", "bot/b1"],
            1,
            "no pattern matches GET bot/b1\n",
        ),
        (
            &["--pattern", "bot/**", "--mount", "/v2", "/v2/bot/b1"],
            0,
            "`bot/**` matches GET bot/b1\n",
        ),
        (
            &["--pattern", "v2/bot/**", "/v2/bot/b1"],
            0,
            "`v2/bot/**` matches GET v2/bot/b1\n",
        ),
        (&["--pattern", "**", "/v1/bot/../x"], 1, "refused: "),
    ];
    for (args, code, text) in cases {
        let ran = on_a_terminal(&[&["routes", "match"], args].concat()).await;
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
        assert!(ran.out.starts_with(text), "{args:?}: {ran:?}");
    }
}

#[tokio::test]
async fn a_bad_pattern_is_a_wrong_argument() {
    let ran = hallpass(&["routes", "match", "--pattern", "bot/{a,b}", "bot/a"]).await;

    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(
        ran.err.starts_with("error: --pattern `bot/{a,b}`: "),
        "{ran:?}"
    );
}

#[tokio::test]
async fn completions_are_made_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = hallpass(&["completions", shell]).await;
        assert_eq!(ran.code, 0, "{shell}");
        assert!(ran.out.contains("signing-key"), "{shell}");
    }
}

const ISSUER: &str = "https://auth.example";

/// A token that lives for another 100 seconds, and the key set that has its key.
fn token_and_keys() -> (String, String) {
    let key = PrivateKey::generate(Algorithm::Es256).unwrap();
    let iat = NOW.secs_floor() - 100;
    let claims = Claims {
        iss: ISSUER.to_owned(),
        sub: AccountId::parse("usr_01hzy0000000000000000000aa").unwrap(),
        aud: "https://api.example".to_owned(),
        iat,
        nbf: iat,
        exp: iat + 200,
        jti: SessionId::parse("ses_01hzy0000000000000000000cc").unwrap(),
        client_id: KeyId::parse("key_01hzy0000000000000000000dd").unwrap(),
        act: None,
        allowed_routes: vec!["bot/**".to_owned()],
        scope: None,
        bindings: None,
        domains: None,
        lin: "AAAAAAAAAAA".to_owned(),
        rev: "AAAAAAAAAAA.1900000000000000".to_owned(),
        data: None,
        cnf: None,
    };
    let token = jws::sign_compact(SESSION_TYP, &claims.to_json().unwrap(), &key).unwrap();
    let jwks = Jwks::new([key.public().jwk()]).render().unwrap();
    (token, String::from_utf8(jwks.body).unwrap())
}

async fn verify(token: &str, keys: &str, args: &[&str], format: Format) -> Ran {
    let read = |path: &Path| match path.to_str() {
        Some("jwks.json") => Ok(keys.to_owned()),
        Some("-") => Ok(format!("{token}\n")),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let args = [&["verify", "-", "--jwks", "jwks.json"], args].concat();
    hallpass_reading(&args, format, &read).await
}

#[tokio::test]
async fn a_good_token_passes_every_check() {
    let (token, keys) = token_and_keys();

    let ran = verify(&token, &keys, &[], Format::Table).await;

    assert_eq!(ran.code, 0, "{ran:?}");
    insta::assert_snapshot!(ran.out, @r"
    CHECK       OUTCOME    REASON
    form        passed     -
    type        passed     -
    key         passed     -
    signature   passed     -
    claims      passed     -
    issuer      not asked  -
    audience    not asked  -
    lifetime    passed     -
    issued_at   passed     -
    not_before  passed     -
    expiry      passed     -
    unbound     passed     -

    iss            https://auth.example
    sub            usr_01hzy0000000000000000000aa
    aud            https://api.example
    iat            2030-03-17T17:45:00Z
    nbf            2030-03-17T17:45:00Z
    exp            2030-03-17T17:48:20Z
    jti            ses_01hzy0000000000000000000cc
    client_id      key_01hzy0000000000000000000dd
    allowedRoutes  bot/**
    lin            AAAAAAAAAAA
    rev            AAAAAAAAAAA.1900000000000000

    valid; whether it was revoked is not known here
    ");
}

#[tokio::test]
async fn checks_that_were_asked_for_are_made() {
    let (token, keys) = token_and_keys();
    let good = [
        "--issuer",
        ISSUER,
        "--audience",
        "x",
        "--audience",
        "https://api.example",
    ];

    let passed = verify(&token, &keys, &good, Format::Json).await;
    let issuer = verify(
        &token,
        &keys,
        &["--issuer", "https://b.example"],
        Format::Json,
    )
    .await;
    let audience = verify(&token, &keys, &["--audience", "x"], Format::Json).await;

    let outcome = |ran: &Ran, check: &str| {
        let checks = ran.json()["checks"].as_array().unwrap().clone();
        let found = checks.iter().find(|row| row["check"] == check).unwrap();
        found["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (passed.code, outcome(&passed, "issuer").as_str()),
        (0, "passed")
    );
    assert_eq!(outcome(&passed, "audience"), "passed");
    assert_eq!(
        (issuer.code, outcome(&issuer, "issuer").as_str()),
        (1, "failed")
    );
    assert_eq!(
        (audience.code, outcome(&audience, "audience").as_str()),
        (1, "failed")
    );
    assert_eq!(issuer.json()["code"], "claim_refused");
}

#[tokio::test]
async fn a_token_of_another_key_is_refused_and_its_claims_are_not_shown() {
    let (token, _) = token_and_keys();
    let (_, other_keys) = token_and_keys();

    let ran = verify(&token, &other_keys, &[], Format::Json).await;

    assert_eq!(ran.code, 1);
    assert_eq!(ran.json()["code"], "key_unknown");
    assert_eq!(ran.json()["claims"], json!(null));
}

#[tokio::test]
async fn verify_needs_to_know_where_the_keys_are() {
    let ran = hallpass(&["verify", "eyJ.a.b"]).await;
    let not_keys = verify("eyJ.a.b", "{}", &[], Format::Json).await;

    assert_eq!(
        (ran.code, ran.err.as_str()),
        (2, "error: give --jwks or --issuer\n")
    );
    assert_eq!(not_keys.code, 3);
    assert!(
        not_keys
            .err
            .starts_with("error: the key set cannot be used"),
        "{not_keys:?}"
    );
}

const GATE: &str = "\
[gate]
default_permission = \"admin\"
[[gate.routes]]
route = \"bot/{bot}/**\"
[[gate.routes]]
route = \"bot/**\"
permission = \"bots:write\"
[[gate.routes]]
route = \"GET bot/*/fetch\"
permission = \"bots:read\"
";

async fn with_file(text: &'static str, format: Format) -> Ran {
    let read = |path: &Path| {
        if path == Path::new("gate.toml") {
            Ok(text.to_owned())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    };
    let args = ["--config", "gate.toml", "routes", "table"];
    hallpass_reading(&args, format, &read).await
}

#[tokio::test]
async fn the_table_of_the_gate_is_printed_and_rules_that_never_count_are_found() {
    let ran = with_file(GATE, Format::Json).await;

    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(
        ran.json(),
        json!({
            "rules": [
                {"route": "bot/{bot}/**", "permission": null, "binds": ["bot"], "reach": "reached"},
                {"route": "bot/**", "permission": "bots:write", "binds": [], "reach": "reached"},
                {"route": "GET bot/*/fetch", "permission": "bots:read", "binds": [], "reach": "never"},
            ],
            "defaultPermission": "admin",
        })
    );
    assert!(ran.err.contains("never"), "{ran:?}");
    let ran = with_file(GATE, Format::Table).await;
    assert!(ran.out.ends_with("other routes need `admin`\n"), "{ran:?}");

    let ran = with_file("", Format::Table).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = with_file("[gate]\nmount = \"v1\"\n", Format::Table).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("setting `gate.mount`"), "{ran:?}");
}
