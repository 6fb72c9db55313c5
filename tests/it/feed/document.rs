//! `/v1/revocations`: what it says, to whom, and when it says nothing.

use std::time::Duration;

use hallpass::domain::feed::Cursor;
use hallpass::domain::liveness::{EndedTags, Position, Rev, Tags};
use hallpass::token::{KeySet, Revocations, read_revocations};
use serde_json::json;

use crate::support::town::{Answer, Key, Session, Town, jose_header};

const FEED: &str = "/v1/revocations";
const NONCE: &str = "0123456789abcdefABCDEF";

/// Reads a document as a verifier does, by the published keys.
async fn read(town: &Town, answer: &Answer) -> Revocations {
    let document = answer.ok()["document"].as_str().unwrap().to_owned();
    let test = answer.to_string().contains("GET /test/");
    let keys = if test {
        "/test/.well-known/jwks.json"
    } else {
        "/.well-known/jwks.json"
    };
    let keys = town.nobody().get(keys).await.body;
    let keys = KeySet::parse(&keys).unwrap();
    read_revocations(&document, &keys, &|_| false).unwrap()
}

/// Everything, read anew.
async fn snapshot(town: &Town) -> Revocations {
    read(town, &town.nobody().get(FEED).await).await
}

/// What came after a cursor, fresh.
async fn since(town: &Town, cursor: Cursor) -> Revocations {
    let path = format!("{FEED}?since={}&nonce={NONCE}", cursor.encode());
    read(town, &town.nobody().get(&path).await).await
}

/// Whether a session is alive by what a document says.
fn is_alive(document: &Revocations, session: &Session) -> bool {
    let claims = session.claims();
    let tags = Tags::decode(claims["lin"].as_str().unwrap()).unwrap();
    let rev = Rev::decode(claims["rev"].as_str().unwrap()).unwrap();
    let mut ended = EndedTags::new(document.page.next.log, document.page.confirmed);
    for (at, tag) in &document.page.entries {
        ended.end(*tag, *at);
    }
    ended.raise_floor(document.page.floor);
    ended.check(&tags, rev).is_ok()
}

async fn session(key: &Key) -> Session {
    key.session(json!({"allowedRoutes": ["bot/**"]})).await
}

async fn revoke(key: &Key, session: &Session) {
    let path = format!("/v1/session/{}/revoke", session.id);
    key.post(&path, json!({})).await.ok();
}

#[tokio::test]
async fn it_tells_what_was_ended_and_nothing_else() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    let (one, other) = (session(&key).await, session(&key).await);
    town.poll().await;
    let before = snapshot(&town).await;
    assert!(is_alive(&before, &one) && is_alive(&before, &other));
    assert_eq!(before.issuer, Town::issuer());
    assert!(!before.page.more);

    revoke(&key, &one).await;
    town.poll().await;

    let after = snapshot(&town).await;
    assert!(!is_alive(&after, &one) && is_alive(&after, &other));
    let news = since(&town, before.page.next).await;
    assert_eq!(news.page.since, Some(before.page.next));
    assert_eq!(news.page.entries.len(), 1);
    assert_eq!(news.nonce.as_deref(), Some(NONCE));
    assert!(news.page.confirmed > before.page.confirmed);
    let nothing = since(&town, news.page.next).await;
    assert!(nothing.page.entries.is_empty() && !nothing.page.more);
}

#[tokio::test]
async fn one_entry_ends_a_whole_tree() {
    let town = Town::new().await;
    let parent = town.account("parent").await;
    let child = parent.child("child").await;
    let (own, below) = (
        session(&parent.full_key().await).await,
        session(&child.full_key().await).await,
    );
    let operator = town.operator().full_key().await;
    town.poll().await;
    let before = snapshot(&town).await;

    let path = format!("/v1/user/{}/suspend", parent.id);
    operator.post(&path, json!({})).await.ok();
    town.poll().await;

    let news = since(&town, before.page.next).await;
    assert_eq!(news.page.entries.len(), 1);
    assert!(!is_alive(&news, &own) && !is_alive(&news, &below));
}

#[tokio::test]
async fn a_node_states_only_what_it_has_read_of_the_log() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    let session = session(&key).await;
    town.poll().await;
    let before = snapshot(&town).await;

    // In force here, and another node may have ended something before it that is not known yet.
    revoke(&key, &session).await;
    let unpolled = since(&town, before.page.next).await;
    assert!(unpolled.page.entries.is_empty());
    assert_eq!(unpolled.page.confirmed, before.page.confirmed);

    town.poll().await;
    let polled = since(&town, before.page.next).await;
    assert_eq!(polled.page.entries.len(), 1);
}

