//! Requests as bytes, of all kinds.

/// Heads of all kinds, well-formed or not.
pub(super) fn heads() -> Vec<Vec<u8>> {
    let lines = [
        "Content-Length: 0",
        "Content-Length: 3",
        "Content-Length: 3\r\nContent-Length: 3",
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: +3",
        "Content-Length: x",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Transfer_Encoding: chunked",
        "Connection: close",
        "Connection: keep-alive",
        "Connection: X-A",
        "Connection: upgrade\r\nUpgrade: websocket",
        "Upgrade: h2c",
        "Expect: 100-continue",
        "Expect: something",
        "Keep-Alive: timeout=5",
        "TE: trailers",
        "X-A : 1",
        " X-A: 1",
        "X-A: 1\r\n 2",
        "X-A",
        ": 1",
        "X-A: \u{7f}",
        "X-A: \u{1}",
        "X-A: é",
        "X-A: \t1\t",
        "X A: 1",
        "X-A:1\nX-B: 2",
        "X-A: 1\rX-B: 2",
        "X-\u{e9}: 1",
        "X-A: 1\0",
    ];
    let mut heads: Vec<Vec<u8>> = lines
        .iter()
        .map(|line| format!("GET /a HTTP/1.1\r\nHost: x\r\n{line}\r\nX-C: 3\r\n\r\n").into_bytes())
        .collect();
    let targets = [
        "/",
        "*",
        "",
        "a",
        "//a",
        "/a b",
        "/a#b",
        "/\u{e9}",
        "/%",
        "/a\\b",
        "/a\tb",
        "/\"<>`{|}^",
        "http://x/a",
        "http://x",
        "x:80",
        "/a?b?c",
        "?a",
        "/..;/a",
    ];
    for target in targets {
        for method in ["GET", "HEAD", "CONNECT", "OPTIONS", "get", "G@T", "", "G T"] {
            heads.push(format!("{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes());
        }
    }
    for line in [
        "GET /a HTTP/1.0",
        "GET /a HTTP/0.9",
        "GET /a HTTP/2.0",
        "GET /a HTTP/1.2",
        "GET /a http/1.1",
        "GET /a",
        "GET  /a HTTP/1.1",
        "GET /a  HTTP/1.1",
        "GET /a HTTP/1.1 ",
        " GET /a HTTP/1.1",
        "\r\nGET /a HTTP/1.1",
        "PRI * HTTP/2.0",
    ] {
        heads.push(format!("{line}\r\nHost: x\r\n\r\n").into_bytes());
    }
    heads.push(b"GET /a HTTP/1.1\nHost: x\n\n".to_vec());
    heads.push(b"GET /a HTTP/1.1\r\n\r\n".to_vec());
    heads.push(b"GET /a HTTP/1.1\r\nHost: x\r\n".to_vec());
    for count in [47, 48, 99, 100, 101] {
        let many = "X-A: 1\r\n".repeat(count);
        heads.push(format!("GET /a HTTP/1.1\r\n{many}\r\n").into_bytes());
    }
    for len in [3_000, 5_000, 20_000] {
        let long = "x".repeat(len);
        heads.push(format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes());
        heads.push(format!("GET /a HTTP/1.1\r\nX-A: {long}\r\n\r\n").into_bytes());
    }
    heads
}

/// Requests with bodies of all kinds, well-formed or not.
pub(super) fn bodies() -> Vec<Vec<u8>> {
    let lengths = [
        "",
        "Content-Length: 0",
        "Content-Length: 3",
        "Content-Length: 03",
        "Content-Length: 00000000000000000003",
        "Content-Length: 3 ",
        "Content-Length: 3\r\nContent-Length: 3",
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 3",
        "Content-Length: +3",
        "Content-Length: -3",
        "Content-Length: 3.0",
        "Content-Length: 0x3",
        "Content-Length: x",
        "Content-Length:",
        "Content-Length: 99999999999999999999999",
        "Content-Length : 3",
        "Content_Length: 3",
        "Content-Length: 2",
        "Content-Length: 4",
        "Content-Length: 70000",
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity\r\nContent-Length: 3",
        "Content-Length: 3\r\nExpect: 100-continue",
        "Content-Length: 3\r\nConnection: close",
        "Content-Length: 3\r\nConnection: keep-alive",
        "Content-Length: 3\r\nConnection: Keep-Alive\r\nConnection: close",
        "Content-Length: 3\r\nConnection: content-length",
        "Content-Length: 3\r\nUpgrade: h2c",
        "Content-Type: application/json\r\nContent-Length: 3",
    ];
    let mut all = Vec::new();
    for line in lengths {
        for body in ["", "abc", "abcd", "3\r\nabc\r\n0\r\n\r\n"] {
            let lines = if line.is_empty() {
                String::new()
            } else {
                format!("{line}\r\n")
            };
            for start in ["POST /a", "GET /a", "POST /a?b", "PUT /hyper", "post /a"] {
                let head = format!("{start} HTTP/1.1\r\nHost: x\r\n{lines}\r\n{body}");
                all.push(head.into_bytes());
            }
            let old = format!("POST /a HTTP/1.0\r\n{lines}\r\n{body}");
            all.push(old.into_bytes());
        }
    }
    let long = "x".repeat(9_000);
    let head = format!("POST /a HTTP/1.1\r\nContent-Length: 9000\r\n\r\n{long}");
    all.push(head.into_bytes());
    all
}
