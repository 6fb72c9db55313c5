//! Sessions as the API shows them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::domain::config::bindings_to_map;
use crate::domain::environment::Environment;
use crate::domain::id::{AccountId, KeyId, RequestId, SessionId};
use crate::domain::origin::Domains;
use crate::domain::permission::Permissions;
use crate::domain::route::RouteSet;
use crate::domain::session::{Session, SessionScope};
use crate::domain::text::JsonObject;
use crate::domain::time::Timestamp;

/// The answer that carries a token, once.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct SessionCreated {
    /// The session's id, or on a profile path the resource's.
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session_id: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub conversation_id: Option<String>,
    // The answer on the wire has it behind all else, and takes it out for that; where an answer is
    // kept for a repetition, it is in its place.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub token: String,
    pub expires_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub renew_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub renewable_until: Option<Timestamp>,
    pub environment: Environment,
    pub audience: String,
    pub allowed_routes: RouteSet,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub permissions: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bindings: Option<BTreeMap<String, Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub domains: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cut: Option<Vec<String>>,
}

impl std::fmt::Debug for SessionCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionCreated")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl SessionCreated {
    /// The answer to a mint: what was granted, and its token.
    pub(super) fn new(session: &Session, token: String, cut: Option<Vec<String>>) -> Self {
        let SessionScope {
            routes,
            permissions,
            bindings,
            domains,
        } = &session.scope;
        Self {
            id: session.id.as_str().to_owned(),
            session_id: None,
            conversation_id: None,
            token,
            expires_at: session.expires_at,
            renew_at: session.renew_at(),
            renewable_until: session.renewable_until,
            environment: session.environment,
            audience: session.audience.clone(),
            allowed_routes: routes.clone(),
            permissions: permissions.as_ref().map(Permissions::to_strings),
            bindings: bindings_to_map(bindings),
            domains: domains.as_ref().map(Domains::to_strings),
            cut,
        }
    }
}

/// A session as lists show it. There is no token in it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct SessionItem {
    pub id: SessionId,
    pub family_id: SessionId,
    pub user_id: AccountId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<AccountId>,
    pub actors: Vec<AccountId>,
    pub token_id: KeyId,
    pub environment: Environment,
    pub audience: String,
    pub origin: &'static str,
    pub allowed_routes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bindings: Option<BTreeMap<String, Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domains: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<JsonObject>,
    pub state: &'static str,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewable_until: Option<Timestamp>,
    pub request_id: RequestId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

impl SessionItem {
    pub(super) fn new(session: Session, dead: bool, now: Timestamp) -> Self {
        let state = match session.expires_at {
            _ if dead => "revoked",
            end if end <= now => "expired",
            _ => "active",
        };
        let SessionScope {
            routes,
            permissions,
            bindings,
            domains,
        } = &session.scope;
        Self {
            actor_id: session.actors.first().cloned(),
            allowed_routes: routes.to_strings(),
            permissions: permissions.as_ref().map(Permissions::to_strings),
            bindings: bindings_to_map(bindings),
            domains: domains.as_ref().map(Domains::to_strings),
            state,
            origin: session.origin.as_str(),
            created_at: session.issued_at,
            id: session.id,
            family_id: session.family,
            user_id: session.account,
            actors: session.actors,
            token_id: session.key,
            environment: session.environment,
            audience: session.audience,
            data: session.data,
            expires_at: session.expires_at,
            renewable_until: session.renewable_until,
            request_id: session.request,
            address: session.address,
        }
    }
}
