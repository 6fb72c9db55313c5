//! From settings to a running service: what `main.rs` hands to the command line.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use crate::app::authorise::{Credential, Door, Facts, Need, Presented, RouteCheck};
use crate::app::journal::{self, Since};
use crate::app::restore::Knowledge;
use crate::app::start::{FirstStart, Parts, is_wrong_master_key};
use crate::app::{App, Policy, maintenance};
use crate::cli::signing_key::{ExportArgs, RewrapArgs};
use crate::cli::transport::{AsAccount, BoxFuture, LocalClient};
use crate::cli::upkeep::RestoreArgs;
use crate::cli::{Announce, FirstKey, Service};
use crate::clock::{Clock, SystemClock};
use crate::domain::binding::NamedValues;
use crate::domain::decision::BindingCheck;
use crate::domain::gate::Reach;
use crate::domain::id::{AccountId, RequestId};
use crate::domain::route::RequestPath;
use crate::domain::time::Timestamp;
use crate::entropy::{Entropy, SystemEntropy};
use crate::http::{
    self, Edge, GatePeers, LocalOperator, router, server, server_problems, templates,
};
use crate::logging;
use crate::metrics::Metrics;
use crate::settings::{Settings, SettingsArgs};
use crate::store::{OpenError, PoolSize, Store, instance};

mod master_key;
mod policy;

use master_key::{master_key, read_master_key};
pub use policy::policy;

/// What the command line starts.
pub const SERVICE: Service = Service {
    serve: |args, announce| Box::pin(serve(args, announce)),
    init: |args, announce| Box::pin(init(args, announce)),
    open: |args| Box::pin(open_local(args)),
    rewrap: |args, rewrap_args| Box::pin(rewrap(args, rewrap_args)),
    export: |args, export_args| Box::pin(export(args, export_args)),
    doctor: |args| Box::pin(async move { crate::doctor::examine(&args).await }),
    restore: |args, restore_args| Box::pin(restore(args, restore_args)),
};

/// Opens the database and all that stands on it, and sets it up where that was not done.
///
/// # Errors
/// What is in the way, with what to do about it.
pub async fn open(settings: &Settings) -> anyhow::Result<(Arc<App>, Option<FirstStart>)> {
    let policy = policy(settings).context("the settings cannot be used")?;
    let store = open_store(settings).await?;
    start(settings, store, policy).await
}

/// Opens a database that was set up before. A command that was meant for another one makes none, and
/// no first key that nobody sees.
pub(crate) async fn open_existing(settings: &Settings) -> anyhow::Result<Arc<App>> {
    let policy = policy(settings).context("the settings cannot be used")?;
    let not_set_up = || {
        anyhow!(
            "the database {} was not set up; is it the right one? `hallpass init` makes a new one, --url asks a server",
            settings.database_url
        )
    };
    if Store::is_absent(settings.database_url.reveal()) {
        return Err(not_set_up());
    }
    let store = open_store(settings).await?;
    if !is_set_up(&store).await? {
        return Err(not_set_up());
    }
    Ok(start(settings, store, policy).await?.0)
}

async fn open_store(settings: &Settings) -> anyhow::Result<Store> {
    let size = PoolSize {
        max: settings.limits.database_connections_max,
    };
    let direct = settings.database_direct_url.as_ref();
    let opened = match direct {
        Some(direct) => {
            Store::open_pooled(settings.database_url.reveal(), direct.reveal(), size).await
        }
        None => Store::open(settings.database_url.reveal(), size).await,
    };
    opened.map_err(|error| {
        // The one of the two that leads nowhere is named.
        let url = match (&error, direct) {
            (OpenError::Direct(_), Some(direct)) => direct,
            _ => &settings.database_url,
        };
        let context = format!("the database {url}");
        anyhow::Error::new(error).context(context)
    })
}

async fn is_set_up(store: &Store) -> anyhow::Result<bool> {
    let operator = instance::operator(store.read().await?.conn()).await?;
    Ok(operator.is_some())
}

