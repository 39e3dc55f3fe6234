//! A PostgreSQL server of the test's own.
//!
//! It listens on a socket in a folder of its own, so that servers do not meet, and what it is told
//! is gone with a power failure, so that it is fast. It ends with the process that started it,
//! however that ends: a shell waits for the pipe between them to break.

use std::{
    collections::HashSet,
    env, fs, io,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Where Debian's packages put each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Its settings. The limits are those of a small server.
const SETTINGS: &str = "
listen_addresses = ''
fsync = off
full_page_writes = off
max_connections = 200
shared_buffers = 64MB
";

/// Bytes of a page, of which its files and its log are made.
const PAGE: u64 = 8192;

/// How long a server that was killed may take to start again.
const RESTART: Duration = Duration::from_secs(30);

/// What ends the server once nobody holds the other end of its standard input.
const GUARD: &str = "
cat
\"$1/pg_ctl\" stop --silent --mode immediate --pgdata \"$2/data\"
rm -rf \"$2\"
";

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// There are no binaries.
    #[error(
        "PostgreSQL is not installed: there is no `initdb` below `{VERSIONS}` or on `PATH`\nhint: apt-get install postgresql"
    )]
    Missing,
    /// It refuses to run as root, and there is nobody else.
    #[error("PostgreSQL does not run as root, and there is no user `postgres` or `nobody`")]
    NoUser,
    /// A file or a process could not be made.
    #[error("`{what}` failed")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// One of its programs failed.
    #[error("`{program}` failed: {message}")]
    Program {
        /// Which.
        program: &'static str,
        /// What it said.
        message: String,
    },
}

/// A user and its group.
type User = (u32, u32);

/// A server that runs as long as this.
#[derive(Debug)]
pub struct PostgresServer {
    binaries: PathBuf,
    folder: PathBuf,
    user: Option<User>,
    databases: AtomicU32,
    guard: Child,
}

impl PostgresServer {
    /// Makes a cluster and starts its server.
    pub fn start() -> Result<Self, PostgresError> {
        let binaries = find_binaries(Path::new(VERSIONS))?;
        let user = find_user()?;
        let folder = create_folder(user)?;
        let guard = start_guard(&binaries, &folder, user)?;
        let server = Self {
            binaries,
            folder,
            user,
            databases: AtomicU32::new(0),
            guard,
        };
        server.create_cluster()?;
        server.run()?;
        Ok(server)
    }

