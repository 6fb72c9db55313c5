//! Acting as a child.

use std::collections::BTreeSet;

use super::browser::{Browser, between, sent_to};
use crate::support::town::Town;
use serde_json::json;

#[tokio::test]
async fn one_sees_the_child_and_manages_nothing_until_it_ends() {
    let town = Town::new().await;
    let parent = town.account("parent").await;
    let child = parent.child("child").await;
    let key = parent.full_key().await;
    let childs = child.full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let page = format!("/ui/accounts/{}", child.id);
    let before = between(&browser.get(&page).await.text(), "_form\" value=\"", "\"");

    let begun = browser.submit(&page, &format!("{page}/act"), &[]).await;

    assert_eq!(sent_to(&begun), "/");
    let keys = browser.get("/ui/keys").await;
    let text = keys.text();
    assert!(text.contains("Acting as <bdi>child"), "{keys}");
    assert!(text.contains(&parent.id), "who really acts");
    assert!(
        text.contains(&childs.id) && !text.contains(&key.id),
        "{keys}"
    );
    assert!(!text.contains("href=\"/ui/keys/new\""), "nothing to make");

    // A page of before is out of date, and its buttons do nothing.
    let stale = browser
        .send(
            &format!("/ui/keys/{}/revoke", key.id),
            &[("_form", &before)],
        )
        .await;
    stale.status(409);
    // And by hand the API refuses.
    let database = town.database().await;
    for (form, path) in [
        (&page, format!("/ui/keys/{}/revoke", key.id)),
        (&page, format!("/ui/keys/{}/revoke", childs.id)),
        (&page, format!("/ui/accounts/{}/suspend", child.id)),
        (&page, "/ui/accounts/new".to_owned()),
    ] {
        let answer = browser.submit(form, &path, &[("name", "x")]).await;
        assert!(
            [403, 404].contains(&answer.status.as_u16()),
            "{path}: {answer}"
        );
    }
    let after = town.database().await;
    for table in ["account", "api_key", "api_key_secret"] {
        assert_eq!(after[table], database[table]);
    }

    // What is minted is the child's, and says who acted.
    let mint = "/ui/sessions/mint";
    let minted = browser.submit(mint, mint, &[("routes", "bot/**")]).await;
    minted.status(200);
    let token = between(&minted.text(), "readonly value=\"", "\"");
    let claims = crate::support::town::claims(&token);
    assert_eq!(claims["sub"], json!(child.id));
    assert_eq!(claims["act"]["sub"], json!(parent.id));
    // Who minted it may end it.
    let made = format!("/ui/sessions/{}", claims["jti"].as_str().unwrap());
    let revoke = format!("{made}/revoke");
    assert!(
        browser
            .get(&made)
            .await
            .text()
            .contains(&format!("action=\"{revoke}\""))
    );
    browser.submit(&made, &revoke, &[]).await.status(303);

    // The child reads it.
    let theirs = Browser::signed_in(&town, &childs.token).await;
    let acted = theirs.get("/ui/ledger/acted").await;
    assert!(acted.text().contains("session.create"), "{acted}");
    assert!(acted.text().contains(&parent.id), "{acted}");

    // One click ends it.
    let ended = browser.submit("/ui/keys", "/ui/act/end", &[]).await;
    ended.status(303);
    let text = browser.get("/ui/keys").await.text();
    assert!(!text.contains("Acting as"));
    assert!(text.contains(&key.id));
}

/// The forms of a page: where they are sent, and the fields that they come with.
fn forms(page: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut forms = Vec::new();
    for form in page.split("<form").skip(1) {
        let (head, rest) = form.split_once('>').unwrap();
        if !head.contains("method=\"post\"") {
            continue;
        }
        let (inside, _) = rest.split_once("</form>").unwrap();
        let inputs = inside.split("<input").skip(1);
        let fields = inputs.filter_map(|input| {
            let (tag, _) = input.split_once('>')?;
            let name = tag.split_once("name=\"")?.1.split_once('"')?.0;
            let value = tag.split_once("value=\"");
            let value = value.map_or("", |(_, rest)| rest.split_once('"').unwrap().0);
            Some((name.to_owned(), value.to_owned()))
        });
        let action = between(head, "action=\"", "\"");
        forms.push((action, fields.collect()));
    }
    forms
}

