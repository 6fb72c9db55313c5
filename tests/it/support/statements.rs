//! The texts of the statements that the store really sends, as sqlx tells them to `tracing`.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

static SENT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
static LISTENING: OnceLock<()> = OnceLock::new();

struct Recorder;

#[derive(Default)]
struct Text {
    summary: String,
    statement: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.trim().clone_into(&mut self.statement),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        // A short statement is its own summary.
        let sent = if text.statement.is_empty() {
            text.summary
        } else {
            text.statement
        };
        SENT.lock().unwrap().insert(sent);
    }
}

/// Listens from now on, in the whole process.
pub(crate) fn listen() {
    LISTENING.get_or_init(|| {
        let ours = Targets::new().with_target("sqlx::query", Level::DEBUG);
        let subscriber = tracing_subscriber::registry().with(Recorder.with_filter(ours));
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// All that were sent since, by whatever test.
pub(crate) fn sent() -> BTreeSet<String> {
    SENT.lock().unwrap().clone()
}
