//! The yardsticks: axum with nothing, with a signature, with a signature and a durable record.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use aws_lc_rs::digest;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::commit::Writer;
use crate::sign::Signer;

/// The key that the benchmark presents to a yardstick that looks its callers up.
const KEY: &str = "sk_live_yardstick";

struct Yardstick {
    signer: Signer,
    record: Option<(Writer, HashMap<Vec<u8>, String>)>,
}

/// Serves a handler that does nothing, but is asked what the gate is asked and answers what the gate
/// answers: the headers in a file, one a line. Until it is killed.
pub(crate) fn answer(head: &str) -> Result<()> {
    let head = std::fs::read_to_string(head)?;
    let lines = head.lines().map(|line| {
        let (name, value) = line.split_once(':').context("no header")?;
        let name = HeaderName::from_bytes(name.as_bytes())?;
        Ok((name, HeaderValue::from_str(value.trim())?))
    });
    let headers: Arc<[(HeaderName, HeaderValue)]> = lines.collect::<Result<Vec<_>>>()?.into();
    let told = get(async move || {
        let mut response = Response::new(Body::from(Bytes::from_static(b"{\"allowed\":true}")));
        response.headers_mut().extend(headers.iter().cloned());
        response
    });
    runtime()?.block_on(run(Router::new().route("/v1/authorize/nginx", told)))
}

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}

/// Serves until it is killed.
pub(crate) fn serve(algorithm: Option<&str>, database: Option<&str>) -> Result<()> {
    runtime()?.block_on(async {
        let mut router = Router::new().route("/", get(async || "hello"));
        if let Some(algorithm) = algorithm {
            let record = match database {
                None => None,
                Some(file) => {
                    let known = HashMap::from([(sha256(KEY.as_bytes()), "account".to_owned())]);
                    Some((Writer::start(file).await?, known))
                }
            };
            let signer = Signer::generate(algorithm)?;
            let yardstick = Arc::new(Yardstick { signer, record });
            let minting = Router::new()
                .route("/v1/session/create", post(create))
                .with_state(yardstick);
            router = router.merge(minting);
        }
        run(router).await
    })
}

async fn run(router: Router) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("ready {}", listener.local_addr()?.port());
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            eprintln!("delayed: {error}");
        }
    });
    axum::serve(listener, router).await?;
    Ok(())
}

async fn create(
    State(yardstick): State<Arc<Yardstick>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match minted(&yardstick, &headers, &body).await {
        Ok(Some(answer)) => {
            (StatusCode::OK, [(CONTENT_TYPE, "application/json")], answer).into_response()
        }
        Ok(None) => StatusCode::UNAUTHORIZED.into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error:#}")).into_response(),
    }
}

async fn minted(
    yardstick: &Yardstick,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Option<Vec<u8>>> {
    let wanted = serde_json::from_slice(body)?;
    if let Some((writer, known)) = &yardstick.record {
        let header = headers.get(AUTHORIZATION).context("no credential")?;
        let key = header.to_str()?.strip_prefix("Bearer ");
        let digest = sha256(key.context("no bearer")?.as_bytes());
        if !known.contains_key(&digest) {
            return Ok(None);
        }
        let minted = yardstick.signer.mint(wanted)?;
        writer.keep(&minted).await?;
        return Ok(Some(serde_json::to_vec(&minted)?));
    }
    let minted = yardstick.signer.mint(wanted)?;
    Ok(Some(serde_json::to_vec(&minted)?))
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}
