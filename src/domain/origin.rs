//! Domains: where a credential may be presented from, judged by the host of `Origin` alone.
//!
//! This is a control for browsers only. Any other client can send whatever `Origin` it likes.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

const HOST_CHARS_MAX: usize = 253;
const LABEL_CHARS_MAX: usize = 63;

/// One entry of `domains`: a host that must be equal, or `*.` and the host below which it must be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainPattern(String);

/// Why a text is not an entry of `domains`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// A scheme, port, path or user information.
    #[error("name the host alone, without scheme, port or path, such as `example.com`")]
    NotAHost,
    /// Letters outside ASCII.
    #[error("write an internationalised name in its ASCII form (`xn--…`)")]
    NotAscii,
    /// A wildcard anywhere but as the whole first label.
    #[error("a wildcard stands alone in front, as in `*.example.com`")]
    Wildcard,
}

impl DomainPattern {
    /// Reads an entry; letters are lower-cased.
    ///
    /// # Errors
    /// [`DomainError`].
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        if !text.is_ascii() {
            return Err(DomainError::NotAscii);
        }
        let text = text.to_ascii_lowercase();
        let host = text.strip_prefix("*.").unwrap_or(&text);
        if host.contains('*') {
            return Err(DomainError::Wildcard);
        }
        let wildcard = host.len() != text.len();
        if is_host_name(host) || (!wildcard && is_ipv6_literal(host)) {
            Ok(Self(text))
        } else {
            Err(DomainError::NotAHost)
        }
    }

    /// The entry as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host without the wildcard.
    pub fn host(&self) -> &str {
        self.0.strip_prefix("*.").unwrap_or(&self.0)
    }

    fn matches(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            // What is left is `.example.com`; a label must stand before it.
            Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            None => host == self.0,
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match other.0.strip_prefix("*") {
            Some(suffix) => self
                .0
                .strip_prefix('*')
                .is_some_and(|own| suffix.ends_with(own)),
            None => self.matches(&other.0),
        }
    }
}

fn is_host_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= HOST_CHARS_MAX && text.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= LABEL_CHARS_MAX
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn is_ipv6_literal(text: &str) -> bool {
    text.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// The host of an `Origin` header (RFC 6454 §7), in lower case, without its port. `null` and all
/// that is not exactly `http(s)://host[:port]` is `None`.
pub fn origin_host(origin: &str) -> Option<String> {
    let origin = origin.to_ascii_lowercase();
    let authority = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"))?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')? + 2;
            authority.split_at_checked(end)?
        }
        None => authority
            .find(':')
            .map_or(Some((authority, "")), |at| authority.split_at_checked(at))?,
    };
    if let Some(digits) = port.strip_prefix(':') {
        digits
            .parse::<u16>()
            .ok()
            .filter(|_| !digits.starts_with('+'))?;
    } else if !port.is_empty() {
        return None;
    }
    (is_host_name(host) || is_ipv6_literal(host)).then(|| host.to_owned())
}

/// The domains of a credential that is narrowed to some. Empty means from nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Domains(BTreeSet<DomainPattern>);

impl Domains {
    /// From single entries.
    pub fn new(entries: impl IntoIterator<Item = DomainPattern>) -> Self {
        Self(entries.into_iter().collect())
    }

    /// Each entry, sorted.
    pub fn to_strings(&self) -> Vec<String> {
        self.0.iter().map(|entry| entry.0.clone()).collect()
    }

    /// Each entry.
    pub fn iter(&self) -> impl Iterator<Item = &DomainPattern> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a request with this `Origin` header may present the credential.
    pub fn allow_origin(&self, origin: Option<&str>) -> bool {
        let host = origin.and_then(origin_host);
        host.is_some_and(|host| self.0.iter().any(|entry| entry.matches(&host)))
    }

