//! What a gateway says about the request that it asks about.

use std::net::IpAddr;

use super::{Gate, GateProblem};
use crate::app::App;
use crate::app::authorise::{Credential, Facts, Wish};
use crate::domain::id::RequestId;
use crate::domain::route::PathError;
pub(super) use crate::http::dispatch::wish;
use crate::http::dispatch::{Edge, credential};
use crate::http::fields::{Fields, Values, only};
use crate::http::headers::{self, HeaderError};
use crate::http::problem::Problem;

/// Where a gateway writes the method and the target of the request that it asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Convention {
    /// `X-Original-Method` and `X-Original-URI`, as nginx is configured.
    Nginx,
    /// `X-Forwarded-Method` and `X-Forwarded-Uri`, with `-Host` and `-Proto`: Caddy, Traefik.
    Forwarded,
    /// In the request line: the own method, and the target behind the endpoint (Envoy).
    Envoy,
}

/// The request of a gateway itself.
pub(in crate::http) struct Asking<'r, F> {
    /// The other end of the connection.
    pub(in crate::http) peer: Option<IpAddr>,
    pub(in crate::http) method: &'r str,
    /// Whether its target has a scheme and a host in HTTP/1, which is the form for proxies and a
    /// second place to name them. HTTP/2 always has them.
    pub(in crate::http) names_a_proxy: bool,
    pub(in crate::http) fields: &'r F,
}

/// A request that somebody asks about.
pub(super) struct Asked {
    pub(super) credential: Credential,
    pub(super) wish: Option<Wish>,
    pub(super) facts: Facts,
}

/// Reads what a gateway asks about, by the one convention of its endpoint.
pub(super) fn from_gateway(
    edge: &Edge,
    gate: Gate<'_>,
    asking: &Asking<'_, impl Fields>,
    id: &RequestId,
) -> Result<Asked, Problem> {
    let headers = asking.fields;
    let (method, target) = match gate.convention {
        Convention::Nginx => (
            method(headers, "x-original-method")?,
            one(headers, "x-original-uri")?,
        ),
        Convention::Forwarded => {
            // They decide nothing, and two of them would still be two opinions of one request.
            at_most_one(headers, "x-forwarded-host")?;
            at_most_one(headers, "x-forwarded-proto")?;
            (
                method(headers, "x-forwarded-method")?,
                one(headers, "x-forwarded-uri")?,
            )
        }
        Convention::Envoy => {
            if asking.names_a_proxy {
                return Err(PathError::NotAPath.into());
            }
            (asking.method, gate.tail.as_bytes())
        }
    };
    let address = asking
        .peer
        .and_then(|peer| headers::client_address(peer, headers, &edge.trusted_proxies));
    read(&edge.app, id, headers, method, target, address)
}

/// Reads a request from its parts, whoever named them.
pub(super) fn read(
    app: &App,
    id: &RequestId,
    headers: &impl Fields,
    method: &str,
    target: &[u8],
    address: Option<IpAddr>,
) -> Result<Asked, Problem> {
    if headers::connection_names_judged(headers) {
        return Err(GateProblem::Connection.into());
    }
    // Whatever the table says of a method, the API behind would take the request for another.
    if headers::method_override(headers) {
        return Err(GateProblem::MethodOverride.into());
    }
    // Several credentials, joined to one header by a proxy (RFC 9110 §5.3).
    if headers
        .values("authorization")
        .any(|value| value.contains(&b','))
    {
        return Err(HeaderError::TwoCredentials.into());
    }
    let path = match app.policy.gate.path(target) {
        Ok(path) => path,
        Err(PathError::OutsideMount) => return Err(GateProblem::OutsideMount.into()),
        Err(error) => return Err(error.into()),
    };
    let wish = wish(headers)?;
    let facts = Facts {
        request: id.clone(),
        method: method.to_owned(),
        path,
        method_override: false,
        address,
        agent: headers::user_agent(headers),
        origin: headers::origin(headers)?.map(str::to_owned),
        named: headers::binding_headers(headers)?,
    };
    Ok(Asked {
        credential: credential(headers)?,
        wish,
        facts,
    })
}

/// The longest method that is looked at.
const METHOD_CHARS_MAX: usize = 32;

/// Whether a text can be a method at all (RFC 9110 §9.1).
pub(super) fn is_method(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=METHOD_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_token)
}

fn method<'h>(headers: &'h impl Fields, name: &'static str) -> Result<&'h str, GateProblem> {
    std::str::from_utf8(one(headers, name)?)
        .ok()
        .filter(|method| is_method(method))
        .ok_or(GateProblem::Malformed(name))
}

fn one<'h>(headers: &'h impl Fields, name: &'static str) -> Result<&'h [u8], GateProblem> {
    match at_most_one(headers, name)? {
        None => Err(GateProblem::Missing(name)),
        Some([]) => Err(GateProblem::Malformed(name)),
        Some(value) => Ok(value),
    }
}

fn at_most_one<'h>(
    headers: &'h impl Fields,
    name: &'static str,
) -> Result<Option<&'h [u8]>, GateProblem> {
    match only(headers, name) {
        Values::None => Ok(None),
        Values::One(value) => Ok(Some(value)),
        Values::Several => Err(GateProblem::Repeated(name)),
    }
}
