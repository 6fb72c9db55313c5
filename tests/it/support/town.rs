//! A town: the whole service over an empty database, called in process, and the people in it.
//!
//! ```ignore
//! let town = Town::new().await;
//! let shop = town.account("shop").await;
//! let till = shop.key(json!({"allowedRoutes": ["order/**", "session/create"]})).await;
//!
//! let answer = till.post("/v1/session/create", json!({"allowedRoutes": ["**"]})).await;
//!
//! answer.refused(403, "ROUTE_NOT_COVERED");
//! ```
//!
//! Everything is made through the public API. Every answer is held against `openapi.yaml`; one that
//! is not documented fails the test. The clock stands still until a test moves it, and nothing is
//! done in the background: a test calls [`Town::write_batches`] and its like itself.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use hallpass::app::App;
use hallpass::app::start::Parts;
use hallpass::clock::{Clock as _, ManualClock};
use hallpass::domain::id::AccountId;
use hallpass::domain::time::Timestamp;
use hallpass::entropy::{Entropy, SeededEntropy};
use hallpass::http::server::{self, PeerAddr};
use hallpass::http::{LocalOperator, templates};
use hallpass::metrics::Metrics;
use hallpass::service;
use hallpass::settings::{Settings, SettingsArgs};
use hallpass::token::MasterKey;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::database::{Kind, TestDatabase};
use crate::openapi::{Contract, Violation};

static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::load);

/// 2026-01-01T00:00:00Z.
const NEW_YEAR_MS: i64 = 1_767_225_600_000;
const MASTER_KEY: [u8; 32] = [7; 32];
/// Where callers sit who say nothing else. Documentation addresses of RFC 5737.
const HOME: &str = "192.0.2.1";
const ISSUER: &str = "https://hallpass.test";

/// One node of the service over its database.
#[derive(Clone)]
pub(crate) struct Town(Arc<Inner>);

struct Inner {
    app: Mutex<Arc<App>>,
    clock: Arc<ManualClock>,
    entropy: Arc<dyn Entropy>,
    settings: Settings,
    first_key: String,
    operator: String,
    db: Arc<TestDatabase>,
}

impl fmt::Debug for Town {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Town").finish_non_exhaustive()
    }
}

impl Town {
    /// A town with the default settings.
    pub(crate) async fn new() -> Self {
        Self::with_settings("").await
    }

