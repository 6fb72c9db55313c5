//! `hallpass doctor`: what is wrong, or soon will be, and how to mend it.
//!
//! A database that is older than this program, or that was not set up, is left as it is. As at the
//! start of every command, signing keys that are due are rotated.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde_json::Value;

use crate::app::{App, doctor};
use crate::cli::upkeep::Finding;
use crate::clock::{Clock as _, SystemClock};
use crate::domain::environment::Environment;
use crate::domain::time::Timestamp;
use crate::service;
use crate::settings::{MasterKeySource, Settings, SettingsArgs};
use crate::store::{Schema, Store};
use crate::token::SigningKeyState;

const TIMEOUT: Duration = Duration::from_secs(5);
/// An answer of the issuer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Clocks that are further apart than this make tokens be refused, in seconds.
const CLOCK_SECS_MAX: i64 = 5;
const DAY_SECS: i64 = 86_400;
/// Entries that wait for longer than this are not sealed by anybody, in seconds.
const UNSEALED_SECS_MAX: i64 = 60;
/// Ids that are named in one line.
const NAMED: usize = 5;

/// Looks at everything. What cannot be looked at because of what was found before is left out.
pub async fn examine(args: &SettingsArgs) -> Vec<Finding> {
    let mut findings = Vec::new();
    let settings = match Settings::of_process(args) {
        Ok(settings) => settings,
        Err(error) => {
            findings.push(Finding::fail(
                "settings",
                error.to_string(),
                "correct the setting; docs/operations.md lists them all",
            ));
            return findings;
        }
    };
    match service::policy(&settings) {
        Ok(_) => findings.push(Finding::ok("settings", "all can be used")),
        Err(error) => {
            findings.push(Finding::fail(
                "settings",
                format!("{error:#}"),
                "correct the setting; docs/operations.md lists them all",
            ));
            return findings;
        }
    }
    findings.push(issuer(&settings));
    findings.extend(files(&settings));
    let Some(app) = open(&settings, &mut findings).await else {
        findings.extend(reach(&settings, None).await);
        return findings;
    };
    findings.extend(inside(&app, &settings).await);
    findings.extend(reach(&settings, Some(&app)).await);
    app.store.close().await;
    findings
}

fn issuer(settings: &Settings) -> Finding {
    let issuer = settings.issuer.as_str();
    let here = Url::parse(issuer).ok().is_some_and(|url| {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let address = host.parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    });
    if issuer.starts_with("https://") {
        Finding::ok("issuer", issuer)
    } else if here {
        Finding::warn(
            "issuer",
            format!("{issuer} is this machine alone"),
            "set `issuer` to the public https URL before others use this; every token names it",
        )
    } else {
        Finding::fail(
            "issuer",
            format!("{issuer} is not https, so keys and tokens can be read on their way"),
            "put TLS in front, and set `issuer` to the https URL",
        )
    }
}

fn mode(path: &Path) -> Option<u32> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(metadata.permissions().mode() & 0o777)
}

/// The files that hold secrets.
fn files(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &settings.master_key {
        MasterKeySource::Given(_) => {
            findings.push(Finding::ok("master key", "given by HALLPASS_MASTER_KEY"));
        }
        MasterKeySource::File(path) | MasterKeySource::MadeAtFirstStart(path) => {
            findings.push(private("master key", path, true));
        }
    }
    if let Some(path) = settings.database_url.reveal().strip_prefix("sqlite://") {
        let path = Path::new(path.split('?').next().unwrap_or(path));
        if path.exists() {
            findings.push(private("database file", path, false));
        }
    }
    if let Some(path) = settings
        .journal_file
        .as_deref()
        .filter(|path| path.exists())
    {
        findings.push(private("journal", path, false));
    }
    findings
}

fn private(check: &'static str, path: &Path, needed: bool) -> Finding {
    let shown = path.display();
    match mode(path) {
        None if needed => Finding::fail(
            check,
            format!("{shown} is not there or cannot be read"),
            "put it back from where you keep it apart from the database; without it nothing that is sealed can be opened",
        ),
        None => Finding::warn(
            check,
            format!("{shown} cannot be read"),
            format!("run as the user of the service, and look at {shown}"),
        ),
        Some(mode) if mode & 0o077 != 0 => Finding::fail(
            check,
            format!("{shown} can be read by others (mode {mode:03o})"),
            format!("chmod 600 {shown}"),
        ),
        Some(mode) => Finding::ok(check, format!("{shown} (mode {mode:03o})")),
    }
}

