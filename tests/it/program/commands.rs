//! Every command of docs/cli.md, on the database and against a server.

use serde_json::Value;

use super::process::{PROGRAM, Place, Ran, Server, chmod, on_both, run};
use crate::support::database::Kind;

on_both!(
    every_management_command_works_on_the_database_and_against_a_server,
    sessions_are_minted_shown_renewed_checked_and_ended,
    rewrapped_signing_keys_open_with_the_new_master_key_only,
);

fn text(answer: &Value, name: &str) -> String {
    let value = answer[name].as_str();
    value
        .unwrap_or_else(|| panic!("{name}: {answer}"))
        .to_owned()
}

fn every_management_command_works_on_the_database_and_against_a_server(place: &Place) {
    let server = place.serve();
    let operator = place.json(&["token", "create", "--unrestricted", "--operator"]);
    place.write("operator.key", &text(&operator, "token"));
    let url = server.url();
    let local = |args: &[&str]| place.run(args);
    let remote = |args: &[&str]| {
        let to = ["--url", &url, "--key-file", "operator.key"];
        place.run(&[args, &to].concat())
    };

    manages(&local, "local");
    manages(&remote, "remote");

    // A child, with a key that is made for it and one of its own, which only the database gives.
    let child = place.json(&["account", "create", "--name", "kid"]);
    let child = text(&child, "id");
    let own = place.json(&["token", "create", "--unrestricted", "--account", &child]);
    let of_child = server.get("/v1/token/self/fetch", &text(&own, "token"));
    assert_eq!(of_child.ok()["userId"], child.as_str());
    let grandchild = place.json(&[
        "account", "create", "--parent", &child, "--name", "grandkid",
    ]);
    let listed = place.json(&["account", "list", "--account", &child]);
    assert_eq!(listed["items"][0]["id"], grandchild["id"]);
    let granted = remote(&["token", "create", "--user", &child, "--allow", "bot/**"]);
    let granted = text(&granted.json(), "token");
    let speaks = server.get("/v1/token/self/fetch", &granted);
    assert_eq!(speaks.ok()["userId"], child.as_str());
    remote(&["token", "list", "--account", &child]).refused(2, &["--account", "database only"]);
    server.stop();
}

/// Whether an answer has an item with this id.
fn has(list: &Value, id: &str) -> bool {
    let items = list["items"].as_array().unwrap();
    items.iter().any(|item| item["id"] == id)
}

