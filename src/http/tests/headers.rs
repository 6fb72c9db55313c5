use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::*;

/// Lines as they stand in a request. White space around a value is cut by the HTTP parser, so here
/// it is what an HTTP/2 client could send.
fn headers(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    headers
}

#[test]
fn a_credential_stands_in_one_header() {
    use RawCredential::{Basic, Bearer};
    for (line, expected) in [
        ("Authorization:Bearer sk_live_x", Bearer("sk_live_x")),
        ("authorization:bearer sk_live_x", Bearer("sk_live_x")),
        ("AUTHORIZATION:BEARER sk_live_x", Bearer("sk_live_x")),
        ("Authorization:Token sk_live_x", Bearer("sk_live_x")),
        ("Authorization:tOkEn sk_live_x", Bearer("sk_live_x")),
        ("Authorization:Bearer   sk_live_x", Bearer("sk_live_x")),
        ("Authorization:Bearer eyJ.e30.x-_=", Bearer("eyJ.e30.x-_=")),
        ("Authorization:Basic aWQ6c2VjcmV0", Basic("aWQ6c2VjcmV0")),
    ] {
        assert_eq!(credential(&headers(&[line])), Ok(Some(expected)), "{line}");
    }
    assert_eq!(credential(&headers(&["X-Api-Key:sk_live_x"])), Ok(None));
}

#[test]
fn a_credential_that_could_be_read_in_two_ways_is_refused() {
    use HeaderError::{BadCredential, TwoCredentials};
    for (lines, expected) in [
        (&["Authorization:"][..], BadCredential),
        (&["Authorization:Bearer"], BadCredential),
        (&["Authorization:Bearer "], BadCredential),
        (&["Authorization:Bearer   "], BadCredential),
        (&["Authorization: Bearer x"], BadCredential),
        (&["Authorization:Bearer x "], BadCredential),
        (&["Authorization:Bearer x y"], BadCredential),
        (&["Authorization:Bearer\tx"], BadCredential),
        (&["Authorization:Bearer \tx"], BadCredential),
        (&["Authorization:Bearer x\ty"], BadCredential),
        (&["Authorization:Bearer: x"], BadCredential),
        (&["Authorization:Bearer,x"], BadCredential),
        (&["Authorization:Bearer x,Bearer y"], BadCredential),
        (&["Authorization:Bearer x,"], BadCredential),
        (&["Authorization:Bearer ä"], BadCredential),
        (&["Authorization:Bearer x\u{a0}"], BadCredential),
        (&["Authorization:sk_live_x"], BadCredential),
        (&["Authorization:Digest x"], BadCredential),
        (&["Authorization:BearerToken x"], BadCredential),
        (
            &["Authorization:Bearer x", "Authorization:Bearer y"],
            TwoCredentials,
        ),
        (
            &["Authorization:Bearer x", "authorization:Bearer x"],
            TwoCredentials,
        ),
        (
            &["Authorization:Bearer x", "Authorization:"],
            TwoCredentials,
        ),
        (
            &["Authorization:Basic x", "Authorization:Bearer x"],
            TwoCredentials,
        ),
    ] {
        assert_eq!(credential(&headers(lines)), Err(expected), "{lines:?}");
    }
}

#[test]
fn a_credential_is_bounded_on_both_sides() {
    let sized = |len: usize| headers(&[&format!("Authorization:Bearer {}", "x".repeat(len))]);

    assert!(credential(&sized(limits::CREDENTIAL_BYTES_MAX)).is_ok());
    assert_eq!(
        credential(&sized(limits::CREDENTIAL_BYTES_MAX + 1)),
        Err(HeaderError::LongCredential)
    );
}

#[test]
fn a_credential_is_not_printed() {
    let headers = headers(&["Authorization:Bearer hunter2"]);

    assert_eq!(format!("{:?}", credential(&headers)), "Ok(Some(Bearer(…)))");
}

#[test]
fn a_run_as_wish_has_four_names() {
    use RunAsHeader::{Email, UserId};
    for (line, expected) in [
        ("X-RunAs-User-ID:usr_1", UserId("usr_1")),
        ("x-runas-user-id:usr_1", UserId("usr_1")),
        ("X-RUNAS-USERID:usr_1", UserId("usr_1")),
        ("X-RunAs-User-Email:a@example.com", Email("a@example.com")),
        (
            "X-RunAs-Child-User-Email:a@example.com",
            Email("a@example.com"),
        ),
    ] {
        assert_eq!(run_as(&headers(&[line])), Ok(Some(expected)), "{line}");
    }
    for lines in [
        &[][..],
        &["X-Timezone:UTC"],
        &["X-Running:1"],
        &["Connection:keep-alive, Upgrade"],
        &["Connection:close"],
    ] {
        assert_eq!(run_as(&headers(lines)), Ok(None), "{lines:?}");
    }
}

