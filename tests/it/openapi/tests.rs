//! Tests of the document itself, and of the validator: a wrong body must not pass.

use std::collections::BTreeSet;

use super::*;

/// What the schemas of the document may say. A word that the validator does not know, such as a
/// misspelt one, would silently allow everything.
const KEYWORDS: [&str; 27] = [
    "$ref",
    "additionalProperties",
    "allOf",
    "const",
    "default",
    "description",
    "enum",
    "examples",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "oneOf",
    "pattern",
    "properties",
    "readOnly",
    "required",
    "title",
    "type",
    "uniqueItems",
    "writeOnly",
];

/// Members of answers that are kept or told as they are, so that nothing is known of their members.
const FREE_FORM: [&str; 4] = ["data", "details", "limits", "meta"];

const USER: &str = "/v1/user/usr_01kdy02100yajdsx5vk7tbxabk/fetch";

fn user() -> Value {
    json!({
        "id": "usr_01kdy02100yajdsx5vk7tbxabk",
        "parentId": null,
        "name": "Ann",
        "meta": { "anything": [1, { "goes": true }] },
        "state": "active",
        "canImpersonate": true,
        "impersonationPolicy": "allow",
        "createdAt": 1_767_312_000_000_u64,
        "updatedAt": 1_767_312_000_000_u64,
    })
}

fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
    let parent = body
        .pointer_mut(parent)
        .and_then(Value::as_object_mut)
        .expect("an object");
    parent.insert(member.to_owned(), value);
    body
}

fn refusal(code: &str, inner: &str) -> Value {
    json!({
        "message": "No.",
        "code": code,
        "error": { "code": inner, "message": "No.", "requestId": "req_01ke0jer00ysc5xmtfwmx0js9k" },
    })
}

/// Calls `see` with each schema below a value and the name under which it stands.
fn walk<'a>(schema: &'a Value, name: &'a str, see: &mut dyn FnMut(&'a str, &'a Value)) {
    let Some(object) = schema.as_object() else {
        return;
    };
    see(name, schema);
    for (keyword, value) in object {
        match keyword.as_str() {
            "properties" => {
                for (name, property) in value.as_object().into_iter().flatten() {
                    walk(property, name, see);
                }
            }
            "items" | "additionalProperties" => walk(value, name, see),
            "allOf" | "oneOf" => {
                for part in value.as_array().into_iter().flatten() {
                    walk(part, name, see);
                }
            }
            _ => {}
        }
    }
}

