//! A node's life: start, leftovers of an earlier life, end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, task::JoinHandle, task::spawn_blocking, time};
use tokio_util::sync::CancellationToken;
use tryon_engine::supervisor::Supervisor;

use crate::{
    app::App,
    clock,
    config::{ConfigFault, NodeConfig},
    delivery::Parcel,
    ending,
    registration::Registrar,
    route, server,
    spool::{Document, Leftover, Outcome, Spool, SpoolError},
};

/// How often ended jobs are forgotten on disk.
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong, in each of these ways.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Config(Vec<ConfigFault>),
    /// The address cannot be listened on.
    #[error("`{host}:{port}` cannot be listened on: {source}")]
    Bind {
        /// `server.host`.
        host: String,
        /// `server.port`.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// The spool cannot be opened.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Callbacks cannot be sent.
    #[error("the client for callbacks cannot be set up: {0}")]
    Client(#[from] reqwest::Error),
}

/// A node that serves. Dropped without [`Node::shutdown`], it stops listening at once; what it
/// was doing is then told by the next node that opens the same spool.
pub struct Node {
    app: Arc<App>,
    local_addr: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<()>,
    /// Cancelled first of all: nothing more is to be given to the node.
    leave: CancellationToken,
    registrar: Option<JoinHandle<()>>,
}

impl Node {
    /// Binds the address, delivers what an earlier process left in the spool, and serves.
    ///
    /// The engine need not be loaded: until it is, jobs are refused and everything else is
    /// answered.
    pub async fn start(config: NodeConfig, supervisor: Supervisor) -> Result<Self, StartError> {
        let faults = config.faults();
        if !faults.is_empty() {
            return Err(StartError::Config(faults));
        }
        let listener = bind(&config).await?;
        let local_addr = listener
            .local_addr()
            .map_err(|source| unbindable(&config, source))?;
        let client = build_client()?;
        let spool = config.spool.clone();
        let opened = spawn_blocking(move || Spool::open(&spool)).await;
        let (spool, leftover) = opened.expect("BUG: opening the spool does not panic")?;
        let limits = config.limits.clone();
        let registrar = Registrar::new(client.clone(), &config);
        let app = App::new(config, supervisor, client, spool);
        if !app.courier.has_receiver() {
            tracing::warn!("`asset_service.callback_url` is not set: results are discarded");
        }
        app.take_over(leftover).await;
        let stop = CancellationToken::new();
        tokio::spawn(sweep(Arc::clone(&app), stop.clone()));
        let router = route::router(Arc::clone(&app));
        let server = tokio::spawn(server::serve(listener, router, limits, stop.clone()));
        tracing::info!(%local_addr, node_id = app.config.server.node_id, "the node listens");
        let leave = CancellationToken::new();
        let registrar = registrar.map(|registrar| tokio::spawn(registrar.run(leave.clone())));
        Ok(Self {
            app,
            local_addr,
            stop,
            server,
            leave,
            registrar,
        })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Stops: has the gateways that it registered with told, accepts no job any more, lets the running one end within
    /// `limits.shutdown_grace`, finishes the deliveries that are on the wire, ends the worker and
    /// closes. What was not delivered stays in the spool for the next start; a job that did not
    /// end in time is reported as interrupted.
    pub async fn shutdown(mut self) {
        self.leave.cancel();
        let grace = self.app.config.limits.shutdown_grace.duration();
        self.app.finish_jobs(grace).await;
        self.stop.cancel();
        let closed = async {
            tokio::join!(self.app.courier.stop(), self.app.notices.stop());
            if let Some(registrar) = &mut self.registrar {
                let _ = registrar.await;
            }
            // The server's own end is bounded, and a panic in it has nothing to tell here.
            let _ = (&mut self.server).await;
        };
        // Each delivery on the wire is bounded by the callback's timeout.
        let longest = self.app.config.asset_service.timeout.duration() + Duration::from_secs(10);
        if time::timeout(longest, closed).await.is_err() {
            tracing::warn!("some deliveries are left to the next start");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
        // It stops calling without a word, as a node that is killed does.
        if let Some(registrar) = &self.registrar {
            registrar.abort();
        }
        self.app.courier.halt();
    }
}

async fn bind(config: &NodeConfig) -> Result<TcpListener, StartError> {
    let address = (config.server.host.as_str(), config.server.port);
    TcpListener::bind(address)
        .await
        .map_err(|source| unbindable(config, source))
}

fn unbindable(config: &NodeConfig, source: io::Error) -> StartError {
    let (host, port) = (config.server.host.clone(), config.server.port);
    StartError::Bind { host, port, source }
}

pub(crate) fn build_client() -> reqwest::Result<reqwest::Client> {
    // Fails when the process chose a provider already, which then is the one to use.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("tryon-node/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(5))
        // A token goes to the address it was configured for and nowhere else.
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

async fn sweep(app: Arc<App>, stop: CancellationToken) {
    let mut ticks = time::interval(SWEEP_INTERVAL);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let spool = Arc::clone(&app.spool);
        if let Ok(Err(error)) = spawn_blocking(move || spool.sweep()).await {
            tracing::warn!(%error, "ended jobs cannot be forgotten");
        }
    }
}

impl App {
    /// Goes on where an earlier process stopped.
    async fn take_over(&self, leftover: Leftover) {
        for (job_id, ago) in leftover.ended {
            self.recent.end_earlier(&job_id, ago);
        }
        for job_id in leftover.waiting {
            self.recent.insert(&job_id);
            self.courier.take(Parcel::Spooled { job_id });
        }
        for record in leftover.interrupted {
            tracing::warn!(
                job_id = record.job_id,
                "the job was interrupted by a restart"
            );
            self.recent.insert(&record.job_id);
            self.notices.job_complete(&record.job_id);
            let head = record.result_head(&self.config.server.node_id, 0);
            let outcome = Outcome::Error(ending::interrupted());
            let document = Document {
                head,
                outcome,
                ended_at: clock::now(),
                trace: record.trace,
            };
            self.send_off(document, bytes::Bytes::new()).await;
        }
    }
}
