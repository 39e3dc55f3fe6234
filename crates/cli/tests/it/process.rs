//! Processes of the command.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::{Duration, Instant},
};

use reqwest::blocking::{Client, ClientBuilder};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

/// How long anything is waited for before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// The command, in `folder`, without anything of this process's own configuration.
pub(crate) fn tryon(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tryon"));
    command.env_clear().current_dir(folder);
    command
}

/// The same as a service whose writes fail where its files are limited: they would end it.
pub(crate) fn tryon_service(folder: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    let start = ["-c", r#"trap '' XFSZ; exec "$0" "$@""#];
    command.env_clear().current_dir(folder).args(start);
    command.arg(env!("CARGO_BIN_EXE_tryon"));
    command
}

/// Runs it with these arguments and gives what it printed; it must succeed.
pub(crate) fn run(folder: &Path, args: &[&str]) -> String {
    let output = tryon(folder).args(args).output().unwrap();
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{args:?}: {}", errors(&output));
    stdout
}

/// Runs it with these arguments and gives what it said; it must fail, with status 1, and say what
/// to do.
pub(crate) fn fail(folder: &Path, args: &[&str]) -> String {
    let output = tryon(folder).args(args).output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(1),
        "{args:?}: {}",
        errors(&output)
    );
    let said = errors(&output);
    assert!(said.contains("\nhint: "), "{args:?}: {said}");
    said
}

pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A client of the processes' routes.
pub(crate) fn http() -> Client {
    http_builder().build().unwrap()
}

/// The same, with a connection for each request, as clients without a pool make them.
pub(crate) fn http_without_pool() -> ClientBuilder {
    http_builder().pool_max_idle_per_host(0)
}

fn http_builder() -> ClientBuilder {
    // Fails when another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
}

/// One of the example pictures.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .join(name)
}

/// A service that runs until it is dropped.
pub(crate) struct Service {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Service {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    /// What follows `label` on the first line that has it, from where reading stopped.
    pub(crate) fn read(&mut self, label: &str) -> String {
        let read = self.try_read(label);
        read.unwrap_or_else(|seen| panic!("the service ended before it said `{label}`:\n{seen}"))
    }

    /// The same; what it said instead where it ended before.
    pub(crate) fn try_read(&mut self, label: &str) -> Result<String, String> {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            if self.stdout.read_line(&mut line).unwrap() == 0 {
                return Err(seen);
            }
            if let Some((_, rest)) = line.split_once(label) {
                return Ok(rest.trim().to_owned());
            }
            seen.push_str(&line);
        }
    }

    /// Everything it still prints before it ends.
    pub(crate) fn read_to_end(&mut self) -> String {
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.stdout, &mut rest).unwrap();
        rest
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Has it write nothing beyond this place of any file, in bytes, as on a disk that is full.
    pub(crate) fn limit_files(&self, room: Option<u64>) {
        let limit = Rlimit {
            current: room,
            maximum: getrlimit(Resource::Fsize).maximum,
        };
        prlimit(Some(self.pid()), Resource::Fsize, limit).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for its end and gives its status, or the signal that ended it as a negative number.
    pub(crate) fn wait(&mut self) -> i32 {
        self.wait_for(PATIENCE).expect("the service ends")
    }

    /// The same, if it ends within this time.
    pub(crate) fn wait_for(&mut self, patience: Duration) -> Option<i32> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status.code().unwrap_or_else(|| -status.signal().unwrap()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