    fn create_cluster(&self) -> Result<(), PostgresError> {
        let data = self.data();
        let mut command = self.command("initdb");
        command.arg("--pgdata").arg(&data).args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "--no-instructions",
            // Files of a MiB: a disk that is full is met in them as well.
            "--wal-segsize=1",
        ]);
        run("initdb", &mut command)?;
        let socket = format!("unix_socket_directories = '{}'", self.folder.display());
        fs::write(
            data.join("postgresql.auto.conf"),
            format!("{SETTINGS}{socket}\n"),
        )
        .map_err(|error| io_error("write the server's settings", error))
    }

    /// The server that the tests of this process share.
    ///
    /// # Panics
    ///
    /// When there is none: the message says what to install.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<PostgresServer> = OnceLock::new();
        SERVER.get_or_init(|| Self::start().unwrap_or_else(|error| panic!("{error}")))
    }

    /// Makes an empty database; returns its URL.
    pub fn create_database(&self) -> Result<String, PostgresError> {
        self.create_database_like("template1")
    }

    /// Makes a database like one that nobody is connected to; returns its URL.
    pub fn create_database_like(&self, template: &str) -> Result<String, PostgresError> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        let template = name_of(template);
        let template = ["--template", template];
        let mut command = self.command("createdb");
        run("createdb", command.args(template).arg(&name))?;
        Ok(self.url(&name))
    }

    /// Runs statements as the server's owner.
    pub fn execute(&self, url: &str, statements: &str) -> Result<(), PostgresError> {
        let mut command = self.command("psql");
        let options = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"];
        let command = command.args(options);
        run(
            "psql",
            command.args(["--command", statements, name_of(url)]),
        )
        .map(drop)
    }

    /// Everything in a database, as the statements that would make it again.
    pub fn dump(&self, url: &str) -> Result<Vec<u8>, PostgresError> {
        run("pg_dump", self.command("pg_dump").arg(name_of(url)))
    }

    /// Kills the server with SIGKILL, and its processes, which would answer for a moment more: what
    /// it had not answered is lost.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Stops all its processes where they are: connections stay open, and nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Has them go on after [`PostgresServer::pause`].
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Has nothing be written beyond this page of any file, as on a disk that is full: statements
    /// fail, and where its log of changes cannot be written the server ends all connections, or
    /// itself. No page is written in part, which a disk that is full does not do to one that is
    /// there.
    pub fn fill_disk(&self, pages: u64) {
        self.limit_files(&(pages * PAGE).to_string());
    }

    /// Has it write again after [`PostgresServer::fill_disk`], and starts it where it ended.
    pub fn empty_disk(&self) -> Result<(), PostgresError> {
        self.limit_files("unlimited");
        let begun = Instant::now();
        loop {
            // It leaves no file of its number where it ended by itself.
            let ready = match self.process() {
                Some(_) => self.execute("postgres", "SELECT 1"),
                None => self.run(),
            };
            match ready {
                Err(_) if begun.elapsed() < RESTART => thread::sleep(Duration::from_millis(50)),
                outcome => return outcome,
            }
        }
    }

    /// Changes the limit on the size of files, which a running process has and which needs no file
    /// system of one's own. It is changed by the server's own user: another may not, root neither
    /// where it has not all of its powers.
    fn limit_files(&self, bytes: &str) {
        let mut limited = HashSet::new();
        // One that was started while the server still had the other limit has that too.
        while let Some(process) = self.processes().find(|it| !limited.contains(it)) {
            limited.insert(process);
            let mut command = self.command("prlimit");
            command.arg(format!("--pid={}", process.as_raw_nonzero()));
            // One that is gone already has no limits.
            let _ = run("prlimit", command.arg(format!("--fsize={bytes}:")));
        }
    }

    fn signal(&self, signal: Signal) {
        for process in self.processes() {
            // One that is gone already needs no signal.
            let _ = kill_process(process, signal);
        }
    }

    /// The server, and then those that it started.
    fn processes(&self) -> impl Iterator<Item = Pid> {
        let server = self.process().into_iter();
        server.flat_map(|server| std::iter::once(server).chain(children(server)))
    }

    /// Starts the server again, on what it had written.
    pub fn restart(&self) -> Result<(), PostgresError> {
        let started = Instant::now();
        loop {
            match self.run() {
                // The processes of the one that was killed end when they notice.
                Err(_) if started.elapsed() < RESTART => thread::sleep(Duration::from_millis(50)),
                outcome => return outcome,
            }
        }
    }

    fn run(&self) -> Result<(), PostgresError> {
        let mut command = self.command("pg_ctl");
        let start = command.args(["start", "--wait", "--silent", "--pgdata"]);
        let log = self.folder.join("log");
        run("pg_ctl", start.arg(self.data()).arg("--log").arg(log)).map(drop)
    }

    fn process(&self) -> Option<Pid> {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        Pid::from_raw(file.lines().next()?.parse().ok()?)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn url(&self, database: &str) -> String {
        let folder = self.folder.display();
        format!("postgres:///{database}?host={folder}&user=postgres&sslmode=disable")
    }

    fn command(&self, program: &str) -> Command {
        let own = self.binaries.join(program);
        let program = if own.is_file() { own } else { program.into() };
        let mut command = command_as(self.user, program);
        command
            .current_dir(&self.folder)
            .env("PGHOST", &self.folder)
            .env("PGUSER", "postgres");
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // It was waited for; what it says does not matter.
        let _ = self.guard.wait();
    }
}

/// The processes that this one started.
fn children(process: Pid) -> Vec<Pid> {
    let pid = process.as_raw_nonzero();
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let listed = listed.unwrap_or_default();
    let pids = listed.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.filter_map(Pid::from_raw).collect()
}

/// The database of a URL of this server, or of no URL.
fn name_of(url: &str) -> &str {
    let name = url.strip_prefix("postgres:///").unwrap_or(url);
    name.split_once('?').map_or(name, |(name, _)| name)
}

/// The programs of the newest version that is installed.
fn find_binaries(versions: &Path) -> Result<PathBuf, PostgresError> {
    let installed = fs::read_dir(versions).into_iter().flatten().flatten();
    let mut installed: Vec<(u32, PathBuf)> = installed
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    installed.sort();
    let on_path = env::var_os("PATH").unwrap_or_default();
    installed
        .into_iter()
        .rev()
        .map(|(_, binaries)| binaries)
        .chain(env::split_paths(&on_path))
        .find(|binaries| binaries.join("initdb").is_file())
        .ok_or(PostgresError::Missing)
}

