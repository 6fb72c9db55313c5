//! The entries of the change log in order, and how others read them piece by piece
//! (`docs/feed.md`).

use std::collections::VecDeque;

use super::liveness::{BadLivenessClaim, LogId, Position, Rev, Tag};

/// How far somebody has read: `<log>.<position>`, all entries up to this position, or
/// `<log>.<position>.<tag>`, all up to this tag at this position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The log.
    pub log: LogId,
    /// The position.
    pub position: Position,
    /// The last tag that was read there; `None` when all were.
    pub tag: Option<Tag>,
}

impl Cursor {
    /// All entries up to a position were read.
    pub const fn at(rev: Rev) -> Self {
        Self {
            log: rev.log,
            position: rev.position,
            tag: None,
        }
    }

    /// As it stands in a document and in a query.
    pub fn encode(self) -> String {
        let rev = Rev {
            log: self.log,
            position: self.position,
        };
        match self.tag {
            None => rev.encode(),
            Some(tag) => format!("{}.{}", rev.encode(), tag.encode()),
        }
    }

    /// Reads what [`Self::encode`] writes.
    ///
    /// # Errors
    /// [`BadLivenessClaim`].
    pub fn decode(text: &str) -> Result<Self, BadLivenessClaim> {
        let tag_at = text.match_indices('.').nth(1).map(|(at, _)| at);
        let (rev, tag) = match tag_at.and_then(|at| text.split_at_checked(at)) {
            None => (text, None),
            Some((rev, tag)) => {
                let tag = tag.strip_prefix('.').ok_or(BadLivenessClaim)?;
                (rev, Some(Tag::decode(tag)?))
            }
        };
        let Rev { log, position } = Rev::decode(rev)?;
        if position.get() < 0 {
            return Err(BadLivenessClaim);
        }
        Ok(Self { log, position, tag })
    }

    /// Whether an entry comes after what was read.
    pub fn is_before(&self, (position, tag): (Position, Tag)) -> bool {
        match self.tag {
            None => position > self.position,
            Some(last) => (position, tag) > (self.position, last),
        }
    }
}

/// Some entries in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where it begins; `None` at the beginning of the log.
    pub since: Option<Cursor>,
    /// In ascending order.
    pub entries: Vec<(Position, Tag)>,
    /// Where the next one begins.
    pub next: Cursor,
    /// Whether there are more entries behind it.
    pub more: bool,
    /// Up to where everything is known to whoever has read all up to here. The last entry's
    /// position while there are more.
    pub confirmed: Position,
    /// Entries up to here may be missing.
    pub floor: Position,
}

/// The entries of a log in order, as far as they were confirmed.
#[derive(Debug, Clone, Default)]
pub struct Entries(VecDeque<(Position, Tag)>);

impl Entries {
    /// Takes in the entries above `confirmed` and up to `up_to`: those below were taken in before,
    /// and others may be missing among those above.
    pub fn append(&mut self, confirmed: Position, up_to: Position, entries: &[(Tag, Position)]) {
        let mut new: Vec<_> = entries
            .iter()
            .filter(|(_, at)| confirmed < *at && *at <= up_to)
            .map(|(tag, at)| (*at, *tag))
            .collect();
        new.sort_unstable();
        self.0.extend(new);
    }

    /// Drops the entries up to a position.
    pub fn forget(&mut self, up_to: Position) {
        let first = self.0.partition_point(|(at, _)| *at <= up_to);
        drop(self.0.drain(..first));
    }

    /// The position of the last entry, 0 without one.
    pub fn last_in(&self, log: LogId) -> Rev {
        let position = self.0.back().map_or(Position::new(0), |(at, _)| *at);
        Rev { log, position }
    }

