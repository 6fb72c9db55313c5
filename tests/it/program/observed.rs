//! What operators see: logs, health, metrics.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};

use super::process::{Place, Server, on_both, run, wait_for};
use crate::support::database::Kind;

on_both!(logs_are_json_and_hold_no_secret_at_the_finest_level);

const QUERY_SECRET: &str = "someone%40private.example";

fn logs_are_json_and_hold_no_secret_at_the_finest_level(place: &Place) {
    let mut server = Server::start(place.hallpass(&[]).env("HALLPASS_LOG", "trace"));
    let key = server.announcement().key;
    let mut secrets = vec![key.clone(), QUERY_SECRET.to_owned()];
    let text = |answer: &Value, name: &str| {
        let value = answer[name].as_str();
        value
            .unwrap_or_else(|| panic!("{name}: {answer}"))
            .to_owned()
    };

    let child = server.post("/v1/user/create", &key, &json!({ "name": "kid" }));
    let child = text(&child.ok(), "id");
    let config = json!({ "session": { "allowedRoutes": ["**"] } });
    let body = json!({ "unrestricted": true, "kind": "pat", "config": null });
    let made = server.post("/v1/token/create", &key, &body).ok();
    let (id, second) = (text(&made, "id"), text(&made, "token"));
    secrets.push(second.clone());
    let rotated = server.post(&format!("/v1/token/{id}/rotate"), &key, &json!({}));
    secrets.push(text(&rotated.ok(), "token"));
    let body = json!({ "unrestricted": false, "config": config });
    assert_eq!(server.post("/v1/token/create", &key, &body).status, 400);
    let body = json!({ "allowedRoutes": ["**"], "renewableForInSeconds": 100 });
    let session = server.post("/v1/session/create", &second, &body).ok();
    let token = text(&session, "token");
    secrets.push(token.clone());
    let renewed = server.post("/v1/session/renew", &token, &json!({}));
    let renewed = text(&renewed.ok(), "token");
    secrets.push(renewed.clone());
    let granted = format!("/v1/user/{child}/token/create");
    let granted = server.post(
        &granted,
        &key,
        &json!({ "name": "granted", "unrestricted": true }),
    );
    if granted.status == 200 {
        secrets.push(text(&granted.json(), "token"));
    }
    let verify = json!({ "token": renewed });
    assert_eq!(
        server.post("/v1/session/verify", &key, &verify).ok()["active"],
        true
    );
    let list = format!("/v1/user/list?email={QUERY_SECRET}");
    assert_eq!(server.get(&list, &key).status, 200);
    let wrong = "sk_live_thisIsNoKeyOfOursButSomebodyMayHaveMeantIt";
    secrets.push(wrong.to_owned());
    assert_eq!(server.get("/v1/user/self/fetch", wrong).status, 401);
    let target = format!("/v1/token/{second}/fetch?key={second}");
    assert_eq!(server.get(&target, &key).status, 404);
    assert_eq!(wait_for(over_http_2(server.address, &key)), 200);
    let basic = run(place.any("curl").args([
        "-sS",
        "-u",
        &format!("{id}:{second}"),
        "-d",
        "grant_type=client_credentials&allowed_routes=[\"bot/**\"]",
        &format!("{}/oauth2/token", server.url()),
    ]));
    secrets.push(text(&basic.json(), "access_token"));
    let report = json!({ "secret": second });
    assert_eq!(
        server.post("/v1/token/report", "", &report).ok()["revoked"],
        true
    );
    let leaked = server.get("/v1/token/self/fetch", &second);
    assert_eq!(leaked.status, 401);
    secrets.push(
        std::fs::read_to_string(place.master_key())
            .unwrap()
            .trim()
            .to_owned(),
    );
    if place.database.kind() == Kind::Postgres {
        let url = place.database.url();
        let password = url.split('@').next().unwrap().rsplit(':').next().unwrap();
        secrets.push(password.to_owned());
    }
    server.signal("TERM");
    server.wait_for_log("stopped");
    let ran = server.end();

    for secret in &secrets {
        // The second half says as much as the whole, and the check sum of a key is not needed.
        let half = secret.get(secret.len() / 2..).unwrap();
        for line in ran.err.lines() {
            assert!(!line.contains(half), "{secret} is in the log: {line}");
        }
    }
    let lines: Vec<Value> = ran
        .err
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let answered: Vec<&Value> = lines
        .iter()
        .filter(|line| line["message"] == "request answered")
        .collect();
    let ids: BTreeSet<&str> = answered
        .iter()
        .map(|line| line["request.id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), answered.len());
    let refused = leaked.json()["error"]["requestId"].clone();
    let line = answered
        .iter()
        .find(|line| line["request.id"] == refused)
        .unwrap();
    assert_eq!(line["method"], "GET");
    assert_eq!(line["route"], "token/self/fetch");
    assert_eq!(line["status"], 401);
    assert_eq!(line["code"], "INVALID_API_KEY");
    assert!(line["duration_ms"].is_u64(), "{line}");
    assert_eq!(line["level"], "INFO");
    let by_template = answered
        .iter()
        .any(|line| line["route"] == "token/{tokenId}/fetch");
    assert!(by_template, "{answered:?}");
}

/// The status of a request over HTTP/2, whose library logs what travels.
async fn over_http_2(address: SocketAddr, key: &str) -> u16 {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::get(format!("http://x/v1/user/list?email={QUERY_SECRET}"))
        .header("authorization", format!("Bearer {key}"))
        .body(axum::body::Body::empty())
        .unwrap();
    client
        .send_request(request)
        .await
        .unwrap()
        .status()
        .as_u16()
}

#[test]
fn ready_says_no_when_the_database_file_is_gone() {
    let place = Place::sqlite();
    let server = place.serve();
    let file = place.database.url().strip_prefix("sqlite://").unwrap();
    let elsewhere = format!("{file}.elsewhere");
    assert_eq!(server.get("/healthz", "").ok(), json!({ "status": "ok" }));
    assert_eq!(server.get("/readyz", "").ok(), json!({ "status": "ready" }));

    std::fs::rename(file, &elsewhere).unwrap();
    let gone = server.get("/readyz", "");
    let alive = server.get("/healthz", "");
    std::fs::rename(&elsewhere, file).unwrap();
    let back = server.get("/readyz", "");

    gone.refused(503, "SERVICE_UNAVAILABLE");
    assert_eq!(alive.status, 200);
    assert_eq!(back.status, 200);
    server.stop();
}

/// Stands between the program and its database, and can be cut.
struct Cable {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    ends: Arc<std::sync::Mutex<Vec<TcpStream>>>,
}

impl Cable {
    fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let cable = Self {
            address: listener.local_addr().unwrap(),
            is_cut: Arc::default(),
            ends: Arc::default(),
        };
        let (is_cut, ends) = (Arc::clone(&cable.is_cut), Arc::clone(&cable.ends));
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let near = near.unwrap();
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let far = TcpStream::connect(server).unwrap();
                ends.lock()
                    .unwrap()
                    .extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                for (from, to) in [
                    (near.try_clone().unwrap(), far.try_clone().unwrap()),
                    (far, near),
                ] {
                    std::thread::spawn(move || copy(from, to));
                }
            }
        });
        cable
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for end in self.ends.lock().unwrap().drain(..) {
            drop(end.shutdown(Shutdown::Both));
        }
    }

    fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 8192];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        if to.write_all(bytes.get(..length).unwrap()).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Both));
}

