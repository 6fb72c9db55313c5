use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::token::jws::sign_compact;
use crate::token::support::{
    AUDIENCE, ISSUER, NOW, OurKeys, claims, expected, forge, header, key, payload,
};
use crate::token::{Algorithm, ClaimReason};

fn sign(claims: &Claims) -> String {
    let key = key(Algorithm::EdDsa);
    sign_compact(SESSION_TYP, &claims.to_json().unwrap(), key).unwrap()
}

fn sign_value(payload: &Value) -> String {
    let key = key(Algorithm::EdDsa);
    sign_compact(SESSION_TYP, payload.to_string().as_bytes(), key).unwrap()
}

/// The answer, after making sure that both functions agree on it.
fn verify_as(token: &str, expected: &Expected, now: Timestamp) -> Result<Claims, TokenError> {
    let answer = verify_token(token, &OurKeys, expected, now);
    let explained = explain(token, &OurKeys, expected, now);
    assert_eq!(explained.refusal, answer.as_ref().err().copied());
    assert_eq!(explained.checks.len(), 12);
    if let Ok(claims) = &answer {
        assert_eq!(explained.claims.as_ref(), Some(claims));
        let all_passed = explained
            .checks
            .iter()
            .all(|check| check.1 == Outcome::Passed);
        assert!(all_passed);
    }
    answer
}

fn verify(token: &str) -> Result<Claims, TokenError> {
    verify_as(token, &expected(), NOW)
}

#[test]
fn a_genuine_token_is_accepted_with_each_algorithm() {
    for alg in Algorithm::ALL {
        let token = sign_compact(SESSION_TYP, &claims().to_json().unwrap(), key(alg)).unwrap();

        assert_eq!(verify(&token), Ok(claims()));
        assert!(token.len() < 1400, "{alg}: {}", token.len());
    }
}

#[test]
fn a_token_of_another_type_is_refused_before_its_key_is_looked_for() {
    #[derive(Debug)]
    struct NeverAsked;
    impl KeySource for NeverAsked {
        fn find(&self, kid: &str) -> Option<&PublicKey> {
            panic!("asked for {kid}")
        }
    }
    let payload = claims().to_json().unwrap();
    for typ in [
        "JWT",
        "jwt",
        "AT+JWT",
        "application/at+jwt",
        "at+jwt ",
        "",
        "logout+jwt",
    ] {
        let token = sign_compact(typ, &payload, key(Algorithm::EdDsa)).unwrap();
        assert_eq!(
            verify_token(&token, &NeverAsked, &expected(), NOW),
            Err(TokenError::Type),
            "{typ}"
        );
    }
}

#[test]
fn a_key_that_is_not_known_is_refused() {
    let stranger = crate::token::PrivateKey::generate(Algorithm::EdDsa).unwrap();
    let payload = claims().to_json().unwrap();
    let token = sign_compact(SESSION_TYP, &payload, &stranger).unwrap();
    assert_eq!(verify(&token), Err(TokenError::UnknownKey));

    // The stranger signs under the name of our key.
    let ours = header(key(Algorithm::EdDsa)).to_string();
    let token = forge(&ours, &payload, &stranger);
    assert_eq!(verify(&token), Err(TokenError::Signature));

    // Our name, the stranger's algorithm.
    let stranger = crate::token::PrivateKey::generate(Algorithm::Es256).unwrap();
    let mut header = header(key(Algorithm::EdDsa));
    header["alg"] = json!("ES256");
    let token = forge(&header.to_string(), &payload, &stranger);
    assert_eq!(verify(&token), Err(TokenError::KeyAlgorithm));
}

#[test]
fn the_issuer_is_compared_byte_by_byte() {
    for iss in [
        "https://auth.example.com/",
        "https://auth.example.com/test",
        "https://AUTH.example.com",
        "http://auth.example.com",
        "https://auth.example.com\0",
        "auth.example.com",
    ] {
        let token = sign(&Claims {
            iss: iss.to_owned(),
            ..claims()
        });
        assert_eq!(
            verify(&token),
            Err(TokenError::check_failed("iss")),
            "{iss}"
        );
    }
}

