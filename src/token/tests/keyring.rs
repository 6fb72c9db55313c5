use super::*;
use crate::token::support::{NOW, record};
use SigningKeyState::{Active, Next, Retired, Revoked};

const LIVE: Environment = Environment::Live;
const ALG: Algorithm = Algorithm::Es256;

fn signing_key(state: SigningKeyState, secs: i64) -> SigningKey {
    let private = PrivateKey::generate(ALG).unwrap();
    let public = private.public().clone();
    SigningKey {
        record: record(public.kid(), state, secs),
        public,
        private: Some(private),
    }
}

#[test]
fn a_ring_knows_who_signs_who_verifies_and_who_is_published() {
    let keys = [
        (Next, 10, [false, false, true]),
        (Active, 10, [true, true, true]),
        (Active, -10, [false, true, true]),
        (Retired, RETIRED_SECS, [false, true, true]),
        (Retired, RETIRED_SECS + 1, [false, false, false]),
        (Revoked, 10, [false, false, false]),
    ];
    for (state, secs, answers) in keys {
        let key = signing_key(state, secs);
        let kid = key.record.kid.clone();
        let ring = KeyRing::new(vec![key]).unwrap();
        let answer = |env| {
            [
                ring.active(env, NOW).is_some(),
                ring.find(env, &kid, NOW).is_some(),
                ring.jwks(env, NOW).keys().len() == 1,
            ]
        };

        assert_eq!(answer(LIVE), answers, "{state} for {secs}");
        assert_eq!(answer(Environment::Test), [false; 3], "{state} for {secs}");
        assert_eq!(ring.verifying(LIVE, NOW).find(&kid).is_some(), answers[1]);
        assert!(ring.find(LIVE, "other", NOW).is_none());
    }
}

#[test]
fn keys_that_contradict_each_other_make_no_ring() {
    let pair = || [signing_key(Active, 10), signing_key(Next, 10)];
    let change = |change: fn(&mut [SigningKey; 2])| {
        let mut keys = pair();
        change(&mut keys);
        KeyRing::new(keys.into()).err()
    };

    assert_eq!(change(|_| ()), None);
    assert_eq!(change(|keys| keys[1].record.env = Environment::Test), None);
    let two = change(|keys| {
        keys[1].record.state = Active;
        keys[1].record.activated_at = Some(NOW);
    });
    assert_eq!(two, Some(KeyRingError::TwoActive { env: LIVE }));
    let wrong: [fn(&mut [SigningKey; 2]); 3] = [
        |keys| keys[1].record.kid = "x".to_owned(),
        |keys| keys[1].record.alg = Algorithm::Rs256,
        |keys| keys[0].private = keys[1].private.take(),
    ];
    for wrong in wrong {
        assert!(matches!(change(wrong), Some(KeyRingError::WrongKey { .. })));
    }
    let cannot: [fn(&mut [SigningKey; 2]); 2] = [
        |keys| keys[0].private = None,
        |keys| keys[0].record.activated_at = None,
    ];
    for cannot in cannot {
        assert!(matches!(
            change(cannot),
            Some(KeyRingError::CannotSign { .. })
        ));
    }
    let twice = change(|keys| {
        keys[1].record.kid = keys[0].record.kid.clone();
        keys[1].public = keys[0].public.clone();
        keys[1].private = None;
    });
    assert!(matches!(twice, Some(KeyRingError::Duplicate { .. })));
}

#[test]
fn states_survive_a_round_trip() {
    for state in SigningKeyState::ALL {
        assert_eq!(SigningKeyState::parse(state.as_str()), Ok(state));
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
    }
    assert_eq!(SigningKeyState::parse("Active"), Err(UnknownState));
}
