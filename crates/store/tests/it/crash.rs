//! Processes on one database that are killed in the middle of their writes.

use std::{
    collections::HashSet,
    env,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdout, Command, Stdio},
};

use tokio::task::JoinSet;
use tryon_core::id::JobId;

use crate::{
    fixture::{at, dispatch, inputs, job_id, new_job, output, ready_nodes, rich_account},
    place::{Place, Shared, open},
};

/// The database that a child process writes to.
const LOCATION: &str = "TRYON_STORE_TEST_LOCATION";
/// The first job number of a child process.
const FIRST: &str = "TRYON_STORE_TEST_FIRST";

/// What the child says after each answer of its store, so that its killer knows what was promised.
fn say(word: &str, what: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "@ {word} {what}")
        .and_then(|()| out.flush())
        .unwrap();
}

/// Not a test of its own: the process that the tests below start and kill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a child process of the tests beside it"]
async fn child() {
    let (location, first) = (env::var(LOCATION).unwrap(), env::var(FIRST).unwrap());
    let first: u32 = first.parse().unwrap();
    let store = open(&location).await;
    let mut loops = JoinSet::new();
    for lane in 0..2 {
        loops.spawn(write_jobs(store.clone(), first + lane * 10_000));
    }
    loops.spawn(serve_jobs(store));
    loops.join_all().await;
}

async fn write_jobs(store: Shared, first: u32) {
    for number in first.. {
        let job = job_id(number);
        store
            .submit_job(new_job(number, 1 + u64::from(number % 3)), at(1))
            .await
            .unwrap();
        say("submitted", job);
        store
            .finish_preparation(job, inputs(job), at(1))
            .await
            .unwrap();
    }
}

async fn serve_jobs(store: Shared) {
    loop {
        for given in store.claim_dispatch(at(2), at(60), 2).await.unwrap() {
            say("claimed", given.attempt);
            let key = given.attempt.to_string();
            store
                .complete_sample(given.attempt, output(&key), at(3))
                .await
                .unwrap();
            say("completed", given.attempt);
        }
        tokio::task::yield_now().await;
    }
}

struct Writer {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Writer {
    fn start(place: &Place, first: u32) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "crash::child", "--ignored", "--nocapture"])
            .env(LOCATION, place.location())
            .env(FIRST, first.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads this many of its answers.
    fn read(&mut self, count: usize) -> Vec<(String, String)> {
        let answers = self.lines.by_ref().map(Result::unwrap).filter_map(|line| {
            let (word, what) = line.strip_prefix("@ ")?.split_once(' ')?;
            Some((word.to_owned(), what.to_owned()))
        });
        answers.take(count).collect()
    }

    /// Kills it with SIGKILL, and reads what it had still said.
    fn kill(mut self) -> Vec<(String, String)> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.read(usize::MAX)
    }
}

async fn check_promises(store: &Shared, promises: &[(String, String)]) {
    assert_eq!(store.audit().await.unwrap(), []);
    for (word, what) in promises {
        let job: JobId = what[..24].parse().unwrap();
        let found = store.find_job(job).await.unwrap();
        let found = found.unwrap_or_else(|| panic!("{word} {what} was promised and is gone"));
        if word == "completed" {
            let kept = found
                .samples
                .iter()
                .filter_map(|sample| sample.output.as_ref());
            assert!(
                kept.map(|output| &output.key).any(|key| key == what),
                "{what}"
            );
        }
    }
}

on_each! {
    a_killed_process_leaves_what_it_promised_and_nothing_half_done,
    two_processes_never_claim_the_same_attempt,
}

async fn a_killed_process_leaves_what_it_promised_and_nothing_half_done(place: &Place) {
    let store = place.open().await;
    rich_account(&**store, 1_000_000).await;
    let mut promises = Vec::new();
    for round in 0..8 {
        ready_nodes(&**store, &["a", "b", "c"]).await;
        let mut writer = Writer::start(place, round * 100_000);
        promises.extend(writer.read(15 + 37 * round as usize));
        promises.extend(writer.kill());
        place.end_connections().await;
        check_promises(&store, &promises).await;
        release_nodes(&store).await;
    }
    store.close().await;
    // Not only the log's reader knows: the file alone does.
    check_promises(&place.open().await, &promises).await;
}

/// What the killed process had claimed is given up, as the sweep does when the lease runs out.
async fn release_nodes(store: &Shared) {
    for lease in store.list_expired_leases(at(60), 1000).await.unwrap() {
        assert!(store.defer_attempt(lease.attempt, at(1)).await.unwrap());
    }
    let nodes = store.list_nodes().await.unwrap();
    assert!(nodes.iter().all(|node| node.attempt.is_none()), "{nodes:?}");
}

async fn two_processes_never_claim_the_same_attempt(place: &Place) {
    let store = place.open().await;
    rich_account(&**store, 1_000_000).await;
    ready_nodes(&**store, &["a", "b", "c"]).await;
    let mut writers = [0, 100_000].map(|first| Writer::start(place, first));
    let mut said = Vec::new();
    for writer in &mut writers {
        said.extend(writer.read(150));
    }
    for writer in writers {
        said.extend(writer.kill());
    }
    let claimed: Vec<&String> = said
        .iter()
        .filter_map(|(word, what)| (word == "claimed").then_some(what))
        .collect();
    let distinct: HashSet<_> = claimed.iter().collect();
    assert_eq!(claimed.len(), distinct.len());
    assert!(claimed.len() > 20, "{}", claimed.len());
    check_promises(&store, &said).await;
    assert!(dispatch(&**store, 2).await.len() <= 3);
}
