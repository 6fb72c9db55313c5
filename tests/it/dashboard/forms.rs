//! That a form is one of ours, and what forms do.

use serde_json::json;

use super::browser::{Browser, between, sent_to};
use crate::support::town::Town;

#[tokio::test]
async fn a_form_of_too_many_fields_is_refused_and_not_cut() {
    let town = Town::new().await;
    let key = town.operator_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let page = "/ui/accounts/new";
    let hidden = browser.hidden(page).await;
    let before = town.database().await;
    // The last field counts.
    let fields = |count: usize| -> Vec<(&str, &str)> {
        let hidden = hidden.iter().map(|(name, value)| (&**name, &**value));
        let many = std::iter::repeat_n(("more", "x"), count - hidden.len() - 1);
        hidden.chain(many).chain([("name", "shop")]).collect()
    };

    let refused = browser.send(page, &fields(201)).await;

    refused.status(400);
    assert!(
        refused.text().contains("More than 200 fields were sent"),
        "{refused}"
    );
    assert_eq!(town.database().await, before);
    browser.send(page, &fields(200)).await.status(303);
    let query = "x=1&".repeat(201);
    browser.get(&format!("/ui/keys?{query}")).await.status(400);
}

#[tokio::test]
async fn a_form_that_is_not_ours_does_nothing() {
    let town = Town::new().await;
    let key = town.operator_key().await;
    let target = town.operator().full_key().await;
    let child = town.account("child").await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let stranger = Browser::signed_in(&town, &target.token).await;
    let good = between(
        &browser.get("/ui/keys").await.text(),
        "_form\" value=\"",
        "\"",
    );
    let other = between(
        &stranger.get("/ui/keys").await.text(),
        "_form\" value=\"",
        "\"",
    );
    let kid = town.operator().cli().get("/v1/signing-key/list").await.ok()["items"][0]["kid"]
        .as_str()
        .unwrap()
        .to_owned();
    let hook = json!({"url": "https://example.com/hook", "events": ["token.reported"]});
    let hook = key.post("/v1/webhook/create", hook).await.ok();
    let webhook = hook["id"].as_str().unwrap().to_owned();
    let test = format!("/v1/webhook/{webhook}/test");
    let delivery = key.post(&test, json!({})).await.ok()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let before = town.database().await;

    for (method, path) in hallpass::http::pages() {
        if method != "POST" || path == "/ui/sign-in" {
            continue;
        }
        let id = if path.starts_with("/ui/accounts") {
            &child.id
        } else if path.starts_with("/ui/webhooks") {
            &webhook
        } else {
            &target.id
        };
        let path = path
            .replace("{id}", id)
            .replace("{kid}", &kid)
            .replace("{delivery}", &delivery);
        let fields = [
            ("name", "made"),
            ("routes", "bot/**"),
            ("overlap", "0"),
            ("environment", "live"),
            ("url", "https://example.com/other"),
        ];
        let with = |token: &'static str| {
            let mut fields = fields.to_vec();
            fields.push(("_form", token));
            fields
        };
        // No token, somebody else's, and a broken one.
        let other: &'static str = other.clone().leak();
        for fields in [fields.to_vec(), with(other), with("")] {
            browser.send(&path, &fields).await;
        }
        let good: &'static str = good.clone().leak();
        let fields = with(good);
        let caller = browser.caller();
        // No origin, another, none that can be read, and what the browser says of it.
        for caller in [
            caller.clone(),
            caller.origin("https://evil.example"),
            caller.origin("null"),
            caller.origin("http://hallpass.test"),
            caller.origin(Town::issuer()).origin(Town::issuer()),
            caller
                .origin(Town::issuer())
                .header("sec-fetch-site", "cross-site"),
            caller
                .origin(Town::issuer())
                .header("sec-fetch-site", "same-site"),
        ] {
            caller.post_form(&path, &fields).await.status(403);
        }
        // Nobody.
        Browser::new(&town).send(&path, &fields).await.status(200);
    }

    let mut after = town.database().await;
    // When they were seen last is noted, and no more.
    after.insert("dashboard_sign_in", before["dashboard_sign_in"].clone());
    assert_eq!(after, before);
    assert!(browser.is_in().await);
}

