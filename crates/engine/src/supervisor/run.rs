//! One run, or one question, as its caller sees it.

use std::{sync::mpsc, time::Duration};

use super::keeper::Message;
use crate::{
    engine::{Masked, Output, Refusal, Request, Step},
    frame::{Question, Stop},
    stage::StageTime,
};

/// Called at each step of a run.
pub type OnStep = Box<dyn FnMut(Step) + Send>;

/// Called when a run has ended.
pub type OnEnd = Box<dyn FnOnce(RunEnd) + Send>;

/// How a run ended.
#[derive(Debug)]
pub struct RunEnd {
    /// The picture, or why there is none.
    pub result: Result<Output, RunError>,
    /// The stages that it had, in order, also of a run that was stopped. None where the worker died.
    pub stages: Vec<StageTime>,
}

/// Called when a question was answered.
pub type OnAnswer = Box<dyn FnOnce(Result<Option<Masked>, RunError>) + Send>;

/// Why a run was not started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The engine is being loaded.
    #[error("the engine is being loaded")]
    Loading,
    /// Another run is under way.
    #[error("another run is under way")]
    Busy,
    /// The worker was given up.
    #[error("the engine was given up: {reason}")]
    Failed {
        /// The last words of the worker.
        reason: String,
    },
}

/// Why a run ended without a picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The request cannot be served; another attempt would end the same way.
    #[error("{message}")]
    Refused {
        /// The kind.
        refusal: Refusal,
        /// A sentence for the client.
        message: String,
    },
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The device has too little memory for it.
    #[error("out of memory: {needed}")]
    OutOfMemory {
        /// What could not be had.
        needed: String,
    },
    /// The worker died.
    #[error("the engine crashed: {reason}")]
    Crashed {
        /// How, and its last words.
        reason: String,
    },
    /// It took too long; the worker was ended.
    #[error("no result after {} s", after.as_secs())]
    TimedOut {
        /// How long it was given.
        after: Duration,
    },
}

impl From<Stop> for RunError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Refused { refusal, message } => Self::Refused { refusal, message },
            Stop::Cancelled => Self::Cancelled,
            Stop::OutOfMemory { needed } => Self::OutOfMemory { needed },
            Stop::Fault { reason } => Self::Crashed { reason },
        }
    }
}

/// A run to be started.
pub(super) struct Run {
    pub(super) id: u64,
    pub(super) request: Box<Request>,
    pub(super) on_step: OnStep,
    pub(super) on_end: OnEnd,
}

/// A question to be asked.
pub(super) struct Inquiry {
    pub(super) question: Question,
    pub(super) on_answer: OnAnswer,
}

/// A run under way.
#[derive(Debug, Clone)]
pub struct RunHandle {
    id: u64,
    messages: mpsc::Sender<Message>,
}

impl RunHandle {
    pub(super) fn new(id: u64, messages: mpsc::Sender<Message>) -> Self {
        Self { id, messages }
    }

    /// Stops the run at its next step boundary, if it has not ended by then.
    pub fn cancel(&self) {
        // Without a keeper there is no run any more.
        let _ = self.messages.send(Message::Cancel(self.id));
    }
}
