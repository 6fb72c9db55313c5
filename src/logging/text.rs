//! The time of a line and the fields of a line of text, as the library writes them and in fewer steps: every
//! request writes one.

use std::cell::RefCell;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::{RecordFields, VisitOutput as _};
use tracing_subscriber::fmt::format::{DefaultFields, DefaultVisitor, FormatFields, Writer};
use tracing_subscriber::fmt::time::{self as library, FormatTime};

/// The time in UTC, as the library writes it, which is asked once a second.
#[derive(Debug)]
pub(super) struct Time;

#[derive(Default)]
struct Second {
    /// Since 1970; nothing when its text is not known.
    secs: Option<u64>,
    /// The date and the time, without what is less than a second.
    text: String,
}

thread_local! {
    static SECOND: RefCell<Second> = RefCell::default();
}

impl FormatTime for Time {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        SECOND.with_borrow_mut(|second| second.write(writer, now))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "it says when a line was written and decides nothing"
)]
fn now() -> Option<Duration> {
    // A clock that was never set is left to the library.
    SystemTime::now().duration_since(UNIX_EPOCH).ok()
}

impl Second {
    fn write(
        &mut self,
        writer: &mut Writer<'_>,
        now: impl Fn() -> Option<Duration>,
    ) -> fmt::Result {
        const SECS_LEN: usize = "2026-01-01T00:00:00".len();

        let since = now();
        let secs = since.map(|since| since.as_secs());
        if let Some(since) = since
            && secs == self.secs
        {
            writer.write_str(&self.text)?;
            return write!(writer, ".{:06}Z", since.subsec_micros());
        }
        self.secs = None;
        self.text.clear();
        library::SystemTime.format_time(&mut Writer::new(&mut self.text))?;
        writer.write_str(&self.text)?;
        // Unless the library was asked in the next one, this is the text of the second.
        if now().map(|since| since.as_secs()) == secs {
            self.secs = secs;
            self.text.truncate(SECS_LEN);
        }
        Ok(())
    }
}

/// The fields of a line, as [`DefaultFields`] writes them.
#[derive(Debug)]
pub(super) struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        // Somebody sits before it and reads along.
        if writer.has_ansi_escapes() {
            return DefaultFields::new().format_fields(writer, fields);
        }
        let mut line = Line {
            writer,
            is_empty: true,
            result: Ok(()),
        };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'w> {
    writer: Writer<'w>,
    is_empty: bool,
    result: fmt::Result,
}