    /// A town with these settings, as `hallpass.toml` has them.
    pub(crate) async fn with_settings(toml: &str) -> Self {
        let db = TestDatabase::fresh(Kind::from_environment()).await.unwrap();
        let settings = settings(toml);
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(NEW_YEAR_MS)));
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(1));
        let (app, first) = start(&db, &settings, &clock, &entropy).await;
        let (operator, first_key) = first.expect("the database is empty");
        Self(Arc::new(Inner {
            app: Mutex::new(app),
            clock,
            entropy,
            settings,
            first_key,
            operator,
            db: Arc::new(db),
        }))
    }

    /// Another node over the same database, with the same clock.
    pub(crate) async fn second_node(&self) -> Self {
        let inner = &*self.0;
        let (app, first) = start(&inner.db, &inner.settings, &inner.clock, &inner.entropy).await;
        assert!(first.is_none(), "the first start is over");
        Self(Arc::new(Inner {
            app: Mutex::new(app),
            clock: Arc::clone(&inner.clock),
            entropy: Arc::clone(&inner.entropy),
            settings: inner.settings.clone(),
            first_key: inner.first_key.clone(),
            operator: inner.operator.clone(),
            db: Arc::clone(&inner.db),
        }))
    }

    /// Stops this node and starts it again.
    pub(crate) async fn restart(&self) {
        let inner = &*self.0;
        self.app().store.close().await;
        let (app, first) = start(&inner.db, &inner.settings, &inner.clock, &inner.entropy).await;
        assert!(first.is_none(), "the first start is over");
        *inner.app.lock().unwrap() = app;
    }

    /// The use cases, for what no request can do.
    pub(crate) fn app(&self) -> Arc<App> {
        Arc::clone(&self.0.app.lock().unwrap())
    }

    /// The router, for a test that serves it.
    pub(crate) fn router(&self) -> axum::Router {
        service::edge(&self.app(), &self.0.settings)
    }

    /// The answer to what a gateway asks, on the way on which a real one gets it. Nothing when a
    /// request is not for that way.
    fn fast(&self, request: &Request<Body>) -> Option<impl Future<Output = Response> + use<>> {
        let peer = request.extensions().get::<PeerAddr>()?;
        let target = request.uri().path_and_query()?;
        let mut head = format!("{} {target} HTTP/1.1\r\n", request.method()).into_bytes();
        for (name, value) in request.headers() {
            // HTTP/1.1 cuts white space around a value (RFC 9110 §5.5), and HTTP/2 does not.
            if value.as_bytes().trim_ascii() != value.as_bytes() {
                return None;
            }
            let lines = [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"];
            head.extend(lines.concat());
        }
        head.extend(b"\r\n");
        let handler = service::handler(&self.app(), &self.0.settings);
        let answered = server::answer_head(&handler, *peer, &head)?;
        Some(async move {
            match answered {
                Ok(bytes) => read_answer(&bytes),
                Err(started) => started.answer().await,
            }
        })
    }

    /// The clock, for whoever shares it.
    pub(crate) fn clock(&self) -> Arc<ManualClock> {
        Arc::clone(&self.0.clock)
    }

    /// The documented operations.
    pub(crate) fn contract() -> &'static Contract {
        &CONTRACT
    }

    /// The live issuer.
    pub(crate) fn issuer() -> &'static str {
        ISSUER
    }

    /// Milliseconds since 1970, as the service sees them.
    pub(crate) fn now_ms(&self) -> i64 {
        self.0.clock.now().millis()
    }

    /// Lets time pass.
    pub(crate) fn advance_secs(&self, secs: i64) {
        self.0.clock.advance_ms(secs * 1000);
    }

    /// Lets time pass.
    pub(crate) fn advance_ms(&self, ms: i64) {
        self.0.clock.advance_ms(ms);
    }

    /// Writes what waits to be written: last uses and refusals.
    pub(crate) async fn write_batches(&self) {
        self.app().write_batches().await.unwrap();
    }

    /// Reads what other nodes did.
    pub(crate) async fn poll(&self) {
        self.app().poll().await.unwrap();
    }

    /// Reads the change log, and not what depends on it, as a request may in the middle of a poll.
    pub(crate) async fn read_log(&self) {
        let mut read = self.app().store.read().await.unwrap();
        self.app().pulse.refresh(read.conn()).await.unwrap();
    }

    /// Rotates signing keys by the clock, and whatever else is done for them from time to time.
    pub(crate) async fn keep_signing_keys(&self) {
        self.app().keep_signing_keys().await.unwrap();
    }

    /// Seals the ledger, and says how many entries that were.
    pub(crate) async fn seal(&self) -> usize {
        self.app().seal().await.unwrap()
    }

    /// Sends what webhooks are to be told, and says how many attempts that were.
    pub(crate) async fn deliver(&self) -> usize {
        self.app().deliver_due().await.unwrap()
    }

    /// Every row of every table, but for the head of the change log, which only says where the last
    /// change stood.
    pub(crate) async fn database(&self) -> BTreeMap<&'static str, Vec<String>> {
        let mut raw = self.0.db.raw().await;
        let mut dump = BTreeMap::new();
        for table in TABLES {
            let rows = match self.0.db.kind() {
                Kind::Sqlite => {
                    let names = format!("SELECT name FROM pragma_table_info('{table}')");
                    let columns = raw.texts(&names).await.concat();
                    let quoted: Vec<String> = columns
                        .iter()
                        .map(|name| format!("quote({name})"))
                        .collect();
                    let all = quoted.join(" || ', ' || ");
                    raw.texts(&format!("SELECT {all} FROM {table} ORDER BY 1"))
                        .await
                }
                Kind::Postgres => {
                    raw.texts(&format!("SELECT t::text FROM {table} t ORDER BY 1"))
                        .await
                }
            };
            dump.insert(*table, rows.concat());
        }
        dump
    }

    /// A statement that goes around the service, for what a test cannot do otherwise.
    pub(crate) async fn sql(&self, statement: &str) -> u64 {
        self.0.db.raw().await.execute(statement).await
    }

    /// Bytes as a literal of a statement.
    pub(crate) fn blob(&self, bytes: &[u8]) -> String {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let hex = hex.concat();
        match self.0.db.kind() {
            Kind::Sqlite => format!("x'{hex}'"),
            Kind::Postgres => format!("'\\x{hex}'"),
        }
    }

    /// Somebody without a credential.
    pub(crate) fn nobody(&self) -> Caller {
        Caller {
            town: self.clone(),
            local: None,
            headers: Vec::new(),
            address: Some(HOME.parse().unwrap()),
        }
    }

    /// Whoever holds this key or token.
    pub(crate) fn bearer(&self, credential: &str) -> Caller {
        self.nobody()
            .header("authorization", &format!("Bearer {credential}"))
    }

    /// The operator at the command line.
    pub(crate) fn cli(&self) -> Caller {
        Caller {
            local: Some(LocalOperator(None)),
            ..self.nobody()
        }
    }

    /// The operator at the command line, for an account.
    pub(crate) fn cli_for(&self, account: &str) -> Caller {
        Caller {
            local: Some(LocalOperator(Some(AccountId::parse(account).unwrap()))),
            ..self.nobody()
        }
    }

    /// The operator account.
    pub(crate) fn operator(&self) -> Account {
        Account {
            town: self.clone(),
            id: self.0.operator.clone(),
        }
    }

    /// The key that the first start printed: unrestricted, in the operator account, and no operator
    /// key.
    pub(crate) async fn first_key(&self) -> Key {
        let caller = self.bearer(&self.0.first_key);
        let shown = caller.get("/v1/token/self/fetch").await.ok();
        Key {
            caller,
            id: text(&shown["token"]["id"]),
            token: self.0.first_key.clone(),
        }
    }

    /// An unrestricted operator key.
    pub(crate) async fn operator_key(&self) -> Key {
        let body = json!({"operator": true, "unrestricted": true});
        self.operator().make_key(body).await
    }

    /// A new child of the operator account.
    pub(crate) async fn account(&self, name: &str) -> Account {
        self.operator().child(name).await
    }
}

