//! Impersonation: whether a key may act as an account. One rule for the headers, for
//! `/v1/user/{id}/session/…` and for `/v1/user/{id}/token/…`.

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
    pub child: AccountChain,
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
    target: Option<AccountChain>,
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
