//! Where the routes begin.

use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::limits::PATH_BYTES_MAX;
use super::path::{PathError, is_unreserved};

/// Below which path the routes lie. It is cut exactly once, before anything is matched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mount {
    /// Each is empty or begins with `/` and does not end with one. None is a prefix of another.
    prefixes: Vec<String>,
}

/// A text that is not a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a mount is `/`, or segments of letters, digits and `- . _ ~`, each with a slash before it, such as `/v1`"
)]
pub struct MountError;

impl Mount {
    /// Where hallpass itself answers: `/v1` and `/api/v1`, declared equal.
    pub fn hallpass() -> &'static Self {
        static HALLPASS: LazyLock<Mount> = LazyLock::new(|| Mount {
            prefixes: vec!["/v1".to_owned(), "/api/v1".to_owned()],
        });
        &HALLPASS
    }

    /// No mount: the whole path is matched.
    pub fn root() -> Self {
        Self {
            prefixes: vec![String::new()],
        }
    }

    /// Reads a mount such as `/v1`, or `/` for none.
    ///
    /// # Errors
    /// [`MountError`]. A slash at the end is one, too.
    pub fn parse(text: &str) -> Result<Self, MountError> {
        if text == "/" {
            return Ok(Self::root());
        }
        let segments = text.strip_prefix('/').ok_or(MountError)?;
        let well_formed = text.len() < PATH_BYTES_MAX
            && segments.split('/').all(|segment| {
                !matches!(segment, "" | "." | "..") && segment.bytes().all(is_unreserved)
            });
        if !well_formed {
            return Err(MountError);
        }
        Ok(Self {
            prefixes: vec![text.to_owned()],
        })
    }

    /// What stands behind the mount: empty, or with a leading slash.
    pub(super) fn cut<'p>(&self, path: &'p [u8]) -> Result<&'p [u8], PathError> {
        self.prefixes
            .iter()
            .filter_map(|prefix| path.strip_prefix(prefix.as_bytes()))
            .find(|rest| rest.is_empty() || rest.starts_with(b"/"))
            .ok_or(PathError::OutsideMount)
    }
}

impl Default for Mount {
    /// `/v1`.
    fn default() -> Self {
        Self {
            prefixes: vec!["/v1".to_owned()],
        }
    }
}

impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefixes.first().map(String::as_str) {
            None | Some("") => f.write_str("/"),
            Some(prefix) => f.write_str(prefix),
        }
    }
}

impl TryFrom<String> for Mount {
    type Error = MountError;
    fn try_from(text: String) -> Result<Self, MountError> {
        Self::parse(&text)
    }
}

impl From<Mount> for String {
    fn from(mount: Mount) -> Self {
        mount.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_plain_segments() {
        for text in ["/", "/v1", "/api/v1", "/a-b_c.d~e", "/..."] {
            let mount = Mount::parse(text).unwrap();
            assert_eq!(mount.to_string(), text);
        }
        for text in [
            "", "v1", "/v1/", "//", "//v1", "/.", "/a/../b", "/%61", "/a b", "/é", "/a;b",
        ] {
            assert_eq!(Mount::parse(text), Err(MountError), "{text}");
        }
    }

    #[test]
    fn a_mount_is_cut_once_and_only_before_a_slash() {
        let cut = |mount: &Mount, path: &'static str| mount.cut(path.as_bytes());
        let v1 = Mount::default();

        assert_eq!(cut(&v1, "/v1/v1/x"), Ok(b"/v1/x".as_slice()));
        assert_eq!(cut(&v1, "/v1"), Ok(b"".as_slice()));
        assert_eq!(cut(&v1, "/v10/x"), Err(PathError::OutsideMount));
        assert_eq!(cut(&v1, "/api/v1/x"), Err(PathError::OutsideMount));
        assert_eq!(cut(Mount::hallpass(), "/api/v1/x"), Ok(b"/x".as_slice()));
        assert_eq!(cut(Mount::hallpass(), "/v1/x"), Ok(b"/x".as_slice()));
        assert_eq!(cut(&Mount::root(), "/v1/x"), Ok(b"/v1/x".as_slice()));
    }
}
