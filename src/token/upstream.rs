//! The claims of the token that the API behind the gate gets. It is no session token: it has a type
//! and an audience of its own, lives for seconds, and opens no door of hallpass.

use serde::Serialize;

use super::claims::Actor;

/// The `typ` of such a token.
pub const UPSTREAM_TYP: &str = "hallpass-upstream+jwt";

/// What such a token says. Times are whole seconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UpstreamClaims<'c> {
    /// The environment's issuer.
    pub iss: &'c str,
    /// The account for whom the request speaks.
    pub sub: &'c str,
    /// The API behind the gate.
    pub aud: &'c str,
    /// When it was made.
    pub iat: i64,
    /// From when on it is valid.
    pub nbf: i64,
    /// From when on it is valid no more.
    pub exp: i64,
    /// The request for which it was made.
    pub jti: &'c str,
    /// The key, or the one that minted the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<&'c str>,
    /// The session, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<&'c str>,
    /// The account that really acts, when that is another than `sub`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<&'c Actor>,
    /// Permissions, separated by single spaces; absent when they are not narrowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<&'c str>,
}

impl UpstreamClaims<'_> {
    /// The payload of a token.
    ///
    /// # Errors
    /// None that is known; `serde_json` reserves one.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}
