//! Processes are killed, stopped and started again at random while clients are at work.

use std::{
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use reqwest::blocking::{Client, RequestBuilder};
use rustix::process::Signal;
use serde_json::Value;
use tryon_testkit::postgres::PostgresServer;

use crate::{
    cluster::{Cluster, submission},
    process::{PATIENCE, Service, http_without_pool},
};

const CLIENTS: usize = 8;

/// How long a client waits before it asks again.
const PAUSE: Duration = Duration::from_millis(200);

/// A client that sends again what was not answered, as one that means to keep its jobs does.
struct Shopper {
    http: Client,
    url: String,
    key: String,
}

impl Shopper {
    /// One job from its submission to its picture. Whether it was completed.
    fn shop(&self, name: &str, body: &Value) -> Result<bool, String> {
        let submit = || {
            let request = self.http.post(format!("{}/api/v1/tryon/clothes", self.url));
            request.header("idempotency-key", name).json(body)
        };
        let submitted: Value = serde_json::from_slice(&self.persist(submit)?).unwrap();
        let id = submitted["id"].as_str().ok_or("no id")?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let ask = || self.http.get(format!("{}/api/v1/status/{id}", self.url));
            let status: Value = serde_json::from_slice(&self.persist(ask)?).unwrap();
            match status["status"].as_str() {
                Some("completed") => {
                    let link = status["output"][0].as_str().ok_or("no output")?;
                    let picture = self.persist(|| self.http.get(link))?;
                    image::load_from_memory(&picture).map_err(|error| error.to_string())?;
                    return Ok(true);
                }
                Some("failed") => return Ok(false),
                _ => thread::sleep(PAUSE),
            }
        }
        Err(format!("{id} does not end"))
    }

    /// What the answer says, once there is a whole one. A refusal is none to be asked for again.
    fn persist(&self, request: impl Fn() -> RequestBuilder) -> Result<Bytes, String> {
        let begun = Instant::now();
        loop {
            let problem = match request().bearer_auth(&self.key).send() {
                Ok(answer) if answer.status() == 200 => match answer.bytes() {
                    Ok(body) => return Ok(body),
                    Err(error) => format!("{error:?}"),
                },
                Ok(answer) if answer.status().is_client_error() => {
                    let status = answer.status();
                    return Err(format!("{status} {}", answer.text().unwrap_or_default()));
                }
                Ok(answer) => answer.status().to_string(),
                Err(error) => format!("{error:?}"),
            };
            if begun.elapsed() > PATIENCE {
                return Err(problem);
            }
            thread::sleep(PAUSE);
        }
    }
}

/// What is done to one of them.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// The database is killed.
    Database,
    /// A service is stopped for a while, and goes on.
    Stop(&'static str),
    /// A service finds its disk full for a while.
    Fill(&'static str),
    /// A service is killed wherever it is, and then once more at a point where it hurts.
    Kill(&'static str, &'static str),
}

/// Connections come to the second gateway while it is there.
const FAULTS: [Fault; 21] = [
    Fault::Database,
    Fault::Database,
    Fault::Database,
    Fault::Stop("gateway"),
    Fault::Stop("second"),
    Fault::Stop("node"),
    Fault::Fill("gateway"),
    Fault::Fill("second"),
    Fault::Fill("node"),
    Fault::Fill("node"),
    Fault::Kill("gateway", "gateway::after-202"),
    Fault::Kill("second", "gateway::after-blob"),
    Fault::Kill("second", "gateway::after-commit"),
    Fault::Kill("second", "gateway::after-202"),
    Fault::Kill("second", "gateway::during-callback"),
    Fault::Kill("second", "gateway::after-settlement"),
    Fault::Kill("node", "node::after-202"),
    Fault::Kill("node", "node::after-inference"),
    Fault::Kill("node", "node::after-spool"),
    Fault::Kill("node", "node::during-callback"),
    Fault::Kill("node", "node::after-callback"),
];

/// How long nothing may come by the point where a service is to be killed.
const LULL: Duration = Duration::from_secs(4);

/// Does harm, and mends it. Says what it did.
fn harm(
    fault: Fault,
    cluster: &mut Cluster,
    database: &PostgresServer,
    random: &mut StdRng,
) -> String {
    let pause = pause(random, 0..1500);
    match fault {
        Fault::Database => {
            database.kill();
            thread::sleep(pause);
            database.restart().unwrap();
            format!("the database was gone for {pause:?}")
        }
        Fault::Stop(victim) => {
            let stopped = service(cluster, victim).as_ref().unwrap();
            stopped.signal(Signal::STOP);
            thread::sleep(3 * pause);
            stopped.signal(Signal::CONT);
            format!("the {victim} was stopped for {:?}", 3 * pause)
        }
        Fault::Fill(victim) => {
            let filled = service(cluster, victim).as_ref().unwrap();
            filled.limit_files(Some(0));
            thread::sleep(3 * pause);
            filled.limit_files(None);
            format!("the disk of the {victim} was full for {:?}", 3 * pause)
        }
        Fault::Kill(victim, point) => {
            *service(cluster, victim) = None;
            thread::sleep(pause);
            start(cluster, victim, Some(point));
            let killed = service(cluster, victim).as_mut().unwrap();
            let reached = killed.wait_for(LULL).is_some();
            *service(cluster, victim) = None;
            start(cluster, victim, None);
            let met = if reached { "at" } else { "before" };
            format!("the {victim} was gone for {pause:?}, and was killed {met} {point}")
        }
    }
}

fn service<'a>(cluster: &'a mut Cluster, name: &str) -> &'a mut Option<Service> {
    match name {
        "gateway" => &mut cluster.gateway,
        "second" => &mut cluster.second,
        _ => &mut cluster.node,
    }
}

