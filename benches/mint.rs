//! What a mint costs on SQLite, and a verification: the whole act beside the bare signature.
//!
//! `cargo bench --bench mint`. For each algorithm `sign` is the bare signature over a token of the
//! same size, `mint` the way of a request from the router to the body of the answer, with the
//! session on disk. `parts` takes a mint apart. One request is under way at a time, so each mint
//! waits for the disk by itself.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot run should stop"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use hallpass::domain::grant::{Wanted, grant};
use hallpass::domain::id::{AccountId, KeyId, SessionId};
use hallpass::domain::route::RouteSet;
use hallpass::domain::secret::PlainKey;
use hallpass::store::sessions::NewRow;
use hallpass::store::{accounts, api_keys, change_log, secrets, sessions};
use hallpass::token::{Algorithm, PrivateKey};
use serde_json::{Value, json};

#[expect(dead_code, reason = "other benchmarks look at the database, too")]
mod support;

use support::Service;

/// What a backend asks for a widget: three routes and a word about the visitor.
fn wanted() -> String {
    json!({
        "allowedRoutes": ["conversation/c1/**", "POST bot/b1/complete", "platform/report/list"],
        "data": {"contact": {"name": "Ann"}},
    })
    .to_string()
}

/// A key that may mint, and nothing else; the unrestricted first key made it.
fn minter(service: &Service) -> PlainKey {
    service.key(&json!({
        "name": "widget backend",
        "config": {
            "allowedRoutes": ["POST session/create", "POST session/verify"],
            "session": {
                "allowedRoutes": ["conversation/**", "POST bot/*/complete", "platform/**"],
            },
        },
    }))
}

fn token_of(answer: &Value) -> &str {
    answer["token"].as_str().unwrap()
}

fn algorithms(c: &mut Criterion) {
    for algorithm in Algorithm::ALL {
        let service = Service::start(algorithm);
        let key = minter(&service);
        let body = wanted();
        let answer = service.post(&key, "/v1/session/create", body.clone());
        let token = token_of(&answer);
        let (signed, _) = token.rsplit_once('.').unwrap();
        let bare = PrivateKey::generate(algorithm).unwrap();
        let signature = bare.sign(signed.as_bytes()).unwrap();

        let mut group = c.benchmark_group(algorithm.as_str());
        group.bench_function("sign", |b| {
            b.iter(|| bare.sign(black_box(signed.as_bytes())).unwrap());
        });
        group.bench_function("mint", |b| {
            b.iter(|| service.post(&key, "/v1/session/create", body.clone()));
        });
        group.bench_function("verify, bare", |b| {
            b.iter(|| {
                let public = bare.public();
                assert!(public.verify(black_box(signed.as_bytes()), black_box(&signature)));
            });
        });
        // Signature, claims and liveness; no database.
        group.bench_function("verify, whole", |b| {
            b.iter(|| service.app.session_named_by(black_box(token)).unwrap());
        });
        let question = json!({ "token": token }).to_string();
        group.bench_function("verify, by HTTP", |b| {
            b.iter(|| service.post(&key, "/v1/session/verify", question.clone()));
        });
        group.finish();
    }
}

fn parts(c: &mut Criterion) {
    let service = Service::start(Algorithm::Es256);
    let Service {
        app,
        runtime,
        operator,
        ..
    } = &service;
    // Connections that are dropped between two runs go back to their pool here.
    let _inside = runtime.enter();
    let key = minter(&service);
    let digest = key.digest();
    let presented = service.presented(key.clone());
    let answer = service.post(&key, "/v1/session/create", wanted());
    let id = SessionId::parse(answer["id"].as_str().unwrap()).unwrap();
    let caller = runtime.block_on(app.admit(&presented)).unwrap();
    let key_id: KeyId = caller.key_id().unwrap().clone();
    let operator: &AccountId = operator;

    let mut group = c.benchmark_group("parts");
    group.bench_function("router, nothing behind it", |b| {
        b.iter(|| service.get("/healthz"));
    });
    group.bench_function("a connection", |b| {
        b.iter(|| runtime.block_on(app.store.read()).unwrap());
    });
    let mut read = runtime.block_on(app.store.read()).unwrap();
    group.bench_function("read the head", |b| {
        b.iter(|| runtime.block_on(change_log::head(read.conn())).unwrap());
    });
    group.bench_function("read the secret", |b| {
        b.iter(|| {
            runtime
                .block_on(secrets::find(read.conn(), &digest))
                .unwrap()
        });
    });
    group.bench_function("read the key and its maker", |b| {
        b.iter(|| {
            runtime
                .block_on(api_keys::lineage(read.conn(), &key_id))
                .unwrap()
        });
    });
    group.bench_function("read the account", |b| {
        b.iter(|| {
            runtime
                .block_on(accounts::chain(read.conn(), operator))
                .unwrap()
        });
    });
    group.bench_function("admit", |b| {
        b.iter(|| runtime.block_on(app.admit(&presented)).unwrap());
    });

    let routes = [
        "conversation/c1/**",
        "POST bot/b1/complete",
        "platform/report/list",
    ];
    let wanted = Wanted {
        routes: Some(RouteSet::parse(routes).unwrap()),
        ..Wanted::default()
    };
    group.bench_function("grant", |b| {
        b.iter(|| {
            let (effective, wanted) = (black_box(&caller.effective), black_box(&wanted));
            grant(effective, None, wanted, &app.policy.audiences, app.now()).unwrap()
        });
    });

    let session = runtime.block_on(sessions::find(read.conn(), &id)).unwrap();
    let mut session = session.unwrap();
    group.bench_function("insert, not committed", |b| {
        let mut tx = runtime.block_on(app.store.write()).unwrap();
        b.iter(|| {
            session.id = SessionId::new(app.now(), &*app.entropy).unwrap();
            let row = NewRow::new(&session, None).unwrap();
            runtime
                .block_on(sessions::insert(tx.conn(), &[row]))
                .unwrap();
        });
    });
    group.bench_function("insert and commit", |b| {
        b.iter(|| {
            session.id = SessionId::new(app.now(), &*app.entropy).unwrap();
            runtime.block_on(async {
                let mut tx = app.store.write().await.unwrap();
                let row = NewRow::new(&session, None).unwrap();
                sessions::insert(tx.conn(), &[row]).await.unwrap();
                tx.commit().await.unwrap();
            });
        });
    });
    group.finish();
}

criterion_group!(benches, algorithms, parts);
criterion_main!(benches);
