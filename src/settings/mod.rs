//! What an operator can set: one [`Settings`], made once at start and passed on.
//!
//! A value comes from the first of: the flag, the environment variable, the file `hallpass.toml`,
//! the default. Everything is checked here, so that a server that started has no bad setting; each
//! error names the setting, where its value came from, and what to write instead.
//!
//! Reading is pure: the environment and the file system are arguments. [`Settings::of_process`]
//! passes the real ones.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use crate::domain::lease::PastLease;
use crate::domain::permission::Vocabulary;
use crate::domain::rate::RateLimit;
use crate::token::Algorithm;

mod check;
mod error;
mod file;
mod gate;
mod secret;
mod source;
mod value;

#[cfg(test)]
mod tests;

pub use error::{FileError, Problem, SettingError, SettingsError, Source};
pub use file::{GateRouteSetting, PermissionRouteSetting, ProfileSetting, TemplateSetting};
pub use gate::{GateSettings, GateTokenSettings};
pub use secret::{DatabaseUrl, MasterKeySource, SecretText};
pub use value::{Issuer, LogFormat};

use file::FileSettings;
use source::{Names, Sources};

/// The flags for the settings that have one. Empty ones are looked for in the environment and in
/// the file, which is why clap's own `env` is not used: an error could not tell where a value came
/// from.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Settings")]
pub struct SettingsArgs {
    /// Address and port to listen on [env: `HALLPASS_LISTEN`] [default: 127.0.0.1:8080]
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,

    /// Public URL of this service, the `iss` of live tokens [env: `HALLPASS_ISSUER`] [default:
    /// `http://` and the listen address]
    #[arg(long, global = true, value_name = "URL")]
    pub issuer: Option<String>,

    /// Database, `sqlite://…` or `postgres://…` [env: `HALLPASS_DATABASE_URL`] [default:
    /// `sqlite://data/hallpass.db`]
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<SecretText>,

    /// Directory of `master.key` [env: `HALLPASS_KEYS_DIR`] [default: keys]
    #[arg(long, global = true, value_name = "DIRECTORY")]
    pub keys_dir: Option<String>,

    /// Settings file [env: `HALLPASS_CONFIG`] [default: hallpass.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<String>,
}

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen. Port 0 lets the machine choose.
    pub listen: SocketAddr,
    /// The live issuer; the test issuer is `<issuer>/test`.
    pub issuer: Issuer,
    /// Where the data is.
    pub database_url: DatabaseUrl,
    /// The same database without the pooler that [`Self::database_url`] leads to; `None` when there is
    /// no pooler.
    pub database_direct_url: Option<DatabaseUrl>,
    /// Directory of `master.key`, relative to the working directory.
    pub keys_dir: PathBuf,
    /// Where the master key comes from.
    pub master_key: MasterKeySource,
    /// The audience of a session whose request and key name none.
    pub audience: String,
    /// Every audience that a session may name: [`Self::audience`] first, then the others.
    pub audiences: Vec<String>,
    /// The algorithm of new signing keys.
    pub algorithm: Algorithm,
    /// What is logged, in the syntax of `tracing-subscriber`'s `EnvFilter`.
    pub log_filter: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// The peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The permission scopes that exist.
    pub permissions: Vocabulary,
    /// Profiles beside the shipped ones; one with the path of a shipped one replaces it.
    pub profiles: Vec<ProfileSetting>,
    /// Templates beside the shipped ones; one with the name of a shipped one replaces it.
    pub templates: Vec<TemplateSetting>,
    /// Which permission a route of hallpass itself needs.
    pub permission_routes: Vec<PermissionRouteSetting>,
    /// `max-age` of the published signing keys, and how long a new one waits before it signs, in
    /// seconds.
    pub jwks_max_age_secs: u32,
    /// How long a signing key signs until the next one takes over, in days.
    pub signing_key_rotation_days: u32,
    /// Bounds on what clients can take from the machine.
    pub limits: Limits,
    /// Where webhooks may go beside public addresses.
    pub webhooks: WebhookSettings,
    /// Where changes are noted beside the database, for a restore.
    pub journal_file: Option<PathBuf>,
    /// What the gate decides by, and who may ask it.
    pub gate: GateSettings,
    /// How a node stands to the others on the same database.
    pub nodes: NodeSettings,
}

