//! What the route language costs: matching at the gate, containment at every mint.
//!
//! `cargo bench --bench routes`. The goals: 64 patterns are matched in less than 2 µs, and 20
//! patterns are shown to lie within 20 in less than 50 µs.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use hallpass::domain::route::{Mount, NotCovered, RequestPath, RouteSet, TrailingSlash, covers};

const NOUNS: [&str; 8] = [
    "bot",
    "conversation",
    "dataset",
    "skillset",
    "integration",
    "file",
    "event",
    "platform",
];
const SHAPES: [&str; 8] = [
    "{}/*/fetch",
    "POST {}/*/session/create",
    "{}/*/record/**",
    "GET,HEAD {}/list",
    "{}/*/message/*/update",
    "{}/**/usage/fetch",
    "{}/export",
    "POST,DELETE {}/*/*/delete",
];

/// Patterns as keys have them. None covers another.
fn patterns(count: usize) -> RouteSet {
    let texts = SHAPES
        .iter()
        .flat_map(|shape| NOUNS.map(|noun| shape.replace("{}", noun)))
        .take(count);
    set(texts)
}

fn set(texts: impl IntoIterator<Item = impl AsRef<str>>) -> RouteSet {
    match RouteSet::parse(texts) {
        Ok(set) => set,
        Err(error) => unreachable!("the benchmark's own patterns: {error}"),
    }
}

/// The same routes, each narrowed to one resource, so that no pattern stands in both sets.
fn narrowed(set_of: &RouteSet) -> RouteSet {
    let texts = set_of.to_strings();
    set(texts
        .iter()
        .map(|text| text.replacen("/*/", "/b1/", 1).replace("**", "*/*")))
}

fn path(target: &str) -> RequestPath {
    match RequestPath::parse(target, &Mount::default(), TrailingSlash::Equal) {
        Ok(path) => path,
        Err(error) => unreachable!("the benchmark's own path: {error}"),
    }
}

fn matching(c: &mut Criterion) {
    let mut group = c.benchmark_group("matches");
    let hit = path("/v1/platform/b1/x/delete");
    let miss = path("/v1/conversation/c1/message/m1/fetch");
    for count in [1, 10, 64] {
        let routes = patterns(count);
        group.bench_function(format!("{count}, the last pattern or none"), |b| {
            b.iter(|| black_box(&routes).matches(black_box("DELETE"), black_box(&hit)));
        });
        group.bench_function(format!("{count}, none"), |b| {
            b.iter(|| black_box(&routes).matches(black_box("GET"), black_box(&miss)));
        });
    }
    // 64 patterns that each look at most segments many times.
    let slow = set((0..64).map(|number| {
        let front = ["a"; 13].join("/");
        let back = ["a"; 14].join("/");
        format!("**/{front}/b/**/{back}/{number}")
    }));
    let long = path(&format!("/v1{}", "/a".repeat(64)));
    group.bench_function("64, hostile", |b| {
        b.iter(|| black_box(&slow).matches(black_box("GET"), black_box(&long)));
    });
    group.finish();

    c.bench_function("parse a path", |b| {
        b.iter(|| {
            let target = black_box("/v1/bot/b1/conversation/c%20d/fetch?take=10");
            RequestPath::parse(target, Mount::hallpass(), TrailingSlash::Equal)
        });
    });
    for count in [1, 10, 64] {
        let texts = patterns(count).to_strings();
        c.bench_function(&format!("parse a set of {count}"), |b| {
            b.iter(|| RouteSet::parse(black_box(&texts)));
        });
    }
}

fn containment(c: &mut Criterion) {
    let mut group = c.benchmark_group("covers");
    for count in [1, 20, 64] {
        let ceiling = patterns(count);
        let wanted = narrowed(&ceiling);
        assert_eq!(covers(&ceiling, &wanted), Ok(()));
        group.bench_function(format!("{count} within {count}"), |b| {
            b.iter(|| covers(black_box(&ceiling), black_box(&wanted)));
        });
        group.bench_function(format!("{count} not within {count}"), |b| {
            b.iter(|| covers(black_box(&wanted), black_box(&ceiling)));
        });
    }
    // The subsets tell apart how far the path has come, how far from `a`, and how far from `b`.
    // This is refused at the work bound, so it is the dearest question there is.
    let counters = ["", "**/a/", "**/b/"]
        .into_iter()
        .flat_map(|front| (1..=15).map(move |count| format!("{front}{}z", "*/".repeat(count))));
    let ceiling = set(counters.chain(["**/c".to_owned()]));
    let wanted = set(["**/a/**/b/**/c"]);
    assert_eq!(covers(&ceiling, &wanted), Err(NotCovered::TooComplex));
    group.bench_function("hostile, refused at the bound", |b| {
        b.iter(|| covers(black_box(&ceiling), black_box(&wanted)));
    });
    group.finish();
}

criterion_group!(benches, matching, containment);
criterion_main!(benches);