#[tokio::test]
async fn signing_in_is_not_done_for_another_site_either() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let caller = town.nobody().origin("https://evil.example");

    let answer = caller
        .post_form("/ui/sign-in", &[("key", &key.token)])
        .await;

    answer.status(403);
    assert_eq!(answer.header("set-cookie"), None);
}

#[tokio::test]
async fn a_key_is_made_once_however_often_the_form_is_sent() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let hidden = browser.hidden("/ui/keys/new").await;
    let mut fields: Vec<(&str, &str)> = hidden
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    fields.extend([
        ("name", "till"),
        ("routes", "bot/**\r\nGET file/*"),
        ("expires", "86400"),
        ("domains", "example.com"),
    ]);

    let first = browser.send("/ui/keys/new", &fields).await;
    town.advance_secs(60);
    let second = browser.send("/ui/keys/new", &fields).await;

    first.status(200);
    let secret = |text: &str| between(text, "readonly value=\"", "\"");
    let made = secret(&first.text());
    assert!(made.starts_with("sk_live_"), "{made}");
    assert_eq!(secret(&second.text()), made);
    let list = key.get("/v1/token/list").await.ok();
    let tills: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["name"] == "till")
        .collect();
    assert_eq!(tills.len(), 1);
    assert_eq!(
        tills[0]["config"]["allowedRoutes"],
        json!(["GET file/*", "bot/**"])
    );
    assert_eq!(tills[0]["config"]["domains"], json!(["example.com"]));
    assert_eq!(tills[0]["expiresAt"], town.now_ms() - 60_000 + 86_400_000);
}

#[tokio::test]
async fn what_is_made_never_exceeds_the_key_that_signed_in() {
    let town = Town::new().await;
    let config = json!({"allowedRoutes": ["token/**", "bot/**"], "manage": ["tokens"]});
    let key = town.operator().key(config).await;
    let browser = Browser::signed_in(&town, &key.token).await;

    let preview = browser
        .submit(
            "/ui/keys/new",
            "/ui/keys/preview",
            &[("routes", "bot/**\nfile/**")],
        )
        .await;
    preview.status(200);
    assert!(
        preview.text().contains("Your key may not make this one"),
        "{preview}"
    );
    assert!(preview.text().contains("file/"), "a counter-example");

    let refused = browser
        .submit(
            "/ui/keys/new",
            "/ui/keys/new",
            &[("routes", "bot/**\nfile/**")],
        )
        .await;
    refused.status(403);
    assert!(refused.text().contains("file/**"), "what was typed stays");
    assert!(!refused.text().contains("sk_live_nonsense"), "but no key");

    browser
        .submit("/ui/keys/new", "/ui/keys/new", &[("routes", "bot/b1/**")])
        .await
        .status(200);
}

#[tokio::test]
async fn a_request_is_tried_before_the_key_is_made() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let try_it = async |method: &str, path: &str| {
        let fields = [
            ("template", "bot-session-create"),
            ("fill.botId", "b1"),
            ("try-method", method),
            ("try-path", path),
        ];
        let answer = browser
            .submit("/ui/keys/new", "/ui/keys/preview", &fields)
            .await;
        answer.status(200);
        answer.text()
    };

    let allowed = try_it("POST", "/v1/bot/b1/session/create").await;
    assert!(allowed.contains("Allowed."), "{allowed}");
    assert!(allowed.contains("by the pattern <code>bot/b1/session/create</code>"));
    let refused = try_it("POST", "bot/b2/session/create").await;
    assert!(!refused.contains("Allowed."), "{refused}");
    let ambiguous = try_it("POST", "bot/../b1/session/create").await;
    assert!(!ambiguous.contains("Allowed."), "{ambiguous}");
    let count = key.get("/v1/token/list").await.ok()["items"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(count, 2, "nothing is made");
}

