//! One management command is one request of the public API.

use std::fmt;
use std::io;
use std::path::Path;

use serde_json::{Map, Value};

use super::error::{CliError, UsageError};
use super::values::{Pair, PathId, Seconds, Secret};
use crate::domain::time::Timestamp;

/// GET reads, POST does the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Does the rest.
    Post,
}

impl Method {
    /// As it stands in the request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// A request of the API, apart from where it is sent to.
#[derive(Clone)]
pub struct Request {
    /// GET or POST.
    pub method: Method,
    /// Below `/v1/`, without a slash at its beginning: `token/create`.
    pub path: String,
    /// Names and values, not yet escaped.
    pub query: Vec<(String, String)>,
    /// The JSON body of a POST.
    pub body: Option<Value>,
    /// For which account to act; on the database only. `None` is the operator's own.
    pub as_account: Option<String>,
    /// The credential to present in place of the configured key: a session that is renewed.
    pub credential: Option<Secret>,
    /// The value of the `Idempotency-Key` header.
    pub idempotency_key: Option<String>,
}

impl fmt::Debug for Request {
    /// Without query and body, which may have secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method.as_str(), self.path)
    }
}

impl Request {
    /// Reads something.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::Get,
            path: path.into(),
            query: Vec::new(),
            body: None,
            as_account: None,
            credential: None,
            idempotency_key: None,
        }
    }

    /// Does something.
    pub fn post(path: impl Into<String>, body: Body) -> Self {
        Self {
            method: Method::Post,
            body: Some(Value::Object(body.0)),
            ..Self::get(path)
        }
    }

    /// The same with these names and values in its query.
    pub fn with_query(mut self, query: Vec<(String, String)>) -> Self {
        self.query = query;
        self
    }

    /// The same with an `Idempotency-Key`.
    pub fn with_idempotency_key(mut self, key: Option<&str>) -> Self {
        self.idempotency_key = key.map(str::to_owned);
        self
    }
}

/// An answer of the API.
#[derive(Debug, Clone)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body.
    pub body: Value,
}

/// A JSON object in the making. What was not given is left out.
#[derive(Debug, Clone, Default)]
pub struct Body(Map<String, Value>);

impl Body {
    /// An empty object.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a member, if there is something to set it to.
    pub fn put(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.into());
        }
    }

    /// Sets a member to a list, if the list has something in it. An empty list means "nothing" to
    /// the API and has to be written out as JSON.
    pub fn put_list(&mut self, name: &str, values: &[String]) {
        self.put(name, (!values.is_empty()).then(|| values.to_vec()));
    }

    /// Sets a member to `true`, if it is.
    pub fn put_flag(&mut self, name: &str, is_set: bool) {
        self.put(name, is_set.then_some(true));
    }

    /// Sets a member to a number of seconds, if there is one.
    pub fn put_secs(&mut self, name: &str, value: Option<Seconds>) {
        self.put(name, value.map(|Seconds(secs)| secs));
    }

    /// Sets a member to an object, if the object has something in it.
    pub fn put_object(&mut self, name: &str, object: Self) {
        self.put(name, (!object.0.is_empty()).then_some(object.0));
    }

    /// Sets a member to an object of lists, in which a repeated name collects its values.
    pub fn put_bindings(&mut self, name: &str, pairs: &[Pair]) {
        let mut lists: Map<String, Value> = Map::new();
        for Pair { name, value } in pairs {
            let list = lists
                .entry(name.clone())
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(values) = list {
                values.push(Value::String(value.clone()));
            }
        }
        self.put_object(name, Self(lists));
    }

    /// Sets a member to an object of texts; the last of a repeated name counts.
    pub fn put_texts(&mut self, name: &str, pairs: &[Pair]) {
        let mut texts = Self::new();
        for pair in pairs {
            texts.put(&pair.name, Some(pair.value.as_str()));
        }
        self.put_object(name, texts);
    }

    /// The object.
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }
}

impl From<Map<String, Value>> for Body {
    fn from(members: Map<String, Value>) -> Self {
        Self(members)
    }
}

/// How an answer is shown in a table. As JSON it is always shown whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// A list: one line for each item, with these members as columns. A dot leads into an object.
    Rows(&'static [&'static str]),
    /// One thing: one line for each member.
    Item,
    /// One thing that has just been made. Its member `token` or `secret` is shown this once.
    Secret,
    /// One thing; when this member of it is `false`, the exit code is 1.
    Verdict(&'static str),
}

/// A command, thought through: what to ask, and how to show the answer.
#[derive(Debug)]
pub struct Plan {
    /// What to ask.
    pub request: Request,
    /// How to show the answer.
    pub view: View,
    /// Whether to go on asking until the last page of the list.
    pub all_pages: bool,
}

impl Plan {
    /// One request, shown like this.
    pub fn new(request: Request, view: View) -> Self {
        Self {
            request,
            view,
            all_pages: false,
        }
    }
}

/// What commands may look at besides their arguments.
pub struct Context<'a> {
    /// Now; `--expires-in` counts from here.
    pub now: Timestamp,
    /// `--account`.
    pub account: Option<&'a PathId>,
    /// Reads a file whole; `-` is standard input.
    pub read: &'a dyn Fn(&Path) -> io::Result<String>,
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("now", &self.now)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl Context<'_> {
    /// The text of a file.
    ///
    /// # Errors
    /// [`CliError::Read`].
    pub fn read(&self, path: &Path) -> Result<String, CliError> {
        (self.read)(path).map_err(|source| CliError::Read {
            path: path.to_owned(),
            source,
        })
    }

    /// A JSON object that is given as such, or as the name of a file (`-` for standard input).
    ///
    /// # Errors
    /// [`CliError::Read`], [`UsageError::Json`], [`UsageError::NotAnObject`].
    pub fn json_object(
        &self,
        argument: &'static str,
        text: &str,
    ) -> Result<Map<String, Value>, CliError> {
        let value = if text.trim_start().starts_with(['{', '[']) {
            serde_json::from_str(text)
        } else {
            serde_json::from_str(&self.read(Path::new(text))?)
        };
        match value.map_err(|source| UsageError::Json { argument, source })? {
            Value::Object(members) => Ok(members),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Err(UsageError::NotAnObject { argument }.into()),
        }
    }

    /// A secret that is given as such, or `-` for standard input.
    ///
    /// # Errors
    /// [`CliError::Read`].
    pub fn secret(&self, given: &Secret) -> Result<Secret, CliError> {
        if given.is_dash() {
            Ok(Secret::from(self.read(Path::new("-"))?))
        } else {
            Ok(given.clone())
        }
    }
}
