//! What the service counts, as Prometheus text.
//!
//! Labels come from the program alone (enums, `&'static str`, the routes of the router), never from
//! a request, so that no client can make new time series. No label tells an account, a key or an
//! address.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::clock::Clock;
use crate::domain::environment::Environment;
use crate::domain::session::Origin;

mod series;

use series::{ByEnvironment, CLASSES, Counters, Page, RouteSeries, Seconds};

/// The `Content-Type` of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The route of a request that matched none.
const NO_ROUTE: &str = "none";

/// All counters of one process.
#[derive(Debug)]
pub struct Metrics {
    clock: Arc<dyn Clock>,
    routes: BTreeMap<&'static str, RouteSeries>,
    no_route: RouteSeries,
    in_flight: AtomicI64,
    minted: ByEnvironment,
    renewed: ByEnvironment,
    exchanged: ByEnvironment,
    refusals: Counters,
    authentication_failures: Counters,
    revocations: Counters,
    webhooks: Counters,
    gate_allowed: AtomicU64,
    gate_refused: AtomicU64,
}

impl Metrics {
    /// Counters at zero. `routes` are the templates of the router, such as
    /// `/v1/token/{tokenId}/fetch`; a request to any other path is counted as `none`.
    pub fn new(clock: Arc<dyn Clock>, routes: impl IntoIterator<Item = &'static str>) -> Self {
        Self {
            clock,
            routes: routes
                .into_iter()
                .map(|route| (route, RouteSeries::default()))
                .collect(),
            no_route: RouteSeries::default(),
            in_flight: AtomicI64::new(0),
            minted: ByEnvironment::default(),
            renewed: ByEnvironment::default(),
            exchanged: ByEnvironment::default(),
            refusals: Counters::at_zero(&["LEDGER_BATCH_FULL"]),
            authentication_failures: Counters::default(),
            revocations: Counters::default(),
            webhooks: Counters::at_zero(&["delivered", "overflowed"]),
            gate_allowed: AtomicU64::new(0),
            gate_refused: AtomicU64::new(0),
        }
    }

    /// A request begins. It counts as under way until the value is dropped, and as answered when
    /// [`RequestTimer::finish`] is called.
    pub fn begin_request(self: &Arc<Self>) -> RequestTimer {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        RequestTimer {
            begun_ms: self.clock.monotonic_ms(),
            metrics: Arc::clone(self),
        }
    }

    /// A session was minted, renewed or exchanged.
    pub fn session_created(&self, origin: Origin, environment: Environment) {
        self.sessions(origin)
            .of(environment)
            .fetch_add(1, Ordering::Relaxed);
    }

    /// The gate allowed a request.
    pub fn gate_allowed(&self) {
        self.gate_allowed.fetch_add(1, Ordering::Relaxed);
    }

