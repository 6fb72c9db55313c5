//! Reading entries by their ids, out of the two tables that they are in.

use std::collections::HashMap;

use super::order::Leaves;
use super::suffix;
use crate::app::error::Error;
use crate::app::pulse::reborrow;
use crate::store::Conn;
use crate::store::ledger::{self, Kind, Sealed};
use crate::token::ledger::{Hash, leaf};

/// So many entries that are known are read again rather than the range around them be cut: a
/// statement costs about as much as reading them.
const GAP_MAX: usize = 16;

/// Entries of one table, from one id to another.
async fn entries(
    conn: Conn<'_>,
    kind: Kind,
    first: &str,
    last: &str,
) -> Result<Vec<Sealed>, Error> {
    Ok(match kind {
        Kind::Audit => ledger::audits(conn, first, last).await?,
        Kind::Session => ledger::mints(conn, first, last).await?,
    })
}

/// These entries, by their ids.
pub(super) async fn by_id(
    conn: Conn<'_>,
    ids: &[String],
) -> Result<HashMap<String, Sealed>, Error> {
    missing(conn, ids, &Leaves::default()).await
}

/// These entries but for those that are known, by their ids.
async fn missing(
    mut conn: Conn<'_>,
    ids: &[String],
    known: &Leaves,
) -> Result<HashMap<String, Sealed>, Error> {
    let mut found = HashMap::new();
    for kind in Kind::ALL {
        let mut own: Vec<&String> = ids.iter().filter(|id| Kind::of(id) == kind).collect();
        own.sort();
        for (first, last) in runs(&own, known) {
            for entry in entries(reborrow(&mut conn), kind, first, last).await? {
                found.insert(entry.id.clone(), entry);
            }
        }
    }
    Ok(found)
}

/// The ranges in which the ids lie that are not known. Those that came late lie before the others, and
/// what is between is not read: a range is a second long at most.
fn runs<'a>(ids: &[&'a String], known: &Leaves) -> Vec<(&'a String, &'a String)> {
    let mut runs: Vec<(&String, &String)> = Vec::new();
    let mut gap = 0;
    let mut known = known.lookup();
    for id in ids {
        if known.find(id).is_some() {
            gap += 1;
            continue;
        }
        match runs.last_mut() {
            Some((first, last)) if gap <= GAP_MAX && is_near(first, id) => *last = id,
            Some(_) | None => runs.push((id, id)),
        }
        gap = 0;
    }
    runs
}

/// Whether two ids were made in the same second, about: the first eight characters say that.
fn is_near(one: &str, other: &str) -> bool {
    suffix(one).get(..8) == suffix(other).get(..8)
}

/// These entries, in the order of their ids here.
pub(super) async fn ordered(conn: Conn<'_>, ids: &[String]) -> Result<Vec<Sealed>, Error> {
    let mut found = by_id(conn, ids).await?;
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// What is hashed of these entries, in the order of their ids here. Those that are not known are
/// read; one that is not there is left out.
pub(super) async fn leaves(
    conn: Conn<'_>,
    ids: Vec<String>,
    known: &Leaves,
) -> Result<Vec<(String, Hash)>, Error> {
    let found = missing(conn, &ids, known).await?;
    let mut leaves = Vec::with_capacity(ids.len());
    let mut known = known.lookup();
    for id in ids {
        if let Some(known) = known.find(&id) {
            leaves.push((id, *known));
        } else if let Some(entry) = found.get(&id) {
            let bytes = entry.bytes();
            let bytes = bytes.map_err(|error| Error::Internal(error.into()))?;
            leaves.push((id, leaf(&bytes)));
        }
    }
    Ok(leaves)
}
