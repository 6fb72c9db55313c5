//! A parent gets no further into a child than the child and the key allow.

use serde_json::{Value, json};

use super::support::{is_active, is_alive, is_dead, is_ended, refused};
use crate::support::town::{Account, Key, Session, Town, claims};

struct Family {
    town: Town,
    parent: Account,
    child: Account,
    /// The parent's.
    full: Key,
    /// The child's own.
    own: Key,
}

async fn family() -> Family {
    let town = Town::new().await;
    let parent = town.account("parent").await;
    let child = parent
        .child_with(json!({"name": "child", "email": "child@example.com"}))
        .await;
    let full = parent.full_key().await;
    let own = child.full_key().await;
    Family {
        town,
        parent,
        child,
        full,
        own,
    }
}

impl Family {
    async fn granted(&self, body: Value) -> Key {
        let path = format!("/v1/user/{}/token/create", self.child.id);
        Key::of(&self.town, &self.full.post(&path, body).await.ok())
    }

    async fn policy(&self, policy: &str) {
        let body = json!({"impersonationPolicy": policy});
        self.own.post("/v1/user/self/update", body).await.ok();
    }
}

const ANY: &str = r#"{"allowedRoutes": ["bot/**"], "renewableForInSeconds": 3600}"#;

fn any() -> Value {
    serde_json::from_str(ANY).unwrap()
}

#[tokio::test]
async fn no_parent_gets_round_the_denial_of_a_child() {
    let family = family().await;
    let town = &family.town;
    let granted = family.granted(json!({})).await;
    let further = granted.make_key(json!({})).await;
    let mut sessions = vec![granted.session(any()).await, further.session(any()).await];
    for (caller, path) in [
        (
            family.full.acting_as(&family.child),
            "/v1/session/create".to_owned(),
        ),
        (
            family
                .full
                .header("x-runas-user-email", "child@example.com"),
            "/v1/bot/b1/session/create".to_owned(),
        ),
        (
            (*family.full).clone(),
            format!("/v1/user/{}/session/create", family.child.id),
        ),
    ] {
        let body = if path.contains("bot/") {
            json!({})
        } else {
            any()
        };
        let made = caller.post(&path, body).await.ok();
        sessions.push(Session::of(town, &made));
    }

    family.policy("deny").await;

    // By what it made before.
    for key in [&granted, &further] {
        is_dead(town, &key.token).await;
    }
    for session in &sessions {
        is_ended(town, &session.token).await;
    }
    // By what it would make now.
    for caller in [
        family.full.acting_as(&family.child),
        family.full.header("x-runas-userid", &family.child.id),
        family
            .full
            .header("x-runas-user-email", "child@example.com"),
        family
            .full
            .header("x-runas-child-user-email", "CHILD@example.com"),
    ] {
        for path in ["/v1/session/create", "/v1/bot/b1/session/create"] {
            let answer = caller.post(path, json!({})).await;
            answer.refused(403, "IMPERSONATION_DENIED");
        }
        let answer = caller.get("/v1/token/self/fetch").await;
        answer.refused(403, "IMPERSONATION_DENIED");
        let form = [
            ("grant_type", "client_credentials"),
            ("allowed_routes", "[\"bot/**\"]"),
        ];
        caller.post_form("/oauth2/token", &form).await.status(403);
    }
    for root in ["/v1/user", "/v1/partner/user"] {
        for end in ["session/create", "token/create"] {
            let path = format!("{root}/{}/{end}", family.child.id);
            let answer = family.full.post(&path, json!({})).await;
            answer.refused(403, "IMPERSONATION_DENIED");
        }
        let path = format!("{root}/{}/token/list", family.child.id);
        let answer = family.full.get(&path).await;
        answer.refused(403, "IMPERSONATION_DENIED");
    }
    // By stopping it for a while.
    for end in ["suspend", "resume"] {
        let path = format!("/v1/user/{}/{end}", family.child.id);
        family.full.post(&path, json!({})).await.ok();
    }
    let answer = family
        .full
        .acting_as(&family.child)
        .get("/v1/token/self/fetch")
        .await;
    answer.refused(403, "IMPERSONATION_DENIED");
    is_alive(town, &family.own.token).await;
}

