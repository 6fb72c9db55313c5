//! A verifier that follows a feed over HTTP.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::support::{FEED_PATH, Issuer, Log, VERIFY_PATH, answer, http, key, rev, tag};
use crate::token::revocations::{DOCUMENT_LEN_MAX, Revocations};
use crate::token::{Algorithm, PrivateKey};
use crate::verifier::{Request, Verifier};

type Spoil = fn(&mut Revocations);

struct World {
    key: Arc<PrivateKey>,
    issuer: Issuer,
    log: Arc<Mutex<Log>>,
    verifier: Verifier,
}

impl World {
    /// A verifier that has heard of nothing yet.
    async fn new() -> Self {
        let key = Arc::new(key());
        let issuer = Issuer::start(&[&*key]).await;
        let log = Arc::new(Mutex::new(Log::of(&issuer)));
        let verifier = issuer.builder().assemble().unwrap();
        let world = Self {
            key,
            issuer,
            log,
            verifier,
        };
        world.serve(|_| {});
        world
    }

    /// Documents as the log has them, but for what a test does to them.
    fn serve(&self, spoil: impl Fn(&mut Revocations) + Send + 'static) {
        let (log, key) = (Arc::clone(&self.log), Arc::clone(&self.key));
        self.issuer.on(FEED_PATH, move |query| {
            let mut document = log.lock().unwrap().document_for(query);
            spoil(&mut document);
            answer(&document, &key)
        });
    }

    async fn ask(&self) -> Result<(), &'static str> {
        let feed = self.verifier.feed.as_ref().unwrap();
        let taken = feed.ask_once(true, 0).await;
        taken.map(|_| ()).map_err(|error| error.code())
    }

    async fn code(&self, token: &str) -> &'static str {
        let request = Request::new("GET", "/v1/bot/b1");
        let outcome = self.verifier.verify(token, &request).await;
        outcome.map_or_else(|error| error.code(), |_| "ok")
    }

    fn advance_secs(&self, secs: i64) {
        self.issuer.clock.advance_ms(secs * 1000);
    }
}

#[tokio::test]
async fn a_revoked_session_is_refused_once_the_feed_has_said_so() {
    let world = World::new().await;
    let token = world.issuer.token(&world.key, &[]);
    assert_eq!(world.code(&token).await, "revocation_unknown");

    world.ask().await.unwrap();
    assert_eq!(world.code(&token).await, "ok");
    assert!(world.verifier.status().is_ready());
    world.log.lock().unwrap().end(1, 20);
    world.ask().await.unwrap();

    assert_eq!(world.code(&token).await, "session_ended");
    let newer = world
        .issuer
        .token(&world.key, &[("rev", json!(rev(20).encode()))]);
    assert_eq!(world.code(&newer).await, "ok");
    let status = world.verifier.status().feed.unwrap();
    assert_eq!(
        (status.entries, status.position),
        (1, Some(rev(20).encode()))
    );
}

#[tokio::test]
async fn past_its_bound_it_refuses_and_comes_back_by_itself() {
    let world = World::new().await;
    let token = world.issuer.token(&world.key, &[]);
    world.ask().await.unwrap();

    world
        .issuer
        .answer(FEED_PATH, "503 Service Unavailable", b"");
    world.advance_secs(10);
    assert_eq!(world.ask().await, Err("feed_status"));
    assert_eq!(world.code(&token).await, "ok");
    world.issuer.clock.advance_ms(1);
    let refused = world.verifier.verify_token_alone(&token).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.status()),
        ("revocation_unknown", 503)
    );
    let status = world.verifier.status();
    assert!(!status.is_ready());
    assert_eq!(status.feed.unwrap().last_error, Some("feed_status"));

    // While nothing was heard, a session was ended.
    world.log.lock().unwrap().end(1, 20);
    world.serve(|_| {});
    assert_eq!(world.code(&token).await, "revocation_unknown");
    world.ask().await.unwrap();
    assert_eq!(world.code(&token).await, "session_ended");
}

#[tokio::test]
async fn the_clock_on_the_wall_does_not_make_knowledge_younger() {
    let world = World::new().await;
    let token = world.issuer.token(&world.key, &[]);
    world.ask().await.unwrap();

    world.advance_secs(11);
    world.issuer.clock.set_wall(super::support::NOW);

    assert_eq!(world.code(&token).await, "revocation_unknown");
}

