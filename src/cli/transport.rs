//! How a request reaches the API: over the network, or in this process on the database.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::http::{Request as HttpRequest, Response as HttpResponse, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use serde_json::Value;

use super::error::{CliError, UsageError};
use super::request::{Method, Request, Response};
use super::values::Secret;

/// An answer of the API is a page of 100 items at most.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(30);
/// What RFC 3986 calls unreserved stays as it is.
const QUERY: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A future whose type has no name.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How requests reach the API.
#[derive(Debug)]
pub enum Transport {
    /// Over the network, with a key.
    Remote(RemoteClient),
    /// In this process, on the database, as the operator.
    Local(LocalClient),
}

impl Transport {
    /// Sends a request and reads its answer, whatever its status.
    ///
    /// # Errors
    /// [`CliError`] when there is no answer that this API could have given.
    pub async fn call(&self, request: &Request) -> Result<Response, CliError> {
        match self {
            Self::Remote(client) => client.call(request).await,
            Self::Local(client) => client.call(request).await,
        }
    }
}

/// Calls a server.
#[derive(Debug)]
pub struct RemoteClient {
    http: reqwest::Client,
    base: Url,
    key: Option<Secret>,
}

impl RemoteClient {
    /// A client of the server at `url`. Without a key only few endpoints answer.
    ///
    /// # Errors
    /// [`UsageError::Url`].
    pub fn new(url: &str, key: Option<Secret>) -> Result<Self, CliError> {
        Ok(Self {
            http: http_client()?,
            base: base_url(url).ok_or(UsageError::Url)?,
            key,
        })
    }

    /// Whether the key would travel in clear text beyond this machine.
    pub fn is_exposed(&self) -> bool {
        let host = self.base.host_str().unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        self.base.scheme() == "http" && !is_here
    }