fn manages(hallpass: &dyn Fn(&[&str]) -> Ran, name: &str) {
    let json = |args: &[&str]| hallpass(args).json();
    let email = format!("{name}@shop.example");

    let account = json(&["account", "create", "--name", name, "--email", &email]);
    let account = text(&account, "id");
    assert!(has(
        &json(&["account", "list", "--email", &email]),
        &account
    ));
    assert_eq!(json(&["account", "fetch", &account])["name"], name);
    json(&[
        "account", "update", &account, "--alias", "a", "--meta", "k=v",
    ]);
    let fetched = json(&["account", "fetch", &account]);
    assert_eq!(
        (&fetched["alias"], &fetched["meta"]["k"]),
        (&"a".into(), &"v".into())
    );
    json(&["account", "suspend", &account]);
    assert_eq!(json(&["account", "fetch", &account])["state"], "suspended");
    json(&["account", "resume", &account]);
    json(&["account", "update", "self", "--description", name]);
    assert_eq!(json(&["account", "fetch"])["description"], name);
    json(&["account", "delete", &account]);
    hallpass(&["account", "fetch", &account]).refused(1, &["Not found", "NOT_FOUND (404)"]);
    let root = json(&["account", "create", "--root", "--name", "another root"]);
    assert!(text(&root, "id").starts_with("usr_"));

    let made = json(&[
        "token",
        "create",
        "--template",
        "bot-session-create",
        "--placeholder",
        "botId=b1",
        "--name",
        name,
        "--expires-in",
        "30d",
    ]);
    let (key, secret) = (text(&made, "id"), text(&made, "token"));
    assert!(has(&json(&["token", "list", "--take", "100"]), &key));
    let fetched = json(&["token", "fetch", &key]);
    assert_eq!(
        fetched["config"]["allowedRoutes"][0],
        "bot/b1/session/create"
    );
    json(&[
        "token",
        "update",
        &key,
        "--name",
        "other",
        "--enabled",
        "true",
    ]);
    assert_eq!(json(&["token", "fetch", &key])["name"], "other");
    let rotated = json(&["token", "rotate", &key, "--overlap", "0"]);
    let rotated = text(&rotated, "token");
    assert_ne!(rotated, secret);
    assert_eq!(json(&["token", "report", &rotated])["revoked"], true);
    let again = hallpass(&["token", "report", &rotated]);
    assert_eq!((again.code, again.err.as_str()), (Some(1), ""));
    let made = json(&["token", "create", "--unrestricted"]);
    let key = text(&made, "id");
    json(&["token", "delete", &key]);
    hallpass(&["token", "fetch", &key]).refused(1, &["NOT_FOUND"]);
    let templates = json(&["token", "templates"]);
    assert!(templates.to_string().contains("bot-session-create"));
    assert_eq!(json(&["token", "self"])["type"], "key");
    hallpass(&["token", "create"]).refused(1, &["(400)"]);
    let me = text(&json(&["account", "fetch"]), "id");
    let digest = format!("{:064x}", 0xfeed_u64 + u64::try_from(name.len()).unwrap());
    let import = [
        "token", "import", &digest, "--user", &me, "--allow", "bot/**",
    ];
    let imported = text(&json(&import), "id");
    assert!(imported.starts_with("key_"));
    hallpass(&import).refused(1, &["CONFLICT (409)"]);

    let keys = json(&["signing-key", "list"]);
    assert!(keys["items"].as_array().unwrap().len() >= 4, "{keys}");
    hallpass(&["signing-key", "rotate", "--environment", "live"])
        .refused(1, &["CONFLICT (409)", "published"]);
    let other = [
        "signing-key",
        "rotate",
        "--environment",
        "test",
        "--algorithm",
        "EdDSA",
    ];
    let next = json(&other);
    let next = text(&next, "kid");
    assert_eq!(
        json(&["signing-key", "revoke", &next])["kid"],
        next.as_str()
    );
    hallpass(&["signing-key", "revoke", &next]).refused(1, &["signing key"]);

    let ledger = json(&["audit", "list", "--all"]).to_string();
    for action in [
        "user.create",
        "user.suspend",
        "token.rotate",
        "token.delete",
    ] {
        assert!(ledger.contains(&format!("\"{action}\"")), "{action}");
    }
    let table = hallpass(&["token", "list", "--output", "table"]);
    assert!(table.out.starts_with("ID "), "{table:?}");
    let first = json(&["audit", "list", "--take", "1", "--order", "asc"]);
    assert_eq!(first["items"].as_array().unwrap().len(), 1);
}

fn sessions_are_minted_shown_renewed_checked_and_ended(place: &Place) {
    let server = place.serve();
    let key = server.announcement().key;
    let url = server.url();
    let remote = |args: &[&str]| {
        let mut command = place.hallpass(args);
        run(command.env("HALLPASS_URL", &url).env("HALLPASS_KEY", &key))
    };
    let minted = remote(&[
        "session",
        "create",
        "--allow",
        "bot/**",
        "--duration",
        "5m",
        "--renewable-for",
        "1h",
        "--data",
        "{\"seat\":1}",
    ]);
    let minted = minted.json();
    let (id, token) = (text(&minted, "id"), text(&minted, "token"));
    let of_bot = remote(&["session", "create", "--bot", "b1"]).json();
    assert_eq!(of_bot["id"], "b1");
    let table = remote(&["session", "create", "--bot", "b1", "--output", "table"]);
    let last = table.out.lines().last().unwrap();
    assert!(last.starts_with("eyJ"), "alone on the last line: {table:?}");

    assert!(has(&remote(&["session", "list"]).json(), &id));
    assert!(has(&place.json(&["session", "list", "--all"]), &id));
    assert_eq!(remote(&["session", "fetch", &id]).json()["state"], "active");
    assert_eq!(place.json(&["session", "fetch", &id])["state"], "active");
    assert_eq!(
        remote(&["session", "verify", &token]).json()["active"],
        true
    );
    assert_eq!(place.json(&["session", "verify", &token])["active"], true);
    let renewed = remote(&["session", "renew", &token]).json();
    let renewed_here = place.json(&["session", "renew", &token]);
    let renewed = [text(&renewed, "token"), text(&renewed_here, "token")];
    checks_with_published_keys(place, &server, &token);
    remote(&["session", "revoke", &id]).json();
    for token in renewed.iter().chain([&token]) {
        let dead = remote(&["session", "verify", token]);
        assert_eq!((dead.code, dead.err.as_str()), (Some(1), ""), "{dead:?}");
        assert_eq!(place.run(&["session", "verify", token]).code, Some(1));
    }
    assert_eq!(
        remote(&["session", "fetch", &id]).json()["state"],
        "revoked"
    );

    let without_key = place.run(&["session", "create", "--allow", "bot/**"]);
    without_key.refused(1, &["API key", "--url", "HALLPASS_KEY"]);
    place
        .run(&["session", "list", "--key", &key])
        .refused(2, &["--key needs --url"]);
    remote(&["session", "create"]).refused(1, &["ROUTES_REQUIRED (400)"]);
    let nobody = place.run(&["token", "list", "--url", &url]);
    nobody.refused(1, &["NOT_AUTHENTICATED (401)"]);
    let both = [
        "token",
        "list",
        "--url",
        &url,
        "--database-url",
        "sqlite://x.db",
    ];
    place.run(&both).refused(2, &["cannot be given together"]);
    server.stop();
    place
        .run(&["token", "list", "--url", &url, "--key", &key])
        .refused(3, &["cannot reach the server"]);
}

