//! How fast a revocation reaches those who verify offline, and what that takes.
//!
//! `cargo bench --bench feed`, or `cargo bench --bench feed -- tree` for one part: `reach`, `cut`,
//! `snapshot`, `tree`. It prints its figures itself; each part starts a whole service on SQLite, in
//! this process, that listens on the loopback address. `tree` makes a million rows first.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark that cannot run should stop; it measures time and prints it"
)]

#[path = "support/followed.rs"]
mod followed;
#[path = "support/mod.rs"]
#[expect(dead_code, reason = "each benchmark uses a part of it")]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request as HttpRequest, StatusCode};
use followed::{serve, verifier};
use hallpass::domain::secret::PlainKey;
use hallpass::token::Algorithm;
use hallpass::verifier::{Request, Verifier};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use support::Service;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

const VERIFIERS: usize = 200;
const REVOCATIONS: usize = 50;
const TREE: i64 = 1_000_000;
const SAMPLE: usize = 200;

fn main() {
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let wanted = |part: &str| wanted.as_deref().is_none_or(|wanted| wanted == part);
    let parts: [(&str, fn()); 4] = [
        ("reach", reach),
        ("cut", cut),
        ("snapshot", snapshot),
        ("tree", tree),
    ];
    for (name, run) in parts {
        if wanted(name) {
            run();
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The value below which so many in a hundred lie.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    *sorted.get(at).unwrap()
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    println!(
        "{what}: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms, of {}",
        ms(percentile(&times, 50)),
        ms(percentile(&times, 99)),
        ms(*times.last().unwrap()),
        times.len()
    );
}

struct Minted {
    id: String,
    token: String,
}

fn mint(service: &Service, key: &PlainKey) -> Minted {
    let body = json!({"allowedRoutes": ["bot/**"], "durationInSeconds": 3600}).to_string();
    let minted = service.post(key, "/v1/session/create", body);
    let text = |name: &str| minted.get(name).unwrap().as_str().unwrap().to_owned();
    Minted {
        id: text("id"),
        token: text("token"),
    }
}

async fn code(verifier: &Verifier, token: &str) -> &'static str {
    let request = Request::new("GET", "/v1/bot/b1");
    let outcome = verifier.verify(token, &request).await;
    outcome.map_or_else(|error| error.code(), |_| "ok")
}

/// From the return of the revoking call to refusal by each of many verifiers.
fn reach() {
    let service = Service::start(Algorithm::Es256);
    let served = serve(&service);
    let verifiers: Vec<Arc<Verifier>> = (0..VERIFIERS)
        .map(|_| Arc::new(verifier(&service, &served, |builder| builder)))
        .collect();
    let mut times = Vec::new();
    for _ in 0..REVOCATIONS {
        let session = mint(&service, &service.first);
        for verifier in &verifiers {
            let outcome = service.runtime.block_on(code(verifier, &session.token));
            assert_eq!(outcome, "ok");
        }
        let mut waiting = JoinSet::new();
        for verifier in &verifiers {
            let (verifier, token) = (Arc::clone(verifier), session.token.clone());
            waiting.spawn_on(
                async move {
                    while code(&verifier, &token).await == "ok" {
                        verifier.next_document().await;
                    }
                    Instant::now()
                },
                service.runtime.handle(),
            );
        }
        // All wait again by then, as they do nearly always.
        std::thread::sleep(Duration::from_millis(100));
        let path = format!("/v1/session/{}/revoke", session.id);
        service.post(&service.first, &path, "{}".to_owned());
        let returned = Instant::now();
        let refused = service.runtime.block_on(waiting.join_all());
        times.extend(
            refused
                .iter()
                .map(|at| at.saturating_duration_since(returned)),
        );
    }
    report(
        &format!("from revocation to refusal by {VERIFIERS} connected verifiers"),
        times,
    );
}

/// How long a verifier that hears nothing any more goes on.
fn cut() {
    for bound_secs in [2, 10] {
        let service = Service::start(Algorithm::Es256);
        let served = serve(&service);
        let verifier = verifier(&service, &served, |builder| builder.bound_secs(bound_secs));
        let session = mint(&service, &service.first);
        drop(served);
        let cut_at = Instant::now();
        let refused_after = loop {
            let outcome = service.runtime.block_on(code(&verifier, &session.token));
            if outcome != "ok" {
                assert_eq!(outcome, "revocation_unknown");
                break cut_at.elapsed();
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        println!(
            "cut off, bound {bound_secs} s: refused {:.2} s after the service stopped",
            refused_after.as_secs_f64()
        );
    }
}

/// Memory of this process that is in use, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn execute(service: &Service, statement: &str) {
    service.runtime.block_on(async {
        let url = service.database_url();
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    });
}

/// What many live entries take to hand out, to load and to keep.
fn snapshot() {
    for entries in [100_000_i64, 1_000_000] {
        let service = Service::start(Algorithm::Es256);
        // Entries as they would be there after a busy day.
        execute(
            &service,
            &format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {entries})
                 INSERT INTO change_log (position, tag, created_at)
                 SELECT h.position + i * 10, random(), h.position / 1000 FROM n, change_head h;
                 UPDATE change_head SET position = position + {entries} * 10"
            ),
        );
        service.runtime.block_on(service.app.poll()).unwrap();
        let served = serve(&service);
        let (bytes, pages) = read_all(&service);
        let before = resident();
        let started = Instant::now();
        let following = verifier(&service, &served, |builder| builder.bound_secs(60));
        let took = started.elapsed();
        let grown = resident().saturating_sub(before);
        assert_eq!(
            i64::try_from(following.status().feed.unwrap().entries).unwrap(),
            entries
        );
        println!(
            "{entries} entries: {bytes} bytes in {pages} documents, ready after {:.0} ms, \
             {:.1} MiB more in memory, the verifier and what it has read included",
            ms(took),
            mebibytes(grown)
        );
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "shown with one decimal"
)]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

