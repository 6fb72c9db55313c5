//! The pages themselves.

use std::collections::BTreeMap;

use serde_json::json;

use super::browser::{Browser, between};
use crate::support::town::Town;

#[tokio::test]
async fn without_a_sign_in_every_page_asks_for_a_key_and_shows_nothing() {
    let town = Town::new().await;
    let key = town.operator_key().await;
    for (method, path) in hallpass::http::pages() {
        if method != "GET" || path.contains("{file}") {
            continue;
        }
        let path = path
            .replace("{id}", &key.id)
            .replace("{act}", "revoke")
            .replace("{kid}", "kid");
        let page = town.nobody().get(&path).await;
        page.status(200);
        let text = page.text();
        assert!(text.contains("action=\"/ui/sign-in\""), "{page}");
        assert!(!text.contains("sk_live_…k"), "{page}");
        assert!(!text.contains("Sign out"), "{page}");
    }
}

#[tokio::test]
async fn pages_are_no_part_of_the_api() {
    let mut seen = std::collections::BTreeSet::new();
    for (method, path) in hallpass::http::pages() {
        assert!(path == "/" || path.starts_with("/ui/"), "{path}");
        assert!(["GET", "POST"].contains(&method));
        assert!(seen.insert((method, path)), "{method} {path} twice");
    }
    for operation in Town::contract().operations() {
        assert!(!operation.path.starts_with("/ui/") && operation.path != "/");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_page_too() {
    let town = Town::new().await;
    let nobody = town.nobody();
    nobody.get("/ui/nothing").await.status(404);
    nobody.get("/ui/").await.status(404);
    nobody
        .get("/ui/assets/style-0000000000000000.css")
        .await
        .status(404);
    let wrong = nobody.send("POST", "/ui/usage", Vec::new()).await;
    wrong.status(405);
    assert_eq!(wrong.header("allow"), Some("GET"));
    nobody.get("/ui").await.status(404);
}

#[tokio::test]
async fn assets_are_kept_for_ever_under_names_of_their_content() {
    let town = Town::new().await;
    let page = town.nobody().get("/").await.text();
    for (begin, media_type) in [
        ("rel=\"stylesheet\" href=\"", "text/css; charset=utf-8"),
        ("script src=\"", "text/javascript; charset=utf-8"),
        ("type=\"image/svg+xml\" href=\"", "image/svg+xml"),
    ] {
        let path = between(&page, begin, "\"");
        let asset = town.nobody().get(&path).await;
        asset.status(200);
        assert_eq!(asset.header("content-type"), Some(media_type));
        assert_eq!(
            asset.header("cache-control"),
            Some("public, max-age=31536000, immutable")
        );
        let text = asset.text();
        assert!(
            !text.contains("url(") && !text.contains("@import"),
            "nothing from elsewhere"
        );
    }
}

#[tokio::test]
async fn hostile_names_are_text_everywhere() {
    let town = Town::new().await;
    let key = town.operator_key().await;
    let hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u{202e}🦀&amp;";
    let account = town
        .operator()
        .child_with(json!({"name": hostile, "externalId": "\"><svg onload=alert(3)>"}))
        .await;
    let named = key
        .make_key(json!({"name": hostile, "description": hostile, "unrestricted": true}))
        .await;
    let session = named
        .session(json!({"allowedRoutes": ["**"], "data": {"note": hostile}}))
        .await;
    let agent = named
        .caller()
        .header("user-agent", "<script>alert(4)</script>");
    agent.get("/v1/token/self/fetch").await.ok();
    town.write_batches().await;
    let browser = Browser::signed_in(&town, &named.token).await;

    for path in [
        "/ui/keys".to_owned(),
        format!("/ui/keys/{}", named.id),
        format!("/ui/keys/{}/revoke", named.id),
        "/ui/accounts".to_owned(),
        format!("/ui/accounts/{}", account.id),
        format!("/ui/sessions/{}", session.id),
        "/ui/ledger".to_owned(),
        "/ui/keys?q=%3Cscript%3Ealert(5)%3C/script%3E".to_owned(),
        "/ui/sessions?q=%22%3E%3Cscript%3E&tokenId=".to_owned(),
        "/ui/keys/new?template=%3Cscript%3E".to_owned(),
        "/?done=%3Cscript%3E".to_owned(),
    ] {
        let page = browser.get(&path).await;
        let text = page.text();
        for part in ["<script>", "<img", "<svg onload", "\"'>"] {
            assert!(!text.contains(part), "{part} in {page}");
        }
        assert_isolated(&text);
    }
    let parents = Browser::signed_in(&town, &key.token).await;
    let path = format!("/ui/accounts/{}", account.id);
    parents
        .submit(&path, &format!("{path}/act"), &[])
        .await
        .status(303);
    let banner = parents.get("/ui/sessions").await.text();
    assert!(banner.contains("Acting as"), "{banner}");
    assert_isolated(&banner);
    let page = browser.get("/ui/accounts").await.text();
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"),
        "{page}"
    );
}

/// A mark that turns the direction of text turns nothing but the name that it is in.
#[track_caller]
fn assert_isolated(page: &str) {
    for (at, _) in page.match_indices('\u{202e}') {
        let before = &page[..at];
        let tag = &before[before.rfind('<').unwrap()..];
        // In an attribute it turns nothing.
        let Some((tag, _)) = tag.split_once('>') else {
            continue;
        };
        let alone = tag.contains("dir=\"auto\"") || ["<bdi", "<title"].contains(&tag);
        assert!(alone, "{tag} in {page}");
    }
}

#[tokio::test]
async fn what_will_hurt_is_told_in_time() {
    const DAY: i64 = 86_400;

    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let end = town.now_ms() + 95 * DAY * 1000;
    for (name, more) in [
        ("idle", json!({})),
        ("soon", json!({"expiresAt": end})),
        ("later", json!({"expiresAt": end + 30 * DAY * 1000})),
    ] {
        let mut body = json!({"name": name, "unrestricted": true});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let made = key.make_key(body).await;
        if name != "idle" {
            town.advance_secs(46 * DAY);
            made.get("/v1/token/self/fetch").await.ok();
            town.write_batches().await;
        }
    }
    let browser = Browser::signed_in(&town, &key.token).await;

    let page = browser.get("/ui/keys").await.text();

    assert!(
        page.contains("1 of these keys expire within 7 days"),
        "{page}"
    );
    assert!(page.contains(">expires <time"), "{page}");
    for (state, name) in [("expiring", "soon"), ("unused", "idle")] {
        let page = browser.get(&format!("/ui/keys?state={state}")).await.text();
        for other in ["soon", "idle", "later"] {
            assert_eq!(
                page.contains(&format!(">{other}</a>")),
                other == name,
                "{page}"
            );
        }
    }
}

/// The dashboard reads keys by the API, and the doctor asks the database; both mean the same.
#[tokio::test]
async fn the_dashboard_and_the_doctor_agree_on_what_is_unused() {
    const DAY: i64 = 86_400;

    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let mut keys = BTreeMap::new();
    for name in ["idle", "rotated", "used", "used_before", "disabled", "over"] {
        let mut body = json!({"name": name, "unrestricted": true});
        if name == "over" {
            body["expiresAt"] = json!(town.now_ms() + 40 * DAY * 1000);
        }
        keys.insert(name, key.make_key(body).await);
    }
    let rotate = async |name: &str| {
        let path = format!("/v1/token/{}/rotate", keys[name].id);
        let overlap = json!({"overlapInSeconds": 10 * DAY});
        key.post(&path, overlap).await.ok();
    };
    keys["used_before"].get("/v1/token/self/fetch").await.ok();
    let path = format!("/v1/token/{}/update", keys["disabled"].id);
    key.post(&path, json!({"enabled": false})).await.ok();
    town.advance_secs(50 * DAY);
    rotate("rotated").await;
    keys["used"].get("/v1/token/self/fetch").await.ok();
    town.advance_secs(1);
    let edge = json!({"name": "edge", "unrestricted": true});
    keys.insert("edge", key.make_key(edge).await);
    town.write_batches().await;

    let first = ["idle", "used_before"].as_slice();
    let second = ["idle", "rotated", "used", "used_before"].as_slice();
    let all = ["edge", "idle", "rotated", "used", "used_before"].as_slice();
    for (later, unused) in [
        (40 * DAY - 1, [].as_slice()),
        (1, first),
        (50 * DAY - 1, first),
        (1, second),
        (1, all),
    ] {
        town.advance_secs(later);
        key.get("/v1/token/self/fetch").await.ok();
        town.write_batches().await;
        let browser = Browser::signed_in(&town, &key.token).await;
        let page = browser.get("/ui/keys?state=unused").await.text();
        let doctor = town.app().examine().await.unwrap().unused;
        for (name, made) in &keys {
            let expected = unused.contains(name);
            assert_eq!(
                page.contains(&format!(">{name}</a>")),
                expected,
                "{name}, {unused:?}"
            );
            assert_eq!(doctor.contains(&made.id), expected, "{name}, {unused:?}");
        }
    }
}

#[tokio::test]
async fn what_is_gone_in_an_open_page_is_an_answer() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let account = town.operator().child("shop").await;
    let session = key.session(json!({"allowedRoutes": ["**"]})).await;
    let page = format!("/ui/accounts/{}", account.id);
    browser
        .submit(&page, &format!("{page}/delete"), &[])
        .await
        .status(303);
    for act in ["suspend", "resume", "end-sessions", "act", "delete"] {
        let answer = browser
            .submit("/ui/accounts", &format!("{page}/{act}"), &[])
            .await;
        let status = answer.status.as_u16();
        assert!([403, 404, 409].contains(&status), "{act}: {answer}");
    }
    let page = format!("/ui/sessions/{}", session.id);
    for _ in 0..2 {
        browser
            .submit(&page, &format!("{page}/revoke"), &[])
            .await
            .status(303);
    }
    for path in [
        "/ui/sessions/ses_nothing/revoke",
        "/ui/signing-keys/nothing/revoke",
    ] {
        let answer = browser.submit("/ui/keys", path, &[]).await;
        let status = answer.status.as_u16();
        assert!([403, 404].contains(&status), "{path}: {answer}");
    }
}

