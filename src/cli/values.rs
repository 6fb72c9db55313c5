//! How the values of arguments are written.

use std::fmt;
use std::str::FromStr;

use time::{Date, Month, Time};
use zeroize::Zeroizing;

use super::error::UsageError;
use crate::domain::limits::CREDENTIAL_BYTES_MAX;
use crate::domain::time::Timestamp;

/// Why a value is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not a length of time.
    #[error("write a number and a unit: 900s, 15m, 12h, 30d or 2w")]
    Duration,
    /// Not an instant.
    #[error("write 2026-01-31, 2026-01-31T12:00:00Z, or milliseconds since 1970")]
    Instant,
    /// Not `name=value`.
    #[error("write name=value")]
    Pair,
    /// Not a rate.
    #[error("write requests/time: 100/60 or 100/1m")]
    Rate,
    /// Not an id.
    #[error("an id has 1 to 128 letters, digits and `. _ ~ -`")]
    Id,
}

/// A length of time in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub i64);

impl FromStr for Seconds {
    type Err = ValueError;

    /// A number and a unit, or a plain number of seconds.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let digits_end = text
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(text.len());
        let (digits, unit) = text.split_at(digits_end);
        let unit_secs: i64 = match unit {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            "w" => 7 * 86_400,
            _ => return Err(ValueError::Duration),
        };
        digits
            .parse::<i64>()
            .ok()
            .and_then(|number| number.checked_mul(unit_secs))
            .map(Self)
            .ok_or(ValueError::Duration)
    }
}

/// An instant: a date, a date with a time in UTC, or milliseconds as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant(pub Timestamp);

impl FromStr for Instant {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // Four digits are a year that lacks its month, not the first seconds of 1970.
            return match text.parse() {
                Ok(millis) if text.len() >= 12 => Ok(Self(Timestamp::from_millis(millis))),
                Ok(_) | Err(_) => Err(ValueError::Instant),
            };
        }
        calendar(text)
            .map(|secs| Self(Timestamp::from_secs(secs)))
            .ok_or(ValueError::Instant)
    }
}

/// Seconds since 1970.
fn calendar(text: &str) -> Option<i64> {
    let (date, clock) = match text.split_once('T') {
        Some((date, clock)) => (date, clock.strip_suffix('Z')?),
        None => (text, "00:00:00"),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(i32::from(year), month, u8::try_from(day).ok()?).ok()?;
    let clock = Time::from_hms(
        u8::try_from(hour).ok()?,
        u8::try_from(minute).ok()?,
        u8::try_from(second).ok()?,
    );
    Some(date.with_time(clock.ok()?).assume_utc().unix_timestamp())
}

fn numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[u16; 3]> {
    let mut parts = text.split(separator);
    let mut values = [0; 3];
    for (value, width) in values.iter_mut().zip(widths) {
        let part = parts.next()?;
        let digits_only = part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit());
        *value = digits_only.then(|| part.parse().ok()).flatten()?;
    }
    parts.next().is_none().then_some(values)
}

/// `name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What stands before the first `=`; not empty.
    pub name: String,
    /// What stands behind it.
    pub value: String,
}

impl FromStr for Pair {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            Some(_) | None => Err(ValueError::Pair),
        }
    }
}

/// So many requests in so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests in the window.
    pub requests: u32,
    /// The window, in seconds.
    pub per_secs: i64,
}

impl FromStr for Rate {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (requests, window) = text.split_once('/').ok_or(ValueError::Rate)?;
        let requests = requests.parse().map_err(|_| ValueError::Rate)?;
        let Seconds(per_secs) = window.parse().map_err(|_| ValueError::Rate)?;
        Ok(Self { requests, per_secs })
    }
}

/// An id that becomes one segment of a path. What could be read as more than that is refused, so
/// no id needs escaping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathId(String);

impl PathId {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PathId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PathId {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte));
        if plain && (1..=128).contains(&text.len()) && !matches!(text, "." | "..") {
            Ok(Self(text.to_owned()))
        } else {
            Err(ValueError::Id)
        }
    }
}

/// A key or a token, as it was given. Whether it could be one is asked when it is used: an error
/// while arguments are read would repeat it on the terminal.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes it, without the white space around it that files end with.
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.trim().to_owned()))
    }

    /// The text, if it could stand in a header.
    ///
    /// # Errors
    /// [`UsageError::Credential`], with `what` it was meant to be.
    pub fn expose(&self, what: &'static str) -> Result<&str, UsageError> {
        let printable = self.0.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        if printable && (1..=CREDENTIAL_BYTES_MAX).contains(&self.0.len()) {
            Ok(&self.0)
        } else {
            Err(UsageError::Credential { what })
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is `-`: to be read from standard input.
    pub fn is_dash(&self) -> bool {
        self.0.as_str() == "-"
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(&Zeroizing::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        let cases = [
            ("900", Some(900)),
            ("900s", Some(900)),
            ("15m", Some(900)),
            ("12h", Some(43_200)),
            ("30d", Some(2_592_000)),
            ("2w", Some(1_209_600)),
            ("0", Some(0)),
            ("", None),
            ("d", None),
            ("-1s", None),
            ("1.5h", None),
            ("1h30m", None),
            ("1 h", None),
            ("9223372036854775807w", None),
            ("99999999999999999999", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(
                text.parse::<Seconds>().ok(),
                wanted.map(Seconds),
                "{text:?}"
            );
        }
    }

    #[test]
    fn instants_are_dates_or_milliseconds() {
        let cases = [
            ("2026-01-31", Some(1_769_817_600_000)),
            ("2026-01-31T12:00:01Z", Some(1_769_860_801_000)),
            ("1769817600000", Some(1_769_817_600_000)),
            ("2026", None),
            ("2026-02-30", None),
            ("2026-01-31T25:00:00Z", None),
            ("2026-01-31T12:00:00", None),
            ("2026-1-31", None),
            ("2026-01-31-01", None),
            ("+026-01-31", None),
            ("", None),
        ];
        for (text, wanted) in cases {
            let wanted = wanted.map(|millis| Instant(Timestamp::from_millis(millis)));
            assert_eq!(text.parse::<Instant>().ok(), wanted, "{text:?}");
        }
    }

    #[test]
    fn rates_name_requests_and_a_window() {
        let rate = |requests, per_secs| Some(Rate { requests, per_secs });
        let cases = [
            ("100/60", rate(100, 60)),
            ("5/1m", rate(5, 60)),
            ("100", None),
            ("/60", None),
            ("100/", None),
            ("-1/60", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(text.parse::<Rate>().ok(), wanted, "{text:?}");
        }
    }

    #[test]
    fn an_id_is_one_segment_of_a_path() {
        for good in ["usr_01", "self", "b1", "-x_Y~z.1"] {
            assert!(good.parse::<PathId>().is_ok(), "{good:?}");
        }
        for bad in ["", ".", "..", "a/b", "a%2fb", "a?b", "a b", "ä", "a#"] {
            assert_eq!(bad.parse::<PathId>(), Err(ValueError::Id), "{bad:?}");
        }
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        let secret = Secret::new(" sk_live_x\n");

        assert_eq!(secret.expose("key").unwrap(), "sk_live_x");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(Secret::new("").expose("key").is_err());
        assert!(Secret::new("a b").expose("key").is_err());
    }
}
