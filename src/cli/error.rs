//! What can go wrong on the command line, and the exit code of each.

use std::io;
use std::path::PathBuf;

use serde_json::Value;

use crate::domain::route::{MountError, RoutePatternError, RouteSetError};
use crate::settings::SettingsError;
use crate::token::KeySetError;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The arguments do not fit together.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// A file or standard input could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file; `-` is standard input.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Standard output could not be written.
    #[error("cannot write the answer")]
    Write(#[source] io::Error),
    /// No answer came from the server.
    #[error("cannot reach the server")]
    Unreachable(#[source] reqwest::Error),
    /// The server points elsewhere. Redirects are not followed, since the key would go along.
    #[error("the server answers with a redirect ({status}); give the final address as --url")]
    Redirect {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is not what this API sends.
    #[error("the answer is not JSON (status {status}); is --url the address of hallpass?")]
    NotJson {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is longer than any answer of this API.
    #[error("the answer is too long")]
    AnswerTooLong,
    /// There is no key set at that address.
    #[error("there is no key set at that address (status {status})")]
    NoKeySet {
        /// The HTTP status.
        status: u16,
    },
    /// What is there cannot be used.
    #[error("the key set cannot be used")]
    KeySet(#[source] KeySetError),
    /// The API refused.
    #[error("{}", .0.message)]
    Refused(Box<ApiError>),
    /// The service could not be started, or its database could not be used.
    #[error(transparent)]
    Service(#[from] anyhow::Error),
}

/// Arguments that are well-formed on their own and do not fit together, or a file that is not what
/// the argument needs.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// Something that a server would decide by itself.
    #[error(
        "{argument} works on the database only; a server acts for the account of the key that it is given"
    )]
    LocalOnly {
        /// The argument.
        argument: &'static str,
    },
    /// Something that makes sense with a server only.
    #[error("{argument} needs --url (or HALLPASS_URL)")]
    NeedsUrl {
        /// The argument.
        argument: &'static str,
    },
    /// One of two, never both.
    #[error("{first} and {second} cannot be given together")]
    Both {
        /// The one.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// One of them has to be there.
    #[error("give {wanted}")]
    Missing {
        /// What has to be there.
        wanted: &'static str,
    },
    /// A member of `--config` that a flag sets, too.
    #[error("`{member}` is in --config and in a flag; give it once")]
    ConfigAndFlag {
        /// The member of the key's `config`.
        member: &'static str,
    },
    /// Not JSON.
    #[error("{argument} is not JSON")]
    Json {
        /// The argument.
        argument: &'static str,
        /// Where it stops being JSON.
        #[source]
        source: serde_json::Error,
    },
    /// JSON, but no object.
    #[error("{argument} has to be a JSON object")]
    NotAnObject {
        /// The argument.
        argument: &'static str,
    },
    /// `--url` cannot be the base of the API.
    #[error(
        "--url has to be http:// or https://, a host, and at most a path, without user or query"
    )]
    Url,
    /// Not a thing that could stand in an `Authorization` header. The text is not repeated.
    #[error("the {what} is empty, too long, or has characters that no credential has")]
    Credential {
        /// Which one.
        what: &'static str,
    },
    /// Not a route pattern.
    #[error("{argument} `{pattern}`: {error}")]
    Pattern {
        /// The argument.
        argument: &'static str,
        /// The text.
        pattern: String,
        /// What is wrong, and what to write instead. It is part of the message above.
        error: RoutePatternError,
    },
    /// Route patterns that are not a set.
    #[error("{argument}: {error}")]
    Routes {
        /// The argument.
        argument: &'static str,
        /// What is wrong. It is part of the message above.
        error: RouteSetError,
    },
    /// Not a mount.
    #[error("--mount: {0}")]
    Mount(MountError),
}

impl CliError {
    /// The exit code: 1 refused, 2 usage, 3 no server or no database.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Read { .. } => 2,
            Self::Refused(error) if error.status < 500 => 1,
            Self::Service(error) if error.is::<SettingsError>() => 2,
            Self::Refused(_)
            | Self::Write(_)
            | Self::Unreachable(_)
            | Self::Redirect { .. }
            | Self::NotJson { .. }
            | Self::AnswerTooLong
            | Self::NoKeySet { .. }
            | Self::KeySet(_)
            | Self::Service(_) => 3,
        }
    }
}

/// A refusal of the API (DESIGN.md §8), as far as a person needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// In words.
    pub message: String,
    /// The more exact code of the two, such as `ROUTE_NOT_COVERED`.
    pub code: String,
    /// The permission that is missing.
    pub required_scope: Option<String>,
    /// A request that the wanted routes allow and the ceiling does not.
    pub counter_example: Option<String>,
    /// The member of the request that is at fault.
    pub field: Option<String>,
    /// Under which the server's log has it.
    pub request_id: Option<String>,
}

impl ApiError {
    /// Reads the error body. What is missing in it stays empty.
    pub fn read(status: u16, body: &Value) -> Self {
        let inner = body.get("error").unwrap_or(&Value::Null);
        let find = |names: &[&str]| {
            names.iter().find_map(|name| {
                let value = inner.get(*name).or_else(|| body.get(*name))?;
                text_of(value)
            })
        };
        Self {
            status,
            message: find(&["message"]).unwrap_or_else(|| format!("refused with status {status}")),
            code: find(&["code"]).unwrap_or_default(),
            required_scope: find(&["required_scope", "requiredScope"]),
            counter_example: find(&["counterExample", "counter_example"]),
            field: find(&["field"]),
            request_id: find(&["requestId", "request_id"]),
        }
    }
}

/// A text as it is, `{method, path}` as a request line, anything else as JSON.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Object(members) => {
            let member = |name: &str| members.get(name).and_then(Value::as_str);
            match (member("method"), member("path")) {
                (Some(method), Some(path)) => Some(format!("{method} {path}")),
                (Some(_) | None, Some(_) | None) => Some(value.to_string()),
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => Some(value.to_string()),
    }
}
