//! Profiles: what minting on a resource means. A setting; three are shipped.

use std::collections::BTreeMap;

use super::grant::{Ceiling, ProfileTerms};
use super::limits;
use super::route::{
    FillError, PlaceholderValue, RequestPath, RouteSet, RouteSetError, RouteTemplate,
};

/// Lifetime of a session that is minted on a shipped profile and names none, in seconds.
const SHIPPED_SECS_DEFAULT: i64 = 3600;
/// The id that the shipped profiles make for a new conversation.
const CONVERSATION_ID: &str = "conversationId";

/// What minting at `/v1/<path>/session/create` means.
#[derive(Debug, Clone)]
pub struct SessionProfile {
    /// The resource, such as `bot/{botId}`. Its text is the profile's name.
    pub path: RouteTemplate,
    /// The lifetime of a session that names none, in seconds.
    pub duration_secs_default: i64,
    /// The longest lifetime, in seconds.
    pub duration_secs_max: i64,
    /// The routes that a session gets, with placeholders of the path and of `makes`.
    pub routes: Vec<RouteTemplate>,
    /// The ids that are made anew for each session, such as `conversationId`.
    pub makes: Vec<String>,
}

/// A profile as one session used it: enough to ask it again at a renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileUse {
    /// The profile's path.
    pub path: String,
    /// The value of each placeholder.
    pub values: BTreeMap<String, PlaceholderValue>,
}

impl SessionProfile {
    /// Checks a profile of the settings, once, when they are read.
    ///
    /// # Errors
    /// [`ProfileFault`].
    pub fn check(&self) -> Result<(), ProfileFault> {
        let placeholders = self.path.placeholders();
        if !self.path.is_path() || placeholders.is_empty() {
            return Err(ProfileFault::Path);
        }
        // These paths are about accounts, and what they give is not for a setting to say.
        let text = self.path.to_string();
        let first = text.split('/').next().unwrap_or_default();
        if RESERVED.contains(&first) || placeholders.iter().any(|name| first.contains(name)) {
            return Err(ProfileFault::Reserved);
        }
        let mut names: Vec<&str> = placeholders;
        for name in &self.makes {
            if names.contains(&name.as_str()) {
                return Err(ProfileFault::Makes(name.clone()));
            }
            names.push(name);
        }
        for route in &self.routes {
            if let Some(name) = route
                .placeholders()
                .iter()
                .find(|name| !names.contains(name))
            {
                return Err(ProfileFault::Placeholder((*name).to_owned()));
            }
        }
        let durations = 1..=limits::SESSION_SECS_MAX;
        if !durations.contains(&self.duration_secs_max)
            || !(1..=self.duration_secs_max).contains(&self.duration_secs_default)
        {
            return Err(ProfileFault::Duration);
        }
        Ok(())
    }

    /// The values of the placeholders when the path is one of this profile's, such as `bot/b1`.
    pub fn match_path(&self, path: &RequestPath) -> Option<BTreeMap<String, PlaceholderValue>> {
        self.path.match_path(path)
    }

    /// The placeholder that comes last in the path; its value is the `id` of the answer.
    pub fn resource(&self) -> Option<String> {
        self.path.placeholders().last().map(|&name| name.to_owned())
    }

    /// What the profile gives for these values.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn terms(
        &self,
        values: &BTreeMap<String, PlaceholderValue>,
    ) -> Result<ProfileTerms, ProfileError> {
        let patterns = self
            .routes
            .iter()
            .map(|route| route.fill(values))
            .collect::<Result<Vec<_>, _>>()
            .map_err(ProfileError::Unfilled)?;
        Ok(ProfileTerms {
            routes: RouteSet::from_patterns(patterns).map_err(ProfileError::Routes)?,
            ceiling: Ceiling::Profile,
            duration_secs_default: self.duration_secs_default,
            duration_secs_max: self.duration_secs_max,
        })
    }
}

/// What is wrong with a profile of the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileFault {
    /// The path has wildcards or methods, or no placeholder that names a resource.
    #[error(
        "the path of a profile is literals and at least one placeholder, as in `bot/{{botId}}`"
    )]
    Path,
    /// The path begins with what only hallpass may give a meaning.
    #[error("the path of a profile begins with a literal, and not with {}", RESERVED.join(", "))]
    Reserved,
    /// An id that is made, and already has a value or is made twice.
    #[error("`{0}` is made, and is a placeholder of the path or made twice")]
    Makes(String),
    /// A route names a placeholder that is neither in the path nor made.
    #[error("a route names `{0}`, which is neither in the path nor made")]
    Placeholder(String),
    /// A lifetime outside its range.
    #[error(
        "the lifetimes are whole seconds from 1 to {}, the default at most the longest",
        limits::SESSION_SECS_MAX
    )]
    Duration,
}

/// The first segments of hallpass's own paths. A profile below them would mint at a path that is
/// the right to something else.
const RESERVED: [&str; 8] = [
    "user",
    "partner",
    "token",
    "session",
    "audit",
    "webhook",
    "signing-key",
    "authorize",
];

