//! The state of a follower alone: no network, no time but what is passed in.

use super::support::{LOG, Log, rev, tag};
use crate::domain::feed::Cursor;
use crate::domain::liveness::{Dead, LogId, Position, Rev, Tags};
use crate::token::Revocations;
use crate::verifier::NotAlive;
use crate::verifier::knowledge::{Knowledge, Question};

const ISSUER: &str = "https://auth.example.com";
const OTHER: LogId = LogId::from_i64(99);
const BOUND_MS: i64 = 10_000;

fn log() -> Log {
    Log {
        issuer: ISSUER.to_owned(),
        id: LOG,
        position: 10,
        floor: 0,
        entries: Vec::new(),
        revoked: Vec::new(),
        page_len: 100,
    }
}

fn ask(knowledge: &Knowledge, nonce: Option<&str>, sent_at_ms: i64) -> Question {
    Question {
        since: knowledge.cursor(),
        nonce: nonce.map(str::to_owned),
        sent_at_ms,
    }
}

/// Asks with a nonce, and gives the document that the log answers.
fn take(knowledge: &mut Knowledge, log: &Log, sent_at_ms: i64) -> Result<(), &'static str> {
    change(knowledge, log, sent_at_ms, |_| {})
}

fn change(
    knowledge: &mut Knowledge,
    log: &Log,
    sent_at_ms: i64,
    spoil: impl FnOnce(&mut Revocations),
) -> Result<(), &'static str> {
    let question = ask(knowledge, Some("0123456789abcdef"), sent_at_ms);
    let mut document = log.document(question.since, question.nonce.as_deref());
    spoil(&mut document);
    let taken = knowledge.take(&question, document);
    taken.map(|_| ()).map_err(|error| error.code())
}

/// The same without a nonce, as a cache may answer.
fn take_cached(knowledge: &mut Knowledge, log: &Log) -> Result<bool, &'static str> {
    let question = ask(knowledge, None, 0);
    let document = log.document(question.since, None);
    let taken = knowledge.take(&question, document);
    taken.map(|taken| taken.more).map_err(|error| error.code())
}

fn check(knowledge: &Knowledge, tags: &[i64], rev: Rev, now_ms: i64) -> Result<(), NotAlive> {
    let mut all = Tags::new();
    for number in tags {
        all.add(tag(*number));
    }
    knowledge.check("k1", &all, rev, now_ms, BOUND_MS)
}

fn following(log: &Log) -> Knowledge {
    let mut knowledge = Knowledge::new(ISSUER.to_owned());
    take(&mut knowledge, log, 0).unwrap();
    knowledge
}

const ENDED: Result<(), NotAlive> = Err(NotAlive::Dead(Dead::Ended));
const UNKNOWN: Result<(), NotAlive> = Err(NotAlive::Unknown);

#[test]
fn a_token_dies_by_an_entry_with_one_of_its_tags_above_its_position() {
    let mut log = log();
    let mut knowledge = following(&log);
    assert_eq!(check(&knowledge, &[1, 2], rev(10), 0), Ok(()));

    log.end(2, 12);
    take(&mut knowledge, &log, 5).unwrap();

    assert_eq!(check(&knowledge, &[1, 2], rev(11), 5), ENDED);
    assert_eq!(check(&knowledge, &[1, 2], rev(12), 5), Ok(()));
    assert_eq!(check(&knowledge, &[1], rev(10), 5), Ok(()));
}

#[test]
fn knowledge_is_as_old_as_its_question_and_past_the_bound_nothing_is_accepted() {
    let mut log = log();
    let mut knowledge = Knowledge::new(ISSUER.to_owned());
    assert_eq!(check(&knowledge, &[1], rev(10), 0), UNKNOWN, "at the start");

    take(&mut knowledge, &log, 1000).unwrap();
    assert_eq!(check(&knowledge, &[1], rev(10), 1000 + BOUND_MS), Ok(()));
    assert_eq!(check(&knowledge, &[1], rev(10), 1001 + BOUND_MS), UNKNOWN);

    // Heartbeats without a change go on.
    take(&mut knowledge, &log, 4000).unwrap();
    assert_eq!(check(&knowledge, &[1], rev(10), 4000 + BOUND_MS), Ok(()));
    log.end(1, 20);
    take(&mut knowledge, &log, 5000).unwrap();
    let long_after = 5001 + BOUND_MS;
    assert_eq!(check(&knowledge, &[1], rev(10), long_after), ENDED);
    assert_eq!(check(&knowledge, &[2], rev(10), long_after), UNKNOWN);
}

