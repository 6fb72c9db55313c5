//! Settings that must not be shown: the master key and the password of the database.

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::error::Problem;

/// A text that is not shown when it is printed, and is wiped when it is dropped.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// Where the master key comes from.
#[derive(Debug, Clone)]
pub enum MasterKeySource {
    /// From `HALLPASS_MASTER_KEY` itself.
    Given(SecretText),
    /// From this file, which must be there.
    File(PathBuf),
    /// From this file, which is made at first start.
    MadeAtFirstStart(PathBuf),
}

/// The address of the database. It prints without its password and its parameters.
#[derive(Clone)]
pub struct DatabaseUrl(SecretText);

const SCHEMES: [&str; 3] = ["sqlite:", "postgres://", "postgresql://"];

impl DatabaseUrl {
    /// Reads an address by its scheme; the database driver reads the rest.
    ///
    /// # Errors
    /// [`Problem::DatabaseUrl`].
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let known = SCHEMES.iter().any(|scheme| {
            text.strip_prefix(scheme)
                .is_some_and(|rest| !rest.is_empty())
        });
        if known && !text.contains(char::is_control) {
            Ok(Self(SecretText::from(text.to_owned())))
        } else {
            Err(Problem::DatabaseUrl)
        }
    }

    /// The whole address with its password, for the driver.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    /// Whether it is a `SQLite` database.
    pub fn is_sqlite(&self) -> bool {
        self.reveal().starts_with("sqlite:")
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.reveal();
        let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        if parameters.contains('@') {
            // An unescaped password, before the `?` or behind it: nobody can say where it ends.
            return write!(f, "{scheme}://…");
        }
        write!(f, "{scheme}://")?;
        // The last `@`, since an unescaped password may hold one.
        let place = match place.rsplit_once('@') {
            Some((user, place)) => {
                match user.split_once(':') {
                    Some((name, _)) => write!(f, "{name}:…@")?,
                    None => write!(f, "{user}@")?,
                }
                place
            }
            None => place,
        };
        f.write_str(place)?;
        // A parameter may be a password as well.
        f.write_str(if parameters.is_empty() { "" } else { "?…" })
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}