/// `hallpass verify`.
fn checks_with_published_keys(place: &Place, server: &Server, token: &str) {
    let claims = token.split('.').nth(1).unwrap();
    let jwks = format!("{}/.well-known/jwks.json", server.url());
    place.write("jwks.json", &server.get("/.well-known/jwks.json", "").body);

    for source in [jwks.as_str(), "jwks.json"] {
        let good = place.run(&["verify", token, "--jwks", source]);
        let good = good.json();
        assert_eq!(good["valid"], true, "{good}");
        let checks = good["checks"].as_array().unwrap();
        assert!(checks.len() >= 5, "{good}");
        assert_eq!(good["claims"]["data"]["seat"], 1);
        let table = place.run(&["verify", token, "--jwks", source, "--output", "table"]);
        assert_eq!(table.code, Some(0), "{table:?}");
        assert!(table.out.starts_with("CHECK "), "{table:?}");
        assert!(table.out.contains("\nvalid; "), "{table:?}");
    }
    let tampered = token.replacen(claims, &claims.replacen('e', "f", 1), 1);
    for (token, more) in [
        (tampered.as_str(), &[][..]),
        (token, &["--audience", "https://elsewhere.example"]),
        (token, &["--issuer", "https://elsewhere.example"]),
        ("eyJhbGciOiJub25lIn0.e30.", &[]),
    ] {
        let args = ["verify", token, "--jwks", "jwks.json"];
        let bad = place.run(&[&args, more].concat());
        assert_eq!(bad.code, Some(1), "{bad:?}");
        let answer: Value = serde_json::from_str(&bad.out).unwrap();
        assert_eq!(answer["valid"], false);
        assert!(answer["code"].is_string(), "{answer}");
        let failed = answer["checks"].as_array().unwrap().iter();
        let failed: Vec<&Value> = failed
            .filter(|check| check["outcome"] == "failed")
            .collect();
        assert_eq!(failed.len(), 1, "{answer}");
        assert!(failed[0]["reason"].is_string(), "{answer}");
    }
    place
        .run(&["verify", token])
        .refused(2, &["--jwks or --issuer"]);
    place
        .run(&["verify", token, "--jwks", "none.json"])
        .refused(2, &["none.json"]);
    let elsewhere = format!("{}/healthz", server.url());
    place
        .run(&["verify", token, "--jwks", &elsewhere])
        .refused(3, &["key set"]);
}

