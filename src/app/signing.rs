//! The signing keys that this node has in memory, and as of when.

use std::sync::{Arc, PoisonError, RwLock};

use crate::domain::liveness::Rev;
use crate::store::signing_keys::SigningKeyRow;
use crate::token::KeyRing;

/// The signing keys that this node has in memory.
#[derive(Debug)]
pub struct Signing(RwLock<Loaded>);

#[derive(Debug)]
struct Loaded {
    ring: Arc<KeyRing>,
    /// What they were made of.
    rows: Vec<SigningKeyRow>,
    /// Where the change log stood before they were read.
    as_of: Option<Rev>,
}

impl Signing {
    /// No keys yet.
    pub fn empty() -> Self {
        Self(RwLock::new(Loaded {
            ring: Arc::new(KeyRing::default()),
            rows: Vec::new(),
            as_of: None,
        }))
    }

    /// The keys at this moment.
    pub fn ring(&self) -> Arc<KeyRing> {
        let loaded = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&loaded.ring)
    }

    /// Whether the keys were read when the log stood there or later.
    pub fn is_as_new_as(&self, rev: Rev) -> bool {
        let loaded = self.0.read().unwrap_or_else(PoisonError::into_inner);
        loaded
            .as_of
            .is_some_and(|as_of| as_of.log == rev.log && as_of.position >= rev.position)
    }

    /// Keeps the keys when they are made of these rows. To read rows is little work, to open and check
    /// the keys is much, and every change anywhere makes every node do it.
    pub(super) fn keep(&self, rows: &[SigningKeyRow], as_of: Rev) -> bool {
        let ring = {
            let loaded = self.0.read().unwrap_or_else(PoisonError::into_inner);
            // With no keys yet there is nothing to keep.
            (loaded.as_of.is_some() && loaded.rows == rows).then(|| Arc::clone(&loaded.ring))
        };
        let is_same = ring.is_some();
        if let Some(ring) = ring {
            self.set(ring, rows.to_vec(), as_of);
        }
        is_same
    }

    /// Has these keys from now on, unless there are newer ones.
    pub(super) fn set(&self, ring: Arc<KeyRing>, rows: Vec<SigningKeyRow>, as_of: Rev) {
        let mut loaded = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever read earlier may come later.
        let is_older = loaded
            .as_of
            .is_some_and(|newest| newest.log == as_of.log && newest.position > as_of.position);
        if !is_older {
            *loaded = Loaded {
                ring,
                rows,
                as_of: Some(as_of),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::liveness::{LogId, Position};

    fn rev(position: i64) -> Rev {
        Rev {
            log: LogId::from_i64(1),
            position: Position::new(position),
        }
    }

    fn row(kid: &str) -> SigningKeyRow {
        SigningKeyRow {
            kid: kid.to_owned(),
            environment: "live".to_owned(),
            algorithm: "ES256".to_owned(),
            state: "active".to_owned(),
            public_jwk: "{}".to_owned(),
            sealed_private: Some(vec![1]),
            created_at: 1,
            activated_at: Some(2),
            retired_at: None,
            revoked_at: None,
        }
    }

    #[test]
    fn keys_are_kept_while_their_rows_are_the_same_and_are_as_new_as_those() {
        let signing = Signing::empty();
        let rows = [row("a"), row("b")];
        assert!(!signing.keep(&[], rev(1)), "nothing was read yet");
        assert!(!signing.keep(&rows, rev(1)));
        signing.set(Arc::default(), rows.to_vec(), rev(1));
        let ring = signing.ring();

        assert!(signing.keep(&rows, rev(5)));

        assert!(Arc::ptr_eq(&ring, &signing.ring()));
        assert!(signing.is_as_new_as(rev(5)));
        assert!(!signing.is_as_new_as(rev(6)));
        // Who read earlier and comes later.
        assert!(signing.keep(&rows, rev(3)));
        assert!(signing.is_as_new_as(rev(5)));
    }

    #[test]
    fn keys_are_not_kept_when_anything_of_their_rows_is_another() {
        let signing = Signing::empty();
        signing.set(Arc::default(), vec![row("a")], rev(1));
        let changes: [fn(&mut SigningKeyRow); 6] = [
            |row| "b".clone_into(&mut row.kid),
            |row| "retired".clone_into(&mut row.state),
            |row| "{ }".clone_into(&mut row.public_jwk),
            |row| row.sealed_private = None,
            |row| row.retired_at = Some(3),
            |row| row.revoked_at = Some(3),
        ];
        for change in changes {
            let mut row = row("a");
            change(&mut row);
            assert!(!signing.keep(&[row], rev(2)));
        }
        for rows in [vec![], vec![row("a"), row("b")]] {
            assert!(!signing.keep(&rows, rev(2)));
        }
        assert!(!signing.is_as_new_as(rev(2)));
    }
}
