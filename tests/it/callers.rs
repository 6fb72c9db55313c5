//! Every operation of `openapi.yaml` against every wrong caller.
//!
//! An operation without a row fails, and so does a row without an operation. In one town the right
//! caller is tried first and gets 200, so that no refusal passes by accident. In another, built in
//! the same way, everybody else is tried, and whoever is refused leaves the database as it was.

#![cfg(all(feature = "server", feature = "sqlite", feature = "postgres"))]

mod rows;
mod world;

use std::collections::BTreeSet;

use crate::openapi::{Access, Credential, Operation};
use crate::support::town::{Answer, Caller, Town};
use rows::{Row, Send, Target, rows};
use world::World;

#[test]
fn every_operation_has_one_row_and_every_row_has_an_operation() {
    let operations: BTreeSet<String> = Town::contract()
        .operations()
        .iter()
        .map(|operation| operation.id.clone())
        .collect();
    let all = rows();
    let with_row: BTreeSet<String> = all.iter().map(|row| row.operation.to_owned()).collect();

    assert_eq!(with_row, operations);
    assert_eq!(all.len(), operations.len(), "an operation has two rows");
}

fn operation(row: &Row) -> &'static Operation {
    Town::contract()
        .operations()
        .iter()
        .find(|operation| operation.id == row.operation)
        .unwrap()
}

fn rows_of(prefixes: &[&str]) -> Vec<Row> {
    let all = rows().into_iter();
    let of = |row: &Row| {
        prefixes
            .iter()
            .any(|prefix| operation(row).path.starts_with(prefix))
    };
    all.filter(of).collect()
}

/// The paths of the four tests below, which run side by side.
const GROUPS: [&[&str]; 4] = [
    &[
        "/v1/session",
        "/v1/bot",
        "/v1/conversation",
        "/v1/integration",
    ],
    &["/v1/token"],
    &["/v1/user"],
    &[
        "/v1/authorize",
        "/v1/audit",
        "/v1/usage",
        "/v1/webhook",
        "/v1/signing-key",
        "/v1/revocations",
        "/oauth2",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.yaml",
        "/.well-known",
        "/test",
    ],
];

#[test]
fn every_row_is_in_one_group() {
    let grouped: usize = GROUPS.iter().map(|prefixes| rows_of(prefixes).len()).sum();
    assert_eq!(grouped, rows().len());
}

#[tokio::test]
async fn wrong_callers_of_sessions_are_refused_and_change_nothing() {
    Box::pin(try_all(GROUPS[0])).await;
}

#[tokio::test]
async fn wrong_callers_of_keys_are_refused_and_change_nothing() {
    Box::pin(try_all(GROUPS[1])).await;
}

#[tokio::test]
async fn wrong_callers_of_accounts_and_their_keys_are_refused_and_change_nothing() {
    Box::pin(try_all(GROUPS[2])).await;
}

#[tokio::test]
async fn wrong_callers_of_everything_else_are_refused_and_change_nothing() {
    Box::pin(try_all(GROUPS[3])).await;
}

async fn try_all(prefixes: &[&str]) {
    for row in rows_of(prefixes) {
        let world = World::new().await;
        let sent = (row.send)(&world);
        let right = sent.by(&(row.right)(&world), operation(&row)).await;
        assert_eq!(right.status, 200, "the right caller: {right}");
        wrong_methods(&world, &row, &sent).await;

        let world = World::new().await;
        try_wrong_callers(&world, &row).await;
    }
}

/// Whatever the caller may do, another method is 405 and says which one is right.
async fn wrong_methods(world: &World, row: &Row, sent: &Send) {
    let operation = operation(row);
    // Gateways ask with any method.
    if operation.path.starts_with("/v1/authorize/") && operation.method == "GET" {
        return;
    }
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        if method == operation.method {
            continue;
        }
        let answer = (row.right)(world)
            .send(method, &sent.path, Vec::new())
            .await;
        answer.refused(405, "METHOD_NOT_ALLOWED");
        assert_eq!(answer.header("allow"), Some(&*operation.method), "{answer}");
    }
}

/// What a caller must get.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// It acts on what is its own, and may.
    Done,
    /// It sees nothing of the shop's, and changes nothing.
    Harmless,
    /// Nothing was changed, and this was the answer.
    Refused(u16, &'static str),
    /// The same, as if there were nothing at this place.
    Missing,
}

const STRANGER: &str = "a key of another account";

struct Trial {
    who: &'static str,
    caller: Caller,
    expected: Expected,
}

async fn try_wrong_callers(world: &World, row: &Row) {
    let operation = operation(row);
    let sent = (row.send)(world);
    for trial in trials(world, row) {
        let before = world.town.database().await;
        let answer = sent.by(&trial.caller, operation).await;
        let told = format!("{} as {}: {answer}", row.operation, trial.who);
        match trial.expected {
            Expected::Done => assert_eq!(answer.status, 200, "{told}"),
            Expected::Harmless => {
                assert_eq!(answer.status, 200, "{told}");
                // The parent and the children of the shop know that there is one.
                let shop = (trial.who == STRANGER).then_some(&world.shop.id);
                for hidden in [&world.target.id, &world.session.id]
                    .into_iter()
                    .chain(shop)
                {
                    assert!(!answer.text().contains(hidden.as_str()), "{told}");
                }
            }
            Expected::Refused(status, code) => {
                check_refusal(&answer, operation, status, code, &told);
            }
            Expected::Missing => {
                check_refusal(&answer, operation, 404, "NOT_FOUND", &told);
                let missing = sent.missing().by(&trial.caller, operation).await;
                assert_eq!(
                    answer.without_request_id(),
                    missing.without_request_id(),
                    "{told}"
                );
                let unreadable = sent.unreadable().by(&trial.caller, operation).await;
                assert_eq!(
                    answer.without_request_id(),
                    unreadable.without_request_id(),
                    "{told}"
                );
            }
        }
        if !matches!(trial.expected, Expected::Done) {
            assert_eq!(world.town.database().await, before, "{told}");
        }
    }
}

