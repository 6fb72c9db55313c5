//! What many small things have in common, once.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::app::memory::Weigh;

/// Values of which there is one of each, for as long as somebody has it.
///
/// Whoever has one of [`Pool::one`] gives it back with [`Pool::release`], and neither copies nor drops
/// it: by the number of owners the pool knows when the last one gives it back.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    values: Mutex<HashSet<Arc<T>>>,
    bytes: AtomicUsize,
}

impl<T: Eq + Hash + Weigh> Pool<T> {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self {
            values: Mutex::new(HashSet::new()),
            bytes: AtomicUsize::new(0),
        }
    }

    /// The one that is equal to a value. When there was one before, the value is given back, since
    /// the caller may have to give back what it is made of.
    pub(crate) fn one(&self, value: T) -> (Arc<T>, Option<T>) {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(one) = values.get(&value) {
            return (Arc::clone(one), Some(value));
        }
        let one = Arc::new(value);
        self.bytes.fetch_add(weight(&*one), Ordering::Relaxed);
        values.insert(Arc::clone(&one));
        (one, None)
    }

    /// Gives one back. The value of the last one is given to the caller, for the same reason.
    pub(crate) fn release(&self, one: Arc<T>) -> Option<T> {
        // All that is taken or given back is so under this lock, so nobody can take it meanwhile.
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::strong_count(&one) <= 2 {
            values.remove(&one);
            self.bytes.fetch_sub(weight(&*one), Ordering::Relaxed);
        }
        Arc::into_inner(one)
    }

    /// How many bytes they take up, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.values
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

/// With the counts of its owners, its place in the pool, and what the allocator adds.
fn weight<T: Weigh>(value: &T) -> usize {
    const COUNTS: usize = 16;
    const PLACE: usize = 16;
    const ALLOCATION: usize = 16;
    value.weigh() + COUNTS + PLACE + ALLOCATION
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for String {
        fn weigh(&self) -> usize {
            size_of::<Self>() + self.len()
        }
    }

    #[test]
    fn what_is_equal_is_there_once_until_the_last_is_given_back() {
        let pool = Pool::new();
        let (first, _) = pool.one("a".to_owned());
        let (second, _) = pool.one("a".to_owned());
        let (other, _) = pool.one("b".to_owned());

        assert!(Arc::ptr_eq(&first, &second));
        assert!(!Arc::ptr_eq(&first, &other));
        assert_eq!(pool.len(), 2);

        assert_eq!(pool.release(first), None);
        assert_eq!(pool.len(), 2);
        assert_eq!(pool.release(second), Some("a".to_owned()));
        assert_eq!(pool.release(other), Some("b".to_owned()));
        assert_eq!((pool.len(), pool.bytes()), (0, 0));
    }
}
