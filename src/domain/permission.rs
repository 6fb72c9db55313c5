//! Permission scopes, such as `bots:read`.

use std::collections::BTreeSet;
use std::fmt;

/// One permission scope. `admin` implies all permissions and nothing else.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission(String);

const ADMIN: &str = "admin";
const CHARS_MAX: usize = 64;

impl Permission {
    /// Reads a scope: lower-case words with hyphens, and at most one colon between two of them.
    pub fn parse(text: &str) -> Option<Self> {
        let word = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let well_formed = match text.split_once(':') {
            Some((noun, verb)) => word(noun) && word(verb),
            None => word(text),
        };
        (well_formed && text.len() <= CHARS_MAX).then(|| Self(text.to_owned()))
    }

    /// The scope as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The scopes that exist here; a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary(BTreeSet<Permission>);

impl Vocabulary {
    /// The scopes that were configured, and `admin`.
    pub fn new(scopes: impl IntoIterator<Item = Permission>) -> Self {
        let mut all: BTreeSet<Permission> = scopes.into_iter().collect();
        all.insert(Permission(ADMIN.to_owned()));
        Self(all)
    }

    /// Whether a scope exists.
    pub fn has(&self, scope: &Permission) -> bool {
        self.0.contains(scope)
    }

    /// All scopes, for an error that says what could be written instead.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|scope| scope.0.clone()).collect()
    }
}

impl Default for Vocabulary {
    fn default() -> Self {
        let nouns = [
            "bots",
            "integrations",
            "channels",
            "conversations",
            "agent-loops",
        ];
        Self::new(
            nouns.iter().flat_map(|noun| {
                ["read", "write"].map(|verb| Permission(format!("{noun}:{verb}")))
            }),
        )
    }
}

/// The scopes of a credential whose permissions are narrowed. Empty means none at all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Permissions(BTreeSet<Permission>);

impl Permissions {
    /// From single scopes.
    pub fn new(scopes: impl IntoIterator<Item = Permission>) -> Self {
        Self(scopes.into_iter().collect())
    }

    /// From the claim `scope`: scopes with one space between them.
    pub fn from_scope(scope: &str) -> Option<Self> {
        scope
            .split(' ')
            .map(Permission::parse)
            .collect::<Option<BTreeSet<_>>>()
            .map(Self)
    }

    /// The claim `scope`.
    pub fn to_scope(&self) -> String {
        self.to_strings().join(" ")
    }

    /// Each scope, sorted.
    pub fn to_strings(&self) -> Vec<String> {
        self.0.iter().map(|scope| scope.0.clone()).collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a scope is among them, or `admin` is.
    pub fn allows(&self, scope: &Permission) -> bool {
        self.0.contains(scope) || self.0.iter().any(|own| own.0 == ADMIN)
    }

    /// The first scope of `wanted` that these do not imply.
    pub fn missing_from<'a>(&self, wanted: &'a Self) -> Option<&'a Permission> {
        wanted.0.iter().find(|scope| !self.allows(scope))
    }

    /// What both allow, and the wanted scopes that fall away.
    pub fn within(&self, ceiling: &Self) -> (Self, Vec<Permission>) {
        let mut kept = BTreeSet::new();
        let mut cut = Vec::new();
        for scope in &self.0 {
            if ceiling.allows(scope) {
                kept.insert(scope.clone());
            } else if scope.0 == ADMIN {
                kept.extend(ceiling.0.iter().cloned());
            } else {
                cut.push(scope.clone());
            }
        }
        (Self(kept), cut)
    }

    /// Each scope.
    pub fn iter(&self) -> impl Iterator<Item = &Permission> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(scope: &str) -> Permissions {
        Permissions::from_scope(scope).unwrap()
    }

    #[test]
    fn admin_implies_every_permission_and_is_implied_by_none() {
        let admin = set("admin");
        let reader = set("bots:read");

        assert!(admin.missing_from(&reader).is_none());
        assert_eq!(reader.missing_from(&admin).unwrap().as_str(), "admin");
        assert!(!reader.allows(&Permission::parse("bots:write").unwrap()));
        assert!(!Permissions::default().allows(&Permission::parse("bots:read").unwrap()));
    }

    #[test]
    fn admin_within_a_ceiling_is_the_ceiling() {
        let (kept, cut) = set("admin").within(&set("bots:read bots:write"));
        assert_eq!(
            (kept.to_scope().as_str(), cut.len()),
            ("bots:read bots:write", 0)
        );
        let (kept, cut) = set("bots:read channels:read").within(&set("bots:read"));
        assert_eq!((kept.to_scope().as_str(), cut.len()), ("bots:read", 1));
    }

    #[test]
    fn what_is_not_a_scope_is_refused() {
        for text in [
            "", ":", "a:", ":b", "a:b:c", "A", "a b", "a_b", "*", "bots:*",
        ] {
            assert!(Permission::parse(text).is_none(), "{text}");
        }
        assert!(Permissions::from_scope("").is_none());
        assert!(Permissions::from_scope("a  b").is_none());
    }
}
