use serde_json::json;

use super::*;
use crate::token::PrivateKey;

#[test]
fn a_key_survives_a_round_trip_through_its_jwk() {
    for alg in Algorithm::ALL {
        let key = PrivateKey::generate(alg).unwrap();
        let jwk = serde_json::to_value(key.public().jwk()).unwrap();

        assert_eq!(PublicKey::from_jwk(&jwk), Ok(key.public().clone()));
    }
}

/// A member that is not in this list is never published, least of all a private one.
#[test]
fn only_listed_members_are_published() {
    let members = [
        (
            Algorithm::Es256,
            &["alg", "crv", "kid", "kty", "use", "x", "y"][..],
        ),
        (Algorithm::EdDsa, &["alg", "crv", "kid", "kty", "use", "x"]),
        (Algorithm::Rs256, &["alg", "e", "kid", "kty", "n", "use"]),
    ];
    for (alg, members) in members {
        let key = PrivateKey::generate(alg).unwrap();
        let jwk = serde_json::to_value(key.public().jwk()).unwrap();

        let published: Vec<_> = jwk.as_object().unwrap().keys().collect();

        assert_eq!(published, members);
        assert_eq!(jwk["alg"], alg.as_str());
        assert_eq!(jwk["use"], "sig");
    }
}

/// RFC 7638 §3.1.
#[test]
fn the_thumbprint_is_that_of_the_rfc() {
    let jwk = json!({
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29"
    });

    let key = PublicKey::from_jwk(&jwk).unwrap();

    assert_eq!(key.kid(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

/// RFC 8037, appendix A.3.
#[test]
fn the_thumbprint_of_an_ed25519_key_is_that_of_the_rfc() {
    let jwk = json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "alg": "EdDSA"
    });

    let key = PublicKey::from_jwk(&jwk).unwrap();

    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

fn es256() -> Value {
    json!({
        "alg": "ES256",
        "use": "sig",
        "kid": "kid-ec-sign",
        "kty": "EC",
        "crv": "P-256",
        "x": "04N0xi21hshyvBp7I167sbE_bXqyqkAPfefdklMO7wY",
        "y": "UI8exy-C06a7DUnjIdENkxeFtHM4-l_41LqEw9nVgmw"
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut jwk = es256();
    jwk[name] = value;
    jwk
}

fn without(name: &str) -> Value {
    let mut jwk = es256();
    jwk.as_object_mut().unwrap().remove(name);
    jwk
}

#[test]
fn a_jwk_that_is_not_strictly_ours_is_refused() {
    use JwkError::{Algorithm, Disagrees, Encoding, Member, NotAnObject, Purpose};
    assert!(PublicKey::from_jwk(&es256()).is_ok());
    assert!(PublicKey::from_jwk(&without("kid")).is_ok());
    assert!(PublicKey::from_jwk(&without("use")).is_ok());
    assert!(PublicKey::from_jwk(&with("key_ops", json!(["verify"]))).is_ok());
    let short = "04N0xi21hshyvBp7I167sbE_bXqyqkAPfefdklMO7w";
    let cases = [
        (json!([es256()]), NotAnObject),
        (json!("x"), NotAnObject),
        (Value::Null, NotAnObject),
        (without("alg"), Member { name: "alg" }),
        (with("alg", json!(["ES256"])), Member { name: "alg" }),
        (with("alg", json!("none")), Algorithm),
        (with("alg", json!("HS256")), Algorithm),
        (with("alg", json!("ES384")), Algorithm),
        (with("alg", json!("EdDSA")), Disagrees { name: "kty" }),
        (with("alg", json!("RS256")), Disagrees { name: "kty" }),
        (with("kty", json!("RSA")), Disagrees { name: "kty" }),
        (with("kty", json!("ec")), Disagrees { name: "kty" }),
        (without("kty"), Member { name: "kty" }),
        (with("crv", json!("P-384")), Disagrees { name: "crv" }),
        (without("crv"), Member { name: "crv" }),
        (with("use", json!("enc")), Purpose),
        (with("use", Value::Null), Purpose),
        (with("key_ops", json!(["sign"])), Purpose),
        (with("key_ops", json!("verify")), Purpose),
        (with("x", json!(short)), Encoding { name: "x" }),
        (with("x", json!("")), Encoding { name: "x" }),
        (
            with("x", json!(format!("{short}Y="))),
            Encoding { name: "x" },
        ),
        (
            with("x", json!(format!("{short}Z"))),
            Encoding { name: "x" },
        ),
        (
            with("x", json!("A".repeat(100_000))),
            Encoding { name: "x" },
        ),
        (with("x", json!(1)), Member { name: "x" }),
        (without("y"), Member { name: "y" }),
    ];
    for (jwk, error) in cases {
        assert_eq!(PublicKey::from_jwk(&jwk), Err(error), "{jwk}");
    }
}

#[test]
fn a_jwk_with_a_private_member_is_refused() {
    for name in PRIVATE_MEMBERS {
        for value in [json!("AAAA"), Value::Null, json!([])] {
            assert_eq!(
                PublicKey::from_jwk(&with(name, value)),
                Err(JwkError::Private { name })
            );
        }
    }
}

#[test]
fn an_rsa_number_with_leading_zeros_is_refused() {
    let key = PrivateKey::generate(Algorithm::Rs256).unwrap();
    let mut jwk = serde_json::to_value(key.public().jwk()).unwrap();
    jwk["e"] = json!("AAEAAQ");

    assert_eq!(
        PublicKey::from_jwk(&jwk),
        Err(JwkError::Encoding { name: "e" })
    );
}
