//! Identifiers: a prefix that names the kind, and 26 characters that sort by time.
//!
//! The 26 characters are 48 bits of milliseconds and 80 random bits in Crockford's base 32, lower
//! case (the layout of a ULID). Ids are names, never secrets.
//!
//! An id is its characters and nothing else: every request makes, copies and drops dozens of them, and
//! none of that asks for memory.

use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::liveness::Tag;
use super::time::Timestamp;
use crate::entropy::{Entropy, NoEntropy};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters of an id behind its prefix.
pub const SUFFIX_LEN: usize = 26;
const PREFIX_LEN: usize = 4;
/// Characters of an id.
const LEN: usize = PREFIX_LEN + SUFFIX_LEN;

/// A text that is not an id of the kind that was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed {kind} id")]
pub struct IdError {
    /// What was wanted, as people call it.
    pub kind: &'static str,
}

/// Bytes of an id that are random.
const RANDOM_BYTES: usize = 10;

fn with_random(prefix: &str, now: Timestamp, random: [u8; RANDOM_BYTES]) -> [u8; LEN] {
    let random = random
        .into_iter()
        .fold(0, |number, byte| (number << 8) | u128::from(byte));
    with_suffix(prefix, millis(now) | random)
}

fn with_suffix(prefix: &str, value: u128) -> [u8; LEN] {
    let mut id = [0; LEN];
    let characters = prefix.bytes().chain(encode(value));
    for (place, character) in id.iter_mut().zip(characters) {
        *place = character;
    }
    id
}

/// Where the milliseconds of an instant stand in an id.
fn millis(at: Timestamp) -> u128 {
    u128::from(u64::try_from(at.millis()).unwrap_or(0) & 0xffff_ffff_ffff) << 80
}

/// What sorts before the suffix of every id that is made from this instant on.
pub fn first_suffix(at: Timestamp) -> String {
    encode(millis(at)).map(char::from).iter().collect()
}

fn encode(mut value: u128) -> [u8; SUFFIX_LEN] {
    let mut digits = [0; SUFFIX_LEN];
    for digit in digits.iter_mut().rev() {
        let place = usize::try_from(value & 31).unwrap_or(0);
        *digit = ALPHABET.get(place).copied().unwrap_or(b'0');
        value >>= 5;
    }
    digits
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
        const _: () = assert!($prefix.len() == PREFIX_LEN);

        $(#[$doc])*
        // Characters of ASCII, always.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; LEN]);

        impl $name {
            /// What such an id begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id.
            ///
            /// # Errors
            /// [`NoEntropy`].
            pub fn new(now: Timestamp, entropy: &dyn Entropy) -> Result<Self, NoEntropy> {
                Ok(Self(with_random(Self::PREFIX, now, entropy.bytes()?)))
            }

            /// Reads an id.
            ///
            /// # Errors
            /// [`IdError`] when the text is not one of this kind.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                match text.strip_prefix($prefix) {
                    Some(rest) if is_suffix(rest) => {
                        let id = text.as_bytes().try_into();
                        id.map(Self).map_err(|_| IdError { kind: $kind })
                    }
                    _ => Err(IdError { kind: $kind }),
                }
            }

            /// The 16 bytes that say all of it; nothing for the few texts of this form that no id
            /// is given.
            pub fn to_bytes(&self) -> Option<[u8; 16]> {
                let suffix = self.as_str().strip_prefix($prefix)?;
                decode(suffix).map(u128::to_be_bytes)
            }

            /// Reads what [`Self::to_bytes`] gives.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(with_suffix(Self::PREFIX, u128::from_be_bytes(bytes)))
            }

            /// The whole id.
            pub fn as_str(&self) -> &str {
                // What is ASCII can be read.
                str::from_utf8(&self.0).unwrap_or_default()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("an id that begins with ", $prefix))
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::parse(text).map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Text)
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
        Ok(Self(with_random(Self::PREFIX, now, random)))
    }
}

impl SessionId {
    /// The id of a session that begins a family, and the tag of that family, from one draw: to ask
    /// the machine twice would take twice as long.
    ///
    /// # Errors
    /// [`NoEntropy`].
    pub fn with_family(now: Timestamp, entropy: &dyn Entropy) -> Result<(Self, Tag), NoEntropy> {
        let drawn: [u8; RANDOM_BYTES + 8] = entropy.bytes()?;
        let mut drawn = drawn.into_iter();
        // There are as many as are taken.
        let mut next = |_| drawn.next().unwrap_or_default();
        let id = with_random(Self::PREFIX, now, std::array::from_fn(&mut next));
        Ok((Self(id), Tag::from_bytes(std::array::from_fn(next))))
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
    fn a_family_has_an_id_and_a_tag_of_one_draw_that_share_nothing() {
        let mut drawn = [0; 18];
        SeededEntropy::new(7).fill(&mut drawn).unwrap();
        let at = Timestamp::from_millis(1_764_000_000_500);

        let (id, tag) = SessionId::with_family(at, &SeededEntropy::new(7)).unwrap();

        let bytes = id.to_bytes().unwrap();
        assert_eq!(bytes.get(..6), 1_764_000_000_500_u64.to_be_bytes().get(2..));
        assert_eq!(bytes.get(6..), drawn.get(..10));
        assert_eq!(tag.to_bytes().as_slice(), drawn.get(10..).unwrap());
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
    fn in_json_an_id_is_its_text() {
        let id = KeyId::new(Timestamp::from_millis(5), &SeededEntropy::new(4)).unwrap();
        let json = format!("\"{id}\"");

        assert_eq!(serde_json::to_string(&id).unwrap(), json);
        assert_eq!(serde_json::from_str::<KeyId>(&json).unwrap(), id);
        // With an escape it is no part of what is read.
        let escaped = json.replace("key_", "key\\u005f");
        assert_eq!(serde_json::from_str::<KeyId>(&escaped).unwrap(), id);
        for bad in ["\"key_1\"", "5", "null", "[]"] {
            assert!(serde_json::from_str::<KeyId>(bad).is_err(), "{bad}");
        }
        let error = serde_json::from_str::<AccountId>(&json).unwrap_err();
        assert!(
            error.to_string().starts_with("not a well-formed user id"),
            "{error}"
        );
        let error = serde_json::from_str::<AccountId>("5").unwrap_err();
        assert!(
            error.to_string().contains("an id that begins with usr_"),
            "{error}"
        );
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