    /// The gate refused a request.
    pub fn gate_refused(&self) {
        self.gate_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests the gate allowed and refused.
    pub fn gate_decisions(&self) -> (u64, u64) {
        let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (number(&self.gate_allowed), number(&self.gate_refused))
    }

    /// A request was refused with this `error.code`.
    pub fn refused(&self, code: &'static str) {
        self.refusals.add(code);
    }

    /// A credential was not accepted; `reason` is for operators and is not told to the caller.
    pub fn authentication_failed(&self, reason: &'static str) {
        self.authentication_failures.add(reason);
    }

    /// Something was ended: a `key`, a `session`, a `user`, a `signing_key`, …
    pub fn revoked(&self, what: &'static str) {
        self.revocations.add(what);
    }

    /// An attempt to deliver a webhook went like this: `delivered`, or what was wrong; `overflowed`
    /// is an event that was not kept, because too many waited.
    pub fn webhook_delivered(&self, outcome: &'static str) {
        self.webhooks.add(outcome);
    }

    /// Everything, in the text format of Prometheus 0.0.4. Callers that are remembered take up so
    /// many bytes.
    pub fn render(&self, remembered_bytes: usize, log: &LogState) -> String {
        let mut page = Page::default();
        self.render_requests(&mut page);
        page.family(
            "hallpass_requests_in_flight",
            "gauge",
            "Requests under way.",
        );
        page.line(
            "hallpass_requests_in_flight",
            &[],
            self.in_flight.load(Ordering::Relaxed),
        );

        let remembered = "hallpass_remembered_bytes";
        page.family(
            remembered,
            "gauge",
            "Memory for callers that were seen before, about.",
        );
        page.line(
            remembered,
            &[],
            u64::try_from(remembered_bytes).unwrap_or(u64::MAX),
        );

        log.render(&mut page);
        let sessions = "hallpass_sessions_created_total";
        page.family(
            sessions,
            "counter",
            "Sessions minted, renewed or exchanged.",
        );
        for origin in [Origin::Mint, Origin::Renewal, Origin::Exchange] {
            for environment in Environment::ALL {
                page.line(
                    sessions,
                    &[
                        ("origin", origin.as_str()),
                        ("environment", environment.as_str()),
                    ],
                    self.sessions(origin)
                        .of(environment)
                        .load(Ordering::Relaxed),
                );
            }
        }
        let gate = "hallpass_gate_decisions_total";
        page.family(gate, "counter", "Requests that the gate judged.");
        for (decision, counter) in [
            ("allowed", &self.gate_allowed),
            ("refused", &self.gate_refused),
        ] {
            let count = counter.load(Ordering::Relaxed);
            page.line(gate, &[("decision", decision)], count);
        }
        self.refusals.render(
            &mut page,
            "hallpass_refusals_total",
            "Refused requests by error code.",
            "code",
        );
        self.authentication_failures.render(
            &mut page,
            "hallpass_authentication_failures_total",
            "Credentials that were not accepted, by reason.",
            "reason",
        );
        self.revocations.render(
            &mut page,
            "hallpass_revocations_total",
            "Things that were ended, by kind.",
            "kind",
        );
        self.webhooks.render(
            &mut page,
            "hallpass_webhook_attempts_total",
            "Attempts to deliver webhooks, by outcome.",
            "outcome",
        );
        page.0
    }

    fn render_requests(&self, page: &mut Page) {
        let requests = "hallpass_http_requests_total";
        page.family(
            requests,
            "counter",
            "Answered requests by route and status.",
        );
        for (route, series) in self.series() {
            for (class, counter) in CLASSES.iter().zip(&series.by_class) {
                let count = counter.load(Ordering::Relaxed);
                if count > 0 {
                    page.line(requests, &[("route", route), ("status", class)], count);
                }
            }
        }

        page.family(
            "hallpass_http_request_duration_seconds",
            "histogram",
            "Time from the head of a request to its answer.",
        );
        for (route, series) in self.series() {
            series.duration.render(page, route);
        }
    }

    fn sessions(&self, origin: Origin) -> &ByEnvironment {
        match origin {
            Origin::Mint => &self.minted,
            Origin::Renewal => &self.renewed,
            Origin::Exchange => &self.exchanged,
        }
    }

    fn series(&self) -> impl Iterator<Item = (&'static str, &RouteSeries)> {
        let routes = self.routes.iter().map(|(route, series)| (*route, series));
        routes.chain([(NO_ROUTE, &self.no_route)])
    }
}

/// What this node knows of the change log.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogState {
    /// How old that is, in milliseconds.
    pub age_ms: u64,
    /// How old it may be before the database is asked, in milliseconds.
    pub lease_ms: u64,
    /// Whether the database gives hints.
    pub listening: bool,
    /// Hints that came.
    pub hints: u64,
    /// Requests for which the database was asked because it was too old.
    pub asked: u64,
    /// Requests that were refused because it was too old.
    pub refused: u64,
}

impl LogState {
    fn render(&self, page: &mut Page) {
        let age = "hallpass_change_log_age_seconds";
        page.family(
            age,
            "gauge",
            "Age of what this node knows of the change log.",
        );
        page.line(age, &[], Seconds(self.age_ms));
        let lease = "hallpass_change_log_lease_seconds";
        page.family(
            lease,
            "gauge",
            "Age up to which it is believed (nodes.lease_ms).",
        );
        page.line(lease, &[], Seconds(self.lease_ms));
        let listening = "hallpass_change_log_listening";
        page.family(
            listening,
            "gauge",
            "Whether the database tells of changes at once.",
        );
        page.line(listening, &[], u64::from(self.listening));
        let hints = "hallpass_change_log_hints_total";
        page.family(
            hints,
            "counter",
            "Changes of which the database told at once.",
        );
        page.line(hints, &[], self.hints);
        let past = "hallpass_past_lease_total";
        page.family(
            past,
            "counter",
            "Requests that came when the change log was known too long ago.",
        );
        page.line(past, &[("outcome", "asked")], self.asked);
        page.line(past, &[("outcome", "refused")], self.refused);
    }
}

/// A request under way.
#[derive(Debug)]
pub struct RequestTimer {
    metrics: Arc<Metrics>,
    begun_ms: i64,
}

impl RequestTimer {
    /// The request was answered: how many milliseconds it took. `route` is the template that it
    /// matched, if any.
    pub fn finish(self, route: Option<&str>, status: u16) -> u64 {
        let series = route
            .and_then(|route| self.metrics.routes.get(route))
            .unwrap_or(&self.metrics.no_route);
        let class = usize::from(status / 100).saturating_sub(1);
        if let Some(counter) = series.by_class.get(class) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let elapsed_ms = self.metrics.clock.monotonic_ms() - self.begun_ms;
        let elapsed_ms = u64::try_from(elapsed_ms).unwrap_or(0);
        series.duration.observe(elapsed_ms);
        elapsed_ms
    }
}