const TABLES: &[&str] = &[
    "instance",
    "change_log",
    "account",
    "api_key",
    "api_key_secret",
    "session",
    "audit",
    "signing_key",
    "webhook",
    "webhook_event",
    "webhook_delivery",
    "webhook_notice",
    "ledger_key",
    "ledger_checkpoint",
    "idempotency",
    "dashboard_sign_in",
];

fn settings(toml: &str) -> Settings {
    let args = SettingsArgs {
        issuer: Some(ISSUER.to_owned()),
        ..SettingsArgs::default()
    };
    let file = |_: &Path| match toml {
        "" => Err(io::ErrorKind::NotFound.into()),
        toml => Ok(toml.to_owned()),
    };
    Settings::load(&args, &|_| None, &file).unwrap()
}

async fn start(
    db: &TestDatabase,
    settings: &Settings,
    clock: &Arc<ManualClock>,
    entropy: &Arc<dyn Entropy>,
) -> (Arc<App>, Option<(String, String)>) {
    let clock: Arc<dyn hallpass::clock::Clock> = Arc::<ManualClock>::clone(clock);
    let parts = Parts {
        store: db.store().await,
        clock: Arc::clone(&clock),
        entropy: Arc::clone(entropy),
        policy: service::policy(settings).unwrap(),
        metrics: Arc::new(Metrics::new(clock, templates())),
        master: master_key(),
    };
    let (app, first) = App::start(parts).await.unwrap();
    let first = first.map(|first| (first.operator.to_string(), first.key.expose().to_owned()));
    (app, first)
}

fn master_key() -> MasterKey {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(MASTER_KEY);
    MasterKey::parse(&text).unwrap()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

/// An account; the operator at the command line makes its first keys and its children.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) town: Town,
    pub(crate) id: String,
}

impl Account {
    /// The operator at the command line, for this account.
    pub(crate) fn cli(&self) -> Caller {
        self.town.cli_for(&self.id)
    }

    /// A new child of this account.
    pub(crate) async fn child(&self, name: &str) -> Account {
        self.child_with(json!({"name": name})).await
    }

    /// A new child of this account, from the body of `user/create`.
    pub(crate) async fn child_with(&self, body: Value) -> Account {
        let made = self.cli().post("/v1/user/create", body).await.ok();
        Account {
            town: self.town.clone(),
            id: text(&made["id"]),
        }
    }

    /// A new unrestricted key.
    pub(crate) async fn full_key(&self) -> Key {
        self.make_key(json!({"unrestricted": true})).await
    }

    /// A new key with these restrictions.
    pub(crate) async fn key(&self, config: Value) -> Key {
        self.make_key(json!({"config": config})).await
    }

    /// A new unrestricted test key.
    pub(crate) async fn test_key(&self) -> Key {
        self.make_key(json!({"unrestricted": true, "environment": "test"}))
            .await
    }

    /// A new key, from the whole body of `token/create`.
    pub(crate) async fn make_key(&self, body: Value) -> Key {
        let made = self.cli().post("/v1/token/create", body).await.ok();
        Key::of(&self.town, &made)
    }
}

/// Somebody with a key.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    caller: Caller,
    pub(crate) id: String,
    pub(crate) token: String,
}