/// Every media type of the document, as (where, schema, examples).
fn media<'a>(value: &'a Value, place: &str, found: &mut Vec<(String, &'a Value, Vec<&'a Value>)>) {
    match value {
        Value::Object(object) => {
            for (name, child) in object {
                media(child, &format!("{place}/{name}"), found);
            }
            if let (Some(schema), Some(example)) = (object.get("schema"), object.get("example")) {
                found.push((place.to_owned(), schema, vec![example]));
            }
        }
        Value::Array(list) => list.iter().for_each(|child| media(child, place, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn texts(list: &Value) -> BTreeSet<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

#[test]
fn a_right_answer_passes_on_every_path_that_is_served() {
    let contract = Contract::load();
    for path in [
        USER,
        "/api/v1/user/usr_01kdy02100yajdsx5vk7tbxabk/fetch",
        "/v1/partner/user/usr_01kdy02100yajdsx5vk7tbxabk/fetch",
        "/api/v1/partner/user/usr_01kdy02100yajdsx5vk7tbxabk/fetch/",
        "/v1/user/usr_01kdy02100yajdsx5vk7tbxabk/fetch?x=/y",
    ] {
        assert_eq!(
            contract.check_response("GET", path, 200, &user()),
            Ok(()),
            "{path}"
        );
    }
}

#[test]
fn a_wrong_answer_does_not_pass() {
    let contract = Contract::load();
    let mut without_id = user();
    without_id.as_object_mut().unwrap().remove("id");
    for (wrong, why) in [
        (json!(null), "nothing"),
        (json!([]), "another type"),
        (without_id, "a missing member"),
        (with(user(), "/secret", json!("sk")), "an extra member"),
        (
            with(user(), "/id", json!("key_01kdy02105hd99fdtgj8yepfzx")),
            "an id of another kind",
        ),
        (
            with(user(), "/state", json!("deleted")),
            "a value that is not in the list",
        ),
        (
            with(user(), "/createdAt", json!("2026-01-02T00:00:00Z")),
            "a time as text",
        ),
        (
            with(user(), "/createdAt", json!(null)),
            "null where there is always a value",
        ),
        (with(user(), "/createdAt", json!(1.5)), "a fraction"),
        (
            with(user(), "/createdAt", json!(-1)),
            "a number below the least",
        ),
        (
            with(user(), "/name", json!("n".repeat(201))),
            "a text that is too long",
        ),
        (with(user(), "/meta", json!("text")), "a text for an object"),
    ] {
        let answer = contract.check_response("GET", USER, 200, &wrong);
        assert!(
            matches!(answer, Err(Violation::Body { .. })),
            "{why}: {answer:?}"
        );
    }
}

#[test]
fn what_is_nested_is_checked_as_well() {
    let contract = Contract::load();
    let list = "/v1/user/list";
    let page = json!({ "items": [user()], "cursor": "usr_01kdy02100yajdsx5vk7tbxabk" });
    let line = json!({ "type": "item", "data": user() });
    let broken = with(user(), "/secret", json!("sk"));

    assert_eq!(contract.check_response("GET", list, 200, &page), Ok(()));
    assert_eq!(contract.check_line(list, &line), Ok(()));

    let answer = contract.check_response("GET", list, 200, &with(page, "/items", json!([broken])));
    let problem = answer.unwrap_err().to_string();
    assert!(problem.starts_with("userList: `/items/0`"), "{problem}");
    assert!(problem.contains("secret"), "{problem}");
    assert!(
        contract
            .check_line(list, &with(line.clone(), "/data", broken))
            .is_err()
    );
    assert!(
        contract
            .check_line(list, &with(line, "/type", json!("thing")))
            .is_err()
    );
    assert!(contract.check_line(USER, &user()).is_err(), "not a list");
}

#[test]
fn an_error_has_the_code_of_its_status() {
    let contract = Contract::load();
    let check = |status, body: &Value| contract.check_response("GET", USER, status, body);
    let missing = refusal("NOT_FOUND", "NOT_FOUND");

    assert_eq!(check(404, &missing), Ok(()));
    assert_eq!(
        check(401, &refusal("NOT_AUTHENTICATED", "INVALID_API_KEY")),
        Ok(())
    );

    assert!(check(403, &missing).is_err(), "the code of another status");
    assert!(
        check(403, &refusal("NOT_AUTHORIZED", "NOT_FOUND")).is_err(),
        "the inner code, too"
    );
    assert!(
        check(404, &refusal("NOT_FOUND", "GONE")).is_err(),
        "an unknown code"
    );
    assert!(check(404, &with(missing.clone(), "/error/why", json!("deleted"))).is_err());
    assert!(check(404, &with(missing.clone(), "/status", json!(404))).is_err());
    assert!(check(404, &json!({ "message": "No.", "code": "NOT_FOUND" })).is_err());
    assert_eq!(
        check(418, &missing),
        Err(Violation::NoStatus {
            operation: "userFetch".to_owned(),
            status: 418
        })
    );
}

#[test]
fn what_is_not_documented_is_told_so() {
    let contract = Contract::load();
    for (method, path) in [
        ("POST", "/v1/user/list"),
        ("GET", "/v1/users/list"),
        ("GET", "/v1/user//fetch"),
        ("GET", "/v1/user/a/b/fetch"),
        ("GET", "/v2/user/list"),
        ("GET", "/api/healthz"),
        ("GET", "/v1/partner/token/list"),
    ] {
        let answer = contract.check_response(method, path, 200, &json!({}));
        assert!(
            matches!(answer, Err(Violation::NoOperation { .. })),
            "{method} {path}"
        );
    }
    let found = |method, path| {
        contract
            .find(method, path)
            .map(|operation| operation.id.as_str())
    };
    assert_eq!(found("GET", "/v1/user/self/fetch"), Some("userSelfFetch"));
    assert_eq!(found("GET", "/v1/token/self/fetch"), Some("tokenSelfFetch"));
    assert_eq!(found("GET", "/v1/token/key_1/fetch"), Some("tokenFetch"));
}

#[test]
fn a_request_is_checked_too() {
    let contract = Contract::load();
    let check = |body: Value| contract.check_request("POST", "/v1/session/create", &body);

    assert_eq!(
        check(json!({ "durationInSeconds": 60, "allowedRoutes": null })),
        Ok(())
    );
    assert_eq!(check(json!({})), Ok(()));
    for wrong in [
        json!({ "durationInSeconds": 0 }),
        json!({ "durationInSeconds": 0.5 }),
        json!({ "durationInSeconds": 86_401 }),
        json!({ "mode": "loose" }),
        json!({ "routes": [] }),
    ] {
        assert!(check(wrong.clone()).is_err(), "{wrong}");
    }
    assert!(contract.check_request("GET", USER, &json!({})).is_err());
}

#[test]
fn text_passes_where_text_is_answered() {
    let contract = Contract::load();

    assert_eq!(
        contract.check_response("GET", "/metrics", 200, &json!("up 1\n")),
        Ok(())
    );
    assert!(
        contract
            .check_response("GET", "/metrics", 200, &json!({}))
            .is_err()
    );
    let jwks = "/.well-known/jwks.json";
    assert_eq!(
        contract.check_response("GET", jwks, 304, &Value::Null),
        Ok(())
    );
    assert!(
        contract
            .check_response("GET", jwks, 304, &json!({}))
            .is_err()
    );
}

#[test]
fn each_operation_says_who_may_call_it() {
    let contract = Contract::load();
    let mut ids = BTreeSet::new();
    for operation in contract.operations() {
        let Operation {
            id,
            access,
            credentials,
            manage,
            operator,
            statuses,
            ..
        } = operation;
        assert!(ids.insert(id), "{id} twice");
        let security = contract.described(operation).get("security");
        let public = *access == Access::Public;
        assert_eq!(security == Some(&json!([])), public, "{id}");
        assert_eq!(credentials.is_empty(), public, "{id}");
        assert!(statuses.contains(&200), "{id}");
        assert_eq!(
            statuses.contains(&401) && statuses.contains(&403),
            !public,
            "{id}"
        );
        assert!(
            (manage.is_none() && !operator) || *access == Access::Key,
            "{id}"
        );
        // A session manages nothing.
        let managing = manage.is_some() || *operator;
        assert!(!managing || *credentials == [Credential::Key], "{id}");
        if operation.idempotent {
            assert!(
                operation.method == "POST" && statuses.contains(&409),
                "{id}"
            );
        }
        if operation.request_example.is_some() {
            assert!(statuses.contains(&413) && statuses.contains(&415), "{id}");
        }
    }
}

#[test]
fn every_schema_uses_known_words_and_every_reference_leads_somewhere() {
    let contract = Contract::load();
    let mut schemas: Vec<(&str, &Value)> = contract.document["components"]["schemas"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, schema)| (name.as_str(), schema))
        .collect();
    let mut found = Vec::new();
    media(&contract.document, "", &mut found);
    schemas.extend(
        found
            .iter()
            .map(|(place, schema, _)| (place.as_str(), *schema)),
    );
    let mut seen = 0;
    for (name, schema) in schemas {
        walk(schema, name, &mut |inner, schema| {
            seen += 1;
            for keyword in schema.as_object().into_iter().flat_map(Map::keys) {
                assert!(
                    KEYWORDS.contains(&keyword.as_str()),
                    "{name}/{inner}: {keyword}"
                );
            }
            contract.resolve(schema);
            let known = schema.get("properties").and_then(Value::as_object);
            for member in texts(schema.get("required").unwrap_or(&Value::Null)) {
                let known = known.is_some_and(|known| known.contains_key(member));
                assert!(
                    known,
                    "{name}/{inner} requires {member}, which it does not describe"
                );
            }
        });
    }
    assert!(seen > 500, "{seen} schemas are not all");
}

#[test]
fn every_schema_of_an_object_is_closed() {
    let contract = Contract::load();
    for (name, schema) in contract.document["components"]["schemas"]
        .as_object()
        .unwrap()
    {
        walk(schema, name, &mut |inner, schema| {
            let types = schema.get("type");
            let object =
                types == Some(&json!("object")) || types == Some(&json!(["object", "null"]));
            let free = FREE_FORM.contains(&inner)
                || ["Meta", "Data"].contains(&inner)
                || (name == "ProfileSessionCreate" && inner == "contact");
            if object && !free {
                let closed = schema.get("additionalProperties");
                let closed = closed == Some(&json!(false)) || closed.is_some_and(Value::is_object);
                assert!(closed, "{name}/{inner} is open");
            }
        });
    }
}

#[test]
fn every_example_is_right() {
    let contract = Contract::load();
    let mut found = Vec::new();
    media(&contract.document, "", &mut found);
    for (name, schema) in contract.document["components"]["schemas"]
        .as_object()
        .unwrap()
    {
        walk(schema, name, &mut |inner, schema| {
            if let Some(examples) = schema.get("examples").and_then(Value::as_array) {
                found.push((format!("{name}/{inner}"), schema, examples.iter().collect()));
            }
        });
    }
    assert!(found.len() > 100, "{} examples are not all", found.len());
    for (place, schema, examples) in found {
        for example in examples {
            let problems = contract.problems(schema, example);
            assert!(problems.is_empty(), "{place}: {problems:?}");
        }
    }
}

#[test]
fn each_error_code_belongs_to_one_status_and_none_is_left_over() {
    let contract = Contract::load();
    let components = &contract.document["components"];
    let mut told = Vec::new();
    // Gateways understand two statuses, so the gate answers codes of others under those.
    let mut gate = Vec::new();
    for (name, response) in components["responses"].as_object().unwrap() {
        let narrowed = &response["content"][JSON]["schema"]["allOf"][1]["properties"];
        let codes = texts(&narrowed["error"]["properties"]["code"]["enum"]);
        if name.starts_with("Gate") {
            gate.extend(codes);
        } else if !name.starts_with("OAuth") {
            told.extend(codes);
        }
    }
    let listed = &components["schemas"]["ErrorCode"];
    let distinct: BTreeSet<&str> = told.iter().copied().collect();

    assert_eq!(distinct.len(), told.len(), "{told:?}");
    let all: BTreeSet<&str> = distinct.iter().copied().chain(gate).collect();
    assert_eq!(all, texts(&listed["enum"]));
    let table = listed["description"].as_str().unwrap();
    for code in all {
        assert!(
            table.contains(&format!("| `{code}` |")),
            "{code} is not explained"
        );
    }
}
