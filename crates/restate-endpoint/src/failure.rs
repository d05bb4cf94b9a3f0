//! Why a handler stops before its end, and what Restate makes of it.

use restate_sdk_shared_core::{Error, TerminalFailure};

/// The end of an invocation that nobody retries: an answer, if not a good one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// An HTTP status.
    pub code: u16,
    /// For the caller.
    pub message: String,
}

impl Terminal {
    /// Such an end.
    #[must_use]
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<TerminalFailure> for Terminal {
    fn from(failure: TerminalFailure) -> Self {
        Self { code: failure.code, message: failure.message }
    }
}

impl From<Terminal> for TerminalFailure {
    fn from(end: Terminal) -> Self {
        Self { code: end.code, message: end.message, metadata: Vec::new() }
    }
}

/// Why a handler does not continue. If a handler returns one of these with `?`, its variant says what becomes of the invocation:
#[derive(Debug)]
pub enum Stop {
    /// It has ended, like this.
    Terminal(Terminal),
    /// It is tried again, by the service's retry policy, from its journal. The text is for operators.
    Retry(String),
    /// An operator or its caller has cancelled it. If the handler returns this, the invocation ends with status 409. A handler that
    /// catches this can put things back first.
    Cancelled,
    /// It is called again when what it waits for has come. Never to be caught.
    Suspended,
    /// The journal does not fit, or the protocol was broken: Restate was told already. Never to be caught.
    Broken,
}

impl Stop {
    /// The code that an invocation ends with that was cancelled or killed.
    pub const CANCELLED: u16 = 409;
}

impl From<Terminal> for Stop {
    fn from(end: Terminal) -> Self {
        Self::Terminal(end)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        if error.is_suspended_error() { Self::Suspended } else { Self::Broken }
    }
}

/// How work ended that was to be recorded, if not well.
#[derive(Debug)]
pub enum Failure {
    /// This is recorded.
    Terminal(Terminal),
    /// Nothing is recorded, and the work is tried again. The text is for operators.
    Retry(String),
}
