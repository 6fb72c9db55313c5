//! `tests/vectors/tokens/feed.json`: answers of the feed, played one after the other, good and bad.
//! Verifiers in other languages read the same file.

use std::path::Path;

use serde_json::Value;

use crate::domain::feed::Cursor;
use crate::domain::liveness::{Rev, Tags};
use crate::token::revocations::DOCUMENT_LEN_MAX;
use crate::token::{DocumentError, KeySet, read_revocations};
use crate::verifier::NotAlive;
use crate::verifier::follow::unwrap;
use crate::verifier::knowledge::{FeedError, Knowledge, Question, Taken};

const BOUND_MS: i64 = 10_000;

fn read(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/tokens");
    std::fs::read(folder.join(name)).unwrap()
}

fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// The answer, which a large one builds of repeated texts.
fn answer(step: &Value) -> String {
    let Some(pieces) = step.get("pieces") else {
        return text(&step["answer"]).unwrap().to_owned();
    };
    let piece = |piece: &Value| {
        if let Some(text) = piece.as_str() {
            return text.to_owned();
        }
        let times = usize::try_from(piece["times"].as_u64().unwrap()).unwrap();
        piece["repeat"].as_str().unwrap().repeat(times)
    };
    list(pieces).iter().map(piece).collect()
}

fn take(knowledge: &mut Knowledge, keys: &KeySet, step: &Value) -> Result<Taken, FeedError> {
    let question = Question {
        since: text(&step["since"]).map(|since| Cursor::decode(since).unwrap()),
        nonce: text(&step["nonce"]).map(str::to_owned),
        sent_at_ms: 0,
    };
    let answer = answer(step);
    // Of a longer one the rest is not read: `fetch` has its own tests.
    if answer.len() > DOCUMENT_LEN_MAX + 1024 {
        return Err(DocumentError::TooLong.into());
    }
    let document = unwrap(answer.as_bytes()).ok_or(FeedError::Malformed)?;
    let document = read_revocations(&document, keys, &|kid| knowledge.is_revoked(kid))?;
    knowledge.take(&question, document)
}

/// Why a token is dead, in the words of the file: it does not ask by what it was ended.
fn dead(knowledge: &Knowledge, token: &Value) -> Option<&'static str> {
    let kid = text(&token["kid"]).unwrap();
    let tags = Tags::decode(text(&token["lin"]).unwrap()).unwrap();
    let rev = Rev::decode(text(&token["rev"]).unwrap()).unwrap();
    match knowledge.check(kid, &tags, rev, 0, BOUND_MS) {
        Ok(()) => None,
        Err(NotAlive::Dead(_)) => Some("token_ended"),
        Err(NotAlive::RevokedKey) => Some("key_revoked"),
        Err(NotAlive::Unknown | NotAlive::FellBack) => Some("revocation_unknown"),
    }
}

#[test]
fn every_answer_of_the_feed_is_judged_as_the_corpus_says() {
    let keys = KeySet::parse(&read("jwks.json")).unwrap();
    let corpus: Value = serde_json::from_slice(&read("feed.json")).unwrap();
    let mut wrong = Vec::new();
    for scenario in list(&corpus["scenarios"]) {
        let name = &scenario["name"];
        let mut knowledge = Knowledge::new(text(&corpus["issuer"]).unwrap().to_owned());
        for step in list(&scenario["steps"]) {
            let taken = take(&mut knowledge, &keys, step);
            let outcome = taken.map(|taken| taken.more).map_err(|error| error.code());
            let wanted = match text(&step["code"]) {
                Some(code) => Err(code),
                None => Ok(step["more"].as_bool().unwrap()),
            };
            if outcome != wanted {
                wrong.push(format!("{name}: {outcome:?}, not {wanted:?}"));
            }
        }
        for token in list(&scenario["tokens"]) {
            let (outcome, wanted) = (dead(&knowledge, token), text(&token["dead"]));
            if outcome != wanted {
                wrong.push(format!("{name}: {token} is {outcome:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(list(&corpus["scenarios"]).len(), 106);
}
