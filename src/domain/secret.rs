//! The two faces of an API key: [`PlainKey`], which the client holds, and [`KeyDigest`], which is
//! stored. Never one type.
//!
//! Form: `<kind>_<env>_<43 base62 characters of 32 random bytes><6 base62 characters of CRC-32>`,
//! for example `sk_live_…`. The checksum is over all that stands before it, so a scanner recognises
//! a key and a typo is refused without asking the database.

use std::fmt;

use aws_lc_rs::constant_time;
use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::environment::Environment;
use super::limits;
use crate::entropy::{Entropy, NoEntropy};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_CHARS: usize = 43;
const CHECK_CHARS: usize = 6;

/// What a key is for; the first part of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum KeyKind {
    /// A secret key of a backend.
    #[serde(rename = "sk")]
    Secret,
    /// A personal access token.
    #[serde(rename = "pat")]
    Personal,
    /// A bot's key.
    #[serde(rename = "bot")]
    Bot,
    /// An integration's key.
    #[serde(rename = "int")]
    Integration,
}

impl KeyKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Secret, Self::Personal, Self::Bot, Self::Integration];

    /// As it stands in a key, on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "sk",
            Self::Personal => "pat",
            Self::Bot => "bot",
            Self::Integration => "int",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A whole key in clear. It is shown once, at creation, and lives in memory for one request.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PlainKey(String);

/// Why a text cannot be an API key. A caller learns none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlainKeyError {
    /// The text has the form of our keys, and the checksum is another one.
    #[error("the checksum does not match")]
    Checksum,
    /// Too long, empty, or with characters that no header may carry.
    #[error("not a key")]
    Malformed,
}

impl PlainKey {
    /// A new key.
    ///
    /// # Errors
    /// [`NoEntropy`].
    pub fn generate(
        kind: KeyKind,
        environment: Environment,
        entropy: &dyn Entropy,
    ) -> Result<Self, NoEntropy> {
        let mut random: [u8; 32] = entropy.bytes()?;
        let mut text = format!("{}_{}_", kind.as_str(), environment.as_str());
        push_base62(&mut text, &random, RANDOM_CHARS);
        let check = crc32fast::hash(text.as_bytes());
        push_base62(&mut text, &check.to_be_bytes(), CHECK_CHARS);
        random.zeroize();
        Ok(Self(text))
    }

    /// Reads what a client presents: a key of our form with the right checksum, or a text of
    /// another form, which may be an imported key.
    ///
    /// # Errors
    /// [`PlainKeyError`].
    pub fn parse(text: &str) -> Result<Self, PlainKeyError> {
        let printable = text.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        if text.is_empty() || text.len() > limits::FOREIGN_KEY_BYTES_MAX || !printable {
            return Err(PlainKeyError::Malformed);
        }
        let Some((_, body)) = split_own(text) else {
            return Ok(Self(text.to_owned()));
        };
        let Some((before, check)) = text.split_at_checked(text.len() - CHECK_CHARS) else {
            return Err(PlainKeyError::Malformed);
        };
        if body.len() != RANDOM_CHARS + CHECK_CHARS {
            return Err(PlainKeyError::Checksum);
        }
        let mut wanted = String::with_capacity(CHECK_CHARS);
        push_base62(
            &mut wanted,
            &crc32fast::hash(before.as_bytes()).to_be_bytes(),
            CHECK_CHARS,
        );
        if wanted == check {
            Ok(Self(text.to_owned()))
        } else {
            Err(PlainKeyError::Checksum)
        }
    }

    /// The text, to be shown once or hashed.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored in place of the key.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(self.0.as_bytes())
    }

    /// What people recognise the key by: its prefix and last four characters.
    pub fn hint(&self) -> String {
        let prefix = split_own(&self.0).map_or("", |(prefix, _)| prefix);
        let tail: String = self
            .0
            .chars()
            .skip(self.0.chars().count().saturating_sub(4))
            .collect();
        format!("{prefix}…{tail}")
    }
}

impl fmt::Debug for PlainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainKey(…)")
    }
}

/// `sk_live_` and the rest, when the text begins like one of our keys.
fn split_own(text: &str) -> Option<(&str, &str)> {
    for kind in KeyKind::ALL {
        for environment in Environment::ALL {
            let rest = text
                .strip_prefix(kind.as_str())
                .and_then(|rest| rest.strip_prefix('_'))
                .and_then(|rest| rest.strip_prefix(environment.as_str()))
                .and_then(|rest| rest.strip_prefix('_'));
            if let Some(rest) = rest {
                return text.split_at_checked(text.len() - rest.len());
            }
        }
    }
    None
}

