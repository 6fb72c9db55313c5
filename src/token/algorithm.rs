//! The signature algorithms of tokens.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a token is signed. There is no symmetric one, and no `none`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256 (RFC 7518 §3.4). What most verifiers know.
    #[default]
    Es256,
    /// Ed25519 (RFC 8037). Spelled `EdDSA`; verifiers do not know `Ed25519` yet.
    EdDsa,
    /// RSA PKCS #1 v1.5 with SHA-256 (RFC 7518 §3.3), 2048 bits.
    Rs256,
}

/// A text that names none of the three algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a signature algorithm: ES256, EdDSA or RS256")]
pub struct UnknownAlgorithm;

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Es256, Self::EdDsa, Self::Rs256];

    /// The name in `alg`, exactly.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    /// Reads the name of an algorithm; case matters.
    ///
    /// # Errors
    /// [`UnknownAlgorithm`] for every other text.
    pub fn parse(text: &str) -> Result<Self, UnknownAlgorithm> {
        match text {
            "ES256" => Ok(Self::Es256),
            "EdDSA" => Ok(Self::EdDsa),
            "RS256" => Ok(Self::Rs256),
            _ => Err(UnknownAlgorithm),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Algorithm {
    type Err = UnknownAlgorithm;
    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Algorithm {
    type Error = UnknownAlgorithm;
    fn try_from(text: String) -> Result<Self, UnknownAlgorithm> {
        Self::parse(&text)
    }
}

impl From<Algorithm> for &'static str {
    fn from(alg: Algorithm) -> Self {
        alg.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_names_are_known() {
        for alg in Algorithm::ALL {
            assert_eq!(Algorithm::parse(alg.as_str()), Ok(alg));
        }
        for text in [
            "none", "None", "HS256", "es256", "Ed25519", "PS256", "ES384", "", " ES256",
        ] {
            assert_eq!(Algorithm::parse(text), Err(UnknownAlgorithm), "{text}");
        }
        assert_eq!(Algorithm::default(), Algorithm::Es256);
    }
}