async fn open(settings: &Settings, findings: &mut Vec<Finding>) -> Option<Arc<App>> {
    // What is asked in a session of its own goes past a pooler.
    let direct = settings.database_direct_url.as_ref();
    let url = direct.unwrap_or(&settings.database_url).reveal();
    if Store::is_absent(url) {
        findings.push(Finding::fail(
            "database",
            format!("{} is not there", settings.database_url),
            "`hallpass init` makes a new one; if there should be one, look at `database_url` and the working directory",
        ));
        return None;
    }
    match Store::schema(url).await {
        Ok(Schema::Current) => {}
        Ok(Schema::Older { found, known }) => {
            findings.push(Finding::warn(
                "database",
                format!("schema version {found}, and this program has {known}"),
                "the next start brings it up to date; make a backup first",
            ));
            return None;
        }
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            findings.push(Finding::fail(
                "database",
                chain(error),
                "is it running, is the address right, and may this user read it?",
            ));
            return None;
        }
    }
    match service::open_existing(settings).await {
        Ok(app) => {
            findings.push(Finding::ok(
                "database",
                "opened; writes are durable, the schema is current, the master key opens what is sealed",
            ));
            Some(app)
        }
        Err(error) => {
            findings.push(Finding::fail(
                "database",
                format!("{error:#}"),
                "the text says what is in the way",
            ));
            None
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

/// What the database says.
async fn inside(app: &App, settings: &Settings) -> Vec<Finding> {
    let state = match app.examine().await {
        Ok(state) => state,
        Err(error) => {
            return vec![Finding::fail(
                "database",
                chain(&error),
                "look at the log of the service and of the database",
            )];
        }
    };
    let mut findings = vec![keys_expiring(&state), keys_unused(&state)];
    findings.extend(signing_keys(app, settings).await);
    findings.push(if state.unsealed_secs > UNSEALED_SECS_MAX {
        Finding::warn(
            "ledger",
            format!("entries wait since {} s to be sealed", state.unsealed_secs),
            "a running server seals within a second; is one running, and what does its log say?",
        )
    } else {
        Finding::ok("ledger", format!("sealed up to entry {}", state.sealed_seq))
    });
    findings.push(if state.webhooks_disabled + state.webhooks_failing > 0 {
        Finding::warn(
            "webhooks",
            format!(
                "{} failing, {} disabled because they failed for days",
                state.webhooks_failing, state.webhooks_disabled
            ),
            "hallpass webhook list; hallpass webhook deliveries ID says what is wrong",
        )
    } else {
        Finding::ok("webhooks", "none fails")
    });
    if state.held > 0 {
        findings.push(Finding::warn(
            "restore",
            format!(
                "{} keys and webhooks are switched off since a restore",
                state.held
            ),
            "hallpass restore --list; look at each, then hallpass restore --confirm ID",
        ));
    }
    findings.push(if state.newest_at > app.now().plus_secs(CLOCK_SECS_MAX) {
        Finding::fail(
            "clock",
            "the newest entry of the ledger is from the future: this clock is behind, or another node's is ahead",
            "run an NTP client on every node",
        )
    } else {
        Finding::ok("clock", "not behind the newest entry of the ledger")
    });
    findings
}

fn names(ids: &[String]) -> String {
    let shown: Vec<&str> = ids.iter().take(NAMED).map(String::as_str).collect();
    let more = ids.len().saturating_sub(NAMED);
    if more == 0 {
        shown.join(", ")
    } else {
        format!("{} and {more} more", shown.join(", "))
    }
}

fn keys_expiring(state: &doctor::State) -> Finding {
    if state.expiring.is_empty() {
        return Finding::ok("keys that expire", "none within 7 days");
    }
    Finding::warn(
        "keys that expire",
        format!("within 7 days: {}", names(&state.expiring)),
        "hallpass token update ID --expires-in 90d, or let them run out",
    )
}

fn keys_unused(state: &doctor::State) -> Finding {
    if state.unused.is_empty() {
        return Finding::ok("keys that nobody uses", "none for 90 days");
    }
    Finding::warn(
        "keys that nobody uses",
        format!("for 90 days: {}", names(&state.unused)),
        "hallpass token delete ID, if nobody needs them",
    )
}

async fn signing_keys(app: &App, settings: &Settings) -> Vec<Finding> {
    let Ok(keys) = app.list_signing_keys().await else {
        return Vec::new();
    };
    let now = app.now();
    let days = i64::from(settings.signing_key_rotation_days);
    let mut findings = Vec::new();
    for environment in Environment::ALL {
        let of = |state: SigningKeyState| {
            keys.iter()
                .find(|key| key.environment == environment && key.state == state)
        };
        let Some(active) = of(SigningKeyState::Active) else {
            findings.push(Finding::fail(
                "signing keys",
                format!("no active key for {environment}"),
                "start the service, which makes one",
            ));
            continue;
        };
        let since = active.activated_at.unwrap_or(active.created_at);
        let due = since.plus_secs(days * DAY_SECS);
        findings.push(if of(SigningKeyState::Next).is_none() {
            Finding::warn(
                "signing keys",
                format!("no next key for {environment}, so an emergency has no successor"),
                "start the service, which publishes one",
            )
        } else if due.plus_secs(DAY_SECS) < now {
            Finding::warn(
                "signing keys",
                format!("the active key of {environment} should have been replaced by now"),
                format!("hallpass signing-key rotate --environment {environment}; a running service does it by itself"),
            )
        } else {
            let left = (due.millis() - now.millis()).max(0) / 1000 / DAY_SECS;
            Finding::ok(
                "signing keys",
                format!("{environment}: the next rotation is in {left} days"),
            )
        });
    }
    findings
}

/// What others see of the service.
async fn reach(settings: &Settings, app: Option<&App>) -> Vec<Finding> {
    const MEND: &str = "is the service running, does the proxy in front pass this path on, and does the name lead there from this machine?";

    let issuer = settings.issuer.as_str();
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build();
    let Ok(client) = client else {
        return Vec::new();
    };
    let metadata = format!("{issuer}/.well-known/openid-configuration");
    let (document, date) = match fetch(&client, &metadata).await {
        Ok(fetched) => fetched,
        Err(problem) => return vec![Finding::fail("public URL", problem, MEND)],
    };
    let mut findings = Vec::new();
    let told = document.get("issuer").and_then(Value::as_str);
    findings.push(if told == Some(issuer) {
        Finding::ok("public URL", format!("{metadata} names this issuer"))
    } else {
        Finding::fail(
            "public URL",
            format!(
                "{metadata} names another issuer: {}",
                told.unwrap_or("none")
            ),
            "is another service there, or does the server run with another `issuer`?",
        )
    });
    let keys_url = format!("{issuer}/.well-known/jwks.json");
    findings.push(match fetch(&client, &keys_url).await {
        Err(problem) => Finding::fail("published keys", problem, MEND),
        Ok((set, _)) => published(&set, app),
    });
    if let Some(date) = date {
        let now = SystemClock::new().now();
        let apart = (now.millis() - date.millis()).abs() / 1000;
        findings.push(if apart > CLOCK_SECS_MAX {
            Finding::fail(
                "clock",
                format!("{apart} s from the clock of the public URL"),
                "run an NTP client on every node",
            )
        } else {
            Finding::ok("clock", "agrees with the clock of the public URL")
        });
    }
    findings
}

fn published(set: &Value, app: Option<&App>) -> Finding {
    let kids: Vec<&str> = set
        .get("keys")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|key| key.get("kid").and_then(Value::as_str))
        .collect();
    let ours: Vec<String> = app
        .map(|app| {
            let jwks = app.jwks(Environment::Live);
            jwks.keys().iter().map(|key| key.kid().to_owned()).collect()
        })
        .unwrap_or_default();
    let missing = ours.iter().find(|kid| !kids.contains(&kid.as_str()));
    match missing {
        Some(kid) => Finding::fail(
            "published keys",
            format!("key {kid} of this database is not among those that are served"),
            "does the server use another database, or does something in front cache the keys for too long?",
        ),
        None => Finding::ok("published keys", format!("{} are served", kids.len())),
    }
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<(Value, Option<Timestamp>), String> {
    let wrong = |error: reqwest::Error| format!("{url} cannot be reached: {}", chain(&error));
    let mut answer = client.get(url).send().await.map_err(wrong)?;
    if !answer.status().is_success() {
        return Err(format!("{url} answers {}", answer.status().as_u16()));
    }
    let date = answer
        .headers()
        .get("date")
        .and_then(|date| date.to_str().ok())
        .and_then(http_date);
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(wrong)? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(format!("{url} answers with more than belongs there"));
        }
        bytes.extend_from_slice(&chunk);
    }
    let document =
        serde_json::from_slice(&bytes).map_err(|_| format!("{url} does not answer with JSON"))?;
    Ok((document, date))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let day: u8 = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let year: i32 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':');
    let mut number = || clock.next()?.parse::<u8>().ok();
    let (hour, minute, second) = (number()?, number()?, number()?);
    let month = time::Month::try_from(u8::try_from(month + 1).ok()?).ok()?;
    let date = time::Date::from_calendar_date(year, month, day).ok()?;
    let time = time::Time::from_hms(hour, minute, second).ok()?;
    let at = date.with_time(time).assume_utc();
    Some(Timestamp::from_secs(at.unix_timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read() {
        let read = http_date("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(read, Some(Timestamp::from_secs(784_111_777)));
        for text in ["", "Sun, 06 Nov", "Sun, 99 Nov 1994 08:49:37 GMT", "x"] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }

    #[test]
    fn many_names_are_told_as_a_number() {
        let ids: Vec<String> = (1..=7).map(|n| format!("k{n}")).collect();
        assert_eq!(names(&ids[..2]), "k1, k2");
        assert_eq!(names(&ids), "k1, k2, k3, k4, k5 and 2 more");
    }
}
