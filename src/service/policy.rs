//! From settings to what use cases ask.

use std::time::Duration;

use anyhow::{Context as _, anyhow};

use crate::app::feed::FeedLimits;
use crate::app::gate::{GatePolicy, UpstreamToken};
use crate::app::journal::Journal;
use crate::app::webhooks::WebhookPolicy;
use crate::app::{Policy, keyring};
use crate::domain::grant::Audiences;
use crate::domain::lease::Lease;
use crate::domain::permission::Permission;
use crate::domain::profile::{self, SessionProfile};
use crate::domain::route::{RoutePattern, RouteTemplate};
use crate::domain::secret::KeyKind;
use crate::domain::template::{self, Template};
use crate::domain::webhook::AddressPolicy;
use crate::settings::{GateSettings, Settings, TemplateSetting};

const DAY_SECS: i64 = 86_400;

/// The settings that use cases ask, as domain values.
///
/// # Errors
/// What of a profile, a template or a permission rule cannot be read.
pub fn policy(settings: &Settings) -> anyhow::Result<Policy> {
    let mut profiles = Vec::new();
    for setting in &settings.profiles {
        let wrong = || format!("profile `{}`", setting.path);
        let template = |text: &String| RouteTemplate::parse(text);
        profiles.push(SessionProfile {
            path: RouteTemplate::parse(&setting.path).with_context(wrong)?,
            duration_secs_default: setting.default_duration_secs,
            duration_secs_max: setting.max_duration_secs,
            routes: setting
                .routes
                .iter()
                .map(template)
                .collect::<Result<_, _>>()
                .with_context(wrong)?,
            makes: setting.makes.clone(),
        });
    }
    // A profile of the settings takes the place of a shipped one with the same path.
    let own: Vec<String> = profiles
        .iter()
        .map(|profile| profile.path.to_string())
        .collect();
    profiles.extend(
        profile::shipped()
            .into_iter()
            .filter(|shipped| !own.contains(&shipped.path.to_string())),
    );
    let mut templates = Vec::new();
    for setting in &settings.templates {
        let read = read_template(setting)?;
        read.check(&settings.permissions)
            .with_context(|| format!("template `{}`", read.name))?;
        templates.push(read);
    }
    let named: Vec<String> = templates
        .iter()
        .map(|template| template.name.clone())
        .collect();
    templates.extend(
        template::shipped()
            .into_iter()
            .filter(|shipped| !named.contains(&shipped.name)),
    );
    let mut permission_routes = Vec::new();
    for rule in &settings.permission_routes {
        let route = RoutePattern::parse(&rule.route)
            .with_context(|| format!("permission route `{}`", rule.route))?;
        let permission = Permission::parse(&rule.permission)
            .ok_or_else(|| anyhow!("`{}` is no permission", rule.permission))?;
        permission_routes.push((route, permission));
    }
    let issuer = settings.issuer.as_str().to_owned();
    let rotation_secs = i64::from(settings.signing_key_rotation_days) * DAY_SECS;
    Ok(Policy {
        audiences: Audiences {
            default: settings.audience.clone(),
            all: settings
                .audiences
                .iter()
                .cloned()
                .chain([settings.audience.clone()])
                .collect(),
        },
        issuer,
        vocabulary: settings.permissions.clone(),
        profiles,
        templates,
        permission_routes,
        rotation: keyring::rotation_policy(
            settings.algorithm,
            settings.jwks_max_age_secs,
            (rotation_secs > 0).then_some(rotation_secs),
        ),
        jwks_max_age_secs: settings.jwks_max_age_secs,
        failure_limit: settings.limits.failed_authentications,
        feed: FeedLimits::new(
            settings.limits.connections_max,
            settings.limits.request_timeout_secs,
        ),
        journal: Journal::new(settings.journal_file.clone()),
        webhooks: WebhookPolicy {
            addresses: AddressPolicy::new(settings.webhooks.allow_networks.clone()),
            allow_http: settings.webhooks.allow_http,
            timeout: Duration::from_secs(settings.webhooks.timeout_secs.into()),
        },
        gate: gate_policy(&settings.gate),
        lease: Lease {
            ms: i64::from(settings.nodes.lease_ms),
            past: settings.nodes.past_lease,
        },
    })
}

fn gate_policy(settings: &GateSettings) -> GatePolicy {
    GatePolicy {
        mount: settings.mount.clone(),
        trailing_slash: settings.trailing_slash,
        environments: settings.environments.clone(),
        audiences: settings.audiences.clone(),
        table: settings.table.clone(),
        token: settings.token.as_ref().map(|token| UpstreamToken {
            audience: token.audience.clone(),
            duration_secs: i64::from(token.duration_secs),
        }),
        session_rate: settings.session_rate,
    }
}

fn read_template(setting: &TemplateSetting) -> anyhow::Result<Template> {
    let wrong = || format!("template `{}`", setting.name);
    let title = if setting.title.is_empty() {
        &setting.name
    } else {
        &setting.title
    };
    Ok(Template {
        name: setting.name.clone(),
        title: title.clone(),
        description: setting.description.clone(),
        kind: KeyKind::parse(&setting.kind)
            .ok_or_else(|| anyhow!("no such kind"))
            .with_context(wrong)?,
        placeholders: setting.placeholders.clone(),
        unrestricted: setting.unrestricted,
        config: serde_json::from_value(setting.config.clone()).with_context(wrong)?,
    })
}
