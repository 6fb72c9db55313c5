use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::account::{Account, AccountChain};
use crate::domain::account::{AccountState, ImpersonationPolicy};
use crate::domain::api_key::Ended;
use crate::domain::api_key::KeyProfile;
use crate::domain::config::Config;
use crate::domain::environment::Environment;
use crate::domain::id::AccountId;
use crate::domain::liveness::LogId;
use crate::domain::permission::Vocabulary;
use crate::domain::restrictions::Restrictions;
use crate::domain::secret::KeyKind;
use crate::entropy::{Entropy, SeededEntropy};

fn restrictions(kind: usize) -> Restrictions {
    let config: Value = match kind {
        0 => json!({}),
        1 => json!({"allowedRoutes": ["session/**"]}),
        2 => json!({"allowedRoutes": ["bot/b1/**", "POST a"], "bindings": {"bot": ["b1"]}}),
        3 => json!({"permissions": ["bots:read"], "domains": ["example.com"]}),
        4 => json!({"cidrs": ["192.0.2.0/24"], "rateLimit": {"requests": 3, "perSeconds": 5}}),
        5 => json!({"manage": ["tokens"], "impersonation": {"allowedRoutes": ["a/*"]}}),
        6 => json!({"session": {"allowedRoutes": ["c/**"], "audiences": ["x"],
            "maxDurationInSeconds": 5, "maxRenewableInSeconds": 6, "bindings": {"project": ["p"]}}}),
        _ => json!({"permissions": [], "allowedRoutes": [], "domains": []}),
    };
    let config: Config = serde_json::from_value(config).unwrap();
    config.parse(&Vocabulary::default()).unwrap()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_764_000_000_000 + millis)
}

fn account(number: u8, parent: Option<u8>, dice: [usize; 4]) -> Account {
    let id = |number| AccountId::from_bytes([number; 16]);
    let number_i64 = i64::from(number);
    let texts = (dice[0] > 0).then(|| format!("account {number} {}", dice[0]));
    Account {
        id: id(number),
        parent: parent.map(id),
        depth: 1 + usize::from(number % 3),
        profile: Profile {
            name: texts.clone(),
            external_id: texts,
            meta: (dice[0] > 1).then(|| json!({"n": dice[0]}).as_object().unwrap().clone()),
            ..Profile::default()
        },
        state: AccountState::Active,
        can_impersonate: dice[1].is_multiple_of(2),
        impersonation_policy: [ImpersonationPolicy::Allow, ImpersonationPolicy::Deny][dice[2] % 2],
        tag: Tag::from_i64(number_i64 * 10),
        child_tag: Tag::from_i64(number_i64 * 10 + 1),
        parent_tag: Tag::from_i64(-number_i64),
        denied_at: (dice[3] == 1).then(|| Position::new(number_i64)),
        barred_at: (dice[3] == 2).then(|| Position::new(number_i64 + 1)),
        created_at: at(number_i64),
        updated_at: at(number_i64 * 1_000),
    }
}

fn key(number: u8, owner: u8, dice: [usize; 6]) -> ApiKey {
    let number_i64 = i64::from(number);
    ApiKey {
        id: KeyId::from_bytes([number; 16]),
        account: AccountId::from_bytes([owner; 16]),
        maker: None,
        grantors: (0..dice[0] % 3)
            .map(|_| AccountId::from_bytes([9; 16]))
            .collect(),
        depth: dice[0] + 1,
        environment: [Environment::Live, Environment::Test][dice[1] % 2],
        kind: KeyKind::ALL[dice[2] % 4],
        profile: KeyProfile {
            name: (dice[3] > 0).then(|| format!("key {number}")),
            external_id: (dice[3] > 1).then(|| format!("x{}", dice[3])),
            description: (dice[3] > 2).then(|| "long".to_owned()),
            meta: (dice[3] > 3).then(|| {
                json!({"deep": [1, {"a": 2.5}]})
                    .as_object()
                    .unwrap()
                    .clone()
            }),
        },
        enabled: true,
        operator: dice[4].is_multiple_of(2),
        declared_unrestricted: dice[5].is_multiple_of(2),
        restrictions: restrictions(dice[5]),
        expires_at: (dice[4] > 1).then(|| at(i64::try_from(dice[4]).unwrap() * 10_000)),
        ended: (dice[4] == 3).then(|| Ended {
            at: at(0),
            line_lives_on: true,
        }),
        tag: Tag::from_i64(number_i64 * 100),
        line_tag: Tag::from_i64(number_i64 * 100 + 1),
        made_at: Position::new(number_i64 + 1_764_000_000_000_000),
        line_cut_at: (dice[2] == 3).then(|| Position::new(77)),
        created_at: at(number_i64),
        updated_at: at(number_i64 + 5),
    }
}

