//! Everything there is in the laboratory.

use std::{
    error::Error,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Mutex,
    task::JoinSet,
};
use tryon_blob::{BlobError, Blobs};
use tryon_core::{
    secret::Secret,
    time::{Seconds, Timestamp},
};
use tryon_gateway::{App, Gateway, GatewayConfig, Listeners, clock::Clock as _, rate};
use tryon_store::{PostgresStore, Store};
use tryon_testkit::{
    fake_node::FakeNode, object_store::ObjectStore, postgres::PostgresServer, proxy::Proxy,
    receiver::Receiver, redis::Redis,
};

use super::{
    client::{Ended, Shopper},
    clock::{WorldClock, WrongClock},
    fault,
};
use crate::stage::{
    CALLBACK_TOKEN, Customer, GENEROUS, LINK_KEY, NODE_TOKEN, make_customer, node_config,
};

const CLIENTS: usize = 24;
const NODES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// How long a job may take, and a node may be silent.
pub(super) const DEADLINE: u64 = 90;
const LEASE: u64 = 8;

/// Credits that nobody spends in one run.
pub(super) const CREDITS: u32 = 4_000_000;

/// A gateway in a runtime of its own: when that is dropped, every task of it ends where it is, as in
/// a process that is killed.
pub(super) struct Machine {
    pub(super) clock: Arc<WrongClock>,
    running: Option<(Runtime, Gateway)>,
}

impl Machine {
    /// Stops all it does where it is, as a signal stops a process, for a while.
    pub(super) fn freeze(&self, pause: Duration) {
        if let Some((runtime, _)) = &self.running {
            // Its runtime has one thread.
            runtime.spawn(async move { thread::sleep(pause) });
        }
    }

