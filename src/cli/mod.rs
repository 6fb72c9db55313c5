//! The command line.
//!
//! Every management command is one request of the public API: [`request::Plan`] is what a command
//! asks, [`transport::Transport`] where it goes, [`output::Console`] how the answer looks. So a
//! command can do what the API can do, by the same rules, and nothing else. What the service itself
//! has to provide is [`Service`].

pub mod account;
pub mod args;
pub mod error;
pub mod explain;
pub mod list;
pub mod output;
pub mod request;
pub mod restrictions;
pub mod routes;
pub mod service;
pub mod session;
pub mod signing_key;
pub mod token;
pub mod transport;
pub mod upkeep;
pub mod values;
pub mod verify;
pub mod webhook;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, Read as _, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{ArgMatches, FromArgMatches as _};
use serde_json::{Value, json};

use crate::clock::Clock;
use args::{Cli, Command, Target};
use error::{ApiError, CliError, UsageError};
use output::{Console, Format, announce_first_key};
use request::{Context, Plan, View};
use signing_key::{AuditPlan, ExportArgs, RewrapArgs, SigningKeyPlan};
use transport::{LocalClient, RemoteClient, Transport};
use values::PathId;

pub use service::{Announce, FirstKey, Service};
pub use transport::AsAccount;

/// The largest file that an argument may name, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Runs the program with the arguments of the process.
pub async fn main(service: Service, clock: &dyn Clock) -> ExitCode {
    let streams = Streams {
        format: Format::of_stdout(),
        read: &read_file,
        out: &mut io::stdout(),
        err: &mut io::stderr(),
    };
    ExitCode::from(run(std::env::args_os(), &service, clock, streams).await)
}

/// What the program reads and where it writes.
struct Streams<'a> {
    /// Unless `--output` says something else.
    format: Format,
    /// A file, or standard input for `-`.
    read: &'a dyn Fn(&Path) -> io::Result<String>,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
}

/// Runs the program and gives its exit code.
async fn run(
    args: impl IntoIterator<Item = OsString>,
    service: &Service,
    clock: &dyn Clock,
    streams: Streams<'_>,
) -> u8 {
    let matches = args::command().try_get_matches_from(args);
    let parsed = matches.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are "errors" with exit code 0.
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            return if error.print().is_ok() { code } else { 3 };
        }
    };
    let mut console = Console {
        format: cli.connection.output.unwrap_or(streams.format),
        out: streams.out,
        err: streams.err,
    };
    let cx = Context {
        now: clock.now(),
        account: cli.connection.account.as_ref(),
        read: streams.read,
    };
    match dispatch(&cli, &matches, service, &cx, &mut console).await {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(error) => {
            console.error(&error);
            error.exit_code()
        }
    }
}

/// Does what was asked, and says whether the answer is yes.
async fn dispatch(
    cli: &Cli,
    matches: &ArgMatches,
    service: &Service,
    cx: &Context<'_>,
    console: &mut Console<'_>,
) -> Result<bool, CliError> {
    let plan = match &cli.command {
        None => {
            (service.serve)(cli.settings(None), announce_first_key).await?;
            return Ok(true);
        }
        Some(Command::Serve(file)) => {
            (service.serve)(cli.settings(Some(file)), announce_first_key).await?;
            return Ok(true);
        }
        Some(Command::Init(file)) => {
            (service.init)(cli.settings(Some(file)), announce_first_key).await?;
            return Ok(true);
        }
        Some(Command::Verify(args)) => {
            let issuer = cli.settings.issuer.as_deref();
            return args.run(issuer, cx, console).await;
        }
        Some(Command::Routes(command)) => {
            return command.run(&cli.settings(None), cx, console);
        }
        Some(Command::Doctor) => {
            let findings = (service.doctor)(cli.settings(None)).await;
            return upkeep::show(&findings, console);
        }
        Some(Command::Restore(args)) => {
            return match cli.target(matches, cx)? {
                Target::Server { .. } => Err(UsageError::LocalOnly {
                    argument: "restore",
                }
                .into()),
                Target::Database => {
                    let answer = (service.restore)(cli.settings(None), args.clone()).await?;
                    upkeep::show_restored(&answer, console)
                }
            };
        }
        Some(Command::Completions { shell }) => {
            return completions(*shell, console).map(|()| true);
        }
        Some(Command::Account(command)) => command.plan(cx)?,
        Some(Command::Token(command)) => command.plan(cx)?,
        Some(Command::Session(command)) => command.plan(cx)?,
        Some(Command::Explain(args)) => args.plan(cx)?,
        Some(Command::Audit(command)) => match command.plan() {
            AuditPlan::Call(plan) => *plan,
            AuditPlan::Verify(args) => return args.run(cx, console),
            AuditPlan::Export(args) => {
                let target = cli.target(matches, cx)?;
                return export(cli, &target, args, service, console).await;
            }
        },
        Some(Command::Webhook(command)) => command.plan(cx)?,
        Some(Command::SigningKey(command)) => match command.plan() {
            SigningKeyPlan::Call(plan) => *plan,
            SigningKeyPlan::Rewrap(args) => {
                let target = cli.target(matches, cx)?;
                return rewrap(cli, &target, args, service, console).await;
            }
        },
    };
    let plan = for_account(plan, cx);
    let transport = match cli.target(matches, cx)? {
        Target::Server { url, key } => {
            let client = RemoteClient::new(&url, key)?;
            if client.is_exposed() {
                console.hint(
                    "warning: without https, others can read the key and the answer on their way",
                )?;
            }
            Transport::Remote(client)
        }
        Target::Database => Transport::Local(open(service, cli).await?),
    };
    carry_out(plan, &transport, console).await
}

