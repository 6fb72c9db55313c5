use serde_json::json;

use super::super::support::{NOW, account_id, chain, changed, declared, key, key_id};
use super::*;

/// Key 9, made with key 8, which was made with key 7.
fn line() -> [ApiKey; 3] {
    [9, 8, 7].map(|number| ApiKey {
        maker: (number > 7).then(|| key_id(number - 1)),
        ..key(number, json!({"allowedRoutes": ["**"]}))
    })
}

fn alive(line: [ApiKey; 3], now: Timestamp) -> Result<(), KeyDead> {
    let [key, maker, grandmaker] = line;
    KeyChain::new(key, vec![maker, grandmaker], chain(&[1])).check_alive(now)
}

fn check(change: impl Fn(&mut [ApiKey; 3])) -> Result<(), KeyDead> {
    let mut line = line();
    change(&mut line);
    alive(line, NOW)
}

const GONE: Option<Ended> = Some(Ended {
    at: NOW,
    line_lives_on: false,
});
const GONE_ALONE: Option<Ended> = Some(Ended {
    at: NOW,
    line_lives_on: true,
});

#[test]
fn a_key_whose_makers_live_is_alive() {
    assert_eq!(check(|_| ()), Ok(()));
}

#[test]
fn a_key_dies_with_any_of_its_makers() {
    for place in 0..3 {
        assert_eq!(
            check(|line| line[place].ended = GONE),
            Err(KeyDead::Ended),
            "{place}"
        );
        assert_eq!(
            check(|line| line[place].enabled = false),
            Err(KeyDead::Disabled),
            "{place}"
        );
    }
    for place in 1..3 {
        assert_eq!(
            check(|line| line[place].expires_at = Some(NOW)),
            Err(KeyDead::MakerExpired),
            "{place}"
        );
        assert_eq!(
            check(|line| line[place].expires_at = Some(NOW.plus_millis(1))),
            Ok(()),
            "{place}"
        );
    }
}

#[test]
fn a_keys_own_expiry_is_left_to_the_decision() {
    assert_eq!(check(|line| line[0].expires_at = Some(NOW)), Ok(()));
}

#[test]
fn a_key_that_was_ended_alone_is_dead_and_what_was_made_with_it_lives_on() {
    assert_eq!(
        check(|line| line[0].ended = GONE_ALONE),
        Err(KeyDead::Ended)
    );
    for place in 1..3 {
        assert_eq!(
            check(|line| {
                line[place].ended = GONE_ALONE;
                line[place].enabled = false;
                line[place].expires_at = Some(NOW);
            }),
            Ok(()),
            "{place}"
        );
    }
}

#[test]
fn a_maker_that_was_ended_alone_does_not_shield_from_those_above_it() {
    let detached = |line: &mut [ApiKey; 3]| line[1].ended = GONE_ALONE;

    assert_eq!(
        check(|line| {
            detached(line);
            line[2].ended = GONE;
        }),
        Err(KeyDead::Ended)
    );
    assert_eq!(
        check(|line| {
            detached(line);
            line[2].enabled = false;
        }),
        Err(KeyDead::Disabled)
    );
}

#[test]
fn a_cut_line_ends_what_was_made_up_to_it_and_nothing_later() {
    let cut = |place: usize, at| check(|line| line[place].line_cut_at = Some(Position::new(at)));

    assert_eq!(cut(1, 9), Err(KeyDead::Ended));
    assert_eq!(cut(1, 8), Ok(()), "the key was made at 9");
    assert_eq!(
        cut(2, 8),
        Err(KeyDead::Ended),
        "its maker fell, and it with it"
    );
    assert_eq!(cut(2, 7), Ok(()));
    assert_eq!(cut(0, 9), Ok(()), "its own line is below it");
}

#[test]
fn a_line_that_was_cut_stays_cut_when_the_maker_is_ended_alone_later() {
    assert_eq!(
        check(|line| {
            line[1].line_cut_at = Some(Position::new(9));
            line[1].ended = GONE_ALONE;
        }),
        Err(KeyDead::Ended)
    );
}

#[test]
fn a_key_dies_with_any_account_above_it() {
    for stopped in [1, 2, 3] {
        let accounts = changed(&chain(&[1, 2, 3]), |account| {
            if account.id == account_id(stopped) {
                account.state = super::super::account::AccountState::Suspended;
            }
        });
        let chain = KeyChain::new(declared(json!({})), Vec::new(), accounts);

        assert_eq!(chain.check_alive(NOW), Err(KeyDead::Account), "{stopped}");
    }
}

#[test]
fn a_chain_that_lacks_a_maker_or_is_of_another_account_is_dead() {
    let [key, maker, grandmaker] = line();
    for makers in [
        vec![],
        vec![maker.clone()],
        vec![grandmaker.clone()],
        vec![grandmaker, maker],
    ] {
        let chain = KeyChain::new(key.clone(), makers, chain(&[1]));
        assert_eq!(chain.check_alive(NOW), Err(KeyDead::Ended));
    }
    let stray = KeyChain::new(declared(json!({})), Vec::new(), chain(&[2]));
    assert_eq!(stray.check_alive(NOW), Err(KeyDead::Ended));
}