fn rewrapped_signing_keys_open_with_the_new_master_key_only(place: &Place) {
    assert_eq!(place.run(&["init"]).code, Some(0));
    let keys = place.json(&["signing-key", "list"]);
    let new = place.write("new.key", &"ab".repeat(32));
    chmod(&new, 0o644);
    let rewrap = ["signing-key", "rewrap", "--new-master-key-file", "new.key"];

    place.run(&rewrap).refused(3, &["chmod 600"]);
    chmod(&new, 0o600);
    let done = place.json(&rewrap);

    assert_eq!(done["rewrapped"], 4);
    place.run(&[]).refused(3, &["not the one that sealed"]);
    place.run(&rewrap).refused(3, &["not the one that sealed"]);
    let mut command = place.hallpass(&[]);
    let server = Server::start(command.env("HALLPASS_MASTER_KEY_FILE", &new));
    let after = server.get("/.well-known/jwks.json", "");
    let published: Vec<String> = after.ok()["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| text(key, "kid"))
        .collect();
    for kid in published {
        assert!(keys.to_string().contains(&kid), "{kid} is new");
    }
    server.stop();
    std::fs::copy(&new, place.master_key()).unwrap();
    assert_eq!(place.json(&["signing-key", "list"]), keys);
}

#[test]
fn routes_answers_without_a_database() {
    let place = Place::sqlite();

    let covers = |wanted: &str| {
        place.run(&[
            "routes",
            "covers",
            "--ceiling",
            "bot/*/fetch",
            "--wanted",
            wanted,
        ])
    };
    assert_eq!(covers("bot/b1/fetch").json()["covered"], true);
    let not = covers("bot/**");
    assert_eq!(not.code, Some(1));
    let not: Value = serde_json::from_str(&not.out).unwrap();
    assert!(
        not["counterExample"]["path"]
            .as_str()
            .unwrap()
            .starts_with("bot/"),
        "{not}"
    );
    covers("bot/[a]").refused(2, &["--wanted `bot/[a]`"]);

    let matches = |path: &str| place.run(&["routes", "match", "--pattern", "bot/*", path]);
    assert_eq!(matches("/v1/bot/b1").json()["pattern"], "bot/*");
    assert_eq!(matches("bot/b1/x").code, Some(1));
    assert_eq!(matches("/v1/bot/%2e%2e").code, Some(1));
}

#[test]
fn completions_are_scripts_that_their_shells_read() {
    let place = Place::sqlite();
    for (shell, mark) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef hallpass"),
        ("fish", "complete -c hallpass"),
    ] {
        let ran = place.run(&["completions", shell]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.out.contains(mark), "{shell}");
        assert!(ran.out.contains("signing-key"), "{shell}");
        place.write(&format!("hallpass.{shell}"), &ran.out);
    }
    let read = run(place.any("bash").args(["-n", "hallpass.bash"]));
    assert_eq!((read.code, read.err.as_str()), (Some(0), ""));
    place
        .run(&["completions", "cmd"])
        .refused(2, &["bash", "fish"]);
}

#[test]
fn help_names_the_variables_everywhere() {
    let place = Place::sqlite();
    let commands: [&[&str]; 9] = [
        &[],
        &["serve"],
        &["init"],
        &["account", "create"],
        &["token", "create"],
        &["session", "create"],
        &["signing-key", "rewrap"],
        &["audit", "list"],
        &["verify"],
    ];
    for command in commands {
        let ran = place.run(&[command, &["--help"]].concat());
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{command:?}");
        for name in [
            "HALLPASS_LISTEN",
            "HALLPASS_ISSUER",
            "HALLPASS_DATABASE_URL",
            "HALLPASS_KEYS_DIR",
            "HALLPASS_CONFIG",
            "HALLPASS_URL",
            "HALLPASS_KEY",
            "HALLPASS_KEY_FILE",
        ] {
            // Behind a command that has a `--config` of its own, the settings file has no flag.
            let is_own = name == "HALLPASS_CONFIG"
                && !command.is_empty()
                && !["serve", "init"].contains(&command[0]);
            assert!(
                is_own || ran.out.contains(name),
                "{command:?}: {name}\n{}",
                ran.out
            );
        }
    }
    let whole = place.run(&["--help"]);
    for name in [
        "HALLPASS_MASTER_KEY",
        "HALLPASS_MASTER_KEY_FILE",
        "HALLPASS_AUDIENCE",
        "HALLPASS_ALGORITHM",
        "HALLPASS_LOG",
        "HALLPASS_LOG_FORMAT",
    ] {
        assert!(whole.out.contains(name), "{name}");
    }
    let version = place.run(&["--version"]);
    assert_eq!(
        version.out,
        format!("hallpass {}\n", env!("CARGO_PKG_VERSION"))
    );
    place
        .run(&["no-such-command"])
        .refused(2, &["no-such-command"]);
    assert!(PROGRAM.ends_with("hallpass"));
}

#[test]
fn a_key_in_the_arguments_is_not_repeated() {
    let (place, key) = Place::set_up(Kind::Sqlite).unwrap();
    let server = place.serve();
    let spoilt = format!("{key} x");

    let ran = place.run(&["token", "list", "--url", &server.url(), "--key", &spoilt]);

    ran.refused(2, &["key", "no credential has"]);
    assert!(!ran.err.contains(&key), "{ran:?}");
    server.stop();
}
