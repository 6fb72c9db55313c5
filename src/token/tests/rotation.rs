use proptest::prelude::*;

use super::*;
use crate::token::keyring::RETIRED_SECS;
use crate::token::support::{NOW, record};
use crate::token::verify::LIFETIME_SECS_MAX;
use SigningKeyState::{Active, Next, Retired, Revoked};

const LIVE: Environment = Environment::Live;
const MAX_AGE: i64 = 600;
const PERIOD: i64 = 30 * 86_400;
const ALG: Algorithm = Algorithm::Es256;

fn policy() -> RotationPolicy {
    RotationPolicy::new(ALG, 0, MAX_AGE, Some(PERIOD))
}

fn create_next() -> Step {
    Step::CreateNext { alg: ALG }
}
fn activate(kid: &str, at: Timestamp) -> Step {
    let kid = kid.to_owned();
    Step::Activate { kid, at }
}
fn retire(kid: &str) -> Step {
    let kid = kid.to_owned();
    Step::Retire { kid }
}
fn revoke(kid: &str) -> Step {
    let kid = kid.to_owned();
    Step::Revoke { kid }
}
fn delete(kid: &str) -> Step {
    let kid = kid.to_owned();
    Step::Delete { kid }
}

fn upkeep(keys: &[KeyRecord]) -> Vec<Step> {
    plan_upkeep(keys, LIVE, NOW, &policy())
}

#[test]
fn a_new_environment_signs_at_once_and_has_a_successor() {
    let first = [Step::CreateActive { alg: ALG }, create_next()];

    assert_eq!(upkeep(&[]), first);
    assert_eq!(plan_rotation(&[], LIVE, NOW, &policy()), Ok(first.to_vec()));
    // The other environment is another world.
    let keys = [record("a", Active, 10), record("n", Next, 10)];
    assert_eq!(plan_upkeep(&keys, Environment::Test, NOW, &policy()), first);
}

#[test]
fn when_all_is_well_nothing_is_done() {
    for age in [0, MAX_AGE, PERIOD - 1] {
        assert_eq!(
            upkeep(&[record("a", Active, age), record("n", Next, age)]),
            []
        );
    }
}

#[test]
fn the_active_key_is_replaced_when_its_period_is_over() {
    let keys = [record("a", Active, PERIOD), record("n", Next, PERIOD)];

    assert_eq!(
        upkeep(&keys),
        [retire("a"), activate("n", NOW), create_next()]
    );
    let by_command = RotationPolicy::new(ALG, 0, MAX_AGE, None);
    assert_eq!(plan_upkeep(&keys, LIVE, NOW, &by_command), []);
}

#[test]
fn a_key_is_published_for_the_lead_time_before_it_signs() {
    let lead = MAX_AGE + PUBLISH_MARGIN_SECS;
    let keys = |age| [record("a", Active, PERIOD), record("n", Next, age)];
    let rotated = vec![retire("a"), activate("n", NOW), create_next()];

    assert_eq!(upkeep(&keys(lead)), rotated);
    assert_eq!(upkeep(&keys(lead - 1)), []);
    assert_eq!(
        plan_rotation(&keys(lead), LIVE, NOW, &policy()),
        Ok(rotated)
    );
    assert_eq!(
        plan_rotation(&keys(lead - 1), LIVE, NOW, &policy()),
        Err(RotationError::NextTooYoung {
            ready_at: NOW.plus_secs(1)
        })
    );
}

#[test]
fn the_lead_time_is_never_less_than_the_max_age() {
    let ready = |lead_secs, max_age_secs| {
        let policy = RotationPolicy::new(ALG, lead_secs, max_age_secs, None);
        policy.ready_at(Timestamp::from_secs(0)).secs_floor() - PUBLISH_MARGIN_SECS
    };

    assert_eq!(ready(0, 600), 600);
    assert_eq!(ready(599, 600), 600);
    assert_eq!(ready(3600, 600), 3600);
    assert_eq!(ready(-5, -5), 0);
}

#[test]
fn what_is_missing_is_made_good() {
    let lead = MAX_AGE + PUBLISH_MARGIN_SECS;
    let cases: [(&[KeyRecord], Vec<Step>); 6] = [
        (&[record("a", Active, 10)], vec![create_next()]),
        (
            &[record("n", Next, lead)],
            vec![activate("n", NOW), create_next()],
        ),
        (
            &[record("n", Next, 5)],
            vec![activate("n", NOW.plus_secs(lead - 5)), create_next()],
        ),
        // Somebody has cached the revoked key's set: the first key's exception is over.
        (&[record("x", Revoked, 10)], vec![create_next()]),
        (&[record("r", Retired, 10)], vec![create_next()]),
        (
            &[
                record("a", Active, 10),
                record("n", Next, 20),
                record("m", Next, 10),
            ],
            vec![delete("m")],
        ),
    ];
    for (keys, steps) in cases {
        assert_eq!(upkeep(keys), steps, "{keys:?}");
    }
}

