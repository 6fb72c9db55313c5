//! Key pairs: made, written, read, used.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use zeroize::Zeroizing;

use super::algorithm::Algorithm;
use super::jwk::{Jwk, Parts};
use super::low_s;

/// The shortest RSA modulus that is taken, in bits (RFC 7518 §3.3).
pub const RSA_BITS_MIN: usize = 2048;
/// The longest RSA modulus that is taken, in bits; verifying costs with its square.
pub const RSA_BITS_MAX: usize = 4096;
/// The only RSA exponent that is taken: 65537.
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];
const P256_COORDINATE_LEN: usize = 32;

/// Why a key is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The generator failed.
    #[error("no key could be generated")]
    Generate,
    /// The private key could not be written.
    #[error("the private key could not be encoded")]
    Encode,
    /// Not a PKCS #8 private key of the algorithm.
    #[error("not a private key of the algorithm")]
    BadPrivateKey,
    /// The numbers are not a public key of the algorithm.
    #[error("not a public key of the algorithm")]
    BadPublicKey,
    /// The RSA modulus is too short or too long.
    #[error("an RSA key must have {RSA_BITS_MIN} to {RSA_BITS_MAX} bits, this has {bits}")]
    RsaBits {
        /// How many it has.
        bits: usize,
    },
    /// The RSA exponent is not 65537.
    #[error("the RSA exponent must be 65537")]
    RsaExponent,
    /// A point of small order: for such a key, signatures can be made by anybody.
    #[error("the Ed25519 key is a point of small order or is not in canonical form")]
    WeakPoint,
}

/// The signature could not be made. There is nothing that a caller could do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token could not be signed")]
pub struct SignError;

/// A private signing key, parsed once and kept. It has no `Clone`, and `Debug` shows its public
/// half only.
pub struct PrivateKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("alg", &self.public.alg)
            .field("kid", &self.public.kid)
            .finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// A new key. RSA keys have 2048 bits and take a noticeable part of a second.
    ///
    /// # Errors
    /// [`KeyError::Generate`].
    pub fn generate(alg: Algorithm) -> Result<Self, KeyError> {
        let pair = match alg {
            Algorithm::Es256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::Es256)
            }
            Algorithm::EdDsa => Ed25519KeyPair::generate().map(Pair::EdDsa),
            Algorithm::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048).map(Pair::Rs256),
        };
        Self::from_pair(pair.map_err(|_| KeyError::Generate)?)
    }

    /// Reads an unencrypted PKCS #8 key; the halves are checked against each other.
    ///
    /// # Errors
    /// [`KeyError`] when it is not one of this algorithm, or one that we would not verify with.
    pub fn from_pkcs8(alg: Algorithm, der: &[u8]) -> Result<Self, KeyError> {
        let pair = match alg {
            Algorithm::Es256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Pair::Es256)
            }
            Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8(der).map(Pair::EdDsa),
            Algorithm::Rs256 => RsaKeyPair::from_pkcs8(der).map(Pair::Rs256),
        };
        Self::from_pair(pair.map_err(|_| KeyError::BadPrivateKey)?)
    }

    fn from_pair(pair: Pair) -> Result<Self, KeyError> {
        let parts = match &pair {
            Pair::Es256(pair) => Parts::from_sec1(pair.public_key().as_ref())?,
            Pair::EdDsa(pair) => Parts::from_ed25519(pair.public_key().as_ref())?,
            Pair::Rs256(pair) => Parts::Rsa {
                n: pair
                    .public_key()
                    .modulus()
                    .big_endian_without_leading_zero()
                    .to_vec(),
                e: pair
                    .public_key()
                    .exponent()
                    .big_endian_without_leading_zero()
                    .to_vec(),
            },
        };
        let public = PublicKey::from_parts(&parts)?;
        Ok(Self { pair, public })
    }

    /// The key in PKCS #8, in clear: seal it before it goes anywhere.
    ///
    /// # Errors
    /// [`KeyError::Encode`].
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let der = match &self.pair {
            Pair::Es256(pair) => pair.to_pkcs8v1().map(|der| der.as_ref().to_vec()),
            Pair::EdDsa(pair) => pair.to_pkcs8().map(|der| der.as_ref().to_vec()),
            Pair::Rs256(pair) => {
                AsDer::<Pkcs8V1Der<'_>>::as_der(pair).map(|der| der.as_ref().to_vec())
            }
        };
        der.map(Zeroizing::new).map_err(|_| KeyError::Encode)
    }

    /// The half that everybody may have.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The algorithm that it signs with.
    pub fn alg(&self) -> Algorithm {
        self.public.alg
    }

    /// The signature over `message` as a JWS carries it: for ES256 `r || s` of 32 bytes each, of
    /// the two values of `s` the lower one, which is the only one that [`PublicKey::verify`] takes.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match &self.pair {
            Pair::Es256(pair) => pair
                .sign(&system_random(), message)
                .map(|signature| low_s::lowered(signature.as_ref())),
            Pair::EdDsa(pair) => pair
                .try_sign(message)
                .map(|signature| signature.as_ref().to_vec()),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &system_random(), message, &mut signature)
                    .map(|()| signature)
            }
        }
        .map_err(|_| SignError)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "aws-lc-rs asks for it in the signature and draws nonces and blinding by itself"
)]
fn system_random() -> SystemRandom {
    SystemRandom::new()
}

