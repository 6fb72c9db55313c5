//! What a request says in its headers, read strictly and without asking anybody.
//!
//! A header that is repeated, malformed or contradictory is an error and never absent: a proxy in
//! front, this server and the service behind could each read it in another way.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::fields::{Fields, Values, only, text};
use crate::domain::binding::{self, Dimension, NamedValues};
use crate::domain::id::AccountId;
use crate::domain::limits;
use crate::domain::run_as::RunAs;
use crate::domain::text::Email;

/// Why the headers of a request are refused. The values are not told, since they may be secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Two headers `Authorization`: 400.
    #[error("send one Authorization header, not several")]
    TwoCredentials,
    /// Not `Bearer <credential>`: 401.
    #[error("write the Authorization header as `Bearer <credential>`")]
    BadCredential,
    /// More than [`limits::CREDENTIAL_BYTES_MAX`] bytes: 401.
    #[error("the credential is longer than {max} bytes", max = limits::CREDENTIAL_BYTES_MAX)]
    LongCredential,
    /// Several run-as headers, or one several times: 400, as all that follow.
    #[error("send one run-as header, not several")]
    TwoRunAs,
    /// A run-as header that nobody reads.
    #[error(
        "a header that begins with X-RunAs is none of X-RunAs-User-ID, X-RunAs-UserId, \
         X-RunAs-User-Email and X-RunAs-Child-User-Email"
    )]
    UnknownRunAs,
    /// A run-as header that `Connection` names, so that a proxy would have removed it.
    #[error("the Connection header names a run-as header")]
    RunAsInConnection,
    /// A run-as header whose value is empty, too long, or not visible ASCII without commas.
    #[error(
        "the value of a run-as header is 1 to {max} visible ASCII characters without commas",
        max = limits::RUN_AS_BYTES_MAX
    )]
    BadRunAs,
    /// A header that may be there once, several times.
    #[error("send one {0} header, not several")]
    Repeated(&'static str),
    /// A header whose value nobody can read.
    #[error("the value of the {0} header is not well-formed")]
    Malformed(&'static str),
    /// A header that programs behind CGI take for this one.
    #[error("a header is {0} to programs that read `_` and `.` as `-`; write it with dashes")]
    Misspelt(&'static str),
}

/// A credential as it was presented, not yet looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RawCredential<'h> {
    /// A key or a JWT, from `Bearer` or `Token`.
    Bearer(&'h str),
    /// Base64 of `id:secret` (RFC 7617), for the endpoints below `/oauth2` alone.
    Basic(&'h str),
}

impl fmt::Debug for RawCredential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Bearer(…)",
            Self::Basic(_) => "Basic(…)",
        })
    }
}

/// The credential of a request: exactly one header, the scheme in any case.
///
/// # Errors
/// [`HeaderError::TwoCredentials`], [`HeaderError::BadCredential`],
/// [`HeaderError::LongCredential`].
pub fn credential(headers: &impl Fields) -> Result<Option<RawCredential<'_>>, HeaderError> {
    let value = match only(headers, "authorization") {
        Values::None => return Ok(None),
        Values::One(value) => value,
        Values::Several => return Err(HeaderError::TwoCredentials),
    };
    let space = value.iter().position(|byte| *byte == b' ');
    let (scheme, rest) = space
        .and_then(|space| value.split_at_checked(space))
        .ok_or(HeaderError::BadCredential)?;
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    let credential = rest.get(spaces..).unwrap_or_default();
    if credential.len() > limits::CREDENTIAL_BYTES_MAX {
        return Err(HeaderError::LongCredential);
    }
    // A comma would be a second credential, joined by a proxy (RFC 9110 §5.3).
    let credential = visible_without_comma(credential).ok_or(HeaderError::BadCredential)?;
    let is = |name: &str| scheme.eq_ignore_ascii_case(name.as_bytes());
    if is("bearer") || is("token") {
        Ok(Some(RawCredential::Bearer(credential)))
    } else if is("basic") {
        Ok(Some(RawCredential::Basic(credential)))
    } else {
        Err(HeaderError::BadCredential)
    }
}

/// The wish to act as another account, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunAsHeader<'h> {
    /// From `X-RunAs-User-ID` or `X-RunAs-UserId`.
    UserId(&'h str),
    /// From `X-RunAs-User-Email` or `X-RunAs-Child-User-Email`.
    Email(&'h str),
}

impl From<RunAsHeader<'_>> for RunAs {
    /// A text that is no id or address is the wish for an account that does not exist, so that its
    /// refusal is the one of DESIGN.md §7.
    fn from(header: RunAsHeader<'_>) -> Self {
        match header {
            RunAsHeader::UserId(text) => Self::Id(AccountId::parse(text).ok()),
            RunAsHeader::Email(text) => Self::Email(Email::parse(text).ok()),
        }
    }
}

