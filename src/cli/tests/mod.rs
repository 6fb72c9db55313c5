//! The program with its arguments, and a service that is not one.

mod connection;
mod offline;
mod requests;
mod token_requests;

use std::ffi::OsString;
use std::io;
use std::path::Path;

use axum::body::Body as HttpBody;
use axum::http::{Request as HttpRequest, Response as HttpResponse};
use clap::CommandFactory as _;
use serde_json::{Value, json};

use super::args::{self, Cli};
use super::output::Format;
use super::transport::{BoxFuture, LocalClient};
use super::upkeep::Finding;
use super::{AsAccount, Service, Streams, run};
use crate::clock::ManualClock;
use crate::domain::time::Timestamp;
use crate::settings::SettingsArgs;

/// 2030-03-17T17:46:40Z
const NOW: Timestamp = Timestamp::from_millis(1_900_000_000_000);

/// What a run of the program left behind.
#[derive(Debug, PartialEq, Eq)]
struct Ran {
    code: u8,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{self:?}"))
    }
}

async fn hallpass(args: &[&str]) -> Ran {
    hallpass_reading(args, Format::Json, &|_| Err(io::ErrorKind::NotFound.into())).await
}

async fn hallpass_reading(
    args: &[&str],
    format: Format,
    read: &dyn Fn(&Path) -> io::Result<String>,
) -> Ran {
    let args = std::iter::once("hallpass").chain(args.iter().copied());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let streams = Streams {
        format,
        read,
        out: &mut out,
        err: &mut err,
    };
    let clock = ManualClock::at(NOW);
    let code = run(args.map(OsString::from), &MIRROR, &clock, streams).await;
    Ran {
        code,
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
    }
}

/// A service that answers each request with what it was asked, and fails to start.
const MIRROR: Service = Service {
    serve: |settings, _| Box::pin(async move { Err(anyhow::anyhow!(told("serve", &settings))) }),
    init: |settings, _| Box::pin(async move { Err(anyhow::anyhow!(told("init", &settings))) }),
    open: |_| Box::pin(async { Ok(LocalClient::new(Box::new(mirror))) }),
    export: |_, _| Box::pin(async { Ok(7) }),
    doctor: |_| {
        Box::pin(async {
            vec![
                Finding::ok("settings", "all can be used"),
                Finding::fail("master key", "mode 644", "chmod 600 master.key"),
            ]
        })
    },
    restore: |_, args| {
        Box::pin(async move { Ok(serde_json::json!({ "keysHeld": args.journal.len() })) })
    },
    rewrap: |_, args| {
        let is_right = args.new_master_key_file == Path::new("new.key");
        Box::pin(async move { Ok(if is_right { 3 } else { 0 }) })
    },
};

fn told(what: &str, settings: &SettingsArgs) -> String {
    let SettingsArgs {
        listen,
        issuer,
        database_url: _,
        keys_dir,
        config,
    } = settings;
    let given = [listen, issuer, keys_dir, config].map(|value| value.as_deref().unwrap_or("-"));
    format!("{what} {}", given.join(" "))
}

fn mirror(request: HttpRequest<HttpBody>) -> BoxFuture<'static, HttpResponse<HttpBody>> {
    Box::pin(async move {
        let (parts, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, 1_000_000).await.unwrap();
        let header = |name: &str| Some(parts.headers.get(name)?.to_str().unwrap().to_owned());
        let operator = parts.extensions.get::<AsAccount>();
        let seen = json!({
            "line": format!("{} {}", parts.method, parts.uri),
            "body": serde_json::from_slice::<Value>(&bytes).ok(),
            "isOperator": operator.is_some(),
            "account": operator.and_then(|AsAccount(account)| account.clone()),
            "authorization": header("authorization"),
            "idempotencyKey": header("idempotency-key"),
            "active": true,
            "allowed": true,
            "revoked": true,
        });
        HttpResponse::new(HttpBody::from(seen.to_string()))
    })
}

#[test]
fn the_arguments_are_consistent() {
    Cli::command().debug_assert();
    args::command().debug_assert();
}
