//! Group commit and nothing else: one writer takes all rows that wait, puts them into SQLite in one
//! statement, and lets their answers go after the commit.

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::{mpsc, oneshot};

use crate::sign::Minted;

const WAITING_MAX: usize = 4096;
const GROUP_MAX: usize = 512;

struct Row {
    columns: Value,
    durable: oneshot::Sender<()>,
}

/// Hands rows to the writer.
#[derive(Clone)]
pub(crate) struct Writer(mpsc::Sender<Row>);

impl Writer {
    /// Opens a new database, and starts the one writer.
    pub(crate) async fn start(file: &str) -> Result<Self> {
        let mut conn = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .connect()
            .await?;
        sqlx::query(
            "CREATE TABLE session (
                 id TEXT NOT NULL PRIMARY KEY,
                 issued_at INTEGER NOT NULL,
                 detail TEXT NOT NULL
             ) STRICT",
        )
        .execute(&mut conn)
        .await
        .context("the file must be a new one")?;
        let (sender, rows) = mpsc::channel(WAITING_MAX);
        tokio::spawn(write(conn, rows));
        Ok(Self(sender))
    }

    /// Over when the token is on disk.
    pub(crate) async fn keep(&self, minted: &Minted) -> Result<()> {
        let detail = json!({ "allowedRoutes": minted.allowed_routes, "data": minted.data });
        let (durable, over) = oneshot::channel();
        let row = Row {
            columns: json!([minted.id, minted.created_at, detail.to_string()]),
            durable,
        };
        self.0.send(row).await.map_err(|_| anyhow!("no writer"))?;
        over.await.context("the commit failed")
    }
}

async fn write(mut conn: SqliteConnection, mut rows: mpsc::Receiver<Row>) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while rows.recv_many(&mut group, GROUP_MAX).await > 0 {
        let columns: Vec<&Value> = group.iter().map(|row: &Row| &row.columns).collect();
        let inserted = sqlx::query(
            "INSERT INTO session (id, issued_at, detail)
             SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1)",
        )
        .bind(json!(columns).to_string())
        .execute(&mut conn)
        .await;
        match inserted {
            Ok(_) => group.drain(..).for_each(|row| {
                // A client that went away waits for nothing.
                let _ = row.durable.send(());
            }),
            Err(error) => {
                eprintln!("not written: {error}");
                group.clear();
            }
        }
    }
    if let Err(error) = conn.close().await {
        eprintln!("not closed: {error}");
    }
}