/// `--account` counts for every request that names none of its own.
fn for_account(mut plan: Plan, cx: &Context<'_>) -> Plan {
    let account = cx.account.map(PathId::to_string);
    plan.request.as_account = plan.request.as_account.or(account);
    plan
}

async fn open(service: &Service, cli: &Cli) -> Result<LocalClient, CliError> {
    Ok((service.open)(cli.settings(None)).await?)
}

async fn rewrap(
    cli: &Cli,
    target: &Target,
    args: &RewrapArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<bool, CliError> {
    match target {
        Target::Server { .. } => Err(UsageError::LocalOnly {
            argument: "signing-key rewrap",
        }
        .into()),
        Target::Database => {
            let count = (service.rewrap)(cli.settings(None), args.clone()).await?;
            console.answer(View::Item, &json!({ "rewrapped": count }))?;
            Ok(true)
        }
    }
}

async fn export(
    cli: &Cli,
    target: &Target,
    args: &ExportArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<bool, CliError> {
    match target {
        Target::Server { .. } => Err(UsageError::LocalOnly {
            argument: "audit export",
        }
        .into()),
        Target::Database => {
            let count = (service.export)(cli.settings(None), args.clone()).await?;
            console.answer(View::Item, &json!({ "checkpoints": count }))?;
            Ok(true)
        }
    }
}

fn completions(shell: clap_complete::Shell, console: &mut Console<'_>) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "hallpass", &mut script);
    console.text(&String::from_utf8_lossy(&script))
}

/// Asks, shows the answer, and says whether it is yes.
async fn carry_out(
    plan: Plan,
    transport: &Transport,
    console: &mut Console<'_>,
) -> Result<bool, CliError> {
    let view = plan.view;
    let answer = if plan.all_pages {
        all_pages(plan, transport).await?
    } else {
        ask(&plan, transport).await?
    };
    console.answer(view, &answer)?;
    match view {
        View::Verdict(member) => Ok(answer.get(member) == Some(&Value::Bool(true))),
        View::Rows(_) | View::Item | View::Secret => Ok(true),
    }
}

async fn ask(plan: &Plan, transport: &Transport) -> Result<Value, CliError> {
    let response = transport.call(&plan.request).await?;
    if response.status == 200 {
        Ok(response.body)
    } else {
        let error = ApiError::read(response.status, &response.body);
        Err(CliError::Refused(Box::new(error)))
    }
}

/// All items of a list. A cursor that does not move ends it, so it cannot go on for ever.
async fn all_pages(mut plan: Plan, transport: &Transport) -> Result<Value, CliError> {
    let mut items = Vec::new();
    let mut last_cursor = String::new();
    loop {
        let mut page = ask(&plan, transport).await?;
        let found = page.get_mut("items").and_then(Value::as_array_mut);
        let found = found.map(std::mem::take).unwrap_or_default();
        let cursor = page.get("cursor").and_then(Value::as_str);
        let cursor = cursor.unwrap_or_default().to_owned();
        let is_last = found.is_empty() || cursor.is_empty() || cursor == last_cursor;
        items.extend(found);
        if is_last {
            return Ok(json!({ "items": items, "cursor": "" }));
        }
        plan.request.query.retain(|(name, _)| name != "cursor");
        let next = ("cursor".to_owned(), cursor.clone());
        plan.request.query.push(next);
        last_cursor = cursor;
    }
}

/// A text file, or standard input for `-`.
fn read_file(path: &Path) -> io::Result<String> {
    let source: Box<dyn io::Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(std::fs::File::open(path)?)
    };
    let mut text = String::new();
    source.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|len| len <= FILE_BYTES_MAX) {
        Ok(text)
    } else {
        Err(io::ErrorKind::FileTooLarge.into())
    }
}