/// Whom to run it as: `None` for whoever runs the tests.
fn find_user() -> Result<Option<User>, PostgresError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| find_entry(&users, name))
        .map(Some)
        .ok_or(PostgresError::NoUser)
}

fn find_entry(users: &str, name: &str) -> Option<User> {
    let mut fields = users
        .lines()
        .map(|line| line.split(':'))
        .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?
        .skip(1);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// A folder for the server alone. Its path is short: a socket's path may not be long.
fn create_folder(user: Option<User>) -> Result<PathBuf, PostgresError> {
    let folder = tempfile::Builder::new()
        .prefix("tryon-pg-")
        .tempdir_in("/tmp")
        .map_err(|error| io_error("create a folder", error))?
        // The guard removes it.
        .keep();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))
        .map_err(|error| io_error("close a folder to others", error))?;
    if let Some((user, group)) = user {
        std::os::unix::fs::chown(&folder, Some(user), Some(group))
            .map_err(|error| io_error("give a folder away", error))?;
    }
    Ok(folder)
}

/// It is in a group of its own: what interrupts the tests must not end it before the server.
fn start_guard(binaries: &Path, folder: &Path, user: Option<User>) -> Result<Child, PostgresError> {
    command_as(user, "/bin/sh")
        .args(["-c", GUARD, "guard"])
        .args([binaries, folder])
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| io_error("start the server's guard", error))
}

fn command_as(user: Option<User>, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    command
}

/// Runs a program to its end and gives what it printed. It is read, so that it has an end: a server
/// that the program starts must not inherit it.
fn run(program: &'static str, command: &mut Command) -> Result<Vec<u8>, PostgresError> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| io_error(program, error))?;
    let Output {
        status,
        stdout,
        stderr,
    } = output;
    if status.success() {
        return Ok(stdout);
    }
    let message = String::from_utf8_lossy(&stderr).trim().to_owned();
    Err(PostgresError::Program { program, message })
}

fn io_error(what: &str, source: io::Error) -> PostgresError {
    PostgresError::Io {
        what: what.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_it_is_told_what_to_install() {
        let folder = tempfile::tempdir().unwrap();
        let missing = PostgresError::Missing.to_string();
        assert!(missing.contains("apt-get install postgresql"), "{missing}");
        for version in ["9", "15", "old"] {
            let binaries = folder.path().join(version).join("bin");
            fs::create_dir_all(&binaries).unwrap();
            fs::write(binaries.join("initdb"), "").unwrap();
        }
        let newest = find_binaries(folder.path()).unwrap();
        assert_eq!(newest, folder.path().join("15/bin"));
    }

    #[test]
    fn a_user_is_found_by_its_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\n";
        assert_eq!(find_entry(users, "nobody"), Some((65534, 65533)));
        assert_eq!(find_entry(users, "postgres"), None);
    }

    #[test]
    fn a_server_without_room_refuses_and_goes_on_when_there_is_room() {
        let server = PostgresServer::start().unwrap();
        let url = server.create_database().unwrap();
        let fill = "CREATE TABLE kept AS SELECT generate_series(1, 50000) AS id";
        server.fill_disk(32);
        let refused = server.execute(&url, fill);
        assert!(refused.is_err(), "there is room");
        server.empty_disk().unwrap();
        server.execute(&url, fill).unwrap();
    }

    #[test]
    fn a_server_keeps_what_it_was_told_and_goes_with_its_owner() {
        let server = PostgresServer::start().unwrap();
        let url = server.create_database().unwrap();
        server
            .execute(
                &url,
                "CREATE TABLE kept (id INT); INSERT INTO kept VALUES (1)",
            )
            .unwrap();
        server.kill();
        server.restart().unwrap();
        let copy = server.create_database_like(&url).unwrap();
        server
            .execute(&copy, "INSERT INTO kept VALUES (2)")
            .unwrap();
        let refused = server.execute(&copy, "INSERT INTO lost VALUES (2)");
        assert!(matches!(
            refused,
            Err(PostgresError::Program {
                program: "psql",
                ..
            })
        ));

        let (folder, process) = (server.folder.clone(), server.process().unwrap());
        drop(server);
        assert!(!folder.exists());
        // Somebody may still have to take note of its end: then it has no arguments any more.
        let process = process.as_raw_nonzero();
        let arguments = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        assert_eq!(arguments, b"", "the server outlived its owner");
    }
}
