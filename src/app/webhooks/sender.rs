//! The HTTP client of webhooks, which goes nowhere inside.
//!
//! A name is resolved here, and what is connected to is what was resolved and judged: there is no
//! moment in between in which it could change. A literal address is judged before each attempt. No
//! proxy of the environment is used, no redirect followed, no connection kept, and nothing of an
//! answer is read but its status.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{StatusCode, Url};

use crate::app::error::Error;
use crate::domain::limits;
use crate::domain::webhook::{AddressPolicy, Problem};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where webhooks may go.
#[derive(Debug, Clone)]
pub struct WebhookPolicy {
    /// Which addresses.
    pub addresses: AddressPolicy,
    /// Also without TLS.
    pub allow_http: bool,
    /// How long an attempt may take, from the look-up of the name to the head of the answer.
    pub timeout: Duration,
}

impl WebhookPolicy {
    /// A URL as it is stored.
    ///
    /// # Errors
    /// [`Error::Invalid`], with what to write instead.
    pub(super) fn check(&self, text: &str) -> Result<String, Error> {
        let wrong = |problem: &str| Error::invalid("url", problem);
        if text.chars().count() > limits::WEBHOOK_URL_CHARS_MAX {
            return Err(wrong("at most 2000 characters"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(wrong("a URL without spaces and control characters"));
        }
        let url = Url::parse(text).map_err(|_| wrong("a URL such as https://example.com/hooks"))?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            _ => return Err(wrong("a URL that begins with https://")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong(
                "a URL without user and password; check the signature instead",
            ));
        }
        if url.fragment().is_some() {
            return Err(wrong("a URL without fragment"));
        }
        match self.judge_host(&url) {
            Ok(()) => Ok(url.into()),
            Err(_) => Err(wrong(
                "a public host; private, loopback, link-local and reserved addresses are refused, unless the operator allows them ([webhooks] allow_networks)",
            )),
        }
    }

    /// Judges a host that is an address, or the name of this machine. What other names stand for is
    /// judged when they are resolved.
    fn judge_host(&self, url: &Url) -> Result<(), Problem> {
        let host = url.host_str().unwrap_or_default();
        let name = host.trim_end_matches('.');
        let this_machine = name == "localhost" || name.ends_with(".localhost");
        let address = if this_machine {
            Some(IpAddr::from([127, 0, 0, 1]))
        } else {
            host.trim_matches(['[', ']']).parse().ok()
        };
        match address {
            Some(address) if !self.addresses.allows(address) => Err(Problem::Address),
            Some(_) | None => Ok(()),
        }
    }
}

/// What a receiver made of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It took it.
    Taken(u16),
    /// It answered something else.
    Refused(u16, Problem),
    /// There was no answer.
    None(Problem),
}

/// A delivery as it is sent.
pub(super) struct Letter {
    pub(super) url: String,
    pub(super) id: String,
    pub(super) timestamp: String,
    /// `webhook-signature`.
    pub(super) signature: String,
    /// `X-Hallpass-Signature`.
    pub(super) simple: String,
    /// The same with the secret before, while it lasts.
    pub(super) simple_previous: Option<String>,
    pub(super) body: String,
}

#[derive(Debug)]
pub(super) struct Sender {
    http: reqwest::Client,
    policy: WebhookPolicy,
}