#[tokio::test]
async fn each_bad_document_is_refused_with_its_code_and_changes_nothing() {
    let world = World::new().await;
    let token = world.issuer.token(&world.key, &[]);
    world.ask().await.unwrap();
    let key = Arc::clone(&world.key);
    let stranger = Arc::new(PrivateKey::generate(Algorithm::Es256).unwrap());
    let log = Arc::clone(&world.log);
    log.lock().unwrap().end(1, 20);

    let spoilt: [(&str, Spoil); 6] = [
        ("feed_issuer", |d| d.issuer += "/test"),
        ("feed_nonce", |d| d.nonce = None),
        ("feed_nonce", |d| d.nonce = Some("A".repeat(22))),
        ("feed_gap", |d| d.page.since = None),
        ("feed_entries", |d| {
            d.page.entries.push((rev(21).position, tag(1)));
        }),
        ("feed_payload", |d| d.page.floor = rev(-1).position),
    ];
    for (code, spoil) in spoilt {
        world.serve(spoil);
        assert_eq!(world.ask().await, Err(code));
    }

    let by = |signer: &Arc<PrivateKey>, change: fn(Vec<u8>) -> Vec<u8>| {
        let (log, signer) = (Arc::clone(&log), Arc::clone(signer));
        world.issuer.on(FEED_PATH, move |query| {
            change(answer(&log.lock().unwrap().document_for(query), &signer))
        });
    };
    by(&stranger, |whole| whole);
    assert_eq!(world.ask().await, Err("feed_key_unknown"));
    by(&key, |mut whole| {
        // One character of the signature.
        let at = whole.len() - 20;
        whole[at] = if whole[at] == b'A' { b'B' } else { b'A' };
        whole
    });
    assert_eq!(world.ask().await, Err("feed_signature"));
    let token_as_document = json!({ "document": token }).to_string();
    let over_long = json!({ "document": "a".repeat(DOCUMENT_LEN_MAX + 1) }).to_string();
    for (body, code) in [
        (token_as_document.as_str(), "feed_type"),
        (over_long.as_str(), "feed_too_long"),
        (&" ".repeat(DOCUMENT_LEN_MAX + 2000), "feed_too_long"),
        ("{}", "feed_malformed"),
        ("[]", "feed_malformed"),
        ("", "feed_malformed"),
        (r#"{"document":1}"#, "feed_malformed"),
        (r#"{"document":"a.b"}"#, "feed_malformed"),
        (r#"{"document":"a","more":1}"#, "feed_malformed"),
    ] {
        world.issuer.answer(FEED_PATH, "200 OK", body.as_bytes());
        assert_eq!(
            world.ask().await,
            Err(code),
            "{}",
            body.chars().take(40).collect::<String>()
        );
    }
    for status in ["302 Found", "204 No Content", "500 Internal Server Error"] {
        world.issuer.answer(FEED_PATH, status, b"");
        assert_eq!(world.ask().await, Err("feed_status"));
    }

    assert_eq!(world.code(&token).await, "ok", "nothing was taken in");
    world.advance_secs(11);
    assert_eq!(
        world.code(&token).await,
        "revocation_unknown",
        "nothing was fresh"
    );
}

#[tokio::test]
async fn a_replayed_document_makes_nothing_fresh() {
    let world = World::new().await;
    let token = world.issuer.token(&world.key, &[]);
    let recorded = Arc::new(Mutex::new(Vec::new()));
    let (log, key, tape) = (
        Arc::clone(&world.log),
        Arc::clone(&world.key),
        Arc::clone(&recorded),
    );
    world.issuer.on(FEED_PATH, move |query| {
        let whole = answer(&log.lock().unwrap().document_for(query), &key);
        (*tape.lock().unwrap()).clone_from(&whole);
        whole
    });
    world.ask().await.unwrap();
    world.ask().await.unwrap();

    world.log.lock().unwrap().end(1, 20);
    let replayed = recorded.lock().unwrap().clone();
    world.issuer.on(FEED_PATH, move |_| replayed.clone());
    world.advance_secs(9);
    assert_eq!(world.ask().await, Err("feed_nonce"));
    world.advance_secs(2);

    assert_eq!(world.code(&token).await, "revocation_unknown");
}

#[tokio::test]
async fn a_revoked_signing_key_kills_its_tokens_and_signs_no_documents() {
    let world = World::new().await;
    let old = Arc::clone(&world.key);
    let new = Arc::new(key());
    let of_old = world.issuer.token(&old, &[]);
    let of_new = world.issuer.token(&new, &[]);
    world.ask().await.unwrap();
    assert_eq!(world.code(&of_old).await, "ok");

    // The successor signs the document that tells of it. The key set that the verifier has fetched
    // has the old key and not the new one.
    world.issuer.publish(&[&*old, &*new]);
    world.advance_secs(2);
    world.log.lock().unwrap().revoked = vec![old.public().kid().to_owned()];
    let (log, signer) = (Arc::clone(&world.log), Arc::clone(&new));
    world.issuer.on(FEED_PATH, move |query| {
        answer(&log.lock().unwrap().document_for(query), &signer)
    });
    world.ask().await.unwrap();

    assert_eq!(world.code(&of_old).await, "key_revoked");
    assert_eq!(world.code(&of_new).await, "ok");
    // Whoever has stolen it says that nothing was revoked.
    world.log.lock().unwrap().revoked.clear();
    world.serve(|_| {});
    assert_eq!(world.ask().await, Err("feed_key_revoked"));
    assert_eq!(world.code(&of_old).await, "key_revoked");
}

#[tokio::test]
async fn it_asks_online_past_its_bound_and_never_against_what_it_knows() {
    let world = World::new().await;
    let verifier = world.issuer.builder().ask_online("sk_test_key").assemble();
    let world = World {
        verifier: verifier.unwrap(),
        ..world
    };
    let token = world.issuer.token(&world.key, &[]);
    let asked = Arc::new(Mutex::new(0));
    let answers = |body: &'static str| {
        let asked = Arc::clone(&asked);
        world.issuer.on(VERIFY_PATH, move |_| {
            *asked.lock().unwrap() += 1;
            http("200 OK", body.as_bytes())
        });
    };

    answers(r#"{"active":true}"#);
    assert_eq!(world.code(&token).await, "ok");
    assert_eq!(*asked.lock().unwrap(), 1);
    answers(r#"{"active":false}"#);
    assert_eq!(world.code(&token).await, "session_ended");
    for other in ["{}", r#"{"active":"true"}"#, "", r#"{"active":true}x"#] {
        answers(other);
        assert_eq!(world.code(&token).await, "revocation_unknown", "{other}");
    }
    world
        .issuer
        .answer(VERIFY_PATH, "503 Service Unavailable", b"");
    assert_eq!(world.code(&token).await, "revocation_unknown");

    // While the feed is heard, nobody is asked; and what it said holds when it is not.
    let before = *asked.lock().unwrap();
    answers(r#"{"active":true}"#);
    world.ask().await.unwrap();
    assert_eq!(world.code(&token).await, "ok");
    world.log.lock().unwrap().end(1, 20);
    world.ask().await.unwrap();
    world.advance_secs(60);
    assert_eq!(world.code(&token).await, "session_ended");
    assert_eq!(*asked.lock().unwrap(), before);
}

#[tokio::test]
async fn it_reads_all_pages_and_then_waits_in_the_background() {
    let world = World::new().await;
    {
        let mut log = world.log.lock().unwrap();
        for number in 1..=50 {
            log.end(number, 10 + number);
        }
        log.page_len = 7;
    }
    let queries = Arc::new(Mutex::new(Vec::new()));
    let (log, key, seen) = (
        Arc::clone(&world.log),
        Arc::clone(&world.key),
        Arc::clone(&queries),
    );
    world.issuer.on(FEED_PATH, move |query| {
        seen.lock().unwrap().push(query.clone());
        answer(&log.lock().unwrap().document_for(query), &key)
    });

    // Its own tasks, on the clock of the machine.
    let builder = Verifier::builder(&world.issuer.url).audience(super::support::AUDIENCE);
    let verifier = builder.build().unwrap();
    verifier.ready().await;
    verifier.next_document().await;

    let status = verifier.status();
    assert!(status.is_ready());
    assert_eq!(status.feed.unwrap().entries, 50);
    let queries = queries.lock().unwrap().clone();
    assert!(queries[0].is_empty(), "the first question may be cached");
    let pages = queries
        .iter()
        .take_while(|query| !query.contains_key("nonce"));
    assert_eq!(pages.count(), 8);
    assert!(queries[8].contains_key("nonce") && !queries[8].contains_key("wait"));
    assert_eq!(queries[9].get("wait").map(String::as_str), Some("3"));
    assert_ne!(queries[9].get("nonce"), queries[8].get("nonce"));
}