#[tokio::test]
async fn keys_are_rotated_disabled_enabled_and_revoked() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let target = town.operator().full_key().await;
    let session = target.session(json!({"allowedRoutes": ["**"]})).await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let page = format!("/ui/keys/{}", target.id);

    let rotated = browser
        .submit(
            &format!("{page}/rotate"),
            &format!("{page}/rotate"),
            &[("overlap", "3600")],
        )
        .await;
    rotated.status(200);
    let new = between(&rotated.text(), "readonly value=\"", "\"");
    town.bearer(&new).get("/v1/token/self/fetch").await.ok();
    target.get("/v1/token/self/fetch").await.ok();
    town.write_batches().await;
    let shown = browser.get(&page).await.text();
    assert_eq!(
        shown.matches("192.0.2.1").count(),
        3,
        "of the key and of each secret"
    );

    let done = browser
        .submit(&page, &format!("{page}/end-sessions"), &[])
        .await;
    assert_eq!(sent_to(&done), format!("{page}?done=ended"));
    session
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_TOKEN");
    target.get("/v1/token/self/fetch").await.ok();

    browser
        .submit(&page, &format!("{page}/disable"), &[])
        .await
        .status(303);
    target
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_API_KEY");
    browser
        .submit(&page, &format!("{page}/enable"), &[])
        .await
        .status(303);
    target.get("/v1/token/self/fetch").await.ok();

    let done = browser.submit(&page, &format!("{page}/revoke"), &[]).await;
    assert_eq!(
        sent_to(&done),
        format!("/ui/keys?done=revoked&gone={}", target.id)
    );
    target
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_API_KEY");
    // It is deleted while its page is open.
    browser.get(&page).await.status(404);
    browser
        .submit("/ui/keys", &format!("{page}/disable"), &[])
        .await
        .status(404);
}

#[tokio::test]
async fn sessions_are_minted_looked_into_and_revoked() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;

    let refused = browser
        .submit("/ui/sessions/mint", "/ui/sessions/mint", &[])
        .await;
    refused.status(400);
    let minted = browser
        .submit(
            "/ui/sessions/mint",
            "/ui/sessions/mint",
            &[("on", "bot/b1"), ("seconds", "60")],
        )
        .await;
    minted.status(200);
    let token = between(&minted.text(), "readonly value=\"", "\"");
    let look = async |token: &str| {
        let page = "/ui/sessions/inspect";
        let answer = browser.submit(page, page, &[("token", token)]).await;
        answer.status(200);
        answer.text()
    };

    assert!(look(&token).await.contains("This token is good."));
    let forged = format!("{}x", &token[..token.len() - 1]);
    let forged = look(&forged).await;
    assert!(forged.contains("This token is not good."), "{forged}");
    assert!(look("nonsense").await.contains("it is no JSON Web Token"));
    let stranger = town.account("stranger").await.full_key().await;
    let theirs = Browser::signed_in(&town, &stranger.token).await;
    let page = "/ui/sessions/inspect";
    let seen = theirs.submit(page, page, &[("token", &token)]).await.text();
    assert!(
        !seen.contains("This token is good."),
        "it is not theirs to ask about"
    );

    let id = crate::support::town::claims(&token)["jti"]
        .as_str()
        .unwrap()
        .to_owned();
    let page = format!("/ui/sessions/{id}");
    browser.get(&page).await.status(200);
    browser
        .submit(&page, &format!("{page}/revoke"), &[])
        .await
        .status(303);
    assert!(look(&token).await.contains("genuine, and not good"));
    town.advance_secs(61);
    let expired = look(&token).await;
    assert!(expired.contains("It is not so"), "{expired}");
}

