//! What the seal of the ledger costs: checking an export of a million entries, and minting while
//! the ledger is sealed beside it. It prints its figures; nothing is compared with an earlier run.
//!
//! `cargo bench --bench ledger`

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark that cannot run should stop, and tells what it found"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hallpass::app::sessions::{MintOn, NewSession};
use hallpass::clock::{Clock as _, SystemClock};
use hallpass::domain::time::Timestamp;
use hallpass::token::ledger::{Chain, Checkpoint, Line, check_export, hex};
use hallpass::token::{Algorithm, PrivateKey};
use serde_json::json;

#[expect(dead_code, reason = "the other benchmarks go through the router")]
mod support;

use support::Service;

const ENTRIES: i64 = 1_000_000;
const PER_CHECKPOINT: i64 = 1_000;
/// Mints at a time, each round, and rounds with and without the seal in turn.
const AT_ONCE: usize = 16;
const ROUND_MS: i64 = 2_000;
const ROUNDS: usize = 15;
const SEAL_EVERY: Duration = Duration::from_millis(500);

fn main() {
    let clock = SystemClock::new();
    check(&clock);
    mint(&clock);
}

fn say(text: &str) {
    println!("{text}");
}

/// An export of a million mints.
fn export() -> Vec<u8> {
    let key = PrivateKey::generate(Algorithm::EdDsa).unwrap();
    let mut chain = Chain::default();
    let mut out = Vec::new();
    let mut write = |line: Line| {
        out.extend_from_slice(line.write().unwrap().as_bytes());
        out.push(b'\n');
    };
    write(Line::Keys {
        keys: vec![serde_json::to_value(key.public().jwk()).unwrap()],
    });
    write(Line::Start {
        seq: 0,
        hash: hex(&chain.hash),
        checkpoint: None,
    });
    for number in 1..=ENTRIES / PER_CHECKPOINT {
        let before = chain;
        for _ in 0..PER_CHECKPOINT {
            let n = chain.seq + 1;
            let data = json!({
                "id": format!("ses_{n:026}"), "familyId": format!("ses_{n:026}"),
                "accountId": "usr_01kdvdna00v3rs3dtr98h6bcfn", "parentId": null, "actorId": null,
                "keyId": "key_01kdy02105hd99fdtgj8yepfzx", "environment": "live",
                "audience": "https://api.example.com", "issuedAt": 1_767_225_600_000_i64 + n,
                "expiresAt": 1_767_225_600_000_i64 + n + 900_000, "renewableUntil": null,
                "familyTag": n * 7_919, "tags": "StXPvB10vRzwjbIv0pMFajFw-rI9kPusoMoMxBlNuld9AstACzJLTPD",
                "logId": 1_234_567_890_123_i64, "position": n,
                "requestId": format!("req_{n:026}"), "address": "192.0.2.7",
                "detail": "{\"origin\":\"mint\",\"allowedRoutes\":[\"GET bot/**\",\"conversation/**\"],\"durationSecs\":900}",
            });
            let data = data.as_object().unwrap().clone();
            chain.push(&serde_json::to_vec(&data).unwrap());
            write(Line::Entry {
                seq: chain.seq,
                hash: hex(&chain.hash),
                data,
            });
        }
        let checkpoint = Checkpoint {
            iss: "https://hallpass.example.com".to_owned(),
            number,
            first: before.seq + 1,
            seq: chain.seq,
            previous: hex(&before.hash),
            hash: hex(&chain.hash),
            at: Timestamp::from_millis(1_767_225_600_000),
        };
        let signed = checkpoint.sign(&key).unwrap();
        write(Line::Checkpoint { signed });
    }
    out
}

fn check(clock: &SystemClock) {
    let mut export = export();
    let begun = clock.monotonic_ms();
    let summary = check_export(&*export, None, None).unwrap();
    let took = clock.monotonic_ms() - begun;
    assert_eq!(summary.entries, ENTRIES);
    say(&format!(
        "checking an export of {ENTRIES} entries ({} MB): {took} ms",
        export.len() / 1_000_000
    ));
    // One byte in each of a thousand places is found.
    let step = export.len() / 1_000;
    let place = step * 999;
    export[place] ^= 1;
    assert!(check_export(&*export, None, None).is_err());
}