/// The bytes of all documents, and their number.
fn read_all(service: &Service) -> (usize, usize) {
    let mut path = "/v1/revocations".to_owned();
    let (mut bytes, mut documents) = (0, 0);
    loop {
        let answer = service.get(&path);
        bytes += answer.len();
        documents += 1;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let document = answer.get("document").unwrap().as_str().unwrap();
        let payload = document.split('.').nth(1).unwrap();
        let payload: Value = {
            use base64::Engine as _;
            let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
            serde_json::from_slice(&engine.decode(payload).unwrap()).unwrap()
        };
        if payload.get("more").unwrap() == false {
            return (bytes, documents);
        }
        let next = payload.get("next").unwrap().as_str().unwrap();
        path = format!("/v1/revocations?since={next}");
    }
}

/// One change ends a million sessions of one parent and of the accounts below it.
fn tree() {
    let service = Service::start(Algorithm::Es256);
    let parent = service.post(
        &service.first,
        "/v1/user/create",
        json!({"name": "parent"}).to_string(),
    );
    let parent = parent.get("id").unwrap().as_str().unwrap().to_owned();
    let made = service.post(
        &service.first,
        &format!("/v1/user/{parent}/token/create"),
        json!({"config": {"allowedRoutes": ["**"], "session": {"allowedRoutes": ["**"]}}})
            .to_string(),
    );
    let key = PlainKey::parse(made.get("token").unwrap().as_str().unwrap()).unwrap();
    let sample: Vec<Minted> = (0..SAMPLE).map(|_| mint(&service, &key)).collect();
    let started = Instant::now();
    // The others are rows of the same kind: what a verifier sees of a session is its token, and what
    // the service would have to walk are its rows.
    execute(
        &service,
        &format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= {TREE} - {SAMPLE})
             INSERT INTO session
             SELECT printf('ses_%026d', i), printf('ses_%026d', i), account_id, parent_id, actor_id,
                    key_id, environment, audience, issued_at, expires_at, renewable_until, random(),
                    tags, log_id, position, request_id, address, detail
             FROM n, (SELECT * FROM session ORDER BY id DESC LIMIT 1)"
        ),
    );
    println!(
        "tree: {TREE} live sessions of one parent, made in {:.0} s",
        started.elapsed().as_secs_f64()
    );
    let served = serve(&service);
    let verifiers: Vec<Verifier> = (0..5)
        .map(|_| verifier(&service, &served, |builder| builder))
        .collect();
    for verifier in &verifiers {
        for session in &sample {
            assert_eq!(
                service.runtime.block_on(code(verifier, &session.token)),
                "ok"
            );
        }
    }
    let mut calls = Vec::new();
    let suspend = format!("/v1/user/{parent}/suspend");
    let call = |path: &str| {
        let started = Instant::now();
        service.post(&service.first, path, "{}".to_owned());
        started.elapsed()
    };
    calls.push(call(&suspend));
    let returned = Instant::now();
    for session in &sample {
        assert_eq!(online(&service, &session.token), StatusCode::UNAUTHORIZED);
    }
    for verifier in &verifiers {
        service.runtime.block_on(async {
            while code(verifier, &sample.first().unwrap().token).await == "ok" {
                verifier.next_document().await;
            }
        });
    }
    let everywhere = returned.elapsed();
    for verifier in &verifiers {
        for session in &sample {
            let outcome = service.runtime.block_on(code(verifier, &session.token));
            assert_eq!(outcome, "session_ended");
        }
    }
    println!(
        "tree: the first call that suspends the parent took {:.2} ms; {SAMPLE} sessions refused by the service and by {} verifiers {:.0} ms later",
        ms(*calls.first().unwrap()),
        verifiers.len(),
        ms(everywhere)
    );
    // Nobody comes back by resuming, so it can be done again.
    for _ in 0..30 {
        call(&format!("/v1/user/{parent}/resume"));
        calls.push(call(&suspend));
    }
    report("tree: the call that suspends the parent", calls);
}

fn online(service: &Service, token: &str) -> StatusCode {
    let request = HttpRequest::get("/v1/token/self/fetch")
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    service.runtime.block_on(async {
        let response = service.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        drop(response.into_body().collect().await);
        status
    })
}
