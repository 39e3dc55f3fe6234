//! How a command ends badly: `error:`, then `hint:`.

use std::{error::Error, fmt};

/// What went wrong and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// A failure that is described by `message`, in lower case and without a full stop.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    /// Says what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
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

    /// A failure with everything that an error and its sources say.
    pub(crate) fn from_error(context: &str, error: &dyn Error) -> Self {
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
        Self::new(message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl Error for Failure {}

impl From<crate::config::Faults> for Failure {
    fn from(faults: crate::config::Faults) -> Self {
        Self::from_faults(&faults.0)
    }
}
