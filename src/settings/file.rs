//! The settings file, as it is written.

use serde::Deserialize;

use super::error::{FileError, Problem};
use crate::domain::environment::Environment;
use crate::domain::lease::PastLease;
use crate::domain::limits;
use crate::domain::route::TrailingSlash;

/// Everything that can stand in `hallpass.toml`. Unknown members are errors, so that a misspelt
/// restriction is not a missing one.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileSettings {
    pub(super) listen: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) database_url: Option<String>,
    pub(super) database_direct_url: Option<String>,
    pub(super) keys_dir: Option<String>,
    pub(super) master_key_file: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) audiences: Vec<String>,
    pub(super) algorithm: Option<String>,
    pub(super) log: Option<String>,
    pub(super) log_format: Option<String>,
    pub(super) trusted_proxies: Vec<String>,
    pub(super) permissions: Option<Vec<String>>,
    pub(super) profiles: Vec<ProfileSetting>,
    pub(super) templates: Vec<TemplateSetting>,
    pub(super) permission_routes: Vec<PermissionRouteSetting>,
    pub(super) jwks_max_age_secs: Option<u32>,
    pub(super) signing_key_rotation_days: Option<u32>,
    pub(super) limits: LimitsSetting,
    pub(super) webhooks: WebhooksSetting,
    pub(super) journal_file: Option<String>,
    pub(super) gate: GateSetting,
    pub(super) nodes: NodesSetting,
}

/// The table `[nodes]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NodesSetting {
    pub(super) lease_ms: Option<u32>,
    pub(super) past_lease: PastLease,
    pub(super) drain_delay_secs: Option<u32>,
}

/// The table `[webhooks]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WebhooksSetting {
    pub(super) allow_http: bool,
    pub(super) allow_networks: Vec<String>,
    pub(super) timeout_secs: Option<u32>,
}

/// The table `[gate]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GateSetting {
    pub(super) mount: Option<String>,
    pub(super) trailing_slash: Option<TrailingSlash>,
    pub(super) environments: Option<Vec<Environment>>,
    pub(super) audiences: Option<Vec<String>>,
    pub(super) peers: Option<Vec<String>>,
    pub(super) secret: Option<String>,
    pub(super) default_permission: Option<String>,
    pub(super) routes: Vec<GateRouteSetting>,
    pub(super) token: Option<GateTokenSetting>,
    pub(super) session_rate: Option<RateSetting>,
}

/// The table `[gate.token]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GateTokenSetting {
    pub(super) audience: String,
    #[serde(default)]
    pub(super) duration_secs: Option<u32>,
}

/// One `[[gate.routes]]`: a route of the API behind the gate, the permission that it needs, and the
/// segments that name what a credential can be bound to. The route is still text; the permission
/// exists.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateRouteSetting {
    /// A route pattern in which segments may be named: `GET bot/{bot}/**`.
    pub route: String,
    /// A permission scope.
    #[serde(default)]
    pub permission: Option<String>,
}

/// The table `[limits]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsSetting {
    pub(super) connections_max: Option<u32>,
    pub(super) request_timeout_secs: Option<u32>,
    pub(super) header_read_timeout_secs: Option<u32>,
    pub(super) database_connections_max: Option<u32>,
    pub(super) failed_authentications: Option<RateSetting>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateSetting {
    pub(super) requests: u32,
    pub(super) per_seconds: u32,
}

/// One `[[profiles]]`: what minting on a resource means. Path and routes are still text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileSetting {
    /// The resource with its placeholders: `bot/{botId}`.
    pub path: String,
    /// Lifetime of a session whose request names none, in seconds.
    #[serde(default = "session_secs_default")]
    pub default_duration_secs: i64,
    /// Longest lifetime of a session, in seconds.
    #[serde(default = "session_secs_max")]
    pub max_duration_secs: i64,
    /// What a session may carry, with placeholders: `conversation/{conversationId}/**`.
    pub routes: Vec<String>,
    /// Placeholders that get a fresh id: `conversationId`.
    #[serde(default)]
    pub makes: Vec<String>,
}

const fn session_secs_default() -> i64 {
    limits::SESSION_SECS_DEFAULT
}

const fn session_secs_max() -> i64 {
    limits::SESSION_SECS_MAX
}

impl ProfileSetting {
    /// The field that is wrong, and how.
    pub(super) fn check(&self) -> Result<(), (&'static str, Problem)> {
        let lifetime = Problem::Lifetime {
            max: limits::SESSION_SECS_MAX,
        };
        if self.path.trim().is_empty() {
            Err(("path", Problem::Empty))
        } else if !(1..=limits::SESSION_SECS_MAX).contains(&self.max_duration_secs) {
            Err(("max_duration_secs", lifetime))
        } else if !(1..=self.max_duration_secs).contains(&self.default_duration_secs) {
            Err(("default_duration_secs", lifetime))
        } else if self.routes.is_empty() {
            Err(("routes", Problem::EmptyList))
        } else {
            Ok(())
        }
    }
}

/// One `[[templates]]`: a key that can be made by name. The restrictions are still JSON, with the
/// names of `config` in the API.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateSetting {
    /// What a request names: `bot-session-create`.
    pub name: String,
    /// What people read; the name when it is empty.
    #[serde(default)]
    pub title: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// The kind of key: `sk`, `pat`, `bot` or `int`.
    #[serde(default = "secret_key")]
    pub kind: String,
    /// What a request must fill in: `botId`.
    #[serde(default)]
    pub placeholders: Vec<String>,
    /// Whether the key is an unrestricted one.
    #[serde(default)]
    pub unrestricted: bool,
    /// Its restrictions.
    #[serde(default = "no_restrictions")]
    pub config: serde_json::Value,
}

fn secret_key() -> String {
    "sk".to_owned()
}

fn no_restrictions() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

impl TemplateSetting {
    /// The field that is wrong, and how.
    pub(super) fn check(&self) -> Result<(), (&'static str, Problem)> {
        if self.name.trim().is_empty() {
            Err(("name", Problem::Empty))
        } else if !self.config.is_object() {
            Err(("config", Problem::NotATable))
        } else {
            Ok(())
        }
    }
}

/// One `[[permission_routes]]`: a route, and the permission that it needs. The route is still
/// text; the permission exists.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermissionRouteSetting {
    /// A route pattern.
    pub route: String,
    /// A permission scope.
    pub permission: String,
}

impl FileSettings {
    pub(super) fn parse(text: &str) -> Result<Self, FileError> {
        let document =
            toml::Deserializer::parse(text).map_err(|error| file_error(text, None, &error))?;
        serde_path_to_error::deserialize(document).map_err(|error| {
            let field = error.path().to_string();
            file_error(
                text,
                Some(field).filter(|field| field != "."),
                error.inner(),
            )
        })
    }
}

fn file_error(text: &str, field: Option<String>, error: &toml::de::Error) -> FileError {
    let line = error
        .span()
        .and_then(|span| text.get(..span.start))
        .map(|before| before.matches('\n').count() + 1);
    FileError {
        line,
        field,
        message: error.message().to_owned(),
    }
}

/// `list[0].field`, or `list[0]` without a field.
pub(super) fn element(list: &str, index: usize, field: &str) -> String {
    if field.is_empty() {
        format!("{list}[{index}]")
    } else {
        format!("{list}[{index}].{field}")
    }
}
