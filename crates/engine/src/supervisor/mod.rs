//! The node's side: keeps one worker alive and gives it one run at a time.
//!
//! A thread owns the worker and decides everything; others read what the worker writes and hand it
//! over. When the worker's output ends, the run under way ends as crashed and another worker is
//! started. Callbacks run on the supervisor's thread: they hand over and return.

mod child;
mod config;
mod history;
mod keeper;
mod run;
mod state;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use image::RgbaImage;
use tryon_core::category::Category;

pub use self::{
    config::{SupervisorConfig, WorkerCommand},
    run::{OnAnswer, OnEnd, OnStep, RunEnd, RunError, RunHandle, Unavailable},
    state::WorkerState,
};
use self::{
    keeper::{Keeper, Message},
    run::{Inquiry, Run},
    state::Shared,
};
use crate::{
    engine::{Description, Request},
    frame::Question,
};

/// Keeps a worker alive. Clones share it.
#[derive(Debug, Clone)]
pub struct Supervisor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    messages: mpsc::Sender<Message>,
    next_id: AtomicU64,
}

impl Supervisor {
    /// Starts the worker's first process and the thread that looks after it.
    pub fn start(config: SupervisorConfig) -> Self {
        let shared = Arc::new(Shared::default());
        let (messages, inbox) = mpsc::channel();
        let keeper = Keeper::new(config, Arc::clone(&shared), messages.clone(), inbox);
        thread::Builder::new()
            .name("supervisor".to_owned())
            .spawn(move || keeper.run())
            .expect("BUG: a thread can be had at start");
        let inner = Inner {
            shared,
            messages,
            next_id: AtomicU64::new(1),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Where the worker is.
    pub fn state(&self) -> WorkerState {
        self.inner.shared.state()
    }

    /// What the engine says it is, once it was loaded for the first time.
    pub fn description(&self) -> Option<Description> {
        self.inner.shared.description()
    }

    /// The worker's process id, while there is one.
    pub fn pid(&self) -> Option<u32> {
        self.inner.shared.pid()
    }

    /// Whether a run is under way.
    pub fn is_busy(&self) -> bool {
        self.inner.shared.is_busy()
    }

    /// Calls `callback` with every new state, from now on.
    pub fn on_change(&self, callback: impl Fn(&WorkerState) + Send + Sync + 'static) {
        self.inner.shared.on_change(Box::new(callback));
    }

    /// Blocks until the worker is ready or has failed, and says which.
    pub fn wait_loaded(&self) -> WorkerState {
        self.inner.shared.wait_loaded()
    }

    /// Starts a run. `on_step` is called at each step, `on_end` exactly once.
    pub fn run(
        &self,
        request: Request,
        on_step: OnStep,
        on_end: OnEnd,
    ) -> Result<RunHandle, Unavailable> {
        self.inner.shared.occupy()?;
        let id = self.next_id();
        let run = Run {
            id,
            request: Box::new(request),
            on_step,
            on_end,
        };
        let sent = self.inner.messages.send(Message::Run(run));
        sent.map_err(|_| shut_down())?;
        Ok(RunHandle::new(id, self.inner.messages.clone()))
    }

    /// Asks what of a photo, upright, a garment of `category` would have masked. It does not wait
    /// for a run, nor a run for it. `on_answer` is called exactly once, or never when the parser
    /// does not come to an end.
    pub fn ask(
        &self,
        photo: RgbaImage,
        category: Category,
        on_answer: OnAnswer,
    ) -> Result<(), Unavailable> {
        self.inner.shared.check_ready()?;
        let question = Question {
            id: self.next_id(),
            category,
            photo,
        };
        let inquiry = Inquiry {
            question,
            on_answer,
        };
        let sent = self.inner.messages.send(Message::Ask(inquiry));
        sent.map_err(|_| shut_down())
    }

    fn next_id(&self) -> u64 {
        self.inner.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Ends the present worker, if any, and starts another at once, also after it was given up.
    pub fn restart(&self) {
        // Without a keeper there is nothing to restart: it was shut down.
        let _ = self.inner.messages.send(Message::Restart);
    }

    /// Ends the worker and waits until it is gone. A run under way ends as crashed.
    pub fn shutdown(&self) {
        let (done, wait) = mpsc::channel();
        if self.inner.messages.send(Message::Shutdown(done)).is_ok() {
            // The keeper drops its end when it is done.
            let _ = wait.recv();
        }
    }
}

fn shut_down() -> Unavailable {
    Unavailable::Failed {
        reason: "the worker was shut down".to_owned(),
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let (done, _) = mpsc::channel();
        let _ = self.messages.send(Message::Shutdown(done));
    }
}