/// How a node stands to the others on the same database, and to what is in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeSettings {
    /// For how long what is known of the change log is believed, in milliseconds.
    pub lease_ms: u32,
    /// What is done with a request when it is older.
    pub past_lease: PastLease,
    /// For how long `/readyz` says 503 before nothing more is accepted, in seconds.
    pub drain_delay_secs: u32,
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            lease_ms: 1_000,
            past_lease: PastLease::Ask,
            drain_delay_secs: 0,
        }
    }
}

/// Where webhooks may go beside `https://` and public addresses, and for how long one may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Also without TLS.
    pub allow_http: bool,
    /// Also to these networks.
    pub allow_networks: Vec<IpNet>,
    /// How long a receiver may take to answer, in seconds.
    pub timeout_secs: u32,
}

/// Bounds on what clients can take from the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are open at the same time; more wait to be accepted.
    pub connections_max: u32,
    /// From the first byte of a request to the end of its answer's making, in seconds.
    pub request_timeout_secs: u32,
    /// How long a client may take to send the head of a request, in seconds.
    pub header_read_timeout_secs: u32,
    /// Connections to the database.
    pub database_connections_max: u32,
    /// Failed authentications that one client address may cause.
    pub failed_authentications: RateLimit,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            request_timeout_secs: 30,
            header_read_timeout_secs: 10,
            database_connections_max: 16,
            failed_authentications: RateLimit {
                requests: 60,
                per_secs: 60,
            },
        }
    }
}

const CONFIG_PATH: &str = "hallpass.toml";
const LISTEN: &str = "127.0.0.1:8080";
const DATABASE_URL: &str = "sqlite://data/hallpass.db";
const KEYS_DIR: &str = "keys";
const LOG_FILTER: &str = "info";
const JWKS_MAX_AGE_SECS: u32 = 600;
const SIGNING_KEY_ROTATION_DAYS: u32 = 30;

const DAY_SECS: u32 = 86_400;
const YEAR_DAYS: u32 = 366;