#[test]
fn a_run_as_wish_that_cannot_be_read_is_never_ignored() {
    use HeaderError::{BadRunAs, RunAsInConnection, TwoRunAs, UnknownRunAs};
    const WISH: &str = "X-RunAs-User-ID:usr_1";
    for (lines, expected) in [
        // Names that are none of the four.
        (&["X-RunAs:usr_1"][..], UnknownRunAs),
        (&["X-RunAs-User:usr_1"], UnknownRunAs),
        (&["X-RunAs-User-IDs:usr_1"], UnknownRunAs),
        (&["X-RunAs-User-ID-:usr_1"], UnknownRunAs),
        (&["X_RunAs_User_ID:usr_1"], UnknownRunAs),
        (&["X-RunAs_User-ID:usr_1"], UnknownRunAs),
        (&["X.RunAs.User.ID:usr_1"], UnknownRunAs),
        (&["x_runas.user-email:a@example.com"], UnknownRunAs),
        (&["X-RunAs-Child-User-ID:usr_1"], UnknownRunAs),
        (&["X-RunAsUser:usr_1"], UnknownRunAs),
        (&[WISH, "X_RunAs_User_ID:usr_2"], UnknownRunAs),
        // More than one.
        (&[WISH, WISH], TwoRunAs),
        (&[WISH, "x-runas-user-id:usr_2"], TwoRunAs),
        (&[WISH, "X-RunAs-UserId:usr_1"], TwoRunAs),
        (&[WISH, "X-RunAs-User-Email:a@example.com"], TwoRunAs),
        (&[WISH, "X-RunAs-User-ID:"], TwoRunAs),
        (
            &[
                "X-RunAs-User-Email:a@example.com",
                "X-RunAs-Child-User-Email:a@example.com",
            ],
            TwoRunAs,
        ),
        // Values.
        (&["X-RunAs-User-ID:"], BadRunAs),
        (&["X-RunAs-User-ID: "], BadRunAs),
        (&["X-RunAs-User-ID: usr_1"], BadRunAs),
        (&["X-RunAs-User-ID:usr_1 "], BadRunAs),
        (&["X-RunAs-User-ID:usr_1\tusr_2"], BadRunAs),
        (&["X-RunAs-User-ID:usr_1,usr_2"], BadRunAs),
        (&["X-RunAs-User-ID:usr_1, usr_2"], BadRunAs),
        (&["X-RunAs-User-ID:,"], BadRunAs),
        (&["X-RunAs-User-Email:ä@example.com"], BadRunAs),
        (&["X-RunAs-User-Email:a@example.com\u{a0}"], BadRunAs),
        // A proxy in front may have removed it, or another one.
        (&[WISH, "Connection:x-runas-user-id"], RunAsInConnection),
        (&["Connection:X-RunAs-User-ID"], RunAsInConnection),
        (&["Connection:close, X-RunAs-User-Email"], RunAsInConnection),
        (&["Connection:close,x-runas-userid"], RunAsInConnection),
        (&["Connection:close;x-runas-userid"], RunAsInConnection),
        (
            &["Connection:close", "Connection:x-runas-user-id"],
            RunAsInConnection,
        ),
        (&["Connection:\tX_RunAs_User_ID"], RunAsInConnection),
        (&["Connection:ä, X-RunAs-User-ID"], RunAsInConnection),
    ] {
        assert_eq!(run_as(&headers(lines)), Err(expected), "{lines:?}");
    }
}

#[test]
fn a_run_as_wish_is_bounded_on_both_sides() {
    let sized = |len: usize| headers(&[&format!("X-RunAs-User-Email:{}", "x".repeat(len))]);

    assert!(run_as(&sized(limits::RUN_AS_BYTES_MAX)).is_ok());
    assert_eq!(
        run_as(&sized(limits::RUN_AS_BYTES_MAX + 1)),
        Err(HeaderError::BadRunAs)
    );
}

#[test]
fn a_wish_for_what_is_no_account_is_a_wish() {
    assert_eq!(RunAs::from(RunAsHeader::UserId("nobody")), RunAs::Id(None));
    assert_eq!(
        RunAs::from(RunAsHeader::Email("nobody")),
        RunAs::Email(None)
    );
    assert!(matches!(
        RunAs::from(RunAsHeader::Email("A@Example.com")),
        RunAs::Email(Some(email)) if email == Email::parse("a@example.com").unwrap()
    ));
}

