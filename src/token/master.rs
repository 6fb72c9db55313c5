//! The master key, and what is sealed under it.
//!
//! A sealed value is
//!
//! ```text
//! 1 byte    version, 1
//! 8 bytes   id of the master key
//! 12 bytes  nonce
//! rest      AES-256-GCM ciphertext and its tag of 16 bytes
//! ```
//!
//! The first nine bytes and the caller's `aad` are authenticated. The `aad` says what the value is
//! and which row it belongs to, so that a sealed value that was moved does not open.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::hkdf;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::entropy::{Entropy, NoEntropy};

/// Bytes of a master key.
pub const MASTER_KEY_LEN: usize = 32;
const VERSION: u8 = 1;
const KEY_ID_LEN: usize = 8;
const HEADER_LEN: usize = 1 + KEY_ID_LEN;
const SALT: &[u8] = b"hallpass master key v1";
const SEAL_INFO: &[u8] = b"hallpass seal AES-256-GCM v1";
const KEY_ID_PREFIX: &[u8] = b"hallpass master key id v1\0";

/// The secret under which private keys and other secrets are stored. It is not in the database.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; MASTER_KEY_LEN]);

/// The text is not 32 bytes in hexadecimal or base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a master key is 32 bytes, as 64 hexadecimal digits or as base64")]
pub struct BadMasterKey;

/// Why a value could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The value was sealed under another master key.
    #[error("the value was sealed under another master key")]
    WrongMasterKey,
    /// The value was changed, cut, or moved here from another place.
    #[error("the sealed value is damaged or belongs elsewhere")]
    Corrupt,
    /// Sealing only: there was no randomness for the nonce.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// Sealing only: the cipher failed, which it does for a value of many gigabytes.
    #[error("the value could not be sealed")]
    Cipher,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    /// A new master key.
    ///
    /// # Errors
    /// [`NoEntropy`].
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, NoEntropy> {
        let mut key = Self([0; MASTER_KEY_LEN]);
        entropy.fill(&mut key.0)?;
        Ok(key)
    }

    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; MASTER_KEY_LEN]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits, or base64 in either alphabet with or without padding. White
    /// space around it is cut, since files end in a line feed.
    ///
    /// # Errors
    /// [`BadMasterKey`].
    pub fn parse(text: &str) -> Result<Self, BadMasterKey> {
        let text = text.trim();
        let mut key = Self([0; MASTER_KEY_LEN]);
        if text.len() == 2 * MASTER_KEY_LEN {
            for (byte, digits) in key.0.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                *byte = hex_byte(digits).ok_or(BadMasterKey)?;
            }
            return Ok(key);
        }
        for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
            if let Ok(bytes) = engine.decode(text).map(Zeroizing::new)
                && bytes.len() == MASTER_KEY_LEN
            {
                key.0.copy_from_slice(&bytes);
                return Ok(key);
            }
        }
        Err(BadMasterKey)
    }

    /// As base64, for the file that keeps it.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0))
    }

    /// Which master key it is: it stands in each sealed value and tells nothing about the key.
    pub fn id(&self) -> [u8; KEY_ID_LEN] {
        let mut context = Context::new(&SHA256);
        context.update(KEY_ID_PREFIX);
        context.update(&self.0);
        let mut id = [0; KEY_ID_LEN];
        for (byte, hashed) in id.iter_mut().zip(context.finish().as_ref()) {
            *byte = *hashed;
        }
        id
    }

    /// Seals `plaintext` so that it opens only under this key and with the same `aad`.
    ///
    /// # Errors
    /// [`SealError::NoEntropy`], [`SealError::Cipher`].
    pub fn seal(
        &self,
        plaintext: &[u8],
        aad: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE_LEN] = entropy.bytes()?;
        let header = self.header();
        // The tag is returned apart, so that the buffer never grows and leaves a copy behind.
        let mut body = Zeroizing::new(plaintext.to_vec());
        let tag = self
            .cipher()?
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                bound(&header, aad),
                &mut body,
            )
            .map_err(|_| SealError::Cipher)?;
        Ok([&header[..], &nonce, &body, tag.as_ref()].concat())
    }

    /// Opens what [`MasterKey::seal`] made.
    ///
    /// # Errors
    /// [`SealError::WrongMasterKey`], [`SealError::Corrupt`].
    pub fn open(&self, sealed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let Some((&VERSION, rest)) = sealed.split_first() else {
            return Err(SealError::Corrupt);
        };
        let (id, rest) = rest
            .split_at_checked(KEY_ID_LEN)
            .ok_or(SealError::Corrupt)?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(SealError::Corrupt)?;
        if id != self.id() {
            return Err(SealError::WrongMasterKey);
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Corrupt)?;
        let mut body = Zeroizing::new(body.to_vec());
        let plaintext_len = self
            .cipher()?
            .open_in_place(nonce, bound(&self.header(), aad), &mut body)
            .map_err(|_| SealError::Corrupt)?
            .len();
        body.truncate(plaintext_len);
        Ok(body)
    }

    fn header(&self) -> [u8; HEADER_LEN] {
        let mut header = [VERSION; HEADER_LEN];
        for (byte, id) in header.iter_mut().skip(1).zip(self.id()) {
            *byte = id;
        }
        header
    }

    /// The key that encrypts is derived, so that the master key can serve other ends later
    /// without one use weakening the other.
    fn cipher(&self) -> Result<LessSafeKey, SealError> {
        let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(&self.0);
        let okm = derived
            .expand(&[SEAL_INFO], &AES_256_GCM)
            .map_err(|_| SealError::Cipher)?;
        Ok(LessSafeKey::new(UnboundKey::from(okm)))
    }
}

/// The header has a fixed length, so that no other pair gives the same bytes.
fn bound(header: &[u8; HEADER_LEN], aad: &[u8]) -> Aad<Vec<u8>> {
    Aad::from([&header[..], aad].concat())
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let [high, low] = digits else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
#[path = "tests/master.rs"]
mod tests;