#[test]
fn ready_says_no_and_nothing_is_allowed_while_the_database_cannot_be_reached() {
    let Some(place) = Place::new(Kind::Postgres) else {
        return;
    };
    let url = place.database.url();
    let (before, rest) = url.split_once('@').unwrap();
    let (host, after) = rest.split_once('/').unwrap();
    let far = host
        .parse()
        .expect("TEST_DATABASE_URL has an IP address and a port");
    let cable = Cable::to(far);
    let through = format!("{before}@{}/{after}", cable.address);
    let server = Server::start(place.hallpass(&[]).env("HALLPASS_DATABASE_URL", through));
    let key = server.announcement().key;
    assert_eq!(server.get("/readyz", "").status, 200);

    cable.cut();
    let ready = server.get("/readyz", "");
    let alive = server.get("/healthz", "");
    let asked = server.get("/v1/user/self/fetch", &key);
    let minted = server.post(
        "/v1/session/create",
        &key,
        &json!({ "allowedRoutes": ["**"] }),
    );
    cable.mend();

    ready.refused(503, "SERVICE_UNAVAILABLE");
    assert_eq!(alive.status, 200);
    asked.refused(503, "SERVICE_UNAVAILABLE");
    minted.refused(503, "SERVICE_UNAVAILABLE");
    assert_eq!(server.get("/readyz", "").status, 200);
    assert_eq!(server.get("/v1/user/self/fetch", &key).status, 200);
    server.stop();
}