/// A key that verifies. It is parsed once, and only a sound one exists.
#[derive(Clone)]
pub struct PublicKey {
    alg: Algorithm,
    kid: String,
    jwk: Jwk,
    parsed: ParsedPublicKey,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("alg", &self.alg)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.jwk == other.jwk
    }
}

impl Eq for PublicKey {}

impl PublicKey {
    pub(super) fn from_parts(parts: &Parts) -> Result<Self, KeyError> {
        let bad = |_| KeyError::BadPublicKey;
        let (alg, parsed) = match parts {
            Parts::P256 { x, y } => {
                let mut point = Vec::with_capacity(1 + 2 * P256_COORDINATE_LEN);
                point.push(4);
                point.extend_from_slice(x);
                point.extend_from_slice(y);
                let parsed = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(bad)?;
                (Algorithm::Es256, parsed)
            }
            Parts::Ed25519 { x } => {
                if is_weak_ed25519(x) {
                    return Err(KeyError::WeakPoint);
                }
                let parsed = ParsedPublicKey::new(&ED25519, x).map_err(bad)?;
                (Algorithm::EdDsa, parsed)
            }
            Parts::Rsa { n, e } => {
                let bits = bit_len(n);
                if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
                    return Err(KeyError::RsaBits { bits });
                }
                if e.as_slice() != RSA_EXPONENT {
                    return Err(KeyError::RsaExponent);
                }
                let parsed = RsaPublicKeyComponents { n, e }
                    .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
                    .map_err(bad)?;
                (Algorithm::Rs256, parsed)
            }
        };
        let jwk = Jwk::new(alg, parts);
        Ok(Self {
            alg,
            kid: jwk.kid().to_owned(),
            jwk,
            parsed,
        })
    }

    /// The RFC 7638 thumbprint, which is the key's name for its whole life.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The only algorithm that it verifies.
    pub fn alg(&self) -> Algorithm {
        self.alg
    }

    /// The key as everybody may see it.
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// Whether the holder of the private half signed `message`. Of the two spellings of an ES256
    /// signature only the one with the lower `s` is taken, so nobody but the holder can make a
    /// second signature of a message that was signed (docs/decisions/0015-low-s.md).
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let has_one_spelling = match self.alg {
            Algorithm::Es256 => !low_s::is_high(signature),
            Algorithm::EdDsa | Algorithm::Rs256 => true,
        };
        has_one_spelling && self.parsed.verify_sig(message, signature).is_ok()
    }
}

fn bit_len(big_endian: &[u8]) -> usize {
    match big_endian {
        [] => 0,
        [first, rest @ ..] => {
            let top = u8::BITS - first.leading_zeros();
            rest.len()
                .saturating_mul(8)
                .saturating_add(usize::try_from(top).unwrap_or(8))
        }
    }
}

/// The y coordinates of the eight points whose order divides 8, little-endian, without the sign
/// of x. With such a key, one fixed signature verifies for one message in eight or for all.
const SMALL_ORDER_Y: [[u8; 32]; 5] = [
    // 0: order 4.
    [0; 32],
    // 1: the identity.
    [
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0,
    ],
    // p - 1: order 2.
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
    // The two of order 8.
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

/// Small order, or y not reduced below p = 2^255 - 19, which is a second spelling of a point.
fn is_weak_ed25519(key: &[u8; 32]) -> bool {
    let mut y = *key;
    let [low, middle @ .., high] = &mut y;
    *high &= 0x7f;
    let not_reduced = *low >= 0xed && middle.iter().all(|byte| *byte == 0xff) && *high == 0x7f;
    not_reduced || SMALL_ORDER_Y.contains(&y)
}

#[cfg(test)]
#[path = "tests/key.rs"]
mod tests;
