use serde_json::json;

use super::*;
use crate::token::support::{PARENT, SUB, claims, payload};

fn parse(payload: &Value) -> Result<Claims, TokenError> {
    Claims::parse(payload.to_string().as_bytes())
}

fn with(claim: &str, value: Value) -> Value {
    let mut payload = payload();
    payload[claim] = value;
    payload
}

fn without(claim: &str) -> Value {
    let mut payload = payload();
    payload.as_object_mut().unwrap().remove(claim);
    payload
}

fn full() -> Claims {
    let parent = Actor {
        sub: AccountId::parse(PARENT).unwrap(),
        act: Some(Box::new(Actor {
            sub: AccountId::parse(SUB).unwrap(),
            act: None,
        })),
    };
    Claims {
        act: Some(parent),
        scope: Some("bots:read bots:write".to_owned()),
        bindings: Some(BTreeMap::from([(
            "project".to_owned(),
            vec!["p1".to_owned()],
        )])),
        domains: Some(vec!["example.com".to_owned()]),
        data: json!({"contact": {"name": "Zoë", "x": null, "y": 1.5}})
            .as_object()
            .cloned(),
        cnf: json!({"jkt": "x"}).as_object().cloned(),
        ..claims()
    }
}

#[test]
fn claims_survive_a_round_trip() {
    for claims in [claims(), full()] {
        let payload = claims.to_json().unwrap();

        assert_eq!(Claims::parse(&payload), Ok(claims));
    }
}

/// The names and their order are what others read; absent stays absent, never `null`.
#[test]
fn the_written_form_is_fixed() {
    let names = |claims: &Claims| {
        let value = serde_json::to_value(claims).unwrap();
        let names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        names.join(" ")
    };

    assert_eq!(
        names(&claims()),
        "iss sub aud iat nbf exp jti client_id allowedRoutes lin rev"
    );
    assert_eq!(
        names(&full()),
        "iss sub aud iat nbf exp jti client_id act allowedRoutes scope bindings domains lin rev \
         data cnf"
    );
    assert_eq!(
        serde_json::to_value(full()).unwrap()["act"],
        json!({"sub": PARENT, "act": {"sub": SUB}})
    );
}

#[test]
fn a_required_claim_that_is_missing_is_named() {
    for claim in [
        "iss",
        "sub",
        "aud",
        "iat",
        "nbf",
        "exp",
        "jti",
        "client_id",
        "allowedRoutes",
        "lin",
        "rev",
    ] {
        assert_eq!(parse(&without(claim)), Err(TokenError::missing(claim)));
    }
}

#[test]
fn a_claim_of_the_wrong_type_is_named() {
    let strings = [
        "iss",
        "sub",
        "aud",
        "jti",
        "client_id",
        "lin",
        "rev",
        "scope",
    ];
    for claim in strings {
        for value in [
            json!(null),
            json!(1),
            json!(true),
            json!([]),
            json!(["x"]),
            json!({}),
        ] {
            let error = parse(&with(claim, value.clone()));
            assert_eq!(error, Err(TokenError::invalid(claim)), "{value}");
        }
        if claim != "scope" {
            assert_eq!(
                parse(&with(claim, json!(""))),
                Err(TokenError::invalid(claim))
            );
        }
    }
    for claim in ["act", "bindings", "data", "cnf"] {
        for value in [json!(null), json!(1), json!("x"), json!([]), json!([{}])] {
            assert_eq!(parse(&with(claim, value)), Err(TokenError::invalid(claim)));
        }
    }
    for claim in ["allowedRoutes", "domains"] {
        for value in [
            json!(null),
            json!("**"),
            json!({}),
            json!([1]),
            json!([null]),
            json!([["**"]]),
            json!({"0": "**"}),
        ] {
            assert_eq!(parse(&with(claim, value)), Err(TokenError::invalid(claim)));
        }
    }
    for value in [
        json!({"p": "x"}),
        json!({"p": [1]}),
        json!({"p": null}),
        json!([["p", []]]),
    ] {
        assert_eq!(
            parse(&with("bindings", value)),
            Err(TokenError::invalid("bindings"))
        );
    }
}

/// Two audiences or two issuers in a list are how other verifiers were fooled.
#[test]
fn issuer_and_audience_are_plain_strings() {
    for claim in ["iss", "aud"] {
        let ours = payload()[claim].clone();
        for value in [json!([ours]), json!(["evil", ours]), json!({"x": ours})] {
            assert_eq!(parse(&with(claim, value)), Err(TokenError::invalid(claim)));
        }
    }
}

