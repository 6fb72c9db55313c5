//! Small parts of pages.

use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};
use serde_json::Value;

use super::api::Ask;
use super::fields::escape;
use super::page::Failure;
use super::visit::Visit;
use crate::domain::time::Timestamp;

/// The text at a name, or nothing.
pub(super) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The instant at a name.
pub(super) fn instant(value: &Value, name: &str) -> Option<Timestamp> {
    value
        .get(name)
        .and_then(Value::as_i64)
        .map(Timestamp::from_millis)
}

/// Whether it says `true` at a name.
pub(super) fn is(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool) == Some(true)
}

/// The texts at a name; `None` when it is not there.
pub(super) fn texts(value: &Value, name: &str) -> Option<Vec<String>> {
    let list = value.get(name)?.as_array()?;
    let texts = list.iter().map(|one| match one.as_str() {
        Some(text) => text.to_owned(),
        None => one.to_string(),
    });
    Some(texts.collect())
}

/// What people call an account.
pub(super) fn account_name(account: &Value) -> String {
    for name in ["name", "alias", "email", "id"] {
        let found = text(account, name);
        if !found.is_empty() {
            return found.to_owned();
        }
    }
    String::new()
}

/// An instant: how long ago, and exactly.
pub(super) fn time(at: Option<Timestamp>, now: Timestamp) -> Markup {
    let Some(at) = at else {
        return html! { span.faint { "never" } };
    };
    let exact = exact(at);
    html! { time datetime=(exact) title=(exact) { (distance(at, now)) } }
}

/// `2026-01-01 00:00:00 UTC`.
pub(super) fn exact(at: Timestamp) -> String {
    match time::OffsetDateTime::from_unix_timestamp(at.secs_floor()) {
        Ok(at) => format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        ),
        Err(_) => String::from("beyond all calendars"),
    }
}

fn distance(at: Timestamp, now: Timestamp) -> String {
    let secs = now.millis().saturating_sub(at.millis()) / 1000;
    let (size, past) = (secs.abs(), secs >= 0);
    // What was made to live for 15 minutes lives for 15, a moment later, too.
    let rounded = |unit: i64| (size + unit / 2) / unit;
    let amount = match size {
        0..=4 if past => return "just now".to_owned(),
        0..=119 => format!("{size} s"),
        120..=7_199 => format!("{} min", rounded(60)),
        7_200..=172_799 => format!("{} h", rounded(3600)),
        172_800..=63_071_999 => format!("{} days", rounded(86_400)),
        _ => format!("{} years", size / 31_536_000),
    };
    if past {
        format!("{amount} ago")
    } else {
        format!("in {amount}")
    }
}

/// An id, as a link.
pub(super) fn id_link(base: &str, id: &str) -> Markup {
    html! { a.mono.id href=(format!("{base}/{}", escape(id))) title=(id) { (short(id)) } }
}

/// An id.
pub(super) fn id_text(id: &str) -> Markup {
    html! { span.mono.id title=(id) { (short(id)) } }
}

/// The prefix and the last characters of an id, which is where ids differ.
pub(super) fn short(id: &str) -> String {
    let chars: Vec<char> = id.chars().collect();
    let Some(prefix) = id.split_once('_').map(|(prefix, _)| prefix) else {
        return id.to_owned();
    };
    if chars.len() < 20 {
        return id.to_owned();
    }
    let tail: String = chars.iter().skip(chars.len() - 8).collect();
    format!("{prefix}_…{tail}")
}

/// What people call keys, as far as one page of the list tells.
pub(super) struct KeyNames(BTreeMap<String, String>);

impl KeyNames {
    pub(super) async fn read(visit: &Visit<'_>) -> Self {
        if !visit.may("GET", "token/list", Some("tokens")) {
            return Self(BTreeMap::new());
        }
        let page = visit.ask(Ask::get("token/list")).await.unwrap_or_default();
        let items = page.get("items").and_then(Value::as_array);
        let named = items.into_iter().flatten().filter_map(|key| {
            let (id, name) = (text(key, "id"), text(key, "name"));
            (!name.is_empty()).then(|| (id.to_owned(), name.to_owned()))
        });
        Self(named.collect())
    }

    /// The name of a key, else its id, as a link.
    pub(super) fn link(&self, id: &str) -> Markup {
        let Some(name) = self.0.get(id) else {
            return id_link("/ui/keys", id);
        };
        html! { a dir="auto" href=(format!("/ui/keys/{}", escape(id))) title=(id) { (name) } }
    }
}

/// A state as a badge, told by its word and not by its colour alone.
pub(super) fn state(state: &str) -> Markup {
    let class = match state {
        "active" | "delivered" => "good",
        "disabled" | "suspended" | "next" | "retired" | "failing" => "warn",
        "revoked" | "deleted" | "refused" | "failed" => "bad",
        _ => "plain",
    };
    html! { span.badge.(class) { (state) } }
}

/// Texts as small labels; a word in their place when nothing narrows.
pub(super) fn labels(list: Option<&[String]>, not_narrowed: &str) -> Markup {
    html! {
        @match list {
            None => span.faint { (not_narrowed) },
            Some([]) => span.badge.bad { "nothing" },
            Some(list) => ul.labels { @for one in list { li { code { (one) } } } },
        }
    }
}

/// A row of a list of terms.
pub(super) fn term(name: &str, value: &Markup) -> Markup {
    html! { dt { (name) } dd { (value) } }
}

/// A secret that is shown this once, with a button that copies it.
pub(super) fn secret(id: &str, label: &str, secret: &str) -> Markup {
    html! {
        div.secret {
            label for=(id) { (label) }
            div.row {
                input.mono id=(id) type="text" readonly value=(secret) autocomplete="off" spellcheck="false";
                button.copy type="button" data-copy=(id) hidden { "Copy" }
            }
        }
    }
}

