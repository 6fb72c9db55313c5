//! Which domains may be asked for, whoever asks: a key for itself or for its sessions, or a session.

use super::error::Error;
use crate::domain::origin::Domains;

/// A domain under which anybody can register a name narrows nothing.
pub(super) fn check_suffixes(field: &str, domains: Option<&Domains>) -> Result<(), Error> {
    for entry in domains.into_iter().flat_map(Domains::iter) {
        let host = entry.host();
        let suffix = psl::suffix(host.as_bytes()).filter(psl::Suffix::is_known);
        if suffix.is_some_and(|suffix| suffix.as_bytes() == host.as_bytes()) {
            let problem = format!(
                "`{}` is a public suffix; name a domain below it",
                entry.as_str()
            );
            return Err(Error::invalid(field, problem));
        }
    }
    Ok(())
}
