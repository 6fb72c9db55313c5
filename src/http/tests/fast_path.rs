use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::request::Parts;
use futures_util::FutureExt as _;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::super::{Fast, Head, PeerAddr, ServerLimits, Started, Way, plain_problem, run};
use super::*;
use crate::http::fields::FieldSink as _;

#[path = "requests.rs"]
mod requests;

use requests::{bodies, heads};

/// Long enough for a machine under load; nothing waits for it unless a test fails.
const LONG: Duration = Duration::from_mins(1);
/// Short enough to be waited for.
const SHORT: Duration = Duration::from_millis(100);

const LIMITS: ServerLimits = ServerLimits {
    connections_max: 100,
    request_timeout: LONG,
    header_read_timeout: LONG,
    drain_timeout: LONG,
};

/// Tells all that it got of a request: of `/slow` after a word, of `/panic` never. `/large` is more
/// than a connection takes at once.
#[derive(Clone)]
struct Mirror {
    fast: bool,
    begun: Arc<Notify>,
    go_on: Arc<Notify>,
    given_up: Arc<Notify>,
    done: Arc<Notify>,
}

impl Handler for Mirror {
    fn start(&self, request: Request) -> Started {
        let (head, body) = request.into_parts();
        assert_ne!(head.uri.path(), "/panic");
        let peer = head.extensions.get::<PeerAddr>().is_some();
        // It was read by now.
        let body = to_bytes(body, usize::MAX).now_or_never().unwrap().unwrap();
        let text = format!(
            "{} {} {:?} {peer} {:?} {body:?}",
            head.method, head.uri, head.version, head.headers
        );
        let mut answer = Response::new(Body::from(text));
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        if head.uri.path() == "/large" {
            *answer.body_mut() = Body::from(vec![b'x'; 32 << 20]);
            self.begun.notify_one();
        }
        if head.uri.path() == "/panic/later" {
            return Started::Goes(Box::pin(async move {
                tokio::task::yield_now().await;
                panic!("later");
            }));
        }
        if head.uri.path() == "/slow" {
            self.begun.notify_one();
            let go_on = Arc::clone(&self.go_on);
            let given_up = OnDrop(Arc::clone(&self.given_up));
            let done = Arc::clone(&self.done);
            return Started::Goes(Box::pin(async move {
                let _given_up = given_up;
                go_on.notified().await;
                done.notify_one();
                answer
            }));
        }
        Started::Answered(answer)
    }

    fn changes_nothing(&self, head: &Parts) -> bool {
        head.method != "POST"
    }

    fn way(&self, method: &str, target: &str) -> Way {
        match method {
            _ if !self.fast || target.starts_with("/hyper") => Way::Hyper,
            "POST" => Way::Short,
            _ => Way::Fast,
        }
    }

    fn start_fast(&self, head: &Head<'_>, peer: PeerAddr, written: &mut Written) -> Fast {
        const LINE: HeaderName = HeaderName::from_static("x-line");
        let Some(value) = head.target.strip_prefix("/written") else {
            // It is not told to anybody.
            written.ok(b"thrown away");
            return Fast::Started(self.start(head.to_request(peer)));
        };
        written.ok(b"written");
        written.field(&LINE, value).unwrap();
        assert_ne!(value, "/panic");
        Fast::Written
    }
}

