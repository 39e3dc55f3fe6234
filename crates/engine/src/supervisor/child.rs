//! One worker process and the threads at its pipes.

use std::{
    collections::VecDeque,
    io::{self, BufRead, BufReader, BufWriter, Read},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{
    config::WorkerCommand,
    keeper::{Event, Message},
};
use crate::{engine::Request, frame, worker::PREAMBLE};

/// Lines of standard error that are kept as a worker's last words.
const LAST_WORDS: usize = 8;

/// The longest line that is kept whole, in characters.
const LONGEST_LINE: usize = 300;

/// What the thread at the worker's input writes.
enum Order {
    Run(u64, Box<Request>),
    Cancel(u64),
}

/// A worker process.
pub(super) struct Worker {
    process: Child,
    orders: mpsc::Sender<Order>,
    stderr: Option<thread::JoinHandle<()>>,
    last_words: Arc<Mutex<VecDeque<String>>>,
}

impl Worker {
    /// Starts a process. What it reports is sent to `messages`, marked with `generation`.
    pub(super) fn spawn(
        command: &WorkerCommand,
        generation: u64,
        messages: mpsc::Sender<Message>,
    ) -> io::Result<Self> {
        let mut process = Command::new(&command.program)
            .args(&command.args)
            .envs(command.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C at the node's terminal is the node's to handle: it lets the run end.
            .process_group(0)
            .spawn()?;
        let piped = "BUG: all three were asked to be piped";
        let orders = write_orders(process.stdin.take().expect(piped));
        let last_words = Arc::default();
        let stderr = read_stderr(
            process.stderr.take().expect(piped),
            process.id(),
            Arc::clone(&last_words),
        );
        read_reports(process.stdout.take().expect(piped), generation, messages);
        Ok(Self {
            process,
            orders,
            stderr: Some(stderr),
            last_words,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Hands a request over. A worker that is dead says so by the end of its output.
    pub(super) fn run(&self, run: u64, request: Box<Request>) {
        let _ = self.orders.send(Order::Run(run, request));
    }

    /// Asks for a run to be stopped.
    pub(super) fn cancel(&self, run: u64) {
        let _ = self.orders.send(Order::Cancel(run));
    }

    /// Ends the process without asking, and whatever it started: a helper that outlived it would
    /// hold its pipes open.
    pub(super) fn kill(&mut self) {
        // It may be dead already.
        if let Some(group) = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw)
        {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.process.kill();
    }

    /// Waits for the end of a process that is dead or dying, and says how it ended.
    pub(super) fn epitaph(mut self) -> String {
        let ended = match self.process.wait() {
            Ok(status) => how(status),
            Err(error) => format!("its end is unknown: {error}"),
        };
        if let Some(stderr) = self.stderr.take() {
            // Its last words may still be in the pipe.
            let _ = stderr.join();
        }
        let words = self
            .last_words
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if words.is_empty() {
            return ended;
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        format!("{ended}: {}", words.join(" | "))
    }
}

fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the worker exited with status {code}"),
        (None, Some(signal)) => format!("the worker was ended by signal {signal}"),
        (None, None) => "the worker ended".to_owned(),
    }
}

/// Writes from a thread of its own: a worker that does not read must not hold up the supervisor.
fn write_orders(stdin: ChildStdin) -> mpsc::Sender<Order> {
    let (sender, orders) = mpsc::channel();
    thread::spawn(move || {
        let mut stdin = BufWriter::new(stdin);
        for order in orders {
            let written = match order {
                Order::Run(run, request) => frame::write_run(&mut stdin, run, &request),
                Order::Cancel(run) => frame::write_cancel(&mut stdin, run),
            };
            if written.is_err() {
                // The worker is gone; the end of its output says so.
                return;
            }
        }
    });
    sender
}

fn read_reports(stdout: ChildStdout, generation: u64, messages: mpsc::Sender<Message>) {
    thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut failure = skip_preamble(&mut stdout).err();
        while failure.is_none() {
            match frame::read_report(&mut stdout) {
                Ok(report) => {
                    let message = Message::Worker(generation, Event::Report(report));
                    if messages.send(message).is_err() {
                        return;
                    }
                }
                Err(error) => failure = Some(error),
            }
        }
        let _ = messages.send(Message::Worker(generation, Event::Ended));
    });
}

/// Skips what the process printed before the protocol began.
fn skip_preamble(from: &mut impl Read) -> io::Result<()> {
    let mut matched = 0;
    let mut byte = [0];
    while matched < PREAMBLE.len() {
        from.read_exact(&mut byte)?;
        // The first byte occurs again only at the end, so a mismatch can only begin anew.
        matched = match byte[0] {
            byte if byte == PREAMBLE[matched] => matched + 1,
            byte if byte == PREAMBLE[0] => 1,
            _ => 0,
        };
    }
    Ok(())
}

fn read_stderr(
    stderr: ChildStderr,
    pid: u32,
    last_words: Arc<Mutex<VecDeque<String>>>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut stderr = BufReader::new(stderr);
        let mut line = Vec::new();
        while matches!(stderr.read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line);
            let text: String = text.trim_end().chars().take(LONGEST_LINE).collect();
            line.clear();
            if text.is_empty() {
                continue;
            }
            tracing::info!(worker = pid, "{text}");
            let mut words = last_words.lock().unwrap_or_else(PoisonError::into_inner);
            if words.len() == LAST_WORDS {
                words.pop_front();
            }
            words.push_back(text);
        }
    })
}
