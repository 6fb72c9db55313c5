//! Ids in their order. They come nearly in order, so that lists do with little what trees of texts do
//! with much: to find one by the neighbour of the last, and to count those of a range by its ends.

use std::collections::VecDeque;

use crate::store::ledger::Kind;
use crate::token::ledger::Hash;

/// Ids of one table, each once.
#[derive(Debug, Default)]
pub(super) struct Ids(VecDeque<String>);

impl Ids {
    pub(super) fn insert(&mut self, id: String) {
        if self.last().is_none_or(|last| *last < *id) {
            self.0.push_back(id);
        } else if let Err(place) = self.0.binary_search(&id) {
            self.0.insert(place, id);
        }
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.last().is_some_and(|last| *last >= *id)
            && self.0.binary_search_by(|known| (**known).cmp(id)).is_ok()
    }

    pub(super) fn last(&self) -> Option<&str> {
        self.0.back().map(String::as_str)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn nth(&self, place: usize) -> Option<&str> {
        self.0.get(place).map(String::as_str)
    }

    /// How many lie behind one id, up to another.
    pub(super) fn count(&self, after: &str, to: &str) -> usize {
        let up_to = |end: &str| self.0.partition_point(|id| **id <= *end);
        up_to(to).saturating_sub(up_to(after))
    }

    /// Forgets the first as long as they are old.
    pub(super) fn forget(&mut self, is_old: impl Fn(&str) -> bool) {
        while self.0.front().is_some_and(|id| is_old(id)) {
            self.0.pop_front();
        }
    }
}

/// Entries by their ids, with the hash of what is sealed of them.
#[derive(Debug, Default)]
pub(super) struct Leaves(Vec<(String, Hash)>);

impl Leaves {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn extend(&mut self, more: Vec<(String, Hash)>) {
        self.0.extend(more);
        self.0.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.0.dedup_by(|(one, _), (other, _)| one == other);
    }

    pub(super) fn retain(&mut self, keeps: impl Fn(&str) -> bool) {
        self.0.retain(|(id, _)| keeps(id));
    }

    /// Takes entries out.
    pub(super) fn remove(&mut self, ids: &mut [&str]) {
        ids.sort_unstable();
        let mut gone = ids.iter().peekable();
        self.0.retain(|(id, _)| {
            while gone.next_if(|first| ***first < **id).is_some() {}
            gone.peek().is_none_or(|first| ***first != **id)
        });
    }

    /// Those of one table.
    pub(super) fn of(&self, kind: Kind) -> &[(String, Hash)] {
        let prefix = kind.prefix();
        let begin = self.0.partition_point(|(id, _)| **id < *prefix);
        let own = self.0.get(begin..).unwrap_or_default();
        let len = own.partition_point(|(id, _)| id.starts_with(prefix));
        own.get(..len).unwrap_or_default()
    }

    /// To look up several, which is quick where one follows the other.
    pub(super) fn lookup(&self) -> Lookup<'_> {
        Lookup {
            leaves: &self.0,
            next: 0,
        }
    }
}

/// Where the last one was found.
pub(super) struct Lookup<'l> {
    leaves: &'l [(String, Hash)],
    next: usize,
}

impl<'l> Lookup<'l> {
    pub(super) fn find(&mut self, id: &str) -> Option<&'l Hash> {
        let mut place = self.next;
        if self
            .leaves
            .get(place)
            .is_none_or(|(known, _)| **known != *id)
        {
            place = self
                .leaves
                .binary_search_by(|(known, _)| (**known).cmp(id))
                .ok()?;
        }
        self.next = place + 1;
        self.leaves.get(place).map(|(_, hash)| hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(ids: &[&str]) -> Leaves {
        let mut leaves = Leaves::default();
        leaves.extend(ids.iter().map(|id| ((*id).to_owned(), hash(id))).collect());
        leaves
    }

    fn hash(id: &str) -> Hash {
        let mut hash = [0; 32];
        for (to, from) in hash.iter_mut().zip(id.bytes()) {
            *to = from;
        }
        hash
    }

    fn texts(leaves: &[(String, Hash)]) -> Vec<&str> {
        leaves.iter().map(|(id, _)| id.as_str()).collect()
    }

    #[test]
    fn ids_are_in_order_and_there_once_however_they_come() {
        let mut ids = Ids::default();
        for id in ["b", "d", "c", "d", "a", "e", "b"] {
            ids.insert(id.to_owned());
        }

        let all: Vec<_> = (0..ids.len())
            .map(|place| ids.nth(place).unwrap())
            .collect();
        assert_eq!(all, ["a", "b", "c", "d", "e"]);
        assert_eq!(ids.last(), Some("e"));
        assert!(["a", "c", "e"].iter().all(|id| ids.contains(id)));
        assert!(["", "aa", "f"].iter().all(|id| !ids.contains(id)));
        assert_eq!(ids.count("a", "d"), 3);
        assert_eq!(ids.count("", "f"), 5);
        assert_eq!(ids.count("d", "a"), 0);
        assert_eq!(ids.count("e", "f"), 0);

        ids.forget(|id| id < "c");
        assert_eq!((ids.len(), ids.nth(0)), (3, Some("c")));
    }

    #[test]
    fn leaves_are_found_in_any_order_by_kind_and_until_they_are_removed() {
        let mut leaves = leaves(&["ses_2", "aud_2", "ses_1"]);
        leaves.extend(vec![("ses_3".to_owned(), hash("ses_3"))]);
        leaves.extend(vec![("ses_1".to_owned(), hash("ses_1"))]);
        assert_eq!(leaves.len(), 4);
        assert_eq!(texts(leaves.of(Kind::Session)), ["ses_1", "ses_2", "ses_3"]);
        assert_eq!(texts(leaves.of(Kind::Audit)), ["aud_2"]);

        let mut lookup = leaves.lookup();
        for id in ["ses_3", "aud_2", "ses_1", "ses_2", "ses_3", "ses_1"] {
            assert_eq!(lookup.find(id), Some(&hash(id)), "{id}");
        }
        for id in ["ses_0", "ses_4", "aud_1", ""] {
            assert_eq!(lookup.find(id), None, "{id}");
        }
        assert_eq!(lookup.find("ses_2"), Some(&hash("ses_2")));

        leaves.remove(&mut ["ses_3", "ses_0", "aud_2", "ses_9"]);
        assert_eq!(texts(&leaves.0), ["ses_1", "ses_2"]);
        leaves.retain(|id| id != "ses_1");
        assert_eq!(texts(&leaves.0), ["ses_2"]);
    }
}
