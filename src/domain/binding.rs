//! Bindings: a credential that works for named projects, workspaces, bots or integrations only.

use std::collections::{BTreeMap, BTreeSet};

use super::limits;

/// What a credential can be bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// A project.
    Project,
    /// A workspace.
    Workspace,
    /// A bot.
    Bot,
    /// An integration.
    Integration,
}

impl Dimension {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Project, Self::Workspace, Self::Bot, Self::Integration];

    /// As it stands in `bindings`, and as a named segment of a route rule.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Workspace => "workspace",
            Self::Bot => "bot",
            Self::Integration => "integration",
        }
    }

    /// The request header that names the value, in lower case.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Project => "x-project-id",
            Self::Workspace => "x-workspace-id",
            Self::Bot => "x-bot-id",
            Self::Integration => "x-integration-id",
        }
    }

    /// [`Self::header`] as people write it.
    pub const fn header_shown(self) -> &'static str {
        match self {
            Self::Project => "X-Project-ID",
            Self::Workspace => "X-Workspace-ID",
            Self::Bot => "X-Bot-ID",
            Self::Integration => "X-Integration-ID",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|dimension| dimension.as_str() == text)
    }
}

/// Whether a text can be the value of a binding: visible ASCII without separators.
pub fn is_value(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= limits::BINDING_CHARS_MAX
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._~-:@".contains(&b))
}

/// For each narrowed dimension the values that are allowed. An absent dimension is not narrowed; an
/// empty list allows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Bindings(BTreeMap<Dimension, BTreeSet<String>>);

/// The values that a request names, at most one in a dimension.
pub type NamedValues = BTreeMap<Dimension, String>;

impl Bindings {
    /// Narrows a dimension, replacing what was there.
    pub fn narrow(&mut self, dimension: Dimension, values: BTreeSet<String>) {
        self.0.insert(dimension, values);
    }

    /// Whether no dimension is narrowed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each narrowed dimension.
    pub fn iter(&self) -> impl Iterator<Item = (Dimension, &BTreeSet<String>)> {
        self.0
            .iter()
            .map(|(dimension, values)| (*dimension, values))
    }

    /// The values of a dimension, when it is narrowed.
    pub fn get(&self, dimension: Dimension) -> Option<&BTreeSet<String>> {
        self.0.get(&dimension)
    }

    /// The first dimension in which `wanted` is not within these.
    pub fn exceeded_by(&self, wanted: &Self) -> Option<Dimension> {
        self.0
            .iter()
            .find(|(dimension, values)| {
                !wanted
                    .0
                    .get(dimension)
                    .is_some_and(|wanted| wanted.is_subset(values))
            })
            .map(|(dimension, _)| *dimension)
    }

    /// What lies in both. A dimension that only one of them narrows is narrowed so.
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = self.0.clone();
        for (dimension, values) in &other.0 {
            let narrowed = match both.get(dimension) {
                Some(own) => own.intersection(values).cloned().collect(),
                None => values.clone(),
            };
            both.insert(*dimension, narrowed);
        }
        Self(both)
    }

    /// The first narrowed dimension for which the request names no value, or another one.
    pub fn refused_by(&self, named: &NamedValues) -> Option<Dimension> {
        self.0
            .iter()
            .find(|(dimension, values)| {
                !named
                    .get(dimension)
                    .is_some_and(|value| values.contains(value))
            })
            .map(|(dimension, _)| *dimension)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(dimension: Dimension, values: &[&str]) -> Bindings {
        let mut bindings = Bindings::default();
        bindings.narrow(
            dimension,
            values.iter().map(|&value| value.to_owned()).collect(),
        );
        bindings
    }

    #[test]
    fn a_bound_credential_needs_a_named_value_that_is_in_its_list() {
        let bindings = bound(Dimension::Bot, &["b1"]);
        let named = |value: &str| NamedValues::from([(Dimension::Bot, value.to_owned())]);

        assert_eq!(bindings.refused_by(&named("b1")), None);
        assert_eq!(bindings.refused_by(&named("b2")), Some(Dimension::Bot));
        assert_eq!(
            bindings.refused_by(&NamedValues::new()),
            Some(Dimension::Bot)
        );
        assert_eq!(
            bound(Dimension::Bot, &[]).refused_by(&named("b1")),
            Some(Dimension::Bot)
        );
        assert_eq!(Bindings::default().refused_by(&NamedValues::new()), None);
    }

    #[test]
    fn a_value_is_visible_ascii_without_separators() {
        for text in ["b1", "a.b_c~d-e", "p:1@x", "_", "..", &"v".repeat(128)] {
            assert!(is_value(text), "{text}");
        }
        for text in [
            "",
            " ",
            "a b",
            "a,b",
            "a/b",
            "a;b",
            "*",
            "a\n",
            "a\0",
            "\u{e9}",
            "<a>",
            "{a}",
            "a%20",
            "\"a\"",
            &"v".repeat(129),
        ] {
            assert!(!is_value(text), "{text:?}");
        }
    }

    #[test]
    fn dimensions_are_read_as_they_are_written() {
        for dimension in Dimension::ALL {
            assert_eq!(Dimension::parse(dimension.as_str()), Some(dimension));
            assert_eq!(dimension.header(), format!("x-{}-id", dimension.as_str()));
        }
        assert_eq!(Dimension::parse("Bot"), None);
    }

    #[test]
    fn an_absent_dimension_is_wider_than_a_narrowed_one() {
        let one = bound(Dimension::Bot, &["b1"]);
        let two = bound(Dimension::Bot, &["b1", "b2"]);

        assert_eq!(two.exceeded_by(&one), None);
        assert_eq!(one.exceeded_by(&two), Some(Dimension::Bot));
        assert_eq!(one.exceeded_by(&Bindings::default()), Some(Dimension::Bot));
        assert_eq!(Bindings::default().exceeded_by(&one), None);
        assert_eq!(two.intersection(&one), one);
        assert_eq!(Bindings::default().intersection(&one), one);
    }
}