async fn start(
    settings: &Settings,
    store: Store,
    policy: Policy,
) -> anyhow::Result<(Arc<App>, Option<FirstStart>)> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::new());
    let master = master_key(&settings.master_key, is_set_up(&store).await?, &*entropy)?;
    let metrics = Arc::new(Metrics::new(Arc::clone(&clock), templates()));
    let parts = Parts {
        store,
        clock,
        entropy,
        policy,
        metrics,
        master,
    };
    App::start(parts).await.map_err(|error| {
        if is_wrong_master_key(&error) {
            anyhow!(
                "the master key is not the one that sealed the signing keys in this database; start with the right one (HALLPASS_MASTER_KEY, HALLPASS_MASTER_KEY_FILE, or master.key in the keys folder)"
            )
        } else {
            anyhow!(error).context("the service could not be started")
        }
    })
}

/// The router over an app, for callers in this process.
pub fn edge(app: &Arc<App>, settings: &Settings) -> Router {
    router(edge_of(app, settings))
}

/// The service over an app, for [`server::run`].
pub fn handler(app: &Arc<App>, settings: &Settings) -> http::Service {
    http::Service::new(edge_of(app, settings))
}

fn edge_of(app: &Arc<App>, settings: &Settings) -> Edge {
    Edge {
        app: Arc::clone(app),
        trusted_proxies: settings.trusted_proxies.clone(),
        gate: GatePeers::new(&settings.gate.peers, settings.gate.secret.as_ref()),
    }
}

async fn serve(args: SettingsArgs, announce: Announce) -> anyhow::Result<()> {
    let settings = Settings::of_process(&args)?;
    let _log = logging::init(&settings.log_filter, settings.log_format)?;
    let listener = TcpListener::bind(settings.listen).await.with_context(|| {
        format!(
            "cannot listen on {}: is another program there? choose one with --listen",
            settings.listen
        )
    })?;
    let listen = listener.local_addr()?;
    let settings = if settings.listen.port() == 0 {
        // What follows from the address, such as the issuer, must not name port 0.
        Settings::of_process(&SettingsArgs {
            listen: Some(listen.to_string()),
            ..args.clone()
        })?
    } else {
        settings
    };
    let (app, first) = open(&settings).await?;
    if let Some(first) = first {
        announce_first(announce, &first, listen, &args, &settings)?;
    }
    app.adopt_configured_algorithm()
        .await
        .context("the signing keys cannot be changed to the configured algorithm")?;
    for (rule, reach) in settings
        .gate
        .table
        .rules()
        .iter()
        .zip(settings.gate.table.reach())
    {
        if reach == Reach::Never {
            let route = rule.route();
            tracing::warn!(
                route,
                "a rule of gate.routes is never reached; see hallpass routes table"
            );
        }
    }
    tracing::info!(%listen, issuer = settings.issuer.as_str(), "ready");
    let mut tasks = maintenance::spawn(&app);
    let limits = server::ServerLimits::from(&settings.limits);
    let render = server_problems(&app);
    let service = handler(&app, &settings);
    let drain_delay = Duration::from_secs(settings.nodes.drain_delay_secs.into());
    let shutdown = async {
        shutdown().await;
        app.leave();
        if !drain_delay.is_zero() {
            let secs = drain_delay.as_secs();
            tracing::info!(secs, "not ready any more; still accepting for a while");
            // Whoever asks twice is in a hurry.
            drop(tokio::time::timeout(drain_delay, shutdown()).await);
        }
        app.stop_waiting();
    };
    server::run(listener, service, limits, render, shutdown).await;
    tasks.shutdown().await;
    app.write_everything()
        .await
        .context("the last batch could not be written")?;
    app.store.close().await;
    tracing::info!("stopped");
    Ok(())
}

