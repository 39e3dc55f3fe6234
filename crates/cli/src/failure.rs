//! How a command ends badly: `error:`, then `hint:`.

use std::{error::Error, fmt};

/// What went wrong. Only what to do about it makes a [`Failure`] of it: no command ends without
/// saying so.
#[derive(Debug)]
#[must_use]
pub(crate) struct Problem(String);

impl Problem {
    /// Says what to do.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Failure {
        Failure {
            message: self.0,
            hint: hint.into(),
        }
    }
}

/// What went wrong and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: String,
}

impl Failure {
    /// A problem that is described by `message`, in lower case and without a full stop.
    #[expect(clippy::new_ret_no_self, reason = "a failure also says what to do")]
    pub(crate) fn new(message: impl Into<String>) -> Problem {
        Problem(message.into())
    }

    /// What went wrong.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Says what else is to be known.
    pub(crate) fn also(mut self, hint: &str) -> Self {
        self.hint.push_str("; ");
        self.hint.push_str(hint);
        self
    }

    /// A failure for everything that is wrong with a configuration.
    pub(crate) fn from_faults(faults: &[impl fmt::Display]) -> Self {
        let count = faults.len();
        let message = format!("the configuration has {count} fault(s)");
        let message = faults.iter().fold(message, |message, fault| {
            message + "\n  - " + &fault.to_string()
        });
        Self::new(message).hint("docs/configuration.md lists every key and variable")
    }

    /// A problem with everything that an error and its sources say.
    pub(crate) fn from_error(context: &str, error: &dyn Error) -> Problem {
        Self::new(chain(context, error))
    }
}

/// Everything that an error and its sources say.
pub(crate) fn chain(context: &str, error: &dyn Error) -> String {
    let mut message = format!("{context}: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        // Some errors repeat their source's words.
        if !message.ends_with(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        source = error.source();
    }
    message
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}\nhint: {}", self.message, self.hint)
    }
}

impl Error for Failure {}

impl From<crate::config::Faults> for Failure {
    fn from(faults: crate::config::Faults) -> Self {
        Self::from_faults(&faults.0)
    }
}
