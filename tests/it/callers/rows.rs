//! One row for every operation: what is sent, who is right, and what others get.

use serde_json::{Value, json};

use super::Expected;
use super::world::World;
use crate::openapi::Operation;
use crate::support::town::{Answer, Caller};

/// What good keys of other accounts get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// It concerns the caller's own account, so everybody may do it at home.
    Own,
    /// It answers, tells nothing of the shop and changes nothing.
    Quiet,
    /// So for strangers and children; a parent sees what is below it.
    Shown,
    /// The ledger, which both sides of an act read, so strangers alone see nothing.
    Ledger,
    /// It concerns one thing, which for others is not there.
    Thing,
    /// It is done as a child, and all that is wrong about that is one answer.
    ActsForChild,
    /// Only an operator may.
    Operator,
    /// Only a key that a parent made for its child may.
    Granted,
    /// Only a session may.
    SessionsOnly,
}

#[derive(Debug, Clone)]
enum Body {
    None,
    Json(Value),
    Form(Vec<(&'static str, String)>),
}

/// A request without its caller.
#[derive(Debug, Clone)]
pub(super) struct Send {
    pub(super) path: String,
    /// The last id in the path.
    id: Option<String>,
    /// Beside those of the caller.
    headers: &'static [(&'static str, &'static str)],
    body: Body,
}

impl Send {
    pub(super) async fn by(&self, caller: &Caller, operation: &Operation) -> Answer {
        let mut caller = caller.clone();
        for (name, value) in self.headers {
            caller = caller.header(name, value);
        }
        match &self.body {
            Body::None => caller.send(&operation.method, &self.path, Vec::new()).await,
            Body::Json(body) => caller.post(&self.path, body.clone()).await,
            Body::Form(fields) => {
                let fields: Vec<(&str, &str)> = fields
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                caller.post_form(&self.path, &fields).await
            }
        }
    }

    /// The same with an id that has the right form and names nothing.
    pub(super) fn missing(&self) -> Self {
        let id = self.id.as_ref().unwrap();
        let (head, last) = id.split_at(id.len() - 1);
        let other = if last == "0" { "1" } else { "0" };
        self.with_id(&format!("{head}{other}"))
    }

    /// The same with an id that has no form.
    pub(super) fn unreadable(&self) -> Self {
        self.with_id("nonsense")
    }

    fn with_id(&self, id: &str) -> Self {
        let mut other = self.clone();
        other.path = self.path.replace(self.id.as_ref().unwrap(), id);
        other
    }
}

fn get(path: &str) -> Send {
    Send {
        path: path.to_owned(),
        id: None,
        headers: &[],
        body: Body::None,
    }
}

fn post(path: &str, body: Value) -> Send {
    Send {
        path: path.to_owned(),
        id: None,
        headers: &[],
        body: Body::Json(body),
    }
}

fn form(path: &str, fields: Vec<(&'static str, String)>) -> Send {
    Send {
        path: path.to_owned(),
        id: None,
        headers: &[],
        body: Body::Form(fields),
    }
}

/// A request to a path in which `{}` is an id.
fn get_at(path: &str, id: &str) -> Send {
    Send {
        id: Some(id.to_owned()),
        ..get(&path.replace("{}", id))
    }
}

fn post_at(path: &str, id: &str, body: Value) -> Send {
    Send {
        id: Some(id.to_owned()),
        ..post(&path.replace("{}", id), body)
    }
}

/// A path below the child.
fn below(world: &World, rest: &str) -> String {
    format!("/v1/user/{}/{rest}", world.branch.id)
}

pub(super) struct Row {
    pub(super) operation: &'static str,
    pub(super) send: fn(&World) -> Send,
    pub(super) right: fn(&World) -> Caller,
    pub(super) target: Target,
    /// What an unrestricted test key of the right account gets.
    pub(super) test_key: Expected,
    /// What some other session of the account gets, where sessions are admitted.
    pub(super) session: Expected,
}

impl Row {
    fn right(self, right: fn(&World) -> Caller) -> Self {
        Self { right, ..self }
    }

    fn test_key(self, test_key: Expected) -> Self {
        Self { test_key, ..self }
    }

    fn session(self, session: Expected) -> Self {
        Self { session, ..self }
    }
}

fn row(operation: &'static str, target: Target, send: fn(&World) -> Send) -> Row {
    Row {
        operation,
        send,
        right: |world| world.owner.caller(),
        target,
        test_key: match target {
            Target::Own | Target::Ledger | Target::ActsForChild => Expected::Done,
            Target::Quiet | Target::Shown => Expected::Harmless,
            Target::Thing => Expected::Missing,
            Target::Operator | Target::Granted => MANAGEMENT,
            Target::SessionsOnly => Expected::Refused(401, "INVALID_TOKEN"),
        },
        session: Expected::Done,
    }
}

const MANAGEMENT: Expected = Expected::Refused(403, "MANAGEMENT_NOT_ALLOWED");

/// A row for what everybody may read.
fn public(operation: &'static str, send: fn(&World) -> Send) -> Row {
    row(operation, Target::Own, send).right(|world| world.town.nobody())
}

/// A row for what gateways ask: whoever may call the route behind, with a live credential.
fn gateway(operation: &'static str, send: fn(&World) -> Send) -> Row {
    row(operation, Target::Own, send).test_key(Expected::Refused(403, "ENVIRONMENT_NOT_ALLOWED"))
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = sessions();
    rows.extend(tokens());
    rows.extend(child_tokens());
    rows.extend(users());
    rows.extend(webhooks());
    rows.extend(others());
    rows
}

fn sessions() -> Vec<Row> {
    vec![
        row("sessionCreate", Target::Own, |_| {
            post("/v1/session/create", json!({"allowedRoutes": ["order/**"]}))
        }),
        row("sessionRenew", Target::SessionsOnly, |_| {
            post("/v1/session/renew", json!({}))
        })
        .right(|world| world.session.caller())
        .session(Expected::Refused(403, "NOT_RENEWABLE")),
        row("sessionVerify", Target::Shown, |world| {
            post("/v1/session/verify", json!({"token": world.session.token}))
        }),
        row("sessionList", Target::Quiet, |_| get("/v1/session/list")),
        row("sessionFetch", Target::Thing, |world| {
            get_at("/v1/session/{}/fetch", &world.session.id)
        }),
        row("sessionRevoke", Target::Thing, |world| {
            post_at("/v1/session/{}/revoke", &world.session.id, json!({}))
        })
        .session(Expected::Missing),
        row("botSessionCreate", Target::Own, |_| {
            post("/v1/bot/b1/session/create", json!({}))
        }),
        row("conversationSessionCreate", Target::Own, |_| {
            post("/v1/conversation/c1/session/create", json!({}))
        }),
        row("widgetSessionCreate", Target::Own, |_| {
            post("/v1/integration/widget/w1/session/create", json!({}))
        }),
    ]
}

fn tokens() -> Vec<Row> {
    vec![
        row("tokenCreate", Target::Own, |_| {
            post("/v1/token/create", json!({"unrestricted": true}))
        }),
        row("tokenPreview", Target::Own, |_| {
            let token = json!({"unrestricted": true});
            post("/v1/token/preview", json!({"token": token}))
        }),
        row("tokenList", Target::Quiet, |_| get("/v1/token/list")),
        row("tokenTemplateList", Target::Quiet, |_| {
            get("/v1/token/template/list")
        }),
        row("tokenSelfFetch", Target::Own, |_| {
            get("/v1/token/self/fetch")
        }),
        row("tokenReport", Target::Own, |world| {
            post("/v1/token/report", json!({"secret": world.target.token}))
        })
        .right(|world| world.town.nobody()),
        row("tokenImport", Target::Operator, |world| {
            let digest = "ab".repeat(32);
            let config = json!({"allowedRoutes": ["order/**"]});
            let body = json!({"digest": digest, "userId": world.shop.id, "config": config});
            post("/v1/token/import", body)
        })
        .right(|world| world.operator.caller()),
        row("tokenFetch", Target::Thing, |world| {
            get_at("/v1/token/{}/fetch", &world.target.id)
        }),
        row("tokenUpdate", Target::Thing, |world| {
            post_at(
                "/v1/token/{}/update",
                &world.target.id,
                json!({"name": "till"}),
            )
        }),
        row("tokenDelete", Target::Thing, |world| {
            post_at("/v1/token/{}/delete", &world.target.id, json!({}))
        }),
        row("tokenRotate", Target::Thing, |world| {
            post_at("/v1/token/{}/rotate", &world.target.id, json!({}))
        }),
    ]
}

fn child_tokens() -> Vec<Row> {
    vec![
        row("userSessionCreate", Target::ActsForChild, |world| {
            post(&below(world, "session/create"), json!({}))
        }),
        row("childTokenCreate", Target::ActsForChild, |world| {
            post(&below(world, "token/create"), json!({"unrestricted": true}))
        }),
        row("childTokenList", Target::ActsForChild, |world| {
            get(&below(world, "token/list"))
        }),
        row("childTokenFetch", Target::ActsForChild, |world| {
            get_at(&below(world, "token/{}/fetch"), &world.granted.id)
        })
        .test_key(Expected::Missing),
        row("childTokenUpdate", Target::ActsForChild, |world| {
            let body = json!({"name": "till"});
            post_at(&below(world, "token/{}/update"), &world.granted.id, body)
        })
        .test_key(Expected::Missing),
        row("childTokenDelete", Target::ActsForChild, |world| {
            post_at(
                &below(world, "token/{}/delete"),
                &world.granted.id,
                json!({}),
            )
        })
        .test_key(Expected::Missing),
        row("childTokenRotate", Target::ActsForChild, |world| {
            post_at(
                &below(world, "token/{}/rotate"),
                &world.granted.id,
                json!({}),
            )
        })
        .test_key(Expected::Missing),
    ]
}

fn users() -> Vec<Row> {
    vec![
        row("userCreate", Target::Own, |_| {
            post("/v1/user/create", json!({"name": "another"}))
        })
        .test_key(MANAGEMENT),
        row("userList", Target::Quiet, |_| get("/v1/user/list")).test_key(Expected::Done),
        row("userSelfFetch", Target::Own, |_| get("/v1/user/self/fetch")),
        row("userSelfUpdate", Target::Own, |_| {
            post("/v1/user/self/update", json!({"name": "renamed"}))
        })
        .test_key(MANAGEMENT),
        row("userSelfClaim", Target::Granted, |_| {
            post("/v1/user/self/claim", json!({"unrestricted": true}))
        })
        .right(|world| world.claimer.caller()),
        row("userFetch", Target::Thing, |world| {
            get_at("/v1/user/{}/fetch", &world.branch.id)
        })
        .test_key(Expected::Done),
        row("userUpdate", Target::Thing, |world| {
            post_at(
                "/v1/user/{}/update",
                &world.branch.id,
                json!({"name": "renamed"}),
            )
        })
        .test_key(MANAGEMENT),
        row("userDelete", Target::Thing, |world| {
            post_at("/v1/user/{}/delete", &world.branch.id, json!({}))
        })
        .test_key(MANAGEMENT),
        row("userSuspend", Target::Thing, |world| {
            post_at("/v1/user/{}/suspend", &world.branch.id, json!({}))
        })
        .test_key(MANAGEMENT),
        row("userResume", Target::Thing, |world| {
            post_at("/v1/user/{}/resume", &world.branch.id, json!({}))
        })
        .test_key(MANAGEMENT),
    ]
}

fn webhooks() -> Vec<Row> {
    vec![
        row("webhookCreate", Target::Own, |_| {
            post(
                "/v1/webhook/create",
                json!({"url": "https://hooks.example/a"}),
            )
        })
        .test_key(MANAGEMENT),
        row("webhookList", Target::Quiet, |_| get("/v1/webhook/list")).test_key(Expected::Done),
        row("webhookFetch", Target::Thing, |world| {
            get_at("/v1/webhook/{}/fetch", &world.webhook)
        })
        .test_key(Expected::Done),
        row("webhookUpdate", Target::Thing, |world| {
            let body = json!({"description": "till"});
            post_at("/v1/webhook/{}/update", &world.webhook, body)
        })
        .test_key(MANAGEMENT),
        row("webhookDelete", Target::Thing, |world| {
            post_at("/v1/webhook/{}/delete", &world.webhook, json!({}))
        })
        .test_key(MANAGEMENT),
        row("webhookRotate", Target::Thing, |world| {
            post_at("/v1/webhook/{}/rotate", &world.webhook, json!({}))
        })
        .test_key(MANAGEMENT),
        row("webhookTest", Target::Thing, |world| {
            post_at("/v1/webhook/{}/test", &world.webhook, json!({}))
        })
        .test_key(MANAGEMENT),
        row("webhookDeliveryList", Target::Thing, |world| {
            get_at("/v1/webhook/{}/delivery/list", &world.webhook)
        })
        .test_key(Expected::Done),
        row("webhookDeliveryReplay", Target::Thing, |world| {
            let path = format!("/v1/webhook/{{}}/delivery/{}/replay", world.delivery);
            post_at(&path, &world.webhook, json!({}))
        })
        .test_key(MANAGEMENT),
    ]
}

fn others() -> Vec<Row> {
    vec![
        public("authorize", |world| {
            let request =
                json!({"credential": world.owner.token, "method": "GET", "path": "/v1/order/o1"});
            post("/v1/authorize", request)
        }),
        row("authorizeExplain", Target::Own, |_| {
            let asked = json!({"method": "GET", "path": "/v1/order/o1"});
            post("/v1/authorize/explain", asked)
        }),
        gateway("authorizeNginx", |_| Send {
            headers: &[
                ("x-original-method", "GET"),
                ("x-original-uri", "/v1/order/o1"),
            ],
            ..get("/v1/authorize/nginx")
        }),
        gateway("authorizeForwarded", |_| Send {
            headers: &[
                ("x-forwarded-method", "GET"),
                ("x-forwarded-uri", "/v1/order/o1"),
            ],
            ..get("/v1/authorize/forwarded")
        }),
        gateway("authorizeEnvoy", |_| get("/v1/authorize/envoy/v1/order/o1")),
        row("auditList", Target::Ledger, |_| get("/v1/audit/list")),
        row("usageFetch", Target::Own, |_| get("/v1/usage/fetch")),
        // It tells how much there is, and nothing of anybody.
        row("auditCheckpointFetch", Target::Own, |_| {
            get("/v1/audit/checkpoint/fetch")
        }),
        row("auditExport", Target::Operator, |_| get("/v1/audit/export"))
            .right(|world| world.operator.caller()),
        row("auditKeyRotate", Target::Operator, |_| {
            post("/v1/audit/key/rotate", json!({}))
        })
        .right(|world| world.operator.caller()),
        public("ledgerKeys", |_| {
            get("/.well-known/hallpass-ledger-keys.json")
        }),
        row("signingKeyList", Target::Operator, |_| {
            get("/v1/signing-key/list")
        })
        .right(|world| world.operator.caller()),
        row("signingKeyRotate", Target::Operator, |_| {
            post("/v1/signing-key/rotate", json!({"environment": "live"}))
        })
        .right(|world| world.operator.caller()),
        row("signingKeyRevoke", Target::Operator, |world| {
            post_at("/v1/signing-key/{}/revoke", &world.kid, json!({}))
        })
        .right(|world| world.operator.caller()),
        row("oauthToken", Target::Own, |_| {
            let routes = json!(["order/**"]).to_string();
            form(
                "/oauth2/token",
                vec![
                    ("grant_type", "client_credentials".to_owned()),
                    ("allowed_routes", routes),
                ],
            )
        }),
        row("oauthIntrospect", Target::Shown, |world| {
            form(
                "/oauth2/introspect",
                vec![("token", world.session.token.clone())],
            )
        }),
        row("oauthRevoke", Target::Quiet, |world| {
            form(
                "/oauth2/revoke",
                vec![("token", world.session.token.clone())],
            )
        }),
        public("healthz", |_| get("/healthz")),
        public("readyz", |_| get("/readyz")),
        public("metrics", |_| get("/metrics")),
        public("openapi", |_| get("/openapi.yaml")),
        public("revocations", |_| get("/v1/revocations")),
        public("revocationsTest", |_| get("/test/v1/revocations")),
        public("jwks", |_| get("/.well-known/jwks.json")),
        public("openidConfiguration", |_| {
            get("/.well-known/openid-configuration")
        }),
        public("oauthMetadata", |_| {
            get("/.well-known/oauth-authorization-server")
        }),
        public("jwksTest", |_| get("/test/.well-known/jwks.json")),
        public("openidConfigurationTest", |_| {
            get("/test/.well-known/openid-configuration")
        }),
        public("oauthMetadataTest", |_| {
            get("/test/.well-known/oauth-authorization-server")
        }),
        public("oauthMetadataTestRfc8414", |_| {
            get("/.well-known/oauth-authorization-server/test")
        }),
    ]
}
