use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, Bytes};
use axum::extract::Extension;
use axum::http::StatusCode;
use axum::routing::{get, post};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::domain::limits::BODY_BYTES_MAX;

mod shutdown;

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

struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

impl Running {
    async fn start(router: impl Handler, limits: ServerLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(run(
            listener,
            router,
            limits,
            Arc::new(plain_problem),
            async move {
                stopped.await.ok();
            },
        ));
        Self {
            address,
            stop: Some(stop),
            server,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends raw bytes and reads until the server closes.
    async fn exchange(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        rest(&mut stream).await
    }

    fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }
}

/// A router of which nothing changes anything.
#[derive(Clone)]
struct Unchanging(Router);

impl Handler for Unchanging {
    fn start(&self, request: Request) -> Started {
        self.0.start(request)
    }

    fn changes_nothing(&self, _: &Parts) -> bool {
        true
    }

    fn way(&self, _: &str, _: &str) -> Way {
        Way::Hyper
    }
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset ends the answer as well: the server closes with bytes of ours unread.
    stream.read_to_end(&mut answer).await.ok();
    String::from_utf8(answer).unwrap()
}

/// Reads up to and with `end`.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = String::new();
    while !answer.ends_with(end) {
        answer.push(char::from(stream.read_u8().await.unwrap()));
    }
    answer
}

fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn echo() -> Router {
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/echo", post(|body: String| async move { body }))
        .route(
            "/peer",
            get(|Extension(PeerAddr(peer)): Extension<PeerAddr>| async move { peer.to_string() }),
        )
}

#[tokio::test]
async fn a_request_is_answered_with_its_peer_and_its_body() {
    let server = Running::start(echo(), LIMITS).await;

    let hello = server.exchange(&request("GET", "/", "")).await;
    let body = server.exchange(&request("POST", "/echo", "text")).await;
    let peer = server.exchange(&request("GET", "/peer", "")).await;

    assert!(hello.starts_with("HTTP/1.1 200 OK\r\n"), "{hello}");
    assert!(hello.contains("content-length: 5\r\n"), "{hello}");
    assert!(hello.ends_with("hello"), "{hello}");
    assert!(body.ends_with("text"), "{body}");
    assert!(peer.contains("127.0.0.1:"), "{peer}");
}

#[tokio::test]
async fn http_2_is_spoken_too() {
    let server = Running::start(echo(), LIMITS).await;
    let stream = TokioIo::new(server.connect().await);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
    tokio::spawn(connection);

    let request = Request::builder()
        .uri("http://x/")
        .body(Body::empty())
        .unwrap();
    let answer = client.send_request(request).await.unwrap();

    assert_eq!(answer.status(), StatusCode::OK);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "hello");
}

#[tokio::test]
async fn a_panic_is_an_error_and_the_server_goes_on() {
    async fn broken() -> &'static str {
        panic!("hunter2")
    }
    let router = echo().route("/broken", get(broken));
    for server in [
        Running::start(router.clone(), LIMITS).await,
        Running::start(Unchanging(router), LIMITS).await,
    ] {
        let broken = server.exchange(&request("GET", "/broken", "")).await;
        let hello = server.exchange(&request("GET", "/", "")).await;

        assert!(broken.starts_with("HTTP/1.1 500 "), "{broken}");
        assert!(
            broken.contains(r#""code":"INTERNAL_SERVER_ERROR""#),
            "{broken}"
        );
        assert!(!broken.contains("hunter2"), "{broken}");
        assert!(hello.starts_with("HTTP/1.1 200 "), "{hello}");
    }
}

#[tokio::test]
async fn a_request_that_changes_nothing_is_given_up_with_its_client() {
    struct OnDrop(Arc<Notify>);

    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }

    let begun = Arc::new(Notify::new());
    let given_up = Arc::new(Notify::new());
    let notes = (Arc::clone(&begun), Arc::clone(&given_up));
    let ask = move || async move {
        let _given_up = OnDrop(notes.1);
        notes.0.notify_one();
        std::future::pending::<&'static str>().await
    };
    let router = Router::new().route("/ask", get(ask));
    let server = Running::start(Unchanging(router), LIMITS).await;

    let mut stream = server.connect().await;
    stream.write_all(&request("GET", "/ask", "")).await.unwrap();
    begun.notified().await;
    drop(stream);

    given_up.notified().await;
}

