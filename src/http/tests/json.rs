use std::collections::BTreeMap;

use axum::http::HeaderValue;
use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Create {
    name: Option<String>,
    duration_in_seconds: Option<u32>,
    not_before: Option<i64>,
    enabled: Option<bool>,
    mode: Option<Mode>,
    meta: Option<serde_json::Map<String, Value>>,
    config: Option<Config>,
    users: Option<Vec<User>>,
    bindings: BTreeMap<String, Vec<String>>,
    pair: Option<(u8, u8)>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Strict,
    Intersect,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    #[serde(default)]
    allowed_routes: Option<Vec<String>>,
    per_seconds: f64,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
struct User(String);

#[derive(Debug, thiserror::Error)]
#[error("not a well-formed user id")]
struct NoUser;

impl TryFrom<String> for User {
    type Error = NoUser;
    fn try_from(text: String) -> Result<Self, NoUser> {
        if text.starts_with("usr_") {
            Ok(Self(text))
        } else {
            Err(NoUser)
        }
    }
}

fn parse(body: &str) -> Result<Create, BodyError> {
    parse_body(body.as_bytes())
}

#[test]
fn a_good_body_is_read() {
    let created = parse(
        r#"{
            "name": "n", "durationInSeconds": 900, "notBefore": -1, "enabled": true,
            "mode": "intersect", "meta": {"a": [1, 1.5, null, {}]},
            "config": {"allowedRoutes": ["bot/**"], "perSeconds": 2},
            "users": ["usr_1"], "bindings": {"bot": ["b1"]}, "pair": [1, 2]
        }"#,
    )
    .unwrap();

    assert_eq!(
        created,
        Create {
            name: Some("n".to_owned()),
            duration_in_seconds: Some(900),
            not_before: Some(-1),
            enabled: Some(true),
            mode: Some(Mode::Intersect),
            meta: json!({"a": [1, 1.5, null, {}]}).as_object().cloned(),
            config: Some(Config {
                allowed_routes: Some(vec!["bot/**".to_owned()]),
                per_seconds: 2.0
            }),
            users: Some(vec![User("usr_1".to_owned())]),
            bindings: BTreeMap::from([("bot".to_owned(), vec!["b1".to_owned()])]),
            pair: Some((1, 2)),
        }
    );
}