/// The value of one series.
fn value(page: &str, series: &str) -> f64 {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

/// The text format of Prometheus 0.0.4, as far as it is used: each family has its help and its type
/// once and before its samples, and each series stands there once.
fn check_prometheus(page: &str) {
    assert!(page.ends_with('\n'));
    let mut families: Vec<&str> = Vec::new();
    let mut series = BTreeSet::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, _) = help.split_once(' ').unwrap();
            assert!(!families.contains(&name), "{name} twice");
            let kind = lines
                .next()
                .unwrap()
                .strip_prefix(&format!("# TYPE {name} "));
            assert!(
                ["counter", "gauge", "histogram"].contains(&kind.unwrap()),
                "{line}"
            );
            families.push(name);
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap();
        let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
        let family = families.last().unwrap();
        let suffix = name
            .strip_prefix(family)
            .unwrap_or_else(|| panic!("{line}"));
        assert!(
            ["", "_bucket", "_sum", "_count"].contains(&suffix),
            "{line}"
        );
        let labels = labels.strip_suffix('}').unwrap();
        assert_eq!(labels.matches('"').count() % 2, 0, "{line}");
        assert!(series.insert(sample), "{sample} twice");
    }
    assert!(families.len() >= 6, "{families:?}");
}

#[test]
fn metrics_are_prometheus_text_and_move() {
    let place = Place::sqlite();
    let server = place.serve();
    let key = server.announcement().key;
    let minted = "hallpass_sessions_created_total{origin=\"mint\",environment=\"live\"}";
    let refused = "hallpass_refusals_total{code=\"INVALID_API_KEY\"}";
    let requests = "hallpass_http_requests_total{route=\"session/create\",status=\"2xx\"}";
    let before = server.get("/metrics", "");
    check_prometheus(&before.body);
    assert!(
        before
            .head
            .contains("content-type: text/plain; version=0.0.4")
    );

    for _ in 0..3 {
        let body = json!({ "allowedRoutes": ["bot/**"] });
        assert_eq!(server.post("/v1/session/create", &key, &body).status, 200);
    }
    assert_eq!(server.get("/v1/token/list", "sk_live_x").status, 401);
    let after = server.get("/metrics", "");

    check_prometheus(&after.body);
    for (series, moved) in [(minted, 3.0), (refused, 1.0), (requests, 3.0)] {
        let moves = value(&after.body, series) - value(&before.body, series);
        assert!(
            (moves - moved).abs() < 0.1,
            "{series} moved by {moves}: {}",
            after.body
        );
    }
    assert!(!after.body.contains("usr_") && !after.body.contains("key_"));
    server.stop();
}
