//! What the user sees. No other module writes to standard output or standard error.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};

use clap::ValueEnum;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::error::{ApiError, CliError};
use super::request::View;
use super::service::FirstKey;
use crate::domain::time::Timestamp;

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people; times in UTC.
    Table,
    /// The answer of the API as it is.
    Json,
}

impl Format {
    /// A table on a terminal, JSON in a pipe or a file.
    pub fn of_stdout() -> Self {
        if io::stdout().is_terminal() {
            Self::Table
        } else {
            Self::Json
        }
    }
}

/// Prints the first API key in a line of its own on standard output, then a request that works when
/// it is pasted into a shell, then how to get another key.
///
/// # Errors
/// When standard output cannot be written; the key is lost then.
pub fn announce_first_key(first: &FirstKey<'_>) -> io::Result<()> {
    let text = Zeroizing::new(announcement(first));
    let mut out = io::stdout().lock();
    // In one piece, so that `hallpass init | head -n1` does not make the rest fail.
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn announcement(first: &FirstKey<'_>) -> String {
    let FirstKey {
        key,
        address,
        another,
    } = first;
    let key = key.expose();
    let attempt = address.map_or_else(String::new, |address| {
        format!(
            "curl -sS http://{address}/v1/session/create \
             -H 'Authorization: Bearer {key}' \
             -H 'Content-Type: application/json' \
             -d '{{\"allowedRoutes\":[\"bot/**\"]}}'\n\n"
        )
    });
    // What is no request is a comment, so that all of it can be pasted.
    format!(
        "{key}\n\n{attempt}# The key is shown this once. If it is lost, this makes another:\n# {another}\n"
    )
}

/// Where answers and errors are written.
pub struct Console<'a> {
    /// How answers are written.
    pub format: Format,
    /// Answers.
    pub out: &'a mut dyn Write,
    /// Errors and hints.
    pub err: &'a mut dyn Write,
}

impl std::fmt::Debug for Console<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console")
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl Console<'_> {
    /// Shows an answer of the API.
    ///
    /// # Errors
    /// [`CliError::Write`].
    pub fn answer(&mut self, view: View, body: &Value) -> Result<(), CliError> {
        if self.format == Format::Json {
            return self.json(body);
        }
        match view {
            View::Rows(columns) => {
                let items = body.get("items").and_then(Value::as_array);
                let items = items.map(Vec::as_slice).unwrap_or_default();
                self.rows(columns, items)?;
                let cursor = body.get("cursor").and_then(Value::as_str);
                match cursor {
                    Some(cursor) if !cursor.is_empty() && !items.is_empty() => {
                        self.hint(&format!("there may be more: --cursor {cursor}, or --all"))
                    }
                    Some(_) | None => Ok(()),
                }
            }
            View::Item | View::Verdict(_) => self.text(&fields(body)),
            View::Secret => self.secret(body),
        }
    }

    /// Shows a value as JSON.
    ///
    /// # Errors
    /// [`CliError::Write`].
    pub fn json(&mut self, value: &Value) -> Result<(), CliError> {
        self.text(&format!("{value:#}\n"))
    }

    /// Shows items in columns.
    ///
    /// # Errors
    /// [`CliError::Write`].
    pub fn rows(&mut self, columns: &[&str], items: &[Value]) -> Result<(), CliError> {
        if items.is_empty() {
            return self.hint("nothing found");
        }
        let mut rows = vec![columns.iter().map(|name| heading(name)).collect()];
        for item in items {
            rows.push(columns.iter().map(|name| cell(item, name)).collect());
        }
        self.text(&columns_of(&rows))
    }

    /// Shows the members of an object, one a line.
    ///
    /// # Errors
    /// [`CliError::Write`].
    pub fn item(&mut self, item: &Value) -> Result<(), CliError> {
        self.text(&fields(item))
    }

    /// Shows a text that is complete with its line ends.
    ///
    /// # Errors
    /// [`CliError::Write`].
    pub fn text(&mut self, text: &str) -> Result<(), CliError> {
        self.out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush())
            .map_err(CliError::Write)
    }

    /// Tells the user something that is not part of the answer.
    ///
    /// # Errors
    /// [`CliError::Write`].
    pub fn hint(&mut self, text: &str) -> Result<(), CliError> {
        writeln!(self.err, "{}", plain(text)).map_err(CliError::Write)
    }

    /// Says why a command failed. When even that cannot be written, the exit code is what is left.
    pub fn error(&mut self, error: &CliError) {
        let written = self.err.write_all(error_text(error).as_bytes());
        drop(written);
    }

    fn secret(&mut self, body: &Value) -> Result<(), CliError> {
        let mut rest = body.clone();
        let secret = rest.as_object_mut().and_then(|members| {
            let token = members.shift_remove("token");
            token.or_else(|| members.shift_remove("secret"))
        });
        self.text(&fields(&rest))?;
        match secret.as_ref().and_then(Value::as_str) {
            Some(secret) => self.text(&format!(
                "\nKeep this; it is not shown again:\n{}\n",
                plain(secret)
            )),
            None => Ok(()),
        }
    }
}