#[test]
fn no_body_is_an_empty_object_and_null_is_absent() {
    assert_eq!(parse("").unwrap(), Create::default());
    assert_eq!(parse("{}").unwrap(), Create::default());
    assert_eq!(
        parse(r#"{"name": null, "mode": null, "config": null, "users": null}"#).unwrap(),
        Create::default()
    );
}

#[test]
fn a_bad_body_is_refused_by_field() {
    for (body, expected) in [
        ("[]", "the request body must be a JSON object"),
        ("null", "the request body must be a JSON object"),
        (
            " ",
            "the request body is not valid JSON at line 1, column 1",
        ),
        (
            r#"{"name": "n",}"#,
            "the request body is not valid JSON at line 1, column 14",
        ),
        (
            r#"{"name": "a"} {}"#,
            "the request body is not valid JSON at line 1, column 15",
        ),
        (
            "\u{feff}{}",
            "the request body is not valid JSON at line 1, column 1",
        ),
        (
            r#"{"name": "a", "name": "b"}"#,
            "`name` is given more than once",
        ),
        (
            r#"{"config": {"perSeconds": 1, "perSeconds": 2}}"#,
            "`config.perSeconds` is given more than once",
        ),
        (
            r#"{"meta": {"a": {"b": 1, "b": 2}}}"#,
            "`meta.a.b` is given more than once",
        ),
        (
            r#"{"config": {"perSeconds": 1, "alowedRoutes": []}}"#,
            "`config.alowedRoutes` is not a known field; known are allowedRoutes, perSeconds",
        ),
        (r#"{"config": {}}"#, "`config.perSeconds` is missing"),
        (r#"{"name": 5}"#, "`name` must be a string, not this number"),
        (
            r#"{"durationInSeconds": "900"}"#,
            "`durationInSeconds` must be a whole number from 0 to 4294967295, not this string",
        ),
        (
            r#"{"durationInSeconds": -1}"#,
            "`durationInSeconds` must be a whole number from 0 to 4294967295, not a negative number",
        ),
        (
            r#"{"durationInSeconds": 4294967296}"#,
            "`durationInSeconds` must be a whole number from 0 to 4294967295, not this number",
        ),
        (
            r#"{"durationInSeconds": 1.5}"#,
            "`durationInSeconds` must be a whole number from 0 to 4294967295, not a fraction or a number that large",
        ),
        (
            r#"{"durationInSeconds": 900.0}"#,
            "`durationInSeconds` must be a whole number from 0 to 4294967295, not a fraction or a number that large",
        ),
        (
            r#"{"notBefore": 1e3}"#,
            "`notBefore` must be a whole number, not a fraction or a number that large",
        ),
        (
            r#"{"enabled": "true"}"#,
            "`enabled` must be true or false, not this string",
        ),
        (
            r#"{"enabled": 1}"#,
            "`enabled` must be true or false, not this number",
        ),
        (
            r#"{"mode": "Strict"}"#,
            "`mode` must be one of strict, intersect",
        ),
        (
            r#"{"mode": {"strict": null}}"#,
            "`mode` must be a string, not an object",
        ),
        (r#"{"meta": []}"#, "`meta` must be an object, not an array"),
        (
            r#"{"config": "x"}"#,
            "`config` must be an object, not this string",
        ),
        (
            r#"{"config": {"allowedRoutes": "bot/**", "perSeconds": 1}}"#,
            "`config.allowedRoutes` must be an array, not this string",
        ),
        (
            r#"{"config": {"allowedRoutes": ["a", null], "perSeconds": 1}}"#,
            "`config.allowedRoutes[1]` must be a string, not null",
        ),
        (
            r#"{"config": {"perSeconds": null}}"#,
            "`config.perSeconds` must be a number, not null",
        ),
        (
            r#"{"users": ["usr_1", "key_1"]}"#,
            "`users[1]` is not valid: not a well-formed user id",
        ),
        (
            r#"{"bindings": {"bot": "b1"}}"#,
            "`bindings.bot` must be an array, not this string",
        ),
        (r#"{"pair": [1, 2, 3]}"#, "`pair` must be"),
        (
            r#"{"pair": [1, 256]}"#,
            "`pair[1]` must be a whole number from 0 to 255, not this number",
        ),
    ] {
        let refusal = parse(body).unwrap_err().to_string();

        assert!(refusal.starts_with(expected), "{body}: {refusal}");
    }
}

#[test]
fn a_refusal_does_not_repeat_a_value() {
    for body in [
        r#"{"durationInSeconds": "hunter2"}"#,
        r#"{"mode": "hunter2"}"#,
        r#"{"enabled": "hunter2"}"#,
        r#"{"users": "hunter2"}"#,
        r#"{"users": ["hunter2"]}"#,
        r#"{"name": "hunter2"#,
    ] {
        let refusal = parse(body).unwrap_err();

        assert!(
            !format!("{refusal:?} {refusal}").contains("hunter2"),
            "{refusal}"
        );
    }
}

#[test]
fn a_long_name_is_not_told_in_full() {
    let body = format!(r#"{{"{}": 1}}"#, "ä".repeat(10_000));

    let refusal = parse(&body).unwrap_err();

    assert_eq!(refusal.field.unwrap().chars().count(), FIELD_CHARS_MAX + 1);
}

#[test]
fn depth_is_bounded_on_both_sides() {
    let nested = |depth: usize| {
        let arrays = depth - 2;
        format!(
            r#"{{"meta":{{"a":{}{}}}}}"#,
            "[".repeat(arrays),
            "]".repeat(arrays)
        )
    };

    assert!(parse(&nested(JSON_DEPTH_MAX)).is_ok());
    assert_eq!(
        parse(&nested(JSON_DEPTH_MAX + 1)).unwrap_err().problem,
        BodyProblem::TooDeep {
            depth_max: JSON_DEPTH_MAX
        }
    );
    assert!(parse(&"[".repeat(60_000)).is_err());
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect()
}

#[test]
fn a_body_must_say_that_it_is_json() {
    for content_type in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json; charset=\"utf-8\"",
        "application/json;",
    ] {
        let headers = headers(&[("content-type", content_type)]);
        assert!(
            parse_request::<Create>(&headers, b"{}").is_ok(),
            "{content_type}"
        );
    }
    for lines in [
        &[][..],
        &[("content-type", "")],
        &[("content-type", "text/plain")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "application/jsonl")],
        &[("content-type", "application/problem+json")],
        &[("content-type", "application/json; charset=utf-16")],
        &[("content-type", "application/json, text/plain")],
        &[
            ("content-type", "application/json"),
            ("content-type", "application/json"),
        ],
        &[
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
        ],
    ] {
        let headers = headers(lines);
        assert_eq!(
            parse_request::<Create>(&headers, b"{}"),
            Err(JsonError::MediaType),
            "{lines:?}"
        );
        // Without a body there is nothing to be said.
        assert!(parse_request::<Create>(&headers, b"").is_ok(), "{lines:?}");
    }
    let identity = headers(&[
        ("content-type", "application/json"),
        ("content-encoding", "identity"),
    ]);
    assert!(parse_request::<Create>(&identity, b"{}").is_ok());
}

#[tokio::test]
async fn size_is_bounded_on_both_sides() {
    let json = headers(&[("content-type", "application/json")]);
    let sized = |bytes: usize| {
        let frame = r#"{"name":""}"#.len();
        format!(r#"{{"name":"{}"}}"#, "x".repeat(bytes - frame))
    };

    let fits = read::<Create>(&json, Body::from(sized(BODY_BYTES_MAX))).await;
    let large = read::<Create>(&json, Body::from(sized(BODY_BYTES_MAX + 1))).await;

    assert!(fits.is_ok());
    assert_eq!(large, Err(JsonError::TooLarge));
    let large = sized(BODY_BYTES_MAX + 1);
    assert_eq!(
        parse_request::<Create>(&json, large.as_bytes()),
        Err(JsonError::TooLarge)
    );
}
