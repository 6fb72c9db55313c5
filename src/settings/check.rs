//! Checks of the settings that are more than one text.

use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::error::{Problem, SettingError, Source};
use super::file::{
    self, LimitsSetting, NodesSetting, PermissionRouteSetting, ProfileSetting, TemplateSetting,
    WebhooksSetting,
};
use super::secret::{DatabaseUrl, MasterKeySource, SecretText};
use super::source::{Names, Sources};
use super::value;
use super::{Limits, NodeSettings, WebhookSettings};
use crate::domain::limits;
use crate::domain::permission::{Permission, Vocabulary};
use crate::domain::rate::RateLimit;

pub(super) fn master_key(
    sources: &Sources<'_>,
    in_file: Option<String>,
    keys_dir: &Path,
) -> Result<MasterKeySource, SettingError> {
    let given = sources.pick(&Names::MASTER_KEY, None, None)?;
    let path = sources.pick(&Names::MASTER_KEY_FILE, None, in_file)?;
    match (given.found, path.found) {
        (Some(_), Some((_, from @ Source::Environment(_)))) => Err(SettingError::new(
            path.setting,
            from,
            Problem::MasterKeyTwice,
        )),
        (Some((text, _)), _) => Ok(MasterKeySource::Given(SecretText::from(text))),
        (None, Some((text, _))) => Ok(MasterKeySource::File(PathBuf::from(text))),
        (None, None) => Ok(MasterKeySource::MadeAtFirstStart(
            keys_dir.join("master.key"),
        )),
    }
}

pub(super) fn all_audiences(
    sources: &Sources<'_>,
    default: &str,
    others: Vec<String>,
) -> Result<Vec<String>, SettingError> {
    let mut all = vec![default.to_owned()];
    for (index, text) in others.into_iter().enumerate() {
        let audience = value::audience(&text)
            .map_err(|problem| sources.wrong(file::element("audiences", index, ""), problem))?;
        if !all.contains(&audience) {
            all.push(audience);
        }
    }
    Ok(all)
}

pub(super) fn vocabulary(
    sources: &Sources<'_>,
    scopes: Option<Vec<String>>,
) -> Result<Vocabulary, SettingError> {
    let Some(scopes) = scopes else {
        return Ok(Vocabulary::default());
    };
    let mut read = Vec::new();
    for (index, text) in scopes.iter().enumerate() {
        let scope = Permission::parse(text).ok_or_else(|| {
            sources.wrong(file::element("permissions", index, ""), Problem::Permission)
        })?;
        read.push(scope);
    }
    Ok(Vocabulary::new(read))
}

pub(super) fn networks(
    sources: &Sources<'_>,
    setting: &str,
    texts: &[String],
) -> Result<Vec<IpNet>, SettingError> {
    let mut networks = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let network = value::trusted_network(text)
            .map_err(|problem| sources.wrong(file::element(setting, index, ""), problem))?;
        networks.push(network);
    }
    // Two halves of the internet are the internet.
    if IpNet::aggregate(&networks)
        .iter()
        .any(|network| network.prefix_len() == 0)
    {
        return Err(sources.wrong(setting, Problem::EveryAddress));
    }
    Ok(networks)
}

const WEBHOOK_TIMEOUT_SECS: u32 = 15;
/// Less than the lease of a delivery.
const WEBHOOK_TIMEOUT_SECS_MAX: u32 = 30;

pub(super) fn webhooks(
    sources: &Sources<'_>,
    given: &WebhooksSetting,
) -> Result<WebhookSettings, SettingError> {
    let WebhooksSetting {
        allow_http,
        allow_networks,
        timeout_secs,
    } = given;
    let read = |(index, text): (usize, &String)| {
        let setting = || file::element("webhooks.allow_networks", index, "");
        value::network(text).map_err(|problem| sources.wrong(setting(), problem))
    };
    Ok(WebhookSettings {
        allow_http: *allow_http,
        allow_networks: allow_networks
            .iter()
            .enumerate()
            .map(read)
            .collect::<Result<_, _>>()?,
        timeout_secs: sources.bounded(
            "webhooks.timeout_secs",
            *timeout_secs,
            WEBHOOK_TIMEOUT_SECS,
            WEBHOOK_TIMEOUT_SECS_MAX,
        )?,
    })
}

pub(super) fn profiles(
    sources: &Sources<'_>,
    profiles: Vec<ProfileSetting>,
) -> Result<Vec<ProfileSetting>, SettingError> {
    for (index, profile) in profiles.iter().enumerate() {
        if let Err((field, problem)) = profile.check() {
            return Err(sources.wrong(file::element("profiles", index, field), problem));
        }
        if profiles
            .iter()
            .take(index)
            .any(|other| other.path == profile.path)
        {
            return Err(sources.wrong(file::element("profiles", index, "path"), Problem::Repeated));
        }
    }
    Ok(profiles)
}