/// One line with the reason, then what the API adds to it.
fn error_text(error: &CliError) -> String {
    let mut text = format!("error: {}", plain(&error.to_string()));
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&plain(&next.to_string()));
        cause = next.source();
    }
    text.push('\n');
    if let CliError::Refused(refusal) = error {
        text.push_str(&columns_of(&refusal_rows(refusal)));
    }
    text
}

fn refusal_rows(refusal: &ApiError) -> Vec<Vec<String>> {
    let ApiError {
        status,
        message: _,
        code,
        required_scope,
        counter_example,
        field,
        request_id,
    } = refusal;
    let code = if code.is_empty() {
        status.to_string()
    } else {
        format!("{code} ({status})")
    };
    let rows = [
        ("code", Some(code)),
        ("needed permission", required_scope.clone()),
        ("not covered", counter_example.clone()),
        ("at", field.clone()),
        ("request", request_id.clone()),
    ];
    rows.into_iter()
        .filter_map(|(name, value)| Some(vec![format!("  {name}"), plain(&value?)]))
        .collect()
}

/// `createdAt` is `CREATED AT`, `config.allowedRoutes` is `ALLOWED ROUTES`.
fn heading(name: &str) -> String {
    let name = name.rsplit('.').next().unwrap_or(name);
    let mut heading = String::with_capacity(name.len() + 2);
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            heading.push(' ');
        }
        heading.push(character.to_ascii_uppercase());
    }
    heading
}

/// The member of an item, a dot leading into an object.
fn cell(item: &Value, name: &str) -> String {
    let value = name
        .split('.')
        .try_fold(item, |value, name| value.get(name));
    let last = name.rsplit('.').next().unwrap_or(name);
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(value) => scalar(last, value),
    }
}

/// The members of an object, one a line, objects in it by their dotted names. Members that are
/// `null` are left out.
fn fields(item: &Value) -> String {
    let mut rows = Vec::new();
    flatten("", item, &mut rows);
    columns_of(&rows)
}

/// The nesting of an answer is bounded by `serde_json`, which read it.
fn flatten(path: &str, value: &Value, rows: &mut Vec<Vec<String>>) {
    match value {
        Value::Null => {}
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                flatten(&path, value, rows);
            }
        }
        Value::Object(_)
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_) => {
            let last = path.rsplit('.').next().unwrap_or(path);
            rows.push(vec![plain(path), scalar(last, value)]);
        }
    }
}

fn scalar(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        Value::Number(number) => number
            .as_i64()
            .and_then(|number| instant(name, number))
            .unwrap_or_else(|| number.to_string()),
        Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_string) => {
            let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            plain(&texts.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            plain(&value.to_string())
        }
    }
}

/// Members that are instants are known by their names: milliseconds in the API, seconds in claims.
fn instant(name: &str, number: i64) -> Option<String> {
    let at = match name {
        "exp" | "iat" | "nbf" => Timestamp::from_secs(number),
        "at" | "renewableUntil" => Timestamp::from_millis(number),
        _ if name.ends_with("At") => Timestamp::from_millis(number),
        _ => return None,
    };
    OffsetDateTime::from_unix_timestamp(at.secs_floor())
        .ok()?
        .format(&Rfc3339)
        .ok()
}

