//! Lines of the log: one JSON object each, of names and ids that are no secrets. No line has a path, a body or a header in it.

use std::cell::Cell;

use serde::ser::{Serialize, SerializeMap as _, Serializer};

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A person has to look.
    Error,
    /// A person may want to look.
    Warn,
    /// What happens.
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
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        [Self::Error, Self::Warn, Self::Info, Self::Debug]
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(text))
    }
}

thread_local! {
    static LEVEL: Cell<Level> = const { Cell::new(Level::Info) };
}

/// Has lines of this level written, and of those that matter more.
pub fn write_from(level: Level) {
    LEVEL.set(level);
}

/// Whether lines of this level are written.
#[must_use]
pub fn says(level: Level) -> bool {
    level <= LEVEL.get()
}

/// What a line says beside the message: a name, and its value.
pub type Field = (&'static str, String);

/// A line, as it is written.
struct Line<'a> {
    level: Level,
    message: &'a str,
    fields: &'a [Field],
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("level", self.level.name())?;
        line.serialize_entry("message", self.message)?;
        for (name, value) in self.fields {
            line.serialize_entry(name, value.as_str())?;
        }
        line.end()
    }
}

/// Says a line.
pub fn say(level: Level, message: &str, fields: &[Field]) {
    let line = serde_json::to_string(&Line { level, message, fields }).unwrap_or_default();
    match level {
        Level::Error => worker::console_error!("{}", line),
        Level::Warn => worker::console_warn!("{}", line),
        Level::Info | Level::Debug => worker::console_log!("{}", line),
    }
}

/// Says what something costs, where lines of [`Level::Debug`] are written.
pub fn count(what: &str, field: &'static str, value: impl FnOnce() -> String) {
    if says(Level::Debug) {
        say(Level::Debug, what, &[(field, value())]);
    }
}
