//! A journal of changes beside the database: after a restore it says what was ended since the
//! backup. It has tags and positions, and nothing that could be used.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{BufRead, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::domain::liveness::{Position, Rev, Tag};
use crate::domain::time::Timestamp;

/// Where changes are noted, if anywhere.
#[derive(Debug, Clone, Default)]
pub struct Journal(Option<PathBuf>);

/// One change.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    at: i64,
    log: i64,
    position: i64,
    ended: Vec<i64>,
    touched: Vec<i64>,
}

/// What was changed since a position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Since {
    /// Tags that were ended.
    pub ended: BTreeSet<i64>,
    /// Tags of what was changed.
    pub touched: BTreeSet<i64>,
    /// How many changes.
    pub changes: usize,
}

/// A journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read.
    #[error("the journal cannot be read")]
    Read(#[from] std::io::Error),
    /// A line in the middle is none.
    #[error("line {0} of the journal is not as it was written")]
    Line(usize),
    /// It begins after the backup.
    #[error("the journal begins after the backup was made, so it does not have every change since")]
    TooYoung,
}

impl Journal {
    /// Notes changes in this file.
    pub fn new(file: Option<PathBuf>) -> Self {
        Self(file)
    }

    /// Begins the journal where there is none, so that it is known from when on it has everything.
    pub(crate) async fn begin(&self, rev: Rev, now: Timestamp) {
        if self.0.as_ref().is_some_and(|file| !file.exists()) {
            self.append(rev, now, &[], &[]).await;
        }
    }

    /// Notes a change before it is committed, so that none is missed; one that then does not happen
    /// is noted too many. A journal that cannot be written stops no change: to end something must
    /// always be possible.
    pub(crate) async fn note(&self, rev: Rev, now: Timestamp, ended: &[Tag], touched: &[Tag]) {
        if !ended.is_empty() || !touched.is_empty() {
            self.append(rev, now, ended, touched).await;
        }
    }

    async fn append(&self, rev: Rev, now: Timestamp, ended: &[Tag], touched: &[Tag]) {
        let Some(file) = self.0.clone() else { return };
        let note = Note {
            at: now.millis(),
            log: rev.log.to_i64(),
            position: rev.position.get(),
            ended: ended.iter().map(|tag| tag.to_i64()).collect(),
            touched: touched.iter().map(|tag| tag.to_i64()).collect(),
        };
        let written = tokio::task::spawn_blocking(move || {
            let mut line = serde_json::to_vec(&note)?;
            line.push(b'\n');
            let mut file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(file)?;
            file.write_all(&line)?;
            file.sync_data()
        })
        .await;
        let error = match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(
            error,
            "a change could not be noted in the journal; after a restore it would have to be made again by hand"
        );
    }
}

/// Reads what a journal has above a position of a backup. The last line may have broken off.
///
/// # Errors
/// [`JournalError`].
pub fn read(journal: impl BufRead, backup: Position) -> Result<Since, JournalError> {
    let lines: Vec<String> = journal.lines().collect::<Result<_, _>>()?;
    let mut since = Since::default();
    let mut oldest = None;
    for (index, line) in lines.iter().enumerate() {
        let note: Note = match serde_json::from_str(line) {
            Ok(note) => note,
            Err(_) if index + 1 == lines.len() => break,
            Err(_) => return Err(JournalError::Line(index + 1)),
        };
        oldest = Some(oldest.map_or(note.position, |old: i64| old.min(note.position)));
        if note.position <= backup.get() {
            continue;
        }
        since.changes += 1;
        since.ended.extend(note.ended);
        since.touched.extend(note.touched);
    }
    // Only a journal that has something from before the backup is known to have all from after it.
    match oldest {
        Some(oldest) if oldest <= backup.get() => Ok(since),
        Some(_) | None => Err(JournalError::TooYoung),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(position: i64, ended: &[i64], touched: &[i64]) -> String {
        let note = Note {
            at: 0,
            log: 1,
            position,
            ended: ended.to_vec(),
            touched: touched.to_vec(),
        };
        serde_json::to_string(&note).unwrap() + "\n"
    }

    #[test]
    fn what_came_after_the_backup_is_read_and_a_torn_end_is_left_out() {
        let mut text = line(5, &[1], &[2]) + &line(9, &[3], &[4]) + &line(10, &[5], &[]);
        text.push_str("{\"at\":0,\"lo");

        let since = read(text.as_bytes(), Position::new(5)).unwrap();

        assert_eq!(since.ended, BTreeSet::from([3, 5]));
        assert_eq!(since.touched, BTreeSet::from([4]));
        assert_eq!(since.changes, 2);
    }

    #[test]
    fn a_journal_with_a_gap_is_not_believed() {
        let young = line(9, &[3], &[4]);
        for text in ["", young.as_str()] {
            let refused = read(text.as_bytes(), Position::new(5));
            assert!(matches!(refused, Err(JournalError::TooYoung)), "{text}");
        }
        let torn = line(5, &[], &[1]) + "{\n" + &young;
        let refused = read(torn.as_bytes(), Position::new(5));
        assert!(matches!(refused, Err(JournalError::Line(2))));
    }
}
