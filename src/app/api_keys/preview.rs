//! What a key would be, before it is made.

use serde::Deserialize;

use super::create::NewToken;
use crate::app::App;
use crate::app::authorise::Caller;
use crate::app::error::{Error, Invalid, InvalidCode};
use crate::domain::effective::{Ceilings, Effective};
use crate::domain::liveness::Position;
use crate::domain::route::{Mount, RequestPath, TrailingSlash};

/// A key that might be made, and a request to try on it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    missing_docs,
    reason = "the names on the wire, described in openapi.yaml"
)]
pub struct NewPreview {
    pub token: NewToken,
    pub method: Option<String>,
    pub path: Option<String>,
}

/// What a key would be.
#[derive(Debug)]
pub struct Preview {
    /// Why the caller could not make it.
    pub excess: Option<Error>,
    /// What it could do.
    pub effective: Effective,
    /// The request that was tried.
    pub tried: Option<Tried>,
}

/// A request that was tried.
#[derive(Debug)]
pub struct Tried {
    /// The method.
    pub method: String,
    /// The path, as it is matched.
    pub path: RequestPath,
}

impl Tried {
    /// Whether routes allow it, and the pattern; `None` for the pattern where nothing is narrowed.
    pub fn by(&self, ceilings: &Ceilings) -> Option<Option<String>> {
        let allowed = ceilings.allow(&self.method, &self.path)?;
        Some(allowed.pattern.map(|pattern| pattern.as_str().to_owned()))
    }
}

impl App {
    /// What a key would be, and whether the caller could make it. Nothing is made.
    ///
    /// # Errors
    /// [`Error::Invalid`] where creating it would have the same.
    pub fn preview_token(&self, caller: &Caller, wanted: NewPreview) -> Result<Preview, Error> {
        let NewPreview {
            token,
            method,
            path,
        } = wanted;
        let ceiling = &caller.effective;
        let account = caller.subject()?.account();
        let position = Position::new(0);
        let key = self.draft(caller, ceiling, account, token, self.now(), position)?;
        let tried = match path.as_deref().map(str::trim) {
            None | Some("") => None,
            Some(path) => Some(Tried {
                method: method.map_or_else(|| "GET".to_owned(), |method| method.to_uppercase()),
                path: request_path(path)?,
            }),
        };
        Ok(Preview {
            excess: Self::check_made(caller, ceiling, &key).err(),
            effective: key.effective(),
            tried,
        })
    }
}

/// Reads a path as people write one: with or without the slash and the mount.
fn request_path(text: &str) -> Result<RequestPath, Error> {
    let target = if text.starts_with('/') {
        text.to_owned()
    } else {
        format!("/{text}")
    };
    let mounted = target.starts_with("/v1/") || target.starts_with("/api/v1/");
    let mount = if mounted {
        Mount::hallpass().clone()
    } else {
        Mount::root()
    };
    RequestPath::parse(target, &mount, TrailingSlash::Equal).map_err(|error| {
        Error::Invalid(Invalid {
            field: "path".to_owned(),
            problem: error.to_string(),
            code: InvalidCode::AmbiguousPath,
        })
    })
}