fn known(key: ApiKey, makers: Vec<ApiKey>, accounts: Vec<Account>, dice: usize) -> KnownKey {
    let mut accounts = accounts.into_iter();
    let accounts = AccountChain::new(accounts.next().unwrap(), accounts.collect());
    let mut effective = key.effective();
    // As for an operator key in another account than the operator's.
    effective.operator &= dice.is_multiple_of(2);
    let read_at = Rev {
        log: LogId::from_i64(i64::try_from(dice / 2).unwrap()),
        position: Position::new(1_764_000_000_000_000),
    };
    let expires = (dice > 2).then(|| at(123));
    let chain = Arc::new(KeyChain::new(key, makers, accounts));
    KnownKey::new(chain, Arc::new(effective), expires, read_at, i64::MIN)
}

fn digest(entropy: &dyn Entropy) -> KeyDigest {
    KeyDigest::from_bytes(&entropy.bytes::<32>().unwrap()).unwrap()
}

fn assert_same(restored: &KnownKey, read: &KnownKey) {
    assert_eq!(restored.chain, read.chain);
    assert_eq!(restored.effective, read.effective);
    assert_eq!(restored.secret_expires_at, read.secret_expires_at);
    assert_eq!(restored.read_at, read.read_at);
    assert_eq!(restored.chain.rows(), read.chain.rows());
}

proptest! {
    /// Among others that are nearly the same, each comes back as it was read.
    #[test]
    fn a_key_comes_back_as_it_was_read(
        dice in prop::collection::vec(
            (0..40_u8, 0..3_u8, [0..4_usize, 0..4, 0..4, 0..5, 0..4, 0..8], 0..5_usize), 1..40),
        family in [0..3_usize, 0..4, 0..4, 0..3],
    ) {
        let entropy: &dyn Entropy = &SeededEntropy::new(1);
        let compact = CompactKeys::new(64 << 20);
        let mut all = Vec::new();
        for (number, owner, dice, rest) in dice {
            let accounts = vec![account(owner, Some(9), family), account(9, None, family)];
            let makers = (0..dice[1]).map(|maker| key(u8::try_from(50 + maker).unwrap(), 9, dice)).collect();
            let known = known(key(number, owner, dice), makers, accounts, rest);
            let digest = digest(entropy);
            compact.put(&digest, &known);
            all.push((digest, known));
        }
        for (digest, known) in &all {
            assert_same(&compact.get(digest).unwrap(), known);
        }
        prop_assert!(compact.get(&digest(entropy)).is_none());
    }
}

fn plain(number: u8, owner: u8) -> KnownKey {
    let accounts = vec![account(owner, None, [0; 4])];
    known(
        key(number, owner, [0, 0, 0, 0, 0, 1]),
        Vec::new(),
        accounts,
        0,
    )
}

#[test]
fn it_never_takes_up_more_than_its_bound_and_gives_back_what_was_shared() {
    const BYTES_MAX: usize = 4 << 20;
    let entropy: &dyn Entropy = &SeededEntropy::new(2);
    let compact = CompactKeys::new(BYTES_MAX);
    for turn in 0..60_000_u32 {
        let mut known = plain(u8::try_from(turn % 200).unwrap(), 1);
        if turn % 2 == 0 {
            // Named like no other.
            let mut key = known.chain.key().clone();
            key.profile.name = Some(format!("key {turn}"));
            let accounts = Arc::clone(known.chain.accounts());
            known.chain = Arc::new(KeyChain::new(key, Vec::new(), accounts));
        }
        let digest = digest(entropy);
        compact.put(&digest, &known);
        if turn % 1_000 == 0 {
            assert!(compact.bytes() <= BYTES_MAX, "{turn}: {}", compact.bytes());
        }
    }
    assert!(compact.bytes() > BYTES_MAX / 2, "it is put to use");
    let records: usize = compact
        .shards
        .iter()
        .map(|shard| shard.read().unwrap().len())
        .sum();
    assert!(
        compact.shapes.len() <= records,
        "names of keys that went are gone"
    );
    assert_eq!(
        (
            compact.grades.len(),
            compact.owners.len(),
            compact.families.len()
        ),
        (1, 1, 1)
    );

    for shard in &compact.shards {
        while let Some(record) = shard.write().unwrap().take_one() {
            compact.release(record);
        }
    }
    assert_eq!(compact.pooled_bytes(), 0);
}

