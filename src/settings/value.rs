//! How single values are read.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use axum::http::uri::Authority;
use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use super::error::Problem;
use crate::domain::environment::Environment;
use crate::domain::network::Cidrs;
use crate::token::Algorithm;

const ISSUER_CHARS_MAX: usize = 256;
const AUDIENCE_CHARS_MAX: usize = 256;

/// The `iss` of live tokens: an `http` or `https` URL without trailing slash, query or fragment
/// (RFC 8414 §2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer(String);

impl Issuer {
    /// Reads an issuer.
    ///
    /// # Errors
    /// [`Problem::Issuer`].
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .ok_or(Problem::Issuer)?;
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path)),
            None => (rest, None),
        };
        let path_is_plain = path.is_none_or(|path| path.split('/').all(is_plain_segment));
        if text.len() <= ISSUER_CHARS_MAX && is_plain_authority(authority) && path_is_plain {
            Ok(Self(text.to_owned()))
        } else {
            Err(Problem::Issuer)
        }
    }

    /// The issuer as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn default_for(listen: SocketAddr) -> String {
        format!("http://{listen}")
    }

    pub(super) fn default_audience(&self) -> String {
        format!("{}/api", self.0)
    }

    /// The audience of hallpass's own endpoints: what a session must name to be presented there.
    pub fn own_audience(&self, environment: Environment) -> String {
        format!("{}/manage", environment.issuer(&self.0))
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_plain_authority(authority: &str) -> bool {
    let well_formed = authority.parse::<Authority>().is_ok_and(|read| {
        // `Authority` lets `host:` and `host:99999` pass, and has no port then.
        let port_is_good = read.host().len() == authority.len() || read.port_u16().is_some();
        !read.host().is_empty() && port_is_good
    });
    well_formed && !authority.contains('@') && !authority.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_plain_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// As it is written in the settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    ///
    /// # Errors
    /// [`Problem::LogFormat`].
    pub fn parse(text: &str) -> Result<Self, Problem> {
        [Self::Text, Self::Json]
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or(Problem::LogFormat)
    }
}

pub(super) fn algorithm(text: &str) -> Result<Algorithm, Problem> {
    Algorithm::parse(text).map_err(|_| Problem::Algorithm)
}

pub(super) fn listen(text: &str) -> Result<SocketAddr, Problem> {
    text.parse().map_err(|_| Problem::Listen)
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it is one of the readers, and the others can fail"
)]
pub(super) fn path(text: &str) -> Result<PathBuf, Problem> {
    Ok(PathBuf::from(text))
}

pub(super) fn audience(text: &str) -> Result<String, Problem> {
    let visible = text.bytes().all(|b| b.is_ascii_graphic());
    if visible && (1..=AUDIENCE_CHARS_MAX).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err(Problem::Audience {
            max: AUDIENCE_CHARS_MAX,
        })
    }
}

pub(super) fn default_audience(text: &str, issuer: &Issuer) -> Result<String, Problem> {
    let audience = audience(text)?;
    if Environment::ALL
        .into_iter()
        .any(|environment| issuer.own_audience(environment) == audience)
    {
        return Err(Problem::OwnAudience);
    }
    Ok(audience)
}

pub(super) fn log_filter(text: &str) -> Result<String, Problem> {
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(Problem::LogFilter),
    }
}

pub(super) fn trusted_network(text: &str) -> Result<IpNet, Problem> {
    let network = network(text)?;
    if network.prefix_len() == 0 {
        return Err(Problem::EveryAddress);
    }
    Ok(network)
}

/// A network, or one address.
pub(super) fn network(text: &str) -> Result<IpNet, Problem> {
    let network = Cidrs::parse_one(text).ok_or(Problem::Network)?.trunc();
    let mapped =
        matches!(network.addr(), IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
    if mapped {
        return Err(Problem::MappedNetwork);
    }
    Ok(network)
}
