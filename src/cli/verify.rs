//! `hallpass verify`: all checks of a session token, without asking the server about the session.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::error::{CliError, UsageError};
use super::output::{Console, Format};
use super::request::Context;
use super::transport::{http_client, read_limited};
use super::values::Secret;
use crate::token::jwks::JWKS_LEN_MAX;
use crate::token::verify::{Check, Explanation, Outcome, SESSION_TYP};
use crate::token::{Audiences, Expected, KeySet, Leeway, explain};

/// Check a session token with the published keys, and say what came of each check. Whether the
/// session was revoked is not asked: `hallpass session verify` does that. The exit code is 1 when
/// the token is refused.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The token, or `-` to read it from standard input.
    token: Secret,
    /// The published keys, as an address or a file. Without it they are fetched from --issuer.
    #[arg(long, value_name = "URL|FILE")]
    jwks: Option<String>,
    /// An audience that is accepted; may be repeated. Without it every audience is.
    #[arg(long = "audience", value_name = "AUDIENCE")]
    audiences: Vec<String>,
}

impl VerifyArgs {
    /// Answers, and says whether the token is accepted. Without an issuer, that of the token is
    /// taken at its word.
    pub(super) async fn run(
        &self,
        issuer: Option<&str>,
        cx: &Context<'_>,
        console: &mut Console<'_>,
    ) -> Result<bool, CliError> {
        let token = cx.secret(&self.token)?;
        let token = token.expose("token")?;
        let keys = self.keys(issuer, cx).await?;
        let expected = Expected {
            issuer: issuer.unwrap_or_default().to_owned(),
            audiences: if self.audiences.is_empty() {
                Audiences::Any
            } else {
                Audiences::OneOf(self.audiences.clone())
            },
            typ: SESSION_TYP,
            leeway: Leeway::NONE,
        };
        let mut explanation = explain(token, &keys, &expected, cx.now);
        let mut not_asked = Vec::new();
        if issuer.is_none()
            && let Some(claims) = &explanation.claims
        {
            let expected = Expected {
                issuer: claims.iss.clone(),
                ..expected.clone()
            };
            explanation = explain(token, &keys, &expected, cx.now);
            not_asked.push(Check::Issuer);
        }
        if expected.audiences == Audiences::Any && explanation.claims.is_some() {
            not_asked.push(Check::Audience);
        }
        show(&explanation, &not_asked, console)?;
        Ok(explanation.refusal.is_none())
    }

    async fn keys(&self, issuer: Option<&str>, cx: &Context<'_>) -> Result<KeySet, CliError> {
        let place = match (&self.jwks, issuer) {
            (Some(place), _) => place.clone(),
            (None, Some(issuer)) => {
                format!("{}/.well-known/jwks.json", issuer.trim_end_matches('/'))
            }
            (None, None) => {
                return Err(UsageError::Missing {
                    wanted: "--jwks or --issuer",
                }
                .into());
            }
        };
        let bytes = if place.starts_with("http://") || place.starts_with("https://") {
            fetch(&place).await?
        } else {
            cx.read(Path::new(&place))?.into_bytes()
        };
        KeySet::parse(&bytes).map_err(CliError::KeySet)
    }
}

async fn fetch(url: &str) -> Result<Vec<u8>, CliError> {
    let call = http_client()?.get(url).send();
    let answer = call.await.map_err(CliError::Unreachable)?;
    if !answer.status().is_success() {
        return Err(CliError::NoKeySet {
            status: answer.status().as_u16(),
        });
    }
    read_limited(answer, JWKS_LEN_MAX).await
}

fn show(
    explanation: &Explanation,
    not_asked: &[Check],
    console: &mut Console<'_>,
) -> Result<(), CliError> {
    let Explanation {
        checks,
        claims,
        refusal,
    } = explanation;
    let checks: Vec<Value> = checks
        .iter()
        .map(|(check, outcome)| row(*check, *outcome, not_asked.contains(check)))
        .collect();
    let claims = claims
        .as_ref()
        .and_then(|claims| serde_json::to_value(claims).ok());
    match console.format {
        Format::Json => console.json(&json!({
            "valid": refusal.is_none(),
            "code": refusal.map(crate::token::TokenError::code),
            "checks": checks,
            "claims": claims,
        })),
        Format::Table => {
            console.rows(&["check", "outcome", "reason"], &checks)?;
            if let Some(claims) = claims {
                console.text("\n")?;
                console.item(&claims)?;
            }
            match refusal {
                Some(refusal) => console.text(&format!("\nrefused: {refusal}\n")),
                None => console.text("\nvalid; whether it was revoked is not known here\n"),
            }
        }
    }
}

fn row(check: Check, outcome: Outcome, is_not_asked: bool) -> Value {
    let (outcome, reason) = match outcome {
        Outcome::Passed if is_not_asked => ("not asked", None),
        Outcome::Passed => ("passed", None),
        Outcome::Failed(error) => ("failed", Some(error.to_string())),
        Outcome::NotReached => ("not reached", None),
    };
    json!({ "check": check.as_str(), "outcome": outcome, "reason": reason })
}
