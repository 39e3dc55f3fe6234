//! `tryon bench cluster`: what a job costs as nodes, the queue and history grow.

use std::{num::NonZeroUsize, time::Duration};

use clap::Args;
use image::{Rgb, RgbImage};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tryon_client::{Client, Clothes, Picture, Secret, Submission};
use tryon_core::{
    id::{AccountId, JobId},
    ledger::Pool,
    limit::Limits,
};
use tryon_picture::encode_jpeg;
use tryon_store::{NodeState, PostgresStore, Store as _, StoreError};
use url::Url;

use super::{
    fleet::Fleet,
    gateways::GatewayProcess,
    load::{self, Cost, Measured, Usage, Wave},
    waiting,
};
use crate::{
    command::{
        fresh_id,
        key::{self, Terms},
        now, store_failed,
    },
    failure::Failure,
};

/// How long anything that has to happen by itself is waited for.
const PATIENCE: Duration = Duration::from_mins(5);

/// What is run, and how far it is taken.
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// An empty database, which is filled: `postgres://user:password@host/database`
    #[arg(long, env = "TRYON_BENCH_DATABASE", hide_env_values = true)]
    database: String,
    /// Gateways, each a process
    #[arg(long, default_value = "2")]
    gateways: NonZeroUsize,
    /// Nodes, each with an engine's process
    #[arg(long, default_value = "1000")]
    nodes: NonZeroUsize,
    /// Seconds that an engine takes for a picture
    #[arg(long, default_value_t = 1.0, value_parser = waiting::seconds)]
    inference: f64,
    /// Jobs of each row of the table
    #[arg(long, default_value = "1000")]
    jobs: NonZeroUsize,
    /// Jobs that are under way at the same time, a row for each number; beyond the nodes they queue
    #[arg(long, value_delimiter = ',', default_value = "32")]
    in_flight: Vec<NonZeroUsize>,
    /// Seconds after which a client asks again for a job that takes long; a thousand clients that
    /// ask each second are a load of their own
    #[arg(long, default_value_t = 1.0, value_parser = waiting::seconds)]
    ask: f64,
    /// Jobs that are in the database before, ascending, rows for each number
    #[arg(long, value_delimiter = ',', default_value = "0")]
    history: Vec<u64>,
}

/// Measures it, and prints a table.
pub(crate) async fn run(args: &ClusterArgs) -> Result<(), Failure> {
    let cluster = Cluster::start(args).await?;
    println!(
        "{} gateways, {} nodes, {} s a picture, {} jobs a row",
        args.gateways, args.nodes, args.inference, args.jobs
    );
    println!(
        "costs are of one job, with what happens besides: milliseconds of a core, and what the"
    );
    println!(
        "database did; clients ask after 250 ms, twice that and so on, at most every {} s",
        args.ask
    );
    println!(
        "{:>9}{:>11}{:>9}{:>9}{:>9}{:>12}{:>13}{:>8}{:>9}{:>9}",
        "history",
        "in flight",
        "jobs/s",
        "p50 ms",
        "p99 ms",
        "gateway ms",
        "database ms",
        "trans.",
        "rows",
        "blocks"
    );
    // Connections are opened, statements prepared, and there is a job to make history of.
    let first = *args.in_flight.iter().min().unwrap_or(&NonZeroUsize::MIN);
    let warm = cluster.send(args.nodes.get().min(200), first).await?;
    cluster.wait_until_done(warm.last).await?;
    let mut copied = 0;
    for &history in &args.history {
        let kept = cluster.store.count_jobs().await.map_err(store_failed)?;
        let more = history.saturating_sub(kept);
        if more > 0 {
            let copy = cluster.store.copy_job(warm.last, copied + 1, copied + more);
            copy.await.map_err(store_failed)?;
            copied += more;
        }
        for &in_flight in &args.in_flight {
            cluster.measure(args.jobs.get(), in_flight).await?;
        }
    }
    let faults = cluster.store.audit().await.map_err(store_failed)?;
    cluster.end().await;
    if faults.is_empty() {
        println!("the books are right");
        return Ok(());
    }
    Err(Failure::new(format!("the books are wrong: {faults:?}"))
        .hint("this is a fault of tryon: please report it with the table"))
}

struct Cluster {
    gateways: Vec<GatewayProcess>,
    fleet: Fleet,
    store: PostgresStore,
    clients: Vec<Client>,
    submission: Submission,
    _folder: TempDir,
}

impl Cluster {
    async fn start(args: &ClusterArgs) -> Result<Self, Failure> {
        let store = open_empty(&args.database).await?;
        let folder = tempfile::tempdir().map_err(|error| {
            Failure::from_error("no folder for temporary files can be had", &error)
                .hint("`TMPDIR` names another")
        })?;
        let token = hex::encode(fresh_id());
        let key = make_customer(&store).await?;
        let mut gateways = Vec::new();
        for _ in 0..args.gateways.get() {
            gateways.push(GatewayProcess::start(
                folder.path(),
                &args.database,
                &token,
            )?);
        }
        let clients = gateways.iter().map(|gateway| {
            let client = Client::builder(&gateway.url, Secret::new(key.clone()));
            client.poll_only(Duration::from_secs_f64(args.ask)).build()
        });
        let clients = clients.collect::<Result<_, _>>()?;
        let urls = gateways.iter().map(|gateway| gateway.internal_url.parse());
        let urls: Vec<Url> = urls
            .collect::<Result<_, _>>()
            .expect("BUG: a gateway says where it is");
        let inference = Duration::from_secs_f64(args.inference);
        let nodes = args.nodes.get();
        let fleet = Fleet::start(nodes, &urls, (&token, inference), folder.path()).await?;
        let cluster = Self {
            gateways,
            fleet,
            store,
            clients,
            submission: submission(),
            _folder: folder,
        };
        cluster.wait_for_nodes(nodes).await?;
        Ok(cluster)
    }

