//! The templates that everybody has.

use std::collections::BTreeMap;

use super::Template;
use crate::domain::binding::Dimension;
use crate::domain::config::Config;
use crate::domain::secret::KeyKind;

/// All shipped templates, in the order in which people read them.
pub fn shipped() -> Vec<Template> {
    let mut templates = vec![full_access()];
    templates.extend(by_routes());
    templates.extend([bot_session_create(), personal(), bot(), integration()]);
    templates
}

fn full_access() -> Template {
    Template {
        name: "full-access".to_owned(),
        title: "Full Access".to_owned(),
        description: "Everything that the account may do, management and acting as its children \
                      included."
            .to_owned(),
        kind: KeyKind::Secret,
        placeholders: Vec::new(),
        unrestricted: true,
        config: Config::default(),
    }
}

fn by_routes() -> impl Iterator<Item = Template> {
    let rows: [(&str, &str, &str, &[&str]); 8] = [
        (
            "read-only",
            "Read-Only",
            "Lists, fetches and exports everything, and asks the platform.",
            &["**/list", "**/fetch", "**/export", "platform/**"],
        ),
        (
            "conversation",
            "Conversation",
            "Everything about conversations.",
            &["conversation/**"],
        ),
        (
            "bot-management",
            "Bot Management",
            "Everything about bots.",
            &["bot/**"],
        ),
        (
            "dataset",
            "Dataset",
            "Everything about datasets.",
            &["dataset/**"],
        ),
        (
            "skillset",
            "Skillset",
            "Everything about skillsets.",
            &["skillset/**"],
        ),
        (
            "integration",
            "Integration",
            "Everything about integrations.",
            &["integration/**"],
        ),
        ("file", "File", "Everything about files.", &["file/**"]),
        (
            "analytics",
            "Analytics",
            "Events and reports.",
            &["event/**", "platform/report/**"],
        ),
    ];
    rows.into_iter().map(|(name, title, description, routes)| {
        with_routes(KeyKind::Secret, name, title, description, routes)
    })
}

/// The key of a backend that hands sessions of one bot to its widgets. It needs no mint side of
/// its own: the right to call the path is the right to mint what the profile gives.
fn bot_session_create() -> Template {
    Template {
        placeholders: vec!["botId".to_owned()],
        ..with_routes(
            KeyKind::Secret,
            "bot-session-create",
            "Bot Session Create",
            "Makes sessions for one bot, and nothing else.",
            &["bot/<botId>/session/create"],
        )
    }
}

/// Every route, but neither management nor acting as children: a person's own token is the one
/// that lies in a shell's history.
fn personal() -> Template {
    let mut template = with_routes(
        KeyKind::Personal,
        "personal-access-token",
        "Personal Access Token",
        "Every route, for the tools of one person. It manages no keys, accounts or webhooks, and \
         acts as nobody else.",
        &["**"],
    );
    template.config.impersonation = Some(false.into());
    template.config.manage = Some(Vec::new());
    template
}

/// What a bot's own code needs at run time. The routes stand below the bot, for an API that names
/// it in the path, and bare, for one that reads `X-Bot-ID`; the binding asks for the one or the
/// other. `bot/<botId>/**` would give the bot's configuration away, so each resource is spelled
/// out. Users of the bot are `contact` where `user` is the account itself; there, `user` is read.
fn bot() -> Template {
    Template {
        placeholders: vec!["botId".to_owned()],
        ..bound(
            Dimension::Bot,
            "<botId>",
            with_routes(
                KeyKind::Bot,
                "bot-token",
                "Bot Token",
                "What one bot needs while it runs: its conversations, messages, users, state, \
                 tables and files. Not its configuration.",
                &[
                    "bot/<botId>/conversation/**",
                    "bot/<botId>/message/**",
                    "bot/<botId>/user/**",
                    "bot/<botId>/contact/**",
                    "bot/<botId>/state/**",
                    "bot/<botId>/table/**",
                    "bot/<botId>/file/**",
                    "conversation/**",
                    "message/**",
                    "contact/**",
                    "user/list",
                    "user/*/fetch",
                    "state/**",
                    "table/**",
                    "file/**",
                ],
            ),
        )
    }
}

/// What one integration needs: itself, with and without its type in the path, and the
/// conversations that it carries.
fn integration() -> Template {
    Template {
        placeholders: vec!["integrationId".to_owned()],
        ..bound(
            Dimension::Integration,
            "<integrationId>",
            with_routes(
                KeyKind::Integration,
                "integration-token",
                "Integration Token",
                "What one integration needs: itself, and the conversations, messages and contacts \
                 that it carries.",
                &[
                    "integration/<integrationId>/**",
                    "integration/*/<integrationId>/**",
                    "conversation/**",
                    "message/**",
                    "contact/**",
                ],
            ),
        )
    }
}

fn with_routes(
    kind: KeyKind,
    name: &str,
    title: &str,
    description: &str,
    routes: &[&str],
) -> Template {
    Template {
        name: name.to_owned(),
        title: title.to_owned(),
        description: description.to_owned(),
        kind,
        placeholders: Vec::new(),
        unrestricted: false,
        config: Config {
            allowed_routes: Some(routes.iter().map(|&route| route.to_owned()).collect()),
            ..Config::default()
        },
    }
}

fn bound(dimension: Dimension, value: &str, mut template: Template) -> Template {
    template.config.bindings = Some(BTreeMap::from([(
        dimension.as_str().to_owned(),
        vec![value.to_owned()],
    )]));
    template
}
