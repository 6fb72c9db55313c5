//! Restrictions as they stand in JSON: the `config` of a key on the wire, in a template and in the
//! database. Parsed once, here, with an error that names the field.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::binding::{self, Bindings, Dimension};
use super::id::AccountId;
use super::limits;
use super::network::Cidrs;
use super::origin::{DomainError, DomainPattern, Domains};
use super::permission::{Permission, Permissions, Vocabulary};
use super::rate::RateLimit;
use super::restrictions::{
    Impersonation, ImpersonationScope, Manage, MintRestrictions, Restrictions,
};
use super::route::{RouteSet, RouteSetError};

/// `config` of a key.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(
    remote = "Self",
    rename_all = "camelCase",
    deny_unknown_fields,
    default
)]
#[expect(
    missing_docs,
    reason = "each field is the wire name of one in Restrictions"
)]
pub struct Config {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_routes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bindings: Option<BTreeMap<String, Vec<String>>>,
    /// Short form of `bindings.project`; never written back.
    #[serde(skip_serializing)]
    pub projects: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domains: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidrs: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionConfig>,
    /// `true`, `false`, or `{allowedRoutes, users}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impersonation: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manage: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimitConfig>,
}

/// `config.session` of a key.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(
    remote = "Self",
    rename_all = "camelCase",
    deny_unknown_fields,
    default
)]
#[expect(
    missing_docs,
    reason = "each field is the wire name of one in MintRestrictions"
)]
pub struct SessionConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_routes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bindings: Option<BTreeMap<String, Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domains: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audiences: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_duration_in_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_renewable_in_seconds: Option<i64>,
}

/// `config.rateLimit` of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is the wire name of one in RateLimit"
)]
pub struct RateLimitConfig {
    pub requests: u32,
    pub per_seconds: u32,
}

/// Reads an object and nothing else. A derived reader takes an array for an object whose members
/// come in order, so `[]` would be one that narrows nothing.
macro_rules! object_only {
    ($name:ident) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
                struct Object;
                impl<'de> Visitor<'de> for Object {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$name, A::Error> {
                        $name::deserialize(MapAccessDeserializer::new(map))
                    }
                }
                json.deserialize_map(Object)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, json)
            }
        }
    };
}

object_only!(Config);
object_only!(SessionConfig);
object_only!(RateLimitConfig);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct ImpersonationConfig {
    allowed_routes: Option<Vec<String>>,
    users: Option<Vec<String>>,
}

/// A field of `config` that does not hold what it should.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    /// The field, by its path below `config`.
    pub field: String,
    /// What is wrong with it.
    #[source]
    pub problem: ConfigProblem,
}