impl Key {
    /// The one who holds it.
    pub(crate) fn caller(&self) -> Caller {
        self.caller.clone()
    }

    /// The key in an answer of `token/create` or `token/rotate`.
    pub(crate) fn of(town: &Town, made: &Value) -> Self {
        let token = text(&made["token"]);
        Self {
            caller: town.bearer(&token),
            id: text(&made["id"]),
            token,
        }
    }

    /// Makes another key with this one, for the same account, from the body of `token/create`.
    pub(crate) async fn make_key(&self, body: Value) -> Key {
        let made = self.post("/v1/token/create", body).await.ok();
        Key::of(&self.caller.town, &made)
    }

    /// Mints a session from the body of `session/create`.
    pub(crate) async fn session(&self, body: Value) -> Session {
        let made = self.post("/v1/session/create", body).await.ok();
        Session::of(&self.caller.town, &made)
    }
}

impl Deref for Key {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

/// Somebody with a session token.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    caller: Caller,
    pub(crate) id: String,
    pub(crate) token: String,
}

impl Session {
    /// The one who holds it.
    pub(crate) fn caller(&self) -> Caller {
        self.caller.clone()
    }

    /// The session in an answer that has one.
    pub(crate) fn of(town: &Town, made: &Value) -> Self {
        let token = text(&made["token"]);
        // On a profile `id` is the resource.
        let id = made.get("sessionId").unwrap_or(&made["id"]);
        Self {
            caller: town.bearer(&token),
            id: text(id),
            token,
        }
    }

    /// The claims in the token, unverified.
    pub(crate) fn claims(&self) -> Value {
        claims(&self.token)
    }
}

impl Deref for Session {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

/// The claims in a token, unverified.
pub(crate) fn claims(token: &str) -> Value {
    part(token, 1)
}

/// The header of a token.
pub(crate) fn jose_header(token: &str) -> Value {
    part(token, 0)
}

fn part(token: &str, index: usize) -> Value {
    use base64::Engine as _;
    let part = token.split('.').nth(index).unwrap();
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(part)
        .unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// Whoever sends a request: headers, and an address.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    town: Town,
    local: Option<LocalOperator>,
    headers: Vec<(String, Vec<u8>)>,
    address: Option<IpAddr>,
}

impl Caller {
    /// With one more header; one that is there already stays.
    pub(crate) fn header(&self, name: &str, value: &str) -> Self {
        self.raw_header(name, value.as_bytes())
    }

    /// With one more header, of any bytes.
    pub(crate) fn raw_header(&self, name: &str, value: &[u8]) -> Self {
        let mut other = self.clone();
        other.headers.push((name.to_owned(), value.to_owned()));
        other
    }

    /// From a page of this origin.
    pub(crate) fn origin(&self, origin: &str) -> Self {
        self.header("origin", origin)
    }

    /// From this address.
    pub(crate) fn address(&self, address: &str) -> Self {
        Self {
            address: Some(address.parse().unwrap()),
            ..self.clone()
        }
    }

    /// From nobody knows where.
    pub(crate) fn no_address(&self) -> Self {
        Self {
            address: None,
            ..self.clone()
        }
    }

    /// With the header that asks to act as this account.
    pub(crate) fn acting_as(&self, account: &Account) -> Self {
        self.header("x-runas-user-id", &account.id)
    }

    /// With an `Idempotency-Key`.
    pub(crate) fn idempotent(&self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// GET.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, Vec::new()).await
    }

    /// POST with a JSON body.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        let body = serde_json::to_vec(&body).unwrap();
        self.post_bytes(path, body).await
    }

    /// POST with a body that says it is JSON.
    pub(crate) async fn post_bytes(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.header("content-type", "application/json")
            .send("POST", path, body.into())
            .await
    }

    /// POST with a form.
    pub(crate) async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let escape = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
            .collect();
        self.header("content-type", "application/x-www-form-urlencoded")
            .send("POST", path, fields.join("&").into_bytes())
            .await
    }

    /// Any request. The answer is held against `openapi.yaml`.
    pub(crate) async fn send(&self, method: &str, path: &str, body: Vec<u8>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in &self.headers {
            request = request.header(name.as_str(), value.as_slice());
        }
        let mut request = request.body(Body::from(body)).unwrap();
        if let Some(address) = self.address {
            let peer = PeerAddr(SocketAddr::new(address, 40_000));
            request.extensions_mut().insert(peer);
        }
        if let Some(local) = &self.local {
            request.extensions_mut().insert(local.clone());
        }
        let response = match self.town.fast(&request) {
            Some(response) => response.await,
            None => self.town.router().oneshot(request).await.unwrap(),
        };
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        let answer = Answer {
            request: format!("{method} {path}"),
            status: parts.status,
            headers: parts.headers,
            body,
        };
        answer.check_contract(method, path);
        answer
    }
}