const RUN_AS_IDS: [&str; 2] = ["x-runas-user-id", "x-runas-userid"];
const RUN_AS_EMAILS: [&str; 2] = ["x-runas-user-email", "x-runas-child-user-email"];
const RUN_AS_PREFIX: &str = "xrunas";

/// The wish to act as another account. A wish that cannot be read is an error and never ignored,
/// or else the caller would act as itself.
///
/// # Errors
/// [`HeaderError::UnknownRunAs`], [`HeaderError::RunAsInConnection`], [`HeaderError::TwoRunAs`],
/// [`HeaderError::BadRunAs`].
pub fn run_as(headers: &impl Fields) -> Result<Option<RunAsHeader<'_>>, HeaderError> {
    if connection_names_run_as(headers) {
        return Err(HeaderError::RunAsInConnection);
    }
    let mut found = None;
    for (name, value) in headers.lines() {
        if !is_folded_prefix(name.as_bytes(), RUN_AS_PREFIX) {
            continue;
        }
        let by_id = RUN_AS_IDS.contains(&name);
        if !by_id && !RUN_AS_EMAILS.contains(&name) {
            return Err(HeaderError::UnknownRunAs);
        }
        if found.replace((by_id, value)).is_some() {
            return Err(HeaderError::TwoRunAs);
        }
    }
    let Some((by_id, value)) = found else {
        return Ok(None);
    };
    let text = visible_without_comma(value)
        .filter(|text| text.len() <= limits::RUN_AS_BYTES_MAX)
        .ok_or(HeaderError::BadRunAs)?;
    Ok(Some(if by_id {
        RunAsHeader::UserId(text)
    } else {
        RunAsHeader::Email(text)
    }))
}

/// Whether a proxy that obeys `Connection` (RFC 9110 §7.6.1) would have removed a run-as header.
fn connection_names_run_as(headers: &impl Fields) -> bool {
    connection_names(headers, |token| is_folded_prefix(token, RUN_AS_PREFIX))
}

fn connection_names(headers: &impl Fields, is_meant: impl Fn(&[u8]) -> bool) -> bool {
    headers.values("connection").any(|value| {
        let mut tokens = value.split(|byte| b", \t;".contains(byte));
        tokens.any(&is_meant)
    })
}

/// What names of headers that the gate reads or answers begin with, without separators.
const JUDGED_PREFIXES: [&str; 12] = [
    "authorization",
    "origin",
    RUN_AS_PREFIX,
    "xauth",
    "xoriginal",
    "xforwarded",
    "xhallpass",
    "xproject",
    "xworkspace",
    "xbot",
    "xintegration",
    "xhttpmethod",
];

/// Whether `Connection` names a header that the gate reads or answers, so that a proxy on the way
/// would remove it from the request that is judged, or from the one that is passed on.
pub fn connection_names_judged(headers: &impl Fields) -> bool {
    connection_names(headers, |token| {
        JUDGED_PREFIXES
            .iter()
            .any(|prefix| is_folded_prefix(token, prefix))
    })
}

/// Whether a header name begins so, as the most lenient reader would take it: CGI and its children
/// read `_` as `-`, and people write `X-Run-As`. So the separators do not count at all.
fn is_folded_prefix(name: &[u8], prefix: &str) -> bool {
    let mut folded = name
        .iter()
        .filter(|byte| !b"-_.".contains(byte))
        .map(u8::to_ascii_lowercase);
    prefix.bytes().all(|byte| folded.next() == Some(byte))
}

/// The header `Origin`, as it was written.
///
/// # Errors
/// [`HeaderError::Repeated`], [`HeaderError::Malformed`].
pub fn origin(headers: &impl Fields) -> Result<Option<&str>, HeaderError> {
    at_most_one(headers, "origin", "Origin")
}

/// The values of the dimensions that the headers name, such as `X-Project-ID`.
///
/// # Errors
/// [`HeaderError::Repeated`], [`HeaderError::Malformed`], [`HeaderError::Misspelt`]: the service
/// behind would take the value of the other spelling.
pub fn binding_headers(headers: &impl Fields) -> Result<NamedValues, HeaderError> {
    let mut named = NamedValues::new();
    for (name, _) in headers.lines() {
        if name.contains(['_', '.']) {
            let dashed = || {
                name.bytes()
                    .map(|byte| if b"_.".contains(&byte) { b'-' } else { byte })
            };
            let meant = Dimension::ALL
                .into_iter()
                .find(|dimension| dashed().eq(dimension.header().bytes()));
            if let Some(dimension) = meant {
                return Err(HeaderError::Misspelt(dimension.header()));
            }
        }
    }
    for dimension in Dimension::ALL {
        let name = dimension.header();
        let Some(value) = at_most_one(headers, name, name)? else {
            continue;
        };
        if !binding::is_value(value) {
            return Err(HeaderError::Malformed(name));
        }
        named.insert(dimension, value.to_owned());
    }
    Ok(named)
}