/// What is wrong with a field of `config`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigProblem {
    /// A pattern that is not one.
    #[error(transparent)]
    Routes(#[from] RouteSetError),
    /// No permission scope, or one that is not in the vocabulary.
    #[error("`{scope}` is not a permission here; there are {known}")]
    Permission {
        /// What was written.
        scope: String,
        /// What could have been.
        known: String,
    },
    /// A dimension that does not exist.
    #[error("there is no dimension `{0}`; there are project, workspace, bot, integration")]
    Dimension(String),
    /// A value that no header or path segment could name.
    #[error("`{0}` cannot be the value of a binding")]
    BindingValue(String),
    /// `projects` beside `bindings.project`.
    #[error("write `projects` or `bindings.project`, not both")]
    Twice,
    /// Not a host.
    #[error("`{entry}`: {problem}")]
    Domain {
        /// What was written.
        entry: String,
        /// What is wrong with it.
        problem: DomainError,
    },
    /// Not a network.
    #[error("`{0}` is not a network such as 192.0.2.0/24")]
    Network(String),
    /// Neither a boolean nor an object that narrows.
    #[error("write true, false, or an object with `allowedRoutes` or `users`")]
    Impersonation,
    /// Not the id of a user.
    #[error("`{0}` is not the id of a user")]
    User(String),
    /// Nothing that can be managed.
    #[error("`{0}` is not one of tokens, users, webhooks, audit, introspect")]
    Manage(String),
    /// A number outside its range.
    #[error("a whole number from {min} to {max}")]
    Range {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// An audience that is empty or too long.
    #[error("`{0}` cannot be an audience")]
    Audience(String),
    /// More entries than one list may have.
    #[error("at most {max} entries")]
    TooMany {
        /// The limit.
        max: usize,
    },
}

fn at<T>(field: &str, result: Result<T, ConfigProblem>) -> Result<T, ConfigError> {
    result.map_err(|problem| ConfigError {
        field: field.to_owned(),
        problem,
    })
}

fn few(list: &[String]) -> Result<&[String], ConfigProblem> {
    if list.len() > limits::LIST_LEN_MAX {
        return Err(ConfigProblem::TooMany {
            max: limits::LIST_LEN_MAX,
        });
    }
    Ok(list)
}

/// Reads `allowedRoutes`.
///
/// # Errors
/// [`ConfigProblem::Routes`].
pub fn routes(list: &[String]) -> Result<RouteSet, ConfigProblem> {
    Ok(RouteSet::parse(list.iter().map(String::as_str))?)
}

/// Reads `permissions` against the vocabulary, or whatever scopes there are without one.
///
/// # Errors
/// [`ConfigProblem::Permission`], [`ConfigProblem::TooMany`].
pub fn permissions(
    list: &[String],
    vocabulary: Option<&Vocabulary>,
) -> Result<Permissions, ConfigProblem> {
    let known = |scope: &Permission| vocabulary.is_none_or(|vocabulary| vocabulary.has(scope));
    let scope = |text: &String| {
        Permission::parse(text)
            .filter(known)
            .ok_or_else(|| ConfigProblem::Permission {
                scope: text.clone(),
                known: vocabulary
                    .map(Vocabulary::names)
                    .unwrap_or_default()
                    .join(", "),
            })
    };
    Ok(Permissions::new(
        few(list)?
            .iter()
            .map(scope)
            .collect::<Result<BTreeSet<_>, _>>()?,
    ))
}

/// Reads `bindings`.
///
/// # Errors
/// [`ConfigProblem::Dimension`], [`ConfigProblem::BindingValue`], [`ConfigProblem::TooMany`].
pub fn bindings(map: &BTreeMap<String, Vec<String>>) -> Result<Bindings, ConfigProblem> {
    let mut bindings = Bindings::default();
    for (name, values) in map {
        let dimension =
            Dimension::parse(name).ok_or_else(|| ConfigProblem::Dimension(name.clone()))?;
        for value in few(values)? {
            if !binding::is_value(value) {
                return Err(ConfigProblem::BindingValue(value.clone()));
            }
        }
        bindings.narrow(dimension, values.iter().cloned().collect());
    }
    Ok(bindings)
}

/// Reads `domains`.
///
/// # Errors
/// [`ConfigProblem::Domain`], [`ConfigProblem::TooMany`].
pub fn domains(list: &[String]) -> Result<Domains, ConfigProblem> {
    let entry = |text: &String| {
        DomainPattern::parse(text).map_err(|problem| ConfigProblem::Domain {
            entry: text.clone(),
            problem,
        })
    };
    Ok(Domains::new(
        few(list)?
            .iter()
            .map(entry)
            .collect::<Result<Vec<_>, _>>()?,
    ))
}

fn cidrs(list: &[String]) -> Result<Cidrs, ConfigProblem> {
    let network =
        |text: &String| Cidrs::parse_one(text).ok_or_else(|| ConfigProblem::Network(text.clone()));
    Ok(Cidrs::new(
        few(list)?
            .iter()
            .map(network)
            .collect::<Result<Vec<_>, _>>()?,
    ))
}

fn manage(list: &[String]) -> Result<BTreeSet<Manage>, ConfigProblem> {
    let one =
        |text: &String| Manage::parse(text).ok_or_else(|| ConfigProblem::Manage(text.clone()));
    few(list)?.iter().map(one).collect()
}

fn users(list: &[String]) -> Result<BTreeSet<AccountId>, ConfigProblem> {
    let one = |text: &String| AccountId::parse(text).map_err(|_| ConfigProblem::User(text.clone()));
    few(list)?.iter().map(one).collect()
}

fn audiences(list: &[String]) -> Result<BTreeSet<String>, ConfigProblem> {
    for audience in few(list)? {
        if audience.is_empty()
            || audience.len() > 200
            || !audience.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(ConfigProblem::Audience(audience.clone()));
        }
    }
    Ok(list.iter().cloned().collect())
}

