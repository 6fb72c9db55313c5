//! What a client can take from the server.

use std::io::{Read as _, Write as _};

use super::process::{Answer, Place, Server, request};

fn quick() -> (Place, Server) {
    let place = Place::sqlite();
    place.write(
        "hallpass.toml",
        "[limits]\nrequest_timeout_secs = 1\nheader_read_timeout_secs = 1\n",
    );
    let server = place.serve();
    (place, server)
}

fn raw(server: &Server, bytes: &[u8]) -> String {
    let mut stream = server.connect();
    // The server may close before it has read all.
    drop(stream.write_all(bytes));
    let mut text = Vec::new();
    drop(stream.read_to_end(&mut text));
    String::from_utf8(text).unwrap()
}

#[test]
fn a_body_over_64_kib_is_refused_in_the_one_shape() {
    let place = Place::sqlite();
    let server = place.serve();
    let key = server.announcement().key;
    let head = request("POST", "/v1/user/create", &key, "");
    let head = head.replace("Content-Length: 0", "Content-Length: 65537");
    let mut stream = server.connect();

    stream.write_all(head.as_bytes()).unwrap();
    let announced = Answer::read(&mut stream).unwrap();

    announced.refused(413, "CONTENT_TOO_LARGE");
    assert!(announced.head.contains("cache-control: no-store"));
    let fits = format!("{{\"name\":\"x\"{}}}", " ".repeat(65_536 - 12));
    assert_eq!(fits.len(), 65_536);
    let head = request("POST", "/v1/user/create", &key, &fits);
    let mut stream = server.connect();
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(Answer::read(&mut stream).unwrap().status, 200);
    let metrics = server.get("/metrics", "").body;
    assert!(
        metrics.contains("hallpass_refusals_total{code=\"CONTENT_TOO_LARGE\"} 1\n"),
        "{metrics}"
    );
    let ran = server.stop();
    assert!(ran.err.contains("\"status\":413"), "{}", ran.err);
}

/// As clients send that keep their connections: neither of what stands behind a mint nor of what is kept
/// for a connection is anything lost.
#[test]
fn mints_that_come_together_on_a_kept_connection_are_each_answered() {
    let place = Place::sqlite();
    let server = place.serve();
    let key = server.announcement().key;
    let body = "{\"allowedRoutes\":[\"bot/**\"]}";
    let last = request("POST", "/v1/session/create", &key, body);
    let kept = last.replace("Connection: close", "Connection: keep-alive");
    let plain = last.replace("Connection: close\r\n", "");
    let bad = plain.replace("bot/**", "bot//*");
    let foreign = plain.replace(&key, "sk_live_nobody");
    let mut stream = server.connect();

    let all = [&*kept, &plain, &bad, &foreign, &plain, &last].concat();
    stream.write_all(all.as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();

    let statuses: Vec<&str> = answers
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| answer.get(..3).unwrap())
        .collect();
    assert_eq!(
        statuses,
        ["200", "200", "400", "401", "200", "200"],
        "{answers}"
    );
    let tokens: std::collections::BTreeSet<&str> = answers
        .split("\"token\":\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert_eq!(tokens.len(), 4, "{answers}");
    for token in tokens {
        let body = format!("{{\"token\":\"{token}\"}}");
        let verified = request("POST", "/v1/session/verify", &key, &body);
        let mut stream = server.connect();
        stream.write_all(verified.as_bytes()).unwrap();
        let answer = Answer::read(&mut stream).unwrap().json();
        assert_eq!(answer["active"], true, "{answer}");
    }
}

/// nginx would make 500 of it.
#[test]
fn a_gateway_is_told_of_a_body_that_is_not_read_by_403() {
    let place = Place::sqlite();
    let server = place.serve();
    let key = server.announcement().key;
    for path in ["/v1/authorize/envoy/v1/bot/list", "/api/v1/authorize/nginx"] {
        let head = request("POST", path, &key, "");
        let head = head.replace("Content-Length: 0", "Content-Length: 65537");
        let mut stream = server.connect();

        stream.write_all(head.as_bytes()).unwrap();
        let announced = Answer::read(&mut stream).unwrap();

        announced.refused(403, "CONTENT_TOO_LARGE");
        assert!(
            announced
                .head
                .contains("x-auth-reason: content_too_large\r\n"),
            "{}",
            announced.head
        );
    }
}

#[test]
fn a_head_over_32_kib_is_refused() {
    let place = Place::sqlite();
    let server = place.serve();
    let key = server.announcement().key;
    let with = |bytes: usize| {
        let head = request("GET", "/v1/user/self/fetch", &key, "");
        head.replacen(
            "\r\n",
            &format!("\r\nX-Filler: {}\r\n", "x".repeat(bytes)),
            1,
        )
    };

    let fits = raw(&server, with(16 * 1024).as_bytes());
    let long = raw(&server, with(40 * 1024).as_bytes());

    assert!(fits.starts_with("HTTP/1.1 200 "), "{fits}");
    // Or the connection is gone before the answer could be read.
    assert!(
        long.is_empty() || long.starts_with("HTTP/1.1 431 "),
        "{long}"
    );
    assert_eq!(server.get("/healthz", "").status, 200);
    server.stop();
}

#[test]
fn a_client_that_is_too_slow_is_let_go() {
    let (_place, server) = quick();
    let key = server.announcement().key;
    let whole = request("POST", "/v1/user/create", &key, "{\"name\":\"x\"}");

    // The head never ends, the request never begins, the body never ends.
    let half_a_head = raw(&server, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ");
    let nothing = raw(&server, b"");
    let mut stream = server.connect();
    stream
        .write_all(&whole.as_bytes()[..whole.len() - 3])
        .unwrap();
    let half_a_body = Answer::read(&mut stream).unwrap();

    let is_let_go = half_a_head.is_empty() || half_a_head.starts_with("HTTP/1.1 408 ");
    assert!(is_let_go, "{half_a_head}");
    assert_eq!(nothing, "");
    half_a_body.refused(408, "REQUEST_TIMEOUT");
    assert_eq!(server.get("/healthz", "").status, 200);
    server.stop();
}
