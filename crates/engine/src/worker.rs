//! The worker's side: one engine in a process of its own.
//!
//! The main thread runs the engine. A second thread reads orders, so that a cancellation is seen
//! while the engine works, and so that the worker ends when its node does: the end of its input
//! means that nobody will ever read its output. A third answers questions beside the runs.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    os::fd::{AsFd, OwnedFd},
    panic::{self, AssertUnwindSafe},
    process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use rustix::process::{Resource, Rlimit, setrlimit};
use tryon_core::stage::Stage;

use crate::{
    engine::{EngineError, Load, Masked, Monitor, Output, Parser, Request, Step},
    frame::{self, FromWorker, Order, Question, Stop},
    stage::{StageTime, Stopwatch},
};

/// Tells the protocol from whatever the process printed before it began.
pub(crate) const PREAMBLE: &[u8] = b"\0tryon worker 1\0";

/// The exit status of a worker whose engine failed. The node starts another.
const EXIT_FAULT: i32 = 70;

/// Serves the node at the other end of standard input and output until it goes away.
///
/// From here on standard output belongs to the protocol: what the engine and its libraries print
/// goes to standard error instead.
pub fn serve(load: &dyn Load) -> ! {
    // Writing tens of gigabytes of weights to a disk would delay the news of a crash by minutes.
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        eprintln!("core dumps stay on: {error}");
    }
    let output = match claim_stdout() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("standard output cannot be claimed: {error}");
            process::exit(EXIT_FAULT);
        }
    };
    match serve_on(load, io::stdin(), output) {
        Ok(()) => process::exit(0),
        // A closed pipe: the node is gone.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => process::exit(0),
        Err(error) => {
            eprintln!("{error}");
            process::exit(EXIT_FAULT);
        }
    }
}

/// Keeps standard output for the protocol and points descriptor 1 at standard error.
fn claim_stdout() -> io::Result<File> {
    io::stdout().flush()?;
    let kept: OwnedFd = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(io::stderr().as_fd())?;
    Ok(File::from(kept))
}

fn serve_on(
    load: &dyn Load,
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
) -> io::Result<()> {
    let mut output = BufWriter::new(output);
    output.write_all(PREAMBLE)?;
    output.flush()?;
    let output = Arc::new(Mutex::new(output));
    // Orders are read from the start: a node that dies while the engine loads must end it too.
    let orders = Orders::read_from(input);
    let mut engine = match guarded(|| load.load()) {
        Ok(engine) => engine,
        Err(error) => {
            let reason = describe(&error);
            frame::write_report(
                &mut *lock(&output),
                &FromWorker::LoadFailed {
                    reason: reason.clone(),
                },
            )?;
            return Err(io::Error::other(reason));
        }
    };
    let description = engine.describe();
    frame::write_report(&mut *lock(&output), &FromWorker::Ready { description })?;
    let (parser, questions, to) = (engine.parser(), orders.questions, Arc::clone(&output));
    thread::spawn(move || answer(parser.as_deref(), questions, &to));
    while let Ok((run, request)) = orders.runs.recv() {
        let mut monitor = Reporter {
            run,
            output: &output,
            cancelled: &orders.cancelled,
            stopwatch: Stopwatch::start(),
        };
        let result = guarded(|| engine.run(&request, &mut monitor));
        let stages = monitor.stopwatch.stop();
        // The pixels of the request are not needed while the result is written.
        drop(request);
        report(&mut *lock(&output), run, result, stages)?;
    }
    Ok(())
}

/// Each thread writes whole frames.
fn lock<W>(output: &Mutex<W>) -> MutexGuard<'_, W> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers questions until nobody asks or listens any more. One that makes the parser panic leaves
/// nothing behind: a parser holds nothing between two of them.
fn answer(
    parser: Option<&dyn Parser>,
    questions: mpsc::Receiver<Question>,
    output: &Mutex<impl Write>,
) {
    for Question {
        id: question,
        category,
        photo,
    } in questions
    {
        let answer = match parser {
            Some(parser) => guarded(|| parser.parse(&photo, category)),
            None => Ok(None),
        };
        drop(photo);
        let answer = answer.map(|mask| mask.as_ref().and_then(Masked::measure));
        let answer = answer.map_err(Stop::from);
        let report = FromWorker::Parsed { question, answer };
        if frame::write_report(&mut *lock(output), &report).is_err() {
            return;
        }
    }
}

fn report(
    output: &mut impl Write,
    run: u64,
    result: Result<Output, EngineError>,
    stages: Vec<StageTime>,
) -> io::Result<()> {
    let stop = match result {
        Ok(picture) => return frame::write_output(output, run, picture, stages),
        Err(error) => Stop::from(error),
    };
    // What state an engine is in that failed is anybody's guess.
    let fault = match &stop {
        Stop::Fault { reason } => Some(io::Error::other(reason.clone())),
        _ => None,
    };
    frame::write_report(output, &FromWorker::Stopped { run, stop, stages })?;
    fault.map_or(Ok(()), Err)
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Refused { refusal, message } => Self::Refused { refusal, message },
            EngineError::Cancelled => Self::Cancelled,
            EngineError::OutOfMemory { needed } => Self::OutOfMemory { needed },
            error @ EngineError::Fault(_) => Self::Fault {
                reason: describe(&error),
            },
        }
    }
}

/// Turns a panic of the engine into a fault, so that its words reach the node.
fn guarded<T>(work: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(EngineError::Fault(
            format!("panicked: {}", words.unwrap_or("without words")).into(),
        ))
    })
}

fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// What the node asks for, as a thread reads it.
struct Orders {
    runs: mpsc::Receiver<(u64, Box<Request>)>,
    questions: mpsc::Receiver<Question>,
    /// The latest run that was cancelled. Runs are numbered from 1, one at a time.
    cancelled: Arc<AtomicU64>,
}

impl Orders {
    fn read_from(input: impl Read + Send + 'static) -> Self {
        let (sender, runs) = mpsc::channel();
        let (ask, questions) = mpsc::channel();
        let cancelled = Arc::new(AtomicU64::new(0));
        let flag = Arc::clone(&cancelled);
        thread::spawn(move || {
            let mut input = BufReader::new(input);
            loop {
                match frame::read_order(&mut input) {
                    // A send fails when the engine's thread is on its way out.
                    Ok(Order::Run(run, request)) => drop(sender.send((run, request))),
                    Ok(Order::Cancel(run)) => flag.store(run, Ordering::Release),
                    Ok(Order::Parse(question)) => drop(ask.send(question)),
                    // The node is gone.
                    Err(_) => process::exit(0),
                }
            }
        });
        Self {
            runs,
            questions,
            cancelled,
        }
    }
}

/// Reports the steps of one run as they end, and keeps the time of its stages for its end: a
/// report of each would hold up the engine.
struct Reporter<'a, W> {
    run: u64,
    output: &'a Mutex<W>,
    cancelled: &'a AtomicU64,
    stopwatch: Stopwatch,
}

impl<W: Write> Monitor for Reporter<'_, W> {
    fn step(&mut self, step: Step) -> Result<(), EngineError> {
        if self.cancelled.load(Ordering::Acquire) == self.run {
            return Err(EngineError::Cancelled);
        }
        let report = FromWorker::Stepped {
            run: self.run,
            step,
        };
        frame::write_report(&mut *lock(self.output), &report)
            .map_err(|error| EngineError::Fault(error.into()))
    }

    fn stage(&mut self, stage: Stage) {
        self.stopwatch.begin(stage);
    }
}
