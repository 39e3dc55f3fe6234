//! One worker process and the threads at its pipes.

use std::{
    collections::VecDeque,
    ffi::OsStr,
    io::{self, BufRead, BufReader, BufWriter, Read},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::{
    config::WorkerCommand,
    keeper::{Event, Message},
};
use crate::{
    engine::Request,
    frame::{self, Question},
    worker::PREAMBLE,
};

/// Lines of standard error that are kept as a worker's last words.
const LAST_WORDS: usize = 8;

/// The longest line that is kept whole, in characters.
const LONGEST_LINE: usize = 300;

/// What the thread at the worker's input writes.
enum Order {
    Run(u64, Box<Request>),
    Cancel(u64),
    Parse(Question),
}

/// A worker process.
pub(super) struct Worker {
    process: Child,
    orders: mpsc::Sender<Order>,
    stderr: thread::JoinHandle<()>,
    last_words: Arc<Mutex<VecDeque<String>>>,
}

impl Worker {
    /// Starts a process. What it reports is sent to `messages`, marked with `generation`.
    pub(super) fn spawn(
        command: &WorkerCommand,
        generation: u64,
        messages: mpsc::Sender<Message>,
    ) -> io::Result<Self> {
        let mut process = Command::new(&command.program);
        for (secret, _) in std::env::vars_os().filter(|(name, _)| is_secret(name)) {
            process.env_remove(secret);
        }
        let mut process = process
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
        watch(pid_of(&process), generation, messages.clone());
        read_reports(process.stdout.take().expect(piped), generation, messages);
        Ok(Self {
            process,
            orders,
            stderr,
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

    /// Asks what would be masked.
    pub(super) fn ask(&self, question: Question) {
        let _ = self.orders.send(Order::Parse(question));
    }

    /// Ends the process without asking, and whatever it started: a helper that outlived it would
    /// hold its pipes open.
    pub(super) fn kill(&mut self) {
        // They may be dead already.
        if let Some(group) = pid_of(&self.process) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.process.kill();
    }

    /// How a process ended that is dead or dying, and its last words, as far as that is known
    /// within `patience`: a helper that left its group may hold the pipe of its words open, and a
    /// driver its end back.
    ///
    /// The first line says how; each further one is a line of its standard error.
    pub(super) fn epitaph(self, patience: Duration) -> String {
        let deadline = Instant::now() + patience;
        let (mut process, stderr) = (self.process, self.stderr);
        let (tell, told) = mpsc::channel();
        // Takes the dead process from the system's table too, however long it takes to be dead.
        thread::spawn(move || {
            let _ = tell.send(process.wait());
            // The last words may still be in the pipe; `tell` is dropped once they are read.
            let _ = stderr.join();
        });
        let mut lines = vec![match told.recv_timeout(patience) {
            Ok(Ok(status)) => how(status),
            Ok(Err(error)) => format!("the worker's end is unknown: {error}"),
            Err(_) => "the worker does not end".to_owned(),
        }];
        let _ = told.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        let words = self.last_words.lock();
        lines.extend(words.unwrap_or_else(PoisonError::into_inner).drain(..));
        lines.join("\n")
    }
}

fn pid_of(process: &Child) -> Option<Pid> {
    i32::try_from(process.id()).ok().and_then(Pid::from_raw)
}

/// Whether a variable of the node's environment is none of the worker's business: tokens, keys,
/// addresses that have a password in them, and headers for a collector of traces. A model's files may come from anywhere.
fn is_secret(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_uppercase();
    let words = [
        "TOKEN",
        "SECRET",
        "PASSWORD",
        "KEY",
        "DATABASE_URL",
        "OTEL_",
    ];
    words.iter().any(|word| name.contains(word))
}

/// Tells of the process's death also where something else holds its output open. The process stays
/// in the system's table, so that its id cannot be another's when it is killed.
fn watch(pid: Option<Pid>, generation: u64, messages: mpsc::Sender<Message>) {
    let Some(pid) = pid else { return };
    thread::spawn(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        // An error means that it was taken from the table already, and so is known to be dead.
        let _ = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), options));
        let _ = messages.send(Message::Worker(generation, Event::Died));
    });
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
                Order::Parse(question) => frame::write_question(&mut stdin, &question),
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
