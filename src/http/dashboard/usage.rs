//! Usage over time, as plots that are drawn here.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;

use super::api::Ask;
use super::page::Failure;
use super::show::{exact, instant};
use super::visit::Visit;

const PERIODS: [(&str, &str); 4] = [
    ("hour", "Hour"),
    ("day", "Day"),
    ("week", "Week"),
    ("month", "Month"),
];

pub(super) async fn show(visit: Visit<'_>) -> Result<Response, Failure> {
    let period = visit.query.some("period").unwrap_or("day");
    let usage = visit
        .ask(Ask::get("usage/fetch").with("period", period))
        .await?;
    let body = html! {
        div.head {
            h1 { "Usage" }
            nav.tabs aria-label="Period" {
                @for (value, label) in PERIODS {
                    a href=(format!("/ui/usage?period={value}")) aria-current=[(value == period).then_some("true")] { (label) }
                }
            }
        }
        p.help { "Of this account and the accounts below it, as the ledger has it." }
        (plot(&usage, "sessions", "Sessions minted"))
        (plot(&usage, "refusals", "Requests refused to a good key"))
        (plot(&usage, "changes", "Changes"))
        @if usage.pointer("/steps/0/gateAllowed").is_some() {
            p.help { "Of the gate of this node, since it was started." }
            (plot(&usage, "gateAllowed", "Requests that the gate allowed"))
            (plot(&usage, "gateRefused", "Requests that the gate refused"))
        }
    };
    Ok(visit.page("Usage", &body))
}

const WIDTH: i64 = 960;
const HEIGHT: i64 = 120;

/// Bars, with the numbers as a table for those who do not see them.
fn plot(usage: &Value, name: &str, label: &str) -> Markup {
    let steps = usage
        .get("steps")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let number = |step: &Value| step.get(name).and_then(Value::as_i64).unwrap_or_default();
    let total: i64 = steps.iter().map(number).sum();
    let most = steps.iter().map(number).max().unwrap_or_default();
    let width = WIDTH / i64::try_from(steps.len()).unwrap_or(1).max(1);
    let bars = steps
        .iter()
        .zip(0_i64..)
        .filter(|(step, _)| number(step) > 0);
    let when = |step: Option<&Value>| {
        step.and_then(|step| instant(step, "at"))
            .map(exact)
            .unwrap_or_default()
    };
    html! {
        section.card.plot {
            h2 { (label) " " span.faint { (total) } }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img"
                aria-label=(format!("{label}: {total} in all, {most} at most in one step")) {
                line x1="0" x2=(WIDTH) y1=(HEIGHT - 1) y2=(HEIGHT - 1) {}
                @for (step, index) in bars {
                    @let height = (number(step) * (HEIGHT - 8) / most.max(1)).max(2);
                    rect x=(index * width + 1) y=(HEIGHT - 1 - height) width=(width - 2) height=(height) {
                        title { (number(step)) " from " (when(Some(step))) }
                    }
                }
            }
            p.axis { span { (when(steps.first())) } span { "most: " (most) } span { (when(steps.last())) } }
            details.inline {
                summary { "Numbers" }
                table.small {
                    caption.hide { (label) }
                    thead { tr { th scope="col" { "From" } th scope="col" { "Number" } } }
                    tbody {
                        @for step in steps.iter().filter(|step| number(step) > 0) {
                            tr { td data-label="From" { (when(Some(step))) } td data-label="Number" { (number(step)) } }
                        }
                    }
                }
            }
        }
    }
}
