//! An export that was touched anywhere is found, and the place is named.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::token::Algorithm;

struct Book {
    lines: Vec<String>,
    key: PrivateKey,
}

fn entry(n: i64) -> Map<String, Value> {
    let data = json!({
        "id": format!("aud_{n:026}"),
        "at": 1_767_225_600_000_i64 + n,
        "action": "token.create",
        "details": format!("{{\"name\":\"key {n}\"}}"),
    });
    data.as_object().unwrap().clone()
}

/// An export of so many checkpoints, of three entries each.
fn book(checkpoints: i64) -> Book {
    let key = PrivateKey::generate(Algorithm::EdDsa).unwrap();
    let mut chain = Chain::default();
    let mut lines = vec![
        Line::Keys {
            keys: vec![serde_json::to_value(key.public().jwk()).unwrap()],
        },
        Line::Start {
            seq: 0,
            hash: hex(&chain.hash),
            checkpoint: None,
        },
    ];
    for number in 1..=checkpoints {
        let before = chain;
        for _ in 0..3 {
            let data = entry(chain.seq + 1);
            chain.push(&serde_json::to_vec(&data).unwrap());
            lines.push(Line::Entry {
                seq: chain.seq,
                hash: hex(&chain.hash),
                data,
            });
        }
        let checkpoint = Checkpoint {
            iss: "https://hallpass.test".to_owned(),
            number,
            first: before.seq + 1,
            seq: chain.seq,
            previous: hex(&before.hash),
            hash: hex(&chain.hash),
            at: Timestamp::from_millis(1_767_225_600_000),
        };
        let signed = checkpoint.sign(&key).unwrap();
        lines.push(Line::Checkpoint { signed });
    }
    let lines = lines.iter().map(|line| line.write().unwrap()).collect();
    Book { lines, key }
}

fn check(lines: &[String]) -> Result<Summary, Fault> {
    let text = lines.join("\n") + "\n";
    check_export(text.as_bytes(), None, None)
}

#[test]
fn a_whole_export_is_good() {
    let book = book(4);

    let summary = check(&book.lines).unwrap();

    assert_eq!(summary.entries, 12);
    assert_eq!((summary.first_seq, summary.last_seq), (1, 12));
    assert_eq!(summary.checkpoints, 4);
    assert_eq!(summary.keys, [book.key.public().kid()]);
    assert!(!summary.keys_are_trusted);
}

#[test]
fn an_export_may_begin_at_a_checkpoint() {
    let book = book(3);
    let Line::Checkpoint { signed } = serde_json::from_str(&book.lines[5]).unwrap() else {
        panic!("a checkpoint")
    };
    let Line::Entry { hash, .. } = serde_json::from_str(&book.lines[4]).unwrap() else {
        panic!("an entry")
    };
    let start = |seq: i64, hash: String| Line::Start {
        seq,
        hash,
        checkpoint: Some(signed.clone()),
    };
    let elsewhere = start(2, hash.clone()).write().unwrap();
    let mut lines = vec![book.lines[0].clone(), start(3, hash).write().unwrap()];
    lines.extend_from_slice(&book.lines[6..]);

    assert_eq!(check(&lines).unwrap().entries, 6);
    lines[1] = start(3, "00".repeat(32)).write().unwrap();
    assert!(matches!(
        check(&lines),
        Err(Fault::Checkpoint { line: 2, .. })
    ));
    // The number of the entry is bound as well.
    lines[1] = elsewhere;
    assert!(matches!(
        check(&lines),
        Err(Fault::Checkpoint { line: 2, first: 2 })
    ));
}

