//! The settings of the gate.

use ipnet::IpNet;

use super::check::networks;
use super::error::{Problem, SettingError};
use super::file::{self, GateRouteSetting, GateSetting, GateTokenSetting};
use super::secret::SecretText;
use super::source::{Names, Sources};
use super::value::{self, Issuer};
use crate::domain::environment::Environment;
use crate::domain::gate::{GateRule, GateTable};
use crate::domain::limits;
use crate::domain::permission::{Permission, Vocabulary};
use crate::domain::rate::RateLimit;
use crate::domain::route::{Mount, TrailingSlash};

/// What the gate decides by, and who may ask it.
#[derive(Debug, Clone)]
pub struct GateSettings {
    /// Below which path the routes of the API behind the gate lie.
    pub mount: Mount,
    /// What a slash at the end of a path means to the API behind the gate.
    pub trailing_slash: TrailingSlash,
    /// The environments whose credentials are accepted.
    pub environments: Vec<Environment>,
    /// The audiences of sessions that are accepted.
    pub audiences: Vec<String>,
    /// From where the gate may be asked.
    pub peers: Vec<IpNet>,
    /// What a request to the gate must carry beside, when it is set.
    pub secret: Option<SecretText>,
    /// Permissions and named segments by route.
    pub table: GateTable,
    /// The token for the API behind the gate, when it gets one.
    pub token: Option<GateTokenSettings>,
    /// How often one session may be used, unless that is unlimited.
    pub session_rate: Option<RateLimit>,
}

/// The token for the API behind the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateTokenSettings {
    /// Its audience, which no session has.
    pub audience: String,
    /// How long it lives, in seconds.
    pub duration_secs: u32,
}

const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];
const SECRET_CHARS_MIN: usize = 16;
const SECRET_CHARS_MAX: usize = 256;
const ROUTES_MAX: usize = 500;
const TOKEN_SECS: u32 = 30;
const TOKEN_SECS_MAX: u32 = 60;

pub(super) fn check(
    sources: &Sources<'_>,
    given: GateSetting,
    issuer: &Issuer,
    session_audiences: &[String],
    vocabulary: &Vocabulary,
) -> Result<GateSettings, SettingError> {
    let GateSetting {
        mount,
        trailing_slash,
        environments,
        audiences,
        peers,
        secret,
        default_permission,
        routes,
        token,
        session_rate,
    } = given;
    let mount = match mount {
        Some(text) => Mount::parse(&text)
            .map_err(|error| sources.wrong("gate.mount", Problem::Mount(error)))?,
        None => Mount::default(),
    };
    let environments = environments.unwrap_or_else(|| vec![Environment::Live]);
    if environments.is_empty() {
        return Err(sources.wrong("gate.environments", Problem::EmptyList));
    }
    let peers = peers.unwrap_or_else(|| LOOPBACK.map(str::to_owned).to_vec());
    let secret = sources.pick(&Names::GATE_SECRET, None, secret)?;
    let secret = match secret.found {
        None => None,
        Some((text, from)) => Some(
            gate_secret(&text)
                .map_err(|problem| SettingError::new(secret.setting, from, problem))?,
        ),
    };
    let default_permission = default_permission
        .map(|text| permission(sources, "gate.default_permission", &text, vocabulary))
        .transpose()?;
    let session_rate = session_rate
        .map(|rate| {
            Ok(RateLimit {
                requests: sources.bounded(
                    "gate.session_rate.requests",
                    Some(rate.requests),
                    1,
                    limits::RATE_REQUESTS_MAX,
                )?,
                per_secs: sources.bounded(
                    "gate.session_rate.per_seconds",
                    Some(rate.per_seconds),
                    1,
                    limits::RATE_SECS_MAX,
                )?,
            })
        })
        .transpose()?;
    Ok(GateSettings {
        mount,
        trailing_slash: trailing_slash.unwrap_or_default(),
        environments,
        audiences: accepted(sources, audiences, issuer, session_audiences)?,
        peers: networks(sources, "gate.peers", &peers)?,
        secret,
        table: GateTable::new(rules(sources, &routes, vocabulary)?, default_permission),
        token: token
            .map(|token| upstream_token(sources, &token, issuer, session_audiences))
            .transpose()?,
        session_rate,
    })
}

fn gate_secret(text: &str) -> Result<SecretText, Problem> {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if visible && (SECRET_CHARS_MIN..=SECRET_CHARS_MAX).contains(&text.len()) {
        Ok(SecretText::from(text.to_owned()))
    } else {
        Err(Problem::GateSecret {
            min: SECRET_CHARS_MIN,
            max: SECRET_CHARS_MAX,
        })
    }
}

fn accepted(
    sources: &Sources<'_>,
    given: Option<Vec<String>>,
    issuer: &Issuer,
    known: &[String],
) -> Result<Vec<String>, SettingError> {
    let Some(given) = given else {
        return Ok(known.iter().take(1).cloned().collect());
    };
    if given.is_empty() {
        return Err(sources.wrong("gate.audiences", Problem::EmptyList));
    }
    for (index, audience) in given.iter().enumerate() {
        let wrong = |problem| sources.wrong(file::element("gate.audiences", index, ""), problem);
        if is_own(issuer, audience) {
            return Err(wrong(Problem::OwnAudience));
        }
        if !known.contains(audience) {
            return Err(wrong(Problem::UnknownAudience));
        }
    }
    Ok(given)
}

fn is_own(issuer: &Issuer, audience: &str) -> bool {
    Environment::ALL
        .into_iter()
        .any(|environment| issuer.own_audience(environment) == audience)
}

fn rules(
    sources: &Sources<'_>,
    given: &[GateRouteSetting],
    vocabulary: &Vocabulary,
) -> Result<Vec<GateRule>, SettingError> {
    if given.len() > ROUTES_MAX {
        return Err(sources.wrong("gate.routes", Problem::TooMany { max: ROUTES_MAX }));
    }
    let mut rules = Vec::with_capacity(given.len());
    for (index, line) in given.iter().enumerate() {
        let field = |field| file::element("gate.routes", index, field);
        let scope = line
            .permission
            .as_ref()
            .map(|text| permission(sources, &field("permission"), text, vocabulary))
            .transpose()?;
        let rule = GateRule::parse(&line.route, scope)
            .map_err(|error| sources.wrong(field("route"), Problem::GateRule(error)))?;
        rules.push(rule);
    }
    Ok(rules)
}

fn permission(
    sources: &Sources<'_>,
    setting: &str,
    text: &str,
    vocabulary: &Vocabulary,
) -> Result<Permission, SettingError> {
    Permission::parse(text)
        .filter(|permission| vocabulary.has(permission))
        .ok_or_else(|| {
            let known = vocabulary.names();
            sources.wrong(setting, Problem::UnknownPermission { known })
        })
}

fn upstream_token(
    sources: &Sources<'_>,
    given: &GateTokenSetting,
    issuer: &Issuer,
    session_audiences: &[String],
) -> Result<GateTokenSettings, SettingError> {
    let setting = "gate.token.audience";
    let audience =
        value::audience(&given.audience).map_err(|problem| sources.wrong(setting, problem))?;
    if session_audiences.contains(&audience) || is_own(issuer, &audience) {
        return Err(sources.wrong(setting, Problem::SessionAudience));
    }
    Ok(GateTokenSettings {
        audience,
        duration_secs: sources.bounded(
            "gate.token.duration_secs",
            given.duration_secs,
            TOKEN_SECS,
            TOKEN_SECS_MAX,
        )?,
    })
}
