//! What a request says in its headers, read strictly: what is there twice, or cannot be read, is an
//! error and never absent.

use http::HeaderMap;
use http::header::{AUTHORIZATION, AsHeaderName, CONNECTION, ORIGIN};

use super::super::{Request, RequestError, VerifyError};
use crate::domain::binding::Dimension;

/// The one bearer token.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, VerifyError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Err(VerifyError::Missing),
        (Some(value), None) => value,
        (Some(_), Some(_)) => return Err(VerifyError::Credential),
    };
    let text = value.to_str().map_err(|_| VerifyError::Credential)?;
    let (scheme, token) = text.split_once(' ').ok_or(VerifyError::Credential)?;
    let token = token.trim_start_matches(' ');
    // A comma would be a second credential, joined by a proxy.
    let is_one = |byte: u8| byte.is_ascii_graphic() && byte != b',';
    let good_scheme = ["bearer", "token"]
        .iter()
        .any(|good| scheme.eq_ignore_ascii_case(good));
    if good_scheme && !token.is_empty() && token.bytes().all(is_one) {
        Ok(token)
    } else {
        Err(VerifyError::Credential)
    }
}

/// Origin, bindings, and the headers that ask for another method or account.
pub(super) fn read_headers<'r>(
    request: Request<'r>,
    headers: &'r HeaderMap,
) -> Result<Request<'r>, RequestError> {
    let mut request = request
        .origin(at_most_one(headers, ORIGIN, "Origin")?)
        .overrides_method(overrides_method(headers))
        .wishes_to_act_as_another(wishes_to_act_as_another(headers));
    for dimension in Dimension::ALL {
        let name = dimension.header();
        if let Some(value) = at_most_one(headers, name, name)? {
            request = request.names(dimension, value)?;
        }
    }
    Ok(request)
}

fn at_most_one<'h>(
    headers: &'h HeaderMap,
    name: impl AsHeaderName,
    shown: &'static str,
) -> Result<Option<&'h str>, RequestError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(RequestError::Malformed(shown)),
        },
        (Some(_), Some(_)) => Err(RequestError::Repeated(shown)),
    }
}

const METHOD_OVERRIDES: [&str; 4] = [
    "xhttpmethodoverride",
    "xmethodoverride",
    "xhttpmethod",
    "method",
];
const RUN_AS_PREFIX: &str = "xrunas";

fn overrides_method(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        // `Method` alone is no override, `_method` is.
        let separated = name.contains(['-', '_', '.']);
        separated && METHOD_OVERRIDES.contains(&folded(name.as_bytes()).as_str())
    })
}

/// A run-as header in any spelling, or one that `Connection` has a proxy remove.
fn wishes_to_act_as_another(headers: &HeaderMap) -> bool {
    let is_run_as = |name: &[u8]| folded(name).starts_with(RUN_AS_PREFIX);
    let named = headers.get_all(CONNECTION).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| b", \t;".contains(byte))
            .any(is_run_as)
    });
    named
        || headers
            .keys()
            .any(|name| is_run_as(name.as_str().as_bytes()))
}

/// A header name without its separators: CGI and its children read `_` as `-`.
fn folded(name: &[u8]) -> String {
    name.iter()
        .filter(|byte| !b"-_.".contains(byte))
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect()
}
