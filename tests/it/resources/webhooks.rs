//! `/v1/webhook/…`, and what receivers get.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::receiver::{Behaviour, Got, Receiver};
use crate::support::town::{Account, Key, Town};

/// The receivers of these tests are on this machine, and one second is long for them.
const SETTINGS: &str = "[webhooks]
allow_http = true
allow_networks = [\"127.0.0.0/8\"]
timeout_secs = 1
";
const CREATE: &str = "/v1/webhook/create";

pub(super) struct Hook {
    id: String,
    secret: String,
    owner: Key,
}

impl Hook {
    pub(super) async fn new(owner: &Key, receiver: &Receiver, more: Value) -> Self {
        let mut body = json!({"url": receiver.url});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let made = owner.post(CREATE, body).await.ok();
        Self {
            id: made["id"].as_str().unwrap().to_owned(),
            secret: made["secret"].as_str().unwrap().to_owned(),
            owner: owner.clone(),
        }
    }

    pub(super) async fn shown(&self) -> Value {
        let path = format!("/v1/webhook/{}/fetch", self.id);
        self.owner.get(&path).await.ok()
    }

    /// The log, oldest first.
    async fn log(&self) -> Vec<Value> {
        let path = format!("/v1/webhook/{}/delivery/list?order=asc", self.id);
        let list = self.owner.get(&path).await.ok();
        list["items"].as_array().unwrap().clone()
    }

    pub(super) async fn post(&self, verb: &str, body: Value) -> Value {
        let path = format!("/v1/webhook/{}/{verb}", self.id);
        self.owner.post(&path, body).await.ok()
    }

    /// Puts a test event into the outbox.
    async fn test(&self) -> Value {
        self.post("test", json!({})).await
    }
}

pub(super) struct Scene {
    pub(super) town: Town,
    pub(super) shop: Account,
    pub(super) owner: Key,
    receiver: Receiver,
}

impl Scene {
    pub(super) async fn new() -> Self {
        let town = Town::with_settings(SETTINGS).await;
        let shop = town.account("shop").await;
        Self {
            owner: shop.full_key().await,
            receiver: Receiver::new().await,
            town,
            shop,
        }
    }

    async fn hook(&self, more: Value) -> Hook {
        Hook::new(&self.owner, &self.receiver, more).await
    }

    async fn make_key(&self) -> Key {
        self.owner.make_key(json!({"unrestricted": true})).await
    }

    fn only(&self) -> Got {
        let mut got = self.receiver.take();
        assert_eq!(got.len(), 1, "{got:?}");
        got.remove(0)
    }
}

#[tokio::test]
async fn an_event_arrives_signed_and_tells_no_secret() {
    let scene = Scene::new().await;
    let hook = scene.hook(json!({})).await;
    let made = scene.make_key().await;

    assert_eq!(scene.town.deliver().await, 1);

    let got = scene.only();
    let now = scene.town.now_ms();
    got.verify(&hook.secret, now).unwrap();
    assert!(got.verify(&hook.secret, now + 301_000).is_err());
    assert!(got.headers["webhook-id"].starts_with("evt_"));
    assert_eq!(got.headers["content-type"], "application/json");
    let body = got.json();
    assert_eq!(body["type"], "token.created");
    assert_eq!(body["timestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(body["data"]["targetId"], made.id);
    assert_eq!(body["data"]["userId"], scene.shop.id);
    assert_eq!(body["data"]["tokenId"], scene.owner.id);
    let text = String::from_utf8(got.body.clone()).unwrap();
    assert!(!text.contains("sk_live_") && !text.contains(&hook.secret));
    let entry = &hook.log().await[0];
    assert_eq!(entry["state"], "delivered");
    assert_eq!(entry["status"], 200);
    assert_eq!(entry["attempts"], 1);
    assert_eq!(entry["payload"], body);
    assert_eq!(hook.shown().await["deliveredAt"], now);
}

#[tokio::test]
async fn simple_receivers_check_the_body_with_the_text_of_the_secret() {
    use aws_lc_rs::hmac;

    let scene = Scene::new().await;
    let hook = scene.hook(json!({})).await;
    hook.test().await;
    scene.town.deliver().await;

    let got = scene.only();
    let key = hmac::Key::new(hmac::HMAC_SHA256, hook.secret.as_bytes());
    let tag = hmac::sign(&key, &got.body);
    let hex: Vec<String> = tag.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    let expected = format!("sha256={}", hex.concat());
    assert_eq!(got.headers["x-hallpass-signature"], expected);
    assert!(!got.headers.contains_key("x-hallpass-signature-previous"));
}

#[tokio::test]
async fn the_secret_is_shown_once_and_kept_sealed() {
    let scene = Scene::new().await;
    let hook = scene.hook(json!({"description": "till"})).await;

    let shown = hook.shown().await;
    let list = scene.owner.get("/v1/webhook/list").await.ok();

    assert_eq!(shown["description"], "till");
    assert_eq!(shown["state"], "active");
    assert_eq!(list["items"], json!([shown]));
    assert!(!list.to_string().contains("whsec_"));
    let key = hook.secret.trim_start_matches("whsec_");
    let raw = base64::engine::general_purpose::STANDARD
        .decode(key)
        .unwrap();
    let hex: Vec<String> = raw.iter().map(|b| format!("{b:02x}")).collect();
    let dump = format!("{:?}", scene.town.database().await).to_lowercase();
    assert!(!dump.contains(&key.to_lowercase()));
    assert!(!dump.contains(&hex.concat()));
}

#[tokio::test]
async fn every_change_that_is_promised_is_told_to_the_account_and_its_parent() {
    let scene = Scene::new().await;
    let above = Receiver::new().await;
    let parent = scene.town.first_key().await;
    let events = json!({"events": ["token.created", "token.reported", "user.suspended",
        "user.impersonated"]});
    Hook::new(&parent, &above, events).await;
    scene.hook(json!({})).await;

    let key = scene.make_key().await;
    let rotate = format!("/v1/token/{}/rotate", key.id);
    scene.owner.post(&rotate, json!({})).await.ok();
    let update = format!("/v1/token/{}/update", key.id);
    scene.owner.post(&update, json!({"name": "x"})).await.ok();
    let session = key.session(json!({"allowedRoutes": ["**"]})).await;
    let revoke = format!("/v1/session/{}/revoke", session.id);
    scene.owner.post(&revoke, json!({})).await.ok();
    let leaked = scene.make_key().await;
    let report = json!({"secret": leaked.token});
    scene
        .town
        .nobody()
        .post("/v1/token/report", report)
        .await
        .ok();
    let delete = format!("/v1/token/{}/delete", key.id);
    scene.owner.post(&delete, json!({})).await.ok();
    let child = format!("/v1/user/{}/session/create", scene.shop.id);
    parent.post(&child, json!({})).await.ok();
    let suspend = format!("/v1/user/{}/suspend", scene.shop.id);
    parent.post(&suspend, json!({})).await.ok();
    scene.town.deliver().await;

    let mut own = scene.receiver.kinds();
    own.sort();
    assert_eq!(
        own,
        [
            "session.revoked",
            "token.created",
            "token.created",
            "token.reported",
            "token.revoked",
            "token.rotated",
            "token.updated",
            "user.impersonated",
            "user.suspended",
        ]
    );
    let told = above.take();
    let mut kinds: Vec<String> = told.iter().map(Got::kind).collect();
    kinds.sort();
    assert_eq!(
        kinds,
        [
            "token.created",
            "token.created",
            "token.reported",
            "user.impersonated",
            "user.suspended",
        ]
    );
    for got in &told {
        let data = &got.json()["data"];
        assert_eq!(data["userId"], scene.shop.id);
        if got.kind() == "token.reported" {
            assert_eq!(data["targetId"], leaked.id);
        }
        if got.kind() == "user.impersonated" {
            assert_eq!(data["actorId"], scene.town.operator().id);
        }
    }
}

#[tokio::test]
async fn the_operator_is_told_of_signing_keys_and_nobody_else_is() {
    let scene = Scene::new().await;
    scene.hook(json!({})).await;
    let operator = scene.town.operator_key().await;
    let above = Receiver::new().await;
    let wanted = json!({"events": ["signing-key.rotated", "signing-key.revoked"]});
    Hook::new(&operator, &above, wanted).await;

    scene.town.advance_secs(605);
    operator
        .post("/v1/signing-key/rotate", json!({}))
        .await
        .ok();
    scene.town.deliver().await;

    assert_eq!(above.kinds(), ["signing-key.rotated"]);
    assert!(scene.receiver.take().is_empty());
}

#[tokio::test]
async fn the_operator_is_told_before_a_signing_key_is_replaced() {
    const DAY: i64 = 86_400;

    let scene = Scene::new().await;
    let operator = scene.town.operator_key().await;
    let wanted = json!({"events": ["signing-key.expiring"]});
    Hook::new(&operator, &scene.receiver, wanted).await;
    let app = scene.town.app();
    let told = async || {
        for _ in 0..2 {
            app.tell_notices().await.unwrap();
        }
        scene.town.deliver().await;
        scene.receiver.take()
    };

    scene.town.advance_secs(22 * DAY);
    assert!(told().await.is_empty());
    scene.town.advance_secs(2 * DAY);
    let told = told().await;

    assert_eq!(told.len(), 2, "of live and of test, once: {told:?}");
    let data = &told[0].json()["data"];
    let keys = operator.get("/v1/signing-key/list").await.ok();
    let keys = keys["items"].as_array().unwrap();
    let key = keys.iter().find(|key| key["kid"] == data["targetId"]);
    let key = key.unwrap();
    assert_eq!(key["state"], "active");
    let since = key["activatedAt"].as_i64().unwrap();
    assert_eq!(data["details"]["rotatesAt"], since + 30 * DAY * 1000);
}

#[tokio::test]
async fn an_event_is_tried_again_for_a_day_and_then_given_up() {
    let scene = Scene::new().await;
    let hook = scene.hook(json!({})).await;
    scene.receiver.behave(Behaviour::Answer(500));
    hook.test().await;
    let mut ids = Vec::new();
    let mut times = Vec::new();
    let start = scene.town.now_ms();
    for _ in 0..400 {
        if scene.town.deliver().await > 0 {
            let got = scene.only();
            ids.push(got.headers["webhook-id"].clone());
            // Each attempt is signed anew, so that it is never too old.
            got.verify(&hook.secret, scene.town.now_ms()).unwrap();
            times.push((scene.town.now_ms() - start) / 1000);
        }
        let entry = &hook.log().await[0];
        let Some(next) = entry["nextAttemptAt"].as_i64() else {
            break;
        };
        scene
            .town
            .advance_ms((next - scene.town.now_ms()).max(5_000));
    }

    assert_eq!(ids.len(), 11, "{times:?}");
    ids.dedup();
    assert_eq!(ids.len(), 1, "the same event has the same id");
    assert!(
        (22 * 3600..26 * 3600).contains(times.last().unwrap()),
        "{times:?}"
    );
    let entry = &hook.log().await[0];
    assert_eq!(entry["state"], "failed");
    assert_eq!(entry["status"], 500);
    assert_eq!(entry["problem"], "status");
    assert_eq!(entry["attempts"], 11);
    assert_eq!(hook.shown().await["state"], "failing");
}

#[tokio::test]
async fn what_failed_once_arrives_later_and_the_webhook_is_well_again() {
    let scene = Scene::new().await;
    let hook = scene.hook(json!({})).await;
    scene.receiver.behave(Behaviour::Close);
    hook.test().await;
    scene.town.deliver().await;
    assert_eq!(hook.log().await[0]["problem"], "connection");
    assert_eq!(hook.log().await[0]["state"], "pending");

    scene.receiver.behave(Behaviour::Answer(204));
    assert_eq!(scene.town.deliver().await, 0, "not before its time");
    scene.town.advance_secs(6);
    assert_eq!(scene.town.deliver().await, 1);

    let entry = &hook.log().await[0];
    assert_eq!(entry["state"], "delivered");
    assert_eq!(entry["problem"], Value::Null);
    assert_eq!(entry["attempts"], 2);
    assert_eq!(hook.shown().await["state"], "active");
}

#[tokio::test]
async fn redirects_are_not_followed_and_long_answers_not_read() {
    let scene = Scene::new().await;
    let inside = Receiver::new().await;
    let hook = scene.hook(json!({})).await;
    scene
        .receiver
        .behave(Behaviour::Redirect(inside.url.clone()));
    hook.test().await;
    scene.town.deliver().await;
    assert!(inside.take().is_empty());
    let entry = &hook.log().await[0];
    assert_eq!(entry["problem"], "redirect");
    assert_eq!(entry["status"], 307);

    scene.receiver.behave(Behaviour::Flood);
    scene.town.advance_secs(6);
    scene.town.deliver().await;
    assert_eq!(hook.log().await[0]["state"], "delivered");
}

#[tokio::test]
async fn a_receiver_that_hangs_is_left_and_harms_no_other() {
    let scene = Scene::new().await;
    let dead = scene.hook(json!({})).await;
    scene.receiver.behave(Behaviour::Hang);
    let well = Receiver::new().await;
    let other = Hook::new(&scene.owner, &well, json!({})).await;
    for _ in 0..3 {
        dead.test().await;
        other.test().await;
    }

    scene.town.deliver().await;

    assert_eq!(well.take().len(), 3);
    assert!(
        other
            .log()
            .await
            .iter()
            .all(|one| one["state"] == "delivered")
    );
    let log = dead.log().await;
    assert!(log.iter().all(|one| one["state"] == "pending"));
    assert!(log.iter().any(|one| one["problem"] == "timeout"));
    // While it fails it gets one at a time, and not before its pause is over.
    scene.receiver.take();
    scene.town.advance_secs(40);
    dead.test().await;
    scene.town.deliver().await;
    assert_eq!(scene.receiver.take().len(), 1);
}

#[tokio::test]
async fn events_about_one_thing_keep_their_order_and_others_pass() {
    let scene = Scene::new().await;
    let hook = scene.hook(json!({})).await;
    scene.receiver.behave(Behaviour::Answer(503));
    let first = scene.make_key().await;
    scene.town.deliver().await;
    scene.receiver.take();
    scene.receiver.behave(Behaviour::Answer(200));
    let rotate = format!("/v1/token/{}/rotate", first.id);
    scene.owner.post(&rotate, json!({})).await.ok();
    // Held back for an hour: what is about the same key waits with it.
    let later = scene.town.now_ms() + 3_600_000;
    let hold = format!("UPDATE webhook_delivery SET due_at = {later} WHERE attempts = 1");
    assert_eq!(scene.town.sql(&hold).await, 1);
    let second = scene.make_key().await;
    scene.town.advance_secs(60);
    scene.town.deliver().await;
    let told = scene.only().json();
    assert_eq!(told["data"]["targetId"], second.id);

    scene.town.advance_secs(3600);
    scene.town.deliver().await;
    assert_eq!(scene.receiver.kinds(), ["token.created", "token.rotated"]);
    assert!(
        hook.log()
            .await
            .iter()
            .all(|one| one["state"] == "delivered")
    );
}

#[tokio::test]
async fn during_a_rotation_either_secret_checks() {
    let scene = Scene::new().await;
    let hook = scene.hook(json!({})).await;
    let rotated = hook.post("rotate", json!({"overlapInSeconds": 60})).await;
    let new = rotated["secret"].as_str().unwrap();
    assert_ne!(new, hook.secret);
    assert_eq!(
        hook.shown().await["previousSecretExpiresAt"],
        rotated["previousSecretExpiresAt"]
    );
    hook.test().await;
    scene.town.deliver().await;
    let got = scene.only();
    let now = scene.town.now_ms();
    got.verify(new, now).unwrap();
    got.verify(&hook.secret, now).unwrap();
    assert!(got.headers.contains_key("x-hallpass-signature-previous"));

    scene.town.advance_secs(61);
    hook.test().await;
    scene.town.deliver().await;
    let got = scene.only();
    let now = scene.town.now_ms();
    got.verify(new, now).unwrap();
    assert!(got.verify(&hook.secret, now).is_err());
    assert_eq!(hook.shown().await["previousSecretExpiresAt"], Value::Null);

    let cut = hook.post("rotate", json!({"overlapInSeconds": 0})).await;
    hook.test().await;
    scene.town.deliver().await;
    let got = scene.only();
    got.verify(cut["secret"].as_str().unwrap(), now).unwrap();
    assert!(got.verify(new, now).is_err());
}

#[tokio::test]
async fn a_webhook_that_fails_for_days_is_disabled_and_can_be_mended() {
    let scene = Scene::new().await;
    let hook = scene.hook(json!({})).await;
    scene.receiver.behave(Behaviour::Answer(404));
    for _ in 0..6 {
        hook.test().await;
        scene.town.deliver().await;
        scene.town.advance_secs(86_400);
    }
    let shown = hook.shown().await;
    assert_eq!(shown["state"], "disabled");
    assert!(shown["disabledAt"].is_number());
    assert!(hook.log().await.iter().all(|one| one["state"] != "pending"));
    let ledger = scene
        .owner
        .get("/v1/audit/list?action=webhook.disable")
        .await;
    let ledger = ledger.ok();
    assert_eq!(ledger["items"][0]["targetId"], hook.id);
    assert_eq!(ledger["items"][0]["details"]["reason"], "failing");
    let path = format!("/v1/webhook/{}/test", hook.id);
    let answer = scene.owner.post(&path, json!({})).await;
    answer.refused(409, "CONFLICT");

    scene.receiver.take();
    scene.receiver.behave(Behaviour::Answer(200));
    hook.post("update", json!({"enabled": true})).await;
    assert_eq!(hook.shown().await["state"], "active");
    hook.test().await;
    scene.town.deliver().await;
    assert_eq!(scene.receiver.kinds(), ["webhook.test"]);
}

#[tokio::test]
async fn a_receiver_that_says_it_is_gone_is_asked_no_more() {
    let scene = Scene::new().await;
    let hook = scene.hook(json!({})).await;
    scene.receiver.behave(Behaviour::Answer(410));
    hook.test().await;
    scene.town.deliver().await;

    assert_eq!(hook.shown().await["state"], "disabled");
    scene.town.advance_secs(86_400);
    assert_eq!(scene.town.deliver().await, 0);
}

#[tokio::test]
async fn an_event_is_sent_again_by_hand_with_the_same_id() {
    let scene = Scene::new().await;
    let hook = scene.hook(json!({})).await;
    let sent = hook.test().await;
    let path = |id: &Value| format!("delivery/{}/replay", id.as_str().unwrap());
    let waiting = format!("/v1/webhook/{}/{}", hook.id, path(&sent["id"]));
    let answer = scene.owner.post(&waiting, json!({})).await;
    answer.refused(409, "CONFLICT");
    scene.town.deliver().await;
    let first = scene.only();

    let again = hook.post(&path(&sent["id"]), json!({})).await;
    scene.town.deliver().await;

    assert_ne!(again["id"], sent["id"]);
    assert_eq!(again["eventId"], sent["eventId"]);
    let second = scene.only();
    assert_eq!(first.headers["webhook-id"], second.headers["webhook-id"]);
    assert_eq!(first.body, second.body);
    let log = hook.log().await;
    assert_eq!(log.len(), 2);
    assert_eq!(
        log.iter()
            .filter(|one| one["replayOf"] == sent["id"])
            .count(),
        1
    );
    let missing = format!("/v1/webhook/{}/delivery/nonsense/replay", hook.id);
    let answer = scene.owner.post(&missing, json!({})).await;
    answer.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn two_nodes_send_an_event_once_and_a_node_that_died_is_stood_in_for() {
    let scene = Scene::new().await;
    let hook = scene.hook(json!({})).await;
    let other = scene.town.second_node().await;
    for _ in 0..4 {
        hook.test().await;
    }
    let (here, there) = tokio::join!(scene.town.deliver(), other.deliver());
    assert_eq!(here + there, 4);
    assert_eq!(scene.receiver.take().len(), 4);

    hook.test().await;
    // This node takes it and dies.
    drop(scene.town.app().claim_deliveries().await.unwrap());
    assert_eq!(other.deliver().await, 0);
    scene.town.advance_secs(61);
    assert_eq!(other.deliver().await, 1);
    assert_eq!(scene.receiver.kinds(), ["webhook.test"]);
}

#[tokio::test]
async fn filters_say_what_is_wanted() {
    let scene = Scene::new().await;
    let hook = scene.hook(json!({"events": ["token.rotated"]})).await;
    let key = scene.make_key().await;
    let rotate = format!("/v1/token/{}/rotate", key.id);
    scene.owner.post(&rotate, json!({})).await.ok();
    scene.town.deliver().await;
    assert_eq!(scene.receiver.kinds(), ["token.rotated"]);

    hook.post("update", json!({"clear": ["events"]})).await;
    assert_eq!(hook.shown().await["events"], Value::Null);
    scene.make_key().await;
    scene.town.deliver().await;
    assert_eq!(scene.receiver.kinds(), ["token.created"]);
    for events in [
        json!([]),
        json!(["*"]),
        json!(["token.Created"]),
        json!("all"),
    ] {
        let body = json!({"url": scene.receiver.url, "events": events});
        let answer = scene.owner.post(CREATE, body).await;
        answer.refused(400, "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn what_was_refused_or_rolled_back_is_not_told() {
    let scene = Scene::new().await;
    scene.hook(json!({})).await;
    let till = scene
        .shop
        .key(json!({"allowedRoutes": ["token/**"], "manage": ["tokens"]}))
        .await;
    scene.town.deliver().await;
    scene.receiver.take();
    let answer = till
        .post("/v1/token/create", json!({"unrestricted": true}))
        .await;
    answer.refused(403, "ROUTE_NOT_COVERED");
    assert_eq!(scene.town.deliver().await, 0);
}

#[tokio::test]
async fn nothing_is_sent_for_a_disabled_or_deleted_webhook() {
    let scene = Scene::new().await;
    let hook = scene.hook(json!({})).await;
    hook.post("update", json!({"enabled": false})).await;
    scene.make_key().await;
    assert_eq!(scene.town.deliver().await, 0);
    hook.post("update", json!({"enabled": true})).await;
    assert_eq!(
        scene.town.deliver().await,
        0,
        "nothing was kept for it meanwhile"
    );
    scene.make_key().await;
    hook.post("delete", json!({})).await;
    assert_eq!(scene.town.deliver().await, 0);
    let path = format!("/v1/webhook/{}/fetch", hook.id);
    scene.owner.get(&path).await.refused(404, "NOT_FOUND");
    let list = scene.owner.get("/v1/webhook/list").await.ok();
    assert_eq!(list["items"], json!([]));
}

#[tokio::test]
async fn no_url_leads_inside() {
    let town = Town::new().await;
    let owner = town.account("shop").await.full_key().await;
    for url in [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f.0.0.1/",
        "https://[::ffff:169.254.169.254]/",
        "https://[64:ff9b::a00:1]/",
        "https://localhost/",
        "https://10.0.0.1/",
        "https://user:pass@example.com/",
        "file:///etc/passwd",
        "",
    ] {
        let answer = owner.post(CREATE, json!({"url": url})).await;
        let body = answer.refused(400, "INVALID_REQUEST");
        assert!(body["message"].as_str().unwrap().contains("url"), "{body}");
    }
    owner
        .post(CREATE, json!({}))
        .await
        .refused(400, "INVALID_REQUEST");
    // Stored before the settings became narrower, or by another hand: judged again when it is sent.
    let made = owner
        .post(CREATE, json!({"url": "https://example.com/"}))
        .await
        .ok();
    let inside = Receiver::new().await;
    for url in [
        inside.url.clone(),
        inside.url.replace("127.0.0.1", "localhost"),
    ] {
        town.sql(&format!("UPDATE webhook SET url = '{url}', retry_at = 0"))
            .await;
        let path = format!("/v1/webhook/{}/test", made["id"].as_str().unwrap());
        owner.post(&path, json!({})).await.ok();
        town.deliver().await;
    }
    let path = format!("/v1/webhook/{}/delivery/list", made["id"].as_str().unwrap());
    let log = owner.get(&path).await.ok();
    let log = log["items"].as_array().unwrap();
    assert_eq!(log.len(), 2);
    assert!(log.iter().all(|one| one["problem"] == "address"), "{log:?}");
    assert!(inside.take().is_empty());
}

#[tokio::test]
async fn keys_are_told_of_before_they_expire_and_when_nobody_uses_them() {
    const DAY: i64 = 86_400;

    let scene = Scene::new().await;
    scene
        .hook(json!({"events": ["token.expiring", "token.unused"]}))
        .await;
    let at = |days: i64| scene.town.now_ms() + days * DAY * 1000;
    let soon = json!({"unrestricted": true, "expiresAt": at(10)});
    let soon = scene.owner.make_key(soon).await;
    // Made to live for a day: that it runs out is no news.
    let brief = json!({"unrestricted": true, "expiresAt": at(1)});
    scene.owner.make_key(brief).await;
    scene.town.app().tell_notices().await.unwrap();
    assert_eq!(scene.town.deliver().await, 0);

    scene.town.advance_secs(4 * DAY);
    for _ in 0..2 {
        scene.town.app().tell_notices().await.unwrap();
    }
    scene.town.deliver().await;
    let told = scene.only().json();
    assert_eq!(told["type"], "token.expiring");
    assert_eq!(told["data"]["targetId"], soon.id);

    let idle = scene.make_key().await;
    scene.town.advance_secs(91 * DAY);
    scene.owner.get("/v1/token/self/fetch").await.ok();
    scene.town.write_batches().await;
    for _ in 0..2 {
        scene.town.app().tell_notices().await.unwrap();
    }
    scene.town.deliver().await;
    let told = scene.only().json();
    assert_eq!(told["type"], "token.unused");
    assert_eq!(told["data"]["targetId"], idle.id);
}

#[tokio::test]
async fn a_key_over_its_limit_is_told_of_once_an_hour() {
    let scene = Scene::new().await;
    scene.hook(json!({"events": ["limit.exceeded"]})).await;
    let limit = json!({"requests": 1, "perSeconds": 60});
    let key = scene
        .shop
        .key(json!({"allowedRoutes": ["**"], "rateLimit": limit}))
        .await;
    let exceed = async || {
        for _ in 0..4 {
            key.get("/v1/token/self/fetch").await;
        }
        scene.town.write_batches().await;
        scene.town.deliver().await;
    };
    exceed().await;
    exceed().await;
    let told = scene.only().json();
    assert_eq!(told["type"], "limit.exceeded");
    assert_eq!(told["data"]["targetId"], key.id);
    assert_eq!(told["data"]["details"]["rateLimit"], limit);

    scene.town.advance_secs(3601);
    exceed().await;
    assert_eq!(scene.receiver.kinds(), ["limit.exceeded"]);
}

#[tokio::test]
async fn who_acts_for_another_writes_no_webhooks() {
    let scene = Scene::new().await;
    let parent = scene.town.first_key().await;
    let body = json!({"url": scene.receiver.url});
    let acting = parent.acting_as(&scene.shop);
    let answer = acting.post(CREATE, body.clone()).await;
    answer.refused(403, "MANAGEMENT_NOT_ALLOWED");
    let path = format!("/v1/user/{}/token/create", scene.shop.id);
    let granted = parent.post(&path, json!({"unrestricted": true})).await;
    let granted = Key::of(&scene.town, &granted.ok());
    let answer = granted.post(CREATE, body.clone()).await;
    answer.refused(403, "MANAGEMENT_NOT_ALLOWED");
    let test = scene.shop.test_key().await;
    test.post(CREATE, body)
        .await
        .refused(403, "MANAGEMENT_NOT_ALLOWED");
}

#[tokio::test]
async fn a_test_key_sees_deliveries_of_its_environment_alone() {
    let scene = Scene::new().await;
    let hook = scene.hook(json!({})).await;
    let test = scene.shop.test_key().await;
    scene.make_key().await;
    let made = test.make_key(json!({"unrestricted": true})).await;

    let path = format!("/v1/webhook/{}/delivery/list", hook.id);
    let seen = test.get(&path).await.ok();

    let seen = seen["items"].as_array().unwrap();
    assert!(!seen.is_empty());
    assert!(seen.iter().all(|one| one["environment"] == "test"));
    assert!(
        seen.iter()
            .any(|one| one["payload"]["data"]["targetId"] == made.id)
    );
}

#[tokio::test]
async fn an_account_has_twenty_webhooks_and_a_repeated_creation_makes_one() {
    let scene = Scene::new().await;
    let body = json!({"url": "https://example.com/"});
    let first = scene.owner.idempotent("a").post(CREATE, body.clone()).await;
    let again = scene.owner.idempotent("a").post(CREATE, body.clone()).await;
    assert_eq!(first.ok(), again.ok());
    for _ in 1..20 {
        scene.owner.post(CREATE, body.clone()).await.ok();
    }
    let answer = scene.owner.post(CREATE, body.clone()).await;
    answer.refused(409, "CONFLICT");
    let rotate = format!("/v1/webhook/{}/rotate", first.ok()["id"].as_str().unwrap());
    let one = scene.owner.idempotent("b").post(&rotate, json!({})).await;
    let two = scene.owner.idempotent("b").post(&rotate, json!({})).await;
    assert_eq!(one.ok(), two.ok());
    let answer = scene
        .owner
        .post(&rotate, json!({"overlapInSeconds": -1}))
        .await;
    answer.refused(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn a_receiver_that_is_away_does_not_fill_the_disk() {
    let scene = Scene::new().await;
    let hook = scene.hook(json!({})).await;
    hook.test().await;
    // As if ten thousand had come meanwhile.
    let more = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
        INSERT INTO webhook_delivery (id, webhook_id, event_id, subject, ordinal, state, attempts,
            due_at, created_at)
        SELECT 'dlv_' || CAST(i AS TEXT), webhook_id, event_id, CAST(i AS TEXT), ordinal, state,
            attempts, due_at, created_at
        FROM n, webhook_delivery";
    assert_eq!(scene.town.sql(more).await, 9_999);

    scene.make_key().await;

    assert!(hook.shown().await["overflowedAt"].is_number());
    let count = "DELETE FROM webhook_delivery WHERE state = 'pending'";
    assert_eq!(scene.town.sql(count).await, 10_000);
}

#[tokio::test]
async fn what_waited_for_too_long_is_given_up_and_the_log_is_dropped_after_a_month() {
    let scene = Scene::new().await;
    let hook = scene.hook(json!({})).await;
    hook.test().await;
    scene.town.advance_secs(27 * 3600);
    scene.town.app().prune().await.unwrap();
    let log = hook.log().await;
    assert_eq!(log[0]["problem"], "expired");
    assert_eq!(log[0]["state"], "failed");

    scene.town.advance_secs(31 * 86_400);
    scene.town.app().prune().await.unwrap();
    assert!(hook.log().await.is_empty());
    assert!(scene.town.database().await["webhook_event"].is_empty());
}