pub(super) fn templates(
    sources: &Sources<'_>,
    templates: Vec<TemplateSetting>,
) -> Result<Vec<TemplateSetting>, SettingError> {
    for (index, template) in templates.iter().enumerate() {
        if let Err((field, problem)) = template.check() {
            return Err(sources.wrong(file::element("templates", index, field), problem));
        }
        if templates
            .iter()
            .take(index)
            .any(|other| other.name == template.name)
        {
            return Err(sources.wrong(file::element("templates", index, "name"), Problem::Repeated));
        }
    }
    Ok(templates)
}

pub(super) fn permission_routes(
    sources: &Sources<'_>,
    routes: Vec<PermissionRouteSetting>,
    vocabulary: &Vocabulary,
) -> Result<Vec<PermissionRouteSetting>, SettingError> {
    for (index, rule) in routes.iter().enumerate() {
        let known = Permission::parse(&rule.permission)
            .is_some_and(|permission| vocabulary.has(&permission));
        if !known {
            return Err(sources.wrong(
                file::element("permission_routes", index, "permission"),
                Problem::UnknownPermission {
                    known: vocabulary.names(),
                },
            ));
        }
        if rule.route.trim().is_empty() {
            return Err(sources.wrong(
                file::element("permission_routes", index, "route"),
                Problem::Empty,
            ));
        }
    }
    Ok(routes)
}

/// Shorter than this, a poll that is a little late would send everybody to the database.
const LEASE_MS_MIN: u32 = 500;
/// Longer than this is no revocation.
const LEASE_MS_MAX: u32 = 60_000;
const DRAIN_DELAY_SECS_MAX: u32 = 300;

pub(super) fn nodes(
    sources: &Sources<'_>,
    given: &NodesSetting,
) -> Result<NodeSettings, SettingError> {
    let NodesSetting {
        lease_ms,
        past_lease,
        drain_delay_secs,
    } = *given;
    let default = NodeSettings::default();
    Ok(NodeSettings {
        lease_ms: sources.within(
            "nodes.lease_ms",
            lease_ms,
            default.lease_ms,
            LEASE_MS_MIN..=LEASE_MS_MAX,
        )?,
        past_lease,
        drain_delay_secs: sources.within(
            "nodes.drain_delay_secs",
            drain_delay_secs,
            default.drain_delay_secs,
            0..=DRAIN_DELAY_SECS_MAX,
        )?,
    })
}

/// Where the database is reached without a pooler, when there is one.
pub(super) fn database_direct_url(
    sources: &Sources<'_>,
    url: &DatabaseUrl,
    in_file: Option<String>,
) -> Result<Option<DatabaseUrl>, SettingError> {
    let picked = sources.pick(&Names::DATABASE_DIRECT_URL, None, in_file)?;
    let setting = picked.setting;
    let Some((text, from)) = picked.found else {
        return Ok(None);
    };
    let direct = DatabaseUrl::parse(&text).ok();
    match direct {
        Some(direct) if !direct.is_sqlite() && !url.is_sqlite() => Ok(Some(direct)),
        Some(_) | None => Err(SettingError::new(setting, from, Problem::DirectUrl)),
    }
}

pub(super) fn limits(sources: &Sources<'_>, given: &LimitsSetting) -> Result<Limits, SettingError> {
    let default = Limits::default();
    let LimitsSetting {
        connections_max,
        request_timeout_secs,
        header_read_timeout_secs,
        database_connections_max,
        failed_authentications,
    } = *given;
    let requests = failed_authentications.map(|rate| rate.requests);
    let per_seconds = failed_authentications.map(|rate| rate.per_seconds);
    Ok(Limits {
        connections_max: sources.bounded(
            "limits.connections_max",
            connections_max,
            default.connections_max,
            1_000_000,
        )?,
        request_timeout_secs: sources.bounded(
            "limits.request_timeout_secs",
            request_timeout_secs,
            default.request_timeout_secs,
            600,
        )?,
        header_read_timeout_secs: sources.bounded(
            "limits.header_read_timeout_secs",
            header_read_timeout_secs,
            default.header_read_timeout_secs,
            60,
        )?,
        database_connections_max: sources.bounded(
            "limits.database_connections_max",
            database_connections_max,
            default.database_connections_max,
            1_000,
        )?,
        failed_authentications: RateLimit {
            requests: sources.bounded(
                "limits.failed_authentications.requests",
                requests,
                default.failed_authentications.requests,
                limits::RATE_REQUESTS_MAX,
            )?,
            per_secs: sources.bounded(
                "limits.failed_authentications.per_seconds",
                per_seconds,
                default.failed_authentications.per_secs,
                limits::RATE_SECS_MAX,
            )?,
        },
    })
}
