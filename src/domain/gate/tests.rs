use super::super::route::{Mount, TrailingSlash};
use super::*;

fn scope(text: &str) -> Permission {
    Permission::parse(text).unwrap()
}

/// `route => permission`, or a route alone.
fn rule(text: &str) -> GateRule {
    let (route, permission) = match text.split_once(" => ") {
        Some((route, permission)) => (route, Some(scope(permission))),
        None => (text, None),
    };
    GateRule::parse(route, permission).unwrap()
}

fn table(rules: &[&str], default: Option<&str>) -> GateTable {
    GateTable::new(
        rules.iter().map(|text| rule(text)).collect(),
        default.map(scope),
    )
}

fn path(text: &str) -> RequestPath {
    RequestPath::parse(
        format!("/v1/{text}"),
        &Mount::default(),
        TrailingSlash::Equal,
    )
    .unwrap()
}

const RULES: [&str; 5] = [
    "bot/{bot}/**",
    "GET,HEAD bot/** => bots:read",
    "bot/*/session/create => conversations:write",
    "bot/** => bots:write",
    "project/{project}/bot/{bot} => bots:read",
];

#[test]
fn the_first_rule_that_matches_gives_the_permission() {
    let table = table(&RULES, None);
    for (method, asked, wanted) in [
        ("GET", "bot/list", Some("bots:read")),
        ("GET", "bot/b1/session/create", Some("bots:read")),
        ("POST", "bot/b1/session/create", Some("conversations:write")),
        ("POST", "bot/create", Some("bots:write")),
        ("PROPFIND", "bot/list", Some("bots:write")),
        ("get", "bot/list", Some("bots:write")),
        ("GET", "bot", None),
        ("GET", "channel/list", None),
        ("DELETE", "project/p1/bot/b1", Some("bots:read")),
    ] {
        let found = table.permission_of(method, &path(asked));
        assert_eq!(found.map(Permission::as_str), wanted, "{method} {asked}");
    }
}

#[test]
fn a_default_is_for_routes_that_no_rule_gives_a_permission() {
    let table = table(&["bot/{bot}/**", "bot/list => bots:read"], Some("admin"));
    let found = |asked| table.permission_of("GET", &path(asked)).unwrap().as_str();

    assert_eq!(found("bot/list"), "bots:read");
    // The rule that only names a segment gives none.
    assert_eq!(found("bot/b1/fetch"), "admin");
    assert_eq!(found("channel/list"), "admin");
}

#[test]
fn named_segments_of_every_rule_that_matches_count() {
    let table = table(&RULES, None);
    let name = |method: &str, asked: &str, header: Option<&str>| {
        let mut named = NamedValues::new();
        if let Some(value) = header {
            named.insert(Dimension::Bot, value.to_owned());
        }
        table
            .name_values(method, &path(asked), &mut named)
            .map(|()| named.get(&Dimension::Bot).cloned())
    };
    let b1 = || Ok(Some("b1".to_owned()));

    assert_eq!(name("GET", "bot/b1/fetch", None), b1());
    assert_eq!(name("GET", "bot/b1/fetch", Some("b1")), b1());
    assert_eq!(name("POST", "project/p1/bot/b1", None), b1());
    assert_eq!(name("GET", "channel/list", Some("b1")), b1());
    assert_eq!(name("GET", "channel/list", None), Ok(None));
    assert_eq!(
        name("GET", "bot/b2/fetch", Some("b1")),
        Err(Disagreement(Dimension::Bot))
    );
}

#[test]
fn two_rules_that_name_different_values_refuse() {
    let table = table(&["bot/{bot}/**", "*/*/of/{bot}"], None);
    let mut named = NamedValues::new();

    assert!(
        table
            .name_values("GET", &path("bot/b1/of/b1"), &mut named)
            .is_ok()
    );
    let refused = table.name_values("GET", &path("bot/b1/of/b2"), &mut NamedValues::new());
    assert_eq!(refused, Err(Disagreement(Dimension::Bot)));
}

#[test]
fn rules_that_cannot_be_meant_are_refused() {
    use GateRuleError as E;

    let refused = |route: &str, permission: Option<&str>| {
        GateRule::parse(route, permission.map(scope)).unwrap_err()
    };
    assert_eq!(refused("bot/*", None), E::Empty);
    assert_eq!(refused("**/bot/{bot}", None), E::BehindDoubleStar);
    assert_eq!(refused("bot/{bot}/{bot}", None), E::NamedTwice("bot"));
    assert_eq!(
        refused("bot/{botId}", Some("bots:read")),
        E::UnknownName("botId".to_owned())
    );
    assert!(matches!(
        refused("bot//x", Some("bots:read")),
        E::Pattern(_)
    ));
    assert!(matches!(refused("bot/a{bot}", None), E::Pattern(_)));
}

#[test]
fn a_rule_that_earlier_ones_cover_together_never_counts() {
    use Reach::{Never, Reached};

    for (rules, reach) in [
        (
            vec!["bot/** => bots:read", "GET bot/*/fetch => bots:write"],
            vec![Reached, Never],
        ),
        // Together, and one by one not.
        (
            vec![
                "bot/* => bots:read",
                "bot/*/** => bots:read",
                "bot/** => bots:write",
            ],
            vec![Reached, Reached, Never],
        ),
        (
            vec!["GET bot/** => bots:read", "bot/** => bots:write"],
            vec![Reached, Reached],
        ),
        // A rule without a permission hides nothing, and names its segment wherever it stands.
        (
            vec!["bot/{bot}/**", "bot/** => bots:read", "bot/{bot}/list"],
            vec![Reached, Reached, Reached],
        ),
    ] {
        assert_eq!(table(&rules, None).reach(), reach, "{rules:?}");
    }
}
