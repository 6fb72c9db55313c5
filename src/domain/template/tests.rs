use serde_json::json;

use super::*;
use crate::domain::binding::Dimension;
use crate::domain::config::ConfigProblem;
use crate::domain::restrictions::{Impersonation, Restrictions};
use crate::domain::route::RequestPath;

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn template(name: &str) -> Template {
    let found = shipped().into_iter().find(|template| template.name == name);
    found.unwrap_or_else(|| panic!("no template {name}"))
}

fn restrictions(name: &str) -> Restrictions {
    let template = template(name);
    let pairs: Vec<_> = template
        .placeholders
        .iter()
        .map(|name| (name.as_str(), "x1"))
        .collect();
    let config = template.expand(&values(&pairs)).unwrap();
    config.parse(&Vocabulary::default()).unwrap()
}

fn own(placeholders: &[&str], config: Value) -> Template {
    Template {
        name: "own".to_owned(),
        title: "Own".to_owned(),
        description: String::new(),
        kind: KeyKind::Secret,
        placeholders: placeholders.iter().map(|&name| name.to_owned()).collect(),
        unrestricted: false,
        config: serde_json::from_value(config).unwrap(),
    }
}

#[test]
fn the_shipped_templates_are_those_of_the_contract() {
    let names: Vec<_> = shipped()
        .into_iter()
        .map(|template| template.name)
        .collect();

    assert_eq!(
        names,
        [
            "full-access",
            "read-only",
            "conversation",
            "bot-management",
            "dataset",
            "skillset",
            "integration",
            "file",
            "analytics",
            "bot-session-create",
            "personal-access-token",
            "bot-token",
            "integration-token",
        ]
    );
    for template in shipped() {
        assert_eq!(
            template.check(&Vocabulary::default()),
            Ok(()),
            "{}",
            template.name
        );
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table, a row for each template")]
fn each_shipped_template_allows_what_it_is_for_and_refuses_the_rest() {
    let rows: [(&str, &[&str], &[&str]); 12] = [
        (
            "read-only",
            &[
                "bot/list",
                "list",
                "bot/b1/fetch",
                "conversation/c1/message/list",
                "dataset/d1/export",
                "platform/report/list",
            ],
            &[
                "bot/create",
                "bot/b1/update",
                "bot/b1/session/create",
                "session/create",
                "token/create",
                "token/k/rotate",
            ],
        ),
        (
            "conversation",
            &["conversation/list", "conversation/c1/session/create"],
            &["bot/b1/fetch", "conversation", "session/create"],
        ),
        (
            "bot-management",
            &["bot/create", "bot/b1/update", "bot/b1/session/create"],
            &["integration/i1/fetch", "session/create"],
        ),
        ("dataset", &["dataset/d1/record/list"], &["bot/list"]),
        ("skillset", &["skillset/s1/ability/list"], &["bot/list"]),
        (
            "integration",
            &["integration/widget/w1/session/create"],
            &["bot/list", "token/list"],
        ),
        ("file", &["file/f1/upload"], &["dataset/list"]),
        (
            "analytics",
            &["event/list", "platform/report/r1/fetch"],
            &["platform/list", "bot/list"],
        ),
        (
            "bot-session-create",
            &["bot/x1/session/create"],
            &[
                "bot/b2/session/create",
                "bot/x1",
                "bot/x1/update",
                "session/create",
                "conversation/c1/fetch",
            ],
        ),
        (
            "personal-access-token",
            &["bot/b1/update", "session/create", "anything/at/all"],
            &[],
        ),
        (
            "bot-token",
            &[
                "conversation/c1/message/create",
                "bot/x1/conversation/list",
                "message/create",
                "contact/c1/update",
                "user/u1/fetch",
                "bot/x1/user/create",
                "state/s1/update",
                "table/t1/row/create",
                "file/f1/fetch",
                "bot/x1/file/f1/fetch",
            ],
            &[
                "bot/x1/update",
                "bot/x1/fetch",
                "bot/x1/delete",
                "bot/list",
                "bot/create",
                "bot/b2/conversation/list",
                "integration/i1/fetch",
                "user/self/update",
                "user/u1/token/create",
                "user/u1/session/create",
                "token/create",
                "session/create",
            ],
        ),
        (
            "integration-token",
            &[
                "integration/x1/fetch",
                "integration/widget/x1/session/create",
                "conversation/c1/message/create",
                "contact/c1/fetch",
            ],
            &[
                "integration/i2/fetch",
                "integration/widget/i2/session/create",
                "integration/list",
                "bot/b1/fetch",
                "token/create",
            ],
        ),
    ];
    for (name, allowed, refused) in rows {
        let routes = restrictions(name).routes.unwrap();
        let may = |text: &str| {
            let path = RequestPath::from_segments(text.split('/')).unwrap();
            routes.matches("POST", &path).is_some()
        };
        for path in allowed {
            assert!(may(path), "{name} needs {path}");
        }
        for path in refused {
            assert!(!may(path), "{name} must not have {path}");
        }
    }
}

#[test]
fn only_full_access_is_unrestricted_and_no_other_template_manages_or_impersonates() {
    for template in shipped() {
        let restrictions = restrictions(&template.name);

        assert_eq!(template.unrestricted, template.name == "full-access");
        assert_eq!(restrictions.narrow_nothing(), template.unrestricted);
        if !template.unrestricted {
            assert!(
                restrictions.manage.is_none_or(|manage| manage.is_empty()),
                "{}",
                template.name
            );
            assert!(
                restrictions
                    .impersonation
                    .is_none_or(|impersonation| impersonation == Impersonation::Denied),
                "{}",
                template.name
            );
        }
    }
}

#[test]
fn bot_and_integration_tokens_are_bound() {
    for (name, dimension) in [
        ("bot-token", Dimension::Bot),
        ("integration-token", Dimension::Integration),
    ] {
        let bindings = restrictions(name).bindings;

        assert_eq!(bindings.iter().count(), 1, "{name}");
        assert_eq!(
            bindings.get(dimension),
            Some(&BTreeSet::from(["x1".to_owned()])),
            "{name}"
        );
    }
}

#[test]
fn a_value_too_many_and_a_value_too_few_are_named() {
    let template = template("bot-session-create");

    assert_eq!(
        template.expand(&values(&[])),
        Err(TemplateError::Missing {
            name: "botId".to_owned()
        })
    );
    assert_eq!(
        template.expand(&values(&[("botId", "b1"), ("botid", "b2")])),
        Err(TemplateError::Unknown {
            name: "botid".to_owned()
        })
    );
}

#[test]
fn a_value_is_one_literal_and_never_read_as_a_pattern_or_a_placeholder() {
    let template = template("bot-token");
    for value in [
        "", "*", "**", "a/b", "..", "<botId>", "{botId}", "b1,b2", "b 1", "b*", "b\n",
    ] {
        assert!(
            matches!(
                template.expand(&values(&[("botId", value)])),
                Err(TemplateError::Value { name, .. }) if name == "botId"
            ),
            "{value:?}"
        );
    }
}

#[test]
fn placeholders_are_filled_wherever_a_config_has_text() {
    let template = own(
        &["a", "b"],
        json!({
            "allowedRoutes": ["GET bot/<a>/**"],
            "bindings": {"project": ["<a>", "p-<b>-<a>"]},
            "domains": ["<a>.example.com"],
            "session": {
                "allowedRoutes": ["conversation/<b>/**"],
                "bindings": {"bot": ["<b>"]},
                "domains": ["<b>.example.com"],
                "audiences": ["https://<a>.example.com"],
                "maxDurationInSeconds": 60,
            },
            "impersonation": {"allowedRoutes": ["bot/<a>/**"], "users": ["usr_<b>"]},
            "rateLimit": {"requests": 5, "perSeconds": 1},
        }),
    );

    let filled = template
        .expand(&values(&[("a", "a1"), ("b", "b2")]))
        .unwrap();

    assert_eq!(
        serde_json::to_value(filled).unwrap(),
        json!({
            "allowedRoutes": ["GET bot/a1/**"],
            "bindings": {"project": ["a1", "p-b2-a1"]},
            "domains": ["a1.example.com"],
            "session": {
                "allowedRoutes": ["conversation/b2/**"],
                "bindings": {"bot": ["b2"]},
                "domains": ["b2.example.com"],
                "audiences": ["https://a1.example.com"],
                "maxDurationInSeconds": 60,
            },
            "impersonation": {"allowedRoutes": ["bot/a1/**"], "users": ["usr_b2"]},
            "rateLimit": {"requests": 5, "perSeconds": 1},
        })
    );
}

#[test]
fn the_short_form_of_projects_is_filled_and_not_lost() {
    let template = own(&["a"], json!({"projects": ["<a>"]}));

    let filled = template.expand(&values(&[("a", "p1")])).unwrap();

    assert_eq!(filled.projects, Some(vec!["p1".to_owned()]));
}

#[test]
fn an_empty_list_of_a_template_stays_an_empty_list() {
    let template = own(
        &[],
        json!({"allowedRoutes": [], "permissions": [], "bindings": {"bot": []}, "cidrs": []}),
    );

    let filled = template.expand(&values(&[])).unwrap();

    assert_eq!(filled, template.config);
}

#[test]
fn a_template_of_the_settings_that_is_wrong_is_refused_when_it_is_read() {
    let vocabulary = Vocabulary::default();
    let named = |name: &str| name.to_owned();
    for (template, error) in [
        (
            own(&[], json!({"allowedRoutes": ["bot/<botId>"]})),
            TemplateError::Undeclared {
                name: named("botId"),
            },
        ),
        (
            own(&[], json!({"bindings": {"bot": ["<botId>"]}})),
            TemplateError::Undeclared {
                name: named("botId"),
            },
        ),
        (
            own(&["botId"], json!({"allowedRoutes": ["bot/**"]})),
            TemplateError::Unused {
                name: named("botId"),
            },
        ),
        (
            own(&["a", "a"], json!({"allowedRoutes": ["<a>"]})),
            TemplateError::PlaceholderName { name: named("a") },
        ),
        (
            own(&["a b"], json!({"bindings": {"bot": ["<a b>"]}})),
            TemplateError::PlaceholderName { name: named("a b") },
        ),
        (own(&[], json!({})), TemplateError::Unrestricted),
        (
            Template {
                unrestricted: true,
                ..own(&[], json!({"allowedRoutes": ["**"]}))
            },
            TemplateError::Unrestricted,
        ),
        (
            own(&[], json!({"bindings": {"bot": ["<"]}})),
            TemplateError::Config(ConfigError {
                field: named("bindings"),
                problem: ConfigProblem::BindingValue(named("<")),
            }),
        ),
    ] {
        assert_eq!(template.check(&vocabulary), Err(error), "{template:?}");
    }
    assert!(matches!(
        own(&[], json!({"allowedRoutes": ["bot/a*"]})).check(&vocabulary),
        Err(TemplateError::Route { route, .. }) if route == "bot/a*"
    ));
}

#[test]
fn a_template_has_one_form_in_json() {
    for template in shipped() {
        let text = serde_json::to_string(&template).unwrap();

        assert_eq!(serde_json::from_str::<Template>(&text).unwrap(), template);
    }
    assert!(
        serde_json::from_value::<Template>(
            json!({"name": "a", "title": "A", "description": "", "kind": "sk", "extra": 1})
        )
        .is_err()
    );
}