    fn kill(&mut self) {
        if let Some((runtime, gateway)) = self.running.take() {
            runtime.shutdown_background();
            drop(gateway);
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(super) struct World {
    pub(super) random: std::sync::Mutex<StdRng>,
    pub(super) clock: Arc<WorldClock>,
    pub(super) database: PostgresServer,
    pub(super) redis: std::sync::Mutex<Redis>,
    pub(super) machines: Mutex<Vec<Machine>>,
    pub(super) nodes: Vec<Arc<FakeNode>>,
    /// Between clients and gateways, nodes and gateways, gateways and the bucket; then gateways and
    /// each node.
    pub(super) ways: Ways,
    pub(super) receiver: Receiver,
    /// Faults so far, apart from those that the ways met.
    pub(super) faults: Arc<AtomicUsize>,
    /// Faults are over.
    pub(super) peace: Arc<AtomicBool>,
    /// How the laboratory itself sees the store and the pictures.
    pub(super) store: Arc<dyn Store>,
    pub(super) blobs: Blobs,
    pub(super) customer: Customer,
    config: GatewayConfig,
    /// Where a gateway finds the bucket: behind its way.
    bucket_variables: Vec<(String, String)>,
    database_url: String,
    pub(super) bucket: ObjectStore,
}

pub(super) struct Ways {
    pub(super) public: Proxy,
    pub(super) internal: Proxy,
    pub(super) bucket: Proxy,
    pub(super) nodes: Vec<Proxy>,
}

impl Ways {
    pub(super) fn all(&self) -> Vec<&Proxy> {
        let services = [&self.public, &self.internal, &self.bucket];
        services.into_iter().chain(&self.nodes).collect()
    }
}

impl World {
    pub(super) async fn start(seed: u64) -> Self {
        let bucket = ObjectStore::start("shop");
        let ways = Ways {
            public: Proxy::start().await,
            internal: Proxy::start().await,
            bucket: Proxy::start().await,
            nodes: futures::future::join_all(NODES.map(|_| Proxy::start())).await,
        };
        let database = PostgresServer::start().unwrap();
        let database_url = database.create_database().unwrap();
        let store: Arc<dyn Store> = Arc::new(PostgresStore::open(&database_url).await.unwrap());
        let redis = Redis::start();
        let world = Self {
            random: StdRng::seed_from_u64(seed).into(),
            clock: WorldClock::start(),
            nodes: start_nodes(&ways).await,
            config: config(&ways, &redis),
            bucket_variables: lead_to_bucket(&bucket, &ways.bucket),
            blobs: open_bucket(bucket.variables()).await.unwrap(),
            customer: make_customer(&*store, 1, (CREDITS, GENEROUS)).await,
            machines: Mutex::default(),
            receiver: Receiver::start().await,
            faults: Arc::default(),
            peace: Arc::default(),
            redis: redis.into(),
            database,
            database_url,
            ways,
            store,
            bucket,
        };
        let mut machines = world.machines.lock().await;
        for _ in 0..2 {
            machines.push(world.boot(WrongClock::new(&world.clock)).await);
        }
        world.rewire(&machines);
        drop(machines);
        fault::unleash(&world);
        world
    }

    /// A gateway on what there is.
    async fn boot(&self, clock: Arc<WrongClock>) -> Machine {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (config, url) = (self.config.clone(), self.database_url.clone());
        let (variables, time) = (self.bucket_variables.clone(), Arc::clone(&clock));
        let gateway = runtime.spawn(async move {
            // A service that does not start, because another is down, is started again.
            loop {
                let parts = (config.clone(), Arc::clone(&time));
                match start_gateway(parts, &url, variables.clone()).await {
                    Ok(gateway) => return gateway,
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        let gateway = gateway.await.unwrap();
        Machine {
            clock,
            running: Some((runtime, gateway)),
        }
    }

    /// Kills a gateway and, after a while, starts it again.
    pub(super) async fn reboot(&self, index: usize, pause: Duration) {
        let mut machines = self.machines.lock().await;
        machines[index].kill();
        self.rewire(&machines);
        tokio::time::sleep(pause).await;
        let clock = Arc::clone(&machines[index].clock);
        machines[index] = self.boot(clock).await;
        self.rewire(&machines);
    }

    fn rewire(&self, machines: &[Machine]) {
        let running = || {
            machines
                .iter()
                .filter_map(|machine| machine.running.as_ref())
        };
        let public = running().map(|(_, gateway)| gateway.public_addr());
        self.ways.public.lead_to(public);
        let internal = running().map(|(_, gateway)| gateway.internal_addr());
        self.ways.internal.lead_to(internal);
    }

    /// Clients work until so many faults have been; then what they began ends in peace.
    pub(super) async fn live(&self, faults: usize) -> Vec<Ended> {
        let over = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let shopper = Shopper {
                url: format!("http://{}", self.ways.public.address()),
                key: self.customer.key.clone(),
                receiver: self.receiver.url(""),
                number,
                random: StdRng::seed_from_u64(self.draw(u64::MAX)),
            };
            clients.spawn(shopper.shop(Arc::clone(&over)));
        }
        while self.count() < faults {
            fault::inject(self).await;
            assert!(clients.try_join_next().is_none(), "a client gave up");
        }
        println!("{} faults were injected", self.count());
        self.make_peace().await;
        over.store(true, Ordering::Relaxed);
        clients.join_all().await.into_iter().flatten().collect()
    }

    async fn make_peace(&self) {
        self.peace.store(true, Ordering::Relaxed);
        for way in self.ways.all() {
            way.relent();
        }
        self.receiver.answer(200);
        for machine in &*self.machines.lock().await {
            machine.clock.jump(0);
        }
    }

    fn count(&self) -> usize {
        let met: usize = self.ways.all().iter().map(|way| way.harmed()).sum();
        met + self.faults.load(Ordering::Relaxed)
    }

    /// A number below `bound`.
    pub(super) fn draw(&self, bound: u64) -> u64 {
        self.random.lock().unwrap().random_range(0..bound)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

async fn start_nodes(ways: &Ways) -> Vec<Arc<FakeNode>> {
    let mut nodes = Vec::new();
    for way in &ways.nodes {
        let node = FakeNode::start().await;
        node.set_token(NODE_TOKEN);
        let results = format!("http://{}/internal/v1/results", ways.internal.address());
        node.report_to(&results, CALLBACK_TOKEN);
        let address: SocketAddr = node.url().trim_start_matches("http://").parse().unwrap();
        way.lead_to([address]);
        nodes.push(Arc::new(node));
    }
    nodes
}

fn config(ways: &Ways, redis: &Redis) -> GatewayConfig {
    let mut config = GatewayConfig::default();
    (config.server.port, config.server.internal_port) = (0, 0);
    let public = format!("http://{}", ways.public.address());
    config.server.public_url = Some(public.parse().unwrap());
    config.secrets.link_signing_key = Secret::new(LINK_KEY);
    config.callbacks.token = Secret::new(CALLBACK_TOKEN);
    config.rates.url = Some(Secret::new(redis.url()));
    config.storage.redirect = false;
    config.fetch.allowed_networks = vec!["127.0.0.1/32".parse().unwrap()];
    let nodes = NODES.iter().zip(&ways.nodes);
    let node =
        |(name, way): (&&str, &Proxy)| node_config(name, &format!("http://{}", way.address()));
    config.nodes = nodes.map(node).collect();
    config.jobs.deadline = Seconds::new(DEADLINE);
    config.jobs.lease = Seconds::new(LEASE);
    config.jobs.quarantine = Seconds::new(LEASE);
    config.jobs.max_lost = 6;
    config
}

async fn start_gateway(
    (config, clock): (GatewayConfig, Arc<WrongClock>),
    database: &str,
    bucket: Vec<(String, String)>,
) -> Result<Gateway, Box<dyn Error + Send + Sync>> {
    let store = PostgresStore::open(database).await?;
    let blobs = open_bucket(bucket).await?;
    let rates = rate::open(&config.rates).await?;
    let listeners = Listeners::bind(&config.server).await?;
    let app = App::new(config, Arc::new(store), blobs).with_clock(clock);
    Ok(Gateway::start_app(listeners, app.with_rates(rates)).await?)
}

async fn open_bucket(variables: Vec<(String, String)>) -> Result<Blobs, BlobError> {
    Blobs::bucket("s3://shop/lab", variables).await
}

fn lead_to_bucket(bucket: &ObjectStore, way: &Proxy) -> Vec<(String, String)> {
    let mut variables = bucket.variables();
    let named = variables
        .iter_mut()
        .find(|(name, _)| name == "AWS_ENDPOINT_URL");
    let (_, endpoint) = named.unwrap();
    way.lead_to([endpoint.trim_start_matches("http://").parse().unwrap()]);
    *endpoint = format!("http://{}", way.address());
    variables
}
