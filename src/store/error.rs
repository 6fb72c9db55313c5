//! What can go wrong below the use cases. What is absent is `Ok(None)`, not an error.

use sqlx::error::DatabaseError;

/// A failure of the database or of what is in it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A unique index refused a row.
    #[error("a row with that key exists")]
    Conflict,
    /// The database cannot be reached, is locked, full or read-only. Trying again may help.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// A column holds what its table never stores, or a row that was just read is not there.
    #[error("column {column} of table {table} holds a value that does not belong there")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// Any other failure of the database.
    #[error("the database refused a statement")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the list of sqlx is open, and what is not known to pass is a fault"
    )]
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(refusal) if refusal.is_unique_violation() => Self::Conflict,
            sqlx::Error::Database(refusal) if is_passing(refusal.as_ref()) => {
                Self::Unavailable(error)
            }
            // The connection was lost or could not be had.
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => Self::Unavailable(error),
            _ => Self::Database(error),
        }
    }
}

/// Whether a database refused because of the state that it is in, not because of the statement.
fn is_passing(refusal: &dyn DatabaseError) -> bool {
    let code = refusal.code().unwrap_or_default();
    #[cfg(feature = "sqlite")]
    if refusal
        .try_downcast_ref::<sqlx::sqlite::SqliteError>()
        .is_some()
    {
        return is_passing_sqlite(&code);
    }
    #[cfg(feature = "postgres")]
    if refusal
        .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        .is_some()
    {
        return is_passing_postgres(&code);
    }
    false
}

/// By the result code, of which the low byte says the kind: 5 busy, 6 locked, 7 out of memory,
/// 8 read-only, 9 interrupted, 10 I/O, 13 full, 14 cannot open, 15 the locks of the log are busy.
#[cfg(feature = "sqlite")]
fn is_passing_sqlite(code: &str) -> bool {
    let kind = code.parse::<u32>().map_or(0, |code| code & 0xff);
    matches!(kind, 5..=10 | 13..=15)
}

/// By the SQLSTATE: connections (08), their authorisation (28), serialisation and deadlock (40),
/// resources (53), operator intervention and timeouts (57), the system below (58), and of other
/// classes a connection that idled too long, a read-only database, one that is gone, and a lock
/// that was not had in time.
#[cfg(feature = "postgres")]
fn is_passing_postgres(code: &str) -> bool {
    let class = code.get(..2).unwrap_or_default();
    matches!(class, "08" | "28" | "40" | "53" | "57" | "58")
        || matches!(code, "25P03" | "25006" | "3D000" | "55P03")
}

/// For `TryFrom` of rows: a column that does not hold what it should.
pub(crate) fn corrupt(table: &'static str, column: &'static str) -> StoreError {
    StoreError::Corrupt { table, column }
}

/// For a change of one row that was read before: `table` must have had it.
pub(crate) fn one_row(rows: u64, table: &'static str) -> Result<(), StoreError> {
    if rows == 1 {
        Ok(())
    } else {
        Err(corrupt(table, "id"))
    }
}

/// The JSON text of a column.
pub(crate) fn to_json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Database(sqlx::Error::Encode(Box::new(error))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "sqlite")]
    #[test]
    fn sqlite_passes_when_it_is_busy_full_or_read_only_and_not_when_it_is_wrong() {
        // Busy, its log's snapshot too old, locked, read-only, disk I/O, full, cannot open.
        for code in [
            "5", "517", "6", "262", "8", "1032", "10", "3338", "13", "14", "15",
        ] {
            assert!(is_passing_sqlite(code), "{code}");
        }
        // An error in the text, corruption, constraints, a misuse, no database.
        for code in ["", "1", "11", "19", "787", "1299", "2067", "21", "26"] {
            assert!(!is_passing_sqlite(code), "{code}");
        }
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn postgres_passes_when_it_is_away_full_or_read_only_and_not_when_it_is_wrong() {
        for code in [
            "08006", "28P01", "40001", "40P01", "53100", "53300", "57014", "57P01", "57P03",
            "58030", "25P03", "25006", "3D000", "55P03",
        ] {
            assert!(is_passing_postgres(code), "{code}");
        }
        for code in [
            "", "2", "22021", "23503", "23505", "42601", "42P01", "XX001",
        ] {
            assert!(!is_passing_postgres(code), "{code}");
        }
    }
}
