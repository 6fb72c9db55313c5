//! Every route of hallpass, on one page, with what each asks of its caller.

use super::endpoint::{
    Access, Answer, Call, Endpoint, KEY, MINT, OPERATOR, OPERATOR_LIVE, changes, changes_live,
    reads,
};
use super::gate::{self, Convention};
use super::{
    audit, dashboard, feed, oauth, operation, sessions, signing_keys, tokens, usage, users,
    webhooks,
};
use crate::app::authorise::{Need, RouteCheck};
use crate::domain::decision::BindingCheck;
use crate::domain::restrictions::Manage::{Audit, Tokens, Users, Webhooks};

/// A key or a session that asks about itself.
const HOLDER: Need = Need {
    route: RouteCheck::Exempt,
    sessions: true,
    bindings: BindingCheck::Exempt,
    ..KEY
};

/// A key that ends sessions, or a session that ends itself.
const ENDS: Need = Need {
    route: RouteCheck::Keys,
    sessions: true,
    ..KEY
};

macro_rules! line {
    ($method:literal, $path:literal, $access:expr, $handler:path) => {
        Endpoint {
            method: $method,
            path: $path,
            access: $access,
            handler: |call: Call| -> Answer { Box::pin($handler(call)) },
        }
    };
}

use Access::{Caller, ForChild, Public};

/// What is below `/v1` and `/api/v1`. What begins with `user/` is below `partner/user/`, too.
/// `<profile path>/session/create` is not here: profiles are settings.
pub(super) const ENDPOINTS: &[Endpoint] = &[
    line!("POST", "session/create", Caller(MINT), sessions::create),
    line!("POST", "session/renew", Caller(HOLDER), sessions::renew),
    line!("POST", "session/verify", Caller(KEY), sessions::verify),
    line!("GET", "session/list", Caller(KEY), sessions::list),
    line!(
        "GET",
        "session/{sessionId}/fetch",
        Caller(KEY),
        sessions::fetch
    ),
    line!(
        "POST",
        "session/{sessionId}/revoke",
        Caller(ENDS),
        sessions::revoke
    ),
    line!(
        "POST",
        "token/create",
        Caller(changes(Tokens)),
        tokens::create
    ),
    line!(
        "POST",
        "token/preview",
        Caller(reads(Tokens)),
        tokens::preview
    ),
    line!("GET", "token/list", Caller(reads(Tokens)), tokens::list),
    line!("POST", "token/report", Public, tokens::report),
    line!("POST", "token/import", Caller(OPERATOR), tokens::import),
    line!(
        "GET",
        "token/template/list",
        Caller(reads(Tokens)),
        tokens::templates
    ),
    line!(
        "GET",
        "token/self/fetch",
        Caller(HOLDER),
        tokens::fetch_self
    ),
    line!(
        "GET",
        "token/{tokenId}/fetch",
        Caller(reads(Tokens)),
        tokens::fetch
    ),
    line!(
        "POST",
        "token/{tokenId}/update",
        Caller(changes(Tokens)),
        tokens::update
    ),
    line!(
        "POST",
        "token/{tokenId}/delete",
        Caller(changes(Tokens)),
        tokens::delete
    ),
    line!(
        "POST",
        "token/{tokenId}/rotate",
        Caller(changes(Tokens)),
        tokens::rotate
    ),
    line!(
        "POST",
        "user/create",
        Caller(changes_live(Users)),
        users::create
    ),
    line!("GET", "user/list", Caller(reads(Users)), users::list),
    line!(
        "GET",
        "user/self/fetch",
        Caller(reads(Users)),
        users::fetch_self
    ),
    line!(
        "POST",
        "user/self/update",
        Caller(changes_live(Users)),
        users::update_self
    ),
    line!(
        "POST",
        "user/self/claim",
        Caller(changes_live(Tokens)),
        users::claim
    ),
    line!(
        "GET",
        "user/{userId}/fetch",
        Caller(reads(Users)),
        users::fetch
    ),
    line!(
        "POST",
        "user/{userId}/update",
        Caller(changes_live(Users)),
        users::update
    ),
    line!(
        "POST",
        "user/{userId}/suspend",
        Caller(changes_live(Users)),
        users::suspend
    ),
    line!(
        "POST",
        "user/{userId}/resume",
        Caller(changes_live(Users)),
        users::resume
    ),
    line!(
        "POST",
        "user/{userId}/delete",
        Caller(changes_live(Users)),
        users::delete
    ),
    line!(
        "POST",
        "user/{userId}/session/create",
        ForChild(MINT),
        sessions::create_for_child
    ),
    line!(
        "POST",
        "user/{userId}/token/create",
        ForChild(changes(Tokens)),
        tokens::create
    ),
    line!(
        "GET",
        "user/{userId}/token/list",
        ForChild(reads(Tokens)),
        tokens::list
    ),
    line!(
        "GET",
        "user/{userId}/token/{tokenId}/fetch",
        ForChild(reads(Tokens)),
        tokens::fetch
    ),
    line!(
        "POST",
        "user/{userId}/token/{tokenId}/update",
        ForChild(changes(Tokens)),
        tokens::update
    ),
    line!(
        "POST",
        "user/{userId}/token/{tokenId}/delete",
        ForChild(changes(Tokens)),
        tokens::delete
    ),
    line!(
        "POST",
        "user/{userId}/token/{tokenId}/rotate",
        ForChild(changes(Tokens)),
        tokens::rotate
    ),
    line!("POST", "authorize", Public, gate::authorize),
    line!("POST", "authorize/explain", Caller(HOLDER), gate::explain),
    line!("GET", "audit/list", Caller(reads(Audit)), audit::list),
    line!("GET", "revocations", Public, feed::live),
    line!("GET", "usage/fetch", Caller(reads(Audit)), usage::fetch),
    line!(
        "GET",
        "audit/checkpoint/fetch",
        Caller(reads(Audit)),
        audit::checkpoint
    ),
    line!("GET", "audit/export", Caller(OPERATOR), audit::export),
    line!(
        "POST",
        "audit/key/rotate",
        Caller(OPERATOR_LIVE),
        audit::rotate_key
    ),
    line!(
        "POST",
        "webhook/create",
        Caller(changes_live(Webhooks)),
        webhooks::create
    ),
    line!(
        "GET",
        "webhook/list",
        Caller(reads(Webhooks)),
        webhooks::list
    ),
    line!(
        "GET",
        "webhook/{webhookId}/fetch",
        Caller(reads(Webhooks)),
        webhooks::fetch
    ),
    line!(
        "POST",
        "webhook/{webhookId}/update",
        Caller(changes_live(Webhooks)),
        webhooks::update
    ),
    line!(
        "POST",
        "webhook/{webhookId}/delete",
        Caller(changes_live(Webhooks)),
        webhooks::delete
    ),
    line!(
        "POST",
        "webhook/{webhookId}/rotate",
        Caller(changes_live(Webhooks)),
        webhooks::rotate
    ),
    line!(
        "POST",
        "webhook/{webhookId}/test",
        Caller(changes_live(Webhooks)),
        webhooks::test
    ),
    line!(
        "GET",
        "webhook/{webhookId}/delivery/list",
        Caller(reads(Webhooks)),
        webhooks::deliveries
    ),
    line!(
        "POST",
        "webhook/{webhookId}/delivery/{deliveryId}/replay",
        Caller(changes_live(Webhooks)),
        webhooks::replay
    ),
    line!(
        "GET",
        "signing-key/list",
        Caller(OPERATOR),
        signing_keys::list
    ),
    line!(
        "POST",
        "signing-key/rotate",
        Caller(OPERATOR_LIVE),
        signing_keys::rotate
    ),
    line!(
        "POST",
        "signing-key/{kid}/revoke",
        Caller(OPERATOR_LIVE),
        signing_keys::revoke
    ),
];

