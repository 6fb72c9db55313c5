//! The ledger as people read it: rows of the audit table and of sessions, in one order.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Map, Value};

use super::App;
use super::authorise::Caller;
use super::error::Error;
use crate::domain::audit::{Action, Entry};
use crate::domain::environment::Environment;
use crate::domain::id::{AccountId, KeyId, RequestId, SUFFIX_LEN, SessionId};
use crate::domain::session::{Origin, Session};
use crate::domain::time::Timestamp;
use crate::store::{Batch, Order, Page, audit, sessions};

/// An entry of the ledger as the API shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct AuditItem {
    pub id: String,
    pub at: Timestamp,
    pub action: &'static str,
    pub outcome: &'static str,
    pub user_id: AccountId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    pub details: Map<String, Value>,
}

impl From<Entry> for AuditItem {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id.as_str().to_owned(),
            at: entry.at,
            action: entry.action.as_str(),
            outcome: entry.outcome.as_str(),
            user_id: entry.account,
            actor_id: entry.actor,
            token_id: entry.key,
            session_id: entry.session,
            target_id: entry.target,
            request_id: entry.request,
            address: entry.address,
            details: entry.details,
        }
    }
}

impl From<Session> for AuditItem {
    fn from(session: Session) -> Self {
        let action = match session.origin {
            Origin::Mint => Action::SessionCreate,
            Origin::Renewal => Action::SessionRenew,
            Origin::Exchange => Action::SessionExchange,
        };
        let mut details = Map::new();
        details.insert(
            "environment".to_owned(),
            session.environment.as_str().into(),
        );
        details.insert("audience".to_owned(), session.audience.into());
        details.insert(
            "allowedRoutes".to_owned(),
            session.scope.routes.to_strings().into(),
        );
        details.insert("expiresAt".to_owned(), session.expires_at.millis().into());
        Self {
            id: session.id.as_str().to_owned(),
            at: session.issued_at,
            action: action.as_str(),
            outcome: "done",
            actor_id: Some(session.actors.first().unwrap_or(&session.account).clone()),
            user_id: session.account,
            token_id: Some(session.key),
            session_id: Some(session.id),
            target_id: None,
            request_id: Some(session.request),
            address: session.address,
            details,
        }
    }
}

/// What a list of the ledger is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Entries of one account: the caller's own or a child's.
    pub account: Option<AccountId>,
    /// Entries of one kind.
    pub action: Option<Action>,
}

impl App {
    /// The ledger of the caller's account and of its children, or of the child that it acts as.
    /// Both kinds of rows have ids that sort by time behind their prefix; a page takes the first
    /// of both.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_audit(
        &self,
        caller: &Caller,
        filter: &Filter,
        page: &Page,
    ) -> Result<Batch<AuditItem>, Error> {
        let mut read = self.store.read().await?;
        let account = caller.account();
        let cursor = page.after.as_deref().map(|after| suffix(after).to_owned());
        let wanted = usize::try_from(page.take).unwrap_or(usize::MAX);
        let entries = audit::list(read.conn(), account, &at("aud_", cursor.as_ref(), page)).await?;
        let minted =
            sessions::ledger(read.conn(), account, &at("ses_", cursor.as_ref(), page)).await?;
        let mut items: Vec<AuditItem> = entries
            .into_iter()
            .map(AuditItem::from)
            .chain(minted.into_iter().map(AuditItem::from))
            .collect();
        items.sort_by(|a, b| match page.order {
            Order::Asc => suffix(&a.id).cmp(suffix(&b.id)),
            Order::Desc => suffix(&b.id).cmp(suffix(&a.id)),
        });
        items.truncate(wanted);
        let mut batch = page.batch(items, |item| &item.id);
        // A test key sees what concerns test keys and test sessions.
        let test = caller.effective.environment == Environment::Test;
        let of_test = |item: &AuditItem| {
            item.details.get("environment").and_then(Value::as_str)
                == Some(Environment::Test.as_str())
        };
        batch.items.retain(|item| !test || of_test(item));
        batch.items.retain(|item| {
            filter
                .account
                .as_ref()
                .is_none_or(|account| item.user_id == *account)
                && filter
                    .action
                    .is_none_or(|action| item.action == action.as_str())
        });
        Ok(batch)
    }
}

fn suffix(id: &str) -> &str {
    id.get(id.len().saturating_sub(SUFFIX_LEN)..).unwrap_or(id)
}

fn at(prefix: &str, cursor: Option<&String>, page: &Page) -> Page {
    Page {
        after: cursor.map(|suffix| format!("{prefix}{suffix}")),
        order: page.order,
        take: page.take,
    }
}