fn check_refusal(answer: &Answer, operation: &Operation, status: u16, code: &str, told: &str) {
    assert_eq!(answer.status, status, "{told}");
    let body = answer.json();
    if operation.path.starts_with("/oauth2/") {
        let error = if status == 401 {
            "invalid_client"
        } else {
            "access_denied"
        };
        assert_eq!(body["error"], error, "{told}");
    } else {
        assert_eq!(body["error"]["code"], code, "{told}");
    }
    let challenge = answer.header("www-authenticate");
    assert_eq!(challenge.is_some(), status == 401, "{told}");
}

fn trials(world: &World, row: &Row) -> Vec<Trial> {
    let operation = operation(row);
    let bad = Expected::Refused(401, "INVALID_API_KEY");
    if operation.access == Access::Public {
        // A credential is not looked at, and so not refused either.
        let done = Expected::Done;
        return vec![
            trial("nobody", world.town.nobody(), done),
            trial("a malformed key", world.malformed(), done),
            trial("a revoked key", world.revoked(), done),
        ];
    }
    let mut trials = vec![
        trial(
            "nobody",
            world.town.nobody(),
            Expected::Refused(401, "NOT_AUTHENTICATED"),
        ),
        trial("a malformed header", world.malformed(), bad),
        trial("an unknown key", world.unknown(), bad),
        trial("a key with a wrong checksum", world.wrong_checksum(), bad),
        trial("a disabled key", world.disabled(), bad),
        trial("a revoked key", world.revoked(), bad),
        trial("a key of a suspended account", world.suspended(), bad),
        trial(
            "an expired key",
            world.expired(),
            Expected::Refused(401, "API_KEY_EXPIRED"),
        ),
        trial(
            "a broken session token",
            world.broken_session(),
            Expected::Refused(401, "INVALID_TOKEN"),
        ),
        trial(
            "a revoked session",
            world.revoked_session(),
            Expected::Refused(401, "INVALID_TOKEN"),
        ),
    ];
    // Whatever is wrong about acting as a child is one answer; for a session, and for a key that was
    // not made for it, that alone is wrong.
    let acts = row.target == Target::ActsForChild;
    let or_denied = |code| Expected::Refused(403, if acts { "IMPERSONATION_DENIED" } else { code });
    if operation.credentials.contains(&Credential::Session) {
        trials.push(trial("a session", world.plain_session(), row.session));
    } else {
        // Its audience is the API behind, not hallpass.
        trials.push(trial(
            "a session",
            world.plain_session(),
            if acts {
                or_denied("")
            } else {
                Expected::Refused(401, "INVALID_TOKEN")
            },
        ));
        trials.push(trial(
            "a session for hallpass itself",
            world.manage_session(),
            or_denied("MANAGEMENT_NOT_ALLOWED"),
        ));
    }
    if operation.access == Access::Key {
        trials.push(trial(
            "a key that may call other routes",
            world.scoped_elsewhere(),
            Expected::Refused(403, "ROUTE_NOT_ALLOWED"),
        ));
    }
    if operation.manage.is_some() {
        trials.push(trial(
            "a key that may call every route and manages nothing",
            world.manages_nothing(),
            Expected::Refused(403, "MANAGEMENT_NOT_ALLOWED"),
        ));
    }
    trials.push(trial(STRANGER, world.rival(), by(row, Other::Stranger)));
    trials.push(trial(
        "a key of the parent",
        world.parent(),
        by(row, Other::Parent),
    ));
    trials.push(trial(
        "a key of the child",
        world.child(),
        by(row, Other::Child),
    ));
    trials.push(trial("a test key", world.test_key(), row.test_key));
    trials
}

fn trial(who: &'static str, caller: Caller, expected: Expected) -> Trial {
    Trial {
        who,
        caller,
        expected,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Other {
    Stranger,
    Parent,
    Child,
}

/// What a good key of another account gets.
fn by(row: &Row, other: Other) -> Expected {
    match row.target {
        Target::Own => Expected::Done,
        Target::Shown if other == Other::Parent => Expected::Done,
        Target::Ledger if other != Other::Stranger => Expected::Done,
        Target::Quiet | Target::Shown | Target::Ledger => Expected::Harmless,
        Target::Thing => Expected::Missing,
        Target::ActsForChild => Expected::Refused(403, "IMPERSONATION_DENIED"),
        Target::Operator | Target::Granted => Expected::Refused(403, "MANAGEMENT_NOT_ALLOWED"),
        Target::SessionsOnly => Expected::Refused(401, "INVALID_TOKEN"),
    }
}