#[test]
fn times_are_whole_numbers_in_a_sane_range() {
    let exp = claims().exp;
    for claim in ["iat", "nbf", "exp"] {
        for value in [
            json!(null),
            json!(exp.to_string()),
            json!(1e9),
            json!(1_900_000_000.5),
            json!(-1),
            json!(i64::MIN),
            json!(i64::MAX),
            json!(u64::MAX),
            json!(1_000_000_000_000_000_000_i64),
            json!(NUMERIC_DATE_MAX + 1),
            json!([exp]),
            json!({"$date": exp}),
            json!(true),
        ] {
            assert_eq!(
                parse(&with(claim, value.clone())),
                Err(TokenError::invalid(claim)),
                "{value}"
            );
        }
        for spelling in [
            "1.9e9",
            "1900000000.0",
            "1900000000E0",
            "-0",
            "1e400",
            "01",
            "0x10",
            "+1",
        ] {
            let text = payload().to_string();
            let now = format!("\"{claim}\":{}", payload()[claim]);
            let text = text.replacen(&now, &format!("\"{claim}\":{spelling}"), 1);
            assert!(Claims::parse(text.as_bytes()).is_err(), "{spelling}");
        }
        assert!(parse(&with(claim, json!(0))).is_ok());
        assert!(parse(&with(claim, json!(NUMERIC_DATE_MAX))).is_ok());
    }
}

#[test]
fn ids_are_of_their_kind() {
    for (claim, id) in [
        ("sub", "key_01hzy0000000000000000000dd"),
        ("sub", "usr_01HZY0000000000000000000AA"),
        ("sub", "usr_"),
        ("jti", SUB),
        ("client_id", SUB),
        ("client_id", "key_01hzy0000000000000000000dd\0"),
    ] {
        assert_eq!(
            parse(&with(claim, json!(id))),
            Err(TokenError::invalid(claim))
        );
    }
}

#[test]
fn an_actor_is_an_account_and_nothing_more() {
    for actor in [
        json!({}),
        json!({"sub": 1}),
        json!({"sub": "x"}),
        json!({"sub": SUB, "iss": "x"}),
        json!({"sub": SUB, "act": null}),
        json!({"sub": SUB, "act": {}}),
        json!({"sub": SUB, "act": {"sub": SUB, "client_id": "x"}}),
    ] {
        assert_eq!(parse(&with("act", actor)), Err(TokenError::invalid("act")));
    }
}

#[test]
fn a_scope_is_words_with_single_spaces() {
    for scope in ["", "a", "bots:read", "bots:read bots:write", "admin x"] {
        assert!(parse(&with("scope", json!(scope))).is_ok(), "{scope}");
    }
    for scope in [
        " ", "a ", " a", "a  b", "a\tb", "a\nb", "é", "a\"b", "a\\b", "a\u{a0}b",
    ] {
        assert_eq!(
            parse(&with("scope", json!(scope))),
            Err(TokenError::invalid("scope")),
            "{scope}"
        );
    }
}

#[test]
fn an_unknown_claim_is_refused() {
    for claim in [
        "permissions",
        "roles",
        "ISS",
        "allowed_routes",
        "Exp",
        "",
        "userId",
        "__proto__",
    ] {
        assert_eq!(
            parse(&with(claim, json!("x"))),
            Err(TokenError::UnknownClaim),
            "{claim}"
        );
    }
}

