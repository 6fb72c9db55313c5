//! What it costs to refuse: every bad token of `tests/vectors/tokens`, and every good one beside it.
//!
//! `cargo bench --bench refusals`. Each token is judged many times and the fastest counts, so that a
//! busy machine does not change the outcome. It fails when refusing a token takes longer than 1 ms.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark that cannot run should stop; it measures time and tells what it found"
)]

use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hallpass::domain::time::Timestamp;
use hallpass::token::verify::SESSION_TYP;
use hallpass::token::{Audiences, Expected, KeySet, Leeway, verify_token};
use serde_json::Value;

const ROUNDS: u32 = 50;
const LIMIT: Duration = Duration::from_millis(1);

fn read(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/tokens");
    std::fs::read(folder.join(name)).unwrap()
}

/// The token, which a large one builds of repeated texts.
fn token(vector: &Value) -> String {
    let Some(pieces) = vector.get("pieces") else {
        return vector["token"].as_str().unwrap().to_owned();
    };
    let piece = |piece: &Value| {
        if let Some(text) = piece.as_str() {
            return text.to_owned();
        }
        let times = usize::try_from(piece["times"].as_u64().unwrap()).unwrap();
        piece["repeat"].as_str().unwrap().repeat(times)
    };
    pieces.as_array().unwrap().iter().map(piece).collect()
}

/// For each code (or `accepted`) the slowest token: how long it took at its fastest, and its name.
fn slowest(file: &str, keys: &KeySet) -> Vec<(Duration, String, String)> {
    let corpus: Value = serde_json::from_slice(&read(file)).unwrap();
    let text = |name: &str| corpus[name].as_str().unwrap().to_owned();
    let now = Timestamp::from_secs(corpus["now"].as_i64().unwrap());
    let expected = Expected {
        issuer: text("issuer"),
        audiences: Audiences::OneOf(vec![text("audience")]),
        typ: SESSION_TYP,
        leeway: Leeway::NONE,
    };
    let mut slowest: Vec<(Duration, String, String)> = Vec::new();
    for vector in corpus["tokens"].as_array().unwrap() {
        let token = token(vector);
        let mut fastest = Duration::MAX;
        for _ in 0..ROUNDS {
            let began = Instant::now();
            drop(black_box(verify_token(
                black_box(&token),
                keys,
                &expected,
                now,
            )));
            fastest = fastest.min(began.elapsed());
        }
        let code = vector["code"].as_str().unwrap_or("accepted").to_owned();
        let name = vector["name"].as_str().unwrap().to_owned();
        match slowest.iter_mut().find(|(_, known, _)| *known == code) {
            Some(entry) if entry.0 < fastest => *entry = (fastest, code, name),
            Some(_) => {}
            None => slowest.push((fastest, code, name)),
        }
    }
    slowest.sort();
    slowest
}

fn main() -> ExitCode {
    let keys = KeySet::parse(&read("jwks.json")).unwrap();
    let refused = slowest("bad.json", &keys);
    for (took, code, name) in refused.iter().chain(&slowest("good.json", &keys)) {
        println!("{took:>12.1?}  {code:<22} {name}");
    }
    let within = refused.iter().all(|(took, _, _)| *took <= LIMIT);
    println!("none took more than {LIMIT:?} to refuse: {within}");
    if within {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
