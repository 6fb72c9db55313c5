//! Signatures of webhooks. The first vector is from the specification of Standard Webhooks.

use super::*;
use crate::entropy::SeededEntropy;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const AT: &str = "1614265330";
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn now(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_614_265_330 + secs)
}

fn check(headers: WebhookHeaders<'_>, body: &[u8], now: Timestamp) -> Result<(), WebhookError> {
    verify_webhook(SECRET, headers, body, now, WEBHOOK_TOLERANCE_SECS)
}

fn headers(signature: &str) -> WebhookHeaders<'_> {
    WebhookHeaders {
        id: ID,
        timestamp: AT,
        signature,
    }
}

#[test]
fn the_signature_is_that_of_standard_webhooks() {
    let secret = WebhookSecret::parse(SECRET).unwrap();

    assert_eq!(secret.sign(ID, AT, BODY), SIGNATURE);
    assert_eq!(check(headers(SIGNATURE), BODY, now(0)), Ok(()));
    assert_eq!(&*secret.expose(), SECRET);
}

#[test]
fn one_of_several_signatures_is_enough() {
    let several = format!("v1,AAAA v1a,xyz {SIGNATURE}");

    assert_eq!(check(headers(&several), BODY, now(0)), Ok(()));
    let late = format!("{}{SIGNATURE}", "v1,AAAA ".repeat(10));
    assert_eq!(
        check(headers(&late), BODY, now(0)),
        Err(WebhookError::Signature)
    );
}

#[test]
fn a_changed_body_id_or_time_does_not_fit() {
    let good = headers(SIGNATURE);

    let other_body = check(good, b"{\"test\": 2432232315}", now(0));
    let other_id = check(
        WebhookHeaders {
            id: "msg_2",
            ..good
        },
        BODY,
        now(0),
    );
    let later = WebhookHeaders {
        timestamp: "1614265331",
        ..good
    };

    assert_eq!(other_body, Err(WebhookError::Signature));
    assert_eq!(other_id, Err(WebhookError::Signature));
    assert_eq!(check(later, BODY, now(0)), Err(WebhookError::Signature));
    let bare = SIGNATURE.trim_start_matches("v1,");
    for signature in ["", "v1,", "v1", "v2,g0hM9SsE", bare] {
        assert_eq!(
            check(headers(signature), BODY, now(0)),
            Err(WebhookError::Signature),
            "{signature}"
        );
    }
}

#[test]
fn a_recorded_delivery_is_good_for_five_minutes() {
    for (secs, expected) in [
        (300, Ok(())),
        (301, Err(WebhookError::Timestamp)),
        (-300, Ok(())),
        (-301, Err(WebhookError::Timestamp)),
    ] {
        assert_eq!(
            check(headers(SIGNATURE), BODY, now(secs)),
            expected,
            "{secs}"
        );
    }
}

#[test]
fn headers_that_say_nothing_are_refused_and_never_taken_for_now() {
    let good = headers(SIGNATURE);
    for timestamp in [
        "",
        "+1614265330",
        "1614265330.0",
        " 1614265330",
        "99999999999999999999",
        "-5",
    ] {
        let bad = WebhookHeaders { timestamp, ..good };
        assert_eq!(
            check(bad, BODY, now(0)),
            Err(WebhookError::Headers),
            "{timestamp}"
        );
    }
    let nameless = WebhookHeaders { id: "", ..good };
    assert_eq!(check(nameless, BODY, now(0)), Err(WebhookError::Headers));
}

#[test]
fn a_secret_has_one_form_and_is_not_printed() {
    let secret = WebhookSecret::generate(&SeededEntropy::new(3)).unwrap();
    let text = secret.expose();

    assert!(WebhookSecret::parse(&text).is_ok());
    assert_eq!(format!("{secret:?}"), "WebhookSecret(…)");
    let bare = text.trim_start_matches("whsec_");
    for bad in ["", "whsec_", "whsec_AAAA", "whsec_!", bare] {
        assert!(WebhookSecret::parse(bad).is_err(), "{bad}");
        let refused = verify_webhook(bad, headers(SIGNATURE), BODY, now(0), 300);
        assert_eq!(refused, Err(WebhookError::Secret(BadWebhookSecret)));
    }
}

#[test]
fn the_simple_signature_is_keyed_with_the_text_of_the_secret() {
    let secret = WebhookSecret::parse(SECRET).unwrap();

    // printf '%s' '{"test": 2432232314}' | openssl dgst -sha256 -hmac "$SECRET"
    assert_eq!(secret.sign_simple(BODY), SIMPLE);
}

const SIMPLE: &str = "sha256=80ec8a89ce3cd22133a1066caecb4d04fea7467657c8514d717ec42c38a5c94c";
