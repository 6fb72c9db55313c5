//! Identifiers: a prefix that names the kind, and 26 characters that sort by time.
//!
//! The 26 characters are 48 bits of milliseconds and 80 random bits in Crockford's base 32, lower
//! case (the layout of a ULID). Ids are names, never secrets.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;
use crate::entropy::{Entropy, NoEntropy};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters of an id behind its prefix.
pub const SUFFIX_LEN: usize = 26;

/// A text that is not an id of the kind that was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed {kind} id")]
pub struct IdError {
    /// What was wanted, as people call it.
    pub kind: &'static str,
}

/// Bytes of an id that are random.
const RANDOM_BYTES: usize = 10;

fn with_suffix(prefix: &str, now: Timestamp, random: [u8; RANDOM_BYTES]) -> String {
    let random = random
        .into_iter()
        .fold(0, |number, byte| (number << 8) | u128::from(byte));
    let mut text = String::with_capacity(prefix.len() + SUFFIX_LEN);
    text.push_str(prefix);
    encode(millis(now) | random, &mut text);
    text
}

/// Where the milliseconds of an instant stand in an id.
fn millis(at: Timestamp) -> u128 {
    u128::from(u64::try_from(at.millis()).unwrap_or(0) & 0xffff_ffff_ffff) << 80
}

/// What sorts before the suffix of every id that is made from this instant on.
pub fn first_suffix(at: Timestamp) -> String {
    let mut text = String::with_capacity(SUFFIX_LEN);
    encode(millis(at), &mut text);
    text
}

fn encode(value: u128, text: &mut String) {
    for place in (0..SUFFIX_LEN).rev() {
        let digit = usize::try_from((value >> (place * 5)) & 31).unwrap_or(0);
        text.push(char::from(ALPHABET.get(digit).copied().unwrap_or(b'0')));
    }
}

/// The 128 bits of a suffix; nothing when it stands for more, as none does that was made here.
fn decode(suffix: &str) -> Option<u128> {
    let mut digits = suffix.bytes().enumerate().map(|(place, byte)| {
        let digit = ALPHABET
            .iter()
            .position(|of_alphabet| *of_alphabet == byte)?;
        let digit = u128::try_from(digit).ok()?;
        (place > 0 || digit < 8).then_some(digit)
    });
    digits.try_fold(0, |number, digit| Some((number << 5) | digit?))
}

fn is_suffix(text: &str) -> bool {
    text.len() == SUFFIX_LEN && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

/// Whether a text has the form of an id of any kind, as the cursor of a list has.
pub fn is_id(text: &str) -> bool {
    text.split_once('_').is_some_and(|(kind, suffix)| {
        !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_lowercase()) && is_suffix(suffix)
    })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// What such an id begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id.
            ///
            /// # Errors
            /// [`NoEntropy`].
            pub fn new(now: Timestamp, entropy: &dyn Entropy) -> Result<Self, NoEntropy> {
                Ok(Self(with_suffix($prefix, now, entropy.bytes()?)))
            }

            /// Reads an id.
            ///
            /// # Errors
            /// [`IdError`] when the text is not one of this kind.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                match text.strip_prefix($prefix) {
                    Some(rest) if is_suffix(rest) => Ok(Self(text.to_owned())),
                    _ => Err(IdError { kind: $kind }),
                }
            }

            /// The 16 bytes that say all of it; nothing for the few texts of this form that no id
            /// is given.
            pub fn to_bytes(&self) -> Option<[u8; 16]> {
                let suffix = self.0.strip_prefix($prefix)?;
                decode(suffix).map(u128::to_be_bytes)
            }

            /// Reads what [`Self::to_bytes`] gives.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                let mut text = String::with_capacity($prefix.len() + SUFFIX_LEN);
                text.push_str($prefix);
                encode(u128::from_be_bytes(bytes), &mut text);
                Self(text)
            }

            /// The whole id.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id!(
    /// An account; `user` on the wire.
    AccountId, "usr_", "user"
);
id!(
    /// An API key; `token` on the wire. It is the `client_id` of the sessions that it mints.
    KeyId, "key_", "token"
);
id!(
    /// A session; the `jti` of its token.
    SessionId, "ses_", "session"
);
id!(
    /// An entry of the ledger.
    AuditId, "aud_", "audit"
);
id!(
    /// One request, as logs, errors and the ledger name it.
    RequestId, "req_", "request"
);
id!(
    /// A webhook: an address that an account is told at.
    WebhookId, "whk_", "webhook"
);
id!(
    /// Something that happened, as webhooks tell it. It is the `webhook-id` of each attempt.
    EventId, "evt_", "event"
);
id!(
    /// One event for one webhook.
    DeliveryId, "dlv_", "delivery"
);
id!(
    /// A conversation that a profile makes for a new session.
    ConversationId, "cnv_", "conversation"
);

impl RequestId {
    /// The name of a request that begins. Every request has one, so its chance is drawn from a
    /// stock.
    ///
    /// # Errors
    /// [`NoEntropy`].
    pub fn of_request(now: Timestamp, entropy: &dyn Entropy) -> Result<Self, NoEntropy> {
        let mut random = [0; RANDOM_BYTES];
        entropy.fill_from_stock(&mut random)?;
        Ok(Self(with_suffix(Self::PREFIX, now, random)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    #[test]
    fn ids_sort_by_time_and_survive_a_round_trip() {
        let entropy = SeededEntropy::new(1);
        let early = SessionId::new(Timestamp::from_millis(1_000), &entropy).unwrap();
        let late = SessionId::new(Timestamp::from_millis(1_001), &entropy).unwrap();

        assert!(early < late);
        assert_eq!(SessionId::parse(early.as_str()), Ok(early));
    }

    #[test]
    fn sixteen_bytes_say_all_of_an_id_that_is_given_to_anything() {
        let entropy = SeededEntropy::new(3);
        for millis in [0, 1, 1_764_000_000_500, 0xffff_ffff_ffff] {
            let id = KeyId::new(Timestamp::from_millis(millis), &entropy).unwrap();
            assert_eq!(KeyId::from_bytes(id.to_bytes().unwrap()), id);
        }
        for text in [
            "key_7zzzzzzzzzzzzzzzzzzzzzzzzz",
            "key_00000000000000000000000000",
        ] {
            let id = KeyId::parse(text).unwrap();
            assert_eq!(KeyId::from_bytes(id.to_bytes().unwrap()), id);
        }
        let beyond = KeyId::parse("key_80000000000000000000000000").unwrap();
        assert_eq!(beyond.to_bytes(), None);
    }

    #[test]
    fn a_cursor_has_the_form_of_an_id() {
        let id = AccountId::new(Timestamp::from_millis(5), &SeededEntropy::new(2)).unwrap();

        assert!(is_id(id.as_str()));
        for text in [
            "",
            "abc",
            "usr_",
            "usr_1",
            "_00000000000000000000000000",
            "~",
        ] {
            assert!(!is_id(text), "{text}");
        }
    }

    #[test]
    fn what_is_not_an_id_of_the_kind_is_refused() {
        let id = AccountId::new(Timestamp::from_millis(5), &SeededEntropy::new(2)).unwrap();
        let long = format!("{id}0");
        let upper = id.as_str().to_uppercase();
        let short = "usr_0000";
        for text in [
            "",
            "usr_",
            long.as_str(),
            upper.as_str(),
            short,
            "usr_0000000000000000000000000*",
        ] {
            assert!(AccountId::parse(text).is_err(), "{text}");
        }
        assert!(KeyId::parse(id.as_str()).is_err());
    }
}