impl Settings {
    /// The settings of this process: its environment and its files.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn of_process(args: &SettingsArgs) -> Result<Self, SettingsError> {
        Self::of_environment(args, &|path| std::fs::read_to_string(path))
    }

    /// The settings of this process, with the settings file from somewhere.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn of_environment(
        args: &SettingsArgs,
        read_file: &dyn Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, SettingsError> {
        // A value that is not UTF-8 becomes one with replacement characters, which is then refused
        // or not found; it is not taken for absent.
        let environment =
            |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Self::load(args, &environment, read_file)
    }

    /// The settings that flags, environment and file give.
    ///
    /// # Errors
    /// [`SettingsError`] for the first setting that is not right.
    #[expect(clippy::too_many_lines, reason = "a line or two for each setting")]
    pub fn load(
        args: &SettingsArgs,
        environment: &dyn Fn(&str) -> Option<String>,
        read_file: &dyn Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, SettingsError> {
        let (config_path, file) = read_config(args, environment, read_file)?;
        let sources = Sources {
            environment,
            config_path: &config_path,
        };
        let FileSettings {
            listen,
            issuer,
            database_url,
            database_direct_url,
            keys_dir,
            master_key_file,
            audience,
            audiences,
            algorithm,
            log,
            log_format,
            trusted_proxies,
            permissions,
            profiles,
            templates,
            permission_routes,
            jwks_max_age_secs,
            signing_key_rotation_days,
            limits,
            webhooks,
            journal_file,
            gate,
            nodes,
        } = file;

        let listen = sources
            .pick(&Names::LISTEN, args.listen.as_deref(), listen)?
            .or_default(LISTEN)
            .read(value::listen)?;
        let issuer = sources
            .pick(&Names::ISSUER, args.issuer.as_deref(), issuer)?
            .or_default(&Issuer::default_for(listen))
            .read(Issuer::parse)?;
        let database_url = sources
            .pick(
                &Names::DATABASE_URL,
                args.database_url.as_ref().map(SecretText::reveal),
                database_url,
            )?
            .or_default(DATABASE_URL)
            .read(DatabaseUrl::parse)?;
        let database_direct_url =
            check::database_direct_url(&sources, &database_url, database_direct_url)?;
        let keys_dir = sources
            .pick(&Names::KEYS_DIR, args.keys_dir.as_deref(), keys_dir)?
            .or_default(KEYS_DIR)
            .read(value::path)?;
        let master_key = check::master_key(&sources, master_key_file, &keys_dir)?;
        let audience = sources
            .pick(&Names::AUDIENCE, None, audience)?
            .or_default(&issuer.default_audience())
            .read(|text| value::default_audience(text, &issuer))?;
        let audiences = check::all_audiences(&sources, &audience, audiences)?;
        let algorithm = sources
            .pick(&Names::ALGORITHM, None, algorithm)?
            .or_default(Algorithm::default().as_str())
            .read(value::algorithm)?;
        let log_filter = sources
            .pick(&Names::LOG, None, log)?
            .or_default(LOG_FILTER)
            .read(value::log_filter)?;
        let log_format = sources
            .pick(&Names::LOG_FORMAT, None, log_format)?
            .or_default(LogFormat::default().as_str())
            .read(LogFormat::parse)?;
        let permissions = check::vocabulary(&sources, permissions)?;
        let gate = gate::check(&sources, gate, &issuer, &audiences, &permissions)?;

        Ok(Self {
            listen,
            issuer,
            database_url,
            database_direct_url,
            keys_dir,
            master_key,
            audience,
            audiences,
            algorithm,
            log_filter,
            log_format,
            trusted_proxies: check::networks(&sources, "trusted_proxies", &trusted_proxies)?,
            profiles: check::profiles(&sources, profiles)?,
            templates: check::templates(&sources, templates)?,
            permission_routes: check::permission_routes(&sources, permission_routes, &permissions)?,
            permissions,
            jwks_max_age_secs: sources.bounded(
                "jwks_max_age_secs",
                jwks_max_age_secs,
                JWKS_MAX_AGE_SECS,
                DAY_SECS,
            )?,
            signing_key_rotation_days: sources.bounded(
                "signing_key_rotation_days",
                signing_key_rotation_days,
                SIGNING_KEY_ROTATION_DAYS,
                YEAR_DAYS,
            )?,
            limits: check::limits(&sources, &limits)?,
            journal_file: journal_file.map(PathBuf::from),
            webhooks: check::webhooks(&sources, &webhooks)?,
            gate,
            nodes: check::nodes(&sources, &nodes)?,
        })
    }
}

fn read_config(
    args: &SettingsArgs,
    environment: &dyn Fn(&str) -> Option<String>,
    read_file: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<(PathBuf, FileSettings), SettingsError> {
    let sources = Sources {
        environment,
        config_path: Path::new(CONFIG_PATH),
    };
    let found = sources
        .pick(&Names::CONFIG, args.config.as_deref(), None)?
        .or_default(CONFIG_PATH);
    let path = PathBuf::from(&found.text);
    match read_file(&path) {
        Ok(text) => match FileSettings::parse(&text) {
            Ok(file) => Ok((path, file)),
            Err(error) => Err(SettingsError::File { path, error }),
        },
        // Only the file that nobody asked for may be absent.
        Err(error) if error.kind() == io::ErrorKind::NotFound && found.from == Source::Default => {
            Ok((path, FileSettings::default()))
        }
        Err(error) => {
            Err(
                SettingError::new(found.setting, found.from, Problem::Unreadable(error.kind()))
                    .into(),
            )
        }
    }
}
