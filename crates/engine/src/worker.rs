//! The worker's side: one engine in a process of its own.
//!
//! The main thread runs the engine. A second thread reads orders, so that a cancellation is seen
//! while the engine works, and so that the worker ends when its node does: the end of its input
//! means that nobody will ever read its output.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    os::fd::{AsFd, OwnedFd},
    panic::{self, AssertUnwindSafe},
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::{
    engine::{EngineError, Load, Monitor, Output, Request, Step},
    frame::{self, FromWorker, Order, Stop},
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
    output: impl Write,
) -> io::Result<()> {
    let mut output = BufWriter::new(output);
    output.write_all(PREAMBLE)?;
    output.flush()?;
    // Orders are read from the start: a node that dies while the engine loads must end it too.
    let orders = Orders::read_from(input);
    let mut engine = match guarded(|| load.load()) {
        Ok(engine) => engine,
        Err(error) => {
            let reason = describe(&error);
            frame::write_report(
                &mut output,
                &FromWorker::LoadFailed {
                    reason: reason.clone(),
                },
            )?;
            return Err(io::Error::other(reason));
        }
    };
    let description = engine.describe();
    frame::write_report(&mut output, &FromWorker::Ready { description })?;
    while let Ok((run, request)) = orders.runs.recv() {
        let mut monitor = Reporter {
            run,
            output: &mut output,
            cancelled: &orders.cancelled,
        };
        let result = guarded(|| engine.run(&request, &mut monitor));
        // The pixels of the request are not needed while the result is written.
        drop(request);
        report(&mut output, run, result)?;
    }
    Ok(())
}

fn report(
    output: &mut impl Write,
    run: u64,
    result: Result<Output, EngineError>,
) -> io::Result<()> {
    let stop = match result {
        Ok(picture) => return frame::write_output(output, run, picture),
        Err(EngineError::Refused { refusal, message }) => Stop::Refused { refusal, message },
        Err(EngineError::Cancelled) => Stop::Cancelled,
        Err(EngineError::OutOfMemory { needed }) => Stop::OutOfMemory { needed },
        Err(error @ EngineError::Fault(_)) => {
            let reason = describe(&error);
            let stop = Stop::Fault {
                reason: reason.clone(),
            };
            frame::write_report(output, &FromWorker::Stopped { run, stop })?;
            // What state the engine is in is anybody's guess.
            return Err(io::Error::other(reason));
        }
    };
    frame::write_report(output, &FromWorker::Stopped { run, stop })
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
    /// The latest run that was cancelled. Runs are numbered from 1, one at a time.
    cancelled: Arc<AtomicU64>,
}

impl Orders {
    fn read_from(input: impl Read + Send + 'static) -> Self {
        let (sender, runs) = mpsc::channel();
        let cancelled = Arc::new(AtomicU64::new(0));
        let flag = Arc::clone(&cancelled);
        thread::spawn(move || {
            let mut input = BufReader::new(input);
            loop {
                match frame::read_order(&mut input) {
                    // A send fails when the engine's thread is on its way out.
                    Ok(Order::Run(run, request)) => drop(sender.send((run, request))),
                    Ok(Order::Cancel(run)) => flag.store(run, Ordering::Release),
                    // The node is gone.
                    Err(_) => process::exit(0),
                }
            }
        });
        Self { runs, cancelled }
    }
}

/// Reports the steps of one run.
struct Reporter<'a, W> {
    run: u64,
    output: &'a mut W,
    cancelled: &'a AtomicU64,
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
        frame::write_report(self.output, &report).map_err(|error| EngineError::Fault(error.into()))
    }
}