/// A field of a form with its label and what helps to fill it.
pub(super) fn field(name: &str, label: &str, help: &str, input: &Markup) -> Markup {
    let help_id = format!("{name}-help");
    html! {
        div.field {
            label for=(name) { (label) }
            (input)
            @if !help.is_empty() { p.help id=(help_id) { (help) } }
        }
    }
}

/// A line of text.
pub(super) fn input(name: &str, value: &str) -> Markup {
    html! { input id=(name) name=(name) type="text" value=(value) autocomplete="off" spellcheck="false"; }
}

/// Lines of text.
pub(super) fn area(name: &str, value: &str, rows: u8, placeholder: &str) -> Markup {
    html! {
        // A line break right behind the tag does not count, so that one that was typed stays.
        textarea.mono id=(name) name=(name) rows=(rows) placeholder=(placeholder) spellcheck="false" {
            (PreEscaped("\n")) (value)
        }
    }
}

/// A choice.
pub(super) fn select(name: &str, chosen: &str, options: &[(&str, &str)]) -> Markup {
    html! {
        select id=(name) name=(name) {
            @for (value, label) in options {
                option value=(value) selected[*value == chosen] { (label) }
            }
        }
    }
}

/// A number that is random enough to name one sending of a form.
pub(super) fn once(visit: &Visit<'_>) -> Result<Markup, Failure> {
    let bytes: [u8; 16] = visit
        .edge
        .app
        .entropy
        .bytes()
        .map_err(crate::app::error::Error::from)?;
    let text = hex(&bytes);
    Ok(html! { input type="hidden" name="_once" value=(text); })
}

/// Bytes as people write them.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Items of a list that a page shows, and where the list goes on.
pub(super) struct Listed {
    pub(super) items: Vec<Value>,
    /// Empty at the end of the list.
    pub(super) cursor: String,
    /// Whether the search stopped before the end of the list.
    pub(super) stopped: bool,
}

/// Rows on a page.
pub(super) const ROWS: usize = 50;
/// Pages of the API that are read for one page of ours, where a search leaves little of them.
const READS_MAX: usize = 10;

/// Reads a list until there are enough items that are wanted.
pub(super) async fn collect(
    visit: &Visit<'_>,
    ask: Ask,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Listed, Failure> {
    let mut listed = Listed {
        items: Vec::new(),
        cursor: visit.query.get("cursor").to_owned(),
        stopped: false,
    };
    for read in 1..=READS_MAX {
        let page = visit
            .ask(ask.clone().with("cursor", &listed.cursor))
            .await?;
        let next = text(&page, "cursor").to_owned();
        let items = page.get("items").and_then(Value::as_array);
        for item in items.into_iter().flatten().filter(|item| wanted(item)) {
            listed.items.push(item.clone());
            if listed.items.len() == ROWS {
                text(item, "id").clone_into(&mut listed.cursor);
                return Ok(listed);
            }
        }
        // A page that is not full is the last one, but where the API filters and reads so much only.
        let full = items.is_some_and(|items| items.len() == 100);
        let more = full || ask.is_filtered();
        listed.cursor = if more { next } else { String::new() };
        if listed.cursor.is_empty() {
            break;
        }
        listed.stopped = read == READS_MAX;
    }
    Ok(listed)
}

/// A link to what follows, with the filters that are set.
pub(super) fn pager(visit: &Visit<'_>, listed: &Listed, path: &str) -> Markup {
    if listed.cursor.is_empty() {
        return html! {};
    }
    let mut href = format!("{path}?cursor={}", escape(&listed.cursor));
    for (name, value) in visit.query.iter() {
        if !["cursor", "done", "gone"].contains(&name) && !value.is_empty() {
            href.push('&');
            href.push_str(&escape(name));
            href.push('=');
            href.push_str(&escape(value));
        }
    }
    html! {
        p.pager {
            @if listed.stopped { span.faint { "A thousand entries were searched. " } }
            a.button href=(href) { "Older" }
        }
    }
}

/// Whether a page shows a part of its list alone.
pub(super) fn is_filtered(visit: &Visit<'_>) -> bool {
    visit
        .query
        .iter()
        .any(|(name, value)| !["done", "gone"].contains(&name) && !value.is_empty())
}

/// Whether one of these fields has the text that is searched, whatever its case.
pub(super) fn has_text(item: &Value, fields: &[&str], searched: &str) -> bool {
    let searched = searched.to_lowercase();
    searched.is_empty()
        || fields
            .iter()
            .any(|field| text(item, field).to_lowercase().contains(&searched))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_told_from_now() {
        let now = Timestamp::from_secs(1_767_225_600);
        for (secs, told) in [
            (0, "just now"),
            (30, "30 s ago"),
            (600, "10 min ago"),
            (-600, "in 10 min"),
            (-899, "in 15 min"),
            (7200, "2 h ago"),
            (864_000, "10 days ago"),
            (-864_000_000, "in 27 years"),
        ] {
            assert_eq!(distance(now.plus_secs(-secs), now), told);
        }
        assert_eq!(exact(now), "2026-01-01 00:00:00Z");
        assert_eq!(
            exact(Timestamp::from_millis(i64::MAX)),
            "beyond all calendars"
        );
    }

    #[test]
    fn ids_are_shortened_in_their_middle() {
        assert_eq!(short("key_01kdy02105hd99fdtgj8yepfzx"), "key_…j8yepfzx");
        assert_eq!(short("imported"), "imported");
        assert_eq!(short("ü_üüüüüüüüüüüüüüüüüüüüüü"), "ü_…üüüüüüüü");
    }
}
