//! The export: entries and checkpoints as lines that an outsider can check.

use std::collections::{BTreeSet, HashMap};

use super::read::{by_id, ordered};
use super::{SWEEP_SECS, hash, suffix};
use crate::app::App;
use crate::app::error::Error;
use crate::domain::id::first_suffix;
use crate::domain::time::Timestamp;
use crate::store::ledger::{self, Kind, Sealed};
use crate::token::ledger::{Chain, Hash, Line, hex};

/// How old the entries of an export are at most, in seconds: older sessions are dropped.
const EXPORT_SECS: i64 = 90 * 86_400;

/// Where an export begins and ends.
#[derive(Debug, Clone)]
pub struct Export {
    /// The keys and the state before the first entry, as lines.
    pub head: String,
    /// The first checkpoint, and the last.
    pub numbers: std::ops::RangeInclusive<i64>,
}

impl App {
    /// Begins an export: from the first checkpoint that was made since an instant, up to the last.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn begin_export(&self, since: Option<Timestamp>) -> Result<Export, Error> {
        let oldest = self.now().plus_secs(-EXPORT_SECS);
        let since = since.map_or(oldest, |since| since.max(oldest));
        let keys = self.ledger_keys().await?;
        let mut read = self.store.read().await?;
        let head = ledger::head(read.conn()).await?;
        let first = ledger::first_since(read.conn(), since).await?;
        let first = first.unwrap_or(head.checkpoint + 1);
        let before = ledger::find(read.conn(), first - 1).await?;
        let start = match before {
            None => Line::Start {
                seq: 0,
                hash: hex(&Hash::default()),
                checkpoint: None,
            },
            Some(row) => Line::Start {
                seq: row.last_seq,
                hash: hex(&hash(&row.hash)?),
                checkpoint: Some(row.signed),
            },
        };
        Ok(Export {
            head: lines([Line::Keys { keys }, start])?,
            numbers: first..=head.checkpoint,
        })
    }

    /// The entries of one checkpoint, and the checkpoint, as lines.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn export_checkpoint(&self, number: i64) -> Result<String, Error> {
        let mut read = self.store.read().await?;
        let row = ledger::find(read.conn(), number)
            .await?
            .ok_or_else(|| Error::internal("a checkpoint is not there"))?;
        let before = match ledger::find(read.conn(), number - 1).await? {
            Some(before) => hash(&before.hash)?,
            None => Hash::default(),
        };
        let mut chain = Chain {
            seq: row.first_seq - 1,
            hash: before,
        };
        let ids: Vec<String> = row.members().map(str::to_owned).collect();
        let mut found: HashMap<String, Sealed> = by_id(read.conn(), &ids).await?;
        let mut written = Vec::with_capacity(ids.len() + 1);
        for (id, seq) in ids.into_iter().zip(row.first_seq..) {
            let Some(entry) = found.remove(&id) else {
                written.push(Line::Missing { seq, id });
                continue;
            };
            let internal = |error: serde_json::Error| Error::Internal(error.into());
            let bytes = entry.bytes().map_err(internal)?;
            chain.push(&bytes);
            written.push(Line::Entry {
                seq,
                hash: hex(&chain.hash),
                data: serde_json::from_slice(&bytes).map_err(internal)?,
            });
        }
        written.push(Line::Checkpoint { signed: row.signed });
        lines(written)
    }

    /// The entries behind a checkpoint, which are not sealed yet, as lines.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn export_unsealed(&self, after: i64) -> Result<String, Error> {
        let mut read = self.store.read().await?;
        let sealed_at = match ledger::find(read.conn(), after).await? {
            Some(row) => Timestamp::from_millis(row.created_at),
            None => Timestamp::from_millis(0),
        };
        let from = sealed_at.plus_secs(-SWEEP_SECS);
        let sealed: BTreeSet<String> = ledger::since(read.conn(), from)
            .await?
            .iter()
            .filter(|row| row.number <= after)
            .flat_map(|row| row.members().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let mut ids = Vec::new();
        for kind in Kind::ALL {
            let first = format!("{}{}", kind.prefix(), first_suffix(from));
            let found = ledger::ids(read.conn(), kind, &first, i64::from(u32::MAX)).await?;
            ids.extend(found.into_iter().filter(|id| !sealed.contains(id)));
        }
        ids.sort_by(|a, b| suffix(a).cmp(suffix(b)));
        let entries = ordered(read.conn(), &ids).await?;
        let unsealed: Vec<Line> = entries
            .iter()
            .map(|entry| {
                Ok(Line::Unsealed {
                    data: entry.data()?,
                })
            })
            .collect::<Result<_, serde_json::Error>>()
            .map_err(|error| Error::Internal(error.into()))?;
        lines(unsealed)
    }
}

fn lines(lines: impl IntoIterator<Item = Line>) -> Result<String, Error> {
    let mut text = String::new();
    for line in lines {
        let line = line
            .write()
            .map_err(|error| Error::Internal(error.into()))?;
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}
