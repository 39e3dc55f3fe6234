//! What an account may do per unit of time, and at once.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A group of routes that share one allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateClass {
    /// Every submission.
    Tryon,
    /// Reading a job's status.
    Status,
    /// Reading the credits.
    Credits,
}

impl RateClass {
    /// Its name in a shared counter's keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tryon => "tryon",
            Self::Status => "status",
            Self::Credits => "credits",
        }
    }
}

/// An account's limits. Requests are counted per window of [`Limits::WINDOW_SECS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Submissions per window.
    pub tryon_per_minute: u32,
    /// Status requests per window.
    pub status_per_minute: u32,
    /// Credit requests per window.
    pub credits_per_minute: u32,
    /// Jobs that may be under way at the same time.
    pub concurrent_jobs: u32,
}

impl Limits {
    /// The length of the window that requests are counted in.
    pub const WINDOW_SECS: u64 = 60;

    /// Requests of this class that are allowed per window.
    pub const fn per_window(&self, class: RateClass) -> u32 {
        match class {
            RateClass::Tryon => self.tryon_per_minute,
            RateClass::Status => self.status_per_minute,
            RateClass::Credits => self.credits_per_minute,
        }
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "per minute: tryon {}, status {}, credits {}; jobs {}",
            self.tryon_per_minute,
            self.status_per_minute,
            self.credits_per_minute,
            self.concurrent_jobs
        )
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tryon_per_minute: 20,
            status_per_minute: 300,
            credits_per_minute: 300,
            concurrent_jobs: 6,
        }
    }
}
