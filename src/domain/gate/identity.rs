//! Who a request was allowed for, as the API behind the gate is told.

use std::fmt::Write as _;

use crate::domain::environment::Environment;
use crate::domain::id::{AccountId, KeyId, SessionId};

/// Who a request was allowed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'c> {
    /// The account for which it speaks.
    pub account: &'c AccountId,
    /// Who really acts, when that is another account.
    pub actor: Option<&'c AccountId>,
    /// The key, or the one that minted the session.
    pub key: Option<&'c KeyId>,
    /// The session, when it is one.
    pub session: Option<&'c SessionId>,
    /// Live or test.
    pub environment: Environment,
    /// The permissions, with spaces between them; `None` when they are not narrowed.
    pub scope: Option<&'c str>,
}

impl Identity<'_> {
    /// All of it as one dictionary of strings (RFC 9651 §3.2). What has no value is left out. No
    /// value has a character that would need an escape.
    pub fn to_dictionary(&self) -> String {
        let members = [
            ("account", Some(self.account.as_str())),
            ("actor", self.actor.map(AccountId::as_str)),
            ("key", self.key.map(KeyId::as_str)),
            ("session", self.session.map(SessionId::as_str)),
            ("environment", Some(self.environment.as_str())),
            ("scope", self.scope),
        ];
        let mut text = String::with_capacity(192);
        for (name, value) in members {
            let Some(value) = value else { continue };
            let comma = if text.is_empty() { "" } else { ", " };
            // Writing to a text never fails.
            let _ = write!(text, "{comma}{name}=\"{value}\"").is_ok();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_one_dictionary_without_what_has_no_value() {
        let account = AccountId::parse("usr_01kdvdna00v3rs3dtr98h6bcfn").unwrap();
        let actor = AccountId::parse("usr_01kdvdna00v3rs3dtr98h6bcfm").unwrap();
        let key = KeyId::parse("key_01kdy02105hd99fdtgj8yepfzx").unwrap();
        let session = SessionId::parse("ses_01ke0jer00qqjm2s6r76fqcz25").unwrap();
        let alone = Identity {
            account: &account,
            actor: None,
            key: Some(&key),
            session: None,
            environment: Environment::Live,
            scope: None,
        };

        assert_eq!(
            alone.to_dictionary(),
            "account=\"usr_01kdvdna00v3rs3dtr98h6bcfn\", key=\"key_01kdy02105hd99fdtgj8yepfzx\", \
             environment=\"live\""
        );
        let all = Identity {
            actor: Some(&actor),
            session: Some(&session),
            environment: Environment::Test,
            scope: Some(""),
            ..alone
        };
        assert_eq!(
            all.to_dictionary(),
            "account=\"usr_01kdvdna00v3rs3dtr98h6bcfn\", actor=\"usr_01kdvdna00v3rs3dtr98h6bcfm\", \
             key=\"key_01kdy02105hd99fdtgj8yepfzx\", session=\"ses_01ke0jer00qqjm2s6r76fqcz25\", \
             environment=\"test\", scope=\"\""
        );
    }
}
