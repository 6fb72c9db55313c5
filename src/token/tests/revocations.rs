use serde_json::{Value, json};

use super::*;
use crate::domain::liveness::Rev;
use crate::token::support::{ISSUER, OurKeys, expected, forge, header, key};
use crate::token::{Algorithm, verify_token};

const LOG: LogId = LogId::from_i64(7);

fn rev(at: i64) -> Rev {
    Rev {
        log: LOG,
        position: Position::new(at),
    }
}

fn document() -> Revocations {
    Revocations {
        issuer: ISSUER.to_owned(),
        page: Page {
            since: Some(Cursor::at(rev(10))),
            entries: vec![
                (Position::new(11), Tag::from_i64(3)),
                (Position::new(11), Tag::from_i64(-1)),
                (Position::new(12), Tag::from_i64(3)),
            ],
            next: Cursor::at(rev(20)),
            more: false,
            confirmed: Position::new(20),
            floor: Position::new(5),
        },
        revoked_keys: vec!["k1".to_owned()],
        nonce: Some("0123456789abcdef".to_owned()),
    }
}

fn payload() -> Value {
    serde_json::from_slice(&document().to_json().unwrap()).unwrap()
}

fn sign(payload: &[u8]) -> String {
    sign_revocations(payload, key(Algorithm::Es256)).unwrap()
}

fn read(document: &str) -> Result<Revocations, DocumentError> {
    read_revocations(document, &OurKeys, &|kid| kid == "k9")
}

type Change = fn(&mut Value);

/// The outcome for a document whose payload was changed and signed again.
fn changed(change: impl FnOnce(&mut Value)) -> Result<Revocations, DocumentError> {
    let mut payload = payload();
    change(&mut payload);
    read(&sign(payload.to_string().as_bytes()))
}

fn records(records: &[(i64, i64)]) -> Value {
    let bytes: Vec<u8> = records
        .iter()
        .flat_map(|(at, tag)| [tag.to_be_bytes(), at.to_be_bytes()].concat())
        .collect();
    URL_SAFE_NO_PAD.encode(bytes).into()
}

#[test]
fn a_document_survives_a_round_trip() {
    for algorithm in Algorithm::ALL {
        let payload = document().to_json().unwrap();
        let signed = sign_revocations(&payload, key(algorithm)).unwrap();
        assert_eq!(read(&signed), Ok(document()));
    }
    let from_the_beginning = Revocations {
        page: Page {
            since: None,
            more: true,
            next: Cursor {
                log: LOG,
                position: Position::new(12),
                tag: Some(Tag::from_i64(3)),
            },
            confirmed: Position::new(12),
            ..document().page
        },
        nonce: None,
        revoked_keys: Vec::new(),
        ..document()
    };
    let signed = sign(&from_the_beginning.to_json().unwrap());
    assert_eq!(read(&signed), Ok(from_the_beginning));
}

#[test]
fn a_document_is_no_token_and_a_token_no_document() {
    let signed = sign(&document().to_json().unwrap());
    let now = crate::domain::time::Timestamp::from_secs(1);
    let as_token = verify_token(&signed, &OurKeys, &expected(), now);
    assert_eq!(as_token, Err(TokenError::Type));
    for claim in ["iss", "sub", "aud", "exp", "nbf", "iat"] {
        assert!(payload().get(claim).is_none(), "{claim}");
    }

    let es256 = key(Algorithm::Es256);
    for typ in ["at+jwt", "JWT", "hallpass-revocations", ""] {
        let mut header = header(es256);
        header["typ"] = typ.into();
        let forged = forge(&header.to_string(), payload().to_string().as_bytes(), es256);
        assert_eq!(read(&forged), Err(DocumentError::Type), "{typ}");
    }
}

#[test]
fn only_a_key_of_the_set_that_was_not_revoked_signs_documents() {
    let stranger = PrivateKey::generate(Algorithm::Es256).unwrap();
    let payload = document().to_json().unwrap();
    let strange = sign_revocations(&payload, &stranger).unwrap();
    assert_eq!(read(&strange), Err(DocumentError::UnknownKey));

    let own = key(Algorithm::Es256);
    let kid = own.public().kid();
    let revoked = read_revocations(&sign(&payload), &OurKeys, &|revoked| revoked == kid);
    assert_eq!(revoked, Err(DocumentError::RevokedKey));
    let suicide = changed(|payload| payload["revokedKeys"] = json!(["k1", kid]));
    assert_eq!(suicide, Err(DocumentError::RevokedKey));

    let signed = sign(&payload);
    let (signed, _) = signed.rsplit_once('.').unwrap();
    let other = key(Algorithm::Es256).sign(b"other").unwrap();
    let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(other));
    assert_eq!(read(&forged), Err(DocumentError::Signature));
}