/// An answer from its bytes.
fn read_answer(bytes: &[u8]) -> Response {
    let mut lines = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Response::new(&mut lines);
    let len = parsed.parse(bytes).unwrap().unwrap();
    let mut answer = Response::builder().status(parsed.code.unwrap());
    for line in parsed.headers {
        answer = answer.header(line.name, line.value);
    }
    answer.body(Body::from(bytes[len..].to_vec())).unwrap()
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    request: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body of a 200.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        self.status(200);
        self.json()
    }

    /// The body of a refusal with this status and `error.code` (or, of OAuth, `error`).
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> Value {
        self.status(status);
        let body = self.json();
        let told = body["error"].get("code").unwrap_or(&body["error"]);
        assert_eq!(told, code, "{self}");
        body
    }

    /// Only the status.
    #[track_caller]
    pub(crate) fn status(&self, status: u16) {
        assert_eq!(self.status.as_u16(), status, "{self}");
    }

    /// The body.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// The lines of a list that was streamed.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.status(200);
        let text = self.text();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header, if it is there; `None` for one that is there twice.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        values.next().is_none().then_some(value.to_str().ok()?)
    }

    /// The body with the request id blotted out, to compare two refusals byte by byte.
    pub(crate) fn without_request_id(&self) -> String {
        let id = self.header("x-request-id").unwrap_or_default();
        self.text().replace(id, "req_")
    }

    /// What holds for every answer of the dashboard.
    fn check_page(&self) {
        let policy = self.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none';"), "{self}");
        assert!(policy.contains("frame-ancestors 'none'"), "{self}");
        assert!(!policy.contains("unsafe"), "{self}");
        assert_eq!(self.header("x-frame-options"), Some("DENY"), "{self}");
        assert_eq!(self.header("referrer-policy"), Some("same-origin"));
        if self.header("content-type") != Some("text/html; charset=utf-8") {
            return;
        }
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self}");
        let page = self.text().to_lowercase();
        // What stands in tags alone: in text it is a name that somebody chose.
        let tags = page
            .split('<')
            .skip(1)
            .filter_map(|part| part.split('>').next());
        for tag in tags {
            let inline = [
                " style=",
                " onclick=",
                " onload=",
                " onerror=",
                "javascript:",
            ];
            let found = inline.iter().find(|inline| tag.contains(**inline));
            assert!(found.is_none() || tag.contains(" value="), "{tag}: {self}");
            assert_ne!(tag, "style", "{self}");
        }
        assert_eq!(
            page.matches("<script").count(),
            page.matches("<script src=").count()
        );
        assert!(
            !page.contains("href=\"http") && !page.contains("src=\"http"),
            "{self}"
        );
    }

    fn check_contract(&self, method: &str, path: &str) {
        assert!(self.header("x-request-id").is_some(), "{self}");
        let challenged = self.headers.contains_key("www-authenticate");
        assert_eq!(
            self.status == StatusCode::UNAUTHORIZED,
            challenged,
            "{self}"
        );
        if method == "OPTIONS" || method == "HEAD" {
            return;
        }
        if path == "/" || path.starts_with("/?") || path.starts_with("/ui/") {
            return self.check_page();
        }
        let status = self.status.as_u16();
        let checked = match self.header("content-type") {
            _ if self.body.is_empty() => {
                CONTRACT.check_response(method, path, status, &Value::Null)
            }
            Some("application/jsonl") => self
                .lines()
                .iter()
                .try_for_each(|line| CONTRACT.check_line(path, line)),
            Some(json) if json.ends_with("json") => {
                CONTRACT.check_response(method, path, status, &self.json())
            }
            Some(_) => CONTRACT.check_response(method, path, status, &Value::String(self.text())),
            None => CONTRACT.check_response(method, path, status, &Value::Null),
        };
        match checked {
            Ok(()) => {}
            // Where nothing is, there is nothing to document.
            Err(Violation::NoOperation { .. }) if [400, 404, 405].contains(&status) => {}
            // Every path has other methods, and an ambiguous path belongs to no operation.
            Err(Violation::NoStatus { .. }) if status == 405 => {}
            Err(violation) => panic!("openapi.yaml: {violation}\n{self}"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {} {}", self.request, self.status, self.text())
    }
}
