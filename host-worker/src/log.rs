//! Lines of the log: one JSON object each, of names and ids that are no secrets. No path, no body, no header is told.

use serde_json::{Map, Value};

use crate::settings::Settings;

/// How much it matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// A person has to look.
    Error,
    /// A person may want to look.
    Warn,
    /// What goes on.
    Info,
    /// What it costs: each request to an object, each alarm, each transaction.
    Debug,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
        }
    }

    /// Reads a level's name; `None` is none.
    pub(crate) fn read(text: &str) -> Option<Self> {
        [Self::Error, Self::Warn, Self::Info, Self::Debug]
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(text))
    }
}

/// Says a line.
pub(crate) fn say(level: Level, message: &str, fields: impl IntoIterator<Item = (&'static str, String)>) {
    let about = [("level", level.name().to_owned()), ("message", message.to_owned())];
    let line: Map<String, Value> =
        about.into_iter().chain(fields).map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
    let line = Value::Object(line).to_string();
    match level {
        Level::Error => worker::console_error!("{}", line),
        Level::Warn => worker::console_warn!("{}", line),
        Level::Info | Level::Debug => worker::console_log!("{}", line),
    }
}

/// Says what something costs, where somebody counts.
pub(crate) fn count(what: &str, field: &'static str, value: impl FnOnce() -> String) {
    if Settings::count() {
        say(Level::Debug, what, [(field, value())]);
    }
}
