//! Live and test: each an issuer of its own.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `live` or `test`. Each is an issuer of its own with its own signing keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Real things.
    Live,
    /// A sandbox: its keys see and change test keys and test sessions only.
    Test,
}

impl Environment {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Live, Self::Test];

    /// As it is written on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|environment| environment.as_str() == text)
    }

    /// Whether a credential of this environment may see and touch things of the other one. A live
    /// credential covers both, a test credential covers test alone.
    pub const fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::Live, Self::Live | Self::Test) | (Self::Test, Self::Test) => true,
            (Self::Test, Self::Live) => false,
        }
    }

    /// The issuer of this environment: `<issuer>` for live, `<issuer>/test` for test.
    pub fn issuer(self, base: &str) -> String {
        match self {
            Self::Live => base.to_owned(),
            Self::Test => format!("{base}/test"),
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