#[test]
fn the_first_entry_that_was_changed_removed_or_moved_is_named() {
    let book = book(4);
    // Lines: keys, start, three entries, checkpoint, …
    let mut changed = book.lines.clone();
    changed[6] = changed[6].replace("key 4", "key 9");
    match check(&changed) {
        Err(Fault::Changed {
            seq: 4,
            id,
            line: 7,
        }) => assert!(id.ends_with('4')),
        other => panic!("{other:?}"),
    }
    let mut removed = book.lines.clone();
    removed.remove(7);
    assert!(matches!(
        check(&removed),
        Err(Fault::Removed { seq: 5, .. })
    ));
    let mut moved = book.lines.clone();
    moved.swap(6, 7);
    assert!(matches!(check(&moved), Err(Fault::Removed { seq: 4, .. })));
    let mut repeated = book.lines.clone();
    repeated.insert(7, repeated[6].clone());
    assert!(matches!(
        check(&repeated),
        Err(Fault::Reordered { seq: 4, .. })
    ));
    let mut cut = book.lines.clone();
    cut.pop();
    assert!(matches!(check(&cut), Err(Fault::Broken { seq: 12 })));
    let mut without = book.lines.clone();
    without.remove(5);
    assert!(matches!(
        check(&without),
        Err(Fault::Checkpoint { first: 1, .. })
    ));
    let mut missing = book.lines.clone();
    missing[6] = Line::Missing {
        seq: 4,
        id: "ses_x".to_owned(),
    }
    .write()
    .unwrap();
    assert!(matches!(
        check(&missing),
        Err(Fault::Removed { seq: 4, .. })
    ));
}

#[test]
fn whoever_computes_all_hashes_anew_lacks_the_key() {
    let book = book(3);
    let other = self::book(3);
    let mut forged = other.lines.clone();
    forged[0].clone_from(&book.lines[0]);
    assert!(matches!(check(&forged), Err(Fault::Signature { .. })));

    // With the keys in the export exchanged as well, only keys from elsewhere tell.
    assert!(check(&other.lines).is_ok());
    let set = json!({ "keys": [book.key.public().jwk()] }).to_string();
    let trusted = || Some(KeySet::parse(set.as_bytes()).unwrap());
    let text = |lines: &[String]| lines.join("\n") + "\n";
    let refused = check_export(text(&other.lines).as_bytes(), trusted(), None);
    assert!(matches!(refused, Err(Fault::Signature { .. })));
    let taken = check_export(text(&book.lines).as_bytes(), trusted(), None);
    assert!(taken.unwrap().keys_are_trusted);
}

#[test]
fn an_end_that_was_cut_off_is_told_by_a_state_that_was_kept() {
    let book = book(3);
    let all = check(&book.lines).unwrap();
    let known = Known {
        seq: all.last_seq,
        hash: all.hash,
    };
    let text = |count: usize| book.lines[..count].join("\n") + "\n";
    let whole = check_export(text(14).as_bytes(), None, Some(&known));
    assert!(whole.is_ok(), "{whole:?}");
    let cut = check_export(text(10).as_bytes(), None, Some(&known));
    assert!(matches!(cut, Err(Fault::Known { seq: 9 })));
}

