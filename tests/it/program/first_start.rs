//! The first start and the second.

use serde_json::{Value, json};

use super::process::{Announcement, PROGRAM, Place, Server, mode, on_both, run};

on_both!(
    the_first_start_prints_one_key_that_works_and_the_second_prints_none,
    the_command_for_a_lost_key_works_beside_the_server,
    two_first_starts_at_once_make_one_of_everything,
);

fn states(signing_keys: &Value, environment: &str, state: &str) -> usize {
    let items = signing_keys["items"].as_array().unwrap();
    let found = items
        .iter()
        .filter(|key| key["environment"] == environment && key["state"] == state);
    found.count()
}

fn one_set_of_signing_keys(place: &Place) {
    let keys = place.json(&["signing-key", "list", "--all"]);
    for environment in ["live", "test"] {
        assert_eq!(states(&keys, environment, "active"), 1, "{keys}");
        assert_eq!(states(&keys, environment, "next"), 1, "{keys}");
    }
    assert_eq!(keys["items"].as_array().unwrap().len(), 4, "{keys}");
}

fn the_first_start_prints_one_key_that_works_and_the_second_prints_none(place: &Place) {
    let first = place.serve();
    let told = first.announcement();

    let pasted = run(place.any("bash").args(["-c", &told.curl]));
    let session = pasted.json();
    let token = session["token"].as_str().unwrap();
    assert!(token.starts_with("eyJ"), "{pasted:?}");
    assert!(told.curl.starts_with("curl "), "{told:?}");
    let verified = first.post("/v1/session/verify", &told.key, &json!({ "token": token }));
    assert_eq!(verified.ok()["active"], true);
    assert_eq!(mode(&place.path("keys")), 0o700);
    assert_eq!(mode(&place.master_key()), 0o600);
    one_set_of_signing_keys(place);
    let ran = first.stop();
    assert_eq!(ran.out, "", "all was printed once");
    assert!(!ran.err.contains(&told.key), "{}", ran.err);

    let second = place.serve();
    assert_eq!(second.get("/v1/user/self/fetch", &told.key).status, 200);
    let ran = second.stop();

    assert_eq!(ran.out, "");
    let master = std::fs::read_to_string(place.master_key()).unwrap();
    for secret in ["sk_live_", token, master.trim()] {
        assert!(!ran.err.contains(secret), "{}", ran.err);
    }
    one_set_of_signing_keys(place);
}

fn the_command_for_a_lost_key_works_beside_the_server(place: &Place) {
    let server = place.serve();
    let told = server.announcement();

    let made = run(place.any("bash").args(["-c", &told.another])).json();

    let key = made["token"].as_str().unwrap();
    assert_ne!(key, told.key);
    let minted = server.post(
        "/v1/session/create",
        key,
        &json!({ "allowedRoutes": ["bot/**"] }),
    );
    assert_eq!(minted.status, 200, "{minted:?}");
    server.stop();
}

#[test]
fn the_command_for_a_lost_key_repeats_the_flags() {
    let place = Place::sqlite();
    let database = "sqlite://other folder/it's.db";
    let flags = ["--database-url", database, "--keys-dir", "other keys"];
    let mut command = place.hallpass(&flags);
    let server = Server::start(command.env_remove("HALLPASS_DATABASE_URL"));
    let told = server.announcement();

    let mut shell = place.any("bash");
    let made = run(shell
        .args(["-c", &told.another])
        .env_remove("HALLPASS_DATABASE_URL"));

    let key = made.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(server.get("/v1/user/self/fetch", &key).status, 200);
    assert!(place.path("other folder/it's.db").exists());
    assert!(place.path("other keys/master.key").exists());
    assert!(!place.path("keys").exists());
    server.stop();
}

fn two_first_starts_at_once_make_one_of_everything(place: &Place) {
    let (one, two) = std::thread::scope(|scope| {
        let starts = [(); 2].map(|()| scope.spawn(|| place.serve()));
        let [one, two] = starts.map(|start| start.join().unwrap());
        (one, two)
    });
    one_set_of_signing_keys(place);
    let audit = place.json(&["audit", "list", "--all", "--action", "user.create"]);
    let printed = [one.stop().out, two.stop().out];

    let told: Vec<&String> = printed.iter().filter(|out| !out.is_empty()).collect();
    let [told] = told.as_slice() else {
        panic!("{printed:?}");
    };
    let told = Announcement::read(&told.lines().collect::<Vec<_>>());
    assert_eq!(audit["items"].as_array().unwrap().len(), 1, "{audit}");
    let server = place.serve();
    assert_eq!(server.get("/v1/user/self/fetch", &told.key).status, 200);
    server.stop();
}

#[test]
fn init_prints_the_key_and_serves_nothing() {
    let place = Place::sqlite();

    let first = place.run(&["init", "--listen", "0.0.0.0:8123"]);
    let second = place.run(&["init"]);

    assert_eq!(first.code, Some(0), "{first:?}");
    let lines: Vec<&str> = first.out.lines().collect();
    let told = Announcement::read(&lines);
    assert!(told.curl.contains("http://127.0.0.1:8123/"), "{told:?}");
    assert!(told.another.starts_with(PROGRAM), "{told:?}");
    assert!(!first.err.contains(&told.key), "{first:?}");
    assert_eq!((second.code, second.out.as_str()), (Some(0), ""));
    one_set_of_signing_keys(&place);
    let server = place.serve();
    assert_eq!(server.get("/v1/user/self/fetch", &told.key).status, 200);
    assert_eq!(server.stop().out, "");
}

#[test]
fn without_settings_all_is_in_the_working_directory() {
    let place = Place::sqlite();

    let ran = run(place
        .hallpass(&["init"])
        .env_remove("HALLPASS_DATABASE_URL")
        .env_remove("HALLPASS_ISSUER")
        .env_remove("HALLPASS_LISTEN"));

    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("http://127.0.0.1:8080/"), "{ran:?}");
    assert_eq!(mode(&place.path("data/hallpass.db")), 0o600);
    assert_eq!(mode(&place.master_key()), 0o600);
}

#[test]
fn other_commands_make_no_database() {
    let place = Place::sqlite();

    let ran = place.run(&["token", "list"]);

    ran.refused(3, &["was not set up", "hallpass init"]);
    assert!(!place.master_key().exists());
    let file = place.database.url().strip_prefix("sqlite://").unwrap();
    assert!(!std::path::Path::new(file).exists());
}

#[test]
fn the_issuer_follows_the_port_that_the_machine_chose() {
    let place = Place::sqlite();
    let server = Server::start(place.hallpass(&[]).env_remove("HALLPASS_ISSUER"));

    let metadata = server.get("/.well-known/openid-configuration", "").ok();

    assert_eq!(metadata["issuer"], server.url());
    server.stop();
}