#[test]
fn the_audience_is_one_of_those_accepted() {
    let manage = "https://auth.example.com/manage";
    let token = sign(&Claims {
        aud: manage.to_owned(),
        ..claims()
    });
    let accepting = |audiences| {
        let expected = Expected {
            audiences,
            ..expected()
        };
        verify_as(&token, &expected, NOW).map(|_| ())
    };
    let refused = Err(TokenError::check_failed("aud"));

    assert_eq!(
        accepting(Audiences::OneOf(vec![AUDIENCE.to_owned()])),
        refused
    );
    assert_eq!(accepting(Audiences::OneOf(Vec::new())), refused);
    assert_eq!(
        accepting(Audiences::OneOf(vec![ISSUER.to_owned()])),
        refused
    );
    let both = vec![AUDIENCE.to_owned(), manage.to_owned()];
    assert_eq!(accepting(Audiences::OneOf(both)), Ok(()));
    assert_eq!(accepting(Audiences::Any), Ok(()));
}

#[test]
fn a_token_ends_at_the_very_millisecond() {
    let token = sign(&claims());
    let end = Timestamp::from_secs(claims().exp);

    assert!(verify_as(&token, &expected(), end.plus_millis(-1)).is_ok());
    assert_eq!(
        verify_as(&token, &expected(), end),
        Err(TokenError::Expired)
    );
    let patient = Expected {
        leeway: Leeway::from_secs(5).unwrap(),
        ..expected()
    };
    assert_eq!(verify_as(&token, &patient, end), Err(TokenError::Expired));
}

#[test]
fn a_token_begins_at_nbf() {
    let token = sign(&claims());
    let begin = Timestamp::from_secs(claims().nbf);
    let early = Err(TokenError::NotYetValid { claim: "nbf" });
    let patient = Expected {
        leeway: Leeway::from_secs(5).unwrap(),
        ..expected()
    };

    assert!(verify_as(&token, &expected(), begin).is_ok());
    assert_eq!(verify_as(&token, &expected(), begin.plus_millis(-1)), early);
    assert!(verify_as(&token, &patient, begin.plus_secs(-5)).is_ok());
    assert_eq!(
        verify_as(&token, &patient, begin.plus_millis(-5_001)),
        early
    );
    assert!(Leeway::from_secs(6).is_err());
}

#[test]
fn a_token_is_not_issued_in_the_future() {
    let ahead = |secs: i64| {
        let iat = NOW.secs_floor() + secs;
        let token = sign(&Claims {
            iat,
            exp: iat + 900,
            ..claims()
        });
        verify(&token).map(|_| ())
    };

    assert_eq!(ahead(60), Ok(()));
    assert_eq!(ahead(61), Err(TokenError::NotYetValid { claim: "iat" }));
}

#[test]
fn a_lifetime_is_positive_and_at_most_a_day() {
    let living = |secs: i64| {
        let iat = claims().iat;
        let token = sign(&Claims {
            exp: iat + secs,
            ..claims()
        });
        verify(&token).map(|_| ())
    };
    let refused = Err(TokenError::check_failed("exp"));

    assert_eq!(living(86_400), Ok(()));
    assert_eq!(living(86_401), refused);
    assert_eq!(living(0), refused);
    assert_eq!(living(-1), refused);
    assert_eq!(living(11), Ok(()));
}

#[test]
fn a_bound_token_is_refused_while_nobody_can_prove_possession() {
    let token = sign(&Claims {
        cnf: json!({"jkt": "x"}).as_object().cloned(),
        ..claims()
    });

    assert_eq!(verify(&token), Err(TokenError::check_failed("cnf")));
}

#[test]
fn the_end_of_time_does_not_overflow() {
    let token = sign(&claims());
    for now in [i64::MIN, -1, 0, i64::MAX] {
        assert!(verify_as(&token, &expected(), Timestamp::from_millis(now)).is_err());
    }
    for (iat, exp) in [(0, 253_402_300_799), (253_402_300_799, 0)] {
        let token = sign(&Claims {
            iat,
            exp,
            ..claims()
        });
        assert!(verify(&token).is_err());
    }
}

