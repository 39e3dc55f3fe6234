//! The life of jobs and samples.
//!
//! A job moves `accepted → prepared → running → completed | failed`, its samples
//! `queued → dispatched → running → succeeded | failed`, and back to `queued` when an attempt is
//! lost. A terminal state is never left.

use crate::error::JobError;

macro_rules! state {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
        }

        impl $name {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name in the store.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The state of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|state| state.as_str() == name)
            }
        }
    };
}

state! {
    /// Where a job is.
    JobState {
        /// Charged and queued; its inputs are not fetched yet.
        Accepted = "accepted",
        /// Its inputs are ready; its samples may be dispatched.
        Prepared = "prepared",
        /// At least one sample was dispatched.
        Running = "running",
        /// At least one image was delivered.
        Completed = "completed",
        /// No image was delivered.
        Failed = "failed",
    }
}

impl JobState {
    /// Whether the job has ended.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

state! {
    /// Where a sample is.
    SampleState {
        /// Waits for its job's inputs, or for a node.
        Queued = "queued",
        /// A node was chosen; its answer is not known yet.
        Dispatched = "dispatched",
        /// A node accepted it.
        Running = "running",
        /// Its image is stored.
        Succeeded = "succeeded",
        /// It ended without an image.
        Failed = "failed",
    }
}

impl SampleState {
    /// Whether the sample has ended.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// With this many images.
    Completed {
        /// Images delivered, at least one.
        delivered: u32,
    },
    /// Without an image.
    Failed(JobError),
}

impl JobEnd {
    /// How a job ends whose samples ended so; `None` while one of them has not.
    ///
    /// A job with at least one image is completed, and charged for what it delivered. Without any
    /// image it fails with the error of its first sample.
    pub fn of_samples<'a>(
        samples: impl IntoIterator<Item = (SampleState, Option<&'a JobError>)>,
    ) -> Option<Self> {
        let mut delivered = 0;
        let mut first_error = None;
        for (state, error) in samples {
            match state {
                SampleState::Succeeded => delivered += 1,
                SampleState::Failed => first_error = first_error.or(error),
                _ => return None,
            }
        }
        match (delivered, first_error) {
            (0, Some(error)) => Some(Self::Failed(error.clone())),
            (0, None) => None,
            _ => Some(Self::Completed { delivered }),
        }
    }

    /// Images delivered.
    pub const fn delivered(&self) -> u32 {
        match self {
            Self::Completed { delivered } => *delivered,
            Self::Failed(_) => 0,
        }
    }

    /// The job's last state.
    pub const fn state(&self) -> JobState {
        match self {
            Self::Completed { .. } => JobState::Completed,
            Self::Failed(_) => JobState::Failed,
        }
    }
}
