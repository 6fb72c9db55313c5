//! Why a token is refused.

use std::fmt;

use super::jws::TOKEN_LEN_MAX;

/// What is wrong with a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClaimReason {
    /// It is not there.
    Missing,
    /// It has the wrong type or form, or no claim of that name is known.
    Invalid,
    /// It is well-formed, and not what was asked for.
    CheckFailed,
}

impl ClaimReason {
    /// `missing`, `invalid` or `check_failed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::CheckFailed => "check_failed",
        }
    }
}

impl fmt::Display for ClaimReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a token is refused. It never contains the token or a part of it. From outside all of these
/// are one answer; the reason is for the log, and for the holder who asks about its own token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenError {
    /// Longer than any token of ours.
    #[error("the token is longer than {TOKEN_LEN_MAX} bytes")]
    TooLong,
    /// Not three non-empty parts of canonical base64url without padding.
    #[error("the token is not three parts of base64url")]
    Form,
    /// The header is not an object of exactly `alg`, `kid` and `typ`, each a string, each once.
    #[error("the token's header is not exactly alg, kid and typ")]
    Header,
    /// `alg` is not one of ES256, `EdDSA` and RS256.
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    /// `typ` is that of another kind of token.
    #[error("the token is of another type")]
    Type,
    /// No key of that name is trusted now.
    #[error("the token's signing key is not known")]
    UnknownKey,
    /// `alg` is not that of the key.
    #[error("the token's algorithm is not that of its key")]
    KeyAlgorithm,
    /// The signature is not the key's over this header and payload.
    #[error("the token's signature is not valid")]
    Signature,
    /// The payload is not a JSON object with one reading.
    #[error("the token's payload is not a JSON object with unique names")]
    Payload,
    /// The payload has a claim that we never write.
    #[error("the token has a claim that is not known")]
    UnknownClaim,
    /// A claim is missing, malformed, or not what was asked for.
    #[error("the claim {claim} is refused: {reason}")]
    Claim {
        /// The name of the claim.
        claim: &'static str,
        /// What is wrong with it.
        reason: ClaimReason,
    },
    /// `exp` has been reached.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` lies ahead.
    #[error("the token is not valid yet")]
    NotYetValid {
        /// `nbf` or `iat`.
        claim: &'static str,
    },
}

impl TokenError {
    /// A stable name for programs. It is never given another meaning.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::Form => "token_malformed",
            Self::Header => "header_invalid",
            Self::Algorithm => "algorithm_not_allowed",
            Self::Type => "type_not_allowed",
            Self::UnknownKey => "key_unknown",
            Self::KeyAlgorithm => "algorithm_mismatch",
            Self::Signature => "signature_invalid",
            Self::Payload => "payload_invalid",
            Self::UnknownClaim => "claim_unknown",
            Self::Claim { .. } => "claim_refused",
            Self::Expired => "token_expired",
            Self::NotYetValid { .. } => "token_not_yet_valid",
        }
    }

    /// The claim that is at fault, if it is one that we know.
    pub const fn claim(self) -> Option<&'static str> {
        match self {
            Self::Claim { claim, .. } | Self::NotYetValid { claim } => Some(claim),
            Self::Expired => Some("exp"),
            Self::TooLong
            | Self::Form
            | Self::Header
            | Self::Algorithm
            | Self::Type
            | Self::UnknownKey
            | Self::KeyAlgorithm
            | Self::Signature
            | Self::Payload
            | Self::UnknownClaim => None,
        }
    }

    /// What is wrong with that claim.
    pub const fn reason(self) -> Option<ClaimReason> {
        match self {
            Self::Claim { reason, .. } => Some(reason),
            Self::Expired | Self::NotYetValid { .. } => Some(ClaimReason::CheckFailed),
            Self::UnknownClaim => Some(ClaimReason::Invalid),
            Self::TooLong
            | Self::Form
            | Self::Header
            | Self::Algorithm
            | Self::Type
            | Self::UnknownKey
            | Self::KeyAlgorithm
            | Self::Signature
            | Self::Payload => None,
        }
    }

    pub(super) const fn missing(claim: &'static str) -> Self {
        Self::Claim {
            claim,
            reason: ClaimReason::Missing,
        }
    }

    pub(super) const fn invalid(claim: &'static str) -> Self {
        Self::Claim {
            claim,
            reason: ClaimReason::Invalid,
        }
    }

    pub(super) const fn check_failed(claim: &'static str) -> Self {
        Self::Claim {
            claim,
            reason: ClaimReason::CheckFailed,
        }
    }
}