#[test]
fn a_document_without_a_nonce_brings_entries_and_makes_nothing_fresh() {
    let mut log = log();
    log.end(1, 12);
    let mut knowledge = Knowledge::new(ISSUER.to_owned());

    take_cached(&mut knowledge, &log).unwrap();

    assert_eq!(check(&knowledge, &[1], rev(10), 0), ENDED);
    assert_eq!(check(&knowledge, &[2], rev(10), 0), UNKNOWN);
    take(&mut knowledge, &log, 3).unwrap();
    assert_eq!(check(&knowledge, &[2], rev(10), 3), Ok(()));
}

#[test]
fn nothing_is_fresh_before_the_last_page() {
    let mut log = log();
    for number in 1..=5 {
        log.end(number, 10 + number);
    }
    log.page_len = 2;
    let mut knowledge = Knowledge::new(ISSUER.to_owned());

    for _ in 0..2 {
        take(&mut knowledge, &log, 1).unwrap();
        assert_eq!(check(&knowledge, &[9], rev(10), 1), UNKNOWN);
    }
    take(&mut knowledge, &log, 1).unwrap();

    assert_eq!(check(&knowledge, &[9], rev(10), 1), Ok(()));
    for number in 1..=5 {
        assert_eq!(check(&knowledge, &[number], rev(10), 1), ENDED);
    }
}

#[test]
fn a_document_that_answers_another_question_is_refused() {
    let mut log = log();
    let mut knowledge = following(&log);
    log.end(1, 12);

    for (code, outcome) in [
        (
            "feed_issuer",
            change(&mut knowledge, &log, 1, |d| d.issuer += "/test"),
        ),
        (
            "feed_nonce",
            change(&mut knowledge, &log, 1, |d| {
                d.nonce = Some("fedcba9876543210".to_owned());
            }),
        ),
        (
            "feed_nonce",
            change(&mut knowledge, &log, 1, |d| d.nonce = None),
        ),
        (
            "feed_gap",
            change(&mut knowledge, &log, 1, |d| d.page.since = None),
        ),
        (
            "feed_gap",
            change(&mut knowledge, &log, 1, |d| {
                d.page.since = Some(Cursor::at(rev(11)));
            }),
        ),
    ] {
        assert_eq!(outcome, Err(code));
    }

    assert_eq!(
        check(&knowledge, &[1], rev(10), 1),
        Ok(()),
        "nothing was taken"
    );
    take(&mut knowledge, &log, 1).unwrap();
    assert_eq!(check(&knowledge, &[1], rev(10), 1), ENDED);
}

#[test]
fn an_old_document_from_a_cache_is_refused_and_does_no_harm() {
    let mut log = log();
    let before = log.clone();
    let mut knowledge = following(&log);
    log.end(1, 12);
    take(&mut knowledge, &log, 1).unwrap();

    let question = ask(&knowledge, None, 2);
    let mut old = before.document(question.since, None);
    assert_eq!(old.page.confirmed, Position::new(10));
    old.page.since = question.since;
    let refused = knowledge.take(&question, old).unwrap_err();

    assert_eq!(refused.code(), "feed_position");
    assert_eq!(check(&knowledge, &[1], rev(10), 2), ENDED);
    assert_eq!(check(&knowledge, &[2], rev(10), 2), Ok(()));
}

