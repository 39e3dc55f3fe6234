//! A Redis server process of a test's own.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// The server, on a socket in a folder of its own. It is killed when this is dropped.
pub struct Redis {
    folder: TempDir,
    process: Child,
}

impl Redis {
    /// Starts one, empty.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let process = spawn(&folder);
        let server = Self { folder, process };
        server.wait();
        server
    }

    /// What a client connects to.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// What `redis-cli` prints for a command.
    pub fn command(&self, args: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .arg("-s")
            .arg(self.socket())
            .args(args)
            .output()
            .expect("redis-cli comes with the server");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Kills it; what it knew is lost.
    pub fn kill(&mut self) {
        // It may be dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Stops it where it is: connections stay open, and nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Has it go on after [`Redis::pause`].
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal)
            .expect("it is a child, not waited for");
    }

    /// Starts it again after it was killed.
    pub fn restart(&mut self) {
        self.kill();
        self.process = spawn(&self.folder);
        self.wait();
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    fn wait(&self) {
        let begun = Instant::now();
        while self.command(&["PING"]) != "PONG" {
            assert!(begun.elapsed() < PATIENCE, "redis-server does not start");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(folder: &TempDir) -> Child {
    let server = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "no"])
        .arg("--unixsocket")
        .arg(folder.path().join("redis.sock"))
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn();
    server.unwrap_or_else(|error| panic!("apt-get install redis-server: {error}"))
}
