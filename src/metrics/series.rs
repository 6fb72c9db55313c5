//! Series of counters, and the page on which they are printed.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::environment::Environment;

/// Upper bounds of the duration of a request, in milliseconds. Minting takes about one, a database
/// far away tens.
const BUCKETS_MS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 5000, 30_000];

#[derive(Debug, Default)]
pub(super) struct ByEnvironment {
    live: AtomicU64,
    test: AtomicU64,
}

impl ByEnvironment {
    pub(super) fn of(&self, environment: Environment) -> &AtomicU64 {
        match environment {
            Environment::Live => &self.live,
            Environment::Test => &self.test,
        }
    }
}

pub(super) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

#[derive(Debug, Default)]
pub(super) struct RouteSeries {
    pub(super) by_class: [AtomicU64; CLASSES.len()],
    pub(super) duration: Histogram,
}

/// Durations. A bucket here counts what fell between its bound and the one before; the text adds
/// them up.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    buckets: [AtomicU64; BUCKETS_MS.len()],
    above: AtomicU64,
    sum_ms: AtomicU64,
}

impl Histogram {
    pub(super) fn observe(&self, duration_ms: u64) {
        let mut bounds = BUCKETS_MS.iter().zip(&self.buckets);
        let bucket = bounds
            .find(|(bound_ms, _)| duration_ms <= **bound_ms)
            .map_or(&self.above, |(_, bucket)| bucket);
        bucket.fetch_add(1, Ordering::Relaxed);
        self.sum_ms.fetch_add(duration_ms, Ordering::Relaxed);
    }

    pub(super) fn render(&self, page: &mut Page, route: &str) {
        let mut total = 0;
        let mut lines = Vec::new();
        for (bound_ms, bucket) in BUCKETS_MS.iter().zip(&self.buckets) {
            total += bucket.load(Ordering::Relaxed);
            lines.push((Seconds(*bound_ms).to_string(), total));
        }
        total += self.above.load(Ordering::Relaxed);
        // A route that nobody asks would make the page long for nothing.
        if total == 0 {
            return;
        }
        lines.push(("+Inf".to_owned(), total));
        for (bound, count) in lines {
            page.line(
                "hallpass_http_request_duration_seconds_bucket",
                &[("route", route), ("le", &bound)],
                count,
            );
        }
        page.line(
            "hallpass_http_request_duration_seconds_sum",
            &[("route", route)],
            Seconds(self.sum_ms.load(Ordering::Relaxed)),
        );
        page.line(
            "hallpass_http_request_duration_seconds_count",
            &[("route", route)],
            total,
        );
    }
}

/// Milliseconds, printed as seconds.
pub(super) struct Seconds(pub(super) u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// One counter for each value of a label that the program knows.
#[derive(Debug, Default)]
pub(super) struct Counters(RwLock<BTreeMap<&'static str, AtomicU64>>);

impl Counters {
    /// With values that are shown before they are counted first. Prometheus sees no increase where
    /// a series begins, so an alarm about one of these would miss the first time.
    pub(super) fn at_zero(values: &[&'static str]) -> Self {
        let zeros = values.iter().map(|value| (*value, AtomicU64::default()));
        Self(RwLock::new(zeros.collect()))
    }

    pub(super) fn add(&self, value: &'static str) {
        if let Ok(counters) = self.0.read()
            && let Some(counter) = counters.get(value)
        {
            counter.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Nothing panics while it holds the lock, so it is not poisoned.
        if let Ok(mut counters) = self.0.write() {
            *counters.entry(value).or_default().get_mut() += 1;
        }
    }

    pub(super) fn render(&self, page: &mut Page, name: &str, help: &str, label: &str) {
        page.family(name, "counter", help);
        let Ok(counters) = self.0.read() else {
            return;
        };
        for (value, counter) in counters.iter() {
            page.line(name, &[(label, value)], counter.load(Ordering::Relaxed));
        }
    }
}

/// The text as it grows. Writing to a string cannot fail.
#[derive(Default)]
pub(super) struct Page(pub(super) String);

impl Page {
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        for part in [
            "# HELP ",
            name,
            " ",
            help,
            "\n# TYPE ",
            name,
            " ",
            kind,
            "\n",
        ] {
            self.0.push_str(part);
        }
    }

    pub(super) fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl fmt::Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            for character in text.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        writeln!(self.0, " {value}").unwrap_or_default();
    }
}
