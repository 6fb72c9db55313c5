use serde_json::json;

use super::*;

fn read(config: Value) -> Result<Restrictions, ConfigError> {
    let config: Config = serde_json::from_value(config).unwrap();
    config.parse(&Vocabulary::default())
}

fn is_json(config: &Value) -> bool {
    serde_json::from_value::<Config>(config.clone()).is_ok()
}

/// The field that is at fault.
fn fault(config: &Value) -> String {
    read(config.clone())
        .err()
        .unwrap_or_else(|| panic!("{config} was read"))
        .field
}

#[test]
fn absent_and_null_are_not_narrowed() {
    let names = [
        "allowedRoutes",
        "permissions",
        "bindings",
        "projects",
        "domains",
        "cidrs",
        "session",
        "impersonation",
        "manage",
        "rateLimit",
    ];
    let nulls: serde_json::Map<_, _> = names
        .iter()
        .map(|&name| (name.to_owned(), Value::Null))
        .collect();

    assert_eq!(read(json!({})), Ok(Restrictions::default()));
    assert_eq!(read(Value::Object(nulls)), Ok(Restrictions::default()));
    assert_eq!(read(json!({"session": {}})), Ok(Restrictions::default()));
}

#[test]
fn an_empty_list_is_nothing_and_never_absent() {
    let lists = json!({
        "allowedRoutes": [],
        "permissions": [],
        "bindings": {"bot": []},
        "domains": [],
        "cidrs": [],
        "session": {
            "allowedRoutes": [],
            "permissions": [],
            "bindings": {"project": []},
            "domains": [],
            "audiences": [],
        },
        "impersonation": {"allowedRoutes": [], "users": []},
        "manage": [],
    });

    let read = read(lists.clone()).unwrap();

    assert_eq!(read.routes, Some(RouteSet::empty()));
    assert_eq!(read.permissions, Some(Permissions::default()));
    assert_eq!(read.bindings.get(Dimension::Bot), Some(&BTreeSet::new()));
    assert_eq!(read.domains, Some(Domains::default()));
    assert_eq!(read.cidrs, Some(Cidrs::default()));
    assert_eq!(read.session.routes, Some(RouteSet::empty()));
    assert_eq!(read.session.permissions, Some(Permissions::default()));
    assert_eq!(read.session.domains, Some(Domains::default()));
    assert_eq!(read.session.audiences, Some(BTreeSet::new()));
    assert_eq!(read.manage, Some(BTreeSet::new()));
    let written = serde_json::to_value(Config::from_restrictions(&read)).unwrap();
    assert_eq!(written, lists, "and it is stored as such");
}

#[test]
fn what_is_stored_is_read_back_as_it_was() {
    for config in [
        json!({}),
        json!({"impersonation": true}),
        json!({"impersonation": false}),
        json!({"impersonation": {"users": [format!("usr_{:026}", 7)]}}),
        json!({"impersonation": {"allowedRoutes": ["GET,POST bot/**", "a/*"]}}),
        json!({
            "allowedRoutes": ["/v1/bot/**", "post /api/v1/a", "v1/b"],
            "permissions": ["admin", "bots:read"],
            "bindings": {"bot": ["b2", "b1"], "project": ["p:1@x"]},
            "domains": ["*.Example.com", "localhost", "[::1]"],
            "cidrs": ["192.0.2.7/24", "2001:db8::1", "::ffff:198.51.100.0/120"],
            "session": {
                "allowedRoutes": ["**"],
                "permissions": ["bots:read"],
                "bindings": {"integration": ["i1"]},
                "domains": ["example.com"],
                "audiences": ["https://example.com/api"],
                "maxDurationInSeconds": 86_400,
                "maxRenewableInSeconds": 2_592_000,
            },
            "manage": ["introspect", "tokens"],
            "rateLimit": {"requests": 1_000_000, "perSeconds": 86_400},
        }),
    ] {
        let first = read(config.clone()).unwrap();

        let text = serde_json::to_string(&Config::from_restrictions(&first)).unwrap();
        let stored: Config = serde_json::from_str(&text).unwrap();

        assert_eq!(stored.parse_stored(), Ok(first), "{config}");
    }
}

