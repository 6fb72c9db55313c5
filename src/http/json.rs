//! Request bodies: JSON that is read strictly, with errors that name the field.
//!
//! What is unknown, repeated, of another type or too deep is refused and never left out: a
//! restriction that was not understood must not be a restriction that was not asked for. Errors
//! say where and what was expected, and never quote a value, which may be a secret.

use std::fmt;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::json_value::{Fault, Json};
use crate::domain::limits::{BODY_BYTES_MAX, JSON_DEPTH_MAX};
use crate::domain::strict_json::{self, StrictJsonError};

/// Why a request body cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// More than [`BODY_BYTES_MAX`] bytes: 413.
    #[error("the request body is larger than {BODY_BYTES_MAX} bytes")]
    TooLarge,
    /// The body broke off: 400.
    #[error("the request body could not be read")]
    Unreadable,
    /// There is a body, and it is not said to be JSON, or it is compressed: 415.
    #[error("send the body as `Content-Type: application/json`, in UTF-8 and not compressed")]
    MediaType,
    /// The body is not what the endpoint takes: 400.
    #[error(transparent)]
    Body(#[from] BodyError),
}

/// What is wrong in a body, and where: 400.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyError {
    /// The path of the field, such as `config.allowedRoutes[0]`; `None` for the body as a whole.
    pub field: Option<String>,
    /// What is wrong with it.
    pub problem: BodyProblem,
}

impl std::error::Error for BodyError {}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "`{field}` {}", self.problem),
            None => write!(f, "the request body {}", self.problem),
        }
    }
}

/// What is wrong with a field or with the whole body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyProblem {
    /// Not JSON.
    #[error("is not valid JSON at line {line}, column {column}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
    },
    /// Given twice.
    #[error("is given more than once")]
    Duplicate,
    /// Arrays and objects are nested too deeply.
    #[error("is nested deeper than {depth_max}")]
    TooDeep {
        /// How deep they may be.
        depth_max: usize,
    },
    /// JSON, but not an object.
    #[error("must be a JSON object")]
    NotAnObject,
    /// A field that does not exist.
    #[error("is not a known field; known are {}", known.join(", "))]
    UnknownField {
        /// The fields that exist there.
        known: &'static [&'static str],
    },
    /// A field that must be there.
    #[error("is missing")]
    Missing,
    /// A value of another type or outside its range.
    #[error("must be {expected}, not {found}")]
    WrongType {
        /// What can be written, as people say it.
        expected: String,
        /// What was written, by its kind alone.
        found: &'static str,
    },
    /// A text that is none of some names.
    #[error("must be one of {}", known.join(", "))]
    UnknownName {
        /// The names.
        known: &'static [&'static str],
    },
    /// The type of the field says why it cannot be used.
    #[error("is not valid: {reason}")]
    Invalid {
        /// Why.
        reason: String,
    },
}

/// How much of a path is told; a name in it may be as long as the body.
const FIELD_CHARS_MAX: usize = 200;

/// Reads a body whole and as a `T`. For requests that reach the router by another way than
/// [`super::server`], too, which has read and bounded the body already.
///
/// # Errors
/// [`JsonError`].
pub async fn read<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, JsonError> {
    let bytes = read_bytes(body).await?;
    parse_request(headers, &bytes)
}

/// Reads a body whole.
///
/// # Errors
/// [`JsonError::TooLarge`], [`JsonError::Unreadable`].
pub async fn read_bytes(body: Body) -> Result<Bytes, JsonError> {
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(JsonError::TooLarge),
        Err(_) => Err(JsonError::Unreadable),
    }
}

/// Reads a `T` from a body with its headers. No body at all is `{}`, whatever `Content-Type` says.
///
/// # Errors
/// [`JsonError`].
pub fn parse_request<T: DeserializeOwned>(
    headers: &HeaderMap,
    bytes: &[u8],
) -> Result<T, JsonError> {
    if bytes.len() > BODY_BYTES_MAX {
        return Err(JsonError::TooLarge);
    }
    let is_json = has_type(headers, "application/json") && is_plain(headers);
    if !is_json && !bytes.is_empty() {
        return Err(JsonError::MediaType);
    }
    Ok(parse_body(bytes)?)
}

/// Reads a `T` from a body. No body at all is `{}`.
///
/// # Errors
/// [`BodyError`] for the first thing that is wrong.
pub fn parse_body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BodyError> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    let value = strict_json::parse(bytes, JSON_DEPTH_MAX)?;
    if !value.is_object() {
        return Err(BodyError {
            field: None,
            problem: BodyProblem::NotAnObject,
        });
    }
    // Where something is wrong is kept in mind only when something is: the second time.
    match T::deserialize(Json::from(value)) {
        Ok(body) => Ok(body),
        Err(_) => parse_value(strict_json::parse(bytes, JSON_DEPTH_MAX)?),
    }
}

/// Reads a `T` from JSON that was read already.
///
/// # Errors
/// [`BodyError`].
pub fn parse_value<T: DeserializeOwned>(value: Value) -> Result<T, BodyError> {
    serde_path_to_error::deserialize(Json::from(value)).map_err(|error| {
        let path = error.path().to_string();
        let (missing, problem) = match error.into_inner() {
            Fault::Missing(name) => (Some(name), BodyProblem::Missing),
            Fault::Other(problem) => (None, problem),
        };
        let path = Some(path).filter(|path| path != ".");
        let field = match (path, missing) {
            (Some(path), Some(name)) => Some(format!("{path}.{name}")),
            (None, Some(name)) => Some(name.to_owned()),
            (path, None) => path,
        };
        BodyError {
            field: field.map(shortened),
            problem,
        }
    })
}

/// Whether the one `Content-Type` is this media type, if need be with `charset=utf-8`.
pub fn has_type(headers: &HeaderMap, wanted: &str) -> bool {
    let Some(value) = only(headers, &CONTENT_TYPE) else {
        return false;
    };
    let (media_type, parameters) = value.split_once(';').unwrap_or((value, "charset=utf-8"));
    let charset = parameters.trim().to_ascii_lowercase();
    media_type.trim().eq_ignore_ascii_case(wanted)
        && matches!(charset.as_str(), "" | "charset=utf-8" | "charset=\"utf-8\"")
}

fn is_plain(headers: &HeaderMap) -> bool {
    !headers.contains_key(CONTENT_ENCODING)
        || only(headers, &CONTENT_ENCODING)
            .is_some_and(|coding| coding.eq_ignore_ascii_case("identity"))
}

/// The value of a header that is there exactly once, as text.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok()
}

fn shortened(path: String) -> String {
    match path.char_indices().nth(FIELD_CHARS_MAX) {
        Some((end, _)) => path.get(..end).map(|start| format!("{start}…")),
        None => None,
    }
    .unwrap_or(path)
}

impl From<StrictJsonError> for BodyError {
    fn from(error: StrictJsonError) -> Self {
        match error {
            StrictJsonError::Duplicate { path } => Self {
                field: Some(shortened(path)),
                problem: BodyProblem::Duplicate,
            },
            StrictJsonError::TooDeep { depth_max } => Self {
                field: None,
                problem: BodyProblem::TooDeep { depth_max },
            },
            StrictJsonError::Syntax { line, column } => Self {
                field: None,
                problem: BodyProblem::Syntax { line, column },
            },
        }
    }
}

#[cfg(test)]
#[path = "tests/json.rs"]
mod tests;