#[test]
fn a_retired_key_goes_when_its_last_token_is_over() {
    let keys = |age| {
        [
            record("a", Active, 10),
            record("n", Next, 10),
            record("r", Retired, age),
            record("x", Revoked, age),
        ]
    };

    assert_eq!(upkeep(&keys(RETIRED_SECS)), []);
    assert_eq!(upkeep(&keys(RETIRED_SECS + 1)), [delete("r")]);
}

#[test]
fn another_algorithm_begins_with_a_new_next_key() {
    let ed = RotationPolicy::new(Algorithm::EdDsa, 0, MAX_AGE, Some(PERIOD));
    let keys = [record("a", Active, PERIOD), record("n", Next, PERIOD)];
    let replaced = [
        delete("n"),
        Step::CreateNext {
            alg: Algorithm::EdDsa,
        },
    ];

    assert_eq!(plan_upkeep(&keys, LIVE, NOW, &ed), replaced);
    // In an emergency any key will do.
    let steps = plan_revocation(&keys, LIVE, "a", NOW, &ed).unwrap();
    assert_eq!(steps[..2], [revoke("a"), activate("n", NOW)]);
}

#[test]
fn a_next_key_that_was_asked_for_by_command_stays_and_signs() {
    let asked = KeyRecord {
        alg: Algorithm::EdDsa,
        ..record("n", Next, PERIOD)
    };
    let keys = [record("a", Active, PERIOD - 1), asked];
    let policy = policy().with_any_next();

    assert_eq!(plan_upkeep(&keys, LIVE, NOW, &policy), []);
    // What follows it is of the configured algorithm again.
    let rotated = vec![retire("a"), activate("n", NOW), create_next()];
    assert_eq!(plan_rotation(&keys, LIVE, NOW, &policy), Ok(rotated));
}

#[test]
fn an_emergency_has_a_successor() {
    let keys = [
        record("a", Active, 5),
        record("n", Next, MAX_AGE + PUBLISH_MARGIN_SECS),
        record("r", Retired, 5),
    ];
    let plan = |kid| plan_revocation(&keys, LIVE, kid, NOW, &policy());

    assert_eq!(
        plan("a"),
        Ok(vec![revoke("a"), activate("n", NOW), create_next()])
    );
    assert_eq!(plan("n"), Ok(vec![revoke("n"), create_next()]));
    assert_eq!(plan("r"), Ok(vec![revoke("r")]));
    assert_eq!(plan("z"), Err(RotationError::UnknownKey));
    assert_eq!(
        plan_revocation(&keys, Environment::Test, "a", NOW, &policy()),
        Err(RotationError::UnknownKey)
    );
    assert_eq!(
        plan_revocation(&[record("x", Revoked, 5)], LIVE, "x", NOW, &policy()),
        Err(RotationError::AlreadyRevoked)
    );
}

#[test]
fn a_successor_that_verifiers_may_not_know_waits() {
    let keys = [record("a", Active, 5), record("n", Next, 5)];
    let ready_at = NOW.plus_secs(MAX_AGE + PUBLISH_MARGIN_SECS - 5);

    let steps = plan_revocation(&keys, LIVE, "a", NOW, &policy());

    assert_eq!(
        steps,
        Ok(vec![revoke("a"), activate("n", ready_at), create_next()])
    );
}

/// A database, a clock and a key set as the most stubborn verifier sees it.
struct World {
    now: Timestamp,
    keys: Vec<KeyRecord>,
    made: usize,
    first: Option<String>,
}

impl World {
    fn create(&mut self, state: SigningKeyState) {
        let kid = format!("k{}", self.made);
        self.made += 1;
        if state == Active {
            assert!(
                self.first.is_none(),
                "only one key ever skips the lead time"
            );
            self.first = Some(kid.clone());
        }
        self.keys.push(KeyRecord {
            state,
            kid,
            alg: ALG,
            env: LIVE,
            created_at: self.now,
            published_at: self.now,
            activated_at: (state == Active).then_some(self.now),
            retired_at: None,
            revoked_at: None,
        });
    }

