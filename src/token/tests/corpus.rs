//! `tests/vectors/tokens`: tokens that must be accepted, and tokens that must be refused, each with
//! its code. Verifiers in other languages read the same files.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::verify::{Check, Outcome, SESSION_TYP};
use super::{
    Audiences, Claims, Expected, KeySet, KeySource, Leeway, PublicKey, TokenError, explain,
    verify_session, verify_token,
};
use crate::domain::time::Timestamp;

fn read(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/tokens");
    std::fs::read(folder.join(name)).unwrap()
}

/// The published keys of the corpus. It counts how often it is asked.
struct Published {
    keys: KeySet,
    asked: AtomicUsize,
}

impl KeySource for Published {
    fn find(&self, kid: &str) -> Option<&PublicKey> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.keys.find(kid)
    }
}

struct Corpus {
    keys: Published,
    expected: Expected,
    now: Timestamp,
    tokens: Vec<Value>,
}

impl Corpus {
    fn load(name: &str) -> Self {
        let document: Value = serde_json::from_slice(&read(name)).unwrap();
        let text = |name: &str| document[name].as_str().unwrap().to_owned();
        Self {
            keys: Published {
                keys: KeySet::parse(&read("jwks.json")).unwrap(),
                asked: AtomicUsize::new(0),
            },
            expected: Expected {
                issuer: text("issuer"),
                audiences: Audiences::OneOf(vec![text("audience")]),
                typ: SESSION_TYP,
                leeway: Leeway::NONE,
            },
            now: Timestamp::from_secs(document["now"].as_i64().unwrap()),
            tokens: document["tokens"].as_array().unwrap().clone(),
        }
    }

    /// The answer, after making sure that all who answer agree.
    fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let answer = verify_token(token, &self.keys, &self.expected, self.now);
        let session = verify_session(token, &self.keys, &self.expected, self.now);
        let explained = explain(token, &self.keys, &self.expected, self.now);
        assert_eq!(
            session.map(|session| session.claims),
            answer,
            "verify_session"
        );
        assert_eq!(explained.refusal, answer.as_ref().err().copied(), "explain");
        answer
    }
}

/// The token, which a large one builds of repeated texts.
fn token(vector: &Value) -> String {
    let Some(pieces) = vector.get("pieces") else {
        return vector["token"].as_str().unwrap().to_owned();
    };
    let piece = |piece: &Value| {
        if let Some(text) = piece.as_str() {
            return text.to_owned();
        }
        let times = usize::try_from(piece["times"].as_u64().unwrap()).unwrap();
        piece["repeat"].as_str().unwrap().repeat(times)
    };
    pieces.as_array().unwrap().iter().map(piece).collect()
}

fn outcome(error: TokenError) -> (String, Option<String>, Option<String>) {
    (
        error.code().to_owned(),
        error.claim().map(str::to_owned),
        error.reason().map(|reason| reason.as_str().to_owned()),
    )
}

fn wanted(vector: &Value) -> (String, Option<String>, Option<String>) {
    let text = |name: &str| vector[name].as_str().map(str::to_owned);
    // Of an unknown claim only the code is told: the name is the token's, and the reason is always
    // the same.
    let reason = match vector["code"].as_str() {
        Some("claim_unknown") => Some("invalid".to_owned()),
        _ => text("reason"),
    };
    (text("code").unwrap(), text("claim"), reason)
}

#[test]
fn every_good_token_is_accepted_with_its_payload() {
    let corpus = Corpus::load("good.json");
    for vector in &corpus.tokens {
        let claims = corpus.verify(&token(vector));

        let claims = claims.unwrap_or_else(|error| panic!("{}: {error}", vector["name"]));
        let payload = serde_json::to_value(&claims).unwrap();
        assert_eq!(payload, vector["payload"], "{}", vector["name"]);
    }
    assert_eq!(corpus.tokens.len(), 31);
}

#[test]
fn every_bad_token_is_refused_with_its_code() {
    let corpus = Corpus::load("bad.json");
    let mut wrong = Vec::new();
    for vector in &corpus.tokens {
        match corpus.verify(&token(vector)) {
            Ok(_) => wrong.push(format!("{}: accepted", vector["name"])),
            Err(error) if outcome(error) != wanted(vector) => {
                wrong.push(format!("{}: {:?}", vector["name"], outcome(error)));
            }
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(corpus.tokens.len(), 967);
}

/// The corpus has an example of every refusal, and of every claim that can be at fault.
#[test]
fn the_corpus_has_every_code_and_every_claim() {
    let corpus = Corpus::load("bad.json");
    let of = |name: &str| -> BTreeSet<&str> {
        let members = corpus.tokens.iter();
        members.filter_map(|vector| vector[name].as_str()).collect()
    };

    let codes = "algorithm_mismatch algorithm_not_allowed claim_refused claim_unknown header_invalid \
        key_unknown payload_invalid signature_invalid token_expired token_malformed \
        token_not_yet_valid token_too_long type_not_allowed";
    assert_eq!(of("code"), codes.split_whitespace().collect());
    let claims = "act allowedRoutes aud bindings client_id cnf data domains exp iat iss jti lin nbf \
        rev scope sub";
    assert_eq!(of("claim"), claims.split_whitespace().collect());
}

/// What is refused early costs nothing later: no key is looked for before the form, the header and
/// the type are right, and none is looked for twice.
#[test]
fn no_key_is_looked_for_before_the_form_is_right() {
    let corpus = Corpus::load("bad.json");
    let early = [
        "token_too_long",
        "token_malformed",
        "header_invalid",
        "algorithm_not_allowed",
        "type_not_allowed",
    ];
    for vector in &corpus.tokens {
        let before = corpus.keys.asked.load(Ordering::Relaxed);
        let answer = verify_token(&token(vector), &corpus.keys, &corpus.expected, corpus.now);
        assert!(answer.is_err());

        let asked = corpus.keys.asked.load(Ordering::Relaxed) - before;
        let is_early = early.contains(&vector["code"].as_str().unwrap());
        assert_eq!(asked, usize::from(!is_early), "{}", vector["name"]);
    }
}

/// Cut and changed anywhere, a good token is refused.
#[test]
fn a_good_token_with_any_character_changed_or_left_out_is_refused() {
    let corpus = Corpus::load("good.json");
    for vector in corpus.tokens.iter().take(3) {
        let good = token(vector);
        for at in 0..good.len() {
            let mut changed = good.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(corpus.verify(&changed).is_err(), "changed at {at}");
            let mut cut = good.clone();
            cut.remove(at);
            assert!(corpus.verify(&cut).is_err(), "left out at {at}");
        }
    }
}

/// An explanation of a token with a malformed claim says so at the claims, and goes no further.
#[test]
fn a_malformed_claim_is_explained_at_the_claims() {
    let corpus = Corpus::load("bad.json");
    for claim in [
        "lin",
        "rev",
        "allowedRoutes",
        "scope",
        "bindings",
        "domains",
    ] {
        let mut of_claim = corpus
            .tokens
            .iter()
            .filter(|vector| vector["claim"] == claim);
        let vector = of_claim
            .find(|vector| vector["reason"] == "invalid")
            .unwrap();
        let explained = explain(&token(vector), &corpus.keys, &corpus.expected, corpus.now);

        let failed = Outcome::Failed(TokenError::invalid(claim));
        assert!(
            explained.checks.contains(&(Check::Claims, failed)),
            "{claim}"
        );
        assert_eq!(explained.claims, None);
    }
}