#[test]
fn a_log_that_fell_back_ends_everything_until_it_has_another_id() {
    let mut log = log();
    log.end(1, 12);
    let mut knowledge = following(&log);

    let mut restored = log.clone();
    restored.entries.clear();
    restored.position = 11;
    assert_eq!(take(&mut knowledge, &restored, 1), Err("feed_position"));
    let fell_back = Err(NotAlive::FellBack);
    assert_eq!(check(&knowledge, &[2], rev(12), 1), fell_back);
    // Even when it has grown past where it stood.
    restored.position = 50;
    take(&mut knowledge, &restored, 2).unwrap();
    assert_eq!(check(&knowledge, &[2], rev(12), 2), fell_back);

    restored.id = OTHER;
    take(&mut knowledge, &restored, 3).unwrap();
    let other = Rev {
        log: OTHER,
        position: Position::new(50),
    };
    assert_eq!(check(&knowledge, &[2], other, 3), Ok(()));
    let dead = Err(NotAlive::Dead(Dead::OtherLog));
    assert_eq!(check(&knowledge, &[2], rev(12), 3), dead);
}

#[test]
fn another_log_is_followed_only_on_the_word_of_a_nonce() {
    let mut log = log();
    log.end(1, 12);
    let mut knowledge = following(&log);
    let mut restored = log.clone();
    restored.id = OTHER;
    restored.entries = vec![(7, 3), (8, 4), (9, 5)];
    restored.position = 9;
    restored.page_len = 2;

    assert_eq!(take_cached(&mut knowledge, &restored), Err("feed_log"));
    assert_eq!(check(&knowledge, &[2], rev(12), 1), Ok(()));

    take(&mut knowledge, &restored, 2).unwrap();
    let other = |position| Rev {
        log: OTHER,
        position: Position::new(position),
    };
    assert_eq!(
        check(&knowledge, &[2], other(9), 2),
        UNKNOWN,
        "not complete"
    );
    take(&mut knowledge, &restored, 2).unwrap();
    assert_eq!(check(&knowledge, &[2], other(9), 2), Ok(()));
    assert_eq!(check(&knowledge, &[5], other(8), 2), ENDED);
    assert_eq!(
        check(&knowledge, &[1], other(1), 2),
        Ok(()),
        "of the old log"
    );

    // A replay of the old one is not followed back.
    assert_eq!(take_cached(&mut knowledge, &log), Err("feed_log"));
}

#[test]
fn a_revoked_key_kills_whatever_the_position_and_is_never_forgotten() {
    let mut log = log();
    let mut knowledge = following(&log);
    log.revoked = vec!["k1".to_owned()];
    take(&mut knowledge, &log, 1).unwrap();

    let revoked = Err(NotAlive::RevokedKey);
    assert_eq!(check(&knowledge, &[2], rev(i64::MAX), 1), revoked);
    log.revoked.clear();
    log.id = OTHER;
    take(&mut knowledge, &log, 2).unwrap();
    assert_eq!(check(&knowledge, &[2], rev(10), 2), revoked);
    assert!(knowledge.is_revoked("k1") && !knowledge.is_revoked("k2"));
}

#[test]
fn below_the_floor_every_token_is_dead_and_entries_are_dropped() {
    let mut log = log();
    log.end(1, 12);
    log.end(2, 20);
    let mut knowledge = following(&log);
    log.floor = 12;
    log.entries.remove(0);
    take(&mut knowledge, &log, 1).unwrap();

    let forgotten = Err(NotAlive::Dead(Dead::Forgotten));
    assert_eq!(check(&knowledge, &[7], rev(11), 1), forgotten);
    assert_eq!(check(&knowledge, &[1], rev(12), 1), Ok(()));
    assert_eq!(knowledge.summary().entries, 2);
    knowledge.compact();
    assert_eq!(knowledge.summary().entries, 1);
    assert_eq!(check(&knowledge, &[1], rev(11), 1), forgotten);
    assert_eq!(check(&knowledge, &[1], rev(12), 1), Ok(()));
    assert_eq!(check(&knowledge, &[2], rev(12), 1), ENDED);
    // A node that knows less of the floor does not lower it.
    log.floor = 0;
    take(&mut knowledge, &log, 2).unwrap();
    assert_eq!(check(&knowledge, &[7], rev(11), 2), forgotten);
}