#[test]
fn a_document_has_one_form_and_a_bound() {
    let signed = sign(&document().to_json().unwrap());
    for broken in [
        String::new(),
        "..".to_owned(),
        format!("{signed}="),
        format!("{signed}.x"),
        signed.replacen('.', "", 1),
    ] {
        assert_eq!(read(&broken), Err(DocumentError::Malformed), "{broken}");
    }
    let es256 = key(Algorithm::Es256);
    let mut header = header(es256);
    header["typ"] = REVOCATIONS_TYP.into();
    header["crit"] = json!(["b64"]);
    let forged = forge(&header.to_string(), payload().to_string().as_bytes(), es256);
    assert_eq!(read(&forged), Err(DocumentError::Malformed));
    let long = "a".repeat(DOCUMENT_LEN_MAX + 1);
    assert_eq!(read(&long), Err(DocumentError::TooLong));
}

#[test]
fn every_member_is_there_once_and_of_its_type_and_no_other_is() {
    let names: Vec<String> = payload().as_object().unwrap().keys().cloned().collect();
    assert_eq!(names.len(), 10);
    for name in &names {
        let missing = changed(|payload| drop(payload.as_object_mut().unwrap().remove(name)));
        assert_eq!(missing, Err(DocumentError::Payload), "{name} missing");
        for wrong in [json!({}), json!(1.5), json!(-1), json!([1])] {
            let outcome = changed(|payload| payload[name] = wrong.clone());
            assert_eq!(outcome, Err(DocumentError::Payload), "{name}: {wrong}");
        }
        if !["since", "nonce"].contains(&name.as_str()) {
            let null = changed(|payload| payload[name] = Value::Null);
            assert_eq!(null, Err(DocumentError::Payload), "{name} null");
        }
    }
    let unknown = changed(|payload| payload["exp"] = 1.into());
    assert_eq!(unknown, Err(DocumentError::Payload));
    let twice = payload().to_string().replacen('{', "{\"floor\":0,", 1);
    assert_eq!(read(&sign(twice.as_bytes())), Err(DocumentError::Payload));
    for not_an_object in ["[]", "1", " ", "{", "null"] {
        let outcome = read(&sign(not_an_object.as_bytes()));
        assert_eq!(outcome, Err(DocumentError::Payload), "{not_an_object}");
    }
    for entries in ["A", "AAAA", "====", "!"] {
        let outcome = changed(|payload| payload["entries"] = entries.into());
        assert_eq!(outcome, Err(DocumentError::Payload), "{entries}");
    }
    let negative = changed(|payload| payload["entries"] = records(&[(-5, 1)]));
    assert_eq!(negative, Err(DocumentError::Payload));
    let many = vec![(11, 1); ENTRIES_MAX + 1];
    let many = changed(|payload| payload["entries"] = records(&many));
    assert_eq!(many, Err(DocumentError::Payload));
}

#[test]
fn entries_that_do_not_fit_are_refused() {
    let other = Cursor {
        log: LogId::from_i64(8),
        ..Cursor::at(rev(20))
    };
    let changes: [(&str, Change); 9] = [
        ("not behind since", |p| p["entries"] = records(&[(10, 1)])),
        ("above confirmed", |p| p["entries"] = records(&[(21, 1)])),
        ("not in order", |p| {
            p["entries"] = records(&[(12, 1), (11, 1)]);
        }),
        ("tags not in order", |p| {
            p["entries"] = records(&[(12, 2), (12, 1)]);
        }),
        ("twice", |p| p["entries"] = records(&[(12, 1), (12, 1)])),
        ("more without an entry", |p| {
            p["entries"] = "".into();
            p["more"] = true.into();
        }),
        ("more that stops elsewhere", |p| p["more"] = true.into()),
        ("next below confirmed", |p| {
            p["next"] = Cursor::at(rev(19)).encode().into();
        }),
        ("since above confirmed with entries", |p| {
            p["since"] = Cursor::at(rev(30)).encode().into();
        }),
    ];
    for (name, change) in changes {
        assert_eq!(changed(change), Err(DocumentError::Entries), "{name}");
    }
    for member in ["next", "since"] {
        let foreign = changed(|payload| payload[member] = other.encode().into());
        assert_eq!(foreign, Err(DocumentError::Entries), "{member}");
    }
}

#[test]
fn the_longest_document_is_below_the_bound() {
    let entries = (0..i64::try_from(ENTRIES_MAX).unwrap())
        .map(|at| {
            (
                Position::new(1_900_000_000_000_000 + at),
                Tag::from_i64(-at),
            )
        })
        .collect();
    let confirmed = Position::new(1_900_000_001_000_000);
    let long = Revocations {
        page: Page {
            entries,
            next: Cursor {
                position: confirmed,
                ..Cursor::at(rev(0))
            },
            confirmed,
            ..document().page
        },
        ..document()
    };

    let signed = sign(&long.to_json().unwrap());

    assert!(signed.len() < DOCUMENT_LEN_MAX / 2, "{}", signed.len());
    assert_eq!(read(&signed), Ok(long));
}

#[test]
fn a_nonce_is_short_base64url() {
    assert!(is_nonce(&"a".repeat(16)) && is_nonce(&"-_Z9".repeat(16)));
    for text in [
        "a".repeat(15),
        "a".repeat(65),
        "a b".repeat(6),
        "ä".repeat(8),
    ] {
        assert!(!is_nonce(&text), "{text}");
    }
}