/// Says that it was dropped.
struct OnDrop(Arc<Notify>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

struct Running {
    mirror: Mirror,
    address: std::net::SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

impl Running {
    async fn start(fast: bool, limits: ServerLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let mirror = Mirror {
            fast,
            begun: Arc::default(),
            go_on: Arc::default(),
            given_up: Arc::default(),
            done: Arc::default(),
        };
        let stopped = async move {
            stopped.await.ok();
        };
        let server = run(
            listener,
            mirror.clone(),
            limits,
            Arc::new(plain_problem),
            stopped,
        );
        Self {
            mirror,
            address,
            stop: Some(stop),
            server: tokio::spawn(server),
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes in pieces, and then nothing more; the answers without their dates, each as its
    /// lines in any order and what follows them.
    async fn exchange(&self, pieces: &[&[u8]]) -> String {
        let mut stream = self.connect().await;
        stream.set_nodelay(true).unwrap();
        for piece in pieces {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        stream.shutdown().await.ok();
        rest(&mut stream).await
    }
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// An answer whose lines have an order, and no date.
fn in_order(answers: &str) -> Vec<BTreeSet<String>> {
    answers
        .split("HTTP/1.1 ")
        .map(|answer| {
            let lines = answer.split("\r\n");
            let lines = lines.filter(|line| !line.starts_with("date: "));
            lines.map(str::to_owned).collect()
        })
        .collect()
}

const SIMPLE: &str = "GET /a?b=%20c HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a:  2 \r\nX-B:\r\n\r\n";

/// A body begins and ends where hyper would see it begin and end: what stands behind it is the next
/// request for both, or for neither.
#[tokio::test]
async fn every_body_is_read_as_hyper_reads_it() {
    let fast = Running::start(true, LIMITS).await;
    let hyper = Running::start(false, LIMITS).await;
    let behind = b"POST /behind HTTP/1.1\r\nHost: y\r\nContent-Length: 1\r\n\r\nz";

    for asked in bodies() {
        let shown = String::from_utf8_lossy(&asked).into_owned();
        let (first, second) = asked.split_at(asked.len() - 1);
        let simple = SIMPLE.as_bytes();
        let ways: [&[&[u8]]; 4] = [
            &[&asked],
            &[first, second],
            &[&[&asked, behind.as_slice()].concat()],
            &[&[simple, &asked, behind].concat()],
        ];
        for pieces in ways {
            let answer = fast.exchange(pieces).await;
            let expected = hyper.exchange(pieces).await;
            assert_eq!(in_order(&answer), in_order(&expected), "{shown}");
        }
    }
}

/// The parser, the types and the rules are those of hyper, so nobody can tell the two apart.
#[tokio::test]
async fn every_head_is_answered_as_hyper_answers_it() {
    let fast = Running::start(true, LIMITS).await;
    let hyper = Running::start(false, LIMITS).await;
    let behind = b"GET /behind HTTP/1.1\r\nHost: y\r\nX-D: 4\r\n\r\n";

    for head in heads() {
        let shown = String::from_utf8_lossy(&head).into_owned();
        let begin = head.len().min(20);
        let (first, second) = head.split_at(begin);
        let simple = SIMPLE.as_bytes();
        let ways: [&[&[u8]]; 4] = [
            &[&head],
            &[first, second],
            &[simple, &head],
            &[&[simple, &head, behind].concat()],
        ];
        for pieces in ways {
            let answer = fast.exchange(pieces).await;
            let expected = hyper.exchange(pieces).await;
            assert_eq!(in_order(&answer), in_order(&expected), "{shown}");
        }
    }
}

/// Each byte in each place of a head.
#[tokio::test]
async fn every_byte_is_read_as_hyper_reads_it() {
    let fast = Running::start(true, LIMITS).await;
    let hyper = Running::start(false, LIMITS).await;
    for byte in 0..=u8::MAX {
        let byte = [byte];
        for (before, after) in [
            ("G", "T /a HTTP/1.1\r\nHost: x\r\n\r\n"),
            ("GET /a", "b HTTP/1.1\r\nHost: x\r\n\r\n"),
            ("GET /a?b", "c HTTP/1.1\r\nHost: x\r\n\r\n"),
            ("GET /a HTTP/1.1\r\nX-", "A: 1\r\n\r\n"),
            ("GET /a HTTP/1.1\r\nX-A: 1", "2\r\n\r\n"),
            ("GET /a HTTP/1.1\r\nX-A: 1", "\r\n\r\n"),
        ] {
            let head = [before.as_bytes(), &byte, after.as_bytes()].concat();
            let answer = fast.exchange(&[&head]).await;
            let expected = hyper.exchange(&[&head]).await;
            let shown = String::from_utf8_lossy(&head);
            assert_eq!(in_order(&answer), in_order(&expected), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_panic_is_an_error_and_the_connection_goes_on() {
    let server = Running::start(true, LIMITS).await;
    for panics in [
        "GET /panic HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /panic HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx",
        "POST /panic/later HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx",
    ] {
        let answer = server
            .exchange(&[panics.as_bytes(), SIMPLE.as_bytes()])
            .await;

        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(answer.contains("HTTP/1.1 200 "), "{answer}");
    }
}

/// What a handler writes itself is an answer like any other.
#[tokio::test]
async fn an_answer_that_is_written_has_length_date_and_body() {
    let server = Running::start(true, LIMITS).await;
    let ask = |method: &str, target: &str| format!("{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n");
    let asked = [
        ask("GET", "/written/panic"),
        ask("GET", "/written/1"),
        ask("HEAD", "/written/2"),
        ask("GET", "/a"),
        ask("GET", "/written/3"),
    ];

    let answers = server.exchange(&[asked.concat().as_bytes()]).await;

    let answers: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).collect();
    // What is behind the name of the protocol in the body of `/a` is no answer.
    let [panicked, first, second, other, _, third] = answers.as_slice() else {
        panic!("{answers:?}");
    };
    assert!(panicked.starts_with("500 "), "{panicked}");
    assert!(!panicked.contains("x-line"), "{panicked}");
    assert!(
        other.starts_with("200 ") && !other.contains("thrown away"),
        "{other}"
    );
    for (answer, line, body) in [
        (first, "/1", "written"),
        (second, "/2", ""),
        (third, "/3", "written"),
    ] {
        let (head, rest) = answer.split_once("\r\n\r\n").unwrap();
        let (status, lines) = head.split_once("\r\n").unwrap();
        assert_eq!(status, "200 OK");
        assert_eq!(rest, body, "{answer}");
        let lines: Vec<&str> = lines.split("\r\n").collect();
        let line = format!("x-line: {line}");
        assert_eq!(lines[..2], [&*line, "content-length: 7"]);
        assert!(
            lines[2].starts_with("date: ") && lines[2].ends_with(" GMT"),
            "{answer}"
        );
        assert_eq!(lines.len(), 3, "{answer}");
    }
}

#[tokio::test]
async fn what_a_client_asked_is_given_up_with_it() {
    let server = Running::start(true, LIMITS).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    server.mirror.begun.notified().await;

    drop(stream);

    server.mirror.given_up.notified().await;
}

#[tokio::test]
async fn what_changes_something_is_done_though_its_client_goes_away() {
    let server = Running::start(true, LIMITS).await;
    ask_and_leave(&server).await;

    // Another connection is served and over, so this one has had its turn, too.
    server.exchange(&[SIMPLE.as_bytes()]).await;
    server.mirror.go_on.notify_one();

    within(server.mirror.done.notified()).await;
}

/// A client that goes away as soon as it has asked something that changes something.
async fn ask_and_leave(server: &Running) {
    let mut stream = server.connect().await;
    stream
        .write_all(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
        .await
        .unwrap();
    server.mirror.begun.notified().await;
}

/// It is one of the requests that are under way as long as it works, whoever waits for it.
#[tokio::test]
async fn what_is_done_for_a_client_that_is_gone_takes_up_the_place_of_a_request() {
    let limits = ServerLimits {
        connections_max: 1,
        ..LIMITS
    };
    let server = Running::start(true, limits).await;
    ask_and_leave(&server).await;

    let meanwhile = server.exchange(&[SIMPLE.as_bytes()]).await;
    server.mirror.go_on.notify_one();
    within(server.mirror.given_up.notified()).await;

    assert!(meanwhile.starts_with("HTTP/1.1 503 "), "{meanwhile}");
    let after = async {
        while !server
            .exchange(&[SIMPLE.as_bytes()])
            .await
            .starts_with("HTTP/1.1 200 ")
        {}
    };
    within(after).await;
}

#[tokio::test]
async fn the_end_of_the_server_waits_for_what_is_done_for_a_client_that_is_gone() {
    let mut server = Running::start(true, LIMITS).await;
    ask_and_leave(&server).await;
    // Its connection has had its turn to see that.
    server.exchange(&[SIMPLE.as_bytes()]).await;

    server.stop.take().unwrap().send(()).unwrap();
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(!server.server.is_finished());
    server.mirror.go_on.notify_one();

    within(&mut server.server).await.unwrap();
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(LONG, future).await.unwrap()
}

#[tokio::test]
async fn what_comes_while_an_answer_takes_its_time_is_answered_behind_it() {
    let server = Running::start(true, LIMITS).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    server.mirror.begun.notified().await;
    let (first, second) = SIMPLE.split_at(10);
    for piece in [
        first,
        second,
        "GET /hyper HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
    }
    server.mirror.go_on.notify_one();

    let answers = rest(&mut stream).await;

    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 3, "{answers}");
}

#[tokio::test]
async fn whoever_says_nothing_more_is_cut_off() {
    let limits = ServerLimits {
        header_read_timeout: SHORT,
        ..LIMITS
    };
    let server = Running::start(true, limits).await;
    let mut stream = server.connect().await;

    stream.write_all(SIMPLE.as_bytes()).await.unwrap();

    // Ends only when the server closes.
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn whoever_takes_no_answers_is_cut_off() {
    let limits = ServerLimits {
        header_read_timeout: SHORT,
        request_timeout: SHORT,
        ..LIMITS
    };
    let mut server = Running::start(true, limits).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    server.mirror.begun.notified().await;

    // Ends only with the connection, or much later.
    server.stop.take().unwrap().send(()).unwrap();
    let ended = tokio::time::timeout(LONG / 3, server.server).await;
    ended.unwrap().unwrap();
}

#[tokio::test]
async fn the_end_of_the_server_closes_what_is_idle_and_finishes_what_was_accepted() {
    let mut server = Running::start(true, LIMITS).await;
    let mut idle = server.connect().await;
    let mut busy = server.connect().await;
    idle.write_all(SIMPLE.as_bytes()).await.unwrap();
    let mut first = [0; 1];
    idle.read_exact(&mut first).await.unwrap();
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    server.mirror.begun.notified().await;

    server.stop.take().unwrap().send(()).unwrap();
    let answer = rest(&mut idle).await;
    assert!(!answer.contains("connection: close"), "{answer}");
    server.mirror.go_on.notify_one();

    let answer = rest(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    server.server.await.unwrap();
}

#[tokio::test]
async fn the_end_of_the_server_has_an_end() {
    let limits = ServerLimits {
        drain_timeout: SHORT,
        ..LIMITS
    };
    let mut server = Running::start(true, limits).await;
    let mut stuck = server.connect().await;
    stuck
        .write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    server.mirror.begun.notified().await;

    server.stop.take().unwrap().send(()).unwrap();

    server.server.await.unwrap();
    assert_eq!(rest(&mut stuck).await, "");
}