async fn init(args: SettingsArgs, announce: Announce) -> anyhow::Result<()> {
    let settings = Settings::of_process(&args)?;
    let _log = logging::init(&settings.log_filter, settings.log_format)?;
    let (app, first) = open(&settings).await?;
    if let Some(first) = first {
        announce_first(announce, &first, settings.listen, &args, &settings)?;
    } else {
        tracing::info!("this database was set up before; nothing was changed");
    }
    app.store.close().await;
    Ok(())
}

/// Nothing of this goes to the log, which is kept and read by others.
fn announce_first(
    announce: Announce,
    first: &FirstStart,
    listen: SocketAddr,
    args: &SettingsArgs,
    settings: &Settings,
) -> anyhow::Result<()> {
    announce(&FirstKey {
        key: &first.key,
        address: reachable(listen),
        another: another_key(args, settings),
    })
    .context("the first API key could not be printed")
}

/// Where a client on this machine finds a server that listens there: nobody can connect to "all
/// addresses", nor to port 0.
fn reachable(listen: SocketAddr) -> Option<SocketAddr> {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    (listen.port() != 0).then(|| SocketAddr::new(ip, listen.port()))
}

/// The command that makes another key on this database, ready for the shell from which this program
/// was started: the same program, folder, environment and flags.
fn another_key(args: &SettingsArgs, settings: &Settings) -> String {
    let program = std::env::args_os().next();
    let program = program.map_or_else(
        || "hallpass".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    );
    // The password of a database is not printed; the address without it is there to be completed.
    let database_url = settings.database_url.to_string();
    let flags = [
        ("--config", args.config.as_deref()),
        (
            "--database-url",
            args.database_url.as_ref().map(|_| database_url.as_str()),
        ),
        ("--keys-dir", args.keys_dir.as_deref()),
    ];
    let mut words = vec![shell_word(&program)];
    for (flag, value) in flags {
        if let Some(value) = value {
            words.extend([flag.to_owned(), shell_word(value)]);
        }
    }
    words.push("token create --unrestricted --name 'another first key'".to_owned());
    words.join(" ")
}

/// One word of a POSIX shell.
fn shell_word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

async fn open_local(args: SettingsArgs) -> anyhow::Result<LocalClient> {
    let settings = Settings::of_process(&args)?;
    let app = open_existing(&settings).await?;
    let router = edge(&app, &settings);
    Ok(LocalClient::new(Box::new(move |mut request| {
        let router = router.clone();
        if let Some(AsAccount(account)) = request.extensions_mut().remove::<AsAccount>() {
            // The gate judges a credential, and there is none here.
            if request.uri().path().ends_with("/authorize/explain") {
                return Box::pin(async {
                    refusal(
                        StatusCode::BAD_REQUEST,
                        "The gate is asked about an API key: give --url (or HALLPASS_URL), and the key as --key-file or HALLPASS_KEY.",
                    )
                });
            }
            // A session speaks for the key that mints it, and there is none here.
            if request.uri().path().ends_with("/session/create") {
                return Box::pin(async {
                    refusal(
                        StatusCode::BAD_REQUEST,
                        "A session is minted with an API key: give --url (or HALLPASS_URL), and the key as --key-file or HALLPASS_KEY.",
                    )
                });
            }
            // A text that is no id of an account is one that does not exist.
            let account = account.map(|id| AccountId::parse(&id));
            match account.transpose() {
                Ok(account) => {
                    request.extensions_mut().insert(LocalOperator(account));
                }
                Err(_) => {
                    return Box::pin(async {
                        refusal(StatusCode::NOT_FOUND, "There is no such account.")
                    });
                }
            }
        }
        let answer: BoxFuture<'static, _> = Box::pin(async move {
            router
                .oneshot(request)
                .await
                .unwrap_or_else(|never| match never {})
        });
        answer
    })))
}

/// Refuses a command before it comes to the API.
fn refusal(status: StatusCode, message: &'static str) -> Response {
    let code = match status {
        StatusCode::NOT_FOUND => "NOT_FOUND",
        _ => "BAD_REQUEST",
    };
    let body = serde_json::json!({ "message": message, "code": code });
    let json = [(CONTENT_TYPE, "application/json")];
    (status, json, body.to_string()).into_response()
}

