//! Our verifier on a real server, over a real connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hallpass::app::maintenance;
use hallpass::http::server::{self, ServerLimits, plain_problem};
use hallpass::verifier::{Request, Verifier, VerifierBuilder};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::support::town::{Key, Session, Town};

/// A town that serves on a port.
pub(super) struct Served {
    pub(super) town: Town,
    address: SocketAddr,
    _maintenance: JoinSet<()>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Served {
    async fn new() -> Self {
        Self::at(Town::new().await, "127.0.0.1:0".parse().unwrap()).await
    }

    pub(super) async fn at(town: Town, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = town.app();
        let limits = ServerLimits {
            connections_max: 1000,
            request_timeout: Duration::from_secs(30),
            header_read_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
        };
        let (stop, stopped) = oneshot::channel();
        let router = town.router();
        let waiting = Arc::clone(&app);
        let server = tokio::spawn(async move {
            let shutdown = async move {
                drop(stopped.await);
                waiting.stop_waiting();
            };
            server::run(listener, router, limits, Arc::new(plain_problem), shutdown).await;
        });
        Self {
            _maintenance: maintenance::spawn(&app),
            town,
            address,
            stop,
            server,
        }
    }

    /// A verifier of live tokens. The issuer's name is that of the town, not where it listens.
    fn verifier(&self) -> Verifier {
        self.verifier_with(|builder| builder)
    }

    pub(super) fn verifier_with(
        &self,
        change: impl FnOnce(VerifierBuilder) -> VerifierBuilder,
    ) -> Verifier {
        let builder = Verifier::builder(Town::issuer())
            .audience(format!("{}/api", Town::issuer()))
            .jwks_url(format!("http://{}/.well-known/jwks.json", self.address))
            .feed_url(format!("http://{}/v1/revocations", self.address))
            .clock(self.town.clock());
        change(builder).build().unwrap()
    }

    pub(super) async fn stop(self) -> (Town, SocketAddr) {
        assert_eq!(self.stop.send(()), Ok(()));
        self.server.await.unwrap();
        (self.town, self.address)
    }
}

async fn session(key: &Key) -> Session {
    key.session(json!({"allowedRoutes": ["bot/**"]})).await
}

async fn code(verifier: &Verifier, session: &Session) -> &'static str {
    let request = Request::new("GET", "/v1/bot/b1");
    let outcome = verifier.verify(&session.token, &request).await;
    outcome.map_or_else(|error| error.code(), |_| "ok")
}

/// Waits until a verifier says so. The test's own time limit ends it otherwise.
async fn until(verifier: &Verifier, session: &Session, wanted: &str) {
    let looking = async {
        while code(verifier, session).await != wanted {
            verifier.next_document().await;
        }
    };
    let outcome = tokio::time::timeout(Duration::from_secs(20), looking).await;
    assert!(outcome.is_ok(), "{wanted}: {:?}", verifier.status());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_session_is_refused_and_the_others_go_on() {
    let served = Served::new().await;
    let shop = served.town.account("shop").await;
    let key = shop.full_key().await;
    let (one, other) = (session(&key).await, session(&key).await);
    let verifier = served.verifier();
    verifier.ready().await;
    assert_eq!(code(&verifier, &one).await, "ok");

    let path = format!("/v1/session/{}/revoke", one.id);
    key.post(&path, json!({})).await.ok();

    until(&verifier, &one, "session_ended").await;
    assert_eq!(code(&verifier, &other).await, "ok");
    let operator = served.town.operator().full_key().await;
    let path = format!("/v1/user/{}/suspend", shop.id);
    operator.post(&path, json!({})).await.ok();
    until(&verifier, &other, "session_ended").await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_signing_key_is_refused_within_the_bound() {
    let served = Served::new().await;
    let key = served.town.account("shop").await.full_key().await;
    let operator = served.town.operator_key().await;
    let session = session(&key).await;
    let verifier = served.verifier();
    verifier.ready().await;
    assert_eq!(code(&verifier, &session).await, "ok");

    let kid = crate::support::town::jose_header(&session.token)["kid"].clone();
    let path = format!("/v1/signing-key/{}/revoke", kid.as_str().unwrap());
    operator.post(&path, json!({})).await.ok();

    until(&verifier, &session, "key_revoked").await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_an_outage_nor_a_restart_lets_a_revoked_session_live_again() {
    let served = Served::new().await;
    let key = served.town.account("shop").await.full_key().await;
    let (one, other, third) = (
        session(&key).await,
        session(&key).await,
        session(&key).await,
    );
    let verifier = served.verifier();
    verifier.ready().await;
    let revoke = async |session: &Session| {
        let path = format!("/v1/session/{}/revoke", session.id);
        key.post(&path, json!({})).await.ok();
    };
    revoke(&one).await;
    until(&verifier, &one, "session_ended").await;

    // The network is gone; the service goes on and ends another session.
    let (town, address) = served.stop().await;
    revoke(&other).await;
    town.advance_ms(10_001);
    assert_eq!(code(&verifier, &other).await, "revocation_unknown");
    assert_eq!(code(&verifier, &third).await, "revocation_unknown");
    assert_eq!(code(&verifier, &one).await, "session_ended");

    town.restart().await;
    let served = Served::at(town, address).await;
    until(&verifier, &third, "ok").await;
    assert_eq!(code(&verifier, &one).await, "session_ended");
    assert_eq!(code(&verifier, &other).await, "session_ended");
    // And so a verifier that starts only now.
    let young = served.verifier();
    young.ready().await;
    assert_eq!(code(&young, &one).await, "session_ended");
    assert_eq!(code(&young, &other).await, "session_ended");
    assert_eq!(code(&young, &third).await, "ok");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_put_back_ends_everything() {
    let served = Served::new().await;
    let key = served.town.account("shop").await.full_key().await;
    let session = session(&key).await;
    let verifier = served.verifier();
    verifier.ready().await;
    assert_eq!(code(&verifier, &session).await, "ok");

    served
        .town
        .sql("UPDATE change_head SET log_id = log_id + 1")
        .await;

    until(&verifier, &session, "session_of_other_log").await;
    served.stop().await;
}