#[test]
fn what_is_not_a_config_is_refused() {
    for config in [
        json!([]),
        json!([null, null]),
        json!({"session": []}),
        json!({"session": [["**"]]}),
        json!({"rateLimit": [1, 1]}),
        json!("**"),
        json!({"routes": ["**"]}),
        json!({"allowed_routes": ["**"]}),
        json!({"allowedRoutes": "**"}),
        json!({"allowedRoutes": [null]}),
        json!({"allowedRoutes": {"0": "**"}}),
        json!({"bindings": ["b1"]}),
        json!({"bindings": {"bot": "b1"}}),
        json!({"bindings": {"bot": null}}),
        json!({"session": {"cidrs": []}}),
        json!({"session": {"maxDurationInSeconds": 1.5}}),
        json!({"session": {"maxDurationInSeconds": 60.0}}),
        json!({"session": {"maxDurationInSeconds": "60"}}),
        json!({"rateLimit": {"requests": 1}}),
        json!({"rateLimit": {"requests": -1, "perSeconds": 1}}),
        json!({"rateLimit": {"requests": 1, "perSeconds": 1, "burst": 9}}),
    ] {
        assert!(!is_json(&config), "{config}");
    }
}

#[test]
fn a_field_that_is_wrong_is_named() {
    for (config, field) in [
        (json!({"allowedRoutes": ["bot/[a]"]}), "allowedRoutes"),
        (json!({"allowedRoutes": [""]}), "allowedRoutes"),
        (json!({"permissions": ["bots:delete"]}), "permissions"),
        (json!({"permissions": ["*"]}), "permissions"),
        (json!({"permissions": [""]}), "permissions"),
        (json!({"bindings": {"tenant": ["t1"]}}), "bindings"),
        (json!({"bindings": {"Bot": ["b1"]}}), "bindings"),
        (json!({"bindings": {"bot": [""]}}), "bindings"),
        (json!({"bindings": {"bot": ["b 1"]}}), "bindings"),
        (json!({"bindings": {"bot": ["b".repeat(129)]}}), "bindings"),
        (
            json!({"bindings": {"project": ["p1"]}, "projects": ["p1"]}),
            "projects",
        ),
        (json!({"domains": ["https://example.com"]}), "domains"),
        (json!({"domains": ["*"]}), "domains"),
        (json!({"cidrs": ["10.0.0.0/33"]}), "cidrs"),
        (json!({"manage": ["everything"]}), "manage"),
        (json!({"manage": ["Tokens"]}), "manage"),
        (
            json!({"session": {"allowedRoutes": ["!a"]}}),
            "session.allowedRoutes",
        ),
        (
            json!({"session": {"permissions": ["x:y"]}}),
            "session.permissions",
        ),
        (
            json!({"session": {"bindings": {"x": []}}}),
            "session.bindings",
        ),
        (json!({"session": {"domains": [""]}}), "session.domains"),
        (json!({"session": {"audiences": [""]}}), "session.audiences"),
        (
            json!({"session": {"audiences": ["a b"]}}),
            "session.audiences",
        ),
        (
            json!({"impersonation": {"allowedRoutes": ["a*"]}}),
            "impersonation.allowedRoutes",
        ),
        (
            json!({"impersonation": {"users": ["key_1"]}}),
            "impersonation.users",
        ),
    ] {
        assert_eq!(fault(&config), field, "{config}");
    }
}

