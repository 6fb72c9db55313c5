//! The ledger as somebody outside can check it: entries in a chain of hashes, sealed by signed
//! checkpoints, and the export that carries both.
//!
//! An entry is a JSON object, and its bytes are what is hashed. With `h(0)` = 32 zero bytes,
//! `h(n) = SHA-256(h(n-1) ‖ SHA-256("hallpass ledger entry v1\0" ‖ entry n))`. A checkpoint is a JWS
//! that names `seq` and `h(seq)`. Changing, leaving out or moving an entry changes every `h` behind
//! it, so it cannot be done without the key that signs.
//!
//! An export is lines of JSON, each exactly as [`Line`] writes it: the keys, the state before the
//! first entry, entries, a checkpoint behind the entries that it seals, and last the entries that
//! are not sealed yet.

use std::io::BufRead;

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::jws::{parse_compact, sign_compact};
use super::key::{PrivateKey, SignError};
use super::{KeySet, TokenError};
use crate::domain::time::Timestamp;

/// The `typ` of a checkpoint, which no door takes for a token.
pub const CHECKPOINT_TYP: &str = "hallpass-ledger+jwt";
const ENTRY_PREFIX: &[u8] = b"hallpass ledger entry v1\0";
/// A line of an export, in bytes: an entry has a token's worth of routes and data.
const LINE_BYTES_MAX: usize = 256 * 1024;

/// SHA-256.
pub type Hash = [u8; 32];

/// How far a chain has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chain {
    /// The number of its last entry.
    pub seq: i64,
    /// The hash over all of them.
    pub hash: Hash,
}

impl Chain {
    /// Adds an entry.
    pub fn push(&mut self, entry: &[u8]) {
        self.push_leaf(&leaf(entry));
    }

    /// Adds an entry of which the hash is known.
    pub fn push_leaf(&mut self, leaf: &Hash) {
        self.hash = sha256(&[&self.hash, leaf]);
        self.seq += 1;
    }
}

/// The hash of one entry by itself.
pub fn leaf(entry: &[u8]) -> Hash {
    sha256(&[ENTRY_PREFIX, entry])
}

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    hash
}

/// A hash as it is written.
pub fn hex(hash: &Hash) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    hash.iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The live issuer.
    pub iss: String,
    /// Its number: one more than that of the one before.
    pub number: i64,
    /// The first entry that it seals.
    pub first: i64,
    /// The last.
    pub seq: i64,
    /// The hash of the chain before the first.
    pub previous: String,
    /// The hash of the chain after the last.
    pub hash: String,
    /// When it was signed.
    pub at: Timestamp,
}

impl Checkpoint {
    /// Signs it.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn sign(&self, key: &PrivateKey) -> Result<String, SignError> {
        let payload = serde_json::to_vec(self).map_err(|_| SignError)?;
        sign_compact(CHECKPOINT_TYP, &payload, key)
    }

    /// Reads one that one of these keys signed.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn read(signed: &str, keys: &KeySet) -> Result<Self, TokenError> {
        let token = parse_compact(signed)?;
        if token.typ() != CHECKPOINT_TYP {
            return Err(TokenError::Header);
        }
        let kid = token.kid().to_owned();
        let key = keys.iter().find(|(known, _)| *known == kid);
        let (_, key) = key.ok_or(TokenError::UnknownKey)?;
        let payload = token.verify(key)?;
        serde_json::from_slice(&payload).map_err(|_| TokenError::Payload)
    }
}

/// A line of an export.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Line {
    /// The public keys of the checkpoints.
    Keys {
        /// As in a key set.
        keys: Vec<Value>,
    },
    /// The state before the first entry.
    Start {
        /// The number of the entry before.
        seq: i64,
        /// The hash up to it.
        hash: String,
        /// The checkpoint that says so; none at the very beginning.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        checkpoint: Option<String>,
    },
    /// A sealed entry.
    Entry {
        /// Its number.
        seq: i64,
        /// The hash of the chain up to it.
        hash: String,
        /// The entry.
        data: Map<String, Value>,
    },
    /// A sealed entry that is in the database no more.
    Missing {
        /// Its number.
        seq: i64,
        /// Its id.
        id: String,
    },
    /// What the entries before, back to the checkpoint before, are sealed by.
    Checkpoint {
        /// The JWS.
        signed: String,
    },
    /// An entry that is not sealed yet. Nothing can be said about it.
    Unsealed {
        /// The entry.
        data: Map<String, Value>,
    },
}

