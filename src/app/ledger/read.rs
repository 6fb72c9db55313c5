//! Reading entries by their ids, out of the two tables that they are in.

use std::collections::HashMap;

use super::suffix;
use crate::app::error::Error;
use crate::app::pulse::reborrow;
use crate::store::Conn;
use crate::store::ledger::{self, Kind, Sealed};

/// Entries of one table, from one id to another.
pub(super) async fn entries(
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
    mut conn: Conn<'_>,
    ids: &[String],
) -> Result<HashMap<String, Sealed>, Error> {
    let mut found = HashMap::with_capacity(ids.len());
    for kind in Kind::ALL {
        let mut own: Vec<&String> = ids.iter().filter(|id| Kind::of(id) == kind).collect();
        own.sort();
        // Those that came late lie far before the others, and what is between is not read.
        let mut rest = own.as_slice();
        while let [first, ..] = rest {
            let near = rest
                .iter()
                .take_while(|id| is_near(first, id))
                .count()
                .max(1);
            let (run, more) = rest.split_at(near);
            if let Some(last) = run.last() {
                for entry in entries(reborrow(&mut conn), kind, first, last).await? {
                    found.insert(entry.id.clone(), entry);
                }
            }
            rest = more;
        }
    }
    Ok(found)
}

/// Whether two ids were made in the same half minute: the first seven characters say that.
fn is_near(one: &str, other: &str) -> bool {
    suffix(one).get(..7) == suffix(other).get(..7)
}

/// These entries, in the order of their ids here.
pub(super) async fn ordered(conn: Conn<'_>, ids: &[String]) -> Result<Vec<Sealed>, Error> {
    let mut found = by_id(conn, ids).await?;
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}
