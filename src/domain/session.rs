//! Sessions: the record of one minted token.

use std::net::IpAddr;

use super::binding::Bindings;
use super::environment::Environment;
use super::id::{AccountId, KeyId, RequestId, SessionId};
use super::liveness::{Rev, Tag, Tags};
use super::origin::Domains;
use super::permission::Permissions;
use super::profile::ProfileUse;
use super::route::{RequestPath, RouteSet, RouteTemplate};
use super::text::JsonObject;
use super::time::Timestamp;

/// What a session may do.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionScope {
    /// Its routes; always there.
    pub routes: RouteSet,
    /// Its permissions, when narrowed.
    pub permissions: Option<Permissions>,
    /// What it is bound to.
    pub bindings: Bindings,
    /// Where it may be presented from, when narrowed.
    pub domains: Option<Domains>,
}

/// How a session came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Minted with a key.
    Mint,
    /// A renewal of an earlier session of its family.
    Renewal,
    /// Exchanged for a narrower one.
    Exchange,
}

impl Origin {
    /// As it is written on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mint => "mint",
            Self::Renewal => "renewal",
            Self::Exchange => "exchange",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Mint, Self::Renewal, Self::Exchange]
            .into_iter()
            .find(|o| o.as_str() == text)
    }
}

/// The record of one minted token, and its entry in the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Its id; the `jti` of its token.
    pub id: SessionId,
    /// The first session of its family: all renewals and exchanges of one mint.
    pub family: SessionId,
    /// Ends the whole family.
    pub family_tag: Tag,
    /// How it came to be.
    pub origin: Origin,
    /// For whom it speaks; `sub`.
    pub account: AccountId,
    /// Who really acts, nearest first; `act`, nested. Empty when the account acts itself.
    pub actors: Vec<AccountId>,
    /// The key that minted it; `client_id`.
    pub key: KeyId,
    /// Live or test.
    pub environment: Environment,
    /// `aud`.
    pub audience: String,
    /// What it may do.
    pub scope: SessionScope,
    /// What the caller attached.
    pub data: Option<JsonObject>,
    /// All that it descends from; `lin`.
    pub tags: Tags,
    /// As of where it was minted; `rev`.
    pub rev: Rev,
    /// Its lifetime as wanted at the mint, in seconds; a renewal wants the same.
    pub duration_secs: i64,
    /// The profile that it was minted on, so that a renewal can ask it again.
    pub profile: Option<ProfileUse>,
    /// `iat` and `nbf`, in whole seconds.
    pub issued_at: Timestamp,
    /// `exp`, in whole seconds.
    pub expires_at: Timestamp,
    /// Until when it may be renewed; fixed at the first mint.
    pub renewable_until: Option<Timestamp>,
    /// The request that minted it.
    pub request: RequestId,
    /// From where it was minted.
    pub address: Option<IpAddr>,
}

/// Where a session is minted when no profile is: behind the mount.
const MINT_PATH: [&str; 2] = ["session", "create"];

impl Session {
    /// The path at which it was minted, and which its key must be allowed to call with `POST` when
    /// it is renewed. `None` when its profile does not make a path any more.
    pub fn mint_path(&self) -> Option<RequestPath> {
        let resource = match &self.profile {
            None => String::new(),
            Some(ProfileUse { path, values }) => {
                let template = RouteTemplate::parse(path).ok()?;
                let path = template.is_path().then(|| template.fill(values).ok())?;
                path?.to_string()
            }
        };
        let resource = resource.split('/').filter(|segment| !segment.is_empty());
        RequestPath::from_segments(resource.chain(MINT_PATH)).ok()
    }

    /// When a client should renew: at four fifths of the lifetime. `None` when it cannot be.
    pub fn renew_at(&self) -> Option<Timestamp> {
        let lifetime_ms = self.expires_at.millis() - self.issued_at.millis();
        let at = self.issued_at.plus_millis(lifetime_ms / 5 * 4);
        self.renewable_until.filter(|until| *until > at).map(|_| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_they_are_written() {
        for origin in [Origin::Mint, Origin::Renewal, Origin::Exchange] {
            assert_eq!(Origin::parse(origin.as_str()), Some(origin));
        }
        assert_eq!(Origin::parse("Mint"), None);
    }
}
