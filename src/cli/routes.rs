//! `hallpass routes`: questions about route patterns, answered without a server.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::error::{CliError, UsageError};
use super::output::{Console, Format};
use super::request::Context;
use crate::domain::binding::Dimension;
use crate::domain::gate::Reach;
use crate::domain::permission::Permission;
use crate::domain::route::{
    Mount, NotCovered, PathError, RequestPath, RoutePattern, RouteSet, RouteSetError,
    TrailingSlash, covers,
};
use crate::settings::{Settings, SettingsArgs};

/// Questions about route patterns, answered without a server.
#[derive(Debug, Subcommand)]
pub enum RoutesCommand {
    /// Does one set of patterns lie within another? The exit code is 1 when it does not, and the
    /// shortest request that shows it is printed.
    Covers(CoversArgs),
    /// Does a pattern match a request? The exit code is 1 when none does.
    Match(MatchArgs),
    /// Print the gate's table of the settings, and find rules whose permission is never asked for.
    /// The exit code is 1 when there is one.
    Table,
}

/// `hallpass routes covers`.
#[derive(Debug, Args)]
pub struct CoversArgs {
    /// What may be handed on; may be repeated.
    #[arg(long, value_name = "ROUTE", required = true, num_args = 1..)]
    ceiling: Vec<String>,
    /// What is wanted; may be repeated.
    #[arg(long, value_name = "ROUTE", required = true, num_args = 1..)]
    wanted: Vec<String>,
}

/// `hallpass routes match`.
#[derive(Debug, Args)]
pub struct MatchArgs {
    /// A pattern; may be repeated.
    #[arg(long = "pattern", value_name = "ROUTE", required = true)]
    patterns: Vec<String>,
    /// The method of the request, in upper case.
    #[arg(long, default_value = "GET")]
    method: String,
    /// Below which path the routes lie, such as `/v2`; `/` for none. Without it `/v1` and
    /// `/api/v1` are cut where they are.
    #[arg(long)]
    mount: Option<String>,
    /// The path of the request, escaped as it is sent: `/v1/bot/b1/fetch` or `bot/b1/fetch`.
    path: String,
}

impl RoutesCommand {
    /// Answers, and says whether the answer is yes.
    pub(super) fn run(
        &self,
        settings: &SettingsArgs,
        cx: &Context<'_>,
        console: &mut Console<'_>,
    ) -> Result<bool, CliError> {
        match self {
            Self::Covers(args) => args.run(console),
            Self::Match(args) => args.run(console),
            Self::Table => table(settings, cx, console),
        }
    }
}

fn table(
    settings: &SettingsArgs,
    cx: &Context<'_>,
    console: &mut Console<'_>,
) -> Result<bool, CliError> {
    let settings = Settings::of_environment(settings, cx.read).map_err(anyhow::Error::from)?;
    let table = &settings.gate.table;
    let reach = table.reach();
    let never = reach.contains(&Reach::Never);
    let rules: Vec<Value> = table
        .rules()
        .iter()
        .zip(&reach)
        .map(|(rule, reach)| {
            let binds: Vec<&str> = rule.dimensions().map(Dimension::as_str).collect();
            json!({
                "route": rule.route(),
                "permission": rule.permission().map(Permission::as_str),
                "binds": binds,
                "reach": reach.as_str(),
            })
        })
        .collect();
    let default = table.default_permission().map(Permission::as_str);
    match console.format {
        Format::Json => console.json(&json!({ "rules": rules, "defaultPermission": default }))?,
        Format::Table => {
            console.rows(&["route", "permission", "binds", "reach"], &rules)?;
            console.text(&match default {
                Some(scope) => format!("\nother routes need `{scope}`\n"),
                None => {
                    "\nother routes are refused to credentials whose permissions are narrowed\n"
                        .to_owned()
                }
            })?;
        }
    }
    if never {
        console.hint("rules that are `never` reached: earlier ones match all that they match")?;
    }
    Ok(!never)
}

impl CoversArgs {
    fn run(&self, console: &mut Console<'_>) -> Result<bool, CliError> {
        let ceiling = route_set("--ceiling", &self.ceiling)?;
        let wanted = route_set("--wanted", &self.wanted)?;
        let outcome = covers(&ceiling, &wanted);
        let (is_covered, answer, text) = match &outcome {
            Ok(()) => (true, json!({ "covered": true }), "covered\n".to_owned()),
            Err(not @ NotCovered::CounterExample { method, path }) => (
                false,
                json!({
                    "covered": false,
                    "counterExample": { "method": method, "path": path },
                }),
                format!("not covered: {not}\n"),
            ),
            Err(not @ NotCovered::TooComplex) => (
                false,
                json!({ "covered": null, "reason": not.to_string() }),
                format!("not known: {not}\n"),
            ),
        };
        show(console, &answer, &text)?;
        Ok(is_covered)
    }
}

impl MatchArgs {
    fn run(&self, console: &mut Console<'_>) -> Result<bool, CliError> {
        let patterns = route_set("--pattern", &self.patterns)?;
        let path = match request_path(&self.path, self.mount.as_deref())? {
            Ok(path) => path,
            Err(reason) => {
                let answer = json!({ "matches": false, "reason": reason.to_string() });
                show(console, &answer, &format!("refused: {reason}\n"))?;
                return Ok(false);
            }
        };
        let found = patterns.matches(&self.method, &path);
        let request = format!("{} {}", self.method, path.as_str());
        let text = match found {
            Some(pattern) => format!("`{}` matches {request}\n", pattern.as_str()),
            None => format!("no pattern matches {request}\n"),
        };
        let answer = json!({
            "matches": found.is_some(),
            "pattern": found.map(RoutePattern::as_str),
            "method": self.method,
            "path": path.as_str(),
        });
        show(console, &answer, &text)?;
        Ok(found.is_some())
    }
}

/// Reads a path with or without its mount. A path that no request could have, or that two programs
/// could read differently, is an answer and not a wrong argument.
fn request_path(
    text: &str,
    mount: Option<&str>,
) -> Result<Result<RequestPath, PathError>, UsageError> {
    let target = match text.strip_prefix('/') {
        Some(_) => text.to_owned(),
        None => format!("/{text}"),
    };
    let is_mounted = target.starts_with("/v1/") || target.starts_with("/api/v1/");
    let mount = match mount {
        Some(mount) => Mount::parse(mount).map_err(UsageError::Mount)?,
        None if is_mounted => Mount::hallpass().clone(),
        None => Mount::root(),
    };
    Ok(RequestPath::parse(target, &mount, TrailingSlash::Equal))
}

fn route_set(argument: &'static str, patterns: &[String]) -> Result<RouteSet, UsageError> {
    RouteSet::parse(patterns).map_err(|error| match error {
        RouteSetError::Pattern { index, error } => UsageError::Pattern {
            argument,
            pattern: patterns.get(index).cloned().unwrap_or_default(),
            error,
        },
        RouteSetError::TooManyPatterns
        | RouteSetError::TooComplex
        | RouteSetError::Inexpressible(_) => UsageError::Routes { argument, error },
    })
}

fn show(console: &mut Console<'_>, answer: &Value, text: &str) -> Result<(), CliError> {
    match console.format {
        Format::Json => console.json(answer),
        Format::Table => console.text(text),
    }
}