/// Rows with their cells one below the other.
fn columns_of(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width_of = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width_of).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a `String` cannot fail.
            if write!(line, "{cell:<width$}  ").is_err() {
                line.push_str(cell);
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The text without what could move the cursor, recolour the terminal or turn the reading
/// direction: names and user agents come from strangers.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(
            character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        );
        if character.is_control() || turns {
            plain.extend(character.escape_unicode());
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::environment::Environment;
    use crate::domain::secret::{KeyKind, PlainKey};
    use crate::entropy::SeededEntropy;

    fn shown(format: Format, view: View, body: &Value) -> (String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console {
            format,
            out: &mut out,
            err: &mut err,
        };
        console.answer(view, body).unwrap();
        (
            String::from_utf8(out).unwrap(),
            String::from_utf8(err).unwrap(),
        )
    }

    #[test]
    fn the_first_key_stands_alone_before_a_request_and_a_way_to_another() {
        let key = PlainKey::generate(KeyKind::Secret, Environment::Live, &SeededEntropy::new(7));
        let key = key.unwrap();
        let first = |address: Option<&str>| FirstKey {
            key: &key,
            address: address.map(|address| address.parse().unwrap()),
            another: "hallpass token create --unrestricted".to_owned(),
        };

        let served = announcement(&first(Some("[::1]:8080"))).replace(key.expose(), "KEY");
        let unserved = announcement(&first(None)).replace(key.expose(), "KEY");

        insta::assert_snapshot!(served, @r#"
        KEY

        curl -sS http://[::1]:8080/v1/session/create -H 'Authorization: Bearer KEY' -H 'Content-Type: application/json' -d '{"allowedRoutes":["bot/**"]}'

        # The key is shown this once. If it is lost, this makes another:
        # hallpass token create --unrestricted
        "#);
        insta::assert_snapshot!(unserved, @r"
        KEY

        # The key is shown this once. If it is lost, this makes another:
        # hallpass token create --unrestricted
        ");
    }

    #[test]
    fn a_list_is_a_table_with_a_line_for_each_item() {
        let body = json!({
            "items": [
                { "id": "key_1", "name": "Übung", "createdAt": 1_769_817_600_123_i64 },
                { "id": "key_22", "name": null, "config": { "allowedRoutes": ["a", "b/**"] } },
            ],
            "cursor": "next",
        });
        let columns = &["id", "name", "createdAt", "config.allowedRoutes"];

        let (out, err) = shown(Format::Table, View::Rows(columns), &body);

        insta::assert_snapshot!(out, @r"
        ID      NAME   CREATED AT            ALLOWED ROUTES
        key_1   Übung  2026-01-31T00:00:00Z  -
        key_22  -      -                     a, b/**
        ");
        assert_eq!(err, "there may be more: --cursor next, or --all\n");
    }

    #[test]
    fn an_empty_list_says_so_beside_the_answer() {
        let body = json!({ "items": [], "cursor": "" });

        let table = shown(Format::Table, View::Rows(&["id"]), &body);
        let (json, _) = shown(Format::Json, View::Rows(&["id"]), &body);

        assert_eq!(table, (String::new(), "nothing found\n".to_owned()));
        assert_eq!(json, "{\n  \"items\": [],\n  \"cursor\": \"\"\n}\n");
    }

    #[test]
    fn an_item_is_a_line_for_each_member() {
        let body = json!({
            "id": "key_1",
            "name": null,
            "enabled": true,
            "expiresAt": 1_769_817_600_000_i64,
            "config": { "permissions": [], "session": { "allowedRoutes": ["a", "b"] } },
            "secrets": [{ "hint": "sk_live_…1234" }],
        });

        let (out, _) = shown(Format::Table, View::Item, &body);

        insta::assert_snapshot!(out, @r#"
        id                            key_1
        enabled                       true
        expiresAt                     2026-01-31T00:00:00Z
        config.permissions            []
        config.session.allowedRoutes  a, b
        secrets                       [{"hint":"sk_live_…1234"}]
        "#);
    }

    #[test]
    fn a_secret_stands_alone_on_its_line() {
        let body = json!({ "id": "key_1", "token": "sk_live_x", "hint": "sk_live_…x" });

        let (table, _) = shown(Format::Table, View::Secret, &body);
        let (json, _) = shown(Format::Json, View::Secret, &body);

        insta::assert_snapshot!(table, @r"
        id    key_1
        hint  sk_live_…x

        Keep this; it is not shown again:
        sk_live_x
        ");
        assert!(json.contains("\"token\": \"sk_live_x\""));
    }

    #[test]
    fn names_cannot_move_the_cursor() {
        let body = json!({ "name": "a\u{1b}[2Jb\nc\u{202e}d" });

        let (out, _) = shown(Format::Table, View::Item, &body);

        assert_eq!(out, "name  a\\u{1b}[2Jb\\u{a}c\\u{202e}d\n");
    }

    #[test]
    fn a_refusal_says_what_would_help() {
        let body = json!({
            "message": "A route is outside the key.",
            "code": "NOT_AUTHORIZED",
            "error": {
                "code": "ROUTE_NOT_COVERED",
                "message": "A route is outside the key.",
                "counterExample": { "method": "GET", "path": "bot/x" },
                "requestId": "req_1",
            },
        });
        let refusal = CliError::Refused(Box::new(ApiError::read(403, &body)));

        insta::assert_snapshot!(error_text(&refusal), @r"
        error: A route is outside the key.
          code         ROUTE_NOT_COVERED (403)
          not covered  GET bot/x
          request      req_1
        ");

        let body = json!({
            "message": "No.", "code": "NOT_AUTHORIZED",
            "error": { "code": "INSUFFICIENT_PERMISSIONS", "required_scope": "bots:write", "field": "name" },
        });
        let refusal = CliError::Refused(Box::new(ApiError::read(403, &body)));

        insta::assert_snapshot!(error_text(&refusal), @r"
        error: No.
          code               INSUFFICIENT_PERMISSIONS (403)
          needed permission  bots:write
          at                 name
        ");
    }

    #[test]
    fn a_failure_names_its_causes() {
        let error = CliError::Read {
            path: "key.txt".into(),
            source: io::Error::other("no disk"),
        };

        assert_eq!(error_text(&error), "error: cannot read key.txt: no disk\n");
    }
}
