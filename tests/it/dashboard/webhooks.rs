//! Webhooks in the dashboard.

use serde_json::json;

use super::browser::{Browser, between, sent_to};
use crate::support::receiver::{Behaviour, Receiver};
use crate::support::town::Town;

const SETTINGS: &str = "[webhooks]
allow_http = true
allow_networks = [\"127.0.0.0/8\"]
timeout_secs = 1
";
const NEW: &str = "/ui/webhooks/new";

#[tokio::test]
async fn a_webhook_is_made_tried_changed_and_removed() {
    let town = Town::with_settings(SETTINGS).await;
    let key = town.operator().full_key().await;
    let receiver = Receiver::new().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    assert!(
        browser
            .get("/ui/keys")
            .await
            .text()
            .contains("href=\"/ui/webhooks\"")
    );

    let fields = [
        ("url", receiver.url.as_str()),
        ("description", "to <b>ops</b>"),
        ("events", "token.reported"),
        ("events", "token.revoked"),
    ];
    let made = browser.submit(NEW, NEW, &fields).await;
    made.status(200);
    let secret = between(&made.text(), "readonly value=\"", "\"");
    let page = between(&made.text(), "primary\" href=\"", "\"");
    let shown = browser.get(&page).await;
    shown.status(200);
    assert!(!shown.text().contains(&secret), "shown once");
    assert!(
        shown.text().contains("to &lt;b&gt;ops&lt;/b&gt;"),
        "{shown}"
    );
    assert!(shown.text().contains("token.reported"), "{shown}");

    // A test event that fails, then one that is sent again.
    receiver.behave(Behaviour::Answer(500));
    let sent = browser.submit(&page, &format!("{page}/test"), &[]).await;
    assert_eq!(sent_to(&sent), format!("{page}?done=webhook-sent"));
    town.deliver().await;
    let log = browser.get(&page).await.text();
    assert!(
        log.contains(">pending</span>") && log.contains(">failing</span>"),
        "{log}"
    );
    assert!(log.contains(">500 "), "{log}");
    assert!(!log.contains("/replay/"), "it will be: {log}");
    receiver.behave(Behaviour::Answer(200));
    receiver.take();
    town.advance_secs(60);
    town.deliver().await;
    let got = receiver.take();
    assert_eq!(got.len(), 1);
    got[0].verify(&secret, town.now_ms()).unwrap();
    let log = browser.get(&page).await.text();
    assert!(
        log.contains(">delivered</span>") && log.contains(">active</span>"),
        "{log}"
    );
    let again = between(&log, &format!("action=\"{page}/replay/"), "\"");
    browser
        .submit(&page, &format!("{page}/replay/{again}"), &[])
        .await
        .status(303);
    town.deliver().await;
    assert_eq!(receiver.take()[0].json(), got[0].json());
    let log = browser.get(&format!("{page}?state=delivered")).await.text();
    assert!(log.contains("sent again"), "{log}");
}

#[tokio::test]
async fn a_webhook_is_rotated_changed_disabled_and_removed() {
    let town = Town::with_settings(SETTINGS).await;
    let key = town.operator().full_key().await;
    let receiver = Receiver::new().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let fields = [
        ("url", receiver.url.as_str()),
        ("description", "ops"),
        ("events", "token.reported"),
        ("events", "token.revoked"),
    ];
    let made = browser.submit(NEW, NEW, &fields).await;
    let secret = between(&made.text(), "readonly value=\"", "\"");
    let page = between(&made.text(), "primary\" href=\"", "\"");

    // Both secrets for an hour.
    let path = format!("{page}/rotate");
    let rotated = browser.submit(&path, &path, &[("overlap", "3600")]).await;
    rotated.status(200);
    let new = between(&rotated.text(), "readonly value=\"", "\"");
    assert_ne!(new, secret);

    let path = format!("{page}/edit");
    let form = browser.get(&path).await.text();
    assert_eq!(form.matches(" checked").count(), 2, "{form}");
    let refused = browser
        .submit(&path, &path, &[("url", "https://10.0.0.1/")])
        .await;
    refused.status(400);
    assert!(refused.text().contains("URL: a public host"), "{refused}");
    assert!(
        refused.text().contains("value=\"https://10.0.0.1/\""),
        "{refused}"
    );
    let changed = browser
        .submit(&path, &path, &[("url", &receiver.url)])
        .await;
    assert_eq!(sent_to(&changed), format!("{page}?done=webhook-changed"));
    let id = page.rsplit_once('/').unwrap().1;
    let api = key.get(&format!("/v1/webhook/{id}/fetch")).await.ok();
    assert_eq!(api.get("events"), None, "all of them");
    assert_eq!(api.get("description"), None);

    browser
        .submit(&page, &format!("{page}/disable"), &[])
        .await
        .status(303);
    // Pages that were open are out of date, and say so.
    browser
        .submit(&page, &format!("{page}/test"), &[])
        .await
        .status(409);
    browser
        .submit(&page, &format!("{page}/enable"), &[])
        .await
        .status(303);
    let confirm = format!("{page}/delete");
    browser.get(&confirm).await.status(200);
    let gone = browser.submit(&confirm, &confirm, &[]).await;
    assert_eq!(sent_to(&gone), "/ui/webhooks?done=webhook-deleted");
    for path in [
        page.clone(),
        format!("{page}/edit"),
        format!("{page}/rotate"),
    ] {
        browser.get(&path).await.status(404);
    }
    browser
        .submit("/ui/webhooks", &format!("{page}/test"), &[])
        .await
        .status(404);
}

#[tokio::test]
async fn what_was_typed_about_a_webhook_is_not_lost() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let long = "x".repeat(10_000);
    for url in [
        "http://example.com/",
        "https://localhost/",
        "nonsense",
        &long,
    ] {
        let fields = [("url", url), ("events", "token.reported")];
        let refused = browser.submit(NEW, NEW, &fields).await;
        refused.status(400);
        let text = refused.text();
        assert!(text.contains(&format!("value=\"{url}\"")), "{url}");
        assert!(text.contains("value=\"token.reported\" checked"), "{url}");
    }
    let list = key.get("/v1/webhook/list").await.ok();
    assert_eq!(list["items"], json!([]));
}

