//! The arguments of the program.

use std::path::PathBuf;

use clap::{ArgMatches, Args, CommandFactory as _, Parser, Subcommand, parser::ValueSource};
use clap_complete::Shell;

use super::account::AccountCommand;
use super::error::{CliError, UsageError};
use super::explain::ExplainArgs;
use super::output::Format;
use super::request::Context;
use super::routes::RoutesCommand;
use super::session::SessionCommand;
use super::signing_key::{AuditCommand, SigningKeyCommand};
use super::token::TokenCommand;
use super::upkeep::RestoreArgs;
use super::values::{PathId, Secret};
use super::verify::VerifyArgs;
use super::webhook::WebhookCommand;
use crate::settings::SettingsArgs;

/// Settings that have no flag.
const VARIABLES: &str = "\
Settings without a flag:
  HALLPASS_MASTER_KEY, HALLPASS_MASTER_KEY_FILE  The master key, or the file that has it
                                                 [default: master.key in the keys directory]
  HALLPASS_AUDIENCE                              The audience of sessions that name none
                                                 [default: <issuer>/api]
  HALLPASS_GATE_SECRET                           What those who ask the gate have to send beside
  HALLPASS_ALGORITHM                             ES256, EdDSA or RS256 [default: ES256]
  HALLPASS_LOG                                   What is logged [default: info]
  HALLPASS_LOG_FORMAT                            text or json [default: text]
All others are in the settings file.";

/// Turns long-lived API keys into short-lived, signed sessions. Without a command it serves.
///
/// Commands that manage something work on the database of the settings, as the operator, or with
/// --url and a key against a running server. Exit codes: 0 done; 1 refused, invalid or not covered;
/// 2 wrong arguments; 3 no server or no database.
#[derive(Debug, Parser)]
#[command(name = "hallpass", version, max_term_width = 100, after_long_help = VARIABLES)]
pub struct Cli {
    /// What to do; without it, serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where management commands go, and how answers look.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// The settings of the service.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API.
    Serve(SettingsFileArgs),
    /// Make database, master key, signing keys and the first key, and print that key.
    Init(SettingsFileArgs),
    /// Manage accounts.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Manage API keys.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Mint, show and end sessions.
    #[command(subcommand)]
    Session(SessionCommand),
    /// Manage the keys that sign session tokens.
    #[command(subcommand)]
    SigningKey(SigningKeyCommand),
    /// Manage webhooks: where an account is told of what happened.
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Read the ledger.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Look for what is wrong with settings, files, database, keys and the public URL, or soon will
    /// be, and say how to mend it. The exit code is 1 when something hurts now.
    Doctor,
    /// After a backup was put back, keep what was revoked since from coming back to life.
    Restore(RestoreArgs),
    /// Check a session token with the published keys, and explain each check.
    Verify(VerifyArgs),
    /// Ask the gate about a request of your own key.
    Explain(ExplainArgs),
    /// Ask about route patterns.
    #[command(subcommand)]
    Routes(RoutesCommand),
    /// Print a completion script.
    Completions {
        /// For this shell.
        shell: Shell,
    },
}

/// The settings file behind `serve` and `init`. Elsewhere `--config` stands before the command,
/// since `token create --config` is the `config` of a key.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
pub struct SettingsFileArgs {
    /// Settings file [env: `HALLPASS_CONFIG`] [default: hallpass.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<String>,
}

/// Where management commands go, and how answers look.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    /// How answers look: a table on a terminal, else JSON.
    #[arg(long, global = true, value_enum)]
    pub output: Option<Format>,
    /// The server to work against. Without it, commands work on the database of the settings.
    #[arg(long, global = true, env = "HALLPASS_URL")]
    pub url: Option<String>,
    /// The API key to present to the server. Others on this machine can see arguments; better use
    /// the environment or --key-file.
    #[arg(long, global = true, env = "HALLPASS_KEY", hide_env_values = true)]
    pub key: Option<Secret>,
    /// A file with the API key to present to the server; `-` for standard input.
    #[arg(long, global = true, value_name = "FILE", env = "HALLPASS_KEY_FILE")]
    pub key_file: Option<PathBuf>,
    /// Act for this account, on the database only; otherwise for the operator's own.
    #[arg(long, global = true, value_name = "ID")]
    pub account: Option<PathId>,
}

/// The program's arguments, as clap has them.
pub fn command() -> clap::Command {
    // Two flags of this name exist: the settings file, and the `config` of a key.
    Cli::command().mut_arg("config", |arg| arg.global(false))
}

/// Where a management command goes.
#[derive(Debug)]
pub(super) enum Target {
    /// To a server.
    Server { url: String, key: Option<Secret> },
    /// To the database of the settings.
    Database,
}

fn is_flag(matches: &ArgMatches, id: &str) -> bool {
    matches.value_source(id) == Some(ValueSource::CommandLine)
}

impl Cli {
    /// The settings, with the settings file wherever it was named.
    pub(super) fn settings(&self, behind: Option<&SettingsFileArgs>) -> SettingsArgs {
        let config = behind.and_then(|args| args.config.clone());
        SettingsArgs {
            config: config.or_else(|| self.settings.config.clone()),
            ..self.settings.clone()
        }
    }

    /// Server or database: a flag beats the environment, and two flags that disagree are an error.
    pub(super) fn target(
        &self,
        matches: &ArgMatches,
        cx: &Context<'_>,
    ) -> Result<Target, CliError> {
        let by_flag = |id| is_flag(matches, id);
        let ConnectionArgs {
            output: _,
            url,
            key,
            key_file,
            account,
        } = &self.connection;
        let database_by_flag = by_flag("database_url");
        if by_flag("url") && database_by_flag {
            return Err(both("--url", "--database-url"));
        }
        // An empty variable is one that is not set.
        let url = url.as_ref().filter(|url| !url.is_empty());
        let Some(url) = url.filter(|_| !database_by_flag) else {
            for (id, argument) in [("key", "--key"), ("key_file", "--key-file")] {
                if by_flag(id) {
                    return Err(UsageError::NeedsUrl { argument }.into());
                }
            }
            return Ok(Target::Database);
        };
        if account.is_some() {
            return Err(UsageError::LocalOnly {
                argument: "--account",
            }
            .into());
        }
        if by_flag("key") && by_flag("key_file") {
            return Err(both("--key", "--key-file"));
        }
        let key = key.as_ref().filter(|key| !key.is_empty());
        let key_file = key_file.as_ref();
        let key_file = key_file.filter(|path| !path.as_os_str().is_empty());
        let key = match (key, key_file) {
            (Some(key), _) if !by_flag("key_file") => Some(key.clone()),
            (_, Some(path)) => Some(Secret::from(cx.read(path)?)),
            (_, None) => None,
        };
        Ok(Target::Server {
            url: url.clone(),
            key,
        })
    }
}

fn both(first: &'static str, second: &'static str) -> CliError {
    UsageError::Both { first, second }.into()
}