#[test]
fn an_explanation_goes_on_behind_a_failed_claim() {
    let token = sign(&Claims {
        iss: "https://evil.example".to_owned(),
        aud: "other".to_owned(),
        ..claims()
    });
    let late = Timestamp::from_secs(claims().exp);

    let explained = explain(&token, &OurKeys, &expected(), late);

    let failed: Vec<_> = explained
        .checks
        .iter()
        .filter(|(_, outcome)| *outcome != Outcome::Passed)
        .collect();
    assert_eq!(
        failed,
        [
            &(
                Check::Issuer,
                Outcome::Failed(TokenError::check_failed("iss"))
            ),
            &(
                Check::Audience,
                Outcome::Failed(TokenError::check_failed("aud"))
            ),
            &(Check::Expiry, Outcome::Failed(TokenError::Expired)),
        ]
    );
    assert_eq!(explained.refusal, Some(TokenError::check_failed("iss")));
    assert!(explained.claims.is_some());
}

#[test]
fn an_explanation_stops_where_nothing_can_be_believed() {
    let mut token = sign(&claims());
    token.replace_range(token.len() - 20..token.len() - 19, "!");
    let explained = explain(&token, &OurKeys, &expected(), NOW);
    assert_eq!(
        explained.checks[0],
        (Check::Form, Outcome::Failed(TokenError::Form))
    );
    assert!(
        explained.checks[1..]
            .iter()
            .all(|check| check.1 == Outcome::NotReached)
    );
    assert_eq!(explained.claims, None);

    let names: Vec<_> = explained
        .checks
        .iter()
        .map(|(check, _)| check.as_str())
        .collect();
    assert_eq!(
        names.join(" "),
        "form type key signature claims issuer audience lifetime issued_at not_before expiry unbound"
    );

    let forged = forge(
        &header(key(Algorithm::EdDsa)).to_string(),
        payload().to_string().as_bytes(),
        &crate::token::PrivateKey::generate(Algorithm::EdDsa).unwrap(),
    );
    let explained = explain(&forged, &OurKeys, &expected(), NOW);
    assert_eq!(explained.refusal, Some(TokenError::Signature));
    assert_eq!(explained.claims, None);
}

/// Each error has a name of its own, and never shows a part of the token.
#[test]
fn errors_are_named_and_silent_about_the_token() {
    let errors = [
        TokenError::TooLong,
        TokenError::Form,
        TokenError::Header,
        TokenError::Algorithm,
        TokenError::Type,
        TokenError::UnknownKey,
        TokenError::KeyAlgorithm,
        TokenError::Signature,
        TokenError::Payload,
        TokenError::UnknownClaim,
        TokenError::missing("iss"),
        TokenError::Expired,
        TokenError::NotYetValid { claim: "nbf" },
    ];
    let mut codes: Vec<_> = errors.iter().map(|error| error.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), errors.len());
    assert_eq!(TokenError::missing("iss").claim(), Some("iss"));
    assert_eq!(
        TokenError::missing("iss").reason(),
        Some(ClaimReason::Missing)
    );
    assert_eq!(TokenError::Expired.claim(), Some("exp"));
    assert_eq!(TokenError::Expired.reason(), Some(ClaimReason::CheckFailed));

    let mut payload = payload();
    payload["secret-name"] = json!("secret-value");
    let error = verify(&sign_value(&payload)).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("secret"));
}

proptest! {
    /// Any text gets an answer, and both functions give the same.
    #[test]
    fn any_text_is_answered(token in "\\PC{0,200}|[A-Za-z0-9_.=-]{0,200}|(eyJ[A-Za-z0-9_-]{0,80}[.]){2}[A-Za-z0-9_-]{0,90}") {
        prop_assert!(verify(&token).is_err());
    }

    /// Any payload that we signed gets an answer, and is accepted only as it was written.
    #[test]
    fn any_signed_payload_is_answered(at in 0_usize..400, with in any::<u8>()) {
        let key = key(Algorithm::EdDsa);
        let mut payload = claims().to_json().unwrap();
        let at = at % payload.len();
        payload[at] = with;
        let token = sign_compact(SESSION_TYP, &payload, key).unwrap();

        if let Ok(read) = verify(&token) {
            prop_assert_eq!(read.to_json().unwrap(), payload);
        }
    }
}
