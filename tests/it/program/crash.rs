//! A process that is killed, and one that is told by another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use hallpass::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::process::{LONG, Place, on_both, send};

on_both!(
    what_was_acknowledged_outlives_a_kill,
    a_revocation_on_the_database_is_honoured_within_a_second,
);

const WRITERS: usize = 4;
const ACKNOWLEDGED: usize = 100;

fn ids(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect()
}

/// What one writer was told before the server was gone.
#[derive(Default)]
struct Told {
    accounts: Vec<String>,
    keys: Vec<(String, String)>,
    ended: Vec<(String, String)>,
}

fn what_was_acknowledged_outlives_a_kill(place: &Place) {
    let server = place.serve();
    let key = server.announcement().key;
    let address = server.address;
    let over = AtomicBool::new(false);
    let (acknowledge, acknowledged) = channel();

    let write = |acknowledge: std::sync::mpsc::Sender<()>| {
        let mut told = Told::default();
        let post = |path: &str, body: &Value| {
            let answer = send(address, "POST", path, &key, Some(body)).ok()?;
            assert_eq!(answer.status, 200, "{answer:?}");
            acknowledge.send(()).ok()?;
            Some(answer.json())
        };
        let text = |answer: &Value, name: &str| answer[name].as_str().unwrap().to_owned();
        while !over.load(Ordering::SeqCst) {
            let Some(account) = post("/v1/user/create", &json!({ "name": "shop" })) else {
                break;
            };
            told.accounts.push(text(&account, "id"));
            let Some(made) = post("/v1/token/create", &json!({ "unrestricted": true })) else {
                break;
            };
            let made = (text(&made, "id"), text(&made, "token"));
            told.keys.push(made.clone());
            if told.keys.len() % 2 == 0 {
                // Between the call and its answer it is not known whether the key lives.
                told.keys.pop();
                if post(&format!("/v1/token/{}/delete", made.0), &json!({})).is_none() {
                    break;
                }
                told.ended.push(made);
            }
        }
        told
    };
    let told: Vec<Told> = std::thread::scope(|scope| {
        let writers = [(); WRITERS].map(|()| {
            let acknowledge = acknowledge.clone();
            scope.spawn(|| write(acknowledge))
        });
        for _ in 0..ACKNOWLEDGED {
            acknowledged.recv_timeout(LONG).unwrap();
        }
        server.signal("KILL");
        over.store(true, Ordering::SeqCst);
        writers.map(|writer| writer.join().unwrap()).into()
    });
    assert_eq!(server.end().code, None, "killed");

    let server = place.serve();

    let accounts = place.json(&["account", "list", "--all"]);
    let keys = place.json(&["token", "list", "--all"]);
    let (accounts, keys) = (ids(&accounts), ids(&keys));
    let mut seen = 0;
    for told in &told {
        for id in &told.accounts {
            assert!(accounts.contains(&id.as_str()), "{id} is lost");
        }
        for (id, secret) in &told.keys {
            assert!(keys.contains(&id.as_str()), "{id} is lost");
            assert_eq!(server.get("/v1/token/self/fetch", secret).status, 200);
        }
        for (id, secret) in &told.ended {
            assert!(!keys.contains(&id.as_str()), "{id} is back");
            assert_eq!(server.get("/v1/token/self/fetch", secret).status, 401);
        }
        seen += told.accounts.len() + told.keys.len() + 2 * told.ended.len();
    }
    assert!(seen >= ACKNOWLEDGED - WRITERS, "{seen}");
    let signing = place.json(&["signing-key", "list", "--all"]);
    let states: Vec<&str> = signing["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["state"].as_str().unwrap())
        .collect();
    assert_eq!(states.len(), 4, "{signing}");
    assert_eq!(states.iter().filter(|state| **state == "active").count(), 2);
    assert_eq!(server.stop().out, "", "no key is printed again");
}

fn a_revocation_on_the_database_is_honoured_within_a_second(place: &Place) {
    let server = place.serve();
    let first = server.announcement().key;
    let make = || {
        let made = place.json(&["token", "create", "--unrestricted"]);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("id"), text("token"))
    };
    let mint = |key: &str| {
        let answer = server.post(
            "/v1/session/create",
            key,
            &json!({ "allowedRoutes": ["**"] }),
        );
        let session = answer.ok();
        let text = |name: &str| session[name].as_str().unwrap().to_owned();
        (text("id"), text("token"))
    };
    let is_active = |token: &str| {
        let answer = server.post("/v1/session/verify", &first, &json!({ "token": token }));
        answer.ok()["active"] == true
    };
    let (deleted, deleted_secret) = make();
    let (kept, kept_secret) = make();
    let (_, of_deleted) = mint(&deleted_secret);
    let (revoked, of_revoked) = mint(&kept_secret);
    let (_, of_kept) = mint(&kept_secret);
    for token in [&of_deleted, &of_revoked, &of_kept] {
        assert!(is_active(token));
    }

    place.json(&["token", "delete", &deleted]);
    place.json(&["session", "revoke", &revoked]);
    let clock = SystemClock::new();
    dies(&clock, &|| {
        server.get("/v1/token/self/fetch", &deleted_secret).status != 401
    });
    dies(&clock, &|| is_active(&of_deleted));
    dies(&clock, &|| is_active(&of_revoked));
    assert!(is_active(&of_kept));
    place.json(&["token", "update", &kept, "--enabled", "false"]);
    let clock = SystemClock::new();
    dies(&clock, &|| {
        server.get("/v1/token/self/fetch", &kept_secret).status != 401
    });
    dies(&clock, &|| is_active(&of_kept));
    server.stop();
}

/// Asked later than a second after the commit, which was before the clock began, the answer must be
/// no.
fn dies(clock: &SystemClock, is_alive: &dyn Fn() -> bool) {
    loop {
        let asked_ms = clock.monotonic_ms();
        if !is_alive() {
            return;
        }
        assert!(asked_ms < 1000, "alive after {asked_ms} ms");
    }
}
