//! Public keys as JSON (RFC 7517, RFC 7518 §6, RFC 8037), and their thumbprints (RFC 7638).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::key::{KeyError, PublicKey};

/// Members that only a private or a symmetric key has. A document that carries one was leaked, or
/// was made to confuse; it is refused rather than cleaned.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public key as it is published. The fields are the list of what may be published: there is no
/// member for anything else, and they stand in the order of the alphabet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Jwk {
    alg: Algorithm,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    kid: String,
    kty: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(rename = "use")]
    purpose: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
}

/// Why a JWK is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// Not a JSON object.
    #[error("not an object")]
    NotAnObject,
    /// A member is missing or has the wrong type.
    #[error("the member {name} is missing or not a string")]
    Member {
        /// Its name.
        name: &'static str,
    },
    /// A member of a private or symmetric key.
    #[error("the private member {name} is present")]
    Private {
        /// Its name.
        name: &'static str,
    },
    /// `alg` is none of ours.
    #[error("the algorithm is not supported")]
    Algorithm,
    /// `kty` or `crv` is not that of `alg`.
    #[error("the member {name} does not fit the algorithm")]
    Disagrees {
        /// Its name.
        name: &'static str,
    },
    /// `use` or `key_ops` says that the key is not for verifying signatures.
    #[error("the key is not for verifying signatures")]
    Purpose,
    /// A number is not canonical base64url of the right length.
    #[error("the member {name} is not canonical base64url of the right length")]
    Encoding {
        /// Its name.
        name: &'static str,
    },
    /// The numbers do not make a sound key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The numbers of a public key.
pub(super) enum Parts {
    P256 {
        x: [u8; 32],
        y: [u8; 32],
    },
    Ed25519 {
        x: [u8; 32],
    },
    /// Big-endian, without leading zeros.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

impl Parts {
    /// From the uncompressed form of SEC 1, `4 || x || y`.
    pub(super) fn from_sec1(point: &[u8]) -> Result<Self, KeyError> {
        let bad = KeyError::BadPublicKey;
        let Some((4, rest)) = point.split_first() else {
            return Err(bad);
        };
        let (x, y) = rest.split_at_checked(32).ok_or(bad)?;
        Ok(Self::P256 {
            x: x.try_into().map_err(|_| bad)?,
            y: y.try_into().map_err(|_| bad)?,
        })
    }

    pub(super) fn from_ed25519(key: &[u8]) -> Result<Self, KeyError> {
        let x = key.try_into().map_err(|_| KeyError::BadPublicKey)?;
        Ok(Self::Ed25519 { x })
    }
}

impl Jwk {
    pub(super) fn new(alg: Algorithm, parts: &Parts) -> Self {
        let text = |bytes: &[u8]| Some(URL_SAFE_NO_PAD.encode(bytes));
        let (kty, crv, n, e, x, y) = match parts {
            Parts::P256 { x, y } => ("EC", Some("P-256"), None, None, text(x), text(y)),
            Parts::Ed25519 { x } => ("OKP", Some("Ed25519"), None, None, text(x), None),
            Parts::Rsa { n, e } => ("RSA", None, text(n), text(e), None, None),
        };
        let mut jwk = Self {
            alg,
            crv,
            e,
            kid: String::new(),
            kty,
            n,
            purpose: "sig",
            x,
            y,
        };
        jwk.kid = jwk.thumbprint();
        jwk
    }

    /// The key's name: its thumbprint.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm that the key is for.
    pub fn alg(&self) -> Algorithm {
        self.alg
    }

    /// RFC 7638: SHA-256 over the required members, in the order of the alphabet, without spaces.
    /// All values are base64url or fixed words, so nothing needs escaping.
    fn thumbprint(&self) -> String {
        let mut text = String::from("{");
        let members = [
            ("crv", self.crv),
            ("e", self.e.as_deref()),
            ("kty", Some(self.kty)),
            ("n", self.n.as_deref()),
            ("x", self.x.as_deref()),
            ("y", self.y.as_deref()),
        ];
        for (name, value) in members {
            let Some(value) = value else { continue };
            if text.len() > 1 {
                text.push(',');
            }
            for piece in ["\"", name, "\":\"", value, "\""] {
                text.push_str(piece);
            }
        }
        text.push('}');
        URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
    }
}

impl PublicKey {
    /// Reads a JWK of somebody. `alg` must be there and agree with `kty` and `crv`; private
    /// members are refused; `use` and `key_ops`, when they are there, must allow verifying; other
    /// members, `kid` among them, are not looked at.
    ///
    /// # Errors
    /// [`JwkError`].
    pub fn from_jwk(jwk: &Value) -> Result<Self, JwkError> {
        let jwk = jwk.as_object().ok_or(JwkError::NotAnObject)?;
        for name in PRIVATE_MEMBERS {
            if jwk.contains_key(name) {
                return Err(JwkError::Private { name });
            }
        }
        check_purpose(jwk)?;
        let alg = Algorithm::parse(member(jwk, "alg")?).map_err(|_| JwkError::Algorithm)?;
        let parts = match alg {
            Algorithm::Es256 => {
                expect(jwk, "kty", "EC")?;
                expect(jwk, "crv", "P-256")?;
                Parts::P256 {
                    x: fixed(jwk, "x")?,
                    y: fixed(jwk, "y")?,
                }
            }
            Algorithm::EdDsa => {
                expect(jwk, "kty", "OKP")?;
                expect(jwk, "crv", "Ed25519")?;
                Parts::Ed25519 {
                    x: fixed(jwk, "x")?,
                }
            }
            Algorithm::Rs256 => {
                expect(jwk, "kty", "RSA")?;
                Parts::Rsa {
                    n: unsigned(jwk, "n")?,
                    e: unsigned(jwk, "e")?,
                }
            }
        };
        Ok(Self::from_parts(&parts)?)
    }
}

fn check_purpose(jwk: &Map<String, Value>) -> Result<(), JwkError> {
    let use_allows = jwk.get("use").is_none_or(|purpose| purpose == "sig");
    let ops_allow = match jwk.get("key_ops") {
        None => true,
        Some(ops) => ops
            .as_array()
            .is_some_and(|ops| ops.iter().any(|op| op == "verify")),
    };
    if use_allows && ops_allow {
        Ok(())
    } else {
        Err(JwkError::Purpose)
    }
}

fn member<'j>(jwk: &'j Map<String, Value>, name: &'static str) -> Result<&'j str, JwkError> {
    jwk.get(name)
        .and_then(Value::as_str)
        .ok_or(JwkError::Member { name })
}

fn expect(jwk: &Map<String, Value>, name: &'static str, value: &str) -> Result<(), JwkError> {
    if member(jwk, name)? == value {
        Ok(())
    } else {
        Err(JwkError::Disagrees { name })
    }
}

fn decode(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, JwkError> {
    // Three times the length of the longest modulus: more is not worth decoding.
    let text = member(jwk, name)?;
    if text.len() > 2048 {
        return Err(JwkError::Encoding { name });
    }
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| JwkError::Encoding { name })
}

fn fixed(jwk: &Map<String, Value>, name: &'static str) -> Result<[u8; 32], JwkError> {
    let bytes = decode(jwk, name)?;
    bytes.try_into().map_err(|_| JwkError::Encoding { name })
}

fn unsigned(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, JwkError> {
    let bytes = decode(jwk, name)?;
    match bytes.first() {
        None | Some(0) => Err(JwkError::Encoding { name }),
        Some(_) => Ok(bytes),
    }
}

#[cfg(test)]
#[path = "tests/jwk.rs"]
mod tests;
