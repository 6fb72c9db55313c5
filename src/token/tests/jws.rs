use serde_json::{Value, json};

use super::*;
use crate::token::support::{forge, header, key};

const PAYLOAD: &[u8] = br#"{"sub":"x"}"#;

fn read(token: &str, key: &PrivateKey) -> Result<Vec<u8>, TokenError> {
    parse_compact(token)?.verify(key.public())
}

#[test]
fn a_token_survives_a_round_trip() {
    for alg in Algorithm::ALL {
        let key = key(alg);
        let token = sign_compact("at+jwt", PAYLOAD, key).unwrap();

        let parsed = parse_compact(&token).unwrap();

        assert_eq!(parsed.alg(), alg);
        assert_eq!(parsed.kid(), key.public().kid());
        assert_eq!(parsed.typ(), "at+jwt");
        assert_eq!(parsed.verify(key.public()).unwrap(), PAYLOAD);
        assert!(token.starts_with("eyJ"));
    }
}

#[test]
fn the_type_of_a_token_cannot_break_out_of_its_header() {
    let key = key(Algorithm::EdDsa);
    let typ = r#"x","crit":["y"#;
    let token = sign_compact(typ, PAYLOAD, key).unwrap();

    assert_eq!(parse_compact(&token).unwrap().typ(), typ);
}

#[test]
fn a_key_of_another_algorithm_does_not_verify() {
    for alg in Algorithm::ALL {
        let token = sign_compact("at+jwt", PAYLOAD, key(alg)).unwrap();
        for other in Algorithm::ALL {
            if other != alg {
                assert_eq!(read(&token, key(other)), Err(TokenError::KeyAlgorithm));
            }
        }
    }
}