#[tokio::test]
async fn a_node_that_knows_less_than_its_reader_reads_the_log_first() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    let session = session(&key).await;
    let other = town.second_node().await;
    revoke(&key, &session).await;
    town.poll().await;
    let ahead = snapshot(&town).await;
    assert!(snapshot(&other).await.page.confirmed < ahead.page.confirmed);

    let caught_up = since(&other, ahead.page.next).await;

    assert_eq!(caught_up.page.since, Some(ahead.page.next));
    assert_eq!(caught_up.page.confirmed, ahead.page.confirmed);
    assert!(!is_alive(&snapshot(&other).await, &session));
}

#[tokio::test]
async fn without_fresh_knowledge_of_the_log_it_says_nothing() {
    let town = Town::new().await;
    town.poll().await;
    town.nobody().get(FEED).await.ok();

    town.app().store.close().await;
    town.advance_ms(1001);

    for path in [FEED.to_owned(), format!("{FEED}?nonce={NONCE}")] {
        town.nobody()
            .get(&path)
            .await
            .refused(503, "SERVICE_UNAVAILABLE");
    }
}

#[tokio::test]
async fn only_a_document_without_a_nonce_may_be_cached() {
    let town = Town::new().await;
    let nobody = town.nobody();
    let first = nobody.get(FEED).await;
    first.ok();
    assert_eq!(first.header("cache-control"), Some("public, max-age=10"));
    let etag = first.header("etag").unwrap().to_owned();
    assert_eq!(nobody.get(FEED).await.body, first.body, "signed once");

    let unchanged = nobody.header("if-none-match", &etag).get(FEED).await;
    unchanged.status(304);
    assert!(unchanged.body.is_empty());
    assert_eq!(unchanged.header("etag"), Some(etag.as_str()));

    let live = nobody.header("if-none-match", &etag);
    let live = live.get(&format!("{FEED}?nonce={NONCE}")).await;
    live.ok();
    assert_eq!(live.header("cache-control"), Some("no-store"));
    assert_eq!(live.header("etag"), None);

    let key = town.account("shop").await.full_key().await;
    revoke(&key, &session(&key).await).await;
    town.poll().await;
    let changed = nobody.header("if-none-match", &etag).get(FEED).await;
    changed.status(200);
    assert_ne!(changed.header("etag"), Some(etag.as_str()));
}

#[tokio::test]
async fn a_question_that_cannot_be_read_is_refused() {
    let town = Town::new().await;
    let far = Cursor {
        position: Position::new(i64::MAX),
        ..snapshot(&town).await.page.next
    };
    for query in [
        "since=",
        "since=x",
        "since=AAAAAAAAAAA.-1",
        "since=AAAAAAAAAAA.01",
        "nonce=short",
        "nonce=0123456789abcde!",
        "wait=1",
        "wait=0.5&nonce=0123456789abcdef",
        "wait=21&nonce=0123456789abcdef",
        "wait=-1&nonce=0123456789abcdef",
        "nonce=0123456789abcdef&nonce=0123456789abcdef",
        "cursor=1",
        &format!("since={}", far.encode()),
    ] {
        let path = format!("{FEED}?{query}");
        town.nobody()
            .get(&path)
            .await
            .refused(400, "INVALID_REQUEST");
    }
    town.nobody().post(FEED, json!({})).await.status(405);
}

#[tokio::test]
async fn each_environment_has_a_feed_of_its_own_signature() {
    let town = Town::new().await;
    let path = format!("/test{FEED}?nonce={NONCE}");
    let answer = town.nobody().get(&path).await;
    let test = read(&town, &answer).await;
    assert_eq!(test.issuer, format!("{}/test", Town::issuer()));
    let live = town.nobody().get(&format!("/api{FEED}")).await;
    let live = live.ok()["document"].as_str().unwrap().to_owned();
    let kid = |document: &str| jose_header(document)["kid"].clone();
    assert_ne!(kid(&live), kid(answer.ok()["document"].as_str().unwrap()));
    assert_eq!(jose_header(&live)["typ"], "hallpass-revocations+jwt");
}

#[tokio::test]
async fn no_door_takes_a_document_for_a_token() {
    let town = Town::new().await;
    let answer = town.nobody().get(FEED).await.ok();
    let document = answer["document"].as_str().unwrap();
    let caller = town.bearer(document);
    caller
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_TOKEN");
    let key = town.first_key().await;
    let verified = key
        .post("/v1/session/verify", json!({ "token": document }))
        .await;
    assert_eq!(verified.ok()["active"], false);
}

