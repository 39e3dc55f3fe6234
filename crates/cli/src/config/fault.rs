//! What is wrong with a configuration.

use std::fmt;

/// Where a value was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The configuration file.
    File(String),
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "`{path}`"),
            Self::Variable(name) => write!(f, "the environment variable `{name}`"),
            Self::Flag => write!(f, "a flag"),
        }
    }
}

/// One thing that is wrong. The value itself is not repeated: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The file is not YAML, or not a mapping.
    NotYaml {
        /// Which file.
        path: String,
        /// What the parser says.
        reason: String,
    },
    /// A key that does not exist.
    UnknownKey {
        /// The key, dotted.
        key: String,
        /// The existing key that looks most like it.
        nearest: Option<String>,
        /// Where it was read.
        origin: Origin,
    },
    /// A value that its key cannot take.
    BadValue {
        /// The key, dotted.
        key: String,
        /// What it can take.
        reason: String,
        /// Where it was read.
        origin: Origin,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYaml { path, reason } => write!(f, "`{path}` cannot be read: {reason}"),
            Self::UnknownKey {
                key,
                nearest: Some(nearest),
                origin,
            } => {
                write!(
                    f,
                    "`{key}` in {origin} is unknown; did you mean `{nearest}`?"
                )
            }
            Self::UnknownKey {
                key,
                nearest: None,
                origin,
            } => {
                write!(f, "`{key}` in {origin} is unknown")
            }
            Self::BadValue {
                key,
                reason,
                origin,
            } => write!(f, "`{key}` from {origin}: {reason}"),
        }
    }
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Faults(pub(crate) Vec<Fault>);
