//! What the program sends to others.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Sender, channel};

use serde_json::json;

use super::process::{LONG, Place, Server};

/// Somebody who says that they were asked, and by what request line.
fn listen(who: &'static str, asked: Sender<(&'static str, String)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = [0; 4096];
            let len = stream.read(&mut bytes).unwrap();
            let head = String::from_utf8_lossy(&bytes[..len]).into_owned();
            let line = head.lines().next().unwrap_or_default().to_owned();
            if asked.send((who, line)).is_err() {
                return;
            }
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            // Who asked may have gone.
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    address
}

/// A proxy would resolve names by itself, and reach what the service may not.
#[test]
fn webhooks_take_no_proxy_of_the_environment() {
    let (sender, asked) = channel();
    let proxy = format!("http://{}", listen("proxy", sender.clone()));
    let receiver = listen("receiver", sender);
    let place = Place::sqlite();
    place.write(
        "hallpass.toml",
        "[webhooks]\nallow_http = true\nallow_networks = [\"127.0.0.0/8\"]\n",
    );
    let mut command = place.hallpass(&[]);
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "all_proxy",
    ] {
        command.env(name, &proxy);
    }
    let server = Server::start(&mut command);
    let key = server.announcement().key;
    let body = json!({ "url": format!("http://{receiver}/hook") });
    let made = server.post("/v1/webhook/create", &key, &body).ok();
    let path = format!("/v1/webhook/{}/test", made["id"].as_str().unwrap());

    server.post(&path, &key, &json!({})).ok();

    let first = asked.recv_timeout(LONG).unwrap();
    assert_eq!(first, ("receiver", "POST /hook HTTP/1.1".to_owned()));
    server.stop();
}
