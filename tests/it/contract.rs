//! The router, the table of errors and `openapi.yaml` say the same.

#![cfg(all(feature = "server", feature = "sqlite", feature = "postgres"))]

use std::collections::BTreeSet;

use hallpass::app::error::{BadCredential, Conflict, Error, Forbidden, Invalid, InvalidCode};
use hallpass::domain::binding::Dimension;
use hallpass::domain::cover::Excess;
use hallpass::domain::environment::Environment;
use hallpass::domain::grant::Refusal;
use hallpass::domain::id::RequestId;
use hallpass::domain::permission::Permission;
use hallpass::domain::profile;
use hallpass::domain::restrictions::Manage;
use hallpass::domain::route::{Mount, NotCovered, RequestPath, TrailingSlash};
use hallpass::domain::time::Timestamp;
use hallpass::http::headers::HeaderError;
use hallpass::http::json::JsonError;
use hallpass::http::query::parse_query;
use hallpass::http::{GateProblem, Problem, routes};
use hallpass::token::TokenError;
use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::openapi::{Contract, document};

#[test]
fn every_route_is_documented_and_every_documented_operation_is_served() {
    let served: BTreeSet<(String, String)> = routes()
        .into_iter()
        .map(|(method, path)| (method.to_owned(), path))
        .chain(profile::shipped().iter().map(|shipped| {
            (
                "POST".to_owned(),
                format!("/v1/{}/session/create", shipped.path),
            )
        }))
        .collect();
    let documented: BTreeSet<(String, String)> = Contract::load()
        .operations()
        .iter()
        .map(|operation| (operation.method.clone(), operation.path.clone()))
        .collect();

    let only_served: Vec<_> = served.difference(&documented).collect();
    let only_documented: Vec<_> = documented.difference(&served).collect();
    assert!(only_served.is_empty(), "not documented: {only_served:?}");
    assert!(
        only_documented.is_empty(),
        "not served: {only_documented:?}"
    );
}

/// One of every row of the table in `http/problem.rs`.
fn problems() -> Vec<Problem> {
    let app = |error: Error| Problem::from(error);
    let invalid = |code| {
        app(Error::Invalid(Invalid {
            field: "field".to_owned(),
            problem: "a problem".to_owned(),
            code,
        }))
    };
    let forbidden = |forbidden: Forbidden| app(forbidden.into());
    let exceeds = |excess: Excess| app(excess.into());
    let refused = |refusal: Refusal| forbidden(Forbidden::Grant(Box::new(refusal)));
    let bots_read = || Permission::parse("bots:read").unwrap();
    let example = || NotCovered::CounterExample {
        method: "POST".to_owned(),
        path: "bot/b1".to_owned(),
    };
    let ambiguous =
        RequestPath::parse("/v1/a//b", Mount::hallpass(), TrailingSlash::Equal).unwrap_err();
    let mut problems = vec![
        app(BadCredential::Missing.into()),
        app(BadCredential::Key.into()),
        app(BadCredential::Scheme.into()),
        app(BadCredential::KeyExpired.into()),
        app(BadCredential::Token(TokenError::UnknownKey).into()),
        app(BadCredential::TokenEnded.into()),
        app(BadCredential::TokenAudience.into()),
        forbidden(Forbidden::Route),
        forbidden(Forbidden::MethodOverride),
        forbidden(Forbidden::Permission(Some(bots_read()))),
        forbidden(Forbidden::Permission(None)),
        forbidden(Forbidden::Manage(Manage::Tokens)),
        forbidden(Forbidden::Operator),
        forbidden(Forbidden::Session),
        forbidden(Forbidden::RunAsHere),
        forbidden(Forbidden::Binding(Dimension::Project)),
        forbidden(Forbidden::Binding(Dimension::Bot)),
        forbidden(Forbidden::Domain),
        forbidden(Forbidden::Address),
        forbidden(Forbidden::Impersonation),
        forbidden(Forbidden::TestKey),
        forbidden(Forbidden::Granted),
        forbidden(Forbidden::NotRenewable),
        exceeds(Excess::Operator),
        exceeds(Excess::Audience),
        exceeds(Excess::Environment),
        exceeds(Excess::Expiry(Timestamp::from_millis(1))),
        exceeds(Excess::Rate),
        exceeds(Excess::Grantor),
        exceeds(Excess::Impersonation),
        exceeds(Excess::Manage(Manage::Users)),
        refused(Refusal::RouteNotCovered(example())),
        refused(Refusal::RouteNotCovered(NotCovered::TooComplex)),
        refused(Refusal::NothingLeft),
        refused(Refusal::Permission(bots_read())),
        refused(Refusal::Binding(Dimension::Bot)),
        refused(Refusal::Domain("example.com".to_owned())),
        refused(Refusal::Audience("api".to_owned())),
        refused(Refusal::Expired),
        app(Error::NotFound),
        app(Error::Conflict(Conflict::Webhooks)),
        app(Error::too_many(1500)),
        app(Error::Unavailable("the database".into())),
        app(Error::internal("an invariant")),
        Problem::Path(ambiguous),
        Problem::Header(HeaderError::TwoCredentials),
        Problem::Header(HeaderError::BadCredential),
        Problem::Header(HeaderError::LongCredential),
        Problem::Header(HeaderError::BadRunAs),
        Problem::Query(parse_query(Some("take=1&take=2")).unwrap_err()),
        Problem::Json(JsonError::TooLarge),
        Problem::Json(JsonError::MediaType),
        Problem::Json(JsonError::Unreadable),
        Problem::Method("GET"),
        Problem::Accept,
    ];
    for code in [
        InvalidCode::Request,
        InvalidCode::RoutePattern,
        InvalidCode::RoutesRequired,
        InvalidCode::AmbiguousPath,
        InvalidCode::TokenTooLarge,
    ] {
        problems.push(invalid(code));
    }
    for conflict in [
        Conflict::Email,
        Conflict::Digest,
        Conflict::IdempotencyKey,
        Conflict::Claimed,
        Conflict::Depth,
        Conflict::Secrets,
        Conflict::SigningKey,
        Conflict::State,
    ] {
        problems.push(app(Error::Conflict(conflict)));
    }
    problems
}

