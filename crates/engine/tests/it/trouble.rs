//! Workers that fail again and again, and workers that leave something behind.

use std::{
    ffi::OsString,
    fs,
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tryon_engine::supervisor::{
    RunError, Supervisor, SupervisorConfig, Unavailable, WorkerCommand, WorkerState,
};
use tryon_testkit::fake_worker;

use crate::supervisor::{PATIENCE, crash_reason, kill, outcome, ready, request, run};

const MOMENT: Duration = Duration::from_millis(20);
/// Longer than a test may take.
const NEVER: Duration = Duration::from_hours(1);
/// What is promised between the death of a worker and the news of it.
const PROMISE: Duration = Duration::from_secs(1);

/// The fake worker, after a line of shell.
fn after(shell: &str, load: &str) -> WorkerCommand {
    let WorkerCommand { program, args, env } = fake_worker::command_with(load);
    let script = format!("{shell}; exec \"$0\" \"$@\"");
    let mut line = vec![OsString::from("-c"), script.into(), program.into()];
    line.extend(args);
    WorkerCommand {
        program: "/bin/sh".into(),
        args: line,
        env,
    }
}

/// Workers that leave a line in a file when they are started.
struct Counted {
    supervisor: Supervisor,
    states: mpsc::Receiver<WorkerState>,
    dir: TempDir,
}

impl Counted {
    fn start(load: &str, change: impl FnOnce(&mut SupervisorConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let starts = dir.path().join("starts");
        let command = after(&format!("echo >> '{}'", starts.display()), load);
        let mut config = SupervisorConfig::new(command);
        (config.load_pause, config.back_off, config.max_back_off) = (MOMENT, MOMENT, MOMENT);
        change(&mut config);
        let supervisor = Supervisor::start(config);
        let (told, states) = mpsc::channel();
        supervisor.on_change(move |state| drop(told.send(state.clone())));
        Self {
            supervisor,
            states,
            dir,
        }
    }

    fn starts(&self) -> usize {
        lines(&self.dir.path().join("starts"))
    }

    fn wait_for(&self, wanted: impl Fn(&WorkerState) -> bool) {
        while !wanted(&self.states.recv_timeout(PATIENCE).unwrap()) {}
    }
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

fn is_failed(state: &WorkerState) -> bool {
    matches!(state, WorkerState::Failed { .. })
}

#[test]
fn an_engine_that_cannot_be_loaded_three_times_in_a_row_is_given_up() {
    // Two back-offs end within the test: the second give-up follows one more failure, not three.
    for load in ["load-fail", "load-crash"] {
        let counted = Counted::start(load, |config| {
            // Ends that lie further apart than this are no frequent ones.
            config.crash_window = Duration::ZERO;
            config.back_off = PROMISE;
            config.max_back_off = PROMISE;
        });
        for starts in 3..6 {
            counted.wait_for(is_failed);
            assert_eq!(counted.starts(), starts, "{load}");
        }
    }
}

#[test]
fn crashes_with_pictures_between_them_give_the_worker_up_too() {
    let counted = Counted::start("ok", |config| {
        (config.crash_limit, config.back_off) = (3, NEVER);
    });
    for crash in 1..=3 {
        ready(&counted.supervisor);
        assert_eq!(counted.starts(), crash);
        outcome(&counted.supervisor, "").unwrap();
        crash_reason(&counted.supervisor, "crash");
    }
    assert!(is_failed(&counted.supervisor.wait_loaded()));
}

#[test]
fn a_restart_is_no_crash_and_ends_what_runs() {
    let counted = Counted::start("ok", |config| {
        (config.crash_limit, config.back_off) = (1, NEVER);
    });
    ready(&counted.supervisor);
    let pid = counted.supervisor.pid();
    let ended = run(&counted.supervisor, request("hang"));
    counted.supervisor.restart();
    let reason = match ended.recv_timeout(PATIENCE).unwrap() {
        Err(RunError::Crashed { reason }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason, "it was told to start again");
    ready(&counted.supervisor);
    assert_ne!(counted.supervisor.pid(), pid);
    outcome(&counted.supervisor, "").unwrap();
}

#[test]
fn nobody_is_let_in_once_the_worker_was_told_to_go() {
    let counted = Counted::start("ok", |_| {});
    ready(&counted.supervisor);
    counted.supervisor.restart();
    counted.wait_for(|state| *state == WorkerState::Loading);
    // Also while the old one is not yet gone.
    let refused = counted
        .supervisor
        .run(request(""), Box::new(|_| {}), Box::new(|_| {}));
    assert_eq!(refused.unwrap_err(), Unavailable::Loading);
    ready(&counted.supervisor);
}

/// Helpers of a worker that outlive it: what they hold open, and the shell that starts them.
const HELPERS: [(&str, &str); 4] = [
    ("stderr, in its group", "sleep 20 > /dev/null &"),
    ("everything, in its group", "sleep 20 &"),
    ("stderr, away", "setsid sleep 20 > /dev/null &"),
    ("everything, away", "setsid sleep 20 &"),
];

#[test]
fn a_helper_that_outlives_the_worker_does_not_hold_up_the_news() {
    for (what, shell) in HELPERS {
        let supervisor =
            Supervisor::start(SupervisorConfig::new(after(&format!("{shell} true"), "ok")));
        ready(&supervisor);
        let ended = run(&supervisor, request("hang"));
        let start = Instant::now();
        kill(supervisor.pid().unwrap());
        let error = ended.recv_timeout(PATIENCE).unwrap().unwrap_err();
        let took = start.elapsed();
        println!("{what}: {took:?}");
        let reason = "the worker was ended by signal 9".to_owned();
        assert_eq!(error, RunError::Crashed { reason }, "{what}");
        assert!(took < PROMISE, "{what}: {took:?}");
        ready(&supervisor);
        outcome(&supervisor, "").unwrap();
    }
}

#[test]
fn a_helper_that_outlives_a_run_without_end_does_not_hold_up_the_news() {
    let after_this = Duration::from_millis(200);
    for (what, shell) in HELPERS {
        let mut config = SupervisorConfig::new(after(&format!("{shell} true"), "ok"));
        config.job_timeout = after_this;
        let supervisor = Supervisor::start(config);
        ready(&supervisor);
        let start = Instant::now();
        let error = outcome(&supervisor, "hang").unwrap_err();
        let took = start.elapsed().checked_sub(after_this).unwrap();
        println!("{what}: {took:?}");
        assert_eq!(error, RunError::TimedOut { after: after_this }, "{what}");
        assert!(took < PROMISE, "{what}: {took:?}");
        ready(&supervisor);
        outcome(&supervisor, "").unwrap();
    }
}

#[test]
fn a_worker_is_not_told_its_node_s_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let seen = dir.path().join("seen");
    // The shell stands in for a node: it has secrets in its environment and starts this test.
    let dump = format!("env > '{}'", seen.display());
    let mut config = SupervisorConfig::new(after(&dump, "ok"));
    config.command.env.push(("PLAIN".into(), "told".into()));
    if std::env::var_os("INCOMING_AUTH_TOKEN").is_none() {
        let this = std::env::current_exe().unwrap();
        let name = "trouble::a_worker_is_not_told_its_node_s_secrets";
        let status = std::process::Command::new(this)
            .args([name, "--exact"])
            .envs(SECRETS.map(|name| (name, "s3cret")))
            .status();
        assert!(status.unwrap().success());
        return;
    }
    let supervisor = Supervisor::start(config);
    ready(&supervisor);
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains("PLAIN=told"), "{seen}");
    assert!(seen.contains("PATH="), "{seen}");
    assert!(!seen.contains("s3cret"), "{seen}");
}

const SECRETS: [&str; 9] = [
    "INCOMING_AUTH_TOKEN",
    "RESULT_CALLBACK_AUTH_TOKEN",
    "LOAD_BALANCER_AUTH_TOKEN",
    "TRYON_CALLBACK_TOKEN",
    "TRYON_LINK_SIGNING_KEY",
    "TRYON_DATABASE_URL",
    "AWS_SECRET_ACCESS_KEY",
    "PGPASSWORD",
    "OTEL_EXPORTER_OTLP_HEADERS",
];