#[tokio::test]
async fn no_parent_writes_the_policy_of_its_child() {
    let family = family().await;
    let granted = family.granted(json!({})).await;
    let before = family.town.database().await;

    let body = json!({"impersonationPolicy": "allow"});
    let path = format!("/v1/user/{}/update", family.child.id);
    family
        .full
        .post(&path, body.clone())
        .await
        .refused(400, "INVALID_REQUEST");
    for root in ["/v1/user", "/v1/partner/user", "/api/v1/user"] {
        let path = format!("{root}/self/update");
        let answer = family
            .full
            .acting_as(&family.child)
            .post(&path, body.clone())
            .await;
        refused(&answer);
        let answer = granted.post(&path, body.clone()).await;
        answer.refused(403, "MANAGEMENT_NOT_ALLOWED");
    }

    assert_eq!(family.town.database().await, before);
}

#[tokio::test]
async fn nothing_that_a_denial_ended_comes_back_with_a_later_allowance() {
    let family = family().await;
    let town = &family.town;
    let granted = family.granted(json!({})).await;
    let session = granted.session(any()).await;
    let made = family
        .full
        .acting_as(&family.child)
        .post("/v1/session/create", any())
        .await;
    let acted = Session::of(town, &made.ok());

    family.policy("deny").await;
    family.policy("allow").await;

    is_dead(town, &granted.token).await;
    is_ended(town, &session.token).await;
    is_ended(town, &acted.token).await;
    town.restart().await;
    is_dead(town, &granted.token).await;
    is_ended(town, &acted.token).await;
    // What is made after the allowance works.
    let fresh = family.granted(json!({})).await;
    is_alive(town, &fresh.token).await;
}

#[tokio::test]
async fn nothing_that_a_lost_right_ended_comes_back_when_the_right_does() {
    let family = family().await;
    let town = &family.town;
    let granted = family.granted(json!({})).await;
    let session = granted.session(any()).await;
    let operator = town.first_key().await;
    let path = format!("/v1/user/{}/update", family.parent.id);

    operator
        .post(&path, json!({"canImpersonate": false}))
        .await
        .ok();
    is_dead(town, &granted.token).await;
    is_ended(town, &session.token).await;
    let answer = family
        .full
        .acting_as(&family.child)
        .get("/v1/token/self/fetch")
        .await;
    answer.refused(403, "IMPERSONATION_DENIED");
    // It does not give itself the right.
    let own = json!({"canImpersonate": true});
    refused(&family.full.post("/v1/user/self/update", own.clone()).await);
    refused(&family.full.post(&path, own.clone()).await);

    operator.post(&path, own).await.ok();

    is_dead(town, &granted.token).await;
    is_ended(town, &session.token).await;
    family
        .full
        .acting_as(&family.child)
        .get("/v1/token/self/fetch")
        .await
        .ok();
}

#[tokio::test]
async fn no_key_made_for_a_child_sheds_its_grantor() {
    let family = family().await;
    let town = &family.town;
    let granted = family.granted(json!({})).await;

    let further = granted.make_key(json!({})).await;
    let shown = further.get("/v1/token/self/fetch").await.ok();
    assert_eq!(shown["token"]["grantorId"], family.parent.id);
    assert_eq!(shown["actorId"], family.parent.id);
    for key in [&granted, &further] {
        let session = key.session(any()).await;
        assert_eq!(session.claims()["sub"], family.child.id);
        assert_eq!(session.claims()["act"]["sub"], family.parent.id);
    }
    // Nor by touching a key of the child's own.
    for end in ["update", "rotate", "delete"] {
        let path = format!("/v1/token/{}/{end}", family.own.id);
        granted.post(&path, json!({})).await.status(403);
        let path = format!("/v1/user/{}/token/{}/{end}", family.child.id, family.own.id);
        family.full.post(&path, json!({})).await.status(403);
    }
    is_alive(town, &family.own.token).await;
}

#[tokio::test]
async fn no_key_made_for_a_child_touches_keys_outside_its_line() {
    let family = family().await;
    let one = family.granted(json!({})).await;
    let other = family.granted(json!({})).await;
    let below = one.make_key(json!({})).await;
    let sessions = [other.session(any()).await, family.own.session(any()).await];

    for end in ["update", "rotate", "delete"] {
        let path = format!("/v1/token/{}/{end}", other.id);
        one.post(&path, json!({})).await.status(403);
    }
    // Nor upwards.
    let path = format!("/v1/token/{}/delete", one.id);
    below.post(&path, json!({})).await.status(403);
    let path = format!("/v1/session/{}/revoke", sessions[1].id);
    refused(&one.post(&path, json!({})).await);
    is_alive(&family.town, &other.token).await;
    assert!(is_active(&family.town, &sessions[1].token).await);
    // Its own line it may.
    let path = format!("/v1/token/{}/delete", below.id);
    one.post(&path, json!({})).await.ok();
}

