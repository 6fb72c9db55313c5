//! Every failed impersonation is one answer, byte by byte, and takes about the same time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::town::{Account, Answer, Caller, Key, Town};

struct Street {
    town: Town,
    parent: Account,
    full: Key,
    child: Account,
    /// Whom nobody may act as: why, the id, the e-mail address.
    others: Vec<(&'static str, String, String)>,
}

async fn with_email(of: &Account, name: &str) -> Account {
    let email = format!("{name}@example.com");
    of.child_with(json!({"name": name, "email": email})).await
}

async fn street() -> Street {
    let town = Town::new().await;
    let parent = with_email(&town.operator(), "parent").await;
    let stranger = with_email(&town.operator(), "stranger").await;
    let full = parent.full_key().await;
    let child = with_email(&parent, "child").await;
    let denied = with_email(&parent, "denied").await;
    let body = json!({"impersonationPolicy": "deny"});
    let own = denied.full_key().await;
    own.post("/v1/user/self/update", body).await.ok();
    let suspended = with_email(&parent, "suspended").await;
    let deleted = with_email(&parent, "deleted").await;
    for (account, end) in [(&suspended, "suspend"), (&deleted, "delete")] {
        let path = format!("/v1/user/{}/{end}", account.id);
        full.post(&path, json!({})).await.ok();
    }
    let grandchild = with_email(&child, "grandchild").await;
    let theirs = with_email(&stranger, "theirs").await;
    let mut others = vec![(
        "there is none",
        child.id.replace("usr_", "usr_x"),
        "nobody@example.com".to_owned(),
    )];
    let mut none = child.id.clone();
    let last = if none.pop() == Some('0') { '1' } else { '0' };
    none.push(last);
    others.push((
        "there is none of this form",
        none,
        "none@example.com".to_owned(),
    ));
    for (why, account, name) in [
        ("somebody else's", &theirs, "theirs"),
        ("somebody else", &stranger, "stranger"),
        ("the caller itself", &parent, "parent"),
        ("a grandchild", &grandchild, "grandchild"),
        ("denied", &denied, "denied"),
        ("suspended", &suspended, "suspended"),
        ("deleted", &deleted, "deleted"),
        ("the parent's parent", &town.operator(), "operator"),
    ] {
        others.push((why, account.id.clone(), format!("{name}@example.com")));
    }
    for malformed in [
        "x",
        "usr_",
        "USR_1",
        "usr_1/../x",
        "0",
        "null",
        "a@b",
        "usr_%00",
    ] {
        others.push(("malformed", malformed.to_owned(), malformed.to_owned()));
    }
    Street {
        town,
        parent,
        full,
        child,
        others,
    }
}

const IDS: [&str; 2] = ["x-runas-user-id", "X-RunAs-UserId"];
const EMAILS: [&str; 2] = ["x-runas-user-email", "X-RunAs-Child-User-Email"];

/// All that a client sees of an answer, the request id aside.
fn seen(answer: &Answer) -> (u16, String, Vec<(String, String)>) {
    let headers = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "x-request-id")
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    (answer.status.as_u16(), answer.without_request_id(), headers)
}

#[track_caller]
fn one_answer(of: &str, answers: &[(String, Answer)]) {
    let (_, first) = &answers[0];
    for (why, answer) in answers {
        assert_eq!(seen(answer), seen(first), "{of}: {why}: {answer}");
    }
}

async fn send(caller: &Caller, method: &str, path: &str) -> Answer {
    if method == "GET" {
        caller.get(path).await
    } else if path == "/oauth2/token" {
        let form = [
            ("grant_type", "client_credentials"),
            ("allowed_routes", "[\"bot/**\"]"),
        ];
        caller.post_form(path, &form).await
    } else {
        caller
            .post(path, json!({"allowedRoutes": ["bot/**"]}))
            .await
    }
}