    /// The first entry of `wanted` that these do not cover.
    pub fn missing_from<'a>(&self, wanted: &'a Self) -> Option<&'a DomainPattern> {
        wanted
            .0
            .iter()
            .find(|wanted| !self.0.iter().any(|own| own.covers(wanted)))
    }

    /// What lies in both, and the wanted entries that fall away.
    pub fn within(&self, ceiling: &Self) -> (Self, Vec<DomainPattern>) {
        let mut kept = BTreeSet::new();
        let mut cut = Vec::new();
        for wanted in &self.0 {
            if ceiling.0.iter().any(|own| own.covers(wanted)) {
                kept.insert(wanted.clone());
                continue;
            }
            let inner: Vec<_> = ceiling
                .0
                .iter()
                .filter(|own| wanted.covers(own))
                .cloned()
                .collect();
            if inner.is_empty() {
                cut.push(wanted.clone());
            }
            kept.extend(inner);
        }
        (Self(kept), cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains(entries: &[&str]) -> Domains {
        Domains::new(
            entries
                .iter()
                .map(|entry| DomainPattern::parse(entry).unwrap()),
        )
    }

    #[test]
    fn the_host_of_origin_must_be_equal_to_an_entry() {
        let allowed = domains(&["example.com", "localhost"]);
        for origin in [
            "https://example.com",
            "http://example.com:8080",
            "https://EXAMPLE.com",
            "http://localhost:3000",
        ] {
            assert!(allowed.allow_origin(Some(origin)), "{origin}");
        }
        for origin in [
            "https://www.example.com",
            "https://evil-example.com",
            "https://example.com.evil.io",
            "https://example.com@evil.io",
            "https://evil.io/example.com",
            "https://evil.io#example.com",
            "https://evil.io?example.com",
            "https://example.com.",
            "https://example.com:",
            "https://example.com:+80",
            "https://example.com:99999",
            "https://example.com:80:80",
            "https://example.com/",
            "https://user@example.com",
            "https://exämple.com",
            "https://example.com\\",
            " https://example.com",
            "https://",
            "example.com",
            "ftp://example.com",
            "null",
            "",
            "https://example.com https://evil.io",
        ] {
            assert!(!allowed.allow_origin(Some(origin)), "{origin}");
        }
        assert!(!allowed.allow_origin(None));
        assert!(!domains(&[]).allow_origin(Some("https://example.com")));
    }

    #[test]
    fn a_wildcard_is_below_its_host_and_never_the_host_itself() {
        let allowed = domains(&["*.example.com"]);
        assert!(allowed.allow_origin(Some("https://a.example.com")));
        assert!(allowed.allow_origin(Some("https://a.b.example.com")));
        for origin in [
            "https://example.com",
            "https://badexample.com",
            "https://.example.com",
        ] {
            assert!(!allowed.allow_origin(Some(origin)), "{origin}");
        }
    }

    #[test]
    fn containment_of_domains() {
        let wild = domains(&["*.example.com"]);
        assert!(
            wild.missing_from(&domains(&["a.example.com", "*.a.example.com"]))
                .is_none()
        );
        assert!(wild.missing_from(&domains(&["example.com"])).is_some());
        assert!(wild.missing_from(&domains(&["*.badexample.com"])).is_some());
        assert!(domains(&["a.example.com"]).missing_from(&wild).is_some());
        assert!(
            domains(&["a.example.com"])
                .missing_from(&domains(&[]))
                .is_none()
        );
        let (kept, cut) = wild.within(&domains(&["a.example.com", "other.org"]));
        assert_eq!(
            (kept.to_strings(), cut.len()),
            (vec!["a.example.com".to_owned()], 0)
        );
    }

    #[test]
    fn entries_are_hosts() {
        for text in [
            "",
            "*",
            "*.",
            "a.*",
            "a*.example.com",
            "https://example.com",
            "example.com:80",
            "example.com/",
            "exämple.com",
            "example.com.",
            ".example.com",
            "a b",
            "-a.com",
            "*.[::1]",
        ] {
            assert!(DomainPattern::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            DomainPattern::parse("Example.COM").unwrap().as_str(),
            "example.com"
        );
        assert!(DomainPattern::parse("[::1]").is_ok());
    }
}