    async fn call(&self, request: &Request) -> Result<Response, CliError> {
        if request.as_account.is_some() {
            return Err(UsageError::LocalOnly {
                argument: "--account",
            }
            .into());
        }
        let base = self.base.as_str().trim_end_matches('/');
        let url = format!("{base}{}", target(request));
        let mut call = match request.method {
            Method::Get => self.http.get(url),
            Method::Post => self.http.post(url),
        };
        if let Some(secret) = request.credential.as_ref().or(self.key.as_ref()) {
            call = call.bearer_auth(secret.expose("key")?);
        }
        if let Some(key) = &request.idempotency_key {
            call = call.header("idempotency-key", key);
        }
        if let Some(body) = &request.body {
            call = call
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        let answer = call.send().await.map_err(CliError::Unreachable)?;
        let status = answer.status().as_u16();
        if answer.status().is_redirection() {
            return Err(CliError::Redirect { status });
        }
        let bytes = read_limited(answer, ANSWER_BYTES_MAX).await?;
        read_json(status, &bytes)
    }
}

/// The client for all that this program fetches: 30 s, no redirects.
pub(super) fn http_client() -> Result<reqwest::Client, CliError> {
    reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("hallpass/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(CliError::Unreachable)
}

/// The body, unless it is longer than that.
pub(super) async fn read_limited(
    mut answer: reqwest::Response,
    bytes_max: usize,
) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(CliError::Unreachable)? {
        if bytes.len() + chunk.len() > bytes_max {
            return Err(CliError::AnswerTooLong);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The address of the server, with or without the `/v1` that people copy along.
fn base_url(text: &str) -> Option<Url> {
    let mut url = Url::parse(text.trim()).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !plain {
        return None;
    }
    let path = url.path().trim_end_matches('/');
    let path = path
        .strip_suffix("/api/v1")
        .or_else(|| path.strip_suffix("/v1"))
        .unwrap_or(path)
        .to_owned();
    url.set_path(&path);
    Some(url)
}

/// The request target: path and query, escaped.
fn target(request: &Request) -> String {
    let mut target = format!("/v1/{}", request.path);
    for (index, (name, value)) in request.query.iter().enumerate() {
        target.push(if index == 0 { '?' } else { '&' });
        target.extend(utf8_percent_encode(name, &QUERY));
        target.push('=');
        target.extend(utf8_percent_encode(value, &QUERY));
    }
    target
}

fn read_json(status: u16, bytes: &[u8]) -> Result<Response, CliError> {
    let body: Value = serde_json::from_slice(bytes).map_err(|_| CliError::NotJson { status })?;
    Ok(Response { status, body })
}

/// For which account an operator on the machine acts. It goes along with a local request as an
/// extension. A request that has none presents a credential of its own and is judged by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsAccount(pub Option<String>);

/// Answers a request as the service would.
pub type LocalCall =
    Box<dyn Fn(HttpRequest<HttpBody>) -> BoxFuture<'static, HttpResponse<HttpBody>> + Send + Sync>;

/// Calls the service in this process.
pub struct LocalClient {
    call: LocalCall,
}

impl fmt::Debug for LocalClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalClient")
    }
}

impl LocalClient {
    /// A client of this service. Requests that are the operator's have an [`AsAccount`] among
    /// their extensions.
    pub fn new(call: LocalCall) -> Self {
        Self { call }
    }

    async fn call(&self, request: &Request) -> Result<Response, CliError> {
        let answer = (self.call)(local_request(request)?).await;
        let status = answer.status().as_u16();
        let bytes = axum::body::to_bytes(answer.into_body(), ANSWER_BYTES_MAX)
            .await
            .map_err(|_| CliError::AnswerTooLong)?;
        read_json(status, &bytes)
    }
}

fn local_request(request: &Request) -> Result<HttpRequest<HttpBody>, CliError> {
    let mut builder = HttpRequest::builder()
        .method(request.method.as_str())
        .uri(target(request));
    match &request.credential {
        Some(secret) => {
            let bearer = format!("Bearer {}", secret.expose("token")?);
            builder = builder.header(header::AUTHORIZATION, bearer);
        }
        None => builder = builder.extension(AsAccount(request.as_account.clone())),
    }
    if let Some(key) = &request.idempotency_key {
        builder = builder.header("idempotency-key", key);
    }
    let body = match &request.body {
        Some(body) => {
            builder = builder.header(header::CONTENT_TYPE, "application/json");
            HttpBody::from(body.to_string())
        }
        None => HttpBody::empty(),
    };
    builder
        .body(body)
        .map_err(|error| CliError::Service(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::request::Body;

    #[test]
    fn a_base_is_an_address_and_at_most_a_path() {
        let cases = [
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080/")),
            ("https://a.example/", Some("https://a.example/")),
            ("https://a.example/v1/", Some("https://a.example/")),
            (
                "https://a.example/auth/api/v1",
                Some("https://a.example/auth"),
            ),
            ("https://a.example/auth", Some("https://a.example/auth")),
            ("ftp://a.example", None),
            ("a.example", None),
            ("https://user@a.example", None),
            ("https://:pw@a.example", None),
            ("https://a.example?x", None),
            ("https://a.example#x", None),
        ];
        for (text, wanted) in cases {
            let base = base_url(text);
            assert_eq!(base.as_ref().map(Url::as_str), wanted, "{text}");
        }
    }

    #[test]
    fn a_key_in_clear_text_is_noticed_beyond_this_machine() {
        let cases = [
            ("http://127.0.0.1:8080", false),
            ("http://[::1]:8080", false),
            ("http://localhost", false),
            ("https://a.example", false),
            ("http://a.example", true),
            ("http://10.0.0.1", true),
        ];
        for (url, wanted) in cases {
            assert_eq!(
                RemoteClient::new(url, None).unwrap().is_exposed(),
                wanted,
                "{url}"
            );
        }
    }

    #[test]
    fn a_target_is_escaped() {
        let query = vec![
            ("meta.a&b".to_owned(), "x y=ä".to_owned()),
            ("take".to_owned(), "5".to_owned()),
        ];
        let request = Request::get("token/list").with_query(query);

        assert_eq!(
            target(&request),
            "/v1/token/list?meta.a%26b=x%20y%3D%C3%A4&take=5"
        );
    }

    #[tokio::test]
    async fn a_local_call_is_the_operators_unless_it_presents_a_credential() {
        let client = LocalClient::new(Box::new(|request| {
            Box::pin(async move {
                let account = request.extensions().get::<AsAccount>().cloned();
                let bearer = request.headers().get("authorization").cloned();
                let seen = serde_json::json!({
                    "line": format!("{} {}", request.method(), request.uri()),
                    "account": account.map(|AsAccount(account)| account),
                    "bearer": bearer.map(|value| value.to_str().unwrap().to_owned()),
                });
                HttpResponse::new(HttpBody::from(seen.to_string()))
            })
        }));
        let mut request = Request::post("session/renew", Body::new());
        request.as_account = Some("usr_1".to_owned());
        let transport = Transport::Local(client);

        let operator = transport.call(&request).await.unwrap();
        request.credential = Some(Secret::new("eyJ.a.b"));
        let holder = transport.call(&request).await.unwrap();

        assert_eq!(
            operator.body,
            serde_json::json!({
                "line": "POST /v1/session/renew", "account": "usr_1", "bearer": null,
            })
        );
        assert_eq!(
            holder.body,
            serde_json::json!({
                "line": "POST /v1/session/renew", "account": null, "bearer": "Bearer eyJ.a.b",
            })
        );
    }
}
