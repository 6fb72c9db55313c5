//! Bindings: named by headers and by segments of the path.

use serde_json::{Value, json};

use super::support::{allowed, nginx, refused, town};

const TABLE: &str = "\
[[gate.routes]]
route = \"GET **/list\"
permission = \"bots:read\"
[[gate.routes]]
route = \"bot/{bot}/**\"
[[gate.routes]]
route = \"project/{project}/bot/{bot}\"
";

#[tokio::test]
async fn a_bot_token_touches_no_other_bot_whatever_the_header_says() {
    let town = town(TABLE).await;
    let shop = town.account("shop").await;
    let bound = shop
        .key(json!({"allowedRoutes": ["**"], "bindings": {"bot": ["b1"]}}))
        .await;
    let made = shop
        .cli()
        .post(
            "/v1/token/create",
            json!({"template": "bot-token", "placeholders": {"botId": "b1"}}),
        )
        .await;
    let template = crate::support::town::Key::of(&town, &made.ok());
    let routes = json!({"allowedRoutes": ["**"], "bindings": {"bot": ["b1"]}});
    let session = shop.full_key().await.session(routes).await;

    for caller in [bound.caller(), session.caller()] {
        allowed(&nginx(&caller, "GET", "/v1/bot/b1/conversation/list").await);
        let header = caller.header("x-bot-id", "b1");
        allowed(&nginx(&header, "GET", "/v1/bot/b1/fetch").await);
        for other in [
            "/v1/bot/b2/fetch",
            "/v1/bot/b2/list",
            "/v1/project/p1/bot/b2",
        ] {
            refused(&nginx(&caller, "GET", other).await, 403, "BINDING_DENIED");
            // The header agrees with the key and not with the path.
            refused(&nginx(&header, "GET", other).await, 403, "BINDING_DENIED");
        }
        // Where the path names none, the header does, or nobody.
        allowed(&nginx(&header, "GET", "/v1/conversation/c1").await);
        let answer = nginx(&caller, "GET", "/v1/conversation/c1").await;
        refused(&answer, 403, "BINDING_DENIED");
        assert_eq!(answer.json()["error"]["dimension"], "bot");
        let other = caller.header("x-bot-id", "b2");
        refused(
            &nginx(&other, "GET", "/v1/conversation/c1").await,
            403,
            "BINDING_DENIED",
        );
    }
    for other in ["/v1/bot/b2/conversation/list", "/v1/bot/b2/fetch"] {
        let answer = nginx(&template.header("x-bot-id", "b1"), "GET", other).await;
        answer.status(403);
    }
}

#[tokio::test]
async fn sources_that_disagree_are_refused_even_to_a_key_that_is_not_bound() {
    let town = town(TABLE).await;
    let key = town.account("shop").await.full_key().await;

    allowed(&nginx(&key, "GET", "/v1/bot/b1/fetch").await);
    let disagrees = key.header("x-bot-id", "b2");
    refused(
        &nginx(&disagrees, "GET", "/v1/bot/b1/fetch").await,
        403,
        "BINDING_DENIED",
    );
    let answer = nginx(
        &key.header("x-project-id", "p2"),
        "GET",
        "/v1/project/p1/bot/b1",
    )
    .await;
    refused(&answer, 403, "PROJECT_ACCESS_DENIED");
    let twice = key.header("x-bot-id", "b1").header("x-bot-id", "b1");
    refused(
        &nginx(&twice, "GET", "/v1/bot/b1/fetch").await,
        403,
        "INVALID_REQUEST",
    );
    let malformed = key.header("x-bot-id", "b1, b2");
    refused(
        &nginx(&malformed, "GET", "/v1/bot/b1/fetch").await,
        403,
        "INVALID_REQUEST",
    );
}

#[tokio::test]
async fn every_dimension_has_its_header() {
    let town = town("").await;
    let shop = town.account("shop").await;
    for (dimension, header, code) in [
        ("project", "X-Project-ID", "PROJECT_ACCESS_DENIED"),
        ("workspace", "X-Workspace-ID", "BINDING_DENIED"),
        ("bot", "X-Bot-ID", "BINDING_DENIED"),
        ("integration", "X-Integration-ID", "BINDING_DENIED"),
    ] {
        let mut bindings = serde_json::Map::new();
        bindings.insert(dimension.to_owned(), json!(["v1"]));
        let config = json!({"allowedRoutes": ["**"], "bindings": Value::Object(bindings)});
        let key = shop.key(config).await;

        allowed(&nginx(&key.header(header, "v1"), "GET", "/v1/x").await);
        refused(
            &nginx(&key.header(header, "v2"), "GET", "/v1/x").await,
            403,
            code,
        );
        refused(&nginx(&key, "GET", "/v1/x").await, 403, code);
    }
}