async fn row(problem: Problem) -> (u16, Value) {
    let request = RequestId::parse("req_01ke0jer00ysc5xmtfwmx0js9k").unwrap();
    let response = problem.into_response(&request);
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn every_error_has_one_row_of_status_code_and_message() {
    let mut table = BTreeSet::new();
    for problem in problems() {
        let (status, body) = row(problem).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        assert_eq!(body["message"], body["error"]["message"]);
        table.insert(format!(
            "{status} {} {}: {}",
            text(&body["code"]),
            text(&body["error"]["code"]),
            text(&body["message"])
        ));
    }
    let table: Vec<String> = table.into_iter().collect();
    insta::assert_snapshot!(table.join("\n"));
}

#[tokio::test]
async fn the_codes_of_the_errors_are_those_of_the_document() {
    let mut made = BTreeSet::new();
    for problem in problems() {
        let (status, body) = row(problem).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        made.insert((status, text(&body["code"]), text(&body["error"]["code"])));
    }
    let documented = documented_codes();

    // The method of a request belongs to no operation, so the document has no row for it.
    let method = "METHOD_NOT_ALLOWED".to_owned();
    assert!(made.remove(&(405, method.clone(), method)));
    let only_made: Vec<_> = made.difference(&documented).collect();
    let only_documented: Vec<_> = documented.difference(&made).collect();
    assert!(only_made.is_empty(), "not documented: {only_made:?}");
    assert!(
        only_documented.is_empty(),
        "never answered: {only_documented:?}"
    );
}

/// What only the gate answers.
fn gate_problems() -> Vec<Problem> {
    let own = [
        GateProblem::Peer,
        GateProblem::Secret,
        GateProblem::Missing("x-original-uri"),
        GateProblem::Repeated("x-original-uri"),
        GateProblem::Malformed("x-original-uri"),
        GateProblem::Connection,
        GateProblem::MethodOverride,
        GateProblem::OutsideMount,
        GateProblem::IdentityTooLarge,
    ];
    let mut problems: Vec<Problem> = own.into_iter().map(Problem::Gate).collect();
    let environment = Forbidden::Environment(Environment::Test);
    problems.push(Error::from(environment).into());
    problems
}

#[tokio::test]
async fn what_only_the_gate_answers_is_documented_there_and_is_403() {
    let document = document();
    let listed = |name: &str| -> BTreeSet<String> {
        let schema = &document["components"]["responses"][name]["content"]["application/json"];
        let codes = &schema["schema"]["allOf"][1]["properties"]["error"]["properties"]["code"];
        let codes = codes["enum"].as_array().unwrap().iter();
        codes
            .map(|code| code.as_str().unwrap().to_owned())
            .collect()
    };
    let refused = listed("GateRefused");
    let elsewhere = documented_codes();
    let mut made = BTreeSet::new();
    for problem in gate_problems() {
        let (status, body) = row(problem).await;
        assert_eq!(
            (status, &body["code"]),
            (403, &Value::from("NOT_AUTHORIZED"))
        );
        made.insert(body["error"]["code"].as_str().unwrap().to_owned());
    }

    let only_there: BTreeSet<String> = refused
        .iter()
        .filter(|code| !elsewhere.iter().any(|(_, _, other)| other == *code))
        .cloned()
        .collect();
    assert_eq!(made, only_there);
    assert!(listed("GateNotAsked").is_subset(&made));
}

/// Status, `code` and `error.code` of every shared response below `/v1`.
fn documented_codes() -> BTreeSet<(u16, String, String)> {
    let document = document();
    let mut codes = BTreeSet::new();
    let operations = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|path| path.as_object().unwrap().values());
    for operation in operations {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let Some(reference) = response["$ref"].as_str() else {
                continue;
            };
            let response = document.pointer(reference.trim_start_matches('#')).unwrap();
            let parts =
                &response["content"]["application/json"]["schema"]["allOf"][1]["properties"];
            let Some(code) = parts["code"]["const"].as_str() else {
                continue;
            };
            let inner = &parts["error"]["properties"]["code"]["enum"];
            for error_code in inner.as_array().unwrap() {
                codes.insert((
                    status.parse().unwrap(),
                    code.to_owned(),
                    error_code.as_str().unwrap().to_owned(),
                ));
            }
        }
    }
    codes
}
