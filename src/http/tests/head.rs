use super::*;

const SIMPLE: &str = "GET /a?b=%20c HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a:  2 \r\nX-B:\r\n\r\n";

/// What is for the fast path is taken, byte for byte; of all else nothing is.
#[test]
fn only_whole_heads_without_anything_about_a_body_are_taken() {
    let take = |read: &[u8]| {
        let way = |_: &str, target: &str| match target {
            _ if target.starts_with("/hyper") => Way::Hyper,
            _ if target.starts_with("/short") => Way::Short,
            _ => Way::Fast,
        };
        with_head(read, &mut String::new(), way, |head, len| {
            let lines = head.lines();
            let lines = lines.map(|(name, value)| (name.to_owned(), value.to_vec()));
            let values = head.values("x-a").map(<[u8]>::to_vec);
            assert_eq!(head.values("x").count(), 0);
            (
                format!("{} {}", head.method, head.target),
                lines.collect::<Vec<_>>(),
                values.collect::<Vec<_>>(),
                len,
            )
        })
    };
    let read = [SIMPLE.as_bytes(), b"GET /"].concat();
    let (asked, lines, values, len) = take(&read).unwrap();
    assert_eq!(asked, "GET /a?b=%20c");
    assert_eq!(values, [b"1", b"2"]);
    let expected = [("host", "x"), ("x-a", "1"), ("x-a", "2"), ("x-b", "")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    assert_eq!(lines, expected);
    assert_eq!(len, SIMPLE.len());

    let kept = "GET /a HTTP/1.1\r\nconnection: Keep-Alive\r\n\r\n";
    let (_, lines, _, len) = take(kept.as_bytes()).unwrap();
    assert_eq!(lines, [("connection".to_owned(), b"Keep-Alive".to_vec())]);
    assert_eq!(len, kept.len());

    for line in [
        "Content-Length: 0",
        "content-length: 3",
        "Transfer-Encoding: chunked",
        "CONNECTION: close",
        "Connection: keep-alive, close",
        "Connection: X-A",
        "Expect: 100-continue",
        "Upgrade: h2c",
        "X-A : 1",
    ] {
        let head = format!("GET /a HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\nGET /");
        assert_eq!(take(head.as_bytes()), None, "{line}");
    }
    for head in [
        "GET /hyper HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /a HTTP/1.0\r\nHost: x\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: x\r\n",
        "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT /a HTTP/1.1\r\nHost: x\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        // The parser takes these and the types do not, or differently.
        "GET x:80/a HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://x/a HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /a\"b HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        assert_eq!(take(head.as_bytes()), None, "{head}");
    }
    let many = format!("GET /a HTTP/1.1\r\n{}\r\n", "X-A: 1\r\n".repeat(49));
    assert_eq!(take(many.as_bytes()), None);
}

/// The body of what was read, if it was taken.
fn body_of(read: &str) -> Option<(String, usize)> {
    let way = |_: &str, _: &str| Way::Short;
    with_head(read.as_bytes(), &mut String::new(), way, |head, len| {
        let body = head.body.unwrap_or_default();
        (String::from_utf8(body.to_vec()).unwrap(), len)
    })
}

#[test]
fn a_body_is_taken_if_it_came_whole_and_its_length_is_plain() {
    let asked = |lines: &str, body: &str| format!("POST /a HTTP/1.1\r\n{lines}\r\n{body}");
    for (lines, body) in [
        ("Content-Length: 3\r\n", "abc"),
        ("content-length:003\r\n", "abc"),
        ("Content-Length: 0\r\n", ""),
        ("Connection: Keep-Alive\r\nContent-Length: 3\r\n", "abc"),
    ] {
        let read = asked(lines, body);
        let taken = body_of(&format!("{read}POST /"));
        assert_eq!(taken, Some((body.to_owned(), read.len())), "{lines}");
    }
    for lines in [
        "",
        "Content-Length: 4\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 000003\r\n",
        "Content-Length:\r\n",
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 3\r\nExpect: 100-continue\r\n",
        "Content-Length: 3\r\nConnection: close\r\n",
        "Content-Length: 3\r\nConnection: keep-alive\r\nConnection: close\r\n",
    ] {
        assert_eq!(body_of(&asked(lines, "abc")), None, "{lines}");
    }
}

/// Whatever is taken is what the types of HTTP make of it.
#[test]
fn every_plain_target_is_the_one_that_hyper_would_give() {
    for byte in 0..=u8::MAX {
        let target = ["/a", &char::from(byte).to_string(), "?b"].concat();
        let head = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
        let uri = with_head(
            head.as_bytes(),
            &mut String::new(),
            |_, _| Way::Fast,
            |head, _| head.to_request(PeerAddr(([127, 0, 0, 1], 1).into())),
        );
        if let Some(request) = uri {
            assert_eq!(request.uri().to_string(), target);
            assert_eq!(request.uri().path_and_query().unwrap().as_str(), target);
        }
    }
}
