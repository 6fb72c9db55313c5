//! What it costs to admit a request with a key, among a thousand, a hundred thousand and a million
//! keys: it must not depend on their number.
//!
//! `cargo bench --bench authentication`. `one key` presents the same key each time, `any key` another
//! one each time, so that no page of the database is warm by itself, `unknown key` one that has the
//! right form and is in no table. Filling the largest table takes about a minute.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot run should stop"
)]

use std::fmt;
use std::hint::black_box;
use std::str::FromStr as _;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use hallpass::app::authorise::Presented;
use hallpass::domain::environment::Environment;
use hallpass::domain::id::{AccountId, KeyId};
use hallpass::domain::secret::{KeyKind, PlainKey};
use hallpass::entropy::{Entropy, SeededEntropy};
use hallpass::token::Algorithm;
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};

#[expect(dead_code, reason = "the other benchmarks go through HTTP, too")]
mod support;

use support::Service;

/// How many keys there are. Each ten have an account of their own.
const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];
const KEYS_OF_ACCOUNT: usize = 10;
/// Keys that take turns in `any key`, spread over the table.
const TURNS: usize = 1_000;
/// Rows that are inserted by one statement.
const CHUNK: usize = 10_000;

/// A service with many keys, and some of them.
struct Crowd {
    service: Service,
    size: Size,
    some: Vec<Presented>,
    unknown: Vec<Presented>,
}

#[derive(Clone, Copy)]
struct Size(usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0)
    }
}

impl Crowd {
    fn gather(size: usize) -> Self {
        let service = Service::start(Algorithm::Es256);
        let entropy = SeededEntropy::new(u64::try_from(size).unwrap());
        let keys = service.runtime.block_on(fill(&service, size, &entropy));
        let present = |key: PlainKey| Presented {
            // Failures of one address are limited, and so is what this one would measure.
            facts: hallpass::app::authorise::Facts {
                address: None,
                ..service.presented(key.clone()).facts
            },
            ..service.presented(key)
        };
        let some = keys.into_iter().map(present).collect();
        let unknown = (0..TURNS).map(|_| present(new_key(&entropy))).collect();
        Self {
            service,
            size: Size(size),
            some,
            unknown,
        }
    }

    fn admit(&self, presented: &Presented) -> bool {
        let admitted = self.service.app.admit(black_box(presented));
        self.service.runtime.block_on(admitted).is_ok()
    }
}

fn new_key(entropy: &dyn Entropy) -> PlainKey {
    PlainKey::generate(KeyKind::Secret, Environment::Live, entropy).unwrap()
}

/// Puts scoped keys into the tables, made by the first key for children of the operator. Not through
/// the API, which would take hours.
async fn fill(service: &Service, size: usize, entropy: &dyn Entropy) -> Vec<PlainKey> {
    let now = service.app.now();
    let file = service.app.store.file().unwrap();
    let mut conn = SqliteConnectOptions::from_str(&format!("sqlite://{}", file.display()))
        .unwrap()
        // Only for the time of filling; the service itself syncs each commit.
        .synchronous(SqliteSynchronous::Off)
        .pragma("cache_size", "-1000000")
        .connect()
        .await
        .unwrap();
    let maker: String = sqlx::query_scalar("SELECT id FROM api_key")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    let config = json!({"allowedRoutes": ["POST session/create", "bot/*/session/create"]});
    let mut kept = Vec::new();
    let mut account = service.operator.clone();
    for first in (0..size).step_by(CHUNK) {
        let mut accounts = Vec::new();
        let mut keys = Vec::new();
        for index in first..size.min(first + CHUNK) {
            if index % KEYS_OF_ACCOUNT == 0 {
                account = AccountId::new(now, entropy).unwrap();
                let tags = [tag(entropy), tag(entropy), tag(entropy)];
                accounts.push(json!([account.as_str(), tags]));
            }
            let key = new_key(entropy);
            let id = KeyId::new(now, entropy).unwrap();
            let digest: String = key.digest().as_bytes().iter().copied().map(hex).collect();
            let tags = [tag(entropy), tag(entropy)];
            keys.push(json!([
                id.as_str(),
                account.as_str(),
                digest,
                key.hint(),
                tags
            ]));
            if index % size.div_ceil(TURNS) == 0 {
                kept.push(key);
            }
        }
        let mut tx = conn.begin().await.unwrap();
        sqlx::query(
            "INSERT INTO account (id, parent_id, depth, state, can_impersonate,
                 impersonation_policy, tag, child_tag, parent_tag, created_at, updated_at)
             SELECT value ->> 0, $2, 2, 'active', 1, 'allow', value ->> '$[1][0]',
                 value ->> '$[1][1]', value ->> '$[1][2]', $3, $3
             FROM json_each($1)",
        )
        .bind(json!(accounts).to_string())
        .bind(service.operator.as_str())
        .bind(now.millis())
        .execute(&mut *tx)
        .await
        .unwrap();
        let keys = json!(keys).to_string();
        sqlx::query(
            "INSERT INTO api_key (id, account_id, maker_id, grantors, depth, environment, kind,
                 enabled, operator, unrestricted, config, line_lives_on, tag, line_tag, made_at,
                 created_at, updated_at)
             SELECT value ->> 0, value ->> 1, $2, '[]', 2, 'live', 'sk', 1, 0, 0, $3, 0,
                 value ->> '$[4][0]', value ->> '$[4][1]', $4 * 1000, $4, $4
             FROM json_each($1)",
        )
        .bind(&keys)
        .bind(&maker)
        .bind(config.to_string())
        .bind(now.millis())
        .execute(&mut *tx)
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO api_key_secret (digest, key_id, hint, created_at)
             SELECT unhex(value ->> 2), value ->> 0, value ->> 3, $2 FROM json_each($1)",
        )
        .bind(&keys)
        .bind(now.millis())
        .execute(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
    }
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(&mut conn)
        .await
        .unwrap();
    SqliteConnection::close(conn).await.unwrap();
    kept
}

fn tag(entropy: &dyn Entropy) -> i64 {
    i64::from_be_bytes(entropy.bytes().unwrap())
}

fn hex(byte: u8) -> String {
    format!("{byte:02x}")
}

fn authentication(c: &mut Criterion) {
    let crowds = SIZES.map(Crowd::gather);
    let mut group = c.benchmark_group("admit");
    for crowd in &crowds {
        let presented = crowd.some.first().unwrap();
        assert!(crowd.admit(presented));
        group.bench_function(BenchmarkId::new("one key", crowd.size), |b| {
            b.iter(|| assert!(crowd.admit(presented)));
        });
    }
    for crowd in &crowds {
        let mut turns = crowd.some.iter().cycle();
        group.bench_function(BenchmarkId::new("any key", crowd.size), |b| {
            b.iter(|| assert!(crowd.admit(turns.next().unwrap())));
        });
    }
    for crowd in &crowds {
        let mut turns = crowd.unknown.iter().cycle();
        group.bench_function(BenchmarkId::new("unknown key", crowd.size), |b| {
            b.iter(|| assert!(!crowd.admit(turns.next().unwrap())));
        });
    }
    group.finish();
}

criterion_group!(benches, authentication);
criterion_main!(benches);
