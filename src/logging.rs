//! Log lines: to standard error, as text for people or as JSON for machines.

mod lines;
mod text;

use std::io::IsTerminal as _;
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use lines::Tended;

use crate::clock::SystemClock;
use crate::settings::LogFormat;
use lines::Lines;

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not one. Settings refuse it earlier.
    #[error("the log filter cannot be read")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// The process logs already.
    #[error("logging has begun already")]
    Begun(#[source] tracing_subscriber::util::TryInitError),
    /// There is no thread for lines that wait.
    #[error("the log needs a thread of its own, and none can be had")]
    Thread(#[source] std::io::Error),
}

/// Begins to log to standard error. Standard output belongs to the answers of commands, such as
/// the first key. Lines may wait for a moment as long as what is returned is kept.
///
/// # Errors
/// [`LoggingError`].
pub fn init(filter: &str, format: LogFormat) -> Result<Tended, LoggingError> {
    let colours = std::io::stderr().is_terminal();
    let lines = Lines::to(std::io::stderr(), Arc::new(SystemClock::new()));
    let subscriber = subscriber(filter, format, colours, lines.clone())?;
    let tended = lines.tend().map_err(LoggingError::Thread)?;
    subscriber.try_init().map_err(LoggingError::Begun)?;
    lines.leave_before_panics();
    Ok(tended)
}

/// Libraries that log what travels, which is secret, in their finer levels. No filter of the
/// settings brings those back.
const NEVER_BELOW: [&str; 4] = ["h2=info", "hyper=info", "hyper_util=info", "rustls=info"];

fn subscriber<W>(
    filter: &str,
    format: LogFormat,
    colours: bool,
    writer: W,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let mut filter = EnvFilter::builder()
        .parse(filter)
        .map_err(LoggingError::Filter)?;
    for directive in NEVER_BELOW {
        filter = filter.add_directive(directive.parse().map_err(LoggingError::Filter)?);
    }
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_span_events(FmtSpan::NONE)
        .with_timer(text::Time);
    Ok(match format {
        LogFormat::Text => Box::new(lines.fmt_fields(text::Fields).with_ansi(colours).finish()),
        LogFormat::Json => Box::new(lines.json().flatten_event(true).finish()),
    })
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use super::*;

    /// What was logged.
    #[derive(Clone, Default)]
    pub(super) struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        pub(super) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, format: LogFormat) -> String {
        let lines = Kept::default();
        let writer = lines.clone();
        let subscriber = subscriber(filter, format, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(code = "X", "request refused");
            tracing::debug!("a detail");
        });
        lines.text()
    }

    #[test]
    fn a_line_has_its_message_and_its_fields() {
        let text = logged("info", LogFormat::Text);

        assert!(text.contains("request refused code=\"X\""), "{text}");
        assert!(!text.contains("a detail"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn as_json_a_line_is_one_object() {
        let text = logged("debug", LogFormat::Json);

        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["message"], "request refused");
        assert_eq!(lines[0]["code"], "X");
        assert_eq!(lines[0]["level"], "INFO");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_an_error() {
        let refused = subscriber("info,=", LogFormat::Text, false, io::sink);

        assert!(matches!(refused, Err(LoggingError::Filter(_))));
    }
}
