//! The supervisor's thread.

use std::{
    collections::HashMap,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use super::{
    child::Worker,
    config::SupervisorConfig,
    history::{History, Phase, Verdict},
    run::{Inquiry, OnAnswer, OnEnd, OnStep, Run, RunEnd, RunError},
    state::{Shared, WorkerState},
};
use crate::{
    engine::Description,
    frame::{Report, Stop},
};

/// How long a worker that was killed or died is given to close its output, and then to say its
/// last words: both together are well below the second in which a job's end is told.
const LAST_MOMENTS: Duration = Duration::from_millis(300);

/// How long a shutdown waits for a worker that was killed: freeing a device's memory takes a while.
const BURIAL: Duration = Duration::from_secs(10);

/// Why nothing can be asked of a worker that died or was told to go.
const GONE: &str = "the worker is gone";

/// What the supervisor's thread is told.
pub(super) enum Message {
    Run(Run),
    Cancel(u64),
    Ask(Inquiry),
    Restart,
    /// End, and drop this when done.
    Shutdown(mpsc::Sender<()>),
    /// From the worker of this generation; those of earlier ones are history.
    Worker(u64, Event),
}

/// What a worker does.
pub(super) enum Event {
    Report(Report),
    /// Its process ended; what it reported before may still be in its output.
    Died,
    /// Its output ended: it is dead, or as good as dead.
    Ended,
}

/// The run under way.
struct Current {
    id: u64,
    on_step: OnStep,
    on_end: OnEnd,
}

/// Why the worker is about to be gone. From then on nothing is begun with it.
enum Sentence {
    TimedOut(Duration),
    LoadTimedOut(Duration),
    /// It was told to go.
    Dismissed,
    /// It died by itself.
    Dead,
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
    /// Who asked the worker what.
    questions: HashMap<u64, OnAnswer>,
    sentence: Option<Sentence>,
    /// What the worker said of its end, before it came.
    confession: Option<String>,
    /// Whether its engine was loaded.
    loaded: bool,
    /// When the worker is ended, or, once it is sentenced, no longer waited for, or, while there
    /// is none, the next one started.
    alarm: Option<Instant>,
    history: History,
}

impl Keeper {
    pub(super) fn new(
        config: SupervisorConfig,
        shared: Arc<Shared>,
        messages: mpsc::Sender<Message>,
        inbox: mpsc::Receiver<Message>,
    ) -> Self {
        let history = History::new(&config);
        Self {
            config,
            shared,
            messages,
            inbox,
            worker: None,
            generation: 0,
            current: None,
            questions: HashMap::new(),
            sentence: None,
            confession: None,
            loaded: false,
            alarm: None,
            history,
        }
    }

    pub(super) fn run(mut self) {
        self.spawn();
        loop {
            match self.next_message() {
                Some(Message::Run(run)) => self.start_run(run),
                Some(Message::Cancel(id)) => self.cancel(id),
                Some(Message::Ask(inquiry)) => self.ask(inquiry),
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
        self.loaded = false;
        self.shared.set_state(&WorkerState::Loading);
        match Worker::spawn(&self.config.command, self.generation, self.messages.clone()) {
            Ok(worker) => {
                self.shared.set_pid(Some(worker.pid()));
                self.worker = Some(worker);
                self.alarm = Some(Instant::now() + self.config.load_timeout);
            }
            Err(error) => {
                let program = self.config.command.program.display();
                let reason = format!("`{program}` cannot be started: {error}");
                self.on_crash(reason, Phase::Loading);
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
        match self.find_usable() {
            Some(worker) => {
                worker.run(id, request);
                self.alarm = Some(Instant::now() + self.config.job_timeout);
            }
            // It died or was told to go after the caller was let in.
            None => self.fail_run(RunError::Crashed {
                reason: GONE.into(),
            }),
        }
    }

    fn find_usable(&self) -> Option<&Worker> {
        let usable = self.loaded && self.sentence.is_none();
        self.worker.as_ref().filter(|_| usable)
    }

    fn ask(&mut self, inquiry: Inquiry) {
        let Inquiry {
            question,
            on_answer,
        } = inquiry;
        let id = question.id;
        match self.find_usable() {
            Some(worker) => {
                worker.ask(question);
                self.questions.insert(id, on_answer);
            }
            None => on_answer(Err(RunError::Crashed {
                reason: GONE.into(),
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
            Event::Report(Report::Ready(description)) => self.on_ready(description),
            Event::Report(Report::Stepped(id, step)) => {
                if let Some(current) = self.current.as_mut().filter(|current| current.id == id) {
                    (current.on_step)(step);
                }
            }
            Event::Report(Report::Finished(id, output, stages)) => {
                let result = Ok(output);
                self.finish_run(id, RunEnd { result, stages });
            }
            Event::Report(Report::Parsed(id, answer)) => {
                if let Some(on_answer) = self.questions.remove(&id) {
                    on_answer(answer.map_err(RunError::from));
                }
            }
            // The worker ends after either; its output ends next.
            Event::Report(
                Report::LoadFailed(reason) | Report::Stopped(_, Stop::Fault { reason }, _),
            ) => self.confession = Some(reason),
            Event::Report(Report::Stopped(id, stop, stages)) => {
                let result = Err(stop.into());
                self.finish_run(id, RunEnd { result, stages });
            }
            // Also what it started: that may hold its output open.
            Event::Died => self.condemn(Sentence::Dead),
            Event::Ended => self.on_end(),
        }
    }

    fn on_ready(&mut self, description: Description) {
        self.loaded = true;
        self.history.loaded();
        self.shared.set_description(description);
        if self.sentence.is_none() {
            self.alarm = None;
            self.shared.set_state(&WorkerState::Ready);
        }
    }

    fn finish_run(&mut self, id: u64, end: RunEnd) {
        if self
            .current
            .as_ref()
            .is_some_and(|current| current.id == id)
        {
            if self.sentence.is_none() {
                self.alarm = None;
            }
            if end.result.is_ok() {
                self.history.succeeded(&self.config);
            }
            self.end_run(end);
        }
    }

    /// Frees the worker, then tells the caller, who may start the next run at once.
    fn end_run(&mut self, end: RunEnd) {
        if let Some(current) = self.current.take() {
            self.shared.vacate();
            (current.on_end)(end);
        }
    }

    /// Ends the run without a word of the worker's.
    fn fail_run(&mut self, error: RunError) {
        self.end_run(RunEnd {
            result: Err(error),
            stages: Vec::new(),
        });
    }

    fn end_questions(&mut self, reason: &str) {
        for (_, on_answer) in self.questions.drain() {
            on_answer(Err(RunError::Crashed {
                reason: reason.into(),
            }));
        }
    }

    fn on_alarm(&mut self) {
        self.alarm = None;
        if self.worker.is_none() {
            self.spawn();
        } else if self.sentence.is_some() {
            // Something holds its output open.
            self.on_end();
        } else if self.current.is_some() {
            self.condemn(Sentence::TimedOut(self.config.job_timeout));
        } else {
            self.condemn(Sentence::LoadTimedOut(self.config.load_timeout));
        }
    }

    /// Ends the worker, for the first reason there is.
    fn condemn(&mut self, sentence: Sentence) {
        if self.sentence.is_none() {
            // No other run may be let in: it would end as this one does.
            self.shared.set_state(&WorkerState::Loading);
            self.sentence = Some(sentence);
            self.alarm = Some(Instant::now() + LAST_MOMENTS);
        }
        if let Some(worker) = &mut self.worker {
            worker.kill();
        }
    }

    fn on_end(&mut self) {
        let Some(mut worker) = self.worker.take() else {
            return;
        };
        // What it may still report is history.
        self.generation += 1;
        self.alarm = None;
        // A worker that closed its output is of no use, whether it is dead or not.
        worker.kill();
        self.shared.set_pid(None);
        // No other run may be let in while this one's end is told.
        self.shared.set_state(&WorkerState::Loading);
        let epitaph = worker.epitaph(LAST_MOMENTS);
        let reason = self.confession.take().unwrap_or(epitaph);
        self.end_questions(&reason);
        self.tell_end(reason);
    }

    fn tell_end(&mut self, reason: String) {
        let phase = if self.loaded {
            Phase::Loaded
        } else {
            Phase::Loading
        };
        match self.sentence.take() {
            None | Some(Sentence::Dead) => {
                self.fail_run(RunError::Crashed {
                    reason: reason.clone(),
                });
                self.on_crash(reason, phase);
            }
            Some(Sentence::TimedOut(after)) => {
                self.fail_run(RunError::TimedOut { after });
                let reason = format!("a run took longer than {} s", after.as_secs());
                self.on_crash(reason, phase);
            }
            Some(Sentence::LoadTimedOut(after)) => {
                let reason = format!("loading took longer than {} s", after.as_secs());
                self.on_crash(reason, Phase::LoadingTooLong);
            }
            Some(Sentence::Dismissed) => {
                let reason = "it was told to start again".to_owned();
                self.fail_run(RunError::Crashed { reason });
                self.alarm = Some(Instant::now());
            }
        }
    }

    fn on_crash(&mut self, reason: String, phase: Phase) {
        tracing::warn!(reason, "the worker ended");
        let now = Instant::now();
        match self.history.ended(&self.config, phase, now) {
            // Through the alarm, not by a call: a program that cannot be started must not recurse.
            Verdict::Again(pause) => self.alarm = Some(now + pause),
            Verdict::GivenUp(rest) => {
                self.alarm = Some(now + rest);
                self.shared.set_state(&WorkerState::Failed { reason });
            }
        }
    }

    fn restart(&mut self) {
        self.history = History::new(&self.config);
        if self.worker.is_some() {
            self.condemn(Sentence::Dismissed);
        } else {
            self.alarm = Some(Instant::now());
        }
    }

    fn shut_down(mut self) {
        let reason = "the worker was shut down".to_owned();
        self.shared.set_state(&WorkerState::Failed {
            reason: reason.clone(),
        });
        if let Some(mut worker) = self.worker.take() {
            worker.kill();
            worker.epitaph(BURIAL);
        }
        self.shared.set_pid(None);
        self.end_questions(&reason);
        self.fail_run(RunError::Crashed { reason });
    }
}