#[test]
fn the_origin_is_told_as_written() {
    for (lines, expected) in [
        (&[][..], Ok(None)),
        (&["Referer:https://example.com/"], Ok(None)),
        (
            &["Origin:https://example.com"],
            Ok(Some("https://example.com")),
        ),
        (&["Origin:null"], Ok(Some("null"))),
        (&["Origin:"], Ok(Some(""))),
        (&["Origin:ä"], Err(HeaderError::Malformed("Origin"))),
        (
            &["Origin:https://a.example", "Origin:https://b.example"],
            Err(HeaderError::Repeated("Origin")),
        ),
    ] {
        assert_eq!(origin(&headers(lines)), expected, "{lines:?}");
    }
}

#[test]
fn each_dimension_is_named_at_most_once() {
    let named = binding_headers(&headers(&[
        "X-Project-ID:p1",
        "x-workspace-id:w1",
        "X-Bot-ID:b1",
        "X-Integration-ID:i1",
    ]))
    .unwrap();
    let named: Vec<(Dimension, &str)> = named
        .iter()
        .map(|(dimension, value)| (*dimension, value.as_str()))
        .collect();
    assert_eq!(
        named,
        [
            (Dimension::Project, "p1"),
            (Dimension::Workspace, "w1"),
            (Dimension::Bot, "b1"),
            (Dimension::Integration, "i1"),
        ]
    );
    assert!(binding_headers(&HeaderMap::new()).unwrap().is_empty());

    let malformed = Err(HeaderError::Malformed("x-bot-id"));
    let misspelt = Err(HeaderError::Misspelt("x-bot-id"));
    for (lines, expected) in [
        (
            &["X-Bot-ID:b1", "X-Bot-ID:b1"][..],
            Err(HeaderError::Repeated("x-bot-id")),
        ),
        (&["X-Bot-ID:"], malformed.clone()),
        (&["X-Bot-ID: b1"], malformed.clone()),
        (&["X-Bot-ID:b1,b2"], malformed.clone()),
        (&["X-Bot-ID:b1/b2"], malformed.clone()),
        (&["X-Bot-ID:*"], malformed.clone()),
        (&["X-Bot-ID:bä"], malformed),
        (&["X_Bot_ID:b1"], misspelt.clone()),
        (&["X-Bot-ID:b1", "x-bot_id:b2"], misspelt.clone()),
        (&["X-Bot-ID:b1", "X.Bot.ID:b1"], misspelt),
    ] {
        assert_eq!(binding_headers(&headers(lines)), expected, "{lines:?}");
    }
}

#[test]
fn an_idempotency_key_is_visible_and_bounded() {
    const NAME: &str = "Idempotency-Key";
    let line = |key: &str| format!("{NAME}:{key}");
    let longest = "k".repeat(limits::IDEMPOTENCY_CHARS_MAX);

    assert_eq!(idempotency_key(&HeaderMap::new()), Ok(None));
    for key in [
        "k",
        "\"8e03978e-40d5-43e8-bc93-6894a57f9324\"",
        longest.as_str(),
    ] {
        assert_eq!(idempotency_key(&headers(&[&line(key)])), Ok(Some(key)));
    }
    let too_long = "k".repeat(limits::IDEMPOTENCY_CHARS_MAX + 1);
    for key in ["", " ", "a b", "ä", too_long.as_str()] {
        assert_eq!(
            idempotency_key(&headers(&[&line(key)])),
            Err(HeaderError::Malformed(NAME)),
            "{key}"
        );
    }
    assert_eq!(
        idempotency_key(&headers(&[&line("a"), &line("a")])),
        Err(HeaderError::Repeated(NAME))
    );
}

#[test]
fn a_method_override_is_seen_in_every_spelling() {
    for line in [
        "X-HTTP-Method-Override:DELETE",
        "x-http-method-override:",
        "X_HTTP_Method_Override:DELETE",
        "X-Method-Override:DELETE",
        "X-HTTP-Method:DELETE",
        "_method:DELETE",
    ] {
        assert!(method_override(&headers(&[line])), "{line}");
    }
    for line in ["X-Original-Method:DELETE", "Method:DELETE", "Accept:*/*"] {
        assert!(!method_override(&headers(&[line])), "{line}");
    }
}

