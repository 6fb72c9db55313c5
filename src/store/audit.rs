//! The ledger, the rows of sessions aside.

use sqlx::FromRow;

use super::error::{corrupt, to_json};
use super::{Conn, Page, StoreError, by_order, on_conn};
use crate::domain::audit::{Action, Entry, Outcome};
use crate::domain::id::{AccountId, AuditId, KeyId, RequestId, SessionId};
use crate::domain::time::Timestamp;

const TABLE: &str = "audit";

#[derive(FromRow)]
struct AuditRow {
    id: String,
    at: i64,
    action: String,
    outcome: String,
    account_id: String,
    actor_id: Option<String>,
    key_id: Option<String>,
    session_id: Option<String>,
    target: Option<String>,
    request_id: Option<String>,
    address: Option<String>,
    details: String,
}

impl TryFrom<AuditRow> for Entry {
    type Error = StoreError;

    fn try_from(row: AuditRow) -> Result<Self, StoreError> {
        let actor = row.actor_id.map(|id| AccountId::parse(&id)).transpose();
        let key = row.key_id.map(|id| KeyId::parse(&id)).transpose();
        let session = row.session_id.map(|id| SessionId::parse(&id)).transpose();
        let request = row.request_id.map(|id| RequestId::parse(&id)).transpose();
        let address = row.address.map(|address| address.parse()).transpose();
        Ok(Self {
            id: AuditId::parse(&row.id).map_err(|_| corrupt(TABLE, "id"))?,
            at: Timestamp::from_millis(row.at),
            action: Action::parse(&row.action).ok_or_else(|| corrupt(TABLE, "action"))?,
            outcome: Outcome::parse(&row.outcome).ok_or_else(|| corrupt(TABLE, "outcome"))?,
            account: AccountId::parse(&row.account_id).map_err(|_| corrupt(TABLE, "account_id"))?,
            actor: actor.map_err(|_| corrupt(TABLE, "actor_id"))?,
            key: key.map_err(|_| corrupt(TABLE, "key_id"))?,
            session: session.map_err(|_| corrupt(TABLE, "session_id"))?,
            target: row.target,
            request: request.map_err(|_| corrupt(TABLE, "request_id"))?,
            address: address.map_err(|_| corrupt(TABLE, "address"))?,
            details: serde_json::from_str(&row.details).map_err(|_| corrupt(TABLE, "details"))?,
        })
    }
}

/// Appends an entry. `parent` is the parent of its account, whose ledger it is in, too.
///
/// # Errors
/// [`StoreError`].
pub async fn append(
    conn: Conn<'_>,
    entry: &Entry,
    parent: Option<&AccountId>,
) -> Result<(), StoreError> {
    let Entry {
        id,
        at,
        action,
        outcome,
        account,
        actor,
        key,
        session,
        target,
        request,
        address,
        details,
    } = entry;
    let details = to_json(details)?;
    on_conn!(conn, |c| {
        sqlx::query(
            "INSERT INTO audit (id, at, action, outcome, account_id, parent_id, actor_id, key_id,
                 session_id, target, request_id, address, details)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(id.as_str())
        .bind(at.millis())
        .bind(action.as_str())
        .bind(outcome.as_str())
        .bind(account.as_str())
        .bind(parent.map(AccountId::as_str))
        .bind(actor.as_ref().map(AccountId::as_str))
        .bind(key.as_ref().map(KeyId::as_str))
        .bind(session.as_ref().map(SessionId::as_str))
        .bind(target.as_deref())
        .bind(request.as_ref().map(RequestId::as_str))
        .bind(address.map(|address| address.to_string()))
        .bind(details)
        .execute(c)
        .await?;
    });
    Ok(())
}

/// The entries in the ledger of an account: its own and those of its children.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    conn: Conn<'_>,
    account: &AccountId,
    page: &Page,
) -> Result<Vec<Entry>, StoreError> {
    macro_rules! columns {
        () => {
            "id, at, action, outcome, account_id, actor_id, key_id, session_id, target,
                     request_id, address, details"
        };
    }
    // Two ranges of two indexes, each no longer than the page, and the first rows of both.
    macro_rules! select {
        ($order:literal) => {
            concat!(
                "SELECT ",
                columns!(),
                " FROM (
                     SELECT ",
                columns!(),
                " FROM audit
                     WHERE (account_id, id) > ($1, $2) AND (account_id, id) < ($1, $3)
                     ORDER BY account_id ",
                $order,
                ", id ",
                $order,
                " LIMIT $4) AS own
                 UNION ALL
                 SELECT ",
                columns!(),
                " FROM (
                     SELECT ",
                columns!(),
                " FROM audit
                     WHERE (parent_id, id) > ($1, $2) AND (parent_id, id) < ($1, $3)
                         AND parent_id IS NOT NULL
                     ORDER BY parent_id ",
                $order,
                ", id ",
                $order,
                " LIMIT $4) AS below
                 ORDER BY id ",
                $order,
                " LIMIT $4"
            )
        };
    }
    let (lower, upper) = page.bounds();
    let rows: Vec<AuditRow> = on_conn!(conn, |c| {
        sqlx::query_as(by_order!(page.order, select))
            .bind(account.as_str())
            .bind(lower)
            .bind(upper)
            .bind(page.limit())
            .fetch_all(c)
            .await?
    });
    rows.into_iter().map(Entry::try_from).collect()
}
