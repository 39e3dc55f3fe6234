//! The supervisor's thread.

use std::{
    collections::VecDeque,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use super::{
    child::Worker,
    config::SupervisorConfig,
    run::{OnEnd, OnStep, Run, RunError},
    state::{Shared, WorkerState},
};
use crate::{
    engine::Output,
    frame::{Report, Stop},
};

/// What the supervisor's thread is told.
pub(super) enum Message {
    Run(Run),
    Cancel(u64),
    Restart,
    /// End, and drop this when done.
    Shutdown(mpsc::Sender<()>),
    /// From the worker of this generation; those of earlier ones are history.
    Worker(u64, Event),
}

/// What a worker does.
pub(super) enum Event {
    Report(Report),
    /// Its output ended: it is dead, or as good as dead.
    Ended,
}

/// The run under way.
struct Current {
    id: u64,
    on_step: OnStep,
    on_end: OnEnd,
}

/// Why the worker's next end is no surprise.
enum Sentence {
    TimedOut(Duration),
    LoadTimedOut(Duration),
}

/// Owns the worker.
pub(super) struct Keeper {
    config: SupervisorConfig,
    shared: Arc<Shared>,
    messages: mpsc::Sender<Message>,
    inbox: mpsc::Receiver<Message>,
    worker: Option<Worker>,
    generation: u64,
    current: Option<Current>,
    sentence: Option<Sentence>,
    /// What the worker said of its end, before it came.
    confession: Option<String>,
    /// When the worker is ended, or, while there is none, the next one started.
    alarm: Option<Instant>,
    /// When workers ended lately.
    crashes: VecDeque<Instant>,
    /// How many ended since a run went well.
    failures: usize,
    /// Whether the worker was given up since a run went well: the next end gives it up again.
    given_up: bool,
    back_off: Duration,
}

impl Keeper {
    pub(super) fn new(
        config: SupervisorConfig,
        shared: Arc<Shared>,
        messages: mpsc::Sender<Message>,
        inbox: mpsc::Receiver<Message>,
    ) -> Self {
        let back_off = config.back_off;
        Self {
            config,
            shared,
            messages,
            inbox,
            worker: None,
            generation: 0,
            current: None,
            sentence: None,
            confession: None,
            alarm: None,
            crashes: VecDeque::new(),
            failures: 0,
            given_up: false,
            back_off,
        }
    }

    pub(super) fn run(mut self) {
        self.spawn();
        loop {
            match self.next_message() {
                Some(Message::Run(run)) => self.start_run(run),
                Some(Message::Cancel(id)) => self.cancel(id),
                Some(Message::Restart) => self.restart(),
                Some(Message::Worker(generation, event)) if generation == self.generation => {
                    self.on_event(event);
                }
                Some(Message::Worker(..)) => {}
                Some(Message::Shutdown(_done)) => return self.shut_down(),
                None => self.on_alarm(),
            }
        }
    }

    /// The next message; `None` when the alarm went first.
    fn next_message(&self) -> Option<Message> {
        let closed = "BUG: the keeper holds a sender itself";
        let Some(alarm) = self.alarm else {
            return Some(self.inbox.recv().expect(closed));
        };
        self.inbox
            .recv_timeout(alarm.saturating_duration_since(Instant::now()))
            .ok()
    }

    fn spawn(&mut self) {
        self.generation += 1;
        self.shared.set_state(&WorkerState::Loading);
        match Worker::spawn(&self.config.command, self.generation, self.messages.clone()) {
            Ok(worker) => {
                self.shared.set_pid(Some(worker.pid()));
                self.worker = Some(worker);
                self.alarm = Some(Instant::now() + self.config.load_timeout);
            }
            Err(error) => {
                let program = self.config.command.program.display();
                self.on_crash(format!("`{program}` cannot be started: {error}"), false);
            }
        }
    }

    fn start_run(&mut self, run: Run) {
        let Run {
            id,
            request,
            on_step,
            on_end,
        } = run;
        self.current = Some(Current {
            id,
            on_step,
            on_end,
        });
        match &self.worker {
            Some(worker) => {
                worker.run(id, request);
                self.alarm = Some(Instant::now() + self.config.job_timeout);
            }
            // It died after the caller was let in.
            None => self.end_run(Err(RunError::Crashed {
                reason: "the worker is gone".into(),
            })),
        }
    }

    fn cancel(&mut self, id: u64) {
        let is_current = self
            .current
            .as_ref()
            .is_some_and(|current| current.id == id);
        if let Some(worker) = self.worker.as_ref().filter(|_| is_current) {
            worker.cancel(id);
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Report(Report::Ready(description)) => {
                self.alarm = None;
                self.shared.set_description(description);
                self.shared.set_state(&WorkerState::Ready);
            }
            Event::Report(Report::Stepped(id, step)) => {
                if let Some(current) = self.current.as_mut().filter(|current| current.id == id) {
                    (current.on_step)(step);
                }
            }
            Event::Report(Report::Finished(id, output)) => self.finish_run(id, Ok(output)),
            // The worker ends after either; its output ends next.
            Event::Report(
                Report::LoadFailed(reason) | Report::Stopped(_, Stop::Fault { reason }),
            ) => self.confession = Some(reason),
            Event::Report(Report::Stopped(id, stop)) => self.finish_run(id, Err(stop.into())),
            Event::Ended => self.on_end(),
        }
    }

    fn finish_run(&mut self, id: u64, result: Result<Output, RunError>) {
        if self
            .current
            .as_ref()
            .is_some_and(|current| current.id == id)
        {
            self.alarm = None;
            if result.is_ok() {
                // Crashes stay counted: ten in a minute are ten, whatever went well between them.
                self.failures = 0;
                self.given_up = false;
                self.back_off = self.config.back_off;
            }
            self.end_run(result);
        }
    }

    /// Frees the worker, then tells the caller, who may start the next run at once.
    fn end_run(&mut self, result: Result<Output, RunError>) {
        self.shared.vacate();
        if let Some(current) = self.current.take() {
            (current.on_end)(result);
        }
    }

    fn on_alarm(&mut self) {
        self.alarm = None;
        match &mut self.worker {
            None => self.spawn(),
            Some(worker) => {
                self.sentence = Some(match self.current {
                    Some(_) => Sentence::TimedOut(self.config.job_timeout),
                    None => Sentence::LoadTimedOut(self.config.load_timeout),
                });
                worker.kill();
            }
        }
    }

    fn on_end(&mut self) {
        let Some(mut worker) = self.worker.take() else {
            return;
        };
        // A worker that closed its output is of no use, whether it is dead or not.
        worker.kill();
        self.shared.set_pid(None);
        // No other run may be let in while this one's end is told.
        self.shared.set_state(&WorkerState::Loading);
        let epitaph = worker.epitaph();
        let epitaph = self.confession.take().unwrap_or(epitaph);
        let hopeless = matches!(self.sentence, Some(Sentence::LoadTimedOut(_)));
        let (reason, error) = match self.sentence.take() {
            None => (epitaph.clone(), RunError::Crashed { reason: epitaph }),
            Some(Sentence::TimedOut(after)) => {
                let reason = format!("a run took longer than {} s", after.as_secs());
                (reason, RunError::TimedOut { after })
            }
            Some(Sentence::LoadTimedOut(after)) => {
                let reason = format!("loading took longer than {} s", after.as_secs());
                (reason.clone(), RunError::Crashed { reason })
            }
        };
        self.end_run(Err(error));
        self.on_crash(reason, hopeless);
    }

    /// The worker ended. It is started again at once, unless it ended too often: in a short time,
    /// or in a row without a run that went well, or once after it had been given up. A load that
    /// hung until its time was over is not tried again at once either.
    fn on_crash(&mut self, reason: String, hopeless: bool) {
        tracing::warn!(reason, "the worker ended");
        let now = Instant::now();
        self.crashes.push_back(now);
        let window = self.config.crash_window;
        self.crashes
            .retain(|crash| now.duration_since(*crash) < window);
        self.failures += 1;
        let limit = self.config.crash_limit;
        let too_often = self.crashes.len() >= limit || self.failures >= limit;
        if !(too_often || self.given_up || hopeless) {
            // Through the alarm, not by a call: a program that cannot be started must not recurse.
            self.alarm = Some(now);
            return;
        }
        self.alarm = Some(now + self.back_off);
        self.back_off = (self.back_off * 2).min(self.config.max_back_off);
        self.given_up = true;
        self.shared.set_state(&WorkerState::Failed { reason });
    }

    fn restart(&mut self) {
        self.crashes.clear();
        self.failures = 0;
        self.given_up = false;
        self.back_off = self.config.back_off;
        match &mut self.worker {
            Some(worker) => worker.kill(),
            None => self.alarm = Some(Instant::now()),
        }
    }

    fn shut_down(mut self) {
        let reason = "the worker was shut down".to_owned();
        self.shared.set_state(&WorkerState::Failed {
            reason: reason.clone(),
        });
        if let Some(mut worker) = self.worker.take() {
            worker.kill();
            worker.epitaph();
        }
        self.shared.set_pid(None);
        self.end_run(Err(RunError::Crashed { reason }));
    }
}