#[test]
fn numbers_have_a_range_at_both_ends() {
    let duration = |secs: i64| json!({"session": {"maxDurationInSeconds": secs}});
    let renewable = |secs: i64| json!({"session": {"maxRenewableInSeconds": secs}});
    let requests = |number: u32| json!({"rateLimit": {"requests": number, "perSeconds": 1}});
    let window = |secs: u32| json!({"rateLimit": {"requests": 1, "perSeconds": secs}});

    for config in [
        duration(1),
        duration(86_400),
        renewable(1),
        renewable(2_592_000),
        requests(1),
        requests(1_000_000),
        window(1),
        window(86_400),
    ] {
        assert!(read(config.clone()).is_ok(), "{config}");
    }
    for config in [
        duration(0),
        duration(-1),
        duration(86_401),
        duration(i64::MAX),
        renewable(0),
        renewable(2_592_001),
        requests(0),
        requests(1_000_001),
        window(0),
        window(86_401),
    ] {
        assert!(read(config.clone()).is_err(), "{config}");
    }
}

#[test]
fn lists_have_an_end() {
    let list = |length: usize, text: &dyn Fn(usize) -> String| -> Vec<String> {
        (0..length).map(text).collect()
    };
    let bindings = |length| json!({"bindings": {"bot": list(length, &|n| format!("b{n}"))}});
    let domains = |length| json!({"domains": list(length, &|n| format!("d{n}.example.com"))});
    let cidrs = |length| json!({"cidrs": list(length, &|n| format!("10.0.0.{n}"))});
    let users =
        |length| json!({"impersonation": {"users": list(length, &|n| format!("usr_{n:026}"))}});
    let audiences = |length| json!({"session": {"audiences": list(length, &|n| format!("a{n}"))}});
    let makers: [&dyn Fn(usize) -> Value; 5] = [&bindings, &domains, &cidrs, &users, &audiences];
    for make in makers {
        assert!(read(make(limits::LIST_LEN_MAX)).is_ok());
        assert!(read(make(limits::LIST_LEN_MAX + 1)).is_err());
    }
    let repeated = json!({"permissions": vec!["bots:read"; limits::LIST_LEN_MAX + 1]});
    assert!(read(repeated).is_err());
}

#[test]
fn impersonation_that_says_nothing_is_refused() {
    for wrong in [
        json!({}),
        json!({"allowedRoutes": null}),
        json!({"users": null, "allowedRoutes": null}),
        json!({"routes": ["**"]}),
        json!({"users": "all"}),
        json!([]),
        json!("true"),
        json!(1),
    ] {
        assert_eq!(
            read(json!({"impersonation": wrong})),
            Err(ConfigError {
                field: "impersonation".to_owned(),
                problem: ConfigProblem::Impersonation,
            }),
            "{wrong}"
        );
    }
}

#[test]
fn projects_are_the_short_form_of_a_binding() {
    let short = read(json!({"projects": ["p1"], "bindings": {"bot": ["b1"]}})).unwrap();
    let long = read(json!({"bindings": {"project": ["p1"], "bot": ["b1"]}})).unwrap();

    assert_eq!(short, long);
    let none = read(json!({"projects": []})).unwrap();
    assert_eq!(
        none.bindings.get(Dimension::Project),
        Some(&BTreeSet::new())
    );
}

#[test]
fn a_scope_that_has_left_the_vocabulary_is_refused_anew_and_read_when_stored() {
    let config = || Config {
        permissions: Some(vec!["gone:read".to_owned()]),
        ..Config::default()
    };

    assert!(config().parse(&Vocabulary::default()).is_err());
    let stored = config().parse_stored().unwrap().permissions.unwrap();
    assert_eq!(stored.to_scope(), "gone:read");
    assert!(!stored.allows(&Permission::parse("bots:read").unwrap()));
}

#[test]
fn an_error_tells_what_could_have_been_written() {
    let error = read(json!({"permissions": ["bots:delete"]})).unwrap_err();

    let text = error.to_string();

    assert!(text.starts_with("permissions: `bots:delete`"), "{text}");
    assert!(text.contains("bots:read, bots:write"), "{text}");
}
