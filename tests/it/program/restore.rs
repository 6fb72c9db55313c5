//! A backup is put back: what was revoked after it is not alive again. And `hallpass doctor`, and
//! an export that is checked without a server.

use std::path::Path;

use serde_json::{Value, json};

use super::process::{Place, Server, chmod};
use crate::support::database::Kind;

const MINT: &str = "/v1/session/create";

fn everything() -> Value {
    json!({"allowedRoutes": ["**"]})
}

fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap().to_owned()
}

/// The file of the database.
fn file(place: &Place) -> &Path {
    Path::new(place.database.url().strip_prefix("sqlite://").unwrap())
}

fn backup(place: &Place) {
    std::fs::copy(file(place), place.path("backup.db")).unwrap();
}

fn put_back(place: &Place) {
    std::fs::copy(place.path("backup.db"), file(place)).unwrap();
    for beside in ["-wal", "-shm"] {
        let beside = format!("{}{beside}", file(place).display());
        if Path::new(&beside).exists() {
            std::fs::remove_file(beside).unwrap();
        }
    }
}

fn alive(server: &Server, token: &str) -> bool {
    let answer = server.get("/v1/token/self/fetch", token);
    assert!([200, 401].contains(&answer.status), "{}", answer.status);
    answer.status == 200
}

struct Story {
    place: Place,
    kept: String,
    revoked: String,
    rotated: String,
    suspended: String,
    session: String,
}

impl Story {
    /// What was alive in the backup; after it, all but one key lost something.
    fn new() -> Self {
        let (place, first) = Place::set_up(Kind::Sqlite).unwrap();
        place.write("hallpass.toml", "journal_file = \"journal.jsonl\"\n");
        let key = |account: Option<&str>| {
            let mut args = vec!["token", "create", "--unrestricted"];
            if let Some(account) = account {
                args.extend(["--account", account]);
            }
            place.json(&args)
        };
        let child = text(&place.json(&["account", "create", "--name", "kid"]), "id");
        let (revoked, rotated) = (key(None), key(None));
        let suspended = key(Some(&child));
        let server = place.serve();
        let session = server.post(MINT, &first, &everything());
        let session = text(&session.ok(), "token");
        server.stop();
        backup(&place);

        place.json(&["token", "delete", &text(&revoked, "id")]);
        place.json(&["token", "rotate", &text(&rotated, "id"), "--overlap", "0"]);
        place.json(&["account", "suspend", &child]);
        put_back(&place);
        Self {
            kept: first,
            revoked: text(&revoked, "token"),
            rotated: text(&rotated, "token"),
            suspended: text(&suspended, "token"),
            session,
            place,
        }
    }
}

#[test]
fn with_a_journal_what_was_ended_since_stays_ended_and_the_rest_works() {
    let story = Story::new();
    let place = &story.place;
    let done = place.json(&["restore", "--journal", "journal.jsonl"]);
    assert_eq!(done["keysHeld"], 2, "{done}");
    assert_eq!(done["accountsSuspended"], 1);

    let server = place.serve();
    assert!(alive(&server, &story.kept));
    for ended in [
        &story.revoked,
        &story.rotated,
        &story.suspended,
        &story.session,
    ] {
        assert!(!alive(&server, ended));
    }
    let minted = server.post(MINT, &story.kept, &everything());
    assert!(alive(&server, &text(&minted.ok(), "token")));
    server.stop();
    let held = place.json(&["restore", "--list"]);
    assert_eq!(held["held"].as_array().unwrap().len(), 2);
}

#[test]
fn without_a_journal_no_key_works_until_it_is_confirmed() {
    let story = Story::new();
    let place = &story.place;
    let done = place.json(&["restore"]);
    assert_eq!(done["keysHeld"], 4, "{done}");
    let server = place.serve();
    for key in [
        &story.kept,
        &story.revoked,
        &story.rotated,
        &story.suspended,
        &story.session,
    ] {
        assert!(!alive(&server, key));
    }
    server.stop();

    let list = place.json(&["token", "list"]);
    let kept = list["items"].as_array().unwrap().iter();
    let kept = kept.rev().find(|key| key["name"] == "first key").unwrap();
    let confirmed = place.json(&["restore", "--confirm", kept["id"].as_str().unwrap()]);
    assert_eq!(confirmed["confirmed"], 1);
    let again = place.run(&["restore", "--confirm", kept["id"].as_str().unwrap()]);
    again.refused(3, &["nothing was confirmed"]);
    let server = place.serve();
    assert!(alive(&server, &story.kept));
    assert!(!alive(&server, &story.revoked));
    server.stop();
}

