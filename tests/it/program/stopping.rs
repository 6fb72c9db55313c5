//! The end, when it is asked for.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::json;

use super::process::{Answer, Place, on_both};

on_both!(
    what_was_accepted_is_finished_when_the_service_is_terminated,
    what_was_accepted_is_finished_when_the_service_is_interrupted,
    it_says_that_it_is_not_ready_before_it_accepts_nothing_more,
);

fn what_was_accepted_is_finished_when_the_service_is_terminated(place: &Place) {
    finishes(place, "TERM");
}

fn what_was_accepted_is_finished_when_the_service_is_interrupted(place: &Place) {
    finishes(place, "INT");
}

/// A load balancer learns from `/readyz` that this node leaves, before nobody answers there.
fn it_says_that_it_is_not_ready_before_it_accepts_nothing_more(place: &Place) {
    place.write("hallpass.toml", "[nodes]\ndrain_delay_secs = 300\n");
    let mut server = place.serve();
    let key = server.announcement().key;
    server.get("/readyz", &key).ok();

    server.signal("TERM");
    server.wait_for_log("not ready any more; still accepting for a while");
    let ready = server.get("/readyz", &key);
    let minted = server.post(
        "/v1/session/create",
        &key,
        &json!({"allowedRoutes": ["**"]}),
    );
    // Asked again, it does not wait for the rest.
    server.signal("TERM");
    let ran = server.end();

    assert_eq!(ready.status, 503, "{ready:?}");
    minted.ok();
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

fn finishes(place: &Place, signal: &str) {
    let mut server = place.serve();
    let key = server.announcement().key;
    let body = json!({ "name": "till" }).to_string();
    let mut slow = server.connect();
    let head = format!(
        "POST /v1/user/create HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: \
         application/json\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    slow.write_all(head.as_bytes()).unwrap();
    let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut told = vec![0; go_on.len()];
    slow.read_exact(&mut told).unwrap();
    assert_eq!(told, go_on, "the request is under way");

    server.signal(signal);
    server.wait_for_log("no longer accepting; finishing what was accepted");
    assert!(TcpStream::connect(server.address).is_err());
    slow.write_all(body.as_bytes()).unwrap();
    let answer = Answer::read(&mut slow).unwrap();
    let ran = server.end();

    let id = answer.ok()["id"].as_str().unwrap().to_owned();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("\"stopped\""), "{ran:?}");
    let there = place.json(&["account", "fetch", &id]);
    assert_eq!(there["name"], "till");
}