/// The profiles that everybody has: `bot/{botId}`, `conversation/{conversationId}` and
/// `integration/widget/{widgetId}`. The fourth, `user/{userId}`, is [`ProfileTerms::of_child`],
/// since what it gives is not fixed.
pub fn shipped() -> Vec<SessionProfile> {
    let conversation = "conversation/{conversationId}/**";
    let rows: [(&str, &[&str], &[&str]); 3] = [
        ("bot/{botId}", &[conversation], &[CONVERSATION_ID]),
        ("conversation/{conversationId}", &[conversation], &[]),
        (
            "integration/widget/{widgetId}",
            &["integration/widget/{widgetId}/**", conversation],
            &[CONVERSATION_ID],
        ),
    ];
    let profile = |(path, routes, makes): (&str, &[&str], &[&str])| {
        Some(SessionProfile {
            path: RouteTemplate::parse(path).ok()?,
            duration_secs_default: SHIPPED_SECS_DEFAULT,
            duration_secs_max: limits::SESSION_SECS_MAX,
            routes: routes
                .iter()
                .map(|route| RouteTemplate::parse(route).ok())
                .collect::<Option<_>>()?,
            makes: makes.iter().map(|&name| name.to_owned()).collect(),
        })
    };
    rows.into_iter().filter_map(profile).collect()
}

/// Why a profile could not be filled in.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProfileError {
    /// A route names a placeholder that has no value, which is refused when the setting is read, or
    /// the values make it too long.
    #[error(transparent)]
    Unfilled(FillError),
    /// The routes make no set.
    #[error(transparent)]
    Routes(RouteSetError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(text: &str) -> Option<(SessionProfile, BTreeMap<String, PlaceholderValue>)> {
        let path = RequestPath::from_segments(text.split('/')).unwrap();
        shipped().into_iter().find_map(|profile| {
            let values = profile.match_path(&path)?;
            Some((profile, values))
        })
    }

    #[test]
    fn the_shipped_profiles_give_a_conversation_and_nothing_of_the_bot() {
        for (path, resource, routes) in [
            ("bot/b1", "botId", &["conversation/cnv-1/**"][..]),
            (
                "conversation/c7",
                "conversationId",
                &["conversation/c7/**"][..],
            ),
            (
                "integration/widget/w1",
                "widgetId",
                &["conversation/cnv-1/**", "integration/widget/w1/**"][..],
            ),
        ] {
            let (profile, mut values) = matched(path).unwrap();
            assert_eq!(profile.resource().as_deref(), Some(resource));
            for name in &profile.makes {
                values.insert(name.clone(), PlaceholderValue::parse("cnv-1").unwrap());
            }

            let terms = profile.terms(&values).unwrap();

            assert_eq!(terms.routes.to_strings(), routes, "{path}");
            assert_eq!(terms.ceiling, Ceiling::Profile, "{path}");
            assert_eq!(
                (terms.duration_secs_default, terms.duration_secs_max),
                (3600, 86_400)
            );
        }
        assert_eq!(shipped().len(), 3);
        for path in ["bot", "bot/b1/b2", "integration/w1", "user/u1", "bot/*"] {
            assert!(matched(path).is_none(), "{path}");
        }
    }

    fn own(path: &str, routes: &[&str], makes: &[&str], default: i64, max: i64) -> SessionProfile {
        let template = |text: &str| RouteTemplate::parse(text).unwrap();
        SessionProfile {
            path: template(path),
            duration_secs_default: default,
            duration_secs_max: max,
            routes: routes.iter().map(|route| template(route)).collect(),
            makes: makes.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn the_shipped_profiles_are_well_formed() {
        for profile in shipped() {
            assert_eq!(profile.check(), Ok(()), "{profile:?}");
        }
    }

    #[test]
    fn a_profile_of_the_settings_that_is_wrong_is_refused_when_it_is_read() {
        let named = |name: &str| name.to_owned();
        for (profile, fault) in [
            (own("shop/*", &[], &[], 60, 60), ProfileFault::Path),
            (own("POST shop/{id}", &[], &[], 60, 60), ProfileFault::Path),
            (own("shop", &[], &[], 60, 60), ProfileFault::Path),
            (
                own("user/{userId}", &["**"], &[], 60, 60),
                ProfileFault::Reserved,
            ),
            (
                own("partner/user/{id}", &["**"], &[], 60, 60),
                ProfileFault::Reserved,
            ),
            (
                own("token/{id}", &["**"], &[], 60, 60),
                ProfileFault::Reserved,
            ),
            (
                own("{kind}/{id}", &["**"], &[], 60, 60),
                ProfileFault::Reserved,
            ),
            (
                own("shop/{id}", &[], &["id"], 60, 60),
                ProfileFault::Makes(named("id")),
            ),
            (
                own("shop/{id}", &[], &["a", "a"], 60, 60),
                ProfileFault::Makes(named("a")),
            ),
            (
                own("shop/{id}", &["order/{orderId}"], &[], 60, 60),
                ProfileFault::Placeholder(named("orderId")),
            ),
            (own("shop/{id}", &[], &[], 0, 60), ProfileFault::Duration),
            (own("shop/{id}", &[], &[], 61, 60), ProfileFault::Duration),
            (
                own("shop/{id}", &[], &[], 60, 86_401),
                ProfileFault::Duration,
            ),
        ] {
            assert_eq!(profile.check(), Err(fault), "{profile:?}");
        }
        assert_eq!(
            own(
                "shop/{id}",
                &["order/{orderId}/**"],
                &["orderId"],
                60,
                86_400
            )
            .check(),
            Ok(())
        );
    }

    #[test]
    fn a_profile_without_the_id_that_it_makes_gives_nothing() {
        let (profile, values) = matched("bot/b1").unwrap();

        assert!(matches!(
            profile.terms(&values),
            Err(ProfileError::Unfilled(FillError::Missing { name })) if name == "conversationId"
        ));
    }
}