#[tokio::test]
async fn bad_input_is_an_answer_and_stays_in_the_form() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let long = "x".repeat(10_000);

    for name in [long.as_str(), "a\u{7}b"] {
        let fields = [("name", name), ("routes", "bot/**")];
        let refused = browser
            .submit("/ui/keys/new", "/ui/keys/new", &fields)
            .await;
        refused.status(400);
        assert!(refused.text().contains(&format!("value=\"{name}\"")));
        let page = "/ui/accounts/new";
        let refused = browser.submit(page, page, &[("name", name)]).await;
        refused.status(400);
        assert!(refused.text().contains(&format!("value=\"{name}\"")));
    }
    for routes in ["bot/[ab]", "bot//x", "bot/{a,b}", "!bot/**"] {
        let page = "/ui/keys/new";
        let refused = browser.submit(page, page, &[("routes", routes)]).await;
        refused.status(400);
        assert!(refused.text().contains(routes), "{refused}");
    }
    // Filters are texts that are searched, and no patterns.
    for query in ["q=' OR 1=1 --", "q=%25", "q=*", "q=%25_", "q=%00"] {
        let page = browser
            .get(&format!("/ui/keys?{}", query.replace(' ', "+")))
            .await;
        page.status(200);
        assert!(page.text().contains("No key is like that."), "{query}");
    }
    for query in [
        "'+OR+1=1+--",
        "%25",
        "*",
        "_",
        "%00",
        "%F0%9F%A6%80",
        "%E2%80%AE",
        "'",
    ] {
        for (list, fields) in [
            ("/ui/sessions", ["q", "tokenId"].as_slice()),
            ("/ui/accounts", &["q"]),
            ("/ui/ledger", &["userId"]),
        ] {
            for field in fields {
                let page = browser.get(&format!("{list}?{field}={query}")).await;
                let status = page.status.as_u16();
                assert!([200, 400, 404].contains(&status), "{page}");
                let text = page.text();
                assert!(
                    !text.contains("<tbody><tr>"),
                    "{list} {field} {query}: {text}"
                );
            }
        }
        let page = browser.get(&format!("/ui/ledger?q=no{query}")).await;
        page.status(200);
    }
    for path in [
        "/ui/keys?environment=prod",
        "/ui/ledger?action=nothing",
        "/ui/sessions?state=dead",
        "/ui/keys?cursor=x",
    ] {
        browser.get(path).await.status(400);
    }
    // What is above the limit of a body is refused before anything reads it.
    let too_long = "x".repeat(70_000);
    let answer = browser
        .send("/ui/accounts/new", &[("name", &too_long)])
        .await;
    answer.status(413);
}

