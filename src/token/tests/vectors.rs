//! Vectors of others: Wycheproof, the JOSE cookbook, and `jsonwebtoken` as a second opinion.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::jws::{parse_compact, sign_compact};
use super::low_s;
use super::support::{OurKeys, claims, expected, key};
use super::verify::{SESSION_TYP, verify_token};
use super::{Algorithm, KeySet, KeySource as _, PublicKey, TokenError};
use crate::domain::time::Timestamp;

fn read(path: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    serde_json::from_slice(&std::fs::read(folder.join(path)).unwrap()).unwrap()
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().unwrap()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn with_alg(mut jwk: Value, alg: Algorithm) -> PublicKey {
    jwk["alg"] = json!(alg.as_str());
    PublicKey::from_jwk(&jwk).unwrap()
}

/// Runs a file of raw signatures; `key` makes the key of a group, or none when we refuse it.
/// Answers how many were accepted and refused.
fn raw(file: &str, key: impl Fn(&Value) -> Option<PublicKey>) -> (usize, usize) {
    let (mut accepted, mut refused) = (0, 0);
    for group in list(&read(file), "testGroups") {
        let Some(key) = key(group) else { continue };
        for test in list(group, "tests") {
            let signature = hex(text(test, "sig"));
            let verified = key.verify(&hex(text(test, "msg")), &signature);
            // Of an ES256 signature we take one of two spellings, and the file has both.
            let is_ours = key.alg() != Algorithm::Es256 || !low_s::is_high(&signature);
            let wanted = test["result"] == "valid" && is_ours;
            assert_eq!(verified, wanted, "{file} {test}");
            *if verified {
                &mut accepted
            } else {
                &mut refused
            } += 1;
        }
    }
    (accepted, refused)
}

#[test]
fn wycheproof_ed25519() {
    let counts = raw("wycheproof/ed25519_test.json", |group| {
        Some(with_alg(group["publicKeyJwk"].clone(), Algorithm::EdDsa))
    });

    assert_eq!(counts, (88, 63));
}

fn p256(group: &Value) -> PublicKey {
    let point = hex(text(&group["publicKey"], "uncompressed"));
    let (x, y) = point[1..].split_at(32);
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)
    });
    with_alg(jwk, Algorithm::Es256)
}

#[test]
fn wycheproof_p256_in_the_form_of_jws() {
    let file = "wycheproof/ecdsa_secp256r1_sha256_p1363_test.json";

    // Of the 173 that are valid, 70 have the higher s.
    assert_eq!(raw(file, |group| Some(p256(group))), (103, 159));
}

/// DER is the form of certificates; in a JWS it is another spelling and refused.
#[test]
fn wycheproof_p256_in_der_is_refused() {
    for group in list(
        &read("wycheproof/ecdsa_secp256r1_sha256_test.json"),
        "testGroups",
    ) {
        let key = p256(group);
        for test in list(group, "tests") {
            assert!(
                !key.verify(&hex(text(test, "msg")), &hex(text(test, "sig"))),
                "{test}"
            );
        }
    }
}

#[test]
fn wycheproof_rsa() {
    let counts = raw("wycheproof/rsa_signature_2048_sha256_test.json", |group| {
        let jwk = json!({
            "kty": "RSA",
            "alg": "RS256",
            "n": URL_SAFE_NO_PAD.encode(hex(text(&group["publicKey"], "modulus").trim_start_matches("00"))),
            "e": URL_SAFE_NO_PAD.encode(hex(text(&group["publicKey"], "publicExponent"))),
        });
        let key = PublicKey::from_jwk(&jwk);
        // Two of the three groups are about the exponent 3, which we do not take.
        assert_eq!(
            key.is_ok(),
            group["publicKey"]["publicExponent"] == "010001"
        );
        key.ok()
    });

    assert_eq!(counts, (7, 250));
}