impl Drop for RequestTimer {
    fn drop(&mut self) {
        self.metrics.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::domain::time::Timestamp;

    const FETCH: &str = "/v1/token/{tokenId}/fetch";

    fn metrics() -> (Arc<ManualClock>, Arc<Metrics>) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
        let given: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        (clock, Arc::new(Metrics::new(given, [FETCH])))
    }

    #[track_caller]
    fn assert_lines(metrics: &Metrics, expected: &[&str]) {
        let page = metrics.render(0, &LogState::default());
        for line in expected {
            assert!(
                page.lines().any(|other| other == *line),
                "{line} in\n{page}"
            );
        }
    }

    #[test]
    fn requests_are_counted_by_route_status_and_duration() {
        let (clock, metrics) = metrics();

        let fast = metrics.begin_request();
        clock.advance_ms(5);
        fast.finish(Some(FETCH), 200);
        let slow = metrics.begin_request();
        clock.advance_ms(31_000);
        slow.finish(Some(FETCH), 503);
        metrics.begin_request().finish(None, 404);
        metrics.begin_request().finish(Some("/hunter2"), 404);

        assert_lines(
            &metrics,
            &[
                r#"hallpass_http_requests_total{route="/v1/token/{tokenId}/fetch",status="2xx"} 1"#,
                r#"hallpass_http_requests_total{route="/v1/token/{tokenId}/fetch",status="5xx"} 1"#,
                r#"hallpass_http_requests_total{route="none",status="4xx"} 2"#,
                r#"hallpass_http_request_duration_seconds_bucket{route="/v1/token/{tokenId}/fetch",le="0.002"} 0"#,
                r#"hallpass_http_request_duration_seconds_bucket{route="/v1/token/{tokenId}/fetch",le="0.005"} 1"#,
                r#"hallpass_http_request_duration_seconds_bucket{route="/v1/token/{tokenId}/fetch",le="30.000"} 1"#,
                r#"hallpass_http_request_duration_seconds_bucket{route="/v1/token/{tokenId}/fetch",le="+Inf"} 2"#,
                r#"hallpass_http_request_duration_seconds_sum{route="/v1/token/{tokenId}/fetch"} 31.005"#,
                r#"hallpass_http_request_duration_seconds_count{route="/v1/token/{tokenId}/fetch"} 2"#,
            ],
        );
        assert!(!metrics.render(0, &LogState::default()).contains("hunter2"));
    }

    #[test]
    fn a_request_is_under_way_until_it_is_answered_or_dropped() {
        let (_, metrics) = metrics();

        let answered = metrics.begin_request();
        let dropped = metrics.begin_request();
        assert_lines(&metrics, &["hallpass_requests_in_flight 2"]);

        answered.finish(None, 200);
        drop(dropped);
        assert_lines(&metrics, &["hallpass_requests_in_flight 0"]);
    }

    #[test]
    fn what_happens_is_counted_by_kind() {
        let (_, metrics) = metrics();

        metrics.session_created(Origin::Mint, Environment::Live);
        metrics.session_created(Origin::Mint, Environment::Live);
        metrics.session_created(Origin::Renewal, Environment::Test);
        metrics.refused("ROUTE_NOT_ALLOWED");
        metrics.refused("ROUTE_NOT_ALLOWED");
        metrics.refused("a\"b\\c\nd");
        metrics.authentication_failed("unknown");
        metrics.revoked("key");

        assert_lines(
            &metrics,
            &[
                r#"hallpass_sessions_created_total{origin="mint",environment="live"} 2"#,
                r#"hallpass_sessions_created_total{origin="mint",environment="test"} 0"#,
                r#"hallpass_sessions_created_total{origin="renewal",environment="test"} 1"#,
                r#"hallpass_sessions_created_total{origin="exchange",environment="live"} 0"#,
                r#"hallpass_refusals_total{code="ROUTE_NOT_ALLOWED"} 2"#,
                r#"hallpass_refusals_total{code="a\"b\\c\nd"} 1"#,
                r#"hallpass_authentication_failures_total{reason="unknown"} 1"#,
                r#"hallpass_revocations_total{kind="key"} 1"#,
            ],
        );
    }

    #[test]
    fn each_family_is_described_once_and_before_its_lines() {
        let (_, metrics) = metrics();
        metrics.begin_request().finish(Some(FETCH), 200);
        metrics.refused("X");

        let page = metrics.render(0, &LogState::default());

        let mut described = Vec::new();
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let name = rest.split(' ').next().unwrap();
                assert!(!described.contains(&name), "{name}");
                described.push(name);
            } else if !line.starts_with('#') {
                let current = described.last().unwrap();
                assert!(line.starts_with(current), "{line} under {current}");
            }
        }
        assert!(page.ends_with('\n'));
    }
}