/// A key of account 1 that account 2, its parent, made at position 5, and for which account 3
/// acted as account 2.
fn granted(change: impl Fn(&mut super::super::account::Account)) -> Result<(), KeyDead> {
    let key = ApiKey {
        grantors: vec![account_id(2), account_id(3)],
        ..key(5, json!({}))
    };
    let accounts = changed(&chain(&[1, 2, 3]), change);
    KeyChain::new(key, Vec::new(), accounts).check_alive(NOW)
}

#[test]
fn a_granted_key_ends_with_the_right_to_impersonate_at_every_step() {
    assert_eq!(granted(|_| ()), Ok(()));
    for child in [1, 2] {
        let child = account_id(child);
        assert_eq!(
            granted(|account| if account.id == child {
                account.impersonation_policy = ImpersonationPolicy::Deny;
            }),
            Err(KeyDead::Grant)
        );
        assert_eq!(
            granted(|account| if account.id == child {
                account.denied_at = Some(Position::new(5));
            }),
            Err(KeyDead::Grant),
            "it said deny after the key was made, and allow again does not bring it back"
        );
        assert_eq!(
            granted(|account| if account.id == child {
                account.denied_at = Some(Position::new(4));
            }),
            Ok(())
        );
    }
    for parent in [2, 3] {
        let parent = account_id(parent);
        assert_eq!(
            granted(|account| if account.id == parent {
                account.can_impersonate = false;
            }),
            Err(KeyDead::Grant)
        );
        assert_eq!(
            granted(|account| if account.id == parent {
                account.barred_at = Some(Position::new(5));
            }),
            Err(KeyDead::Grant)
        );
        assert_eq!(
            granted(|account| if account.id == parent {
                account.barred_at = Some(Position::new(4));
            }),
            Ok(())
        );
    }
}

#[test]
fn a_granted_key_whose_grantor_is_not_above_its_account_is_dead() {
    let key = ApiKey {
        grantors: vec![account_id(3)],
        ..key(5, json!({}))
    };
    let chain = KeyChain::new(key, Vec::new(), chain(&[1, 2]));

    assert_eq!(chain.check_alive(NOW), Err(KeyDead::Grant));
}

#[test]
fn an_accounts_own_key_does_not_care_for_impersonation() {
    let accounts = changed(&chain(&[1, 2]), |account| {
        account.impersonation_policy = ImpersonationPolicy::Deny;
        account.can_impersonate = false;
        account.denied_at = Some(Position::new(99));
        account.barred_at = Some(Position::new(99));
    });
    let chain = KeyChain::new(declared(json!({})), Vec::new(), accounts);

    assert_eq!(chain.check_alive(NOW), Ok(()));
}

#[test]
fn the_tags_are_those_of_the_key_its_line_its_makers_its_accounts_and_its_grants() {
    let [mut key, maker, grandmaker] = line();
    key.grantors = vec![account_id(2)];
    let chain = KeyChain::new(key, vec![maker, grandmaker], chain(&[1, 2, 3]));

    let tags: Vec<_> = chain.tags().iter().collect();

    let wanted = [900, 901, 801, 701, 10, 20, 30, 11, 22];
    assert_eq!(tags, wanted.map(Tag::from_i64));
}

#[test]
fn the_tags_of_a_key_are_not_those_of_its_makers_alone() {
    // A maker that is ended alone ends its own tag, which what it made must not carry.
    let [key, maker, grandmaker] = line();
    let chain = KeyChain::new(key, vec![maker, grandmaker], chain(&[1]));

    let alone = [800, 700].map(Tag::from_i64);
    assert!(!chain.tags().iter().any(|tag| alone.contains(&tag)));
}

#[test]
fn a_key_is_unrestricted_if_it_was_declared_so_and_nothing_is_narrowed() {
    assert!(declared(json!({})).is_unrestricted());
    assert!(declared(json!({"impersonation": true})).is_unrestricted());
    assert!(!key(1, json!({})).is_unrestricted());
    for config in [
        json!({"allowedRoutes": ["**"]}),
        json!({"permissions": ["admin"]}),
        json!({"bindings": {"bot": []}}),
        json!({"domains": ["example.com"]}),
        json!({"cidrs": ["0.0.0.0/0"]}),
        json!({"session": {"allowedRoutes": ["**"]}}),
        json!({"session": {"maxDurationInSeconds": 86400}}),
        json!({"impersonation": false}),
        json!({"impersonation": {"allowedRoutes": ["**"]}}),
        json!({"manage": ["tokens"]}),
        json!({"rateLimit": {"requests": 1000, "perSeconds": 1}}),
    ] {
        assert!(!declared(config.clone()).is_unrestricted(), "{config}");
    }
}