impl Sender {
    pub(super) fn new(policy: &WebhookPolicy) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .dns_resolver(Judged(policy.addresses.clone()))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .https_only(!policy.allow_http)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(policy.timeout)
            .pool_max_idle_per_host(0)
            .user_agent(concat!("hallpass/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Internal(error.into()))?;
        Ok(Self {
            http,
            policy: policy.clone(),
        })
    }

    pub(super) async fn send(&self, letter: Letter) -> Outcome {
        let Letter {
            url,
            id,
            timestamp,
            signature,
            simple,
            simple_previous,
            body,
        } = letter;
        let Ok(url) = Url::parse(&url) else {
            return Outcome::None(Problem::Name);
        };
        if let Err(problem) = self.policy.judge_host(&url) {
            return Outcome::None(problem);
        }
        let mut request = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .header("x-hallpass-signature", simple);
        if let Some(previous) = simple_previous {
            request = request.header("x-hallpass-signature-previous", previous);
        }
        match request.body(body).send().await {
            // Dropped without its body, however long that is.
            Ok(answer) => judge_status(answer.status()),
            Err(error) => Outcome::None(judge_error(&error)),
        }
    }
}

fn judge_status(status: StatusCode) -> Outcome {
    let code = status.as_u16();
    if status.is_success() {
        Outcome::Taken(code)
    } else if status.is_redirection() {
        Outcome::Refused(code, Problem::Redirect)
    } else {
        Outcome::Refused(code, Problem::Status)
    }
}

fn judge_error(error: &reqwest::Error) -> Problem {
    if error.is_timeout() {
        return Problem::Timeout;
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(unresolved) = error.downcast_ref::<Unresolved>() {
            return unresolved.0;
        }
        cause = error.source();
    }
    Problem::Connection
}

/// Why a name gave no address.
#[derive(Debug)]
struct Unresolved(Problem);

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl std::error::Error for Unresolved {}

/// Resolves names to such addresses alone as webhooks may go to.
struct Judged(AddressPolicy);

impl Resolve for Judged {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found = found.map_err(|_| Unresolved(Problem::Name))?;
            let addresses = allowed(&policy, found).map_err(Unresolved)?;
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

/// Those addresses of a name that may be connected to.
fn allowed(
    policy: &AddressPolicy,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, Problem> {
    let mut none = Problem::Name;
    let mut allowed = Vec::new();
    for address in found {
        if policy.allows(address.ip()) {
            allowed.push(address);
        } else {
            none = Problem::Address;
        }
    }
    if allowed.is_empty() {
        Err(none)
    } else {
        Ok(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> WebhookPolicy {
        WebhookPolicy {
            addresses: AddressPolicy::default(),
            allow_http: false,
            timeout: Duration::from_secs(1),
        }
    }

    fn refused(policy: &WebhookPolicy, url: &str) -> bool {
        policy.check(url).is_err()
    }

    #[test]
    fn every_spelling_of_this_machine_is_refused() {
        let policy = policy();
        for host in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "017700000001",
            "127.000.000.001",
            "0",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "localhost",
            "localhost.",
            "LOCALHOST",
            "app.localhost",
            "\u{2460}\u{2461}\u{2466}.\u{24ea}.\u{24ea}.\u{2460}",
            "127\u{3002}0\u{3002}0\u{3002}1",
            "169.254.169.254",
            "10.0.0.1",
            "192.168.1.1",
            "100.100.100.200",
            "[fd00:ec2::254]",
            "[fe80::1]",
        ] {
            assert!(refused(&policy, &format!("https://{host}/hook")), "{host}");
        }
    }

    #[test]
    fn public_hosts_are_taken() {
        let policy = policy();
        for (url, stored) in [
            ("https://example.com/hook", "https://example.com/hook"),
            ("https://EXAMPLE.com", "https://example.com/"),
            ("https://8.8.8.8:8443/x?a=b", "https://8.8.8.8:8443/x?a=b"),
            ("https://[2606:4700::1]/", "https://[2606:4700::1]/"),
        ] {
            assert_eq!(policy.check(url).unwrap(), stored);
        }
    }

    #[test]
    fn what_is_no_plain_https_url_is_refused() {
        let policy = policy();
        let long = format!("https://example.com/{}", "a".repeat(2000));
        for url in [
            "",
            "example.com",
            "http://example.com",
            "ftp://example.com",
            "file:///etc/passwd",
            "gopher://example.com",
            "javascript:alert(1)",
            "https://",
            "https://user@example.com",
            "https://user:pass@example.com",
            "https://example.com/#x",
            "https://exa mple.com",
            "https://example.com/\n",
            "https://example.com:99999",
            long.as_str(),
        ] {
            assert!(refused(&policy, url), "{url}");
        }
        let plain = WebhookPolicy {
            allow_http: true,
            ..policy
        };
        assert!(!refused(&plain, "http://example.com"));
        assert!(refused(&plain, "http://127.0.0.1"));
    }

    #[test]
    fn a_name_leads_to_public_addresses_alone() {
        let address = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        let policy = AddressPolicy::default();
        let mixed = [address("10.0.0.1"), address("8.8.8.8"), address("::1")];

        assert_eq!(
            allowed(&policy, mixed.into_iter()),
            Ok(vec![address("8.8.8.8")])
        );
        assert_eq!(
            allowed(&policy, [address("::ffff:127.0.0.1")].into_iter()),
            Err(Problem::Address)
        );
        assert_eq!(allowed(&policy, std::iter::empty()), Err(Problem::Name));
    }

    /// Whatever URL was stored before the settings became narrower.
    #[tokio::test]
    async fn nothing_is_sent_in_clear_text_unless_it_is_allowed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let sender = Sender::new(&WebhookPolicy {
            addresses: AddressPolicy::new(vec!["127.0.0.0/8".parse().unwrap()]),
            ..policy()
        })
        .unwrap();

        let outcome = sender
            .send(Letter {
                url: format!("http://{}/", listener.local_addr().unwrap()),
                id: "evt_1".to_owned(),
                timestamp: "1767225600".to_owned(),
                signature: "v1,x".to_owned(),
                simple: "sha256=x".to_owned(),
                simple_previous: None,
                body: "{}".to_owned(),
            })
            .await;

        assert_eq!(outcome, Outcome::None(Problem::Connection));
        let asked = listener.accept().unwrap_err();
        assert_eq!(asked.kind(), std::io::ErrorKind::WouldBlock);
    }

    /// The name is judged where it is resolved, on the way to the connection.
    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_connected_to() {
        let sender = Sender::new(&policy()).unwrap();

        let by_name = sender.http.post("https://localhost:9/").send().await;

        assert_eq!(judge_error(&by_name.unwrap_err()), Problem::Address);
        let nowhere = sender.http.post("https://nowhere.invalid/").send().await;
        assert_eq!(judge_error(&nowhere.unwrap_err()), Problem::Name);
    }
}