#[test]
fn a_payload_with_two_readings_is_refused() {
    let text = payload().to_string();
    let sub = format!(r#""sub":"{SUB}""#);
    for (from, to) in [
        ("{", r#"{"exp":9999999999,"#),
        ("{", r#"{"allowedRoutes":["**"],"#),
        ("{", r#"{"\u0073ub":"x","#),
        ("{", r#"{"data":{"a":1,"a":2},"#),
        ("{", r#"{"data":{"x":[{"a":1,"a":1}]},"#),
        (sub.as_str(), &format!("{sub},{sub}")),
    ] {
        let text = text.replacen(from, to, 1);
        assert_eq!(
            Claims::parse(text.as_bytes()),
            Err(TokenError::Payload),
            "{text}"
        );
    }
    let act = format!(r#"{{"act":{{"sub":"{SUB}","sub":"{PARENT}"}},"#);
    let text = text.replacen('{', &act, 1);
    assert_eq!(Claims::parse(text.as_bytes()), Err(TokenError::Payload));
}

#[test]
fn a_payload_is_one_object() {
    let text = payload().to_string();
    let values = payload();
    let as_list: Vec<_> = values.as_object().unwrap().values().collect();
    for payload in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "\"x\"".to_owned(),
        json!(as_list).to_string(),
        format!("[{text}]"),
        format!("{text}{text}"),
        format!("{text},"),
        format!("\u{feff}{text}"),
        text.trim_end_matches('}').to_owned(),
    ] {
        assert_eq!(
            Claims::parse(payload.as_bytes()),
            Err(TokenError::Payload),
            "{payload}"
        );
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| {
        let mut value = json!(1);
        for _ in 0..depth {
            value = json!({"a": value});
        }
        value
    };
    assert!(parse(&with("data", nested(CLAIMS_DEPTH_MAX - 1))).is_ok());
    assert_eq!(
        parse(&with("data", nested(CLAIMS_DEPTH_MAX))),
        Err(TokenError::Payload)
    );
    let mut act = json!({"sub": SUB});
    for _ in 0..CLAIMS_DEPTH_MAX {
        act = json!({"sub": SUB, "act": act});
    }
    assert_eq!(parse(&with("act", act)), Err(TokenError::Payload));
}

/// Whatever the quick way takes, the slow one takes as the same.
fn both_ways(payload: &[u8]) -> bool {
    let quick = quick::read(payload);
    if quick.is_some() {
        let text = String::from_utf8_lossy(payload);
        assert_eq!(quick, Claims::parse_slowly(payload).ok(), "{text}");
    }
    quick.is_some()
}

#[test]
fn what_we_write_is_read_quickly() {
    for claims in [claims(), full()] {
        assert!(both_ways(&claims.to_json().unwrap()));
    }
}

#[test]
fn no_change_of_a_byte_gets_past_the_quick_way_alone() {
    let payload = full().to_json().unwrap();
    let mut taken = 0;
    for place in 0..payload.len() {
        for byte in *b"\0 \"\\{}[],:0-.1eE+nt\xff\xc3/x" {
            let mut changed = payload.clone();
            changed[place] = byte;
            taken += usize::from(both_ways(&changed));
            changed = payload.clone();
            changed.insert(place, byte);
            taken += usize::from(both_ways(&changed));
        }
        let mut cut = payload.clone();
        cut.remove(place);
        taken += usize::from(both_ways(&cut));
        assert!(!both_ways(&payload[..place]));
    }
    assert!(taken > 1_000, "changes within texts are taken: {taken}");
}

#[test]
fn no_strange_member_gets_past_the_quick_way_alone() {
    let mut deep = json!(1);
    for _ in 0..CLAIMS_DEPTH_MAX {
        deep = json!([deep]);
    }
    let strange = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.0),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(NUMERIC_DATE_MAX),
        json!(NUMERIC_DATE_MAX + 1),
        json!(""),
        json!("x"),
        json!("1"),
        json!(" a"),
        json!("a  b"),
        json!([]),
        json!([1]),
        json!([null]),
        json!(["a"]),
        json!([["a"]]),
        json!({}),
        json!({"a": 1}),
        json!({"a": ["b"]}),
        json!({"sub": SUB}),
        json!({"sub": SUB, "x": 1}),
        json!([SUB]),
        json!([SUB, null]),
        json!(SUB),
        json!({"sub": [SUB]}),
        json!({"sub": SUB, "act": null}),
        json!({"sub": SUB, "act": {"sub": PARENT}}),
        deep.clone(),
        json!({"a": deep}),
    ];
    let whole = serde_json::to_value(full()).unwrap();
    for name in whole.as_object().unwrap().keys() {
        let mut without = whole.clone();
        without.as_object_mut().unwrap().remove(name);
        both_ways(without.to_string().as_bytes());
        for value in &strange {
            let mut changed = whole.clone();
            changed[name] = value.clone();
            let text = changed.to_string();
            both_ways(text.as_bytes());
            // The same name twice, in front and behind.
            let twice = format!(
                "{{\"{name}\":{value},{}",
                whole.to_string().strip_prefix('{').unwrap()
            );
            assert!(!both_ways(twice.as_bytes()), "{twice}");
            let twice = format!("{},\"{name}\":{value}}}", text.strip_suffix('}').unwrap());
            assert!(!both_ways(twice.as_bytes()), "{twice}");
            // An object as the array of its values.
            let values: Vec<_> = changed.as_object().unwrap().values().collect();
            assert!(!both_ways(json!(values).to_string().as_bytes()));
        }
    }
    let text = whole.to_string();
    for repeated in [
        text.replace("\"x\":null", "\"x\":null,\"x\":null"),
        text.replace("\"project\":", "\"project\":[\"p2\"],\"project\":"),
        format!("{text} x"),
        format!(" {text}"),
        text.replace("\"iss\"", "\"i\\u0073s\""),
    ] {
        assert_ne!(repeated, text);
        both_ways(repeated.as_bytes());
    }
}