#[test]
fn a_journal_that_is_not_the_right_one_is_refused() {
    let (place, _) = Place::set_up(Kind::Sqlite).unwrap();
    place.write("young.jsonl", "");
    let ran = place.run(&["restore", "--journal", "young.jsonl"]);
    ran.refused(3, &["begins after the backup"]);
    let ran = place.run(&["restore", "--journal", "nowhere.jsonl"]);
    ran.refused(3, &["nowhere.jsonl"]);
    let ran = place.run(&["restore", "--url", "http://127.0.0.1:1"]);
    ran.refused(2, &["restore"]);
}

#[test]
fn an_export_is_checked_without_a_server_and_names_what_was_changed() {
    let (place, _) = Place::set_up(Kind::Sqlite).unwrap();
    for _ in 0..3 {
        place.json(&["token", "create", "--unrestricted"]);
    }
    place.json(&["audit", "export", "ledger.jsonl"]);
    let good = place.json(&["audit", "verify", "ledger.jsonl"]);
    assert_eq!(good["valid"], true);
    assert_eq!(good["entries"], 6, "{good}");
    let checkpoint = place.json(&["audit", "checkpoint"]);
    let known = format!("{}:{}", checkpoint["seq"], text(&checkpoint, "hash"));
    place.json(&["audit", "verify", "ledger.jsonl", "--known", &known]);

    let text = std::fs::read_to_string(place.path("ledger.jsonl")).unwrap();
    let changed = text.replacen("token.create", "token.delete", 1);
    place.write("changed.jsonl", &changed);
    let ran = place.run(&["audit", "verify", "changed.jsonl"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer["valid"], false);
    let problem = answer["problem"].as_str().unwrap();
    assert!(
        problem.contains("aud_") && problem.contains("changed"),
        "{problem}"
    );
    let exists = place.run(&["audit", "export", "ledger.jsonl"]);
    exists.refused(3, &["ledger.jsonl"]);
}

#[test]
fn the_doctor_finds_what_is_wrong_and_says_how_to_mend_it() {
    let (place, _) = Place::set_up(Kind::Sqlite).unwrap();
    let server = place.serve();
    // As the server sees itself from outside: by its own address.
    let url = server.url();
    let ran = place.run(&["doctor", "--issuer", &url]);
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    let state = |found: &Value, check: &str| {
        let checks = found["checks"].as_array().unwrap().iter();
        let states: Vec<String> = checks
            .filter(|one| one["check"] == check)
            .map(|one| text(one, "state"))
            .collect();
        states.join(" ")
    };
    assert_eq!(state(&found, "master key"), "ok", "{found:#}");
    assert_eq!(state(&found, "database"), "ok");
    assert_eq!(state(&found, "published keys"), "ok");
    // It runs with another issuer than this address.
    assert_eq!(state(&found, "public URL"), "fail");
    assert_eq!(ran.code, Some(1));
    server.stop();

    chmod(&place.master_key(), 0o644);
    let ran = place.run(&["doctor"]);
    assert_eq!(ran.code, Some(1));
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(found["healthy"], false);
    assert_eq!(state(&found, "master key"), "fail");
    assert!(ran.out.contains("chmod 600"));
    chmod(&place.master_key(), 0o600);

    let elsewhere = place.run(&["doctor", "--database-url", "sqlite://nowhere.db"]);
    let found: Value = serde_json::from_str(&elsewhere.out).unwrap();
    assert_eq!(state(&found, "database"), "fail");
    assert!(
        !place.path("nowhere.db").exists(),
        "the doctor makes nothing"
    );
}