fn range(number: i64, max: i64) -> Result<i64, ConfigProblem> {
    if (1..=max).contains(&number) {
        Ok(number)
    } else {
        Err(ConfigProblem::Range { min: 1, max })
    }
}

fn impersonation(value: Value) -> Result<Impersonation, ConfigError> {
    let wrong = || ConfigError {
        field: "impersonation".to_owned(),
        problem: ConfigProblem::Impersonation,
    };
    let scope = match value {
        Value::Bool(false) => return Ok(Impersonation::Denied),
        Value::Bool(true) => return Ok(Impersonation::Allowed(ImpersonationScope::default())),
        Value::Object(_) => {
            serde_json::from_value::<ImpersonationConfig>(value).map_err(|_| wrong())?
        }
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => return Err(wrong()),
    };
    if scope.allowed_routes.is_none() && scope.users.is_none() {
        return Err(wrong());
    }
    Ok(Impersonation::Allowed(ImpersonationScope {
        routes: at(
            "impersonation.allowedRoutes",
            scope.allowed_routes.as_deref().map(routes).transpose(),
        )?,
        users: at(
            "impersonation.users",
            scope.users.as_deref().map(users).transpose(),
        )?,
    }))
}

impl Config {
    /// The restrictions that this says.
    ///
    /// # Errors
    /// [`ConfigError`], naming the first field that is wrong.
    pub fn parse(self, vocabulary: &Vocabulary) -> Result<Restrictions, ConfigError> {
        self.parse_with(Some(vocabulary))
    }

    /// The restrictions that were stored. A scope that has left the vocabulary since does not lock
    /// the key out; it just allows nothing.
    ///
    /// # Errors
    /// [`ConfigError`], when the row is not one that was written here.
    pub fn parse_stored(self) -> Result<Restrictions, ConfigError> {
        self.parse_with(None)
    }

    fn parse_with(self, vocabulary: Option<&Vocabulary>) -> Result<Restrictions, ConfigError> {
        let mut bound = self.bindings.unwrap_or_default();
        if let Some(projects) = self.projects
            && bound
                .insert(Dimension::Project.as_str().to_owned(), projects)
                .is_some()
        {
            return at("projects", Err(ConfigProblem::Twice));
        }
        let rate_limit = match self.rate_limit {
            None => None,
            Some(RateLimitConfig {
                requests,
                per_seconds,
            }) => {
                at(
                    "rateLimit.requests",
                    range(requests.into(), limits::RATE_REQUESTS_MAX.into()),
                )?;
                at(
                    "rateLimit.perSeconds",
                    range(per_seconds.into(), limits::RATE_SECS_MAX.into()),
                )?;
                Some(RateLimit {
                    requests,
                    per_secs: per_seconds,
                })
            }
        };
        Ok(Restrictions {
            routes: at(
                "allowedRoutes",
                self.allowed_routes.as_deref().map(routes).transpose(),
            )?,
            permissions: at(
                "permissions",
                self.permissions
                    .map(|list| permissions(&list, vocabulary))
                    .transpose(),
            )?,
            bindings: at("bindings", bindings(&bound))?,
            domains: at("domains", self.domains.as_deref().map(domains).transpose())?,
            cidrs: at("cidrs", self.cidrs.as_deref().map(cidrs).transpose())?,
            session: match self.session {
                None => MintRestrictions::default(),
                Some(session) => session.parse(vocabulary)?,
            },
            impersonation: self.impersonation.map(impersonation).transpose()?,
            manage: at("manage", self.manage.as_deref().map(manage).transpose())?,
            rate_limit,
        })
    }