/// An endpoint for gateways. It takes every method, and is found before the path is read.
pub(super) struct GateLine {
    /// Below `authorize/`.
    pub(super) name: &'static str,
    /// Whose convention it reads.
    pub(super) convention: Convention,
    /// The path below `/v1`, with `{placeholders}`.
    pub(super) template: &'static str,
}

/// What gateways ask, below `/v1/authorize` and `/api/v1/authorize`.
pub(super) const GATES: &[GateLine] = &[
    GateLine {
        name: "nginx",
        convention: Convention::Nginx,
        template: "authorize/nginx",
    },
    GateLine {
        name: "forwarded",
        convention: Convention::Forwarded,
        template: "authorize/forwarded",
    },
    GateLine {
        name: "envoy",
        convention: Convention::Envoy,
        template: "authorize/envoy/{path}",
    },
];

/// What is outside `/v1`, by its whole path.
pub(super) const OUTSIDE: &[Endpoint] = &[
    line!("GET", "/healthz", Public, operation::health),
    line!("GET", "/readyz", Public, operation::ready),
    line!("GET", "/metrics", Public, operation::metrics),
    line!("GET", "/openapi.yaml", Public, operation::openapi),
    line!(
        "GET",
        "/.well-known/jwks.json",
        Public,
        operation::jwks_live
    ),
    line!(
        "GET",
        "/.well-known/openid-configuration",
        Public,
        operation::metadata_live
    ),
    line!(
        "GET",
        "/.well-known/oauth-authorization-server",
        Public,
        operation::metadata_live
    ),
    line!(
        "GET",
        "/test/.well-known/jwks.json",
        Public,
        operation::jwks_test
    ),
    line!(
        "GET",
        "/test/.well-known/openid-configuration",
        Public,
        operation::metadata_test
    ),
    line!(
        "GET",
        "/test/.well-known/oauth-authorization-server",
        Public,
        operation::metadata_test
    ),
    line!(
        "GET",
        "/.well-known/oauth-authorization-server/test",
        Public,
        operation::metadata_test
    ),
    line!("GET", "/test/v1/revocations", Public, feed::test),
    line!(
        "GET",
        "/.well-known/hallpass-ledger-keys.json",
        Public,
        audit::keys
    ),
    line!("POST", "/oauth2/token", Public, oauth::token),
    line!("POST", "/oauth2/introspect", Public, oauth::introspect),
    line!("POST", "/oauth2/revoke", Public, oauth::revoke),
];

/// Every method and path, as `openapi.yaml` writes them, the profiles' aside.
pub fn routes() -> Vec<(&'static str, String)> {
    let inside = ENDPOINTS
        .iter()
        .map(|line| (line.method, format!("/v1/{}", line.path)));
    let outside = OUTSIDE
        .iter()
        .map(|line| (line.method, line.path.to_owned()));
    // Any method; the document names the one that gateways use.
    let gates = GATES
        .iter()
        .map(|line| ("GET", format!("/v1/{}", line.template)));
    inside.chain(gates).chain(outside).collect()
}

/// The path templates that metrics count by.
pub fn templates() -> Vec<&'static str> {
    let profile = std::iter::once(PROFILE);
    ENDPOINTS
        .iter()
        .chain(OUTSIDE)
        .map(|line| line.path)
        .chain(GATES.iter().map(|line| line.template))
        .chain(profile)
        .chain(dashboard::PAGES.iter().map(|page| page.path))
        .collect()
}

/// The template of all profile paths.
pub(super) const PROFILE: &str = "{profile}/session/create";
