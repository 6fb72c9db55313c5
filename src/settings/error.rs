//! What can be wrong with the settings. Written for the person who starts the service.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::domain::gate::GateRuleError;
use crate::domain::route::MountError;

/// Why the settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// One setting is wrong.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The settings file is not TOML, or has a member that is unknown or of another type.
    #[error("settings file {}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        error: FileError,
    },
}

/// What is wrong in the settings file. It does not quote the line, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// The member, such as `limits.connections_max`, where it is known.
    pub field: Option<String>,
    /// What the parser says.
    pub message: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "`{field}`: ")?;
        }
        f.write_str(&self.message)
    }
}

/// A setting whose value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("setting `{setting}`, from {from}: {problem}")]
pub struct SettingError {
    /// The name of the setting as in the file, such as `profiles[0].path`.
    pub setting: String,
    /// Where its value came from.
    pub from: Source,
    /// What is wrong, and what to write instead.
    pub problem: Problem,
}

impl SettingError {
    pub(super) fn new(setting: impl Into<String>, from: Source, problem: Problem) -> Self {
        Self {
            setting: setting.into(),
            from,
            problem,
        }
    }
}

/// Where the value of a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This flag of the command line.
    Flag(&'static str),
    /// This environment variable.
    Environment(&'static str),
    /// This file.
    File(PathBuf),
    /// Nobody gave it.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "the flag {name}"),
            Self::Environment(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Default => f.write_str("the default"),
        }
    }
}

/// What is wrong with a value, and what to write instead. It never quotes the value, which may be
/// a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// An empty text.
    #[error("is empty; give a value, or remove the setting")]
    Empty,
    /// The file that it names cannot be read.
    #[error("the file cannot be read ({0}); name a readable file, or remove the setting")]
    Unreadable(io::ErrorKind),
    /// Not an address and a port.
    #[error("write an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080")]
    Listen,
    /// Not an issuer.
    #[error(
        "write an http or https URL with a lower-case host and without trailing slash, query, \
         fragment or user, such as https://hallpass.example.com"
    )]
    Issuer,
    /// Not a database that is known.
    #[error("write sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE")]
    DatabaseUrl,
    /// Both `HALLPASS_MASTER_KEY` and `HALLPASS_MASTER_KEY_FILE`.
    #[error("HALLPASS_MASTER_KEY is set as well; keep one of the two")]
    MasterKeyTwice,
    /// Not an audience.
    #[error(
        "write 1 to {max} visible ASCII characters without spaces, such as \
         https://api.example.com"
    )]
    Audience {
        /// Characters that it may have.
        max: usize,
    },
    /// hallpass's own audience as the default one.
    #[error(
        "is the audience of hallpass itself, which no session gets by default; name the audience \
         of your API"
    )]
    OwnAudience,
    /// Not an algorithm.
    #[error("write ES256, EdDSA or RS256")]
    Algorithm,
    /// Not a filter.
    #[error("write a level (error, warn, info, debug, trace) or a list such as info,sqlx=warn")]
    LogFilter,
    /// Not a format.
    #[error("write text or json")]
    LogFormat,
    /// Not a network.
    #[error("write an IP address or a network, such as 10.0.0.0/8 or 2001:db8::/32")]
    Network,
    /// An IPv6 spelling of IPv4 addresses, which no peer address is compared with.
    #[error("write the IPv4 network itself, such as 10.0.0.0/8")]
    MappedNetwork,
    /// All addresses there are.
    #[error(
        "covers every address, so that any client could name its own; list the addresses of your \
         proxies"
    )]
    EveryAddress,
    /// Not a permission scope.
    #[error("write a scope in lower case, such as bots:read")]
    Permission,
    /// A permission that is not in the vocabulary.
    #[error("is not among `permissions`; write one of {}", known.join(", "))]
    UnknownPermission {
        /// All that exist.
        known: Vec<String>,
    },
    /// A direct address that is not one of PostgreSQL beside one of PostgreSQL.
    #[error(
        "write postgres://USER:PASSWORD@HOST/DATABASE, the address of the same database without its pooler"
    )]
    DirectUrl,
    /// A number outside its range.
    #[error("write a whole number from {min} to {max}")]
    OutOfRange {
        /// The smallest.
        min: u32,
        /// The largest.
        max: u32,
    },
    /// A lifetime outside its range.
    #[error("write whole seconds from 1 to {max}, the default not above the maximum")]
    Lifetime {
        /// The largest.
        max: i64,
    },
    /// A list without elements.
    #[error("is an empty list; name at least one")]
    EmptyList,
    /// A name or path that an earlier element has.
    #[error("an earlier element has the same; keep one of the two")]
    Repeated,
    /// Not a mount.
    #[error(transparent)]
    Mount(MountError),
    /// Not a line of the gate's table.
    #[error(transparent)]
    GateRule(GateRuleError),
    /// More elements than are looked at.
    #[error("there are at most {max}")]
    TooMany {
        /// How many there may be.
        max: usize,
    },
    /// An audience that is not in the list.
    #[error("is not among `audience` and `audiences`, so that no session could have it")]
    UnknownAudience,
    /// The audience of the tokens for upstreams, which is that of sessions or of hallpass.
    #[error(
        "is an audience that sessions have; name one of its own, so that nobody takes one token \
         for the other"
    )]
    SessionAudience,
    /// A shared secret that can be guessed, or that no header can carry.
    #[error("write {min} to {max} visible ASCII characters, for example of `openssl rand -hex 32`")]
    GateSecret {
        /// The fewest characters.
        min: usize,
        /// The most characters.
        max: usize,
    },
    /// Not an object.
    #[error("write a table of restrictions, such as {{ allowedRoutes = [\"bot/**\"] }}")]
    NotATable,
}