    /// Waits until every node may be given work.
    async fn wait_for_nodes(&self, count: usize) -> Result<(), Failure> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let nodes = self.store.list_nodes().await.map_err(store_failed)?;
            let ready = nodes.iter().filter(|node| node.state == NodeState::Ready);
            if ready.count() >= count {
                return Ok(());
            }
            sleep(Duration::from_millis(500)).await;
        }
        Err(Failure::new("the nodes are not ready after five minutes")
            .hint("fewer of them may fit this machine: `--nodes`"))
    }

    /// Waits until nothing is left to be done of a job.
    async fn wait_until_done(&self, job: JobId) -> Result<(), Failure> {
        let begun = Instant::now();
        while !self.store.is_done(job).await.map_err(store_failed)? {
            if begun.elapsed() > PATIENCE {
                return Err(
                    Failure::new("a job's inputs are still kept after five minutes")
                        .hint("this is a fault of tryon: please report it"),
                );
            }
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    async fn send(&self, jobs: usize, in_flight: NonZeroUsize) -> Result<Measured, Failure> {
        let in_flight = in_flight.get();
        let wave = Wave { jobs, in_flight };
        load::send(&wave, &self.clients, &self.submission).await
    }

    /// Measures a row and prints it.
    async fn measure(&self, jobs: usize, in_flight: NonZeroUsize) -> Result<(), Failure> {
        let pids: Vec<_> = self.gateways.iter().map(GatewayProcess::pid).collect();
        let kept = self.store.count_jobs().await.map_err(store_failed)?;
        let before = Usage::read(&pids, &self.store).await?;
        let measured = self.send(jobs, in_flight).await?;
        let after = Usage::read(&pids, &self.store).await?;
        let Cost {
            gateways,
            database,
            transactions,
            rows,
            blocks,
        } = after.since(&before, jobs);
        let database = database.map_or_else(|| "–".to_owned(), |it| format!("{it:.2}"));
        let (p50, p99) = (0.5, 0.99);
        let [p50, p99] = [p50, p99].map(|share| measured.to_engine.value_at_quantile(share));
        println!(
            "{kept:>9}{in_flight:>11}{:>9.1}{p50:>9}{p99:>9}{gateways:>12.2}{database:>13}\
             {transactions:>8.1}{rows:>9.0}{blocks:>9.0}",
            measured.rate
        );
        Ok(())
    }

    async fn end(self) {
        self.fleet.shutdown().await;
        drop(self.gateways);
        self.store.close().await;
    }
}

/// Opens a database that was looked at before it is changed.
async fn open_empty(database: &str) -> Result<PostgresStore, Failure> {
    const HINT: &str = "`--database` names an empty one: `createdb bench` makes it";
    let used = || Failure::new("the database is in use, and would be filled").hint(HINT);
    let unusable =
        |error: StoreError| Failure::from_error("the database cannot be opened", &error).hint(HINT);
    match PostgresStore::open_to_read(database).await {
        Err(StoreError::OtherSchema { found: 0, .. }) => {}
        Err(StoreError::OtherSchema { .. }) => return Err(used()),
        Err(error) => return Err(unusable(error)),
        Ok(store) => {
            store.close().await;
            return Err(used());
        }
    }
    PostgresStore::open(database).await.map_err(unusable)
}

/// An account that lacks nothing, and its key.
async fn make_customer(store: &PostgresStore) -> Result<String, Failure> {
    const MANY: u32 = 2_000_000_000;
    let id = AccountId::from_bytes(fresh_id());
    let limits = Limits {
        tryon_per_minute: MANY,
        status_per_minute: MANY,
        credits_per_minute: MANY,
        concurrent_jobs: MANY,
    };
    let made = store.create_account(id, "bench", limits, now()).await;
    made.map_err(store_failed)?;
    let granted = store.grant_credits(id, Pool::Purchased, MANY, now()).await;
    granted.map_err(store_failed)?;
    key::create(id, "bench", Terms::UNLIMITED, store).await
}

/// Two pictures as clients send them, small, so that what is measured is not their decoding.
fn submission() -> Submission {
    let picture = RgbImage::from_pixel(96, 128, Rgb([90, 120, 150]));
    let jpeg = encode_jpeg(&picture, 85, "").expect("BUG: a plain picture is encodable");
    let picture = Picture::from_bytes(&jpeg).expect("BUG: a JPEG is a picture");
    Clothes::new(picture.clone(), picture).into()
}
