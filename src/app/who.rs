//! "Who am I, what may I do": the holder asks about its own credential.

use serde_json::{Value, json};

use super::App;
use super::authorise::{Caller, Who};
use super::error::Error;
use super::pulse::reborrow;
use crate::domain::binding::Bindings;
use crate::domain::config::{bindings_to_map, impersonation_to_value};
use crate::domain::effective::{Ceilings, Effective};
use crate::domain::network::Cidrs;
use crate::domain::origin::Domains;
use crate::domain::permission::Permissions;
use crate::domain::restrictions::{Impersonation, Manage};
use crate::store::sessions;

/// The credential of this request, and what it may do in it.
///
/// # Errors
/// [`Error`].
pub async fn describe(app: &App, caller: &Caller) -> Result<Value, Error> {
    let mut read = app.store.read().await?;
    let mut conn = read.conn();
    let (kind, token, session) = match &caller.who {
        Who::Key(chain) => (
            "key",
            Some(app.item(reborrow(&mut conn), chain.key()).await?),
            None,
        ),
        Who::Session(own) => {
            let session = sessions::find(reborrow(&mut conn), &own.claims.jti).await?;
            ("session", None, session.map(|session| app.show(session)))
        }
        Who::Cli(_) => ("key", None, None),
    };
    let is_key = session.is_none();
    let acts = caller.actor().filter(|actor| *actor != caller.account());
    Ok(json!({
        "type": kind,
        "userId": caller.account(),
        "actorId": acts,
        "environment": caller.effective.environment,
        "token": token,
        "session": session,
        "effective": effective(&caller.effective, is_key),
    }))
}

/// What a credential may do, as the API shows it.
pub fn effective(effective: &Effective, is_key: bool) -> Value {
    let mint = &effective.mint;
    let session = is_key.then(|| {
        json!({
            "allowedRoutes": routes(&effective.mint_ceilings(None)),
            "permissions": mint.permissions.as_ref().map(Permissions::to_strings),
            "bindings": bindings(&mint.bindings),
            "domains": mint.domains.as_ref().map(Domains::to_strings),
            "audiences": mint.audiences,
            "maxDurationInSeconds": mint.duration_secs_max,
            "maxRenewableInSeconds": mint.renewable_secs_max,
        })
    });
    let impersonation = match &effective.impersonation {
        Some(scope) => Impersonation::Allowed(scope.clone()),
        None => Impersonation::Denied,
    };
    let manage: Vec<&str> = effective
        .manage
        .iter()
        .copied()
        .map(Manage::as_str)
        .collect();
    json!({
        "allowedRoutes": routes(&effective.call),
        "permissions": effective.permissions.as_ref().map(Permissions::to_strings),
        "bindings": bindings(&effective.bindings),
        "domains": effective.domains.as_ref().map(Domains::to_strings),
        "cidrs": effective.cidrs.as_ref().map(Cidrs::to_strings),
        "session": session,
        "impersonation": impersonation_to_value(&impersonation),
        "manage": manage,
        "rateLimit": effective.rate_limit.map(|limit| json!({
            "requests": limit.requests,
            "perSeconds": limit.per_secs,
        })),
        "expiresAt": effective.expires_at,
    })
}

fn routes(ceilings: &Ceilings) -> Option<Vec<Vec<String>>> {
    (!ceilings.is_none()).then(|| ceilings.to_strings())
}

fn bindings(bindings: &Bindings) -> Value {
    json!(bindings_to_map(bindings))
}
