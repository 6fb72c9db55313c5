//! The proof that a request was allowed.

use std::sync::Arc;

use super::VerifyError;
use super::cache::Genuine;
use crate::domain::decision::Deny;
use crate::domain::id::{AccountId, KeyId, SessionId};
use crate::domain::permission::Permission;
use crate::domain::route::RequestPath;
use crate::token::Claims;

/// The proof that a request was allowed. Only a [`Verifier`](super::Verifier) makes one.
#[derive(Debug, Clone)]
pub struct Verified {
    pub(super) session: Arc<Genuine>,
    pub(super) path: RequestPath,
    pub(super) pattern: Option<String>,
}

impl Verified {
    /// What the token says.
    pub fn claims(&self) -> &Claims {
        &self.session.claims
    }

    /// The account for whom the request is made.
    pub fn account(&self) -> &AccountId {
        &self.session.claims.sub
    }

    /// The account that really acts: another one than [`Verified::account`] when that is
    /// impersonated.
    pub fn actor(&self) -> &AccountId {
        let claims = &self.session.claims;
        claims.act.as_ref().map_or(&claims.sub, |actor| &actor.sub)
    }

    /// Whether another account acts than the one for whom the request is made.
    pub fn is_impersonated(&self) -> bool {
        self.actor() != self.account()
    }

    /// The session.
    pub fn session_id(&self) -> &SessionId {
        &self.session.claims.jti
    }

    /// The key that minted the session.
    pub fn key_id(&self) -> &KeyId {
        &self.session.claims.client_id
    }

    /// The path as it was judged: behind the mount, decoded.
    pub fn path(&self) -> &RequestPath {
        &self.path
    }

    /// The pattern that allowed the request.
    pub fn pattern(&self) -> Option<&str> {
        self.pattern.as_deref()
    }

    /// Whether the session has a permission: it lists it, or its permissions are not narrowed.
    pub fn allows(&self, permission: &Permission) -> bool {
        let own = self.session.effective.permissions.as_ref();
        own.is_none_or(|own| own.allows(permission))
    }

    /// Refuses the request unless the session has a permission.
    ///
    /// # Errors
    /// [`VerifyError::Refused`].
    pub fn require(&self, permission: &Permission) -> Result<(), VerifyError> {
        if self.allows(permission) {
            Ok(())
        } else {
            let deny = Deny::Permission(Some(permission.clone()));
            Err(VerifyError::Refused(deny))
        }
    }
}