/// Hundredths of a second of processor time that this process took so far (proc(5)).
fn cpu_ticks() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The name of the program, which may have spaces, ends with a bracket.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |place: usize| -> f64 { fields[place].parse().unwrap() };
    ticks(11) + ticks(12)
}

/// What a round came to.
struct Round {
    per_second: f64,
    cpu_us: f64,
}

/// Mints of several clients for a while, and the seal of all of them.
fn mints(service: &Service, clock: &SystemClock, sealed: bool) -> Round {
    let key = &service.first;
    let body =
        || -> NewSession { serde_json::from_value(json!({"allowedRoutes": ["bot/**"]})).unwrap() };
    let over = Arc::new(AtomicBool::new(false));
    service.runtime.block_on(async {
        let seals = sealed.then(|| {
            let (app, over) = (Arc::clone(&service.app), Arc::clone(&over));
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    app.seal().await.unwrap();
                    tokio::time::sleep(SEAL_EVERY).await;
                }
                app.seal().await.unwrap();
            })
        });
        let (begun, before) = (clock.monotonic_ms(), cpu_ticks());
        let clients = (0..AT_ONCE).map(|_| {
            let presented = service.presented(key.clone());
            let app = Arc::clone(&service.app);
            let over = Arc::clone(&over);
            tokio::spawn(async move {
                let mut count = 0_u32;
                while !over.load(Ordering::Relaxed) {
                    let caller = app.admit(&presented).await.unwrap();
                    let minted = app.mint(&caller, &presented, MintOn::Large, body(), None);
                    black_box(minted.await.unwrap());
                    count += 1;
                }
                count
            })
        });
        let clients: Vec<_> = clients.collect();
        tokio::time::sleep(Duration::from_millis(ROUND_MS.unsigned_abs())).await;
        over.store(true, Ordering::Relaxed);
        let mut count = 0;
        for client in clients {
            count += client.await.unwrap();
        }
        let took = clock.monotonic_ms() - begun;
        if let Some(seals) = seals {
            seals.await.unwrap();
        }
        let count = f64::from(count);
        Round {
            per_second: count * 1000.0 / f64::from(i32::try_from(took).unwrap()),
            cpu_us: (cpu_ticks() - before) * 10_000.0 / count,
        }
    })
}

/// Two services side by side, one of which never seals, so that it keeps nothing to be sealed.
fn mint(clock: &SystemClock) {
    let sealing = Service::start(Algorithm::Es256);
    let plain = Service::start(Algorithm::Es256);
    mints(&sealing, clock, true);
    mints(&plain, clock, false);
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        // Every other round goes backwards.
        rounds.push(if round % 2 == 0 {
            let bare = mints(&plain, clock, false);
            (bare, mints(&sealing, clock, true))
        } else {
            let sealed = mints(&sealing, clock, true);
            (mints(&plain, clock, false), sealed)
        });
    }
    let middle = |of: &dyn Fn(&(Round, Round)) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[ROUNDS / 2]
    };
    say(&format!(
        "{AT_ONCE} at a time, median of {ROUNDS} rounds, without the seal and with it:"
    ));
    say(&format!(
        "  mints a second: {:.0} and {:.0}, round by round {:+.1} %",
        middle(&|(bare, _)| bare.per_second),
        middle(&|(_, sealed)| sealed.per_second),
        (middle(&|(bare, sealed)| sealed.per_second / bare.per_second) - 1.0) * 100.0
    ));
    say(&format!(
        "  processor time of a mint: {:.1} and {:.1} µs, round by round {:+.1} %",
        middle(&|(bare, _)| bare.cpu_us),
        middle(&|(_, sealed)| sealed.cpu_us),
        (middle(&|(bare, sealed)| sealed.cpu_us / bare.cpu_us) - 1.0) * 100.0
    ));
}