#[test]
fn a_forwarded_address_counts_only_from_trusted_proxies() {
    let trusted: Vec<IpNet> = ["10.0.0.0/8", "2001:db8::/32"]
        .iter()
        .map(|network| network.parse().unwrap())
        .collect();
    for (peer, lines, expected) in [
        // Nobody asked a proxy.
        ("192.0.2.1", &[][..], Some("192.0.2.1")),
        (
            "192.0.2.1",
            &["X-Forwarded-For:198.51.100.1"],
            Some("192.0.2.1"),
        ),
        ("192.0.2.1", &["X-Forwarded-For:rubbish"], Some("192.0.2.1")),
        ("::ffff:192.0.2.1", &[], Some("192.0.2.1")),
        // A trusted proxy.
        ("10.0.0.1", &[], Some("10.0.0.1")),
        (
            "10.0.0.1",
            &["X-Forwarded-For:192.0.2.1"],
            Some("192.0.2.1"),
        ),
        (
            "::ffff:10.0.0.1",
            &["X-Forwarded-For:192.0.2.1"],
            Some("192.0.2.1"),
        ),
        (
            "2001:db8::1",
            &["X-Forwarded-For:192.0.2.1"],
            Some("192.0.2.1"),
        ),
        (
            "10.0.0.1",
            &["X-Forwarded-For:192.0.2.1:4711"],
            Some("192.0.2.1"),
        ),
        (
            "10.0.0.1",
            &["X-Forwarded-For:[2001:db9::1]:4711"],
            Some("2001:db9::1"),
        ),
        (
            "10.0.0.1",
            &["X-Forwarded-For:2001:db9::1"],
            Some("2001:db9::1"),
        ),
        // What the client wrote stands left.
        (
            "10.0.0.1",
            &["X-Forwarded-For:203.0.113.9, 192.0.2.1"],
            Some("192.0.2.1"),
        ),
        (
            "10.0.0.1",
            &["X-Forwarded-For:10.0.0.9, 192.0.2.1"],
            Some("192.0.2.1"),
        ),
        (
            "10.0.0.1",
            &["X-Forwarded-For:rubbish,192.0.2.1"],
            Some("192.0.2.1"),
        ),
        (
            "10.0.0.1",
            &["X-Forwarded-For:192.0.2.1, 10.0.0.2"],
            Some("192.0.2.1"),
        ),
        (
            "10.0.0.1",
            &[
                "X-Forwarded-For:203.0.113.9",
                "X-Forwarded-For:192.0.2.1",
                "X-Forwarded-For:10.0.0.2",
            ],
            Some("192.0.2.1"),
        ),
        (
            "10.0.0.1",
            &["X-Forwarded-For:10.0.0.3, 10.0.0.2"],
            Some("10.0.0.3"),
        ),
        // Not to be read.
        ("10.0.0.1", &["X-Forwarded-For:"], None),
        ("10.0.0.1", &["X-Forwarded-For:unknown"], None),
        ("10.0.0.1", &["X-Forwarded-For:192.0.2.1,"], None),
        (
            "10.0.0.1",
            &["X-Forwarded-For:192.0.2.1, unknown, 10.0.0.2"],
            None,
        ),
        ("10.0.0.1", &["X-Forwarded-For:192.0.2.1 10.0.0.2"], None),
        ("10.0.0.1", &["X-Forwarded-For:192.0.2.01"], None),
        ("10.0.0.1", &["X-Forwarded-For:192.0.2.1:99999"], None),
        ("10.0.0.1", &["X-Forwarded-For:\"192.0.2.1\""], None),
        ("10.0.0.1", &["X-Forwarded-For:ä"], None),
    ] {
        let client = client_address(peer.parse().unwrap(), &headers(lines), &trusted);
        let expected = expected.map(|address| address.parse().unwrap());
        assert_eq!(client, expected, "{peer} {lines:?}");
    }
}

#[test]
fn a_long_chain_of_proxies_is_not_followed() {
    let trusted = ["10.0.0.0/8".parse().unwrap()];
    let peer = "10.0.0.1".parse().unwrap();
    let chain = |hops: usize| {
        let proxies = vec!["10.0.0.2"; hops - 1].join(",");
        headers(&[&format!("X-Forwarded-For:192.0.2.1,{proxies}")])
    };

    assert!(client_address(peer, &chain(HOPS_MAX), &trusted).is_some());
    assert_eq!(client_address(peer, &chain(HOPS_MAX + 1), &trusted), None);
}

#[test]
fn a_user_agent_is_made_fit_for_people() {
    let long = "x".repeat(USER_AGENT_CHARS_MAX + 1);
    for (lines, expected) in [
        (&[][..], None),
        (&["User-Agent:"], None),
        (&["User-Agent: \t "], None),
        (&["User-Agent:curl/8.0"], Some("curl/8.0")),
        (&["User-Agent:a\tb\u{85}c"], Some("abc")),
        (&["User-Agent:bot ä"], Some("bot ä")),
        (&["User-Agent:first", "User-Agent:second"], Some("first")),
        (&[format!("User-Agent:{long}").as_str()], long.get(1..)),
    ] {
        assert_eq!(
            user_agent(&headers(lines)).as_deref(),
            expected,
            "{lines:?}"
        );
    }
    let mut latin = HeaderMap::new();
    latin.insert(USER_AGENT, HeaderValue::from_bytes(b"caf\xe9").unwrap());
    assert_eq!(user_agent(&latin).as_deref(), Some("caf\u{fffd}"));
}