fn start(cluster: &mut Cluster, name: &str, point: Option<&str>) {
    match name {
        "gateway" => cluster.start_gateway(point),
        "second" => cluster.start_second(point),
        _ => cluster.start_node(point),
    }
}

fn pause(random: &mut StdRng, millis: Range<u64>) -> Duration {
    Duration::from_millis(random.random_range(millis))
}

/// `TRYON_TEST_SEED` does again what a run that failed had done; when each request meets it is
/// another matter.
#[test]
fn whatever_is_killed_no_job_is_lost_and_none_is_paid_twice() {
    let seed = std::env::var("TRYON_TEST_SEED").map_or_else(
        |_| rand::random(),
        |seed| seed.parse().expect("`TRYON_TEST_SEED` is a number"),
    );
    println!("TRYON_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let database = PostgresServer::start().unwrap();
    let mut cluster = Cluster::on(database.create_database().unwrap());
    cluster.unlimit();
    cluster.start_node(None);
    cluster.start_gateway(None);
    cluster.start_second(None);
    let (body, over) = (submission(), AtomicBool::new(false));
    let begun = Instant::now();
    let shopper = Shopper {
        // Who is stopped answers no more, and its connections stay.
        http: http_without_pool()
            .timeout(Duration::from_secs(5))
            .build()
            .unwrap(),
        url: cluster.public_url(),
        key: cluster.key().to_owned(),
    };
    let jobs: Vec<Result<bool, String>> = thread::scope(|scope| {
        let shop = |client| {
            let (shopper, body, over) = (&shopper, &body, &over);
            move || {
                let mut jobs = Vec::new();
                while !over.load(Ordering::Relaxed) && begun.elapsed() < PATIENCE {
                    jobs.push(shopper.shop(&format!("{client}/{}", jobs.len()), body));
                }
                jobs
            }
        };
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| scope.spawn(shop(client)))
            .collect();
        let mut faults = FAULTS;
        faults.shuffle(&mut random);
        for fault in faults {
            thread::sleep(pause(&mut random, 0..1500));
            println!("{}", harm(fault, &mut cluster, &database, &mut random));
        }
        over.store(true, Ordering::Relaxed);
        let ended = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap());
        ended.collect()
    });
    let wrong: Vec<_> = jobs.iter().filter_map(|job| job.as_ref().err()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let completed = jobs.iter().filter(|job| **job == Ok(true)).count();
    println!("{completed} of {} jobs were completed", jobs.len());
    assert!(2 * completed > jobs.len(), "most are");
    // A name that was sent again is one job.
    assert_eq!(cluster.jobs().len(), jobs.len());
    let completed = i64::try_from(completed).unwrap();
    assert_eq!(cluster.credits(), (10_010 - completed, 0));
    cluster.assert_clean();
}
