//! A service that listens on the loopback address, and verifiers that follow it.

use std::sync::Arc;
use std::time::Duration;

use hallpass::app::maintenance;
use hallpass::http::server::{self, ServerLimits, plain_problem};
use hallpass::verifier::{Verifier, VerifierBuilder};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::support::Service;

/// Where it listens, and what stops it when it is dropped.
pub(crate) struct Served {
    pub(crate) url: String,
    _stop: oneshot::Sender<()>,
}

/// Listens, and does all that `hallpass serve` does by the clock.
pub(crate) fn serve(service: &Service) -> Served {
    let listener = service
        .runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let limits = ServerLimits {
        connections_max: 10_000,
        request_timeout: Duration::from_secs(30),
        header_read_timeout: Duration::from_secs(10),
        drain_timeout: Duration::from_millis(1),
    };
    let router = service.router.clone();
    let app = Arc::clone(&service.app);
    let (stop, stopped) = oneshot::channel();
    service.runtime.spawn(async move {
        let mut tasks = maintenance::spawn(&app);
        let shutdown = async { drop(stopped.await) };
        server::run(listener, router, limits, Arc::new(plain_problem), shutdown).await;
        tasks.shutdown().await;
    });
    Served { url, _stop: stop }
}

/// A verifier that is ready.
pub(crate) fn verifier(
    service: &Service,
    served: &Served,
    change: impl FnOnce(VerifierBuilder) -> VerifierBuilder,
) -> Verifier {
    let _guard = service.runtime.enter();
    let issuer = &service.app.policy.issuer;
    let builder = Verifier::builder(issuer)
        .audience(format!("{issuer}/api"))
        .jwks_url(format!("{}/.well-known/jwks.json", served.url))
        .feed_url(format!("{}/v1/revocations", served.url));
    let verifier = change(builder).build().unwrap();
    service.runtime.block_on(verifier.ready());
    verifier
}
