//! What our verifier costs a service: a token that it has seen, one that it has not, and the
//! question whether one was ended.
//!
//! `cargo bench --bench verifier`. The verifier follows the feed of a real service meanwhile.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot run should stop"
)]

#[path = "support/followed.rs"]
mod followed;
#[path = "support/mod.rs"]
#[expect(dead_code, reason = "each benchmark uses a part of it")]
mod support;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use followed::{serve, verifier};
use futures_util::FutureExt as _;
use hallpass::domain::liveness::{EndedTags, LogId, Position, Rev, Tag, Tags};
use hallpass::entropy::{Entropy, SeededEntropy};
use hallpass::token::jws::parse_compact;
use hallpass::token::{Algorithm, KeySet, KeySource as _};
use hallpass::verifier::{Request, Verifier};
use serde_json::json;
use support::Service;

/// Ten routes; the seventh allows what is asked.
const ROUTES: [&str; 10] = [
    "GET bot/list",
    "GET dataset/*/record/list",
    "GET skillset/list",
    "POST conversation/c1/complete",
    "conversation/c1/message/**",
    "file/*/download",
    "GET bot/*/fetch",
    "platform/**",
    "**/export",
    "POST event/create",
];
const TARGET: &str = "/v1/bot/b1/fetch?full=1";

fn verify(c: &mut Criterion) {
    for algorithm in Algorithm::ALL {
        let service = Service::start(algorithm);
        let served = serve(&service);
        let body = json!({"allowedRoutes": ROUTES, "durationInSeconds": 3600}).to_string();
        let minted = service.post(&service.first, "/v1/session/create", body);
        let token = minted.get("token").unwrap().as_str().unwrap().to_owned();
        let keys = KeySet::parse(&service.get("/.well-known/jwks.json")).unwrap();
        let key = keys.find(parse_compact(&token).unwrap().kid()).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = {
            use base64::Engine as _;
            let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
            engine.decode(signature).unwrap()
        };
        let warm = verifier(&service, &served, |builder| builder);
        let cold = verifier(&service, &served, |builder| builder.remember_signatures(0));
        let request = Request::new("GET", TARGET);
        let ask = |verifier: &Verifier| {
            let verified = verifier.verify(black_box(&token), black_box(&request));
            verified.now_or_never().unwrap().unwrap()
        };

        let mut group = c.benchmark_group(format!("verify/{}", algorithm.as_str()));
        group.bench_function("bare signature", |b| {
            b.iter(|| assert!(key.verify(black_box(signed.as_bytes()), black_box(&signature))));
        });
        group.bench_function("cold", |b| b.iter(|| ask(&cold)));
        group.bench_function("warm", |b| b.iter(|| ask(&warm)));
        group.finish();
    }
}

/// Six tags, as a session of a key of a child has them, among so many that were ended.
fn liveness(c: &mut Criterion) {
    let entropy: &dyn Entropy = &SeededEntropy::new(1);
    let log = LogId::new(entropy).unwrap();
    let mut tags = Tags::new();
    for _ in 0..6 {
        tags.add(Tag::new(entropy).unwrap());
    }
    let rev = Rev {
        log,
        position: Position::new(1),
    };
    let mut group = c.benchmark_group("liveness");
    for entries in [0, 1_000, 100_000, 1_000_000] {
        let mut ended = EndedTags::new(log, Position::new(entries + 2));
        for at in 0..entries {
            ended.end(Tag::new(entropy).unwrap(), Position::new(at + 2));
        }
        group.bench_function(format!("{entries} entries"), |b| {
            b.iter(|| ended.check(black_box(&tags), black_box(rev)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, verify, liveness);
criterion_main!(benches);