#[tokio::test]
async fn no_page_shows_who_acts_a_form_that_is_refused() {
    let town = Town::new().await;
    let parent = town.account("parent").await;
    let child = parent.child("child").await;
    let grandchild = child.child("grandchild").await;
    let key = parent.full_key().await;
    let childs = child.full_key().await;
    childs.session(json!({"allowedRoutes": ["bot/**"]})).await;
    let session = childs.get("/v1/session/list").await.ok()["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let hook = json!({"url": "https://example.com/hook", "events": ["token.reported"]});
    let hook = childs.post("/v1/webhook/create", hook).await.ok()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let test = format!("/v1/webhook/{hook}/test");
    childs.post(&test, json!({})).await.ok();
    let kid = town.operator().cli().get("/v1/signing-key/list").await.ok()["items"][0]["kid"]
        .as_str()
        .unwrap()
        .to_owned();
    let browser = Browser::signed_in(&town, &key.token).await;
    let page = format!("/ui/accounts/{}", child.id);
    browser
        .submit(&page, &format!("{page}/act"), &[])
        .await
        .status(303);

    let (mut shown, mut refused) = (BTreeSet::new(), Vec::new());
    for (method, template) in hallpass::http::pages() {
        if method != "GET" || template.contains("{file}") {
            continue;
        }
        let id = match template {
            path if path.starts_with("/ui/accounts") => &grandchild.id,
            path if path.starts_with("/ui/webhooks") => &hook,
            path if path.starts_with("/ui/sessions") => &session,
            _ => &childs.id,
        };
        let path = template.replace("{id}", id).replace("{kid}", &kid);
        for act in [
            "rotate",
            "disable",
            "end-sessions",
            "revoke",
            "suspend",
            "delete",
        ] {
            let path = path.replace("{act}", act);
            for (action, fields) in forms(&browser.get(&path).await.text()) {
                let ends = ["/ui/sign-out", "/ui/sign-out-everywhere", "/ui/act/end"];
                if ends.contains(&action.as_str()) || !shown.insert(action.clone()) {
                    continue;
                }
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(name, value)| (&**name, &**value))
                    .collect();
                let answer = browser.send(&action, &fields).await;
                if answer.status == 403 {
                    refused.push((path.clone(), action));
                }
            }
            if !template.contains("{act}") {
                break;
            }
        }
    }

    assert_eq!(refused, [], "shown: {shown:?}");
    assert!(shown.contains("/ui/sessions/mint"), "{shown:?}");
    assert!(browser.get("/ui/keys").await.text().contains("Acting as"));
}

#[tokio::test]
async fn nobody_acts_as_an_account_that_is_not_its_child() {
    let town = Town::new().await;
    let parent = town.account("parent").await;
    let child = parent.child("child").await;
    let grandchild = child.child("grandchild").await;
    let stranger = town.account("stranger").await;
    let key = parent.full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;

    let mut answers = Vec::new();
    for id in [
        &grandchild.id,
        &stranger.id,
        &parent.id,
        "nonsense",
        "usr_00000000000000000000000000",
    ] {
        let path = format!("/ui/accounts/{id}/act");
        let answer = browser.submit("/ui/accounts", &path, &[]).await;
        answer.status(403);
        answers.push(between(&answer.text(), "<h1>", "</main>"));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "one answer: {answers:?}");
    assert!(!browser.get("/ui/keys").await.text().contains("Acting as"));
}

#[tokio::test]
async fn acting_ends_with_the_right_to_act() {
    let town = Town::new().await;
    let parent = town.account("parent").await;
    let child = parent.child("child").await;
    let key = parent.full_key().await;
    let childs = child.full_key().await;
    let browser = Browser::signed_in(&town, &key.token).await;
    let page = format!("/ui/accounts/{}", child.id);
    browser
        .submit(&page, &format!("{page}/act"), &[])
        .await
        .status(303);
    let mint = "/ui/sessions/mint";
    let hidden = browser.hidden(mint).await;

    childs
        .post(
            "/v1/user/self/update",
            json!({"impersonationPolicy": "deny"}),
        )
        .await
        .ok();

    let sessions = town.database().await["session"].clone();
    let mut fields: Vec<(&str, &str)> = hidden
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    fields.push(("routes", "bot/**"));
    let refused = browser.send(mint, &fields).await;
    refused.status(403);
    assert!(
        refused.text().contains("You act as yourself again"),
        "{refused}"
    );
    // The form was for the child, and mints nothing for the parent.
    let again = browser.send(mint, &fields).await;
    assert!(again.text().contains("Nothing was done"), "{again}");
    assert_eq!(town.database().await["session"], sessions);
    assert!(browser.get("/ui/keys").await.text().contains(&key.id));
}
