//! A whole service on SQLite in a temporary folder, for benchmarks that go through the use cases.
//!
//! Nothing is switched off: the write-ahead log is synced at each commit, liveness, ledger and
//! limits are as in `hallpass serve`.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use hallpass::app::App;
use hallpass::app::authorise::{Credential, Facts, Need, Presented, RouteCheck};
use hallpass::domain::binding::NamedValues;
use hallpass::domain::decision::BindingCheck;
use hallpass::domain::id::{AccountId, RequestId};
use hallpass::domain::route::RequestPath;
use hallpass::domain::secret::PlainKey;
use hallpass::service;
use hallpass::settings::{Settings, SettingsArgs};
use hallpass::token::Algorithm;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

/// What `POST session/create` asks of its caller.
const MINT: Need = Need {
    door: hallpass::app::authorise::Door::Own,
    route: RouteCheck::Always,
    sessions: false,
    manage: None,
    operator: false,
    bindings: BindingCheck::WithBody,
    run_as_header: true,
    live: false,
};

/// A service that has just had its first start.
pub(crate) struct Service {
    /// Where everything runs.
    pub(crate) runtime: Runtime,
    /// The use cases.
    pub(crate) app: Arc<App>,
    /// The service as HTTP sees it, without the socket.
    pub(crate) router: Router,
    /// The operator account.
    pub(crate) operator: AccountId,
    /// Its first key, which is unrestricted.
    pub(crate) first: PlainKey,
    _folder: TempDir,
}

impl Service {
    /// Starts one that signs with an algorithm.
    pub(crate) fn start(algorithm: Algorithm) -> Self {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hallpass.db");
        let environment = HashMap::from([
            (
                "HALLPASS_DATABASE_URL",
                format!("sqlite://{}", file.display()),
            ),
            (
                "HALLPASS_KEYS_DIR",
                folder.path().join("keys").display().to_string(),
            ),
            ("HALLPASS_ALGORITHM", algorithm.as_str().to_owned()),
        ]);
        let settings = Settings::load(
            &SettingsArgs::default(),
            &|name| environment.get(name).cloned(),
            &|_| Err(io::ErrorKind::NotFound.into()),
        )
        .unwrap();
        let (app, first) = runtime.block_on(service::open(&settings)).unwrap();
        let first = first.unwrap();
        Self {
            router: service::edge(&app, &settings),
            operator: first.operator,
            first: first.key,
            runtime,
            app,
            _folder: folder,
        }
    }

    /// Calls the router as a client does, and gives the answer, which must be a good one.
    pub(crate) fn post(&self, key: &PlainKey, path: &str, body: String) -> Value {
        let request = Request::post(path)
            .header("authorization", format!("Bearer {}", key.expose()))
            .header("content-type", "application/json")
            .body(Body::from(body))
            .unwrap();
        serde_json::from_slice(&self.send(request)).unwrap()
    }

    /// Asks the router for what everybody may have.
    pub(crate) fn get(&self, path: &str) -> Bytes {
        self.send(Request::get(path).body(Body::empty()).unwrap())
    }

    fn send(&self, request: Request<Body>) -> Bytes {
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await.unwrap();
            let status = response.status();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(status.is_success(), "{status}: {body:?}");
            body
        })
    }

    /// A new key.
    pub(crate) fn key(&self, body: &Value) -> PlainKey {
        let answer = self.post(&self.first, "/v1/token/create", body.to_string());
        PlainKey::parse(answer.get("token").unwrap().as_str().unwrap()).unwrap()
    }

    /// A request to mint, as the edge hands it to the use cases.
    pub(crate) fn presented(&self, key: PlainKey) -> Presented {
        Presented {
            credential: Credential::Key(key),
            wish: None,
            facts: Facts {
                request: RequestId::new(self.app.now(), &*self.app.entropy).unwrap(),
                method: "POST".to_owned(),
                path: RequestPath::from_segments(["session", "create"]).unwrap(),
                method_override: false,
                address: Some(IpAddr::from([192, 0, 2, 1])),
                agent: Some("benchmark".to_owned()),
                origin: None,
                named: NamedValues::new(),
            },
            need: MINT,
        }
    }
}