/// Each part of a checkpoint binds by itself, be it signed with the right key or not.
#[test]
fn a_checkpoint_that_says_something_else_is_refused() {
    let book = book(2);
    let Line::Checkpoint { signed } = serde_json::from_str(&book.lines[9]).unwrap() else {
        panic!("a checkpoint")
    };
    let keys = json!({ "keys": [book.key.public().jwk()] }).to_string();
    let keys = KeySet::parse(keys.as_bytes()).unwrap();
    let good = Checkpoint::read(&signed, &keys).unwrap();
    let with = |change: fn(&mut Checkpoint)| {
        let mut checkpoint = good.clone();
        change(&mut checkpoint);
        let signed = checkpoint.sign(&book.key).unwrap();
        let mut lines = book.lines.clone();
        lines[9] = Line::Checkpoint { signed }.write().unwrap();
        check(&lines)
    };

    assert!(with(|_| ()).is_ok());
    let changes: [fn(&mut Checkpoint); 5] = [
        |one| one.number = 3,
        |one| one.first = 1,
        |one| one.seq = 5,
        |one| one.previous = "00".repeat(32),
        |one| one.hash = "00".repeat(32),
    ];
    for change in changes {
        let refused = with(change);
        assert!(
            matches!(refused, Err(Fault::Checkpoint { first: 4, .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn what_the_key_signed_as_something_else_is_no_checkpoint() {
    let book = book(1);
    let Line::Checkpoint { signed } = serde_json::from_str(&book.lines[5]).unwrap() else {
        panic!("a checkpoint")
    };
    let payload = parse_compact(&signed).unwrap();
    let payload = payload.verify(book.key.public()).unwrap();
    let signed = sign_compact("at+jwt", &payload, &book.key).unwrap();
    let mut lines = book.lines.clone();
    lines[5] = Line::Checkpoint { signed }.write().unwrap();

    assert!(matches!(
        check(&lines),
        Err(Fault::Signature {
            error: TokenError::Header,
            ..
        })
    ));
}

/// Nobody can leave out the beginning and say that it begins here.
#[test]
fn a_beginning_that_nobody_signed_is_refused() {
    let book = book(3);
    let Line::Entry { hash, .. } = serde_json::from_str(&book.lines[4]).unwrap() else {
        panic!("an entry")
    };
    for start in [
        Line::Start {
            seq: 3,
            hash: hash.clone(),
            checkpoint: None,
        },
        Line::Start {
            seq: 0,
            hash,
            checkpoint: None,
        },
        Line::Start {
            seq: 1,
            hash: hex(&Hash::default()),
            checkpoint: None,
        },
    ] {
        let mut lines = vec![book.lines[0].clone(), start.write().unwrap()];
        lines.extend_from_slice(&book.lines[6..]);
        assert!(matches!(check(&lines), Err(Fault::Checkpoint { .. })));
    }
}

#[test]
fn a_line_that_says_the_same_in_other_words_is_refused() {
    let book = book(1);
    for (from, to) in [
        (r#""seq":2,"#, r#""seq":2, "#),
        (r#""seq":2,"#, r#""seq":2.0,"#),
        (
            r#""action":"token.create""#,
            r#""action":"token.creat\u0065""#,
        ),
        (
            r#""action":"token.create""#,
            r#""action":"token.delete","action":"token.create""#,
        ),
    ] {
        let mut lines = book.lines.clone();
        assert!(lines[3].contains(from), "{}", lines[3]);
        lines[3] = lines[3].replace(from, to);
        let refused = check(&lines);
        assert!(
            matches!(refused, Err(Fault::Form { line: 4, .. })),
            "{to}: {refused:?}"
        );
    }
}

#[test]
fn what_stands_where_it_does_not_belong_is_refused() {
    let book = book(2);
    let unsealed = Line::Unsealed { data: entry(99) }.write().unwrap();
    let missing = Line::Missing {
        seq: 4,
        id: "ses_x".to_owned(),
    };
    let with = |at: usize, line: &str| {
        let mut lines = book.lines.clone();
        lines.insert(at, line.to_owned());
        check(&lines)
    };
    // Between entries that one checkpoint seals.
    assert!(matches!(
        with(3, &unsealed),
        Err(Fault::Form { line: 4, .. })
    ));
    // Before entries that are sealed.
    assert!(matches!(
        with(6, &unsealed),
        Err(Fault::Form { line: 8, .. })
    ));
    // An entry that is said to be missing where none is.
    assert!(matches!(
        with(6, &missing.write().unwrap()),
        Err(Fault::Removed { line: 7, seq: 4 })
    ));
    assert_eq!(with(10, &unsealed).unwrap().unsealed, 1);
}

#[test]
fn what_is_no_export_is_refused() {
    for text in ["", "\n", "{}\n", "[]\n", "null\n", "\u{feff}{}\n"] {
        assert!(check_export(text.as_bytes(), None, None).is_err(), "{text}");
    }
    let book = book(1);
    let unended = book.lines.join("\n");
    let refused = check_export(unended.as_bytes(), None, None);
    assert!(matches!(refused, Err(Fault::Form { .. })));
    let long = "x".repeat(LINE_BYTES_MAX + 1);
    assert!(check_export(long.as_bytes(), None, None).is_err());
}

proptest! {
    /// Any byte of any entry or checkpoint, changed to any other.
    #[test]
    fn a_changed_byte_is_found(place in 0_usize..1_000_000, byte in any::<u8>()) {
        let book = book(4);
        let skip: usize = book.lines[..2].iter().map(|line| line.len() + 1).sum();
        let mut bytes = (book.lines.join("\n") + "\n").into_bytes();
        let place = skip + place % (bytes.len() - skip);
        prop_assume!(bytes[place] != byte);
        bytes[place] = byte;
        prop_assert!(check_export(&*bytes, None, None).is_err());
    }

    /// Any entries left out.
    #[test]
    fn entries_that_were_left_out_are_missed(from in 0_usize..18, count in 1_usize..6) {
        let mut lines = book(5).lines;
        let from = 2 + from;
        let end = (from + count).min(lines.len());
        lines.drain(from..end);
        // Whole checkpoints at the end may be cut off; a state that was kept tells that.
        prop_assume!(end < 22 || (from - 2) % 4 != 0);
        prop_assert!(check(&lines).is_err());
    }
}