#[test]
fn a_key_takes_up_little() {
    let entropy: &dyn Entropy = &SeededEntropy::new(3);
    let compact = CompactKeys::new(1 << 30);
    for turn in 0..50_000_u32 {
        compact.put(
            &digest(entropy),
            &plain(u8::try_from(turn % 100).unwrap(), 1),
        );
    }
    let each = compact.bytes() / 50_000;
    assert!(each < 132, "{each}");
    assert_eq!(size_of::<Record>(), 120);
}

#[test]
fn a_key_of_which_much_is_written_is_not_taken() {
    let entropy: &dyn Entropy = &SeededEntropy::new(4);
    let compact = CompactKeys::new(1 << 20);
    let mut known = plain(1, 1);
    let mut key = known.chain.key().clone();
    key.profile.description = Some("x".repeat(TEXTS_BYTES_MAX));
    let accounts = Arc::clone(known.chain.accounts());
    known.chain = Arc::new(KeyChain::new(key, Vec::new(), accounts));
    let digest = digest(entropy);

    compact.put(&digest, &known);

    assert!(compact.get(&digest).is_none());
    assert_eq!(compact.pooled_bytes(), 0);
}

#[test]
fn what_still_held_is_as_new_as_that_unless_it_was_read_anew() {
    let entropy: &dyn Entropy = &SeededEntropy::new(5);
    let compact = CompactKeys::new(1 << 20);
    let digest = digest(entropy);
    let read_at = plain(1, 1).read_at;
    let later = |by: i64| Rev {
        position: Position::new(read_at.position.get() + by),
        ..read_at
    };
    compact.put(&digest, &plain(1, 1));
    let now = || compact.get(&digest).unwrap().read_at;

    compact.held(&digest, read_at, later(LAG_MAX - 1));
    assert_eq!(now(), read_at, "not each time");
    compact.held(&digest, later(1), later(2 * LAG_MAX));
    assert_eq!(now(), read_at, "something else held");
    compact.held(&digest, read_at, later(LAG_MAX));
    assert_eq!(now(), later(LAG_MAX));
}

#[test]
fn a_moment_is_an_instant_or_none() {
    for millis in [0, 1, 1_764_000_000_500, (1 << 48) - 2] {
        let at = Some(Timestamp::from_millis(millis));
        assert_eq!(Moment::of(at).unwrap().get(), at);
    }
    assert_eq!(Moment::of(None).unwrap().get(), None);
    for millis in [-1, (1 << 48) - 1, 1 << 48, i64::MAX] {
        assert!(Moment::of(Some(Timestamp::from_millis(millis))).is_none());
    }
    assert!(
        BTreeSet::from([to_secs(i64::MIN), to_secs(-1)])
            .iter()
            .all(|secs| *secs == 0)
    );
}

/// A key of which the digest says everything, out of few that are alike in part.
fn of_digest(digest: &KeyDigest) -> KnownKey {
    let [number, owner, kind, name, ..] = *digest.as_bytes();
    let dice = [0, 0, 0, usize::from(name % 3), 0, usize::from(kind % 8)];
    let accounts = vec![
        account(owner % 3, Some(9), [usize::from(kind % 2), 0, 0, 0]),
        account(9, None, [0; 4]),
    ];
    known(
        key(number, owner % 3, dice),
        vec![key(50, 9, [0; 6])],
        accounts,
        0,
    )
}