#[tokio::test]
async fn accounts_are_made_suspended_resumed_and_deleted() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let page = "/ui/accounts/new";

    let made = browser
        .submit(
            page,
            page,
            &[("name", "shop"), ("email", "shop@example.com")],
        )
        .await;
    let to = sent_to(&made);
    let page = to.split('?').next().unwrap().to_owned();
    let shop = page.trim_start_matches("/ui/accounts/");
    let child = town
        .cli_for(shop)
        .post("/v1/token/create", json!({"unrestricted": true}))
        .await
        .ok();
    let child = town.bearer(child["token"].as_str().unwrap());

    browser
        .submit(&page, &format!("{page}/end-sessions"), &[])
        .await
        .status(303);
    child.get("/v1/token/self/fetch").await.ok();
    browser
        .submit(&page, &format!("{page}/suspend"), &[])
        .await
        .status(303);
    child
        .get("/v1/token/self/fetch")
        .await
        .refused(401, "INVALID_API_KEY");
    browser
        .submit(&page, &format!("{page}/resume"), &[])
        .await
        .status(303);
    child.get("/v1/token/self/fetch").await.ok();
    browser
        .submit(&page, &format!("{page}/delete"), &[])
        .await
        .status(303);
    browser.get(&page).await.status(404);

    let again = "/ui/accounts/new";
    let refused = browser
        .submit(again, again, &[("email", "not an address")])
        .await;
    refused.status(400);
    assert!(
        refused.text().contains("value=\"not an address\""),
        "it stays"
    );
}

#[tokio::test]
async fn signing_keys_are_for_operators() {
    let town = Town::new().await;
    let operator = Browser::signed_in(&town, &town.operator_key().await.token).await;
    let other = Browser::signed_in(&town, &town.operator().full_key().await.token).await;

    other.get("/ui/signing-keys").await.status(403);
    let page = operator.get("/ui/signing-keys").await;
    page.status(200);
    assert!(page.text().contains("The next key takes over"), "{page}");
    town.advance_secs(86_400 - 1);
    let operator = Browser::signed_in(&town, &town.operator_key().await.token).await;
    let done = operator
        .submit(
            "/ui/signing-keys",
            "/ui/signing-keys/rotate",
            &[("environment", "live")],
        )
        .await;
    assert_eq!(sent_to(&done), "/ui/signing-keys?done=rotated");
    operator
        .get("/ui/signing-keys/kid/revoke")
        .await
        .status(404);
    operator
        .submit("/ui/signing-keys", "/ui/signing-keys/kid/revoke", &[])
        .await
        .status(404);

    // The key that signs now has no successor that is known yet.
    let list = town.operator().cli().get("/v1/signing-key/list").await.ok();
    let items = list["items"].as_array().unwrap();
    let find = |state: &str, env: &str| {
        let found = items
            .iter()
            .find(|key| key["state"] == state && key["environment"] == env);
        found.unwrap()["kid"].as_str().unwrap().to_owned()
    };
    for (state, environment, warned) in [
        ("active", "live", true),
        ("next", "live", false),
        ("active", "test", false),
    ] {
        let path = format!("/ui/signing-keys/{}/revoke", find(state, environment));
        let page = operator.get(&path).await;
        page.status(200);
        let warning = "no live session is minted";
        assert_eq!(page.text().contains(warning), warned, "{page}");
    }
}

