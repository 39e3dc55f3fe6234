//! Clients, what their jobs take, and what they cost.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::{sync::Semaphore, task::JoinSet};
use tryon_client::{Client, JobId, Submission};
use tryon_store::PostgresStore;

use super::waiting::{find_beginning, millis_now};
use crate::{client, command::store_failed, failure::Failure};

/// Submissions that are sent at the same time: connections, not jobs.
const SENDERS: usize = 32;

/// How long the server's sessions may keep to themselves what they did.
const TOLD: Duration = Duration::from_secs(2);

/// Jobs that clients send, so many of them under way at the same time.
pub(super) struct Wave {
    pub(super) jobs: usize,
    pub(super) in_flight: usize,
}

/// What became of a wave.
pub(super) struct Measured {
    /// Jobs that ended in a second.
    pub(super) rate: f64,
    /// Milliseconds from a submission until the engine began.
    pub(super) to_engine: Histogram<u64>,
    /// One of the jobs.
    pub(super) last: JobId,
}

/// Sends a wave to `clients` by turns, and waits for its end.
pub(super) async fn send(
    wave: &Wave,
    clients: &[Client],
    submission: &Submission,
) -> Result<Measured, Failure> {
    let left = Arc::new(AtomicUsize::new(wave.jobs));
    let senders = Arc::new(Semaphore::new(SENDERS));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (_, client) in (0..wave.in_flight).zip(clients.iter().cycle()) {
        let shopper = Shopper {
            client: client.clone(),
            submission: submission.clone(),
            senders: Arc::clone(&senders),
            left: Arc::clone(&left),
        };
        tasks.spawn(shopper.shop());
    }
    let mut to_engine = histogram();
    let mut last = None;
    while let Some(done) = tasks.join_next().await {
        let (times, job) = done.expect("BUG: no client panics")?;
        to_engine
            .add(times)
            .expect("BUG: both have the same bounds");
        last = job.or(last);
    }
    let last = last.expect("BUG: a wave has a job");
    let jobs = u32::try_from(wave.jobs).unwrap_or(u32::MAX);
    Ok(Measured {
        rate: f64::from(jobs) / began.elapsed().as_secs_f64(),
        to_engine,
        last,
    })
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 24 * 60 * 60 * 1000, 3).expect("BUG: the bounds are in order")
}

/// Makes one job after the other.
struct Shopper {
    client: Client,
    submission: Submission,
    senders: Arc<Semaphore>,
    left: Arc<AtomicUsize>,
}

impl Shopper {
    async fn shop(self) -> Result<(Histogram<u64>, Option<JobId>), Failure> {
        let (mut times, mut last) = (histogram(), None);
        let next = |left: usize| left.checked_sub(1);
        while self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .is_ok()
        {
            let permit = self.senders.acquire().await;
            let submitted = millis_now();
            let id = self.client.submit(&self.submission).await?;
            drop(permit);
            let outputs = self.client.wait(id).await?.outputs;
            let permit = self.senders.acquire().await;
            for output in &outputs {
                let picture = client::download(&self.client, output).await?;
                let began = find_beginning(&picture).ok_or_else(|| {
                    Failure::new("a picture does not say when it was begun")
                        .hint("another engine than the benchmark's made it: whose are the nodes?")
                })?;
                let took = u64::try_from(began.saturating_sub(submitted)).unwrap_or(u64::MAX);
                times.saturating_record(took.max(1));
            }
            drop(permit);
            last = Some(id);
        }
        Ok((times, last))
    }
}

/// What the services have used so far.
pub(super) struct Usage {
    /// Of the gateways' processes.
    gateways: Duration,
    /// Of the database's processes for this database, where they are on this machine.
    database: Option<Duration>,
    load: tryon_store::postgres::Load,
}

impl Usage {
    /// Reads it, once what was done before is told.
    pub(super) async fn read(gateways: &[i32], store: &PostgresStore) -> Result<Self, Failure> {
        tokio::time::sleep(TOLD).await;
        let load = store.read_load().await.map_err(store_failed)?;
        let backends = store.list_backends().await.map_err(store_failed)?;
        Ok(Self {
            gateways: gateways.iter().filter_map(|pid| cpu_time(*pid, None)).sum(),
            database: backends
                .iter()
                .filter_map(|pid| cpu_time(*pid, Some("postgres")))
                .reduce(|all, one| all + one),
            load,
        })
    }

    /// What it cost since `before`, for each of `jobs`.
    pub(super) fn since(&self, before: &Self, jobs: usize) -> Cost {
        let jobs = f64::from(u32::try_from(jobs).unwrap_or(u32::MAX));
        let millis = |time: Duration| time.as_secs_f64() * 1e3 / jobs;
        #[expect(
            clippy::cast_precision_loss,
            reason = "figures of a few digits are shown"
        )]
        let count = |now: i64, then: i64| (now - then) as f64 / jobs;
        let database = self.database.zip(before.database);
        Cost {
            gateways: millis(self.gateways.saturating_sub(before.gateways)),
            database: database.map(|(now, then)| millis(now.saturating_sub(then))),
            transactions: count(self.load.transactions, before.load.transactions),
            rows: count(self.load.rows, before.load.rows),
            blocks: count(self.load.blocks, before.load.blocks),
        }
    }
}

/// What a job cost.
pub(super) struct Cost {
    /// Milliseconds of a core, of all gateways together.
    pub(super) gateways: f64,
    /// The same of the database, where it is on this machine.
    pub(super) database: Option<f64>,
    pub(super) transactions: f64,
    pub(super) rows: f64,
    pub(super) blocks: f64,
}

/// The processor time that a process has used, if it has this name.
fn cpu_time(pid: i32, name: Option<&str>) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Its name, in parentheses, may hold anything.
    let (named, fields) = text.rsplit_once(") ")?;
    if name.is_some_and(|name| !named.ends_with(&format!("({name}"))) {
        return None;
    }
    let mut fields = fields.split(' ').skip(11).map(str::parse::<u64>);
    let (user, system) = (fields.next()?.ok()?, fields.next()?.ok()?);
    let ticks = rustix::param::clock_ticks_per_second();
    Some(Duration::from_millis((user + system) * 1000 / ticks.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_used_what_it_has_used() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let before = cpu_time(pid, None).unwrap();
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(200) {}
        assert!(cpu_time(pid, None).unwrap() > before);
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        assert!(cpu_time(pid, Some(name.trim())).is_some());
        assert_eq!(cpu_time(pid, Some("another")), None);
    }
}
