//! Being signed in to the dashboard: a random handle in a cookie stands for the key that signed in.
//!
//! The key is not kept. What is kept is the digest of the handle beside the digest of the key, so
//! that each request is judged as that key, at that moment, by the one pipeline. It is in the
//! database, so that any node answers any request.

use std::fmt;

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::App;
use super::authorise::Caller;
use super::error::{BadCredential, Error};
use super::pulse::reborrow;
use crate::domain::id::{AccountId, KeyId};
use crate::domain::limits;
use crate::domain::secret::{KeyDigest, PlainKey};
use crate::domain::time::Timestamp;
use crate::store::dashboard;

pub use crate::store::dashboard::SignIn;

/// 256 random bits that stand for a key in the dashboard. They are in the cookie and nowhere else.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Handle([u8; 32]);

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle(…)")
    }
}

impl Handle {
    /// Reads the value of a cookie.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// The value of the cookie.
    pub fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The 32 bytes.
    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What is stored in its place.
    fn digest(&self) -> [u8; 32] {
        *KeyDigest::of(&self.0).as_bytes()
    }

    /// What a form must bring along: only a page that was made for this handle, while it acted as
    /// this account, has it.
    pub fn form_token(&self, acting_as: Option<&AccountId>) -> String {
        let tag = hmac::sign(&self.form_key(), &form_message(acting_as));
        URL_SAFE_NO_PAD.encode(tag)
    }

    /// Whether a form was made for this handle, while it acted as this account.
    pub fn made_form(&self, token: &str, acting_as: Option<&AccountId>) -> bool {
        let wanted = self.form_token(acting_as);
        constant_time::verify_slices_are_equal(wanted.as_bytes(), token.as_bytes()).is_ok()
    }

    fn form_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }
}

fn form_message(acting_as: Option<&AccountId>) -> Vec<u8> {
    let child = acting_as.map_or("", AccountId::as_str);
    [b"hallpass form ".as_slice(), child.as_bytes()].concat()
}

/// A request of the dashboard: the handle that came with it, and the key for which it stands.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// From the cookie.
    pub handle: Handle,
    /// The digest of the key.
    pub key: KeyDigest,
}

impl App {
    /// Signs a key in, once it was admitted. What it had of handles beyond a number goes, the oldest
    /// first.
    ///
    /// # Errors
    /// [`Error`]; [`BadCredential::Key`] when the caller is no key, or another one.
    pub async fn sign_in(&self, caller: &Caller, key: &PlainKey) -> Result<Handle, Error> {
        let id = caller.key().map(|chain| chain.key().id.clone());
        let id = id.ok_or(BadCredential::Key)?;
        let now = self.now();
        let handle = Handle(self.entropy.bytes()?);
        let sign_in = SignIn {
            digest: handle.digest(),
            key: id,
            key_digest: key.digest(),
            acting_as: None,
            created_at: now,
            seen_at: now,
            expires_at: expiry(now, now),
        };
        let mut tx = self.store.write().await?;
        dashboard::delete_of_key(tx.conn(), &sign_in.key, limits::SIGN_INS_PER_KEY_MAX - 1).await?;
        dashboard::insert(tx.conn(), &sign_in).await?;
        tx.commit().await?;
        Ok(handle)
    }

    /// The sign-in of a handle, if it has not ended.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn signed_in(&self, handle: &Handle) -> Result<Option<SignIn>, Error> {
        let now = self.now();
        let mut read = self.store.read().await?;
        let found = dashboard::find(reborrow(&mut read.conn()), &handle.digest(), now).await?;
        drop(read);
        let Some(sign_in) = found else {
            return Ok(None);
        };
        // Not a write for each page.
        if sign_in.seen_at.plus_secs(limits::SIGN_IN_SEEN_SECS) <= now {
            let end = expiry(now, sign_in.created_at);
            let mut tx = self.store.write().await?;
            dashboard::seen(tx.conn(), &sign_in.digest, now, end).await?;
            tx.commit().await?;
        }
        Ok(Some(sign_in))
    }

    /// Says as which child a sign-in acts, or that it acts as itself. Whether it may is judged by
    /// every request that follows.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn act_in_dashboard(
        &self,
        sign_in: &SignIn,
        child: Option<&AccountId>,
    ) -> Result<(), Error> {
        let mut tx = self.store.write().await?;
        dashboard::act_as(tx.conn(), &sign_in.digest, child).await?;
        Ok(tx.commit().await?)
    }

    /// Signs out.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn sign_out(&self, sign_in: &SignIn) -> Result<(), Error> {
        let mut tx = self.store.write().await?;
        dashboard::delete(tx.conn(), &sign_in.digest).await?;
        Ok(tx.commit().await?)
    }

    /// Signs a key out wherever it is signed in. How often it was.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn sign_out_everywhere(&self, key: &KeyId) -> Result<u64, Error> {
        let mut tx = self.store.write().await?;
        let ended = dashboard::delete_of_key(tx.conn(), key, 0).await?;
        tx.commit().await?;
        Ok(ended)
    }
}

/// When a sign-in ends that is seen now: after a pause, and in any case after a working day.
fn expiry(now: Timestamp, created_at: Timestamp) -> Timestamp {
    now.plus_secs(limits::SIGN_IN_IDLE_SECS)
        .min(created_at.plus_secs(limits::SIGN_IN_SECS_MAX))
}