#[tokio::test]
async fn who_may_not_manage_webhooks_sees_none() {
    let town = Town::new().await;
    let parent = town.account("parent").await;
    let child = parent.child("child").await;
    let key = parent.full_key().await;
    let own = json!({"url": "https://example.com/of-the-parent"});
    let made = key.post("/v1/webhook/create", own).await.ok();
    let page = format!("/ui/webhooks/{}", made["id"].as_str().unwrap());

    let config = json!({"allowedRoutes": ["**"], "manage": ["tokens"]});
    let narrow = Browser::signed_in(&town, &parent.key(config).await.token).await;
    for path in ["/ui/webhooks", &page] {
        narrow.get(path).await.status(403);
    }
    let stranger = town.account("stranger").await.full_key().await;
    let stranger = Browser::signed_in(&town, &stranger.token).await;
    stranger.get(&page).await.status(404);
    // Acting as a child: its webhooks, which are none, and no way to make one.
    let acting = Browser::signed_in(&town, &key.token).await;
    let account = format!("/ui/accounts/{}", child.id);
    acting
        .submit(&account, &format!("{account}/act"), &[])
        .await
        .status(303);
    let list = acting.get("/ui/webhooks").await;
    assert!(!list.text().contains("of-the-parent"), "{list}");
    assert!(!list.text().contains(NEW), "{list}");
    acting.get(&page).await.status(404);
    let fields = [("url", "https://example.com/")];
    acting
        .submit("/ui/webhooks", NEW, &fields)
        .await
        .status(403);
}