/// What a caller hears of each that it may not act as, through the headers.
async fn by_header(
    street: &Street,
    caller: &Caller,
    method: &str,
    path: &str,
    more: &[(&'static str, String, String)],
) -> Vec<(String, Answer)> {
    let mut answers = Vec::new();
    for (why, id, email) in street.others.iter().chain(more) {
        for name in IDS {
            let caller = caller.header(name, id);
            answers.push((
                format!("{why} by {name}"),
                send(&caller, method, path).await,
            ));
        }
        for name in EMAILS {
            let caller = caller.header(name, email);
            answers.push((
                format!("{why} by {name}"),
                send(&caller, method, path).await,
            ));
        }
    }
    answers
}

const DOORS: [(&str, &str); 7] = [
    ("GET", "/v1/token/self/fetch"),
    ("POST", "/v1/session/create"),
    ("POST", "/v1/bot/b1/session/create"),
    ("GET", "/v1/user/list"),
    ("GET", "/v1/session/list"),
    ("POST", "/v1/session/verify"),
    ("POST", "/oauth2/token"),
];

/// The child, as one more that is refused.
fn and_the_child(street: &Street) -> Vec<(&'static str, String, String)> {
    vec![(
        "the child",
        street.child.id.clone(),
        "child@example.com".to_owned(),
    )]
}

#[tokio::test]
async fn no_refusal_by_header_tells_whom_it_refuses() {
    let street = street().await;
    let acting = street.full.acting_as(&street.child);
    acting.get("/v1/token/self/fetch").await.ok();

    for (method, path) in DOORS {
        let answers = by_header(&street, &street.full, method, path, &[]).await;
        if !path.starts_with("/oauth2") {
            answers[0].1.refused(403, "IMPERSONATION_DENIED");
        }
        one_answer(path, &answers);
    }
}

#[tokio::test]
async fn no_refusal_by_path_tells_whom_it_refuses() {
    let street = street().await;
    let mut all = Vec::new();
    for root in ["/v1/user", "/v1/partner/user", "/api/v1/user"] {
        for end in [
            "session/create",
            "token/create",
            "token/key_1/update",
            "token/key_1/delete",
            "token/key_1/rotate",
            "token/list",
            "token/key_1/fetch",
        ] {
            for (why, id, _) in &street.others {
                // What is no segment of a path is another answer, whoever is meant.
                if id.contains(['/', '%']) {
                    continue;
                }
                let path = format!("{root}/{id}/{end}");
                let method = if end.ends_with("list") || end.ends_with("fetch") {
                    "GET"
                } else {
                    "POST"
                };
                let caller: &Caller = &street.full;
                let answer = if method == "GET" {
                    caller.get(&path).await
                } else {
                    caller.post(&path, json!({})).await
                };
                all.push((format!("{why} at {path}"), answer));
            }
        }
    }
    all[0].1.refused(403, "IMPERSONATION_DENIED");
    one_answer("by path", &all);
    // And it is the answer that the headers get.
    let header = by_header(&street, &street.full, "GET", "/v1/token/self/fetch", &[]).await;
    assert_eq!(seen(&header[0].1), seen(&all[0].1));
}

#[tokio::test]
async fn no_refusal_tells_that_the_parent_is_barred_or_the_key_may_not() {
    let street = street().await;
    let more = and_the_child(&street);
    let elsewhere =
        json!({"allowedRoutes": ["**"], "impersonation": {"users": [street.parent.id]}});
    let nobody = json!({"allowedRoutes": ["**"], "impersonation": {"users": []}});
    let never = json!({"allowedRoutes": ["**"], "impersonation": false});
    let silent = json!({"allowedRoutes": ["**"]});
    for config in [elsewhere, nobody, never, silent] {
        let key = street.parent.key(config.clone()).await;
        for (method, path) in [DOORS[0], DOORS[1]] {
            let answers = by_header(&street, &key, method, path, &more).await;
            answers[0].1.refused(403, "IMPERSONATION_DENIED");
            one_answer(&config.to_string(), &answers);
        }
    }
    let path = format!("/v1/user/{}/update", street.parent.id);
    let body = json!({"canImpersonate": false});
    street.town.first_key().await.post(&path, body).await.ok();
    let answers = by_header(&street, &street.full, "GET", DOORS[0].1, &more).await;
    answers[0].1.refused(403, "IMPERSONATION_DENIED");
    one_answer("barred", &answers);
}

#[tokio::test]
async fn a_key_that_may_not_call_a_route_as_a_child_learns_of_no_child_there() {
    let street = street().await;
    let more = and_the_child(&street);
    let config = json!({"allowedRoutes": ["**"], "impersonation": {"allowedRoutes": ["bot/**"]}, "manage": ["users"]});
    let key = street.parent.key(config).await;
    for (method, path) in [
        ("POST", "/v1/session/create"),
        ("GET", "/v1/session/list"),
        ("GET", "/v1/user/list"),
    ] {
        let answers = by_header(&street, &key, method, path, &more).await;
        answers[0].1.refused(403, "IMPERSONATION_DENIED");
        one_answer(path, &answers);
    }
    for end in ["session/create", "token/create"] {
        let mut answers = Vec::new();
        for id in [&street.child.id, &street.others[1].1] {
            let path = format!("/v1/user/{id}/{end}");
            let config = json!({"allowedRoutes": ["**"], "impersonation": {"allowedRoutes": ["bot/**"]}, "manage": ["tokens"]});
            let key = street.parent.key(config).await;
            answers.push((id.clone(), key.post(&path, json!({})).await));
        }
        one_answer(end, &answers);
    }
}

#[tokio::test]
async fn whoever_is_refused_for_another_reason_learns_of_no_child() {
    let street = street().await;
    let more = and_the_child(&street);
    let all = |mut config: Value| {
        config["impersonation"] = json!(true);
        config
    };
    let routed = street
        .parent
        .key(all(json!({"allowedRoutes": ["bot/**"]})))
        .await;
    let placed = street
        .parent
        .key(all(
            json!({"allowedRoutes": ["**"], "cidrs": ["198.51.100.0/24"]}),
        ))
        .await;
    let sited = street
        .parent
        .key(all(
            json!({"allowedRoutes": ["**"], "domains": ["example.com"]}),
        ))
        .await;
    let bound = street
        .parent
        .key(all(
            json!({"allowedRoutes": ["**"], "bindings": {"project": ["p1"]}}),
        ))
        .await;
    let unmanaging = street
        .parent
        .key(all(json!({"allowedRoutes": ["**"]})))
        .await;
    let expired = street
        .parent
        .make_key(json!({"unrestricted": true, "expiresAt": street.town.now_ms() + 1}))
        .await;
    street.town.advance_ms(2);
    for (why, key, method, path) in [
        ("route", &routed, "GET", "/v1/session/list"),
        ("address", &placed, "POST", "/v1/session/create"),
        ("domain", &sited, "POST", "/v1/session/create"),
        ("binding", &bound, "GET", "/v1/session/list"),
        ("management", &unmanaging, "GET", "/v1/user/list"),
        ("expiry", &expired, "GET", "/v1/session/list"),
        ("a change", &street.full, "POST", "/v1/token/create"),
        (
            "a change of accounts",
            &street.full,
            "POST",
            "/v1/user/create",
        ),
        (
            "an operator's act",
            &street.full,
            "POST",
            "/v1/signing-key/rotate",
        ),
    ] {
        let answers = by_header(&street, key, method, path, &more).await;
        assert!(
            [401, 403].contains(&answers[0].1.status.as_u16()),
            "{why}: {}",
            answers[0].1
        );
        one_answer(why, &answers);
    }
}

#[tokio::test]
async fn guesses_at_children_draw_on_the_rate_of_the_key() {
    let street = street().await;
    let config = json!({"allowedRoutes": ["**"], "impersonation": true, "rateLimit": {"requests": 3, "perSeconds": 3600}});
    let key = street.parent.key(config).await;
    let guess = key.header("x-runas-user-email", "nobody@example.com");

    for _ in 0..3 {
        guess
            .get("/v1/session/list")
            .await
            .refused(403, "IMPERSONATION_DENIED");
    }

    guess
        .get("/v1/session/list")
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    let found = key.header("x-runas-user-email", "child@example.com");
    found
        .get("/v1/session/list")
        .await
        .refused(429, "TOO_MANY_REQUESTS");
}

#[tokio::test]
async fn a_wish_that_cannot_be_read_is_refused_and_never_ignored() {
    let street = street().await;
    let full = &street.full;
    let id = street.child.id.as_str();
    let long = "x".repeat(5000);
    let cases: Vec<Caller> = vec![
        full.header("x-runas-user-id", ""),
        full.header("x-runas-user-id", " "),
        full.header("x-runas-user-id", &long),
        full.header("x-runas-user-id", &format!("{id}, {id}")),
        full.acting_as(&street.child).acting_as(&street.child),
        full.header("x-runas-user-id", id)
            .header("x-runas-userid", id),
        full.header("x-runas-user-id", id)
            .header("x-runas-user-email", "child@example.com"),
        full.header("x_runas_user_id", id),
        full.header("x.runas.user.id", id),
        full.header("x-runas-id", id),
        full.header("x-runas", id),
        full.header("x-runas-user-ids", id),
        full.header("x-runasuser", id),
        full.acting_as(&street.child)
            .header("connection", "x-runas-user-id"),
        full.acting_as(&street.child)
            .header("connection", "close, X-RunAs-User-ID"),
        full.header("connection", "x-runas-user-email"),
        full.raw_header("x-runas-user-id", b"\xff\xfe"),
    ];
    for caller in cases {
        let before = street.town.database().await;
        for path in ["/v1/session/create", "/v1/token/create", "/oauth2/token"] {
            let answer = send(&caller, "POST", path).await;
            assert_eq!(answer.status.as_u16(), 400, "{answer} {caller:?}");
        }
        let answer = caller.get("/v1/token/self/fetch").await;
        assert_eq!(answer.status.as_u16(), 400, "{answer} {caller:?}");
        assert_eq!(street.town.database().await, before);
    }
}

/// The refusals are timed in turn, many times over, so that whatever else the machine does falls on
/// all of them. Medians are compared; a slow machine gets a second and a third chance, since what
/// is looked for is a difference that stays.
#[tokio::test]
async fn no_refusal_takes_longer_than_another() {
    const ROUNDS: usize = 300;
    let street = street().await;
    let of = |why: &str| {
        let found = street.others.iter().find(|(name, _, _)| *name == why);
        found.cloned().unwrap()
    };
    let kinds = [
        "there is none of this form",
        "somebody else's",
        "denied",
        "the caller itself",
        "suspended",
    ];
    let callers: Vec<(String, Caller)> = kinds
        .iter()
        .flat_map(|why| {
            let (_, id, email) = of(why);
            [
                (
                    format!("{why} by id"),
                    street.full.header("x-runas-user-id", &id),
                ),
                (
                    format!("{why} by e-mail"),
                    street.full.header("x-runas-user-email", &email),
                ),
            ]
        })
        .collect();

    let mut worst = String::new();
    for _ in 0..3 {
        let mut taken: Vec<Vec<Duration>> = vec![Vec::with_capacity(ROUNDS); callers.len()];
        for _ in 0..ROUNDS {
            for (index, (_, caller)) in callers.iter().enumerate() {
                #[expect(clippy::disallowed_methods, reason = "it is time that is measured")]
                let start = Instant::now();
                let answer = caller.get("/v1/session/list").await;
                taken[index].push(start.elapsed());
                answer.status(403);
            }
        }
        let mut far = false;
        worst.clear();
        for by in ["by id", "by e-mail"] {
            let medians: Vec<(&str, Duration)> = callers
                .iter()
                .zip(&mut taken)
                .filter(|((name, _), _)| name.ends_with(by))
                .map(|((name, _), times)| {
                    times.sort_unstable();
                    (name.as_str(), times[ROUNDS / 2])
                })
                .collect();
            let least = medians.iter().map(|(_, median)| *median).min().unwrap();
            let most = medians.iter().map(|(_, median)| *median).max().unwrap();
            worst.push_str(&format!("{medians:?}\n"));
            far |= most > least.mul_f64(1.2) + Duration::from_micros(60);
        }
        if !far {
            println!("{worst}");
            return;
        }
    }
    panic!("the medians lie apart:\n{worst}");
}
