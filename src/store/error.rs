//! What can go wrong below the use cases. What is absent is `Ok(None)`, not an error.

/// A failure of the database or of what is in it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A unique index refused a row.
    #[error("a row with that key exists")]
    Conflict,
    /// The database cannot be reached, is locked, full or read-only. Trying again may help.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// A column holds what its table never stores.
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
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(database) = &error {
            if database.is_unique_violation() {
                return Self::Conflict;
            }
            // SQLite: 5 busy, 6 locked, 8 read-only, 10 I/O, 13 full, 14 cannot open. PostgreSQL:
            // connection (08), resources (53), operator intervention (57), read-only (25006),
            // serialisation (40).
            let code = database.code().unwrap_or_default();
            let primary = code.parse::<u32>().map_or(0, |code| code & 0xff);
            let sqlite = code.len() <= 4 && matches!(primary, 5 | 6 | 8 | 10 | 13 | 14);
            let postgres = code.len() == 5
                && (["08", "53", "57", "40"]
                    .iter()
                    .any(|class| code.starts_with(class))
                    || code == "25006");
            if sqlite || postgres {
                return Self::Unavailable(error);
            }
            return Self::Database(error);
        }
        let unavailable = matches!(
            error,
            sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::Protocol(_)
        );
        if unavailable {
            Self::Unavailable(error)
        } else {
            Self::Database(error)
        }
    }
}

/// For `TryFrom` of rows: a column that does not hold what it should.
pub(crate) fn corrupt(table: &'static str, column: &'static str) -> StoreError {
    StoreError::Corrupt { table, column }
}
