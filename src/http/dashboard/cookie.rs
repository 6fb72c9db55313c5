//! The cookie that holds the handle.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

use crate::app::dashboard::Handle;
use crate::domain::limits;

/// The name where the service is reached over HTTPS. A browser takes it from nobody but this host,
/// over HTTPS, for all paths.
const SECURE: &str = "__Host-hallpass";
/// The name where it is not, which is so on one's own machine only. Not every browser takes the
/// other one there.
const LOCAL: &str = "hallpass-local";

/// How the cookie is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The issuer begins with `https`.
    Secure,
    /// The issuer is one's own machine.
    Local,
    /// A key would go over the net in clear text: there is no cookie, and no sign-in.
    None,
}

impl Kind {
    /// By the issuer, since a proxy may stand before this server.
    pub(super) fn of_issuer(issuer: &str) -> Self {
        if issuer.starts_with("https://") {
            return Self::Secure;
        }
        let host = issuer.strip_prefix("http://").unwrap_or_default();
        let host = host.split('/').next().unwrap_or_default();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            Some(_) | None => host,
        };
        let address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        // All addresses, when somebody listens on them without saying what the service is called.
        let here = address.is_ok_and(|address| address.is_loopback() || address.is_unspecified());
        if name == "localhost" || name.ends_with(".localhost") || here {
            Self::Local
        } else {
            Self::None
        }
    }

    fn name(self) -> Option<&'static str> {
        match self {
            Self::Secure => Some(SECURE),
            Self::Local => Some(LOCAL),
            Self::None => None,
        }
    }

    /// The handle of a request. One that came twice is none: somebody else set one of them.
    pub(super) fn read(self, headers: &HeaderMap) -> Option<Handle> {
        let name = self.name()?;
        let mut values = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(other, _)| *other == name)
            .map(|(_, value)| value);
        match (values.next(), values.next()) {
            (Some(value), None) => Handle::parse(value),
            (None | Some(_), _) => None,
        }
    }

    /// Sets the cookie.
    pub(super) fn set(self, handle: &Handle) -> Option<HeaderValue> {
        let mut value = self.line(&handle.expose(), limits::SIGN_IN_SECS_MAX)?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Takes the cookie away.
    pub(super) fn clear(self) -> Option<HeaderValue> {
        self.line("", 0)
    }

    fn line(self, value: &str, max_age: i64) -> Option<HeaderValue> {
        let name = self.name()?;
        let secure = if self == Self::Secure { "; Secure" } else { "" };
        let line =
            format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}");
        HeaderValue::from_str(&line).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuer_says_which_cookie() {
        for (issuer, kind) in [
            ("https://hallpass.example", Kind::Secure),
            ("http://127.0.0.1:8080", Kind::Local),
            ("http://localhost:8080", Kind::Local),
            ("http://localhost/path", Kind::Local),
            ("http://[::1]:8080", Kind::Local),
            ("http://[::1]", Kind::Local),
            ("http://0.0.0.0:8080", Kind::Local),
            ("http://hallpass.example", Kind::None),
            ("http://localhost.example:80", Kind::None),
            ("http://192.0.2.1", Kind::None),
        ] {
            assert_eq!(Kind::of_issuer(issuer), kind, "{issuer}");
        }
    }

    #[test]
    fn a_cookie_that_came_twice_is_none() {
        let handle = Handle::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        let value = handle.expose();
        let mut headers = HeaderMap::new();
        let line = format!("other=1; {SECURE}={value}");
        headers.append(COOKIE, HeaderValue::from_str(&line).unwrap());
        assert!(Kind::Secure.read(&headers).is_some());
        assert!(Kind::Local.read(&headers).is_none());

        headers.append(COOKIE, HeaderValue::from_str(&line).unwrap());
        assert!(Kind::Secure.read(&headers).is_none());
    }
}
