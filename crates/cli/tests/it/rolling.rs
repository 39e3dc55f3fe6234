//! Every process is ended and started again while clients are at work, as a deploy does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use reqwest::blocking::{Client, RequestBuilder};
use rustix::process::Signal;
use serde_json::Value;
use tryon_testkit::postgres::PostgresServer;

use crate::{
    cluster::{Cluster, connect, pass_on, submission},
    process::{PATIENCE, Service, http, http_without_pool},
};

const CLIENTS: usize = 20;

/// How often a client asks how its job stands.
const POLL: Duration = Duration::from_millis(300);

/// How often the load balancer asks the gateways whether they are ready. They drain for longer.
const CHECK: Duration = Duration::from_millis(200);

/// Which gateways were ready when they were asked last.
type Ready = Arc<[AtomicBool; 2]>;

/// Passes connections on to gateways that are ready, in turn. It tries no other where one does not
/// take the connection: what is sent to a gateway that is gone is lost.
fn balance(ports: [u16; 2]) -> (u16, Ready) {
    let ready = Ready::default();
    let checked = Arc::clone(&ready);
    thread::spawn(move || {
        let http = http();
        loop {
            for (port, ready) in ports.iter().zip(checked.iter()) {
                let answer = http.get(format!("http://127.0.0.1:{port}/readyz")).send();
                let is_ready = answer.is_ok_and(|answer| answer.status() == 200);
                ready.store(is_ready, Ordering::Relaxed);
            }
            thread::sleep(CHECK);
        }
    });
    let (turn, known) = (AtomicUsize::new(0), Arc::clone(&ready));
    let port = pass_on(move || {
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        let mut in_turn = (0..2).map(|index| (turn + index) % 2);
        let chosen = in_turn.find(|index| known[*index].load(Ordering::Relaxed))?;
        connect(ports[chosen])
    });
    (port, ready)
}

/// Waits until both gateways are sent to: who deploys waits for one before the other is ended.
fn wait_for_both(ready: &Ready) {
    let begun = Instant::now();
    while !ready.iter().all(|ready| ready.load(Ordering::Relaxed)) {
        assert!(begun.elapsed() < PATIENCE, "a gateway is not ready");
        thread::sleep(CHECK);
    }
}

/// As the published client: it never sends anything again, and what is not a 200 is an error.
struct Shopper {
    http: Client,
    /// Where it finds the gateways.
    url: String,
    /// Where links say that they are.
    public_url: String,
    key: String,
}

impl Shopper {
    /// One job from its submission to its picture.
    fn shop(&self, body: &Value) -> Result<(), String> {
        let submitted = self.http.post(format!("{}/api/v1/tryon/clothes", self.url));
        let submitted = self.ask(submitted.json(body))?;
        let id = submitted["id"].as_str().ok_or("no id")?;
        let begun = Instant::now();
        let status = loop {
            let status = self.ask(self.http.get(format!("{}/api/v1/status/{id}", self.url)))?;
            if status["status"] != "processing" {
                break status;
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("{id} does not end"));
            }
            thread::sleep(POLL);
        };
        let link = status["output"][0].as_str().ok_or(status.to_string())?;
        let here = link.replace(&self.public_url, &self.url);
        let picture = self.http.get(here).send().map_err(|it| format!("{it:?}"))?;
        match picture.status().as_u16() {
            200 => Ok(()),
            other => Err(format!("{other} for {link}")),
        }
    }

    fn ask(&self, request: RequestBuilder) -> Result<Value, String> {
        let answer = request.bearer_auth(&self.key).send();
        let answer = answer.map_err(|error| format!("{error:?}"))?;
        let status = answer.status();
        let text = answer.text().map_err(|error| format!("{error:?}"))?;
        if status != 200 {
            return Err(format!("{status} {text}"));
        }
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }
}

/// Ends each process as a deploy does and starts it again, twice. Returns how they ended.
fn restart_all(cluster: &mut Cluster, ready: &Ready) -> Vec<i32> {
    let mut ends = Vec::new();
    for _ in 0..2 {
        ends.push(end(&mut cluster.second));
        cluster.start_second(None);
        wait_for_both(ready);
        ends.push(end(&mut cluster.gateway));
        cluster.start_gateway(None);
        wait_for_both(ready);
        ends.push(end(&mut cluster.node));
        cluster.start_node(None);
    }
    ends
}

fn end(service: &mut Option<Service>) -> i32 {
    let mut service = service.take().unwrap();
    service.signal(Signal::TERM);
    service.wait()
}

#[test]
fn a_rolling_restart_is_noticed_by_no_client() {
    let database = PostgresServer::shared().create_database().unwrap();
    let mut cluster = Cluster::on(database);
    cluster.unlimit();
    cluster.start_node(None);
    cluster.start_gateway(None);
    cluster.start_second(None);
    let (port, ready) = balance(cluster.gateway_ports());
    wait_for_both(&ready);
    let url = format!("http://127.0.0.1:{port}");
    let (body, restarted) = (submission(), AtomicBool::new(false));
    let shoppers: Vec<_> = (0..CLIENTS)
        .map(|_| Shopper {
            http: http_without_pool().build().unwrap(),
            url: url.clone(),
            public_url: cluster.public_url(),
            key: cluster.key().to_owned(),
        })
        .collect();
    let outcomes = thread::scope(|scope| {
        let clients: Vec<_> = shoppers
            .iter()
            .map(|shopper| {
                scope.spawn(|| {
                    let (mut jobs, begun) = (0, Instant::now());
                    let over =
                        || restarted.load(Ordering::Relaxed) || begun.elapsed() > 2 * PATIENCE;
                    while jobs == 0 || !over() {
                        shopper.shop(&body)?;
                        jobs += 1;
                    }
                    Ok(jobs)
                })
            })
            .collect();
        let ends = restart_all(&mut cluster, &ready);
        restarted.store(true, Ordering::Relaxed);
        assert!(ends.iter().all(|status| *status == 0), "{ends:?}");
        let ended = clients.into_iter().map(|client| client.join().unwrap());
        ended.collect::<Vec<Result<i64, String>>>()
    });
    let failed: Vec<_> = outcomes.iter().filter_map(|it| it.as_ref().err()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let jobs: i64 = outcomes.iter().flatten().sum();
    assert_eq!(cluster.credits(), (10_010 - jobs, 0));
    cluster.assert_clean();
}
