//! Live and test: two worlds that share a server and nothing else.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The world that a key and its sessions belong to. Each is an issuer of its own, with signing
/// keys of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// What counts.
    Live,
    /// For trying things out; changes no live thing.
    Test,
}

/// A text that is neither `live` nor `test`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an environment: live or test")]
pub struct UnknownEnvironment;

impl Environment {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Live, Self::Test];

    /// `live` or `test`, as keys, rows and answers spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    /// Reads `live` or `test`.
    ///
    /// # Errors
    /// [`UnknownEnvironment`] for every other text.
    pub fn parse(text: &str) -> Result<Self, UnknownEnvironment> {
        match text {
            "live" => Ok(Self::Live),
            "test" => Ok(Self::Test),
            _ => Err(UnknownEnvironment),
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_survives_a_round_trip() {
        for env in Environment::ALL {
            assert_eq!(Environment::parse(env.as_str()), Ok(env));
            assert_eq!(serde_json::to_value(env).unwrap(), env.as_str());
        }
        for text in ["", "Live", "prod", "live "] {
            assert_eq!(Environment::parse(text), Err(UnknownEnvironment), "{text}");
        }
    }
}