#[tokio::test]
async fn a_request_that_changes_nothing_is_answered_in_time_or_with_503() {
    let router = Router::new().route("/ask", get(std::future::pending::<&'static str>));
    let limits = ServerLimits {
        request_timeout: SHORT,
        ..LIMITS
    };
    let server = Running::start(Unchanging(router), limits).await;

    let answer = server.exchange(&request("GET", "/ask", "")).await;

    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[tokio::test]
async fn a_large_body_is_refused_whether_it_says_so_or_not() {
    let server = Running::start(echo(), LIMITS).await;
    let exact = "x".repeat(BODY_BYTES_MAX);
    let large = "x".repeat(BODY_BYTES_MAX + 1);

    let fits = server.exchange(&request("POST", "/echo", &exact)).await;
    let announced = server
        .exchange(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n")
        .await;
    // It ends with the first byte too many: bytes that nobody reads would reset the connection.
    let chunked = format!(
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{large}",
        large.len()
    );
    let chunked = server.exchange(chunked.as_bytes()).await;

    assert!(fits.starts_with("HTTP/1.1 200 "), "{fits:.200}");
    assert!(announced.starts_with("HTTP/1.1 413 "), "{announced}");
    assert!(
        announced.contains(r#""code":"CONTENT_TOO_LARGE""#),
        "{announced}"
    );
    assert!(chunked.starts_with("HTTP/1.1 413 "), "{chunked}");
}

#[tokio::test]
async fn a_large_head_is_refused() {
    let server = Running::start(echo(), LIMITS).await;
    let long = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX-A: {}\r\n\r\n",
        "x".repeat(40_000)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
        "X-A: 1\r\n".repeat(101)
    );

    for head in [long, many] {
        let answer = server.exchange(head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_or_too_little_is_cut_off() {
    let limits = ServerLimits {
        header_read_timeout: SHORT,
        ..LIMITS
    };
    let server = Running::start(echo(), limits).await;

    for start in [
        &b""[..],
        b"P",
        b"PRI * HTTP/2.0\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        // An idle connection after a whole request.
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let mut stream = server.connect().await;
        stream.write_all(start).await.unwrap();
        let mut answer = Vec::new();
        // Ends only when the server closes.
        stream.read_to_end(&mut answer).await.ok();
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_a_408() {
    let limits = ServerLimits {
        request_timeout: SHORT,
        ..LIMITS
    };
    let server = Running::start(echo(), limits).await;

    let answer = server
        .exchange(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        .await;

    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_slow_handler_is_a_503_and_goes_on() {
    let go_on = Arc::new(Notify::new());
    let ended = Arc::new(Notify::new());
    let (wait, tell) = (Arc::clone(&go_on), Arc::clone(&ended));
    let slow = move || async move {
        wait.notified().await;
        tell.notify_one();
        "done"
    };
    let limits = ServerLimits {
        request_timeout: SHORT,
        ..LIMITS
    };
    let server = Running::start(Router::new().route("/slow", get(slow)), limits).await;

    let answer = server.exchange(&request("GET", "/slow", "")).await;
    go_on.notify_one();

    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    ended.notified().await;
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_end_its_handler() {
    let begun = Arc::new(Notify::new());
    let go_on = Arc::new(Notify::new());
    let ended = Arc::new(Notify::new());
    let notes = (Arc::clone(&begun), Arc::clone(&go_on), Arc::clone(&ended));
    let commit = move || async move {
        notes.0.notify_one();
        notes.1.notified().await;
        notes.2.notify_one();
        "done"
    };
    let server = Running::start(Router::new().route("/commit", post(commit)), LIMITS).await;

    let mut stream = server.connect().await;
    stream
        .write_all(&request("POST", "/commit", ""))
        .await
        .unwrap();
    begun.notified().await;
    drop(stream);
    // The server notices before the handler goes on: a second exchange comes after it.
    server.exchange(&request("GET", "/", "")).await;
    go_on.notify_one();

    ended.notified().await;
}

#[tokio::test]
async fn connections_above_the_limit_wait_for_their_turn() {
    let limits = ServerLimits {
        connections_max: 1,
        ..LIMITS
    };
    let server = Running::start(echo(), limits).await;
    let mut first = server.connect().await;
    first
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    until(&mut first, "hello").await;

    let mut second = server.connect().await;
    second.write_all(&request("GET", "/", "")).await.unwrap();
    // The first is still served, so the second has not taken its place.
    first.write_all(&request("GET", "/", "")).await.unwrap();
    assert!(rest(&mut first).await.ends_with("hello"));

    assert!(rest(&mut second).await.ends_with("hello"));
}

#[tokio::test]
async fn requests_above_the_limit_are_refused() {
    let begun = Arc::new(Notify::new());
    let go_on = Arc::new(Notify::new());
    let notes = (Arc::clone(&begun), Arc::clone(&go_on));
    let slow = move || async move {
        notes.0.notify_one();
        notes.1.notified().await;
        "done"
    };
    let limits = ServerLimits {
        connections_max: 1,
        ..LIMITS
    };
    let server = Running::start(Router::new().route("/slow", get(slow)), limits).await;
    let stream = TokioIo::new(server.connect().await);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut send = || {
        let request = Request::builder()
            .uri("http://x/slow")
            .body(Body::empty())
            .unwrap();
        client.send_request(request)
    };

    let first = tokio::spawn(send());
    begun.notified().await;
    let second = send().await.unwrap();
    go_on.notify_one();

    assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut_off() {
    struct Dropped(Arc<Notify>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let gone = Arc::new(Notify::new());
    let note = Arc::new(Mutex::new(Some(Dropped(Arc::clone(&gone)))));
    let endless = move || async move {
        let held = note.lock().unwrap().take();
        Body::from_stream(futures_util::stream::repeat_with(move || {
            let _held = &held;
            Ok::<_, Infallible>(Bytes::from(vec![b'x'; 65_536]))
        }))
    };
    let limits = ServerLimits {
        header_read_timeout: SHORT,
        request_timeout: SHORT,
        ..LIMITS
    };
    let router = Router::new().route("/endless", get(endless));
    let server = Running::start(router, limits).await;
    let mut stream = server.connect().await;

    stream
        .write_all(&request("GET", "/endless", ""))
        .await
        .unwrap();

    gone.notified().await;
}

#[test]
fn the_settings_give_the_limits() {
    let limits = ServerLimits::from(&Limits::default());

    assert_eq!(limits.connections_max, 10_000);
    assert_eq!(limits.request_timeout, Duration::from_secs(30));
    assert_eq!(limits.header_read_timeout, Duration::from_secs(10));
    assert_eq!(limits.drain_timeout, Duration::from_secs(30));
}

/// Answers whatever it is asked with a body, which a router of axum does not do for HEAD.
#[derive(Clone)]
struct Hello;

impl Handler for Hello {
    fn start(&self, _: Request) -> Started {
        Started::Answered(Response::new(Body::from("hello")))
    }

    fn changes_nothing(&self, _: &Parts) -> bool {
        true
    }

    fn way(&self, _: &str, _: &str) -> Way {
        Way::Hyper
    }
}

/// Frames of HTTP/2 by hand: a client that is lenient would not see the fault.
#[tokio::test]
async fn the_answer_to_head_has_no_body_in_http_2_either() {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const END_STREAM: u8 = 1;
    let server = Running::start(Hello, LIMITS).await;
    let mut stream = server.connect().await;
    // RFC 7541: HEAD as `:method`, then `http`, `/`, and an authority, none of them indexed anew.
    let block = b"\x02\x04HEAD\x86\x84\x01\x01a";
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    sent.extend([
        0,
        0,
        u8::try_from(block.len()).unwrap(),
        HEADERS,
        0x5,
        0,
        0,
        0,
        1,
    ]);
    sent.extend(block);
    stream.write_all(&sent).await.unwrap();

    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let len = usize::from(head[1]) * 256 + usize::from(head[2]);
        let mut payload = vec![0; len];
        stream.read_exact(&mut payload).await.unwrap();
        let [.., kind, flags, _, _, _, stream_id] = head;
        assert!(
            kind != DATA || len == 0,
            "{}",
            String::from_utf8_lossy(&payload)
        );
        if stream_id == 1 && [DATA, HEADERS].contains(&kind) && flags & END_STREAM != 0 {
            break;
        }
    }
}
