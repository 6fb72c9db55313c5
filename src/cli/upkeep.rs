//! `hallpass doctor` and `hallpass restore`: what is done on the machine itself.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::error::CliError;
use super::output::{Console, Format};
use super::request::View;

/// How a check of `hallpass doctor` went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// All is well.
    Ok,
    /// It will hurt some day.
    Warn,
    /// It hurts now.
    Fail,
}

/// What a check of `hallpass doctor` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub state: Health,
    /// What was seen.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            state: Health::Ok,
            found: found.into(),
            mend: None,
        }
    }

    /// It will hurt some day.
    pub fn warn(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            check,
            state: Health::Warn,
            found: found.into(),
            mend: Some(mend.into()),
        }
    }

    /// It hurts now.
    pub fn fail(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            state: Health::Fail,
            ..Self::warn(check, found, mend)
        }
    }
}

/// `hallpass restore`: after a backup was put back, and before it is served.
///
/// A new log ends every session, the signing keys are replaced, and webhooks are switched off. Keys
/// that were changed since the backup are switched off: with --journal those that the journals
/// name, else all. Nothing is switched on again until it is confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RestoreArgs {
    /// The journal of a node (`journal_file`); may be repeated, for each node that wrote one.
    #[arg(long, value_name = "FILE")]
    pub journal: Vec<PathBuf>,
    /// List what is switched off, and do nothing.
    #[arg(long, conflicts_with_all = ["journal", "confirm", "confirm_all"])]
    pub list: bool,
    /// Switch on again this key or webhook, which a restore switched off; may be repeated.
    #[arg(long, value_name = "ID", conflicts_with_all = ["journal", "confirm_all"])]
    pub confirm: Vec<String>,
    /// Switch on again all that a restore switched off.
    #[arg(long, conflicts_with = "journal")]
    pub confirm_all: bool,
}

/// Shows what was found, and says whether nothing hurts.
pub(super) fn show(findings: &[Finding], console: &mut Console<'_>) -> Result<bool, CliError> {
    let well = findings.iter().all(|finding| finding.state != Health::Fail);
    let rows: Vec<Value> = findings.iter().map(|finding| json!(finding)).collect();
    match console.format {
        Format::Json => console.json(&json!({ "healthy": well, "checks": rows }))?,
        Format::Table => {
            console.rows(&["state", "check", "found"], &rows)?;
            for finding in findings {
                if let Some(mend) = &finding.mend {
                    console.text(&format!("\n{}: {mend}\n", finding.check))?;
                }
            }
        }
    }
    Ok(well)
}

pub(super) fn show_restored(answer: &Value, console: &mut Console<'_>) -> Result<bool, CliError> {
    console.answer(View::Item, answer)?;
    Ok(true)
}