async fn rewrap(args: SettingsArgs, rewrap: RewrapArgs) -> anyhow::Result<usize> {
    let settings = Settings::of_process(&args)?;
    let new = read_master_key(&rewrap.new_master_key_file)?;
    let app = open_existing(&settings).await?;
    let facts = Facts {
        request: RequestId::new(app.now(), &*app.entropy)?,
        method: "POST".to_owned(),
        path: RequestPath::from_segments(["signing-key", "rewrap"])?,
        method_override: false,
        address: None,
        agent: None,
        origin: None,
        named: NamedValues::new(),
    };
    let need = Need {
        door: Door::Own,
        route: RouteCheck::Exempt,
        sessions: false,
        manage: None,
        operator: true,
        bindings: BindingCheck::Exempt,
        run_as_header: false,
        live: true,
    };
    let presented = Presented {
        credential: Credential::Cli(None),
        wish: None,
        facts,
        need,
    };
    let sealed = app.rewrap(&new, &presented).await?;
    app.store.close().await;
    Ok(sealed)
}

/// Makes a database that was put back from a backup safe to serve.
async fn restore(args: SettingsArgs, restore: RestoreArgs) -> anyhow::Result<serde_json::Value> {
    let settings = Settings::of_process(&args)?;
    let app = open_existing(&settings).await?;
    let RestoreArgs {
        journal,
        list,
        confirm,
        confirm_all,
    } = restore;
    let answer = if list {
        serde_json::json!({ "held": app.held().await? })
    } else if confirm_all || !confirm.is_empty() {
        let wanted = (!confirm_all).then_some(confirm.as_slice());
        let confirmed = app
            .confirm(wanted)
            .await
            .context("nothing was confirmed: `hallpass restore --list` says what can be")?;
        serde_json::json!({ "confirmed": confirmed })
    } else {
        let mut all = Since::default();
        let backup = app.last_position().await?;
        for path in &journal {
            let wrong = || format!("the journal {}", path.display());
            let file = File::open(path).with_context(wrong)?;
            let since = journal::read(BufReader::new(file), backup).with_context(wrong)?;
            all.ended.extend(since.ended);
            all.touched.extend(since.touched);
            all.changes += since.changes;
        }
        let knowledge = if journal.is_empty() {
            Knowledge::None
        } else {
            Knowledge::Journal(all)
        };
        serde_json::to_value(app.restore(&knowledge).await?)?
    };
    app.store.close().await;
    Ok(answer)
}

/// Seals what waits and writes the whole ledger to a new file.
async fn export(args: SettingsArgs, export: ExportArgs) -> anyhow::Result<i64> {
    let settings = Settings::of_process(&args)?;
    let app = open_existing(&settings).await?;
    let wrong = || format!("the export {} cannot be written", export.file.display());
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&export.file)
        .with_context(wrong)?;
    // Where a server seals, this leaves it to the server.
    app.seal().await?;
    let since = export.since.map(Timestamp::from_millis);
    let begun = app.begin_export(since).await?;
    file.write_all(begun.head.as_bytes()).with_context(wrong)?;
    let last = *begun.numbers.end();
    let mut count = 0;
    for number in begun.numbers {
        let lines = app.export_checkpoint(number).await?;
        file.write_all(lines.as_bytes()).with_context(wrong)?;
        count += 1;
    }
    let unsealed = app.export_unsealed(last).await?;
    file.write_all(unsealed.as_bytes()).with_context(wrong)?;
    file.sync_all().with_context(wrong)?;
    app.store.close().await;
    Ok(count)
}

/// Over at SIGINT or SIGTERM.
async fn shutdown() {
    use tokio::signal::unix::{SignalKind, signal};

    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        tracing::error!("signals cannot be waited for; stop the program by other means");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