#[test]
fn whoever_comes_and_goes_at_once_each_key_is_that_of_its_secret() {
    // So little that what is shared goes and comes again all the time.
    let compact = CompactKeys::new(96 << 10);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let compact = &compact;
            scope.spawn(move || {
                let entropy: &dyn Entropy = &SeededEntropy::new(seed % 2);
                let mut of_late = Vec::new();
                for turn in 0..2_000_i64 {
                    let digest = digest(entropy);
                    let known = of_digest(&digest);
                    compact.put(&digest, &known);
                    compact.noted(&digest, at(turn));
                    of_late.push(digest);
                    let earlier = of_late.len().saturating_sub(20);
                    for digest in of_late.get(earlier..).into_iter().flatten().step_by(5) {
                        if let Some(found) = compact.get(digest) {
                            assert_same(&found, &of_digest(digest));
                        }
                    }
                }
            });
        }
    });
    for shard in &compact.shards {
        while let Some(record) = shard.write().unwrap().take_one() {
            compact.release(record);
        }
    }
    assert_eq!(compact.pooled_bytes(), 0);
    assert_eq!((compact.shapes.len(), compact.grades.len()), (0, 0));
    assert_eq!((compact.owners.len(), compact.families.len()), (0, 0));
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn nothing_that_callers_choose_is_told_apart_by_comparison_alone() {
    let grade = |config: Value| {
        let config: Config = serde_json::from_value(config).unwrap();
        let mut key = in_common(&key(1, 1, [0; 6]));
        key.restrictions = config.parse(&Vocabulary::default()).unwrap();
        Grade {
            log: LogId::from_i64(1),
            effective: Arc::new(key.effective()),
            makers: Arc::new([]),
            key,
        }
    };
    let grades: BTreeSet<u64> = [
        json!({}),
        json!({"permissions": ["bots:read"]}),
        json!({"domains": ["example.com"]}),
        json!({"cidrs": ["192.0.2.0/24"]}),
        json!({"rateLimit": {"requests": 3, "perSeconds": 5}}),
        json!({"rateLimit": {"requests": 4, "perSeconds": 5}}),
        json!({"bindings": {"bot": ["b1"]}}),
        json!({"session": {"bindings": {"bot": ["b1"]}}}),
        json!({"session": {"audiences": ["x"]}}),
        json!({"session": {"maxDurationInSeconds": 5}}),
        json!({"impersonation": true}),
        json!({"manage": ["tokens"]}),
    ]
    .map(|config| hash_of(&grade(config)))
    .into();
    assert_eq!(grades.len(), 12);

    let grade = Arc::new(grade(json!({})));
    let shape = |description: &str, meta: Value, cut: i64| Shape {
        texts: Texts::of(&KeyProfile {
            description: Some(description.to_owned()),
            meta: meta.as_object().cloned(),
            ..KeyProfile::default()
        }),
        expires_at: None,
        line_cut_at: Some(Position::new(cut)),
        grade: Arc::clone(&grade),
    };
    let shapes: BTreeSet<u64> = [
        shape("a", json!({}), 0),
        shape("b", json!({}), 0),
        shape("a", json!({"a": 1}), 0),
        shape("a", json!({"a": 2}), 0),
        shape("a", json!({}), 1),
    ]
    .iter()
    .map(hash_of)
    .collect();
    assert_eq!(shapes.len(), 5);
}

#[test]
fn what_was_written_reads_as_it_was_written_though_it_equals_what_another_wrote() {
    let entropy: &dyn Entropy = &SeededEntropy::new(6);
    let compact = CompactKeys::new(1 << 20);
    for meta in [
        r#"{"a":1,"b":0.0}"#,
        r#"{"b":0.0,"a":1}"#,
        r#"{"a":1,"b":-0.0}"#,
    ] {
        let mut known = plain(1, 1);
        let mut key = known.chain.key().clone();
        key.profile.meta = Some(serde_json::from_str(meta).unwrap());
        let accounts = Arc::clone(known.chain.accounts());
        known.chain = Arc::new(KeyChain::new(key, Vec::new(), accounts));
        let digest = digest(entropy);
        compact.put(&digest, &known);

        let restored = compact.get(&digest).unwrap();
        let written = restored.chain.key().profile.meta.as_ref().unwrap();
        assert_eq!(serde_json::to_string(written).unwrap(), meta);
    }
}
