use super::*;

#[tokio::test]
async fn shutdown_finishes_what_was_accepted_and_accepts_nothing_more() {
    let begun = Arc::new(Notify::new());
    let go_on = Arc::new(Notify::new());
    let notes = (Arc::clone(&begun), Arc::clone(&go_on));
    let slow = move || async move {
        notes.0.notify_one();
        notes.1.notified().await;
        "done"
    };
    let mut server = Running::start(Router::new().route("/slow", get(slow)), LIMITS).await;
    let mut idle = server.connect().await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    begun.notified().await;

    server.stop();
    // The idle connection is closed first; the listener is gone by then.
    assert_eq!(rest(&mut idle).await, "");
    assert!(TcpStream::connect(server.address).await.is_err());
    go_on.notify_one();

    let answer = rest(&mut stream).await;
    assert!(answer.ends_with("done"), "{answer}");
    server.server.await.unwrap();
}

#[tokio::test]
async fn shutdown_waits_for_a_handler_whose_client_is_gone() {
    let begun = Arc::new(Notify::new());
    let go_on = Arc::new(Notify::new());
    let ended = Arc::new(AtomicBool::new(false));
    let notes = (Arc::clone(&begun), Arc::clone(&go_on), Arc::clone(&ended));
    let commit = move || async move {
        notes.0.notify_one();
        notes.1.notified().await;
        notes.2.store(true, Ordering::SeqCst);
    };
    let mut server = Running::start(Router::new().route("/commit", post(commit)), LIMITS).await;
    let mut stream = server.connect().await;
    stream
        .write_all(&request("POST", "/commit", ""))
        .await
        .unwrap();
    begun.notified().await;
    drop(stream);
    // Another connection is served and over, so that one has had its turn to see that.
    let mut other = server.connect().await;
    other.write_all(&request("GET", "/none", "")).await.unwrap();
    rest(&mut other).await;

    server.stop();
    go_on.notify_one();
    server.server.await.unwrap();

    assert!(ended.load(Ordering::SeqCst));
}

#[tokio::test]
async fn shutdown_has_an_end() {
    let begun = Arc::new(Notify::new());
    let note = Arc::clone(&begun);
    let hang = move || async move {
        note.notify_one();
        std::future::pending::<()>().await;
    };
    let limits = ServerLimits {
        drain_timeout: SHORT,
        ..LIMITS
    };
    let mut server = Running::start(Router::new().route("/hang", get(hang)), limits).await;
    let mut stream = server.connect().await;
    stream
        .write_all(&request("GET", "/hang", ""))
        .await
        .unwrap();
    begun.notified().await;

    server.stop();
    server.server.await.unwrap();

    assert_eq!(rest(&mut stream).await, "");
}