impl Line {
    /// The line, without its end.
    ///
    /// # Errors
    /// [`serde_json::Error`].
    pub fn write(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// What was found in an export that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Sealed entries.
    pub entries: i64,
    /// The first of them.
    pub first_seq: i64,
    /// The last of them.
    pub last_seq: i64,
    /// The hash up to it. Compare it with one that you kept.
    pub hash: String,
    /// Checkpoints.
    pub checkpoints: i64,
    /// When the last one was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed_at: Option<Timestamp>,
    /// Entries behind the last checkpoint.
    pub unsealed: i64,
    /// The keys that signed, by thumbprint.
    pub keys: Vec<String>,
    /// Whether the keys came from elsewhere than from the export itself.
    pub keys_are_trusted: bool,
}

/// What is wrong with an export, at its first place.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file cannot be read.
    #[error("the export cannot be read")]
    Read(#[from] std::io::Error),
    /// A line is not as it was written.
    #[error("line {line} is not as it was written{}", entry_of(.entry.as_deref()))]
    Form {
        /// Which line.
        line: u64,
        /// The entry in it.
        entry: Option<String>,
    },
    /// An entry was changed.
    #[error("entry {seq} ({id}) in line {line} was changed, or something before it was moved")]
    Changed {
        /// Which line.
        line: u64,
        /// Its number.
        seq: i64,
        /// Its id.
        id: String,
    },
    /// Entries are not there.
    #[error("entry {seq} is missing before line {line}")]
    Removed {
        /// Which line.
        line: u64,
        /// The first that is missing.
        seq: i64,
    },
    /// An entry stands where it does not belong.
    #[error("entry {seq} ({id}) in line {line} is out of order")]
    Reordered {
        /// Which line.
        line: u64,
        /// Its number.
        seq: i64,
        /// Its id.
        id: String,
    },
    /// A checkpoint does not fit what stands before it.
    #[error(
        "the checkpoint in line {line} does not fit: an entry from {first} on was changed, removed or added"
    )]
    Checkpoint {
        /// Which line.
        line: u64,
        /// The first entry that it seals.
        first: i64,
    },
    /// A checkpoint is not signed by one of the keys.
    #[error("the checkpoint in line {line} is not good: {error}")]
    Signature {
        /// Which line.
        line: u64,
        /// Why.
        error: TokenError,
    },
    /// The keys cannot be read.
    #[error("the keys of the export cannot be read")]
    Keys,
    /// The end is missing: entries without the checkpoint that seals them.
    #[error("the export breaks off: entry {seq} has no checkpoint")]
    Broken {
        /// The last entry.
        seq: i64,
    },
    /// There is nothing to check.
    #[error("there is no checkpoint in the export")]
    Empty,
    /// The export ends before what is known from elsewhere.
    #[error("the export does not have the known state: entry {seq} is missing or another one")]
    Known {
        /// The number of the known entry.
        seq: i64,
    },
}

fn entry_of(entry: Option<&str>) -> String {
    entry.map_or_else(String::new, |id| format!(" ({id})"))
}

/// A state of the chain that somebody kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The number of an entry.
    pub seq: i64,
    /// The hash up to it.
    pub hash: String,
}

/// Checks an export, line by line. With `trusted` keys those in the export are not looked at.
/// `known` is a state that somebody kept: the export must have it, which tells when its end was cut
/// off or all of it was written anew.
///
/// # Errors
/// [`Fault`], the first.
pub fn check_export(
    mut export: impl BufRead,
    trusted: Option<KeySet>,
    known: Option<&Known>,
) -> Result<Summary, Fault> {
    let mut checker = Checker {
        keys_are_trusted: trusted.is_some(),
        keys: trusted,
        known: known.cloned(),
        ..Checker::default()
    };
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let mut limited = std::io::Read::take(
            &mut export,
            u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX),
        );
        if limited.read_until(b'\n', &mut bytes)? == 0 {
            return checker.finish();
        }
        checker.line += 1;
        let form = || Fault::Form {
            line: checker.line,
            entry: None,
        };
        let text = bytes.strip_suffix(b"\n").ok_or_else(form)?;
        let text = std::str::from_utf8(text).map_err(|_| form())?;
        checker.feed(text)?;
    }
}

#[derive(Debug, Default)]
struct Checker {
    keys: Option<KeySet>,
    keys_are_trusted: bool,
    known: Option<Known>,
    line: u64,
    started: bool,
    chain: Chain,
    /// The chain at the checkpoint before, and its number.
    sealed: Chain,
    number: Option<i64>,
    summary: Summary,
    tail: bool,
}

impl Checker {
    fn feed(&mut self, text: &str) -> Result<(), Fault> {
        let line = self.line;
        let form = |entry: Option<String>| Fault::Form { line, entry };
        let parsed: Line = serde_json::from_str(text).map_err(|_| form(None))?;
        // What is read in two ways is not what was hashed.
        if parsed.write().ok().as_deref() != Some(text) {
            return Err(form(match &parsed {
                Line::Entry { data, .. } => Some(id(data)),
                Line::Keys { .. }
                | Line::Start { .. }
                | Line::Missing { .. }
                | Line::Checkpoint { .. }
                | Line::Unsealed { .. } => None,
            }));
        }
        match parsed {
            Line::Keys { keys } if line == 1 => self.keys(&keys),
            Line::Start {
                seq,
                hash,
                checkpoint,
            } if !self.started => self.start(seq, &hash, checkpoint.as_deref()),
            Line::Entry { seq, hash, data } if self.started && !self.tail => {
                self.entry(seq, &hash, &data)
            }
            Line::Missing { seq, .. } if self.started && !self.tail => {
                Err(Fault::Removed { line, seq })
            }
            Line::Checkpoint { signed } if self.started && !self.tail => self.checkpoint(&signed),
            Line::Unsealed { .. } if self.started && self.chain == self.sealed => {
                self.tail = true;
                self.summary.unsealed += 1;
                Ok(())
            }
            Line::Keys { .. }
            | Line::Start { .. }
            | Line::Entry { .. }
            | Line::Missing { .. }
            | Line::Checkpoint { .. }
            | Line::Unsealed { .. } => Err(form(None)),
        }
    }