impl Line<'_> {
    fn write(
        &mut self,
        field: &Field,
        value: impl FnOnce(&mut Writer<'_>) -> fmt::Result,
    ) -> fmt::Result {
        if !self.is_empty {
            self.writer.write_char(' ')?;
        }
        self.is_empty = false;
        let name = field.name();
        self.writer
            .write_str(name.strip_prefix("r#").unwrap_or(name))?;
        self.writer.write_char('=')?;
        value(&mut self.writer)
    }

    fn with(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.result.is_ok() {
            self.result = self.write(field, value);
        }
    }

    /// As the library writes it, which escapes what would steer a terminal.
    fn with_library(&mut self, record: impl FnOnce(&mut DefaultVisitor<'_>)) {
        if self.result.is_ok() {
            let mut library = DefaultVisitor::new(self.writer.by_ref(), self.is_empty);
            record(&mut library);
            self.result = library.finish();
            self.is_empty = false;
        }
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        // What stands there as it is. Anything else is escaped.
        let plain = |byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if field.name() == MESSAGE {
            self.with_library(|library| library.record_str(field, value));
        } else if value.bytes().all(plain) {
            self.with(field, |writer| {
                writer.write_char('"')?;
                writer.write_str(value)?;
                writer.write_char('"')
            });
        } else {
            self.with(field, |writer| write!(writer, "{value:?}"));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.with_library(|library| library.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == MESSAGE {
            self.with_library(|library| library.record_debug(field, value));
        } else {
            self.with(field, |writer| write!(writer, "{value:?}"));
        }
    }
}

const MESSAGE: &str = "message";

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::logging::tests::Kept;

    /// Events of all kinds, with what comes from outside and would like to be more than a value.
    fn tell() {
        let hostile = "a \"b\" \\ 'c'\n2026-01-01 INFO forged\u{1b}[2J\u{7f}\u{9b}\u{200f}é";
        let cause = io::Error::other("disk\u{1b}[2J");
        let error = crate::app::error::Error::Internal(cause.into());
        let error: &dyn std::error::Error = &error;
        let none: Option<&str> = None;
        tracing::info!(request.id = %"req_1", method = "GET", route = "a/{b}", status = 200_u16, code = none, "done");
        tracing::info!(
            code = Some("X"),
            duration_ms = 5_u64,
            below = -3_i64,
            half = 0.5,
            yes = true
        );
        tracing::warn!(error, "a task failed");
        tracing::info!(%hostile, text = hostile, debug = ?hostile, empty = "", quote = "it's");
        for character in hostile
            .chars()
            .chain(['\0', '\t', '\r', '~', '\u{80}', '\u{a0}'])
        {
            let text = format!("a{character}b");
            tracing::info!(text = text.as_str());
        }
        tracing::info!("message {hostile}");
        tracing::info!(r#type = "t", message = "as a field");
        tracing::info!(error, bytes = &b"ab\n"[..], big = u128::MAX, "error first");
    }

    #[test]
    fn fields_are_written_as_the_library_writes_them() {
        for colours in [false, true] {
            let (ours, theirs) = (Kept::default(), Kept::default());
            let lines = || tracing_subscriber::fmt().without_time().with_ansi(colours);
            let out = ours.clone();
            let subscriber = lines().fmt_fields(Fields).with_writer(move || out.clone());
            tracing::subscriber::with_default(subscriber.finish(), tell);
            let out = theirs.clone();
            let subscriber = lines().with_writer(move || out.clone());
            tracing::subscriber::with_default(subscriber.finish(), tell);

            let (ours, theirs) = (ours.text(), theirs.text());
            assert!(ours.contains("duration_ms") && ours.contains("forged"));
            assert_eq!(ours, theirs, "colours: {colours}");
        }
    }

    fn written(second: &mut Second, now: impl Fn() -> Option<Duration>) -> String {
        let mut text = String::new();
        second.write(&mut Writer::new(&mut text), now).unwrap();
        text
    }

    #[test]
    fn the_time_is_what_the_library_says_for_all_of_a_second() {
        let at = now().unwrap();
        let mut second = Second::default();
        let first = written(&mut second, || Some(at));
        let later = written(&mut second, || Some(Duration::new(at.as_secs(), 70_999)));

        assert_eq!(first.len(), "2026-01-01T00:00:00.000000Z".len());
        assert_eq!(later, first.get(..19).unwrap().to_owned() + ".000070Z");

        // Of the next second nothing is known.
        second.text = "another".to_owned();
        let next = written(&mut second, || Some(at + Duration::from_secs(1)));
        assert!(next.starts_with("20"), "{next}");
    }

    #[test]
    fn a_second_that_ends_meanwhile_is_not_kept() {
        let seconds = std::cell::Cell::new(10);
        let tick = || Some(Duration::from_secs(seconds.replace(seconds.get() + 1)));
        let mut second = Second::default();
        written(&mut second, tick);

        assert_eq!(second.secs, None);
    }

    #[test]
    fn a_clock_that_was_never_set_is_left_to_the_library() {
        let mut second = Second::default();
        for _ in 0..2 {
            let text = written(&mut second, || None);
            assert!(text.starts_with("20") && text.ends_with('Z'), "{text}");
            assert_eq!(text.len(), "2026-01-01T00:00:00.000000Z".len());
        }
        let text = written(&mut second, || Some(Duration::ZERO));
        assert!(text.starts_with("20"), "{text}");
    }
}
