//! Templates of API keys: restrictions with gaps, so that nobody has to write the common ones.
//!
//! Ten are a name and some routes; three are for a person, a bot and an integration. More can be
//! added in the settings. A template is expanded before anything is judged, so a key made with one
//! is a key like any other.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::{Config, ConfigError, SessionConfig};
use super::permission::Vocabulary;
use super::route::{
    FillError, PlaceholderValue, PlaceholderValueError, RoutePatternError, RouteTemplate,
};
use super::secret::KeyKind;

mod shipped;

pub use shipped::shipped;

/// A template of API keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Template {
    /// What `template` names in a create call.
    pub name: String,
    /// A name for people.
    pub title: String,
    /// What such a key is for.
    pub description: String,
    /// The kind of such a key, unless the create call names another.
    pub kind: KeyKind,
    /// The values that a create call must name in `placeholders`.
    #[serde(default)]
    pub placeholders: Vec<String>,
    /// Whether such a key is declared unrestricted.
    #[serde(default)]
    pub unrestricted: bool,
    /// Its restrictions. A route may have `<name>` for a whole segment, any other text anywhere.
    #[serde(default)]
    pub config: Config,
}

/// Why a template could not be expanded, or is none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// A value for a placeholder that the template does not have.
    #[error("there is no placeholder `{name}` in this template")]
    Unknown {
        /// Which one.
        name: String,
    },
    /// A placeholder without a value.
    #[error("there is no value for the placeholder `{name}`")]
    Missing {
        /// Which one.
        name: String,
    },
    /// A value that may not fill a placeholder.
    #[error("the value of the placeholder `{name}`: {error}")]
    Value {
        /// Which one.
        name: String,
        /// What is wrong. It is part of the message above, so it is no `source`.
        error: PlaceholderValueError,
    },
    /// A route of the template that is none, or becomes none with these values.
    #[error("the route `{route}` of the template: {error}")]
    Route {
        /// The route, as the template has it.
        route: String,
        /// What is wrong. It is part of the message above, so it is no `source`.
        error: RoutePatternError,
    },
    /// The restrictions use a placeholder that the template does not list.
    #[error("the template uses the placeholder `{name}` and does not list it")]
    Undeclared {
        /// Which one.
        name: String,
    },
    /// The template lists a placeholder that its restrictions do not use.
    #[error("the template lists the placeholder `{name}` and does not use it")]
    Unused {
        /// Which one.
        name: String,
    },
    /// The template lists a placeholder twice, or by a name that no route could have.
    #[error("the template cannot list the placeholder `{name}`, or lists it twice")]
    PlaceholderName {
        /// Which one.
        name: String,
    },
    /// What it says once it is filled in is not a config.
    #[error("config.{0}")]
    Config(ConfigError),
    /// It is declared unrestricted and narrows something, or neither.
    #[error("a template narrows routes, permissions or bindings, or is unrestricted, not both")]
    Unrestricted,
}

impl Template {
    /// The restrictions with these values for its placeholders.
    ///
    /// # Errors
    /// [`TemplateError`]. A value too many and a value too few are errors, since either is a
    /// mistake about what the key may do.
    pub fn expand(&self, placeholders: &BTreeMap<String, String>) -> Result<Config, TemplateError> {
        let known = |name: &String| self.placeholders.contains(name);
        if let Some(name) = placeholders.keys().find(|name| !known(name)) {
            return Err(TemplateError::Unknown { name: name.clone() });
        }
        let mut values = BTreeMap::new();
        for name in &self.placeholders {
            let value = placeholders
                .get(name)
                .ok_or_else(|| TemplateError::Missing { name: name.clone() })?;
            let value = PlaceholderValue::parse(value).map_err(|error| TemplateError::Value {
                name: name.clone(),
                error,
            })?;
            values.insert(name.clone(), value);
        }
        Filler {
            values: &values,
            used: BTreeSet::new(),
        }
        .config(&self.config)
    }

    /// Checks a template of the settings, once, when they are read: that each of its placeholders
    /// is used and listed, and that with values for them it is a config.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn check(&self, vocabulary: &Vocabulary) -> Result<(), TemplateError> {
        let value = |name: &String| {
            // A name is read as routes read it. It may stand as its own value, too.
            let route = RouteTemplate::parse(&format!("<{name}>")).ok();
            PlaceholderValue::parse("x")
                .ok()
                .filter(|_| route.is_some_and(|route| route.placeholders() == [name]))
                .ok_or_else(|| TemplateError::PlaceholderName { name: name.clone() })
        };
        let mut values = BTreeMap::new();
        for name in &self.placeholders {
            if values.insert(name.clone(), value(name)?).is_some() {
                return Err(TemplateError::PlaceholderName { name: name.clone() });
            }
        }
        let mut filler = Filler {
            values: &values,
            used: BTreeSet::new(),
        };
        let config = filler.config(&self.config)?;
        if let Some(name) = values.keys().find(|name| !filler.used.contains(*name)) {
            return Err(TemplateError::Unused { name: name.clone() });
        }
        let restrictions = config.parse(vocabulary).map_err(TemplateError::Config)?;
        let narrowed = if self.unrestricted {
            restrictions.narrow_nothing()
        } else {
            restrictions.narrow_what_counts()
        };
        if narrowed {
            Ok(())
        } else {
            Err(TemplateError::Unrestricted)
        }
    }
}