#[tokio::test]
async fn a_session_is_minted_with_the_key_that_was_just_made() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let fields = [
        ("name", "widget"),
        ("template", "bot-session-create"),
        ("fill.botId", "b1"),
    ];

    let made = browser
        .submit("/ui/keys/new", "/ui/keys/new", &fields)
        .await;
    made.status(200);
    let secret = between(&made.text(), "name=\"key\" value=\"", "\"");
    let on = between(&made.text(), "name=\"on\" value=\"", "\"");
    assert_eq!(on, "bot/b1");
    let fields = [("key", secret.as_str()), ("on", on.as_str())];
    let mint = "/ui/sessions/mint";
    let form = browser
        .submit("/ui/keys", "/ui/sessions/mint/with", &fields)
        .await;
    form.status(200);
    assert!(
        form.text().contains(&format!("value=\"{secret}\"")),
        "{form}"
    );
    let minted = browser.submit(mint, mint, &fields).await;

    minted.status(200);
    let token = between(&minted.text(), "readonly value=\"", "\"");
    let claims = crate::support::town::claims(&token);
    let list = key.get("/v1/token/list").await.ok();
    let widget = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["name"] == "widget")
        .unwrap();
    assert_eq!(
        claims["client_id"], widget["id"],
        "and not with the sign-in"
    );
    let routes = claims["allowedRoutes"].to_string();
    assert!(routes.contains("conversation/"), "{routes}");

    // It may do what that key may, and nothing of what the sign-in may.
    let fields = [("key", secret.as_str()), ("routes", "file/**")];
    browser.submit(mint, mint, &fields).await.status(403);
    let fields = [("key", "sk_live_nonsense"), ("routes", "file/**")];
    let refused = browser.submit(mint, mint, &fields).await;
    refused.status(401);
    assert!(refused.text().contains("file/**"), "what was typed stays");
    assert!(!refused.text().contains("sk_live_nonsense"), "but no key");
    assert!(browser.is_in().await);
    let fields = [("key", "no\r\nheader: x"), ("routes", "file/**")];
    browser.submit(mint, mint, &fields).await.status(400);
}

#[tokio::test]
async fn who_acts_as_a_child_mints_with_another_key_for_nobody_but_its_account() {
    let town = Town::new().await;
    let parent = town.account("parent").await;
    let child = parent.child("child").await;
    let key = parent.full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let page = format!("/ui/accounts/{}", child.id);
    browser
        .submit(&page, &format!("{page}/act"), &[])
        .await
        .status(303);
    let other = town.account("other").await.full_key().await;
    let fields = [("key", other.token.as_str()), ("routes", "bot/**")];

    let minted = browser
        .submit("/ui/sessions/mint", "/ui/sessions/mint", &fields)
        .await;

    minted.status(200);
    let claims = crate::support::town::claims(&between(&minted.text(), "readonly value=\"", "\""));
    assert_eq!(claims["client_id"], json!(other.id));
    assert_eq!(claims.get("act"), None);
}

#[tokio::test]
async fn a_whole_url_is_tried_as_its_path() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    for (typed, allowed) in [
        ("https://api.example.com/v1/bot/b1/fetch", true),
        ("http://localhost:8080/v1/file/f1/fetch", false),
        ("ftp://example.com/bot/b1/fetch", false),
        ("https://example.com", false),
    ] {
        let fields = [("routes", "bot/**"), ("try-path", typed)];
        let page = browser
            .submit("/ui/keys/new", "/ui/keys/preview", &fields)
            .await;
        page.status(200);
        assert_eq!(page.text().contains("Allowed."), allowed, "{typed}");
    }
}

#[tokio::test]
async fn a_key_that_is_gone_is_found_in_the_ledger() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let target = key
        .make_key(json!({"name": "till", "unrestricted": true}))
        .await;
    let browser = Browser::signed_in(&town, &key.token).await;
    assert!(browser.get("/ui/ledger").await.text().contains(">till</a>"));
    let page = format!("/ui/keys/{}", target.id);

    let done = browser.submit(&page, &format!("{page}/revoke"), &[]).await;

    let link = format!("href=\"/ui/ledger?q={}\"", target.id);
    let after = browser.get(&sent_to(&done)).await;
    assert!(after.text().contains(&link), "{after}");
    let gone = browser.get(&page).await;
    gone.status(404);
    assert!(gone.text().contains(&link), "{gone}");
    let entries = browser.get(&format!("/ui/ledger?q={}", target.id)).await;
    for action in ["token.create", "token.delete"] {
        assert!(
            entries.text().contains(&format!(">{action}</span>")),
            "{entries}"
        );
    }
    // Nobody makes us link to what is no key.
    for path in [
        "/ui/keys?done=revoked&gone=%22%3E%3Cscript%3E",
        "/ui/keys?done=revoked&gone=../x",
    ] {
        let page = browser.get(path).await;
        page.status(200);
        assert!(!page.text().contains("/ui/ledger?q="), "{path}");
    }
}