    fn get(&mut self, kid: &str) -> &mut KeyRecord {
        self.keys.iter_mut().find(|key| key.kid == kid).unwrap()
    }

    /// What the store does, with the condition that each of its updates carries.
    fn apply(&mut self, steps: Vec<Step>) {
        let now = self.now;
        for step in steps {
            match step {
                Step::CreateActive { .. } => self.create(Active),
                Step::CreateNext { .. } => self.create(Next),
                Step::Activate { kid, at } => {
                    let key = self.get(&kid);
                    assert_eq!(key.state, Next);
                    key.state = Active;
                    key.activated_at = Some(at);
                }
                Step::Retire { kid } => {
                    let key = self.get(&kid);
                    assert_eq!(key.state, Active);
                    key.state = Retired;
                    key.retired_at = Some(now);
                }
                Step::Revoke { kid } => {
                    let key = self.get(&kid);
                    assert_ne!(key.state, Revoked);
                    key.state = Revoked;
                    key.revoked_at = Some(now);
                }
                Step::Delete { kid } => {
                    let key = self.get(&kid);
                    assert!(key.state == Next || (key.state == Retired && !key.verifies(now)));
                    self.keys.retain(|key| key.kid != kid);
                }
            }
        }
    }

    fn check(&self) {
        let count = |state| self.keys.iter().filter(|key| key.state == state).count();
        assert_eq!(count(Next), 1, "an emergency has a successor");
        assert!(count(Active) <= 1, "two keys sign");
        for key in self.keys.iter().filter(|key| key.state == Active) {
            let at = key.activated_at.unwrap();
            let known = policy().ready_at(key.published_at) <= at;
            let first = self.first.as_ref() == Some(&key.kid);
            assert!(known || first, "{} signs before it is known", key.kid);
            assert!(key.is_published(self.now) && key.verifies(self.now));
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Wait(i64),
    Upkeep,
    Rotate,
    Revoke(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0_i64..1_200).prop_map(Event::Wait),
        (0_i64..40 * 86_400).prop_map(Event::Wait),
        Just(Event::Upkeep),
        Just(Event::Rotate),
        (0_usize..4).prop_map(Event::Revoke),
    ]
}

proptest! {
    /// Whatever is commanded, and whenever: one successor, at most one signer, no signer that
    /// verifiers may not know, and no token outlives the key that verifies it.
    #[test]
    fn no_sequence_of_events_breaks_the_rules(events in prop::collection::vec(event(), 1..40)) {
        let mut world = World { now: NOW, keys: Vec::new(), made: 0, first: None };
        world.apply(plan_upkeep(&[], LIVE, NOW, &policy()));
        let mut tokens: Vec<(String, Timestamp)> = Vec::new();
        for event in events {
            let revoked = match event {
                Event::Wait(secs) => {
                    world.now = world.now.plus_secs(secs);
                    None
                }
                Event::Upkeep => {
                    world.apply(plan_upkeep(&world.keys, LIVE, world.now, &policy()));
                    None
                }
                Event::Rotate => {
                    if let Ok(steps) = plan_rotation(&world.keys, LIVE, world.now, &policy()) {
                        world.apply(steps);
                    }
                    None
                }
                Event::Revoke(at) => {
                    let kid = world.keys[at % world.keys.len()].kid.clone();
                    let now = world.now;
                    match plan_revocation(&world.keys, LIVE, &kid, now, &policy()) {
                        Ok(steps) => {
                            world.apply(steps);
                            Some(kid)
                        }
                        Err(_) => None,
                    }
                }
            };
            world.check();
            prop_assert!(plan_upkeep(&world.keys, LIVE, world.now, &policy()).is_empty()
                || !matches!(event, Event::Upkeep));
            if let Some(revoked) = revoked {
                tokens.retain(|(kid, _)| *kid != revoked);
            }
            let now = world.now;
            let signer = world.keys.iter().find(|key| {
                key.state == Active && key.activated_at.is_some_and(|at| at <= now)
            });
            if let Some(signer) = signer {
                tokens.push((signer.kid.clone(), now.plus_secs(LIFETIME_SECS_MAX)));
            }
            for (kid, exp) in &tokens {
                let key = world.keys.iter().find(|key| key.kid == *kid);
                let verifies = key.is_some_and(|key| key.verifies(now) && key.is_published(now));
                prop_assert!(*exp <= now || verifies, "a token of {kid} is stranded");
            }
        }
    }
}