#[tokio::test]
async fn a_revoked_signing_key_is_told_at_once_by_its_successor() {
    let town = Town::new().await;
    let operator = town.operator_key().await;
    let key = town.account("shop").await.full_key().await;
    let session = session(&key).await;
    let kid = jose_header(&session.token)["kid"]
        .as_str()
        .unwrap()
        .to_owned();
    let other = town.second_node().await;
    let before = snapshot(&other).await;
    assert!(before.revoked_keys.is_empty());

    // The next key is too young to sign tokens yet, and signs this all the same.
    let path = format!("/v1/signing-key/{kid}/revoke");
    operator.post(&path, json!({})).await.ok();

    // Another request has made the other node read the log, but not the keys.
    other.advance_ms(1001);
    session.get("/v1/token/self/fetch").await.status(401);
    other
        .bearer(&session.token)
        .get("/v1/token/self/fetch")
        .await;
    for node in [&town, &other] {
        node.poll().await;
        let news = since(node, before.page.next).await;
        assert_eq!(news.revoked_keys, [kid.as_str()]);
        assert_eq!(news.page.entries.len(), 1, "so that nobody waits for it");
        let refused = node
            .bearer(&session.token)
            .get("/v1/token/self/fetch")
            .await;
        refused.refused(401, "INVALID_TOKEN");
    }
}

#[tokio::test]
async fn a_restored_log_begins_anew() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    revoke(&key, &session(&key).await).await;
    town.poll().await;
    let before = snapshot(&town).await;

    town.sql("UPDATE change_head SET log_id = log_id + 1").await;
    town.poll().await;

    let anew = since(&town, before.page.next).await;
    assert_eq!(anew.page.since, None);
    assert_ne!(anew.page.next.log, before.page.next.log);
    assert_eq!(anew.page.entries, before.page.entries);
}

#[tokio::test]
async fn entries_go_when_the_last_token_has_expired_and_the_floor_says_so() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    revoke(&key, &session(&key).await).await;
    town.poll().await;
    let before = snapshot(&town).await;
    let (last, _) = *before.page.entries.last().unwrap();

    town.advance_secs(3 * 86_400);
    town.app().prune().await.unwrap();
    town.poll().await;

    let after = snapshot(&town).await;
    assert!(after.page.entries.is_empty());
    assert_eq!(after.page.floor, last);
}

#[tokio::test]
async fn who_waits_is_answered_when_something_is_ended() {
    let town = Town::new().await;
    let key = town.account("shop").await.full_key().await;
    let session = session(&key).await;
    town.poll().await;
    let before = snapshot(&town).await;
    let cursor = before.page.next.encode();
    let path = format!("{FEED}?since={cursor}&nonce={NONCE}&wait=20");

    let (asking, asked) = (town.nobody(), path.clone());
    let waiting = tokio::spawn(async move { asking.get(&asked).await });
    // A change that ends nothing wakes nobody.
    town.account("other").await;
    town.poll().await;
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    revoke(&key, &session).await;
    town.poll().await;
    let answer = tokio::time::timeout(Duration::from_secs(10), waiting).await;

    let news = read(&town, &answer.unwrap().unwrap()).await;
    assert!(!is_alive(&news, &session));
    // What is there already is not waited for.
    let again = tokio::time::timeout(Duration::from_secs(10), async {
        town.nobody().get(&path).await
    });
    again.await.unwrap().ok();
}

#[tokio::test]
async fn those_who_wait_are_few_and_are_let_go_when_the_service_stops() {
    // A quarter of the connections may wait: one.
    let town = Town::with_settings("[limits]\nconnections_max = 4\n").await;
    town.poll().await;
    let cursor = snapshot(&town).await.page.next.encode();
    let path = format!("{FEED}?since={cursor}&nonce={NONCE}&wait=15");
    let ask = || {
        let (asking, path) = (town.nobody(), path.clone());
        tokio::spawn(async move { asking.get(&path).await })
    };

    let first = ask();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    // The second is answered at once.
    let second = tokio::time::timeout(Duration::from_secs(10), ask()).await;
    second.unwrap().unwrap().ok();
    assert!(!first.is_finished());
    town.app().stop_waiting();
    let first = tokio::time::timeout(Duration::from_secs(10), first).await;
    first.unwrap().unwrap().ok();
    let late = tokio::time::timeout(Duration::from_secs(10), ask()).await;
    late.unwrap().unwrap().ok();
}
