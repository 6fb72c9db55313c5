use serde_json::json;

use super::*;
use crate::token::support::key;
use crate::token::{Algorithm, KeyError};

fn jwk(alg: Algorithm) -> Value {
    serde_json::to_value(key(alg).public().jwk()).unwrap()
}

fn read(set: &Value) -> KeySet {
    KeySet::parse(set.to_string().as_bytes()).unwrap()
}

#[test]
fn the_document_does_not_depend_on_the_order_of_keys() {
    let keys = Algorithm::ALL.map(|alg| key(alg).public().jwk());
    let forward = Jwks::new(keys).render().unwrap();
    let backward = Jwks::new(keys.into_iter().rev()).render().unwrap();
    let fewer = Jwks::new(keys.into_iter().skip(1)).render().unwrap();

    assert_eq!(forward, backward);
    assert_ne!(forward.etag, fewer.etag);
    assert!(forward.etag.starts_with('"') && forward.etag.ends_with('"'));
    assert_eq!(forward.etag.len(), 45);
    let kids: Vec<_> = Jwks::new(keys)
        .keys()
        .iter()
        .map(|key| key.kid().to_owned())
        .collect();
    assert!(kids.is_sorted());
}

#[test]
fn the_form_of_the_document_is_fixed() {
    let rfc8037 = json!({
        "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "alg": "EdDSA", "kid": "ignored", "unknown": "ignored"
    });
    let key = PublicKey::from_jwk(&rfc8037).unwrap();

    let document = Jwks::new([key.jwk()]).render().unwrap();

    assert_eq!(
        String::from_utf8(document.body).unwrap(),
        r#"{"keys":[{"alg":"EdDSA","crv":"Ed25519","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","kty":"OKP","use":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#
    );
    let none: [&Jwk; 0] = [];
    assert_eq!(Jwks::new(none).render().unwrap().body, br#"{"keys":[]}"#);
}

#[test]
fn our_own_document_is_read_back_whole() {
    let keys = Algorithm::ALL.map(|alg| key(alg).public());
    let document = Jwks::new(keys.map(PublicKey::jwk)).render().unwrap();

    let set = KeySet::parse(&document.body).unwrap();

    assert_eq!(set.len(), 3);
    assert!(set.skipped().is_empty());
    for key in keys {
        assert_eq!(set.find(key.kid()), Some(key));
    }
    assert_eq!(set.find("other"), None);
}

/// One bad key is nobody else's misfortune.
#[test]
fn what_cannot_be_used_is_skipped() {
    let good = jwk(Algorithm::Es256);
    let with = |name: &str, value: Value| {
        let mut key = jwk(Algorithm::EdDsa);
        key[name] = value;
        key
    };
    let mut nameless = jwk(Algorithm::EdDsa);
    nameless.as_object_mut().unwrap().remove("kid");
    let bad = [
        json!(null),
        json!("key"),
        json!([]),
        json!({}),
        json!({"kty": "oct", "k": "AAAA", "alg": "HS256", "kid": "s"}),
        json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "pq"}),
        json!({"kty": "RSA", "use": "enc", "alg": "RSA-OAEP", "kid": "e", "n": "AQAB", "e": "AQAB"}),
        json!({"kty": "new", "alg": "new", "kid": "n", "x": {"deep": [[[[]]]]}}),
        with("kid", json!(1)),
        with("kid", json!(null)),
        with("kid", json!("")),
        with("kid", json!("k".repeat(129))),
        with("alg", json!("Ed25519")),
        with("crv", json!("Ed448")),
        with("x", json!("AA")),
        with("d", json!("AAAA")),
        nameless,
    ];
    for key in &bad {
        let set = read(&json!({"keys": [key, good, key], "more": {"x": [1]}}));
        assert_eq!(set.len(), 1, "{key}");
        assert_eq!(set.skipped().len(), 2, "{key}");
        assert_eq!(set.skipped()[1].index, 2);
    }
    let all = read(&json!({"keys": bad}));
    assert!(all.is_empty());
    assert_eq!(all.skipped().len(), bad.len());
}

#[test]
fn a_repeated_member_spoils_its_own_key_only() {
    let good = jwk(Algorithm::Es256);
    let bad = jwk(Algorithm::EdDsa)
        .to_string()
        .replacen('{', r#"{"kid":"x","#, 1);
    let text = format!(r#"{{"keys":[{bad},{good}]}}"#);

    let set = KeySet::parse(text.as_bytes()).unwrap();

    assert_eq!(set.len(), 1);
    assert!(matches!(
        set.skipped(),
        [Skipped {
            index: 0,
            reason: SkipReason::Json(StrictJsonError::Duplicate { .. })
        }]
    ));
}

#[test]
fn a_weak_key_is_skipped() {
    let identity = json!({
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k",
        "x": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    });

    let set = read(&json!({"keys": [identity]}));

    let reason = SkipReason::Key(JwkError::Key(KeyError::WeakPoint));
    assert_eq!(set.skipped(), [Skipped { index: 0, reason }]);
}

#[test]
fn two_keys_of_one_name_are_both_left_out() {
    let mut one = jwk(Algorithm::Es256);
    let mut two = jwk(Algorithm::EdDsa);
    one["kid"] = json!("same");
    two["kid"] = json!("same");
    let third = jwk(Algorithm::Rs256);

    let set = read(&json!({"keys": [one, third, two, one]}));

    assert_eq!(
        set.iter().map(|(kid, _)| kid).collect::<Vec<_>>(),
        [third["kid"].as_str().unwrap()]
    );
    assert_eq!(set.find("same"), None);
    let skipped: Vec<_> = set.skipped().iter().map(|skipped| skipped.index).collect();
    assert_eq!(skipped, [0, 2, 3]);
}

#[test]
fn a_key_that_cannot_be_used_does_not_take_a_name_away() {
    let good = jwk(Algorithm::Es256);
    let other = json!({"kty": "RSA", "use": "enc", "kid": good["kid"]});

    assert_eq!(read(&json!({"keys": [other, good]})).len(), 1);
}

#[test]
fn a_set_is_bounded() {
    let keys = |count: usize| json!({"keys": vec![json!({}); count]}).to_string();
    assert!(KeySet::parse(keys(JWKS_KEYS_MAX).as_bytes()).is_ok());
    assert_eq!(
        KeySet::parse(keys(JWKS_KEYS_MAX + 1).as_bytes()).unwrap_err(),
        KeySetError::TooManyKeys
    );
    let padded = |len: usize| format!(r#"{{"keys":[]}}{}"#, " ".repeat(len - 11));
    assert!(KeySet::parse(padded(JWKS_LEN_MAX).as_bytes()).is_ok());
    assert_eq!(
        KeySet::parse(padded(JWKS_LEN_MAX + 1).as_bytes()).unwrap_err(),
        KeySetError::TooLong
    );
}

#[test]
fn what_is_no_key_set_is_refused() {
    for text in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"keys":null}"#,
        r#"{"keys":{}}"#,
        r#"{"keys":[}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[]}{}"#,
        "<html>",
        "\u{feff}{\"keys\":[]}",
    ] {
        assert!(
            matches!(KeySet::parse(text.as_bytes()), Err(KeySetError::Json(_))),
            "{text}"
        );
    }
    let deep = format!(
        r#"{{"keys":[{}1{}]}}"#,
        "[".repeat(20_000),
        "]".repeat(20_000)
    );
    assert!(KeySet::parse(deep.as_bytes()).unwrap().is_empty());
}
