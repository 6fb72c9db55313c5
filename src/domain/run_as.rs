//! Impersonation: whether a key may act as an account. One rule for the headers, for
//! `/v1/user/{id}/session/…` and for `/v1/user/{id}/token/…`.

use std::sync::Arc;

use super::account::{AccountChain, AccountState, ImpersonationPolicy};
use super::effective::Effective;
use super::id::AccountId;
use super::liveness::Tags;
use super::text::Email;

/// The wish in the header or in the path, not yet allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunAs {
    /// By id. A text that is no id of an account is a wish for an account that does not exist.
    Id(Option<AccountId>),
    /// By e-mail address, among the children of the caller.
    Email(Option<Email>),
}

/// The one answer: no such child, somebody else's, the caller itself, or denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("impersonation denied")]
pub struct ImpersonationDenied;

/// What a key may do as the child that it was allowed to act as.
#[derive(Debug, Clone, PartialEq)]
pub struct Acting {
    /// The child, with the caller and all above it.
    pub child: Arc<AccountChain>,
    /// What remains of the key.
    pub effective: Effective,
}

impl Acting {
    /// Adds what else anything that is made as the child descends from: the child, and the right of
    /// its parent to act as it. The tags of the key are those of [`KeyChain::tags`].
    ///
    /// [`KeyChain::tags`]: super::api_key::KeyChain::tags
    pub fn add_tags(&self, tags: &mut Tags) {
        self.child.add_tags(tags);
        tags.add(self.child.account().child_tag);
        if let Some(parent) = self.child.iter().nth(1) {
            tags.add(parent.parent_tag);
        }
    }
}

/// Whether a key of `caller` may act as `target`. The caller's own liveness was checked before.
///
/// # Errors
/// [`ImpersonationDenied`], whatever the reason.
pub fn act_as(
    effective: &Effective,
    caller: &AccountChain,
    target: Option<Arc<AccountChain>>,
) -> Result<Acting, ImpersonationDenied> {
    let parent = caller.account();
    let target = target.ok_or(ImpersonationDenied)?;
    let child = target.account();
    let scope = effective
        .impersonation
        .as_ref()
        .ok_or(ImpersonationDenied)?;
    let named = scope
        .users
        .as_ref()
        .is_none_or(|users| users.contains(&child.id));
    let allowed = child.parent.as_ref() == Some(&parent.id)
        && child.id != parent.id
        && child.state == AccountState::Active
        && target.is_active()
        && parent.can_impersonate
        && child.impersonation_policy == ImpersonationPolicy::Allow
        && named;
    if !allowed {
        return Err(ImpersonationDenied);
    }
    let acting = effective
        .acting_as_child(&parent.id)
        .ok_or(ImpersonationDenied)?;
    Ok(Acting {
        child: target,
        effective: acting,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::account::Account;
    use super::super::liveness::Tag;
    use super::super::support::{account_id, chain, changed, declared, may};
    use super::*;

    fn full() -> Effective {
        declared(json!({})).effective()
    }

    fn denied(effective: &Effective, caller: &AccountChain, target: Option<AccountChain>) -> bool {
        act_as(effective, caller, target.map(Arc::new)) == Err(ImpersonationDenied)
    }

    #[test]
    fn a_parent_acts_as_its_direct_child() {
        let acting = act_as(&full(), &chain(&[2, 3]), Some(chain(&[1, 2, 3]).into())).unwrap();

        assert_eq!(acting.child.account().id, account_id(1));
        assert_eq!(acting.effective.grantors, [account_id(2)]);
    }

    #[test]
    fn nobody_acts_for_an_account_that_is_not_its_direct_child() {
        let caller = chain(&[2, 3]);
        for (why, target) in [
            ("there is none", None),
            ("itself", Some(chain(&[2, 3]))),
            ("its parent", Some(chain(&[3]))),
            ("its grandchild", Some(chain(&[9, 1, 2, 3]))),
            ("its sibling", Some(chain(&[4, 3]))),
            ("somebody else's child", Some(chain(&[5, 6]))),
            ("a root", Some(chain(&[7]))),
        ] {
            assert!(denied(&full(), &caller, target), "{why}");
        }
    }

    #[test]
    fn both_accounts_and_all_above_them_must_be_active() {
        for stopped in [1, 2, 3] {
            for state in [AccountState::Suspended, AccountState::Deleted] {
                let stop = |account: &mut Account| {
                    if account.id == account_id(stopped) {
                        account.state = state;
                    }
                };
                let caller = changed(&chain(&[2, 3]), stop);
                let target = changed(&chain(&[1, 2, 3]), stop);

                assert!(
                    denied(&full(), &caller, Some(target)),
                    "{stopped} {state:?}"
                );
            }
        }
    }

    #[test]
    fn an_account_without_the_right_acts_as_nobody() {
        let caller = changed(&chain(&[2, 3]), |account| account.can_impersonate = false);

        assert!(denied(&full(), &caller, Some(chain(&[1, 2, 3]))));
    }

    #[test]
    fn a_child_that_denies_is_left_alone() {
        let target = changed(&chain(&[1, 2, 3]), |account| {
            if account.id == account_id(1) {
                account.impersonation_policy = ImpersonationPolicy::Deny;
            }
        });

        assert!(denied(&full(), &chain(&[2, 3]), Some(target)));
    }

    #[test]
    fn a_key_acts_only_as_the_users_that_it_names() {
        let child = account_id(1).to_string();
        let other = account_id(8).to_string();
        for (users, allowed) in [
            (json!([child.as_str()]), true),
            (json!([other.as_str(), child.as_str()]), true),
            (json!([other.as_str()]), false),
            (json!([]), false),
        ] {
            let effective = may(json!({"impersonation": {"users": users}}));

            let refused = denied(&effective, &chain(&[2, 3]), Some(chain(&[1, 2, 3])));

            assert_eq!(refused, !allowed, "{users}");
        }
    }

    #[test]
    fn a_key_that_is_narrowed_and_does_not_say_so_acts_as_nobody() {
        for config in [
            json!({"allowedRoutes": ["**"]}),
            json!({"impersonation": false}),
            json!({}),
        ] {
            assert!(denied(
                &may(config),
                &chain(&[2, 3]),
                Some(chain(&[1, 2, 3]))
            ));
        }
    }

    #[test]
    fn what_is_made_as_a_child_ends_with_the_child_and_with_the_right_to_act_as_it() {
        let acting = act_as(&full(), &chain(&[2, 3]), Some(chain(&[1, 2, 3]).into())).unwrap();
        let mut tags = Tags::new();

        acting.add_tags(&mut tags);

        assert!(tags.iter().eq([10, 20, 30, 11, 22].map(Tag::from_i64)));
    }
}