#[tokio::test]
async fn a_narrow_key_is_offered_what_it_may() {
    let town = Town::new().await;
    let config = json!({"allowedRoutes": ["session/create", "bot/**"]});
    let key = town.operator().key(config).await;
    let browser = Browser::signed_in(&town, &key.token).await;

    let home = browser.get("/").await;
    home.status(200);
    assert!(home.text().contains("none of what is shown here"), "{home}");
    for path in [
        "/ui/keys",
        "/ui/sessions",
        "/ui/accounts",
        "/ui/ledger",
        "/ui/usage",
        "/ui/signing-keys",
    ] {
        browser.get(path).await.status(403);
        assert!(!home.text().contains(&format!("href=\"{path}\"")));
    }
    // Restrictions by address hold, too.
    let config =
        json!({"allowedRoutes": ["**"], "cidrs": ["198.51.100.0/24"], "manage": ["tokens"]});
    let key = town.operator().key(config).await;
    let mut outside = Browser::new(&town);
    outside.sign_in(&key.token).await.status(403);
    let mut inside = Browser::new(&town).from("198.51.100.7");
    inside.sign_in(&key.token).await.status(303);
    inside.get("/ui/keys").await.status(200);
    inside.from("192.0.2.1").get("/ui/keys").await.status(403);
}