    /// At most `len_max` entries behind `since`, from the beginning when that is of another log or
    /// there is none. `known` and `floor` are those of the log.
    pub fn page(&self, since: Option<Cursor>, known: Rev, floor: Position, len_max: usize) -> Page {
        let since = since.filter(|since| since.log == known.log);
        let first = match since {
            None => 0,
            Some(since) => self.0.partition_point(|entry| !since.is_before(*entry)),
        };
        let entries: Vec<_> = self.0.range(first..).take(len_max).copied().collect();
        let more = first.saturating_add(entries.len()) < self.0.len();
        let (next, confirmed) = match entries.last() {
            Some((position, tag)) if more => {
                let next = Cursor {
                    log: known.log,
                    position: *position,
                    tag: Some(*tag),
                };
                (next, *position)
            }
            Some(_) | None => (Cursor::at(known), known.position),
        };
        Page {
            since,
            entries,
            next,
            more,
            confirmed,
            floor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogId = LogId::from_i64(7);
    const OTHER: LogId = LogId::from_i64(8);

    fn entry(at: i64, tag: i64) -> (Tag, Position) {
        (Tag::from_i64(tag), Position::new(at))
    }

    fn known(at: i64) -> Rev {
        Rev {
            log: LOG,
            position: Position::new(at),
        }
    }

    fn log(entries: &[(i64, i64)]) -> Entries {
        let mut log = Entries::default();
        let entries: Vec<_> = entries.iter().map(|(at, tag)| entry(*at, *tag)).collect();
        log.append(Position::new(0), Position::new(1000), &entries);
        log
    }

    /// All pages one after the other.
    fn read(log: &Entries, mut since: Option<Cursor>, len_max: usize) -> Vec<(i64, i64)> {
        let mut all = Vec::new();
        loop {
            let page = log.page(since, known(1000), Position::new(0), len_max);
            assert!(page.entries.len() <= len_max);
            assert_eq!(page.since, since);
            all.extend(
                page.entries
                    .iter()
                    .map(|(at, tag)| (at.get(), tag.to_i64())),
            );
            // As it goes over the wire.
            since = Some(Cursor::decode(&page.next.encode()).unwrap());
            if !page.more {
                assert_eq!(page.next, Cursor::at(known(1000)));
                assert_eq!(page.confirmed, Position::new(1000));
                return all;
            }
        }
    }

    #[test]
    fn pages_of_any_length_give_every_entry_once() {
        let entries = [(1, 5), (2, 1), (2, 2), (2, 3), (2, 4), (9, 1), (10, 1)];
        let log = log(&entries);

        for len_max in 1..9 {
            assert_eq!(read(&log, None, len_max), entries, "{len_max}");
            let since = Cursor::at(known(1));
            assert_eq!(read(&log, Some(since), len_max), entries[1..], "{len_max}");
        }
        assert_eq!(read(&log, Some(Cursor::at(known(10))), 3), []);
    }

    #[test]
    fn the_cursor_of_another_log_begins_anew() {
        let log = log(&[(1, 5)]);
        let foreign = Cursor {
            log: OTHER,
            position: Position::new(50),
            tag: None,
        };

        let page = log.page(Some(foreign), known(60), Position::new(0), 10);

        assert_eq!((page.since, page.entries.len()), (None, 1));
    }

    #[test]
    fn an_entry_is_taken_in_once_whoever_reads_it_first() {
        let mut log = log(&[(1, 5), (3, 6)]);

        let again = [entry(3, 6), entry(4, 9), entry(4, -1), entry(5, 1)];
        log.append(Position::new(3), Position::new(4), &again);
        assert_eq!(read(&log, None, 10), [(1, 5), (3, 6), (4, 9), (4, -1)]);
        assert_eq!(log.last_in(LOG), known(4));

        log.forget(Position::new(3));
        assert_eq!(read(&log, None, 10), [(4, 9), (4, -1)]);
    }

    #[test]
    fn a_cursor_has_one_spelling() {
        for text in ["AAAAAAAAAAc.12", "AAAAAAAAAAc.12.AAAAAAAAAAE"] {
            assert_eq!(Cursor::decode(text).unwrap().encode(), text);
        }
        for text in [
            "",
            "AAAAAAAAAAc",
            "AAAAAAAAAAc.",
            "AAAAAAAAAAc.-1",
            "AAAAAAAAAAc.012",
            "AAAAAAAAAAc.12.",
            "AAAAAAAAAAc.12.AAAAAAAAAAE.",
            "AAAAAAAAAAc.12.AAAAAAAAAAF",
            "AAAAAAAAAAc.12.AAAAAAAAAAE=",
            "AAAAAAAAAAc.99999999999999999999",
        ] {
            assert!(Cursor::decode(text).is_err(), "{text}");
        }
    }
}
