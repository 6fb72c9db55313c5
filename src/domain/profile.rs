//! Profiles: what minting on a resource means. A setting; three are shipped.

use std::collections::BTreeMap;

use super::grant::ProfileTerms;
use super::route::{
    FillError, PlaceholderValue, RequestPath, RouteSet, RouteSetError, RouteTemplate,
};

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
            duration_secs_default: self.duration_secs_default,
            duration_secs_max: self.duration_secs_max,
        })
    }
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