    fn keys(&mut self, keys: &[Value]) -> Result<(), Fault> {
        if self.keys.is_none() {
            let set = serde_json::json!({ "keys": keys }).to_string();
            self.keys = Some(KeySet::parse(set.as_bytes()).map_err(|_| Fault::Keys)?);
        }
        Ok(())
    }

    fn read(&self, signed: &str) -> Result<Checkpoint, Fault> {
        let keys = self.keys.as_ref().ok_or(Fault::Keys)?;
        Checkpoint::read(signed, keys).map_err(|error| Fault::Signature {
            line: self.line,
            error,
        })
    }

    fn start(&mut self, seq: i64, hash: &str, checkpoint: Option<&str>) -> Result<(), Fault> {
        let line = self.line;
        let wrong = Fault::Checkpoint { line, first: seq };
        match checkpoint {
            None if seq == 0 && hash == hex(&Hash::default()) => self.number = Some(0),
            None => return Err(wrong),
            Some(signed) => {
                let checkpoint = self.read(signed)?;
                if checkpoint.seq != seq || checkpoint.hash != hash {
                    return Err(wrong);
                }
                self.number = Some(checkpoint.number);
            }
        }
        self.chain = Chain {
            seq,
            hash: unhex(hash).ok_or(wrong)?,
        };
        self.sealed = self.chain;
        self.summary.first_seq = seq + 1;
        self.started = true;
        self.meet_known()
    }

    fn entry(&mut self, seq: i64, hash: &str, data: &Map<String, Value>) -> Result<(), Fault> {
        let line = self.line;
        let wanted = self.chain.seq + 1;
        if seq > wanted {
            return Err(Fault::Removed { line, seq: wanted });
        }
        if seq < wanted {
            let id = id(data);
            return Err(Fault::Reordered { line, seq, id });
        }
        let bytes = serde_json::to_vec(data).map_err(|_| Fault::Form { line, entry: None })?;
        self.chain.push(&bytes);
        if hex(&self.chain.hash) != hash {
            let id = id(data);
            return Err(Fault::Changed { line, seq, id });
        }
        self.meet_known()
    }

    fn meet_known(&mut self) -> Result<(), Fault> {
        if let Some(known) = &self.known
            && known.seq == self.chain.seq
        {
            if known.hash != hex(&self.chain.hash) {
                return Err(Fault::Known { seq: known.seq });
            }
            self.known = None;
        }
        Ok(())
    }

    fn checkpoint(&mut self, signed: &str) -> Result<(), Fault> {
        let checkpoint = self.read(signed)?;
        let first = self.sealed.seq + 1;
        let fits = checkpoint.first == first
            && checkpoint.seq == self.chain.seq
            && checkpoint.previous == hex(&self.sealed.hash)
            && checkpoint.hash == hex(&self.chain.hash)
            && self
                .number
                .is_some_and(|number| checkpoint.number == number + 1);
        if !fits {
            let line = self.line;
            return Err(Fault::Checkpoint { line, first });
        }
        self.number = Some(checkpoint.number);
        self.sealed = self.chain;
        self.summary.checkpoints += 1;
        self.summary.sealed_at = Some(checkpoint.at);
        Ok(())
    }

    fn finish(mut self) -> Result<Summary, Fault> {
        if self.chain != self.sealed {
            return Err(Fault::Broken {
                seq: self.chain.seq,
            });
        }
        if !self.started {
            return Err(Fault::Empty);
        }
        if let Some(known) = &self.known {
            return Err(Fault::Known { seq: known.seq });
        }
        self.summary.entries = self.chain.seq - self.summary.first_seq + 1;
        self.summary.last_seq = self.chain.seq;
        self.summary.hash = hex(&self.chain.hash);
        self.summary.keys_are_trusted = self.keys_are_trusted;
        self.summary.keys = self
            .keys
            .iter()
            .flat_map(KeySet::iter)
            .map(|(kid, _)| kid.to_owned())
            .collect();
        Ok(self.summary)
    }
}

fn id(data: &Map<String, Value>) -> String {
    let id = data.get("id").and_then(Value::as_str);
    id.unwrap_or("without id").to_owned()
}

fn unhex(text: &str) -> Option<Hash> {
    if text.len() != 64 || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = digits else { return None };
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        *byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
#[path = "tests/ledger.rs"]
mod tests;
