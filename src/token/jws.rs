//! JWS in compact form (RFC 7515 §7.1), made and taken apart. Nothing else in hallpass does.
//!
//! We read only what we write. The header is `alg`, `kid` and `typ`, all strings; with any other
//! member (`crit`, `b64`, `jwk`, `jku`, `x5u`, `x5c`, …) the token is refused, since ignoring one
//! of those is how verifiers were fooled. A token has one spelling: base64url without padding and
//! without stray bits in the last character.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::algorithm::Algorithm;
use super::error::TokenError;
use super::key::{PrivateKey, PublicKey, SignError};
use crate::domain::strict_json;

/// The longest token that is looked at, in bytes. Ours have at most 4 KiB; the rest is room for
/// other issuers of the same form.
pub const TOKEN_LEN_MAX: usize = 8 * 1024;
/// The longest `kid`, in bytes; ours have 43.
const KID_LEN_MAX: usize = 128;

#[derive(Serialize)]
struct Header<'a> {
    alg: Algorithm,
    typ: &'a str,
    kid: &'a str,
}

/// Signs `payload`, a JSON object, as a token of type `typ`. `alg` and `kid` are those of the key,
/// so they cannot disagree with it.
///
/// # Errors
/// [`SignError`].
pub fn sign_compact(typ: &str, payload: &[u8], key: &PrivateKey) -> Result<String, SignError> {
    let header = Header {
        alg: key.alg(),
        typ,
        kid: key.public().kid(),
    };
    let header = serde_json::to_vec(&header).map_err(|_| SignError)?;
    let mut token = String::with_capacity((header.len() + payload.len()) * 4 / 3 + 352);
    URL_SAFE_NO_PAD.encode_string(header, &mut token);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// A token that was taken apart. Nothing in it may be believed: it shows its header, so that a key
/// can be found, and gives its payload only to [`Unverified::verify`].
#[derive(Debug)]
pub struct Unverified<'t> {
    alg: Algorithm,
    kid: String,
    typ: String,
    signed: &'t str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// Takes a token apart, without believing it.
///
/// # Errors
/// [`TokenError::TooLong`] before any other work, [`TokenError::Form`], [`TokenError::Header`],
/// [`TokenError::Algorithm`].
pub fn parse_compact(token: &str) -> Result<Unverified<'_>, TokenError> {
    parse_compact_up_to(token, TOKEN_LEN_MAX)
}

/// The same with another bound on the length, for documents that are no tokens.
pub(super) fn parse_compact_up_to(
    token: &str,
    len_max: usize,
) -> Result<Unverified<'_>, TokenError> {
    if token.len() > len_max {
        return Err(TokenError::TooLong);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Form)?;
    let (header, payload) = signed.split_once('.').ok_or(TokenError::Form)?;
    let header = decode(header)?;
    // A fourth part would put a dot into the payload, and that is no base64url.
    let payload = decode(payload)?;
    let signature = decode(signature)?;
    let (alg, kid, typ) = read_header(&header)?;
    Ok(Unverified {
        alg,
        kid,
        typ,
        signed,
        payload,
        signature,
    })
}

/// The header of a token that is in order. A member that is repeated or unknown is an error of
/// serde's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuickHeader {
    alg: String,
    kid: String,
    typ: String,
}

fn read_header(header: &[u8]) -> Result<(Algorithm, String, String), TokenError> {
    // serde would read an array as an object, too. What is wrong is told by the way below.
    if header.first() == Some(&b'{')
        && let Ok(QuickHeader { alg, kid, typ }) = serde_json::from_slice(header)
        && (1..=KID_LEN_MAX).contains(&kid.len())
        && let Ok(alg) = Algorithm::parse(&alg)
    {
        return Ok((alg, kid, typ));
    }
    let header = strict_json::parse(header, 1).map_err(|_| TokenError::Header)?;
    let header = header.as_object().ok_or(TokenError::Header)?;
    let text = |name| header.get(name).and_then(serde_json::Value::as_str);
    let (Some(alg), Some(kid), Some(typ)) = (text("alg"), text("kid"), text("typ")) else {
        return Err(TokenError::Header);
    };
    if header.len() != 3 || kid.is_empty() || kid.len() > KID_LEN_MAX {
        return Err(TokenError::Header);
    }
    let alg = Algorithm::parse(alg).map_err(|_| TokenError::Algorithm)?;
    Ok((alg, kid.to_owned(), typ.to_owned()))
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    if part.is_empty() {
        return Err(TokenError::Form);
    }
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Form)
}

impl Unverified<'_> {
    /// What the header claims to be signed with.
    pub fn alg(&self) -> Algorithm {
        self.alg
    }

    /// The key that the header names.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The kind of token that the header claims to be.
    pub fn typ(&self) -> &str {
        &self.typ
    }

    /// Checks the signature with the key that the caller found for [`Unverified::kid`], and gives
    /// the payload. The algorithm is the key's; the header may only agree with it.
    ///
    /// # Errors
    /// [`TokenError::KeyAlgorithm`], [`TokenError::Signature`].
    pub fn verify(self, key: &PublicKey) -> Result<Vec<u8>, TokenError> {
        if self.alg != key.alg() {
            return Err(TokenError::KeyAlgorithm);
        }
        if !key.verify(self.signed.as_bytes(), &self.signature) {
            return Err(TokenError::Signature);
        }
        Ok(self.payload)
    }
}

#[cfg(test)]
#[path = "tests/jws.rs"]
mod tests;