#[tokio::test]
async fn lists_go_on_where_a_page_ends() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    for number in 0..120 {
        let name = format!("n-{number:03}");
        let body = json!({"name": name, "config": {"allowedRoutes": ["bot/**"]}});
        key.post("/v1/token/create", body).await.ok();
        town.advance_ms(1);
    }
    let browser = Browser::signed_in(&town, &key.token).await;

    let mut path = "/ui/keys?q=n-".to_owned();
    let mut names = Vec::new();
    loop {
        let text = browser.get(&path).await.text();
        for part in text.split(">n-").skip(1) {
            names.push(part[..3].to_owned());
        }
        let Some((before, _)) = text.split_once("\">Older") else {
            break;
        };
        let (_, href) = before.rsplit_once("href=\"").unwrap();
        path = href.replace("&amp;", "&");
    }
    let expected: Vec<String> = (0..120)
        .rev()
        .map(|number| format!("{number:03}"))
        .collect();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn the_ledger_is_exported_as_the_api_streams_it() {
    let town = Town::new().await;
    let key = town.operator().full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;

    let export = browser.get("/ui/ledger/export?action=token.create").await;

    export.status(200);
    assert_eq!(export.header("content-type"), Some("application/jsonl"));
    assert_eq!(
        export.header("content-disposition"),
        Some("attachment; filename=\"ledger.jsonl\"")
    );
    let by_api = key
        .caller()
        .header("accept", "application/jsonl")
        .get("/v1/audit/list?action=token.create")
        .await;
    assert_eq!(export.lines(), by_api.lines());
}

#[tokio::test]
async fn usage_counts_what_the_ledger_has() {
    let town = Town::new().await;
    let parent = town.account("parent").await;
    let child = parent.child("child").await;
    let key = parent.full_key().await;
    let childs = child.full_key().await;
    let test = parent.test_key().await;
    for _ in 0..3 {
        key.session(json!({"allowedRoutes": ["**"]})).await;
    }
    childs.session(json!({"allowedRoutes": ["**"]})).await;
    test.session(json!({"allowedRoutes": ["**"]})).await;
    town.advance_secs(7200);
    key.session(json!({"allowedRoutes": ["**"]})).await;
    let narrow = parent.key(json!({"allowedRoutes": ["bot/**"]})).await;
    narrow
        .get("/v1/token/list")
        .await
        .refused(403, "ROUTE_NOT_ALLOWED");
    town.write_batches().await;

    let numbers = async |caller: &crate::support::town::Caller, path: &str, name: &str| {
        let usage = caller.get(path).await.ok();
        let steps = usage["steps"].as_array().unwrap().clone();
        assert_eq!(steps.len(), 48);
        let numbers: Vec<i64> = steps
            .iter()
            .map(|step| step[name].as_i64().unwrap())
            .filter(|number| *number > 0)
            .collect();
        numbers
    };
    let day = "/v1/usage/fetch";
    assert_eq!(numbers(&key, day, "sessions").await, [5, 1]);
    assert_eq!(
        numbers(&key, "/v1/usage/fetch?period=hour", "sessions").await,
        [1]
    );
    assert_eq!(numbers(&childs, day, "sessions").await, [1]);
    assert_eq!(numbers(&test, day, "sessions").await, [1]);
    assert_eq!(numbers(&key, day, "refusals").await, [1]);
    assert_eq!(numbers(&test, day, "refusals").await, [0_i64; 0]);
    key.get("/v1/usage/fetch?period=year")
        .await
        .refused(400, "INVALID_REQUEST");
    key.get("/v1/usage/fetch?a=b")
        .await
        .refused(400, "INVALID_REQUEST");

    // The gate is the whole node's, so only an operator sees it.
    let operator = town.operator_key().await;
    let app = town.app();
    for _ in 0..3 {
        app.metrics.gate_allowed();
    }
    app.note_gate();
    app.metrics.gate_refused();
    app.note_gate();
    app.note_gate();
    assert_eq!(numbers(&operator, day, "gateAllowed").await, [3]);
    assert_eq!(numbers(&operator, day, "gateRefused").await, [1]);
    let steps = key.get(day).await.ok()["steps"].clone();
    assert_eq!(steps[0].get("gateAllowed"), None);

    let browser = Browser::signed_in(&town, &key.token).await;
    let page = browser.get("/ui/usage").await.text();
    assert!(
        page.contains("Sessions minted: 6 in all, 5 at most"),
        "{page}"
    );
}