/// A big-endian number in base 62, in exactly `width` characters.
fn push_base62(text: &mut String, bytes: &[u8], width: usize) {
    let mut number = bytes.to_vec();
    let mut digits = Vec::with_capacity(width);
    for _ in 0..width {
        let mut remainder = 0_u32;
        for byte in &mut number {
            let value = remainder * 256 + u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(0);
            remainder = value % 62;
        }
        let digit = usize::try_from(remainder)
            .ok()
            .and_then(|digit| BASE62.get(digit));
        digits.push(digit.copied().unwrap_or(b'0'));
    }
    number.zeroize();
    text.extend(digits.iter().rev().map(|byte| char::from(*byte)));
    digits.zeroize();
}

/// The SHA-256 of a whole key. A random key of 256 bits needs no slower hash.
#[derive(Clone, Copy)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest of a text.
    pub fn of(text: &[u8]) -> Self {
        let mut bytes = [0; 32];
        for (to, from) in bytes
            .iter_mut()
            .zip(digest::digest(&digest::SHA256, text).as_ref())
        {
            *to = *from;
        }
        Self(bytes)
    }

    /// A digest that comes from elsewhere: 64 hexadecimal digits, or base64 with or without padding.
    pub fn parse(text: &str) -> Option<Self> {
        use base64::Engine as _;
        use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

        if text.len() == 64 {
            let mut bytes = [0; 32];
            for (index, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
            }
            let plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
            return plain.then_some(Self(bytes));
        }
        let bare = text.strip_suffix('=').unwrap_or(text);
        let bytes = STANDARD_NO_PAD
            .decode(bare)
            .or_else(|_| URL_SAFE_NO_PAD.decode(bare))
            .ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// From the 32 bytes that the database holds.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether both are the same, in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    fn key() -> PlainKey {
        PlainKey::generate(KeyKind::Personal, Environment::Test, &SeededEntropy::new(7)).unwrap()
    }

    #[test]
    fn a_key_has_its_form_and_is_read_back() {
        let key = key();

        assert!(key.expose().starts_with("pat_test_"));
        assert_eq!(key.expose().len(), "pat_test_".len() + 49);
        assert!(key.expose().len() <= 64);
        assert!(
            PlainKey::parse(key.expose())
                .unwrap()
                .digest()
                .matches(&key.digest())
        );
        assert_eq!(
            format!("{key:?} {:?}", key.digest()),
            "PlainKey(…) KeyDigest(…)"
        );
        assert!(key.hint().starts_with("pat_test_…"));
        assert_eq!(key.hint().chars().count(), "pat_test_…".chars().count() + 4);
    }

    #[test]
    fn every_single_typo_is_refused_by_the_checksum() {
        let key = key();
        for index in "pat_test_".len()..key.expose().len() {
            let mut bytes = key.expose().as_bytes().to_vec();
            bytes[index] = if bytes[index] == b'x' { b'y' } else { b'x' };
            let typo = String::from_utf8(bytes).unwrap();
            assert_eq!(
                PlainKey::parse(&typo).unwrap_err(),
                PlainKeyError::Checksum,
                "{typo}"
            );
        }
        for wrong in [
            format!("{}0", key.expose()),
            "sk_live_".into(),
            "sk_live_short".into(),
        ] {
            assert_eq!(
                PlainKey::parse(&wrong).unwrap_err(),
                PlainKeyError::Checksum,
                "{wrong}"
            );
        }
    }

    #[test]
    fn keys_of_another_form_are_looked_up_and_nonsense_is_not() {
        assert!(PlainKey::parse(&format!("sk-{}", "a1".repeat(32))).is_ok());
        for text in ["", "two words", "line\nfeed", "ümlaut", &"x".repeat(513)] {
            assert_eq!(
                PlainKey::parse(text).unwrap_err(),
                PlainKeyError::Malformed,
                "{text}"
            );
        }
    }

    #[test]
    fn imported_digests_are_hex_or_base64() {
        use base64::Engine as _;
        let digest = KeyDigest::of(b"legacy");
        let hex = format!("{:x?}", digest.as_bytes().map(|byte| 256 + u16::from(byte)))
            .replace("[1", "")
            .replace(", 1", "")
            .replace(']', "");
        let base64 = base64::engine::general_purpose::STANDARD.encode(digest.as_bytes());

        assert!(KeyDigest::parse(&hex).unwrap().matches(&digest));
        assert!(
            KeyDigest::parse(&hex.to_uppercase())
                .unwrap()
                .matches(&digest)
        );
        assert!(KeyDigest::parse(&base64).unwrap().matches(&digest));
        for text in [
            "",
            "00",
            "zz",
            &"+".repeat(64),
            &format!("{hex}0"),
            &"g".repeat(64),
        ] {
            assert!(KeyDigest::parse(text).is_none(), "{text}");
        }
    }
}