/// The parts of a JWS and its signature, without our demands on the header. What this accepts
/// beyond [`parse_compact`] is what the header rules are for.
fn signature_is_right(jws: &str, key: &PublicKey) -> bool {
    let parts: Vec<_> = jws.split('.').collect();
    let [header, _, signature] = parts[..] else {
        return false;
    };
    let signed = &jws.as_bytes()[..jws.len() - signature.len() - 1];
    let all_decode = parts
        .iter()
        .all(|part| URL_SAFE_NO_PAD.decode(part).is_ok());
    let header = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    let header: Value = serde_json::from_slice(&header).unwrap_or_default();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    // Others sign with either s; that we take the lower one only is tested where it belongs.
    if key.alg() == Algorithm::Es256 {
        signature = low_s::lowered(&signature);
    }
    all_decode && header["alg"] == key.alg().as_str() && key.verify(signed, &signature)
}

/// Runs a file of JWS; answers how many groups have a key that we take, how many signatures by
/// these keys are right, and how many are not.
fn jws_file(file: &str) -> [usize; 3] {
    let mut counts = [0; 3];
    for group in list(&read(file), "testGroups") {
        // A single key, or a set of one. What has no public part is symmetric.
        let jwk = group.get("public").unwrap_or(&group["private"]);
        let jwk = jwk.pointer("/keys/0").unwrap_or(jwk);
        let key = PublicKey::from_jwk(jwk).ok();
        counts[0] += usize::from(key.is_some());
        // A RSA key of the broken generator of 2017 looks like any other. We verify with the keys
        // of configured issuers, and do not look for it.
        let roca = text(group, "comment") == "jws_rsa_roca_key";
        for test in list(group, "tests") {
            // None of them is a token of ours: they lack `typ`, or are JWE.
            let token = test.get("jws").or(test.get("jwe")).unwrap();
            let token = token.as_str().map_or(token.to_string(), str::to_owned);
            assert!(parse_compact(&token).is_err(), "{test}");
            let Some(key) = &key else {
                continue;
            };
            let right = signature_is_right(&token, key);
            assert!(
                roca || right == (test["result"] == "valid"),
                "{file} {test}"
            );
            counts[if right { 1 } else { 2 }] += 1;
        }
    }
    counts
}

#[test]
fn wycheproof_jws() {
    assert_eq!(
        jws_file("wycheproof/json_web_signature_test.json"),
        [6, 10, 262]
    );
    assert_eq!(jws_file("wycheproof/json_web_crypto_test.json"), [3, 3, 26]);
    assert_eq!(jws_file("wycheproof/json_web_key_test.json"), [2, 2, 0]);
}

#[test]
fn wycheproof_jwe_are_no_tokens() {
    for group in list(
        &read("wycheproof/json_web_encryption_test.json"),
        "testGroups",
    ) {
        for test in list(group, "tests") {
            let jwe = test["jwe"]
                .as_str()
                .map_or(test["jwe"].to_string(), str::to_owned);
            let error = parse_compact(&jwe).err();
            let refused = [
                Some(TokenError::Form),
                Some(TokenError::Header),
                Some(TokenError::TooLong),
            ];
            assert!(refused.contains(&error), "{error:?} {test}");
        }
    }
}

/// Keys that must not verify anything are not in the set that is made of them.
#[test]
fn wycheproof_key_sets() {
    let mut usable = 0;
    for group in list(&read("wycheproof/json_web_key_test.json"), "testGroups") {
        let set = group.get("public").unwrap_or(&group["private"]);
        let keys = KeySet::parse(set.to_string().as_bytes()).unwrap();
        for test in list(group, "tests") {
            let jws = text(test, "jws");
            let header = URL_SAFE_NO_PAD
                .decode(jws.split('.').next().unwrap())
                .unwrap();
            let header: Value = serde_json::from_slice(&header).unwrap();
            let key = header["kid"].as_str().and_then(|kid| keys.find(kid));
            let verified = key.is_some_and(|key| signature_is_right(jws, key));
            let roca = text(group, "comment") == "jws_rsa_roca_key";
            let symmetric = text(&header, "alg").starts_with("HS");
            if symmetric {
                assert!(!verified, "{test}");
            } else if !roca {
                assert_eq!(verified, test["result"] == "valid", "{test}");
            }
            usable += usize::from(verified);
        }
    }
    // One good key, and the broken generator's.
    assert_eq!(usable, 2);
}

