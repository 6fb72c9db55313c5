//! The rules for Prometheus speak of what `/metrics` has. That they fire is tried by
//! `tests/monitoring/run`, with Prometheus' own tool.

use std::collections::BTreeSet;

use serde_json::Value;

use super::process::Place;

const RULES: &str = include_str!("../../../examples/deploy/prometheus-rules.yml");

const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// One field of all rules.
fn of_rules(field: &str) -> Vec<String> {
    let rules: Value = serde_norway::from_str(RULES).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    let values: Vec<String> = rules
        .map(|rule| rule[field].as_str().unwrap().to_owned())
        .collect();
    assert!(values.len() >= 8);
    values
}

#[test]
fn an_operator_is_told_what_each_alarm_means() {
    let (_, section) = OPERATIONS
        .split_once("### What each alarm means\n")
        .unwrap();
    let (section, _) = section.split_once("\n### ").unwrap();
    for alarm in of_rules("alert") {
        assert!(section.contains(&format!("\n| `{alarm}`")), "{alarm}");
    }
}

/// Each `hallpass_…`, with what follows it.
fn mentions(expression: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, _) in expression.match_indices("hallpass_") {
        let (_, rest) = expression.split_at(at);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
        found.push((name.to_owned(), rest.to_owned()));
    }
    found
}

#[test]
fn every_metric_of_a_rule_is_there() {
    let place = Place::sqlite();
    let server = place.serve();
    // So that there is a duration.
    assert_eq!(server.get("/healthz", "").status, 200);
    let page = server.get("/metrics", "").body;
    let mut there = BTreeSet::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            match kind {
                "histogram" => {
                    for part in ["bucket", "sum", "count"] {
                        there.insert(format!("{name}_{part}"));
                    }
                }
                _ => _ = there.insert(name.to_owned()),
            }
        }
    }

    for expression in of_rules("expr") {
        for (name, rest) in mentions(&expression) {
            assert!(
                there.contains(&name),
                "{name} is not in /metrics: {expression}"
            );
            // One value of a label, whose first increase must be seen: it is there from the start.
            if expression.starts_with("increase(") {
                let (labels, _) = rest.split_once('}').unwrap();
                let series = format!("{name}{labels}}}");
                assert!(page.contains(&format!("{series} 0\n")), "{series}: {page}");
            }
        }
    }
    server.stop();
}
