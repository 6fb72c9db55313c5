//! The gate's table: which permission a route of the API behind the gate needs, and which segments
//! of its path name what a credential can be bound to.

mod identity;

pub use identity::Identity;

use super::binding::{Dimension, NamedValues};
use super::permission::Permission;
use super::route::{NotCovered, RequestPath, RoutePattern, RoutePatternError, RouteSet};
use super::route::{RouteTemplate, covers};

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct GateRule {
    template: RouteTemplate,
    pattern: RoutePattern,
    /// The segments that name a value, by their places in the path.
    names: Vec<(Dimension, usize)>,
    permission: Option<Permission>,
}

/// Why a text is not a line of the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateRuleError {
    /// The route is no pattern.
    #[error(transparent)]
    Pattern(#[from] RoutePatternError),
    /// A named segment behind a `**`.
    #[error("a named segment stands before the first `**`, or its place is not known")]
    BehindDoubleStar,
    /// A name that is not a dimension.
    #[error(
        "`{{{0}}}` names nothing that a credential can be bound to; write `{{project}}`, \
         `{{workspace}}`, `{{bot}}` or `{{integration}}`, and `*` for any other segment"
    )]
    UnknownName(String),
    /// A dimension that is named twice.
    #[error("`{{{0}}}` stands there twice; write `*` for one of the two")]
    NamedTwice(&'static str),
    /// Neither a permission nor a named segment.
    #[error("says nothing; give it a `permission`, or name a segment such as `bot/{{bot}}/**`")]
    Empty,
}

impl GateRule {
    /// Reads a line. `route` is a pattern in which segments may be named: `GET bot/{bot}/**`.
    ///
    /// # Errors
    /// [`GateRuleError`].
    pub fn parse(route: &str, permission: Option<Permission>) -> Result<Self, GateRuleError> {
        let template = RouteTemplate::parse(route)?;
        let pattern = template.to_pattern()?;
        let places = template
            .named_places()
            .ok_or(GateRuleError::BehindDoubleStar)?;
        let mut names: Vec<(Dimension, usize)> = Vec::new();
        for (name, place) in places {
            let dimension = Dimension::parse(name)
                .ok_or_else(|| GateRuleError::UnknownName(name.to_owned()))?;
            if names.iter().any(|(other, _)| *other == dimension) {
                return Err(GateRuleError::NamedTwice(dimension.as_str()));
            }
            names.push((dimension, place));
        }
        if names.is_empty() && permission.is_none() {
            return Err(GateRuleError::Empty);
        }
        Ok(Self {
            template,
            pattern,
            names,
            permission,
        })
    }

    /// The route as it was written.
    pub fn route(&self) -> String {
        self.template.to_string()
    }

    /// The permission that it asks for, if it asks for one.
    pub fn permission(&self) -> Option<&Permission> {
        self.permission.as_ref()
    }

    /// What its named segments bind.
    pub fn dimensions(&self) -> impl Iterator<Item = Dimension> {
        self.names.iter().map(|(dimension, _)| *dimension)
    }
}

/// The table. Among the rules with a permission the first that matches wins. Of named segments those
/// of every rule that matches count, so that no rule hides the name that another one sees.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GateTable {
    rules: Vec<GateRule>,
    default_permission: Option<Permission>,
}

/// Two sources that name different values in one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("two sources name different values of {}", .0.as_str())]
pub struct Disagreement(pub Dimension);

/// What the earlier rules leave of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Some request gets its permission from this rule.
    Reached,
    /// None does: the earlier rules with a permission match all that this one matches.
    Never,
    /// The patterns are too complex to be compared.
    Unknown,
}

impl GateTable {
    /// A table of these rules, in this order. Routes that no rule gives a permission need
    /// `default_permission`; without one they are refused to credentials whose permissions are
    /// narrowed.
    pub fn new(rules: Vec<GateRule>, default_permission: Option<Permission>) -> Self {
        Self {
            rules,
            default_permission,
        }
    }

    /// The rules, in order.
    pub fn rules(&self) -> &[GateRule] {
        &self.rules
    }

    /// The permission of routes that no rule gives one.
    pub fn default_permission(&self) -> Option<&Permission> {
        self.default_permission.as_ref()
    }

    /// The permission that a request needs; `None` when the table gives it none.
    pub fn permission_of(&self, method: &str, path: &RequestPath) -> Option<&Permission> {
        let mut rules = self.rules.iter();
        let found = rules.find_map(|rule| {
            let permission = rule.permission.as_ref()?;
            rule.pattern.matches(method, path).then_some(permission)
        });
        found.or(self.default_permission.as_ref())
    }

    /// Adds the values that the path names to those that are named elsewhere.
    ///
    /// # Errors
    /// [`Disagreement`]: header and path, or two rules, name different values.
    pub fn name_values(
        &self,
        method: &str,
        path: &RequestPath,
        named: &mut NamedValues,
    ) -> Result<(), Disagreement> {
        for rule in &self.rules {
            if rule.names.is_empty() || !rule.pattern.matches(method, path) {
                continue;
            }
            for (dimension, place) in &rule.names {
                // The pattern matched, so the segment is there.
                let Some(value) = path.segment(*place) else {
                    return Err(Disagreement(*dimension));
                };
                match named.get(dimension) {
                    Some(other) if other == value => {}
                    Some(_) => return Err(Disagreement(*dimension)),
                    None => {
                        named.insert(*dimension, value.to_owned());
                    }
                }
            }
        }
        Ok(())
    }

    /// For each rule whether its permission is ever asked for.
    pub fn reach(&self) -> Vec<Reach> {
        let mut earlier: Vec<RoutePattern> = Vec::new();
        let mut reach = Vec::with_capacity(self.rules.len());
        for rule in &self.rules {
            if rule.permission.is_none() {
                reach.push(Reach::Reached);
                continue;
            }
            let sets = RouteSet::from_patterns(earlier.clone()).and_then(|ceiling| {
                Ok((
                    ceiling,
                    RouteSet::from_patterns(vec![rule.pattern.clone()])?,
                ))
            });
            reach.push(match sets.map(|(ceiling, own)| covers(&ceiling, &own)) {
                Ok(Ok(())) => Reach::Never,
                Ok(Err(NotCovered::CounterExample { .. })) => Reach::Reached,
                Ok(Err(NotCovered::TooComplex)) | Err(_) => Reach::Unknown,
            });
            earlier.push(rule.pattern.clone());
        }
        reach
    }
}

#[cfg(test)]
mod tests;