    /// The JSON form of restrictions. Reading it back gives the same ones.
    pub fn from_restrictions(restrictions: &Restrictions) -> Self {
        let Restrictions {
            routes,
            permissions,
            bindings,
            domains,
            cidrs,
            session,
            impersonation,
            manage,
            rate_limit,
        } = restrictions;
        Self {
            allowed_routes: routes.as_ref().map(RouteSet::to_strings),
            permissions: permissions.as_ref().map(Permissions::to_strings),
            bindings: bindings_to_map(bindings),
            projects: None,
            domains: domains.as_ref().map(Domains::to_strings),
            cidrs: cidrs.as_ref().map(Cidrs::to_strings),
            session: (*session != MintRestrictions::default())
                .then(|| SessionConfig::from_restrictions(session)),
            impersonation: impersonation.as_ref().map(impersonation_to_value),
            manage: manage
                .as_ref()
                .map(|manage| names(manage.iter().map(|one| one.as_str()))),
            rate_limit: rate_limit.map(|RateLimit { requests, per_secs }| RateLimitConfig {
                requests,
                per_seconds: per_secs,
            }),
        }
    }
}

impl SessionConfig {
    fn parse(self, vocabulary: Option<&Vocabulary>) -> Result<MintRestrictions, ConfigError> {
        let seconds =
            |number: Option<i64>, max| number.map(|number| range(number, max)).transpose();
        Ok(MintRestrictions {
            routes: at(
                "session.allowedRoutes",
                self.allowed_routes.as_deref().map(routes).transpose(),
            )?,
            permissions: at(
                "session.permissions",
                self.permissions
                    .map(|list| permissions(&list, vocabulary))
                    .transpose(),
            )?,
            bindings: at(
                "session.bindings",
                bindings(&self.bindings.unwrap_or_default()),
            )?,
            domains: at(
                "session.domains",
                self.domains.as_deref().map(domains).transpose(),
            )?,
            audiences: at(
                "session.audiences",
                self.audiences.as_deref().map(audiences).transpose(),
            )?,
            duration_secs_max: at(
                "session.maxDurationInSeconds",
                seconds(self.max_duration_in_seconds, limits::SESSION_SECS_MAX),
            )?,
            renewable_secs_max: at(
                "session.maxRenewableInSeconds",
                seconds(self.max_renewable_in_seconds, limits::RENEWABLE_SECS_MAX),
            )?,
        })
    }

    fn from_restrictions(session: &MintRestrictions) -> Self {
        let MintRestrictions {
            routes,
            permissions,
            bindings,
            domains,
            audiences,
            duration_secs_max,
            renewable_secs_max,
        } = session;
        Self {
            allowed_routes: routes.as_ref().map(RouteSet::to_strings),
            permissions: permissions.as_ref().map(Permissions::to_strings),
            bindings: bindings_to_map(bindings),
            domains: domains.as_ref().map(Domains::to_strings),
            audiences: audiences
                .as_ref()
                .map(|audiences| audiences.iter().cloned().collect()),
            max_duration_in_seconds: *duration_secs_max,
            max_renewable_in_seconds: *renewable_secs_max,
        }
    }
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    names.map(str::to_owned).collect()
}

/// `impersonation` as it stands in JSON.
pub fn impersonation_to_value(impersonation: &Impersonation) -> Value {
    let scope = match impersonation {
        Impersonation::Denied => return Value::Bool(false),
        Impersonation::Allowed(scope) => scope,
    };
    let ImpersonationScope { routes, users } = scope;
    let mut object = serde_json::Map::new();
    if let Some(routes) = routes {
        object.insert("allowedRoutes".to_owned(), routes.to_strings().into());
    }
    if let Some(users) = users {
        object.insert(
            "users".to_owned(),
            names(users.iter().map(AccountId::as_str)).into(),
        );
    }
    if object.is_empty() {
        Value::Bool(true)
    } else {
        Value::Object(object)
    }
}

/// Bindings as they stand in JSON; `None` when no dimension is narrowed.
pub fn bindings_to_map(bindings: &Bindings) -> Option<BTreeMap<String, Vec<String>>> {
    (!bindings.is_empty()).then(|| {
        bindings
            .iter()
            .map(|(dimension, values)| {
                (
                    dimension.as_str().to_owned(),
                    values.iter().cloned().collect(),
                )
            })
            .collect()
    })
}

#[cfg(test)]
mod tests;
