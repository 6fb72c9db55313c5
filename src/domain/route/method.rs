//! HTTP methods, as patterns name them.

use std::fmt;

/// The methods that a pattern can name. Methods are compared exactly and case matters, as in
/// RFC 9110 §9.1; whatever is not one of these matches only patterns without methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// `CONNECT`
    Connect,
    /// `DELETE`
    Delete,
    /// `GET`; it does not imply `HEAD`.
    Get,
    /// `HEAD`
    Head,
    /// `OPTIONS`
    Options,
    /// `PATCH`
    Patch,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `TRACE`
    Trace,
}

impl Method {
    /// All of them, in the order in which a canonical pattern lists them.
    pub const ALL: [Self; 9] = [
        Self::Connect,
        Self::Delete,
        Self::Get,
        Self::Head,
        Self::Options,
        Self::Patch,
        Self::Post,
        Self::Put,
        Self::Trace,
    ];

    /// The method of a request; `None` for every text that is not exactly one of the names.
    pub fn from_request(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }

    /// The method that a pattern names, in any case.
    pub(super) fn from_pattern(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|method| method.as_str().eq_ignore_ascii_case(text))
    }

    /// The name, in upper case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Trace => "TRACE",
        }
    }

    const fn bit(self) -> u16 {
        match self {
            Self::Connect => 1,
            Self::Delete => 1 << 1,
            Self::Get => 1 << 2,
            Self::Head => 1 << 3,
            Self::Options => 1 << 4,
            Self::Patch => 1 << 5,
            Self::Post => 1 << 6,
            Self::Put => 1 << 7,
            Self::Trace => 1 << 8,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The methods of a pattern: any method at all, unknown ones included, or some that are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Methods {
    /// The pattern names none, so it is about all of them.
    Any,
    /// The pattern names these.
    Only(MethodSet),
}

impl Methods {
    /// Whether a request with this method is meant. `None` is a method that no pattern can name.
    pub fn admits(self, method: Option<Method>) -> bool {
        match (self, method) {
            (Self::Any, _) => true,
            (Self::Only(set), Some(method)) => set.contains(method),
            (Self::Only(_), None) => false,
        }
    }

    /// The methods that both mean; `None` when there are none.
    pub(super) fn intersection(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, methods) | (methods, Self::Any) => Some(methods),
            (Self::Only(left), Self::Only(right)) => {
                let both = MethodSet(left.0 & right.0);
                (both.0 != 0).then_some(Self::Only(both))
            }
        }
    }

    /// Whether every method of `other` is one of these.
    pub(super) fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Only(_), Self::Any) => false,
            (Self::Only(left), Self::Only(right)) => right.0 & !left.0 == 0,
        }
    }
}

impl fmt::Display for Methods {
    /// As a pattern begins: `GET,HEAD ` with the space, or nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Only(set) = self else {
            return Ok(());
        };
        for (place, method) in set.iter().enumerate() {
            if place > 0 {
                f.write_str(",")?;
            }
            f.write_str(method.as_str())?;
        }
        f.write_str(" ")
    }
}

/// Some named methods; never empty inside a [`Methods`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MethodSet(u16);

impl MethodSet {
    pub(super) fn insert(&mut self, method: Method) {
        self.0 |= method.bit();
    }

    /// Whether the method is among them.
    pub const fn contains(self, method: Method) -> bool {
        self.0 & method.bit() != 0
    }

    /// The methods, sorted by name.
    pub fn iter(self) -> impl Iterator<Item = Method> {
        Method::ALL
            .into_iter()
            .filter(move |method| self.contains(*method))
    }
}

/// The methods that a counter-example tries, the usual ones first. Each stands for itself, and the
/// first that neither set names stands for "any other"; when all are named, `PROPFIND` does.
pub(super) const COUNTER_EXAMPLE_METHODS: [(&str, Option<Method>); 10] = [
    ("GET", Some(Method::Get)),
    ("POST", Some(Method::Post)),
    ("PUT", Some(Method::Put)),
    ("PATCH", Some(Method::Patch)),
    ("DELETE", Some(Method::Delete)),
    ("HEAD", Some(Method::Head)),
    ("OPTIONS", Some(Method::Options)),
    ("TRACE", Some(Method::Trace)),
    ("CONNECT", Some(Method::Connect)),
    ("PROPFIND", None),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_name_methods_exactly_and_patterns_in_any_case() {
        assert_eq!(Method::from_request("GET"), Some(Method::Get));
        for other in ["get", "Get", "GET ", "", "FOO", "PROPFIND"] {
            assert_eq!(Method::from_request(other), None, "{other}");
        }
        assert_eq!(Method::from_pattern("get"), Some(Method::Get));
    }

    #[test]
    fn the_names_are_sorted_and_each_has_its_own_bit() {
        assert!(Method::ALL.is_sorted_by(|a, b| a.as_str() < b.as_str() && a < b));
        let mut all = 0;
        for method in Method::ALL {
            assert_eq!(all & method.bit(), 0);
            all |= method.bit();
        }
    }

    #[test]
    fn every_method_class_is_tried_for_a_counter_example() {
        for method in Method::ALL {
            assert!(COUNTER_EXAMPLE_METHODS.contains(&(method.as_str(), Some(method))));
        }
        assert!(
            COUNTER_EXAMPLE_METHODS
                .iter()
                .all(|(name, method)| Method::from_request(name) == *method)
        );
    }
}