#[tokio::test]
async fn no_key_made_for_a_child_exceeds_the_impersonation_of_its_maker() {
    let family = family().await;
    let narrow = family
        .parent
        .key(json!({
            "allowedRoutes": ["user/**", "bot/**", "dataset/**", "token/**", "session/**"],
            "impersonation": {"allowedRoutes": ["user/**", "bot/**", "token/**", "session/**"]},
            "manage": ["tokens"],
        }))
        .await;
    let path = format!("/v1/user/{}/token/create", family.child.id);

    for wide in [
        json!({"unrestricted": true}),
        json!({"config": {"allowedRoutes": ["**"]}}),
        json!({"config": {"allowedRoutes": ["dataset/**"]}}),
        json!({"config": {"allowedRoutes": ["bot/**"], "session": {"allowedRoutes": ["**"]}}}),
        json!({"config": {"allowedRoutes": ["bot/**"], "session": {"allowedRoutes": ["dataset/**"]}}}),
        json!({"config": {"allowedRoutes": ["bot/**"], "session": {"allowedRoutes": ["bot/**"]}, "manage": ["users"]}}),
        json!({"config": {"allowedRoutes": ["bot/**"], "session": {"allowedRoutes": ["bot/**"]}, "impersonation": true}}),
        json!({"operator": true}),
    ] {
        let answer = narrow.post(&path, wide.clone()).await;
        assert_eq!(answer.status.as_u16(), 403, "{wide}: {answer}");
    }
    let made = Key::of(&family.town, &narrow.post(&path, json!({})).await.ok());
    let answer = made
        .post(
            "/v1/session/create",
            json!({"allowedRoutes": ["dataset/**"]}),
        )
        .await;
    answer.refused(403, "ROUTE_NOT_COVERED");
    made.get("/v1/dataset/list").await.status(404);
}

#[tokio::test]
async fn what_is_minted_for_a_child_never_exceeds_the_impersonation_of_the_key() {
    let family = family().await;
    let narrow = family
        .parent
        .key(json!({
            "allowedRoutes": ["**"],
            "impersonation": {"allowedRoutes": ["user/*/session/create", "session/create", "bot/**"]},
        }))
        .await;
    let by_header = narrow.acting_as(&family.child);

    for body in [
        json!({"allowedRoutes": ["**"]}),
        json!({"allowedRoutes": ["conversation/**"]}),
    ] {
        by_header
            .post("/v1/session/create", body.clone())
            .await
            .refused(403, "ROUTE_NOT_COVERED");
        let path = format!("/v1/user/{}/session/create", family.child.id);
        narrow
            .post(&path, body.clone())
            .await
            .refused(403, "ROUTE_NOT_COVERED");
    }
    // A profile gives routes of its own, but not beyond the impersonation of the key either.
    let answer = by_header.post("/v1/bot/b1/session/create", json!({})).await;
    answer.status(403);
    let path = format!("/v1/user/{}/session/create", family.child.id);
    let made = narrow.post(&path, json!({})).await.ok();
    let routes = claims(made["token"].as_str().unwrap())["allowedRoutes"].clone();
    assert_eq!(
        routes,
        json!(["bot/**", "session/create", "user/*/session/create"])
    );
}

#[tokio::test]
async fn a_key_acts_as_no_child_that_it_does_not_name() {
    let family = family().await;
    let other = family.parent.child("other").await;
    let named = family
        .parent
        .key(json!({
            "allowedRoutes": ["**"],
            "manage": ["tokens", "users"],
            "impersonation": {"users": [other.id]},
        }))
        .await;

    named
        .acting_as(&other)
        .get("/v1/token/self/fetch")
        .await
        .ok();
    for answer in [
        named
            .acting_as(&family.child)
            .get("/v1/token/self/fetch")
            .await,
        named
            .header("x-runas-user-email", "child@example.com")
            .get("/v1/token/self/fetch")
            .await,
        named
            .post(
                &format!("/v1/user/{}/session/create", family.child.id),
                any(),
            )
            .await,
        named
            .post(
                &format!("/v1/user/{}/token/create", family.child.id),
                json!({}),
            )
            .await,
        named
            .get(&format!("/v1/user/{}/token/list", family.child.id))
            .await,
    ] {
        answer.refused(403, "IMPERSONATION_DENIED");
    }
}

