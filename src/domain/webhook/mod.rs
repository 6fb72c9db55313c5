//! Webhooks: what is told, when a delivery is tried again, and where none may go.

mod address;
mod schedule;

pub use address::AddressPolicy;
pub use schedule::{
    ATTEMPTS_MAX, DISABLE_AFTER_SECS, GIVE_UP_SECS, endpoint_pause_ms, retry_after_ms,
};

use std::collections::BTreeSet;

use super::audit::Action;

/// What happened, as receivers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names on the wire say it")]
pub enum EventKind {
    TokenCreated,
    TokenUpdated,
    TokenRotated,
    TokenRevoked,
    TokenReported,
    TokenExpiring,
    TokenUnused,
    UserSuspended,
    UserDeleted,
    UserImpersonated,
    SessionRevoked,
    SigningKeyExpiring,
    SigningKeyRotated,
    SigningKeyRevoked,
    LimitExceeded,
    WebhookTest,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::TokenCreated,
        Self::TokenUpdated,
        Self::TokenRotated,
        Self::TokenRevoked,
        Self::TokenReported,
        Self::TokenExpiring,
        Self::TokenUnused,
        Self::UserSuspended,
        Self::UserDeleted,
        Self::UserImpersonated,
        Self::SessionRevoked,
        Self::SigningKeyExpiring,
        Self::SigningKeyRotated,
        Self::SigningKeyRevoked,
        Self::LimitExceeded,
        Self::WebhookTest,
    ];

    /// As it is written on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TokenCreated => "token.created",
            Self::TokenUpdated => "token.updated",
            Self::TokenRotated => "token.rotated",
            Self::TokenRevoked => "token.revoked",
            Self::TokenReported => "token.reported",
            Self::TokenExpiring => "token.expiring",
            Self::TokenUnused => "token.unused",
            Self::UserSuspended => "user.suspended",
            Self::UserDeleted => "user.deleted",
            Self::UserImpersonated => "user.impersonated",
            Self::SessionRevoked => "session.revoked",
            Self::SigningKeyExpiring => "signing-key.expiring",
            Self::SigningKeyRotated => "signing-key.rotated",
            Self::SigningKeyRevoked => "signing-key.revoked",
            Self::LimitExceeded => "limit.exceeded",
            Self::WebhookTest => "webhook.test",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// What an entry of the ledger is told as; `None` for what is not told.
    pub const fn of_entry(action: Action) -> Option<Self> {
        match action {
            Action::TokenCreate | Action::TokenImport | Action::UserClaim => {
                Some(Self::TokenCreated)
            }
            Action::TokenUpdate => Some(Self::TokenUpdated),
            Action::TokenRotate => Some(Self::TokenRotated),
            Action::TokenDelete => Some(Self::TokenRevoked),
            Action::TokenReport => Some(Self::TokenReported),
            Action::UserSuspend => Some(Self::UserSuspended),
            Action::UserDelete => Some(Self::UserDeleted),
            Action::SessionRevoke => Some(Self::SessionRevoked),
            Action::SigningKeyRotate => Some(Self::SigningKeyRotated),
            Action::SigningKeyRevoke => Some(Self::SigningKeyRevoked),
            Action::Impersonate => Some(Self::UserImpersonated),
            Action::UserCreate
            | Action::UserUpdate
            | Action::UserSelfUpdate
            | Action::UserResume
            | Action::SessionCreate
            | Action::SessionRenew
            | Action::SessionExchange
            | Action::SigningKeyRewrap
            | Action::WebhookCreate
            | Action::WebhookUpdate
            | Action::WebhookDelete
            | Action::WebhookRotate
            | Action::WebhookTest
            | Action::WebhookReplay
            | Action::WebhookDisable
            | Action::AuditKeyRotate
            | Action::Restore
            | Action::RestoreConfirm
            | Action::Refused => None,
        }
    }
}

/// The events that a webhook wants; `None` is all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter(Option<BTreeSet<EventKind>>);

impl EventFilter {
    /// Reads a list of names.
    ///
    /// # Errors
    /// The first name that is no event, or the empty text for an empty list: a webhook that wants
    /// nothing is one that somebody forgot to fill in.
    pub fn parse(names: &[String]) -> Result<Self, String> {
        if names.is_empty() {
            return Err(String::new());
        }
        names
            .iter()
            .map(|name| EventKind::parse(name).ok_or_else(|| name.clone()))
            .collect::<Result<_, _>>()
            .map(|kinds| Self(Some(kinds)))
    }

    /// Whether it wants this event. A test is always wanted.
    pub fn wants(&self, kind: EventKind) -> bool {
        kind == EventKind::WebhookTest || self.0.as_ref().is_none_or(|kinds| kinds.contains(&kind))
    }

    /// The names; `None` for all.
    pub fn names(&self) -> Option<Vec<&'static str>> {
        self.0
            .as_ref()
            .map(|kinds| kinds.iter().map(|kind| kind.as_str()).collect())
    }
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is to be sent, or sent again.
    Pending,
    /// A receiver took it.
    Delivered,
    /// It was given up.
    Failed,
}

impl DeliveryState {
    /// As it is written on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Delivered, Self::Failed]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The receiver answered with another status than 2xx.
    Status,
    /// It answered with a redirect, which is not followed.
    Redirect,
    /// It did not answer in time.
    Timeout,
    /// No connection, no TLS, or it broke off.
    Connection,
    /// The name has no address.
    Name,
    /// The address is one where webhooks may not go.
    Address,
    /// It waited for longer than deliveries are tried.
    Expired,
    /// The webhook was disabled or deleted before it was sent.
    Disabled,
}

impl Problem {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Status,
        Self::Redirect,
        Self::Timeout,
        Self::Connection,
        Self::Name,
        Self::Address,
        Self::Expired,
        Self::Disabled,
    ];

    /// As it is written on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Redirect => "redirect",
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Name => "name",
            Self::Address => "address",
            Self::Expired => "expired",
            Self::Disabled => "disabled",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|problem| problem.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::parse(kind.as_str()), Some(kind));
        }
        for problem in Problem::ALL {
            assert_eq!(Problem::parse(problem.as_str()), Some(problem));
        }
        for state in ["pending", "delivered", "failed"] {
            assert_eq!(DeliveryState::parse(state).unwrap().as_str(), state);
        }
        assert_eq!(EventKind::parse("token.Created"), None);
    }

    #[test]
    fn a_filter_names_events_that_exist_and_an_empty_one_is_a_mistake() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };

        let filter = EventFilter::parse(&names(&["token.reported"])).unwrap();

        assert!(filter.wants(EventKind::TokenReported));
        assert!(!filter.wants(EventKind::TokenCreated));
        assert!(filter.wants(EventKind::WebhookTest));
        assert!(EventFilter::default().wants(EventKind::LimitExceeded));
        assert_eq!(EventFilter::parse(&names(&["*"])), Err("*".to_owned()));
        assert_eq!(EventFilter::parse(&[]), Err(String::new()));
    }

    #[test]
    fn what_ends_or_makes_a_key_is_told() {
        for action in [
            Action::TokenCreate,
            Action::TokenImport,
            Action::UserClaim,
            Action::TokenRotate,
            Action::TokenDelete,
            Action::TokenReport,
        ] {
            assert!(EventKind::of_entry(action).is_some(), "{action:?}");
        }
        assert_eq!(EventKind::of_entry(Action::Refused), None);
    }
}