fn cookbook() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/jose-cookbook");
    let mut found = Vec::new();
    for sub in ["", "jws", "rfc7797", "curve25519", "jwk"] {
        for entry in std::fs::read_dir(folder.join(sub)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "json") {
                let value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
                found.push((path.display().to_string(), value));
            }
        }
    }
    found
}

/// Every example of the RFCs is refused as a session token: JSON forms, detached payloads,
/// unencoded payloads, other algorithms, encrypted tokens, headers without `typ`.
#[test]
fn the_examples_of_the_rfcs_are_no_session_tokens() {
    let mut seen = 0;
    for (path, example) in cookbook() {
        let nested = &example["encrypt"]["output"];
        for output in [&example["output"], nested] {
            for form in ["compact", "json", "json_flat"] {
                let Some(token) = output.get(form) else {
                    continue;
                };
                let token = token.as_str().map_or(token.to_string(), str::to_owned);
                assert!(parse_compact(&token).is_err(), "{path} {form}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 34);
}

/// The two that are signed with algorithms of ours have right signatures.
#[test]
fn signatures_of_the_rfcs_verify() {
    let rs256 = read("jose-cookbook/jws/4_1.rsa_v15_signature.json");
    let rsa = with_alg(
        read("jose-cookbook/jwk/3_3.rsa_public_key.json"),
        Algorithm::Rs256,
    );
    assert!(signature_is_right(text(&rs256["output"], "compact"), &rsa));

    let eddsa = read("jose-cookbook/curve25519/jws.json");
    let mut jwk = eddsa["input"]["key"].clone();
    jwk.as_object_mut().unwrap().remove("d");
    let ed25519 = with_alg(jwk, Algorithm::EdDsa);
    assert!(signature_is_right(
        text(&eddsa["output"], "compact"),
        &ed25519
    ));
}

#[test]
fn private_keys_of_the_rfcs_are_refused_as_public_ones() {
    for (path, mut jwk) in cookbook() {
        if path.contains("/jwk/") {
            jwk["alg"] = json!("RS256");
            let is_public_rsa = path.ends_with("3_3.rsa_public_key.json");
            assert_eq!(PublicKey::from_jwk(&jwk).is_ok(), is_public_rsa, "{path}");
        }
    }
}

mod jsonwebtoken_as_second_opinion {
    use jsonwebtoken::jwk::Jwk;
    use jsonwebtoken::{DecodingKey, Validation};

    use super::*;
    use crate::token::support::{AUDIENCE, ISSUER, forge, header, payload};

    fn algorithm(alg: Algorithm) -> jsonwebtoken::Algorithm {
        match alg {
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        }
    }

    /// As many would write it. Its clock is the machine's, so the tests use a distant `exp`.
    fn decode(token: &str, alg: Algorithm) -> Result<Value, jsonwebtoken::errors::Error> {
        let jwk = serde_json::to_value(key(alg).public().jwk()).unwrap();
        let jwk: Jwk = serde_json::from_value(jwk).unwrap();
        let decoding = DecodingKey::from_jwk(&jwk).unwrap();
        let mut validation = Validation::new(algorithm(alg));
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        jsonwebtoken::decode::<Value>(token, &decoding, &validation).map(|data| data.claims)
    }

    #[test]
    fn it_reads_our_tokens_with_our_published_keys() {
        for alg in Algorithm::ALL {
            let mut claims = claims();
            claims.exp = 4_000_000_000;
            let token = sign_compact(SESSION_TYP, &claims.to_json().unwrap(), key(alg)).unwrap();

            let read = decode(&token, alg).unwrap();

            assert_eq!(read, serde_json::to_value(&claims).unwrap());
        }
    }

    #[test]
    fn we_read_its_tokens() {
        for alg in Algorithm::ALL {
            let der = key(alg).to_pkcs8().unwrap();
            let encoding = match alg {
                Algorithm::Es256 => jsonwebtoken::EncodingKey::from_ec_der(&der),
                Algorithm::EdDsa => jsonwebtoken::EncodingKey::from_ed_der(&der),
                // It wants the inner PKCS #1 structure, which we do not write.
                Algorithm::Rs256 => continue,
            };
            let mut header = jsonwebtoken::Header::new(algorithm(alg));
            header.typ = Some(SESSION_TYP.to_owned());
            header.kid = Some(key(alg).public().kid().to_owned());

            let token = jsonwebtoken::encode(&header, &payload(), &encoding).unwrap();
            // It signs with either s, as the standard allows.
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            if alg == Algorithm::Es256 {
                signature = low_s::lowered(&signature);
            }
            let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));

            let now = Timestamp::from_secs(claims().iat);
            assert_eq!(
                verify_token(&token, &OurKeys, &expected(), now),
                Ok(claims())
            );
        }
    }

    /// FACTS §1 and THREATS §3: what it accepts with the usual settings, and we must not.
    #[test]
    fn what_it_wrongly_accepts_we_refuse() {
        let alg = Algorithm::Es256;
        let good_header = header(key(alg));
        let good = {
            let mut payload = payload();
            payload["exp"] = json!(payload["iat"].as_i64().unwrap() + 900);
            payload
        };
        let with_header = |name: &str, value: Value| {
            let mut header = good_header.clone();
            header[name] = value;
            (header.to_string(), good.to_string())
        };
        let with_claim = |name: &str, value: Value| {
            let mut payload = good.clone();
            payload[name] = value;
            (good_header.to_string(), payload.to_string())
        };
        let without_claims = |names: &[&str]| {
            let mut payload = good.clone();
            for name in names {
                payload.as_object_mut().unwrap().remove(*name);
            }
            (good_header.to_string(), payload.to_string())
        };
        let exp = good["exp"].as_i64().unwrap();
        let doubled = good
            .to_string()
            .replacen('{', r#"{"allowedRoutes":["x"],"#, 1);
        let accepted_by_it = [
            without_claims(&["iss", "aud"]),
            with_claim("iss", json!(1)),
            with_claim("aud", json!({"x": AUDIENCE})),
            with_claim("iss", json!(["https://evil.example", ISSUER])),
            with_claim("aud", json!(["https://evil.example", AUDIENCE])),
            with_header("crit", json!(["b64"])),
            with_header("crit", json!([])),
            with_header("b64", json!(false)),
            with_header("typ", json!("logout+jwt")),
            with_header("jku", json!("https://evil.example")),
            with_claim("iat", json!(exp + 1_000_000)),
            with_claim("nbf", json!(exp - 1)),
            with_claim("exp", json!(exp + 1_000_000_000)),
            with_claim("exp", json!(1e18)),
            with_claim("jti", json!(null)),
            without_claims(&["iat", "nbf", "jti", "client_id", "sub"]),
            (good_header.to_string(), doubled),
        ];
        let now = Timestamp::from_secs(claims().iat);
        let fine = forge(
            &good_header.to_string(),
            good.to_string().as_bytes(),
            key(alg),
        );
        assert!(verify_token(&fine, &OurKeys, &expected(), now).is_ok());
        assert!(decode(&fine, alg).is_ok());
        for (header, payload) in accepted_by_it {
            let token = forge(&header, payload.as_bytes(), key(alg));

            let its = decode(&token, alg);
            let ours = verify_token(&token, &OurKeys, &expected(), now);

            assert!(its.is_ok(), "it refuses now {header} {payload}: {its:?}");
            assert!(ours.is_err(), "{header} {payload}");
        }
    }

    /// Whatever it refuses for the form of the token or for its signature, we refuse too.
    #[test]
    fn what_it_refuses_we_refuse() {
        for alg in Algorithm::ALL {
            let good = sign_compact(SESSION_TYP, &claims().to_json().unwrap(), key(alg)).unwrap();
            let now = Timestamp::from_secs(claims().iat);
            for at in (0..good.len()).step_by(7) {
                for character in ["A", "=", ".", " ", "\n", "+", ""] {
                    let mut token = good.clone();
                    token.replace_range(at..=at, character);
                    if token != good {
                        assert!(decode(&token, alg).is_err());
                        assert!(verify_token(&token, &OurKeys, &expected(), now).is_err());
                    }
                }
            }
        }
    }
}
