//! The ledger: who did what, as whom, with which key.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::id::{AccountId, AuditId, KeyId, RequestId, SessionId};
use super::time::Timestamp;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names on the wire say it")]
pub enum Action {
    UserCreate,
    UserUpdate,
    UserSelfUpdate,
    UserSuspend,
    UserResume,
    UserDelete,
    UserClaim,
    TokenCreate,
    TokenImport,
    TokenUpdate,
    TokenRotate,
    TokenDelete,
    TokenReport,
    SessionCreate,
    SessionRenew,
    SessionExchange,
    SessionRevoke,
    SigningKeyRotate,
    SigningKeyRevoke,
    SigningKeyRewrap,
    WebhookCreate,
    WebhookUpdate,
    WebhookDelete,
    WebhookRotate,
    WebhookTest,
    WebhookReplay,
    WebhookDisable,
    AuditKeyRotate,
    Restore,
    RestoreConfirm,
    Impersonate,
    Refused,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 32] = [
        Self::UserCreate,
        Self::UserUpdate,
        Self::UserSelfUpdate,
        Self::UserSuspend,
        Self::UserResume,
        Self::UserDelete,
        Self::UserClaim,
        Self::TokenCreate,
        Self::TokenImport,
        Self::TokenUpdate,
        Self::TokenRotate,
        Self::TokenDelete,
        Self::TokenReport,
        Self::SessionCreate,
        Self::SessionRenew,
        Self::SessionExchange,
        Self::SessionRevoke,
        Self::SigningKeyRotate,
        Self::SigningKeyRevoke,
        Self::SigningKeyRewrap,
        Self::WebhookCreate,
        Self::WebhookUpdate,
        Self::WebhookDelete,
        Self::WebhookRotate,
        Self::WebhookTest,
        Self::WebhookReplay,
        Self::WebhookDisable,
        Self::AuditKeyRotate,
        Self::Restore,
        Self::RestoreConfirm,
        Self::Impersonate,
        Self::Refused,
    ];

    /// As it is written on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserCreate => "user.create",
            Self::UserUpdate => "user.update",
            Self::UserSelfUpdate => "user.self.update",
            Self::UserSuspend => "user.suspend",
            Self::UserResume => "user.resume",
            Self::UserDelete => "user.delete",
            Self::UserClaim => "user.claim",
            Self::TokenCreate => "token.create",
            Self::TokenImport => "token.import",
            Self::TokenUpdate => "token.update",
            Self::TokenRotate => "token.rotate",
            Self::TokenDelete => "token.delete",
            Self::TokenReport => "token.report",
            Self::SessionCreate => "session.create",
            Self::SessionRenew => "session.renew",
            Self::SessionExchange => "session.exchange",
            Self::SessionRevoke => "session.revoke",
            Self::SigningKeyRotate => "signing-key.rotate",
            Self::SigningKeyRevoke => "signing-key.revoke",
            Self::SigningKeyRewrap => "signing-key.rewrap",
            Self::WebhookCreate => "webhook.create",
            Self::WebhookUpdate => "webhook.update",
            Self::WebhookDelete => "webhook.delete",
            Self::WebhookRotate => "webhook.rotate",
            Self::WebhookTest => "webhook.test",
            Self::WebhookReplay => "webhook.replay",
            Self::WebhookDisable => "webhook.disable",
            Self::AuditKeyRotate => "audit.key.rotate",
            Self::Restore => "restore",
            Self::RestoreConfirm => "restore.confirm",
            Self::Impersonate => "impersonate",
            Self::Refused => "refused",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was refused.
    Refused,
}

impl Outcome {
    /// As it is written on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Done, Self::Refused]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
    }
}

/// One entry of the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its id; sortable by time.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// What was done.
    pub action: Action,
    /// How it went.
    pub outcome: Outcome,
    /// For whom: the account whose ledger this is in.
    pub account: AccountId,
    /// Who really acted; the account itself, its parent, or none for the operator's CLI.
    pub actor: Option<AccountId>,
    /// With which key.
    pub key: Option<KeyId>,
    /// With or about which session.
    pub session: Option<SessionId>,
    /// The id of what it was done to, when it is neither of these.
    pub target: Option<String>,
    /// The request.
    pub request: Option<RequestId>,
    /// From where.
    pub address: Option<IpAddr>,
    /// What else there is to say. Never a secret.
    pub details: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_and_outcomes_are_read_as_they_are_written() {
        let mut texts: Vec<_> = Action::ALL.iter().map(|action| action.as_str()).collect();
        for action in Action::ALL {
            assert_eq!(Action::parse(action.as_str()), Some(action));
        }
        for outcome in [Outcome::Done, Outcome::Refused] {
            assert_eq!(Outcome::parse(outcome.as_str()), Some(outcome));
        }
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), Action::ALL.len(), "two actions share a name");
        assert_eq!(Action::parse("user.Create"), None);
        assert_eq!(Outcome::parse(""), None);
    }
}