/// The header `Idempotency-Key`: 1 to [`limits::IDEMPOTENCY_CHARS_MAX`] visible ASCII characters.
///
/// # Errors
/// [`HeaderError::Repeated`], [`HeaderError::Malformed`].
pub fn idempotency_key(headers: &impl Fields) -> Result<Option<&str>, HeaderError> {
    const NAME: &str = "Idempotency-Key";
    let Some(key) = at_most_one(headers, "idempotency-key", NAME)? else {
        return Ok(None);
    };
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if visible && (1..=limits::IDEMPOTENCY_CHARS_MAX).contains(&key.len()) {
        Ok(Some(key))
    } else {
        Err(HeaderError::Malformed(NAME))
    }
}

const METHOD_OVERRIDES: [&str; 4] = [
    "x-http-method-override",
    "x-method-override",
    "x-http-method",
    // `_method`, with dashes.
    "-method",
];

/// Whether a header asks the service behind to take the request for one of another method.
pub fn method_override(headers: &impl Fields) -> bool {
    headers.lines().any(|(name, _)| {
        METHOD_OVERRIDES
            .iter()
            .any(|wanted| is_dashed(name, wanted))
    })
}

/// Whether a header name is this one as CGI and its children read it: `_` is `-`.
fn is_dashed(name: &str, wanted: &str) -> bool {
    let dashed = name.bytes().map(|byte| match byte {
        b'_' | b'.' => b'-',
        other => other.to_ascii_lowercase(),
    });
    name.len() == wanted.len() && dashed.eq(wanted.bytes())
}

/// Proxies between the client and us that are looked at.
const HOPS_MAX: usize = 32;

/// The address of the client: the peer, unless the peer is a trusted proxy; then the last address
/// in `X-Forwarded-For` that is not of a trusted proxy. `None` when a trusted proxy wrote something
/// that is no address: unknown, so that a credential with `cidrs` is refused.
pub fn client_address(peer: IpAddr, headers: &impl Fields, trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        return Some(client);
    }
    // Each proxy appends the address that it saw, so what a client wrote itself stands left of
    // what can be believed.
    let lines = headers.values("x-forwarded-for").rev();
    let mut hops = 0;
    for line in lines {
        for hop in line.rsplit(|byte| *byte == b',') {
            hops += 1;
            if hops > HOPS_MAX {
                return None;
            }
            client = address(hop)?;
            if !is_trusted(client) {
                return Some(client);
            }
        }
    }
    Some(client)
}

/// An address, with a port if need be.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim_matches([' ', '\t']);
    let address = match text.parse::<IpAddr>() {
        Ok(address) => address,
        Err(_) => text.parse::<SocketAddr>().ok()?.ip(),
    };
    Some(address.to_canonical())
}

const USER_AGENT_CHARS_MAX: usize = 200;

/// What the client calls itself, for people: shortened, without control characters. `None` when it
/// says nothing.
pub fn user_agent(headers: &impl Fields) -> Option<String> {
    let value = headers.values("user-agent").next()?;
    if value.len() <= USER_AGENT_CHARS_MAX
        && let Some(visible) = text(value)
        && !visible.contains('\t')
    {
        let text = visible.trim();
        return (!text.is_empty()).then(|| text.to_owned());
    }
    let text: String = String::from_utf8_lossy(value)
        .chars()
        .filter(|character| !character.is_control())
        .take(USER_AGENT_CHARS_MAX)
        .collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn at_most_one<'h>(
    headers: &'h impl Fields,
    name: &'static str,
    shown: &'static str,
) -> Result<Option<&'h str>, HeaderError> {
    match only(headers, name) {
        Values::None => Ok(None),
        Values::One(value) => match text(value) {
            Some(text) => Ok(Some(text)),
            None => Err(HeaderError::Malformed(shown)),
        },
        Values::Several => Err(HeaderError::Repeated(shown)),
    }
}

fn visible_without_comma(value: &[u8]) -> Option<&str> {
    // Without a way out in between, as in [`text`]: a token has many hundred bytes.
    let is_visible = |byte: &u8| matches!(byte, b'!'..=b'+' | b'-'..=b'~');
    let is_all = value
        .iter()
        .fold(true, |so_far, byte| so_far & is_visible(byte));
    (is_all && !value.is_empty()).then(|| std::str::from_utf8(value).ok())?
}

#[cfg(test)]
#[path = "tests/headers.rs"]
mod tests;