#[tokio::test]
async fn nobody_makes_or_changes_anything_with_a_run_as_header() {
    let family = family().await;
    let town = &family.town;
    let acting = family.full.acting_as(&family.child);
    let desk = family.child.child("desk").await;
    let granted = family.granted(json!({})).await;
    let before = town.database().await;

    for (path, body) in [
        ("/v1/token/create".to_owned(), json!({"unrestricted": true})),
        (format!("/v1/token/{}/rotate", family.own.id), json!({})),
        (format!("/v1/token/{}/update", granted.id), json!({})),
        (format!("/v1/token/{}/delete", granted.id), json!({})),
        ("/v1/user/create".to_owned(), json!({})),
        (format!("/v1/user/{}/update", desk.id), json!({"name": "x"})),
        (format!("/v1/user/{}/suspend", desk.id), json!({})),
        (format!("/v1/user/{}/delete", desk.id), json!({})),
        ("/v1/user/self/update".to_owned(), json!({"name": "x"})),
        (
            "/v1/user/self/claim".to_owned(),
            json!({"unrestricted": true}),
        ),
    ] {
        refused(&acting.post(&path, body).await);
    }
    // A wish in the header and one in the path would be one for a grandchild.
    for end in ["session/create", "token/create"] {
        let path = format!("/v1/user/{}/{end}", desk.id);
        acting
            .post(&path, json!({}))
            .await
            .refused(403, "IMPERSONATION_DENIED");
    }

    assert_eq!(town.database().await, before);
}

#[tokio::test]
async fn a_child_is_claimed_once_and_by_nobody_who_was_not_given_a_key() {
    let town = Town::new().await;
    let parent = town.account("parent").await;
    let child = parent.child("child").await;
    let full = parent.full_key().await;
    let path = format!("/v1/user/{}/token/create", child.id);
    let granted = Key::of(&town, &full.post(&path, json!({})).await.ok());
    let other = Key::of(&town, &full.post(&path, json!({})).await.ok());
    let session = other.session(any()).await;
    let body = json!({"config": {"allowedRoutes": ["**"]}});

    refused(&full.post("/v1/user/self/claim", body.clone()).await);
    refused(
        &full
            .acting_as(&child)
            .post("/v1/user/self/claim", body.clone())
            .await,
    );
    refused(&session.post("/v1/user/self/claim", body.clone()).await);
    // Of two that are asked at once, one is answered.
    let (one, two) = tokio::join!(
        granted.post("/v1/user/self/claim", body.clone()),
        other.post("/v1/user/self/claim", body.clone()),
    );
    let (won, lost) = if one.status.is_success() {
        (one, two)
    } else {
        (two, one)
    };
    let own = Key::of(&town, &won.ok());
    refused(&lost);

    let shown = own.get("/v1/token/self/fetch").await.ok();
    assert_eq!(shown["token"].get("grantorId"), None);
    assert_eq!(shown["token"].get("makerId"), None);
    for key in [&granted, &other] {
        is_dead(&town, &key.token).await;
    }
    is_ended(&town, &session.token).await;
    let late = Key::of(&town, &full.post(&path, json!({})).await.ok());
    late.post("/v1/user/self/claim", body)
        .await
        .refused(409, "CONFLICT");
}

#[tokio::test]
async fn a_child_that_ended_its_own_key_is_not_claimed_by_its_parent() {
    let town = Town::new().await;
    let parent = town.account("parent").await;
    let child = parent.child("child").await;
    let full = parent.full_key().await;
    let path = format!("/v1/user/{}/token/create", child.id);
    let granted = Key::of(&town, &full.post(&path, json!({})).await.ok());
    let body = json!({"unrestricted": true});
    let own = granted.post("/v1/user/self/claim", body.clone()).await.ok();
    let own = Key::of(&town, &own);
    let deletion = format!("/v1/token/{}/delete", own.id);
    own.post(&deletion, json!({})).await.ok();

    let again = Key::of(&town, &full.post(&path, json!({})).await.ok());
    let answer = again.post("/v1/user/self/claim", body).await;

    answer.refused(409, "CONFLICT");
}

#[tokio::test]
async fn an_impersonated_request_is_in_the_ledger_of_both() {
    let family = family().await;
    let made = family
        .full
        .acting_as(&family.child)
        .post("/v1/session/create", any())
        .await;
    let session = Session::of(&family.town, &made.ok());

    for (key, account) in [(&family.own, &family.child), (&family.full, &family.parent)] {
        let list = key.get("/v1/audit/list").await.ok();
        let items = list["items"].as_array().unwrap();
        let entry = items
            .iter()
            .find(|item| item["sessionId"] == session.id.as_str());
        let entry = entry.unwrap_or_else(|| panic!("not in the ledger of {}: {list}", account.id));
        assert_eq!(entry["actorId"], family.parent.id);
        assert_eq!(entry["userId"], family.child.id);
    }
}
