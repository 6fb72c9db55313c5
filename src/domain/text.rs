//! Texts that people write: names, e-mail addresses, and the JSON objects that are kept for them.

use std::fmt;

use serde_json::{Map, Value};

use super::limits;

/// Why a text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Longer than allowed.
    #[error("at most {max} characters")]
    TooLong {
        /// The limit, in characters or bytes.
        max: usize,
    },
    /// Control characters, which no name needs and logs and terminals mistake for something else.
    #[error("control characters are not allowed")]
    Control,
    /// Not an e-mail address as it is kept here.
    #[error("an ASCII address such as `name@example.com`")]
    Email,
}

/// A text of at most `chars_max` characters without control characters; line breaks are allowed
/// where `lines` is.
///
/// # Errors
/// [`TextError`].
pub fn check(text: &str, chars_max: usize, lines: bool) -> Result<(), TextError> {
    if text.chars().count() > chars_max {
        return Err(TextError::TooLong { max: chars_max });
    }
    let bad = |c: char| c.is_control() && !(lines && matches!(c, '\n' | '\r' | '\t'));
    if text.chars().any(bad) {
        Err(TextError::Control)
    } else {
        Ok(())
    }
}

/// An e-mail address: ASCII, trimmed and lower-cased once, here, so that every comparison after is
/// one of bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(String);

impl Email {
    /// Reads an address.
    ///
    /// # Errors
    /// [`TextError::Email`], [`TextError::TooLong`].
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let text = text.trim_matches([' ', '\t']);
        if text.len() > limits::EMAIL_CHARS_MAX {
            return Err(TextError::TooLong {
                max: limits::EMAIL_CHARS_MAX,
            });
        }
        let (local, domain) = text.rsplit_once('@').ok_or(TextError::Email)?;
        let local_ok = !local.is_empty()
            && local.len() <= 64
            && local
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b));
        let domain_ok = domain.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        });
        if local_ok && domain_ok {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(TextError::Email)
        }
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A JSON object that is kept as it is and never interpreted.
pub type JsonObject = Map<String, Value>;

/// Checks that a kept object is small enough as JSON text.
///
/// # Errors
/// [`TextError::TooLong`].
pub fn check_object(object: &JsonObject, bytes_max: usize) -> Result<(), TextError> {
    let text = serde_json::to_string(object).unwrap_or_default();
    if text.len() > bytes_max {
        Err(TextError::TooLong { max: bytes_max })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling() {
        for text in ["Ann@Example.COM", " ann@example.com ", "ann@example.com"] {
            assert_eq!(Email::parse(text).unwrap().as_str(), "ann@example.com");
        }
    }

    #[test]
    fn look_alikes_are_refused() {
        for text in [
            "",
            "@",
            "ann",
            "ann@",
            "@example.com",
            "ann@example..com",
            "ann@.com",
            "ann@exämple.com",
            "аnn@example.com",
            "ann@example.com\u{200b}",
            "ann b@example.com",
            "ann@example.com,bob@example.com",
            "\"ann\"@example.com",
            "ann@[192.0.2.1]",
            "ann@exa mple.com",
            "ann\u{0}@example.com",
            "ann@example.com\n",
            "ann\u{212a}@example.com",
        ] {
            assert!(Email::parse(text).is_err(), "{text:?}");
        }
        assert!(Email::parse(&format!("{}@example.com", "a".repeat(65))).is_err());
        assert!(Email::parse(&format!("a@{}.com", "b".repeat(250))).is_err());
    }

    #[test]
    fn a_kept_object_has_a_limit_on_both_sides() {
        let object = |chars: usize| {
            let mut object = JsonObject::new();
            object.insert("k".to_owned(), Value::String("v".repeat(chars)));
            object
        };
        // `{"k":""}` is eight bytes.
        assert_eq!(check_object(&object(12), 20), Ok(()));
        assert_eq!(
            check_object(&object(13), 20),
            Err(TextError::TooLong { max: 20 })
        );
    }

    #[test]
    fn names_have_a_limit_on_both_sides_and_no_control_characters() {
        assert_eq!(check(&"ü".repeat(5), 5, false), Ok(()));
        assert_eq!(
            check(&"ü".repeat(6), 5, false),
            Err(TextError::TooLong { max: 5 })
        );
        assert_eq!(check("a\nb", 5, false), Err(TextError::Control));
        assert_eq!(check("a\nb", 5, true), Ok(()));
        assert_eq!(check("a\u{1b}b", 5, true), Err(TextError::Control));
    }
}
