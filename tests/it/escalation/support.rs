//! What these tests share: words for "refused" and "dead", and requests that are held between the
//! moment in which they are admitted and the moment in which they take effect.

use hallpass::app::authorise::{
    Caller as Admitted, Credential, Door, Facts, Need, Presented, RouteCheck, Wish,
};
use hallpass::domain::binding::NamedValues;
use hallpass::domain::decision::BindingCheck;
use hallpass::domain::id::{AccountId, RequestId};
use hallpass::domain::restrictions::Manage;
use hallpass::domain::route::RequestPath;
use hallpass::domain::run_as::RunAs;
use serde_json::Value;

use crate::support::town::{Account, Answer, Town};

/// Asserts that nothing was done, for a reason that lies with the caller.
#[track_caller]
pub(super) fn refused(answer: &Answer) {
    assert!(
        [400, 401, 403, 404, 409].contains(&answer.status.as_u16()),
        "not refused: {answer}"
    );
}

/// Asserts that a key or token opens no door.
pub(super) async fn is_dead(town: &Town, credential: &str) {
    let answer = town.bearer(credential).get("/v1/token/self/fetch").await;
    assert_eq!(answer.status.as_u16(), 401, "it lives: {answer}");
}

/// Asserts that a key or token works.
pub(super) async fn is_alive(town: &Town, credential: &str) {
    let answer = town.bearer(credential).get("/v1/token/self/fetch").await;
    answer.ok();
}

/// What the service says of a token when the operator account asks.
pub(super) async fn is_active(town: &Town, token: &str) -> bool {
    let asked = town.first_key().await;
    let body = serde_json::json!({ "token": token });
    let answer = asked.post("/v1/session/verify", body).await.ok();
    answer["active"] == Value::Bool(true)
}

/// Asserts that a session token is dead at every door: to verify, to ask about itself, to renew.
pub(super) async fn is_ended(town: &Town, token: &str) {
    assert!(!is_active(town, token).await, "the session is active");
    is_dead(town, token).await;
    let renewed = town
        .bearer(token)
        .post("/v1/session/renew", serde_json::json!({}))
        .await;
    renewed.refused(401, "INVALID_TOKEN");
}

const KEY: Need = Need {
    door: Door::Own,
    route: RouteCheck::Always,
    sessions: false,
    manage: None,
    operator: false,
    bindings: BindingCheck::Here,
    run_as_header: true,
    live: false,
};

/// What `session/create` asks.
pub(super) const MINT: Need = Need {
    bindings: BindingCheck::WithBody,
    ..KEY
};

/// What the endpoints that change keys ask.
pub(super) const TOKENS: Need = Need {
    manage: Some(Manage::Tokens),
    run_as_header: false,
    ..KEY
};

/// What `session/renew` asks.
pub(super) const HOLDER: Need = Need {
    route: RouteCheck::Exempt,
    sessions: true,
    bindings: BindingCheck::Exempt,
    ..KEY
};

/// A POST as the edge would read it.
pub(super) fn post(town: &Town, credential: &str, path: &[&str], need: Need) -> Presented {
    let app = town.app();
    Presented {
        credential: Credential::parse(credential).unwrap(),
        wish: None,
        facts: Facts {
            request: RequestId::new(app.now(), &*app.entropy).unwrap(),
            method: "POST".to_owned(),
            path: RequestPath::from_segments(path.iter().copied()).unwrap(),
            method_override: false,
            address: Some("192.0.2.1".parse().unwrap()),
            agent: None,
            origin: None,
            named: NamedValues::new(),
        },
        need,
    }
}

/// The same POST, with the wish to act as a child.
pub(super) fn as_child(presented: Presented, child: &Account, by_header: bool) -> Presented {
    Presented {
        wish: Some(Wish {
            run_as: RunAs::Id(AccountId::parse(&child.id).ok()),
            by_header,
        }),
        ..presented
    }
}

/// A request that was admitted and is held before it takes effect, so that a test decides what
/// happens in between.
pub(super) struct Held {
    pub(super) presented: Presented,
    pub(super) caller: Admitted,
}

/// Admits a request and holds it.
pub(super) async fn hold(town: &Town, presented: Presented) -> Held {
    let caller = town.app().admit(&presented).await.unwrap();
    Held { presented, caller }
}
