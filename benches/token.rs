//! What a token costs: the bare signature beside the whole act, for each algorithm.
//!
//! `cargo bench --bench token`. The difference between a pair is what our own code costs: base64,
//! JSON, and the checks.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot run should stop"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use hallpass::domain::id::{AccountId, KeyId, SessionId};
use hallpass::domain::time::Timestamp;
use hallpass::entropy::SeededEntropy;
use hallpass::token::jws::{parse_compact, sign_compact};
use hallpass::token::verify::SESSION_TYP;
use hallpass::token::{
    Algorithm, Audiences, Claims, Expected, KeySource, Leeway, MasterKey, PrivateKey, PublicKey,
    verify_token,
};

const NOW: Timestamp = Timestamp::from_millis(1_900_000_000_000);
const ISSUER: &str = "https://auth.example.com";
const AUDIENCE: &str = "https://auth.example.com/api";

struct OneKey(PublicKey);

impl KeySource for OneKey {
    fn find(&self, kid: &str) -> Option<&PublicKey> {
        (kid == self.0.kid()).then_some(&self.0)
    }
}

/// A session as a widget gets it: three routes, tags of a key two lines deep.
fn claims() -> Claims {
    let entropy = SeededEntropy::new(1);
    let iat = NOW.secs_floor();
    Claims {
        iss: ISSUER.to_owned(),
        sub: AccountId::new(NOW, &entropy).unwrap(),
        aud: AUDIENCE.to_owned(),
        iat,
        nbf: iat,
        exp: iat + 900,
        jti: SessionId::new(NOW, &entropy).unwrap(),
        client_id: KeyId::new(NOW, &entropy).unwrap(),
        act: None,
        allowed_routes: vec![
            "POST conversation/c1/complete".to_owned(),
            "conversation/c1/message/**".to_owned(),
            "platform/**".to_owned(),
        ],
        scope: Some("conversations:read conversations:write".to_owned()),
        bindings: None,
        domains: Some(vec!["example.com".to_owned()]),
        lin: "A".repeat(64),
        rev: "AAAAAAAAAAA.1900000000000000".to_owned(),
        data: None,
        cnf: None,
    }
}

fn expected() -> Expected {
    Expected {
        issuer: ISSUER.to_owned(),
        audiences: Audiences::OneOf(vec![AUDIENCE.to_owned()]),
        typ: SESSION_TYP,
        leeway: Leeway::NONE,
    }
}

fn tokens(c: &mut Criterion) {
    let claims = claims();
    let expected = expected();
    for alg in Algorithm::ALL {
        let key = PrivateKey::generate(alg).unwrap();
        let keys = OneKey(key.public().clone());
        let payload = claims.to_json().unwrap();
        let token = sign_compact(SESSION_TYP, &payload, &key).unwrap();
        let (signed, _) = token.rsplit_once('.').unwrap();
        let signature = key.sign(signed.as_bytes()).unwrap();

        let mut group = c.benchmark_group(alg.as_str());
        group.bench_function("sign/bare", |b| {
            b.iter(|| key.sign(black_box(signed.as_bytes())).unwrap());
        });
        group.bench_function("sign/token", |b| {
            b.iter(|| {
                let payload = black_box(&claims).to_json().unwrap();
                sign_compact(SESSION_TYP, &payload, &key).unwrap()
            });
        });
        group.bench_function("verify/bare", |b| {
            b.iter(|| {
                assert!(
                    keys.0
                        .verify(black_box(signed.as_bytes()), black_box(&signature))
                );
            });
        });
        group.bench_function("verify/token", |b| {
            b.iter(|| verify_token(black_box(&token), &keys, &expected, NOW).unwrap());
        });
        group.finish();
    }
}

fn parts(c: &mut Criterion) {
    let claims = claims();
    let payload = claims.to_json().unwrap();
    let key = PrivateKey::generate(Algorithm::Es256).unwrap();
    let token = sign_compact(SESSION_TYP, &payload, &key).unwrap();
    c.bench_function("parse/compact", |b| {
        b.iter(|| parse_compact(black_box(&token)).unwrap());
    });
    c.bench_function("parse/claims", |b| {
        b.iter(|| Claims::parse(black_box(&payload)).unwrap());
    });

    let entropy = SeededEntropy::new(2);
    let master = MasterKey::generate(&entropy).unwrap();
    let der = key.to_pkcs8().unwrap();
    let sealed = master.seal(&der, b"signing_key", &entropy).unwrap();
    c.bench_function("seal", |b| {
        b.iter(|| {
            master
                .seal(black_box(&der), b"signing_key", &entropy)
                .unwrap()
        });
    });
    c.bench_function("open", |b| {
        b.iter(|| master.open(black_box(&sealed), b"signing_key").unwrap());
    });
}

criterion_group!(benches, tokens, parts);
criterion_main!(benches);