/// Fills in a config, and remembers which values were used.
struct Filler<'v> {
    values: &'v BTreeMap<String, PlaceholderValue>,
    used: BTreeSet<String>,
}

impl Filler<'_> {
    fn config(&mut self, config: &Config) -> Result<Config, TemplateError> {
        let Config {
            allowed_routes,
            permissions,
            bindings,
            projects,
            domains,
            cidrs,
            session,
            impersonation,
            manage,
            rate_limit,
        } = config;
        Ok(Config {
            allowed_routes: self.routes(allowed_routes.as_deref())?,
            permissions: self.texts(permissions.as_deref())?,
            bindings: self.bindings(bindings.as_ref())?,
            projects: self.texts(projects.as_deref())?,
            domains: self.texts(domains.as_deref())?,
            cidrs: self.texts(cidrs.as_deref())?,
            session: match session {
                None => None,
                Some(session) => Some(self.session(session)?),
            },
            impersonation: match impersonation {
                None => None,
                Some(impersonation) => Some(self.value(impersonation)?),
            },
            manage: self.texts(manage.as_deref())?,
            rate_limit: *rate_limit,
        })
    }

    fn session(&mut self, session: &SessionConfig) -> Result<SessionConfig, TemplateError> {
        let SessionConfig {
            allowed_routes,
            permissions,
            bindings,
            domains,
            audiences,
            max_duration_in_seconds,
            max_renewable_in_seconds,
        } = session;
        Ok(SessionConfig {
            allowed_routes: self.routes(allowed_routes.as_deref())?,
            permissions: self.texts(permissions.as_deref())?,
            bindings: self.bindings(bindings.as_ref())?,
            domains: self.texts(domains.as_deref())?,
            audiences: self.texts(audiences.as_deref())?,
            max_duration_in_seconds: *max_duration_in_seconds,
            max_renewable_in_seconds: *max_renewable_in_seconds,
        })
    }

    fn routes(&mut self, routes: Option<&[String]>) -> Result<Option<Vec<String>>, TemplateError> {
        routes
            .map(|routes| routes.iter().map(|route| self.route(route)).collect())
            .transpose()
    }

    fn route(&mut self, text: &str) -> Result<String, TemplateError> {
        let wrong = |error| TemplateError::Route {
            route: text.to_owned(),
            error,
        };
        let route = RouteTemplate::parse(text).map_err(wrong)?;
        let filled = route.fill(self.values).map_err(|error| match error {
            FillError::Missing { name } => TemplateError::Undeclared { name },
            FillError::Pattern(error) => wrong(error),
        })?;
        let names = route.placeholders();
        self.used.extend(names.iter().map(|&name| name.to_owned()));
        Ok(filled.to_string())
    }

    fn bindings(
        &mut self,
        bindings: Option<&BTreeMap<String, Vec<String>>>,
    ) -> Result<Option<BTreeMap<String, Vec<String>>>, TemplateError> {
        let mut filled = BTreeMap::new();
        for (dimension, values) in bindings.into_iter().flatten() {
            let values = values.iter().map(|value| self.text(value));
            filled.insert(dimension.clone(), values.collect::<Result<_, _>>()?);
        }
        Ok(bindings.map(|_| filled))
    }

    fn texts(&mut self, texts: Option<&[String]>) -> Result<Option<Vec<String>>, TemplateError> {
        texts
            .map(|texts| texts.iter().map(|text| self.text(text)).collect())
            .transpose()
    }

    /// A text with `<name>` replaced wherever it stands. No restriction but a route has a meaning
    /// for angle brackets, so whatever stands between two of them is meant as a name.
    fn text(&mut self, text: &str) -> Result<String, TemplateError> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('<') {
            let Some((name, behind)) = behind.split_once('>') else {
                break;
            };
            let value = self
                .values
                .get(name)
                .ok_or_else(|| TemplateError::Undeclared {
                    name: name.to_owned(),
                })?;
            self.used.insert(name.to_owned());
            filled.push_str(before);
            filled.push_str(value.as_str());
            rest = behind;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// `impersonation`, which is a boolean or an object with routes and other lists.
    fn value(&mut self, value: &Value) -> Result<Value, TemplateError> {
        Ok(match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
            Value::String(text) => Value::String(self.text(text)?),
            Value::Array(items) => {
                let items = items.iter().map(|item| self.value(item));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                let mut filled = serde_json::Map::new();
                for (name, member) in members {
                    let member = match (name.as_str(), member) {
                        ("allowedRoutes", Value::Array(routes)) => self.route_values(routes)?,
                        _ => self.value(member)?,
                    };
                    filled.insert(name.clone(), member);
                }
                Value::Object(filled)
            }
        })
    }

    fn route_values(&mut self, routes: &[Value]) -> Result<Value, TemplateError> {
        let one = |route: &Value| match route {
            Value::String(text) => self.route(text).map(Value::String),
            // No route at all: the config says so when it is read.
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => Ok(route.clone()),
        };
        Ok(Value::Array(
            routes.iter().map(one).collect::<Result<_, _>>()?,
        ))
    }
}

#[cfg(test)]
mod tests;