/// Every header but the exact one is refused, even under a right signature.
#[test]
fn a_header_has_exactly_three_members() {
    let key = key(Algorithm::Es256);
    let good = header(key);
    assert!(read(&forge(&good.to_string(), PAYLOAD, key), key).is_ok());

    let with = |name: &str, value: Value| {
        let mut header = good.clone();
        header[name] = value;
        header.to_string()
    };
    let without = |name: &str| {
        let mut header = good.clone();
        header.as_object_mut().unwrap().remove(name);
        header.to_string()
    };
    let jwk = serde_json::to_value(key.public().jwk()).unwrap();
    let text = good.to_string();
    let doubled = |member: &str| text.replacen('{', &format!("{{{member},"), 1);
    let kid = good["kid"].as_str().unwrap();
    for header in [
        with("crit", json!(["exp"])),
        with("crit", json!([])),
        with("b64", json!(false)),
        with("b64", json!(true)),
        with("jwk", jwk),
        with("jku", json!("https://evil.example/jwks.json")),
        with("x5u", json!("https://evil.example/cert.pem")),
        with("x5c", json!(["MIIB"])),
        with("x5t", json!("AAAA")),
        with("cty", json!("JWT")),
        with("zip", json!("DEF")),
        with("enc", json!("A256GCM")),
        with("nonce", json!("x")),
        with("", json!("")),
        with("kid", json!(1)),
        with("kid", json!(null)),
        with("kid", json!([kid])),
        with("kid", json!({"a": kid})),
        with("kid", json!("")),
        with("kid", json!("k".repeat(129))),
        with("typ", json!(null)),
        with("typ", json!(["at+jwt"])),
        with("alg", json!({"ES256": null})),
        with("alg", json!(["ES256"])),
        with("alg", json!(null)),
        with("alg", json!(0)),
        without("alg"),
        without("kid"),
        without("typ"),
        doubled(r#""alg":"none""#),
        doubled(r#""alg":"ES256""#),
        doubled(r#""kid":"other""#),
        doubled(r#""k\u0069d":"other""#),
        doubled(r#""typ":"at+jwt""#),
        format!("[{text}]"),
        format!("{text} {text}"),
        format!("{text}\0"),
        format!("\u{feff}{text}"),
        text.replace("\"kid\"", "\"KID\""),
        format!(r#"["ES256","at+jwt","{kid}"]"#),
        format!(r#"["ES256","{kid}","at+jwt"]"#),
        "{}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "1".to_owned(),
        "\"ES256\"".to_owned(),
        "{".to_owned(),
        "\u{0}".to_owned(),
    ] {
        let token = forge(&header, PAYLOAD, key);
        assert_eq!(read(&token, key), Err(TokenError::Header), "{header}");
    }
}

#[test]
fn only_three_algorithms_exist() {
    let key = key(Algorithm::Es256);
    for alg in [
        "none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "PS256", "ES384", "ES512",
        "ES256K", "Ed25519", "Ed448", "RS384", "RS512", "es256", "ES256 ", "dir", "RSA1_5",
    ] {
        let mut header = header(key);
        header["alg"] = json!(alg);
        let token = forge(&header.to_string(), PAYLOAD, key);

        assert_eq!(
            parse_compact(&token).err(),
            Some(TokenError::Algorithm),
            "{alg}"
        );
        let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
        assert_eq!(
            parse_compact(&unsigned).err(),
            Some(TokenError::Form),
            "{alg}"
        );
    }
}

/// The classic confusion: the public key, which everybody has, taken for a shared secret.
#[test]
fn a_public_key_is_no_shared_secret() {
    let key = key(Algorithm::Rs256);
    let public = serde_json::to_vec(key.public().jwk()).unwrap();
    let mac_key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &public);
    for alg in ["HS256", "RS256"] {
        let mut header = header(key);
        header["alg"] = json!(alg);
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(PAYLOAD)
        );
        let mac = aws_lc_rs::hmac::sign(&mac_key, signed.as_bytes());
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac));

        assert!(read(&token, key).is_err(), "{alg}");
    }
}

#[test]
fn a_token_has_one_spelling() {
    let key = key(Algorithm::EdDsa);
    let good = sign_compact("at+jwt", PAYLOAD, key).unwrap();
    let [head, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts")
    };
    assert!(read(&good, key).is_ok());

    // 64 bytes leave two characters in the last group, so the last one has four stray bits.
    let (body, last) = signature.split_at(signature.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let stray = alphabet.find(last).unwrap() + 1;
    let stray = format!("{body}{}", alphabet.get(stray..=stray).unwrap());
    for token in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        format!("{head}.{payload}"),
        format!("{head}.{payload}."),
        format!("{head}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{head}.{head}.{payload}.{signature}"),
        format!("{head}.{payload}.{signature}="),
        format!("{head}.{payload}.{signature}=="),
        format!("{head}=.{payload}.{signature}"),
        format!("{head}.{payload}=.{signature}"),
        format!("{head}.{payload}.{stray}"),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        format!("{head}.\n{payload}.{signature}"),
        format!("{head}.{payload}.{signature}\0"),
        format!("{head}.{payload}+.{signature}"),
        format!("{head}.{payload}/.{signature}"),
        format!("{head}.{payload}é.{signature}"),
        format!("{head}\u{ff0e}{payload}\u{ff0e}{signature}"),
        good.replace('.', "%2e"),
    ] {
        assert_eq!(
            parse_compact(&token).err(),
            Some(TokenError::Form),
            "{token}"
        );
    }
}

#[test]
fn every_changed_character_is_noticed() {
    for alg in Algorithm::ALL {
        let key = key(alg);
        let good = sign_compact("at+jwt", PAYLOAD, key).unwrap();
        for at in 0..good.len() {
            let mut token = good.clone().into_bytes();
            token[at] = if token[at] == b'A' { b'B' } else { b'A' };
            let token = String::from_utf8(token).unwrap();
            assert!(read(&token, key).is_err(), "{alg} at {at}");
        }
        for cut in 0..good.len() {
            assert!(
                read(good.get(..cut).unwrap(), key).is_err(),
                "{alg} cut at {cut}"
            );
        }
    }
}

#[test]
fn parts_of_two_tokens_make_no_third() {
    let key = key(Algorithm::Es256);
    let one = sign_compact("at+jwt", PAYLOAD, key).unwrap();
    let two = sign_compact("at+jwt", br#"{"sub":"y"}"#, key).unwrap();
    let mixed = format!(
        "{}.{}",
        one.rsplit_once('.').unwrap().0,
        two.rsplit_once('.').unwrap().1
    );

    assert_eq!(read(&mixed, key), Err(TokenError::Signature));
}

#[test]
fn a_signature_of_the_wrong_length_or_of_zeros_is_refused() {
    for alg in Algorithm::ALL {
        let key = key(alg);
        let token = sign_compact("at+jwt", PAYLOAD, key).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let len = URL_SAFE_NO_PAD.decode(signature).unwrap().len();
        for bytes in [
            vec![0; len],
            vec![0],
            vec![0xff; len],
            vec![1; len + 1],
            vec![0; 2 * len],
        ] {
            let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&bytes));
            assert_eq!(read(&token, key), Err(TokenError::Signature));
        }
    }
}

#[test]
fn the_length_is_bounded_before_any_work() {
    let key = key(Algorithm::EdDsa);
    let fits = (5_000..TOKEN_LEN_MAX)
        .map(|len| format!(r#"{{"sub":"{}"}}"#, "x".repeat(len)))
        .map(|payload| sign_compact("at+jwt", payload.as_bytes(), key).unwrap())
        .take_while(|token| token.len() <= TOKEN_LEN_MAX)
        .last()
        .unwrap();
    assert!(read(&fits, key).is_ok());

    for token in [
        format!("{fits}{}", "A".repeat(TOKEN_LEN_MAX + 1 - fits.len())),
        "A".repeat(1 << 20),
        ".".repeat(1 << 20),
        format!("{}.A.A", "e".repeat(1 << 20)),
    ] {
        assert_eq!(parse_compact(&token).err(), Some(TokenError::TooLong));
    }
}
