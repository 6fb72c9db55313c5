//! `Idempotency-Key`: a repeated POST has one effect and one answer.
//!
//! The answer is stored sealed under a key derived from the presented credential and the
//! `Idempotency-Key`; neither is stored, so the row cannot be opened without both. The place of the
//! row is derived in the same way and bound to key, subject and path.

use aws_lc_rs::constant_time;
use aws_lc_rs::digest::{Context, SHA256};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::App;
use super::authorise::{Caller, Credential, Presented};
use super::change::Change;
use super::error::{Conflict, Error};
use super::pulse::reborrow;
use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::store::{Conn, idempotency};
use crate::token::master::MasterKey;

/// The place of one answer, and the key that opens it.
pub struct Replay {
    place: [u8; 32],
    sealing: MasterKey,
    body_digest: [u8; 32],
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Replay(…)")
    }
}

/// The answer, and whether it was given before.
#[derive(Debug)]
pub struct Once<T> {
    /// The answer.
    pub answer: T,
    /// Whether nothing was done this time.
    pub replayed: bool,
}

impl<T> Once<T> {
    /// An answer given for the first time.
    pub const fn first(answer: T) -> Self {
        Self {
            answer,
            replayed: false,
        }
    }
}

const AAD: &[u8] = b"hallpass idempotency answer";

impl Replay {
    /// For a request that names an `Idempotency-Key`; the CLI, which has no credential, has none.
    pub fn new(
        presented: &Presented,
        caller: &Caller,
        idempotency_key: &str,
        body: &[u8],
    ) -> Option<Self> {
        let secret = match &presented.credential {
            Credential::Key(key) => key.expose().as_bytes(),
            Credential::Token(token) => token.as_bytes(),
            // Not the digest of the key, which is stored.
            Credential::Dashboard(signed_in) => signed_in.handle.as_bytes(),
            Credential::None | Credential::Cli(_) => return None,
        };
        let key_id = caller.key_id()?.as_str().as_bytes();
        let subject = caller.account().as_str().as_bytes();
        let path = presented.facts.path.as_str().as_bytes();
        let derive = |label: &[u8]| {
            let parts = [
                label,
                secret,
                idempotency_key.as_bytes(),
                key_id,
                subject,
                path,
            ];
            hash(&parts)
        };
        Some(Self {
            place: *derive(b"hallpass idempotency place"),
            sealing: MasterKey::from_bytes(*derive(b"hallpass idempotency key")),
            body_digest: *hash(&[b"hallpass idempotency body", body]),
        })
    }

    /// [`Replay::begin_in`], in a change.
    ///
    /// # Errors
    /// [`Conflict::IdempotencyKey`] when another request stands there.
    pub async fn begin<T: DeserializeOwned>(
        &self,
        change: &mut Change<'_>,
    ) -> Result<Option<T>, Error> {
        let now = change.now;
        self.begin_in(change.conn(), now).await
    }

    /// Takes the place of the answer, or gives the answer that stands there.
    ///
    /// # Errors
    /// [`Conflict::IdempotencyKey`] when another request stands there.
    pub async fn begin_in<T: DeserializeOwned>(
        &self,
        mut conn: Conn<'_>,
        now: Timestamp,
    ) -> Result<Option<T>, Error> {
        idempotency::prune(reborrow(&mut conn), &self.place, now).await?;
        let until = now.plus_secs(limits::IDEMPOTENCY_SECS);
        if idempotency::begin(reborrow(&mut conn), &self.place, &self.body_digest, until).await? {
            return Ok(None);
        }
        let answer = idempotency::find(conn, &self.place, now)
            .await?
            .ok_or(Error::Conflict(Conflict::IdempotencyKey))?;
        if constant_time::verify_slices_are_equal(&answer.body_digest, &self.body_digest).is_err() {
            return Err(Error::Conflict(Conflict::IdempotencyKey));
        }
        let opened = self
            .sealing
            .open(&answer.sealed_answer, AAD)
            .map_err(|error| Error::Internal(error.into()))?;
        serde_json::from_slice(&opened)
            .map(Some)
            .map_err(|error| Error::Internal(error.into()))
    }

    /// Stores the answer in the place that was taken in this transaction.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn finish<T: Serialize>(
        &self,
        app: &App,
        conn: Conn<'_>,
        answer: &T,
    ) -> Result<(), Error> {
        let plain = Zeroizing::new(
            serde_json::to_vec(answer).map_err(|error| Error::Internal(error.into()))?,
        );
        let sealed = self
            .sealing
            .seal(&plain, AAD, &*app.entropy)
            .map_err(|error| Error::Internal(error.into()))?;
        Ok(idempotency::finish(conn, &self.place, &sealed).await?)
    }
}

/// SHA-256 over parts, each behind its length.
fn hash(parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    }
    let mut digest = Zeroizing::new([0; 32]);
    for (to, from) in digest.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    digest
}
