//! A gateway from its start to its end.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tryon_blob::Blobs;
use tryon_store::{Store, StoreError};
use url::Url;

use crate::{
    app::App,
    callback::{self, Reports},
    certificate::{self, Certificate, CertificateError},
    config::{ConfigFault, GatewayConfig, ServerConfig},
    dispatch::{self, Fleet, Outcomes, specs},
    fetch::Fetcher,
    follow,
    input::Inputs,
    listener,
    oidc::Provider,
    pace, password,
    prepare::Preparer,
    rate::{self, RedisError},
    route, sweep, wake,
    webhook::Messenger,
};

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot work.
    #[error("the configuration has faults: {}", list(.0))]
    Config(Vec<ConfigFault>),
    /// A listener's address is taken, or is none of this machine's.
    #[error("cannot listen on `{host}:{port}`; set `{key}` to a free one")]
    Bind {
        /// The setting that names the port.
        key: &'static str,
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The public listener's certificate cannot be shown.
    #[error("the public listener cannot speak TLS")]
    Certificate(#[from] CertificateError),
    /// The client for nodes, pictures and the provider that people sign in at cannot be built.
    #[error("the HTTP client cannot be built")]
    Client(#[from] reqwest::Error),
    /// Requests cannot be counted where they are to be.
    #[error("requests cannot be counted at `rates.url`")]
    Rates(#[from] RedisError),
    /// The store does not take the configured nodes.
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
}

fn list(faults: &[ConfigFault]) -> String {
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    faults.join("; ")
}

/// The gateway's two sockets, open before it answers on them: whoever starts its nodes in the same
/// process knows where they report to before the gateway knows where they are.
#[derive(Debug)]
pub struct Listeners {
    public: TcpListener,
    internal: TcpListener,
    /// What the public one shows, where it speaks TLS.
    certificate: Option<Arc<Certificate>>,
    server: ServerConfig,
    public_addr: SocketAddr,
    internal_addr: SocketAddr,
}

impl Listeners {
    /// Opens both. Clients that connect wait until the gateway has started.
    pub async fn bind(server: &ServerConfig) -> Result<Self, StartError> {
        let mut server = server.clone();
        let certificate = Certificate::open(&server).await?;
        let public = bind("server.port", &server.host, server.port).await?;
        let internal = bind(
            "server.internal_port",
            &server.internal_host,
            server.internal_port,
        )
        .await?;
        let (public, public_addr) = public;
        let (internal, internal_addr) = internal;
        // From here on the ports are those that the system chose.
        server.port = public_addr.port();
        server.internal_port = internal_addr.port();
        Ok(Self {
            public,
            internal,
            certificate,
            server,
            public_addr,
            internal_addr,
        })
    }

    /// The address of the public one.
    pub const fn public_addr(&self) -> SocketAddr {
        self.public_addr
    }

    /// The address of the one that nodes report to.
    pub const fn internal_addr(&self) -> SocketAddr {
        self.internal_addr
    }

    /// Where nodes on this machine deliver results: their `asset_service.callback_url`.
    pub fn callback_url(&self) -> Url {
        internal_url(&self.server, callback::path::RESULTS)
    }

    /// What nodes on this machine tell that their device is free: their `load_balancer.url`.
    pub fn load_balancer_url(&self) -> Url {
        internal_url(&self.server, "/")
    }
}

fn internal_url(server: &ServerConfig, path: &str) -> Url {
    let url = format!("{}{path}", server.internal_base());
    url.parse().expect("BUG: a bound address is part of a URL")
}

async fn bind(
    key: &'static str,
    host: &str,
    port: u16,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let unbindable = |source| StartError::Bind {
        key,
        host: host.to_owned(),
        port,
        source,
    };
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    let listener = TcpListener::bind((plain, port)).await.map_err(unbindable)?;
    let address = listener.local_addr().map_err(unbindable)?;
    Ok((listener, address))
}

/// A gateway that runs. Dropping it stops it without waiting for anything; what it was at is taken
/// up by the next start.
pub struct Gateway {
    app: Arc<App>,
    public_addr: SocketAddr,
    internal_addr: SocketAddr,
    /// Ends the loops.
    stop: CancellationToken,
    /// Ends the public listener, after them.
    stop_public: CancellationToken,
    /// Ends the internal listener, last.
    stop_internal: CancellationToken,
    /// The loops, and what they are at.
    tasks: TaskTracker,
    public: JoinHandle<()>,
    internal: JoinHandle<()>,
}

impl Gateway {
    /// Starts a gateway: checks the configuration, opens both listeners, and begins to work on
    /// what the store holds. Of the configuration, `database` and `storage` are the caller's to
    /// open as `store` and `blobs`.
    pub async fn start(
        config: GatewayConfig,
        store: Arc<dyn Store>,
        blobs: Blobs,
    ) -> Result<Self, StartError> {
        check(&config)?;
        let listeners = Listeners::bind(&config.server).await?;
        Self::start_on(listeners, config, store, blobs).await
    }

    /// The same on listeners that were opened before, with the `server` that they were opened for.
    pub async fn start_on(
        listeners: Listeners,
        config: GatewayConfig,
        store: Arc<dyn Store>,
        blobs: Blobs,
    ) -> Result<Self, StartError> {
        check(&config)?;
        let rates = rate::open(&config.rates).await?;
        let app = App::new(config, store, blobs).with_rates(rates);
        // An app is large, and so is what waits for it to start.
        Box::pin(Self::start_app(listeners, app)).await
    }

    /// The same with an app that has its own clock, randomness or count of requests.
    pub async fn start_app(listeners: Listeners, mut app: App) -> Result<Self, StartError> {
        app.config.server = listeners.server.clone();
        app.provider = Provider::of(&app.config)?.map(Box::new);
        app.store.sync_nodes(&specs(&app.config.nodes)).await?;
        let work = Work::default();
        let fleet = Fleet::new(&app.config, work.tasks.clone(), work.stop.clone())?;
        let fetcher = Fetcher::new(&app.config.fetch)?;
        let app = Arc::new(app);
        let outcomes = Outcomes {
            app: Arc::clone(&app),
            fleet: Arc::new(fleet),
        };
        // Whoever acts on an attempt knows its node from the start.
        outcomes.refresh_fleet().await?;
        tokio::task::spawn_blocking(password::prepare);
        let inputs = Inputs::new(Arc::clone(&app), fetcher);
        let preparer = Preparer::new(Arc::clone(&app), inputs.clone());
        let messenger = Messenger::new(Arc::clone(&app))?;
        let (public_addr, internal_addr) = (listeners.public_addr, listeners.internal_addr);
        if let Some(certificate) = &listeners.certificate {
            work.follow(certificate);
        }
        let (public, internal) = work.serve(listeners, (&outcomes, inputs));
        work.start_loops(&outcomes, &preparer);
        work.start_messenger(messenger);
        tracing::info!(%public_addr, %internal_addr, "the gateway listens");
        Ok(Self {
            app,
            public_addr,
            internal_addr,
            stop: work.stop,
            stop_public: work.stop_public,
            stop_internal: work.stop_internal,
            tasks: work.tasks,
            public,
            internal,
        })
    }

    /// The address of the public listener.
    pub const fn public_addr(&self) -> SocketAddr {
        self.public_addr
    }

    /// The address of the listener that nodes report to.
    pub const fn internal_addr(&self) -> SocketAddr {
        self.internal_addr
    }

    /// Where nodes on this machine deliver results: their `asset_service.callback_url`.
    pub fn callback_url(&self) -> Url {
        internal_url(&self.app.config.server, callback::path::RESULTS)
    }

    /// What nodes on this machine tell that their device is free: their `load_balancer.url`.
    pub fn load_balancer_url(&self) -> Url {
        internal_url(&self.app.config.server, "/")
    }

    /// What its parts share.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Stops: says that it is not ready and takes no more work; takes no more connections once
    /// `limits.drain` is over; and lets what is under way end within `limits.shutdown`. Results are
    /// taken until the last. Jobs that have not ended are in the store, and go on with the next
    /// start or at another gateway.
    pub async fn shutdown(mut self) {
        self.app.draining.cancel();
        self.stop.cancel();
        self.tasks.close();
        tokio::time::sleep(self.app.config.limits.drain.duration()).await;
        self.stop_public.cancel();
        let within = self.app.config.limits.shutdown.duration();
        let (ended, _) = tokio::join!(timeout(within, self.tasks.wait()), &mut self.public);
        self.app.submissions.close();
        let accepted = timeout(within, self.app.submissions.wait()).await;
        if ended.is_err() || accepted.is_err() {
            tracing::warn!("work was still under way when the time to end was over");
        }
        self.stop_internal.cancel();
        // Its end is bounded, and a panic in it has nothing to tell here.
        let _ = (&mut self.internal).await;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.app.draining.cancel();
        self.stop.cancel();
        self.stop_public.cancel();
        self.stop_internal.cancel();
    }
}

fn check(config: &GatewayConfig) -> Result<(), StartError> {
    let faults = config.faults();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(StartError::Config(faults))
    }
}

/// What a gateway does, and how it is stopped.
#[derive(Default)]
struct Work {
    stop: CancellationToken,
    stop_public: CancellationToken,
    stop_internal: CancellationToken,
    tasks: TaskTracker,
}

impl Work {
    /// Answers on both listeners.
    fn serve(
        &self,
        listeners: Listeners,
        (outcomes, inputs): (&Outcomes, Inputs),
    ) -> (JoinHandle<()>, JoinHandle<()>) {
        let app = &outcomes.app;
        let reports = Reports {
            outcomes: outcomes.clone(),
            tasks: self.tasks.clone(),
        };
        let serve = |socket, tls, router, stop: &CancellationToken| {
            let (limits, stop) = (app.config.limits.clone(), stop.clone());
            tokio::spawn(async move { listener::serve(socket, tls, router, &limits, stop).await })
        };
        let tls = listeners.certificate.as_ref().map(Certificate::acceptor);
        let public = route::router(outcomes, inputs);
        let public = serve(listeners.public, tls, public, &self.stop_public);
        let internal = callback::router(reports);
        let internal = serve(listeners.internal, None, internal, &self.stop_internal);
        (public, internal)
    }

    fn start_loops(&self, outcomes: &Outcomes, preparer: &Preparer) {
        let (stop, tasks) = (&self.stop, &self.tasks);
        self.keep("nodes", {
            let (outcomes, stop) = (outcomes.clone(), stop.clone());
            move || dispatch::follow_nodes(outcomes.clone(), stop.clone())
        });
        self.keep("wake", {
            let (app, stop) = (Arc::clone(&outcomes.app), stop.clone());
            move || wake::run(Arc::clone(&app), stop.clone())
        });
        self.keep("prepare", {
            let (preparer, tasks, stop) = (preparer.clone(), tasks.clone(), stop.clone());
            move || preparer.clone().run(tasks.clone(), stop.clone())
        });
        self.keep("dispatch", {
            let (outcomes, tasks, stop) = (outcomes.clone(), tasks.clone(), stop.clone());
            move || dispatch::run(outcomes.clone(), tasks.clone(), stop.clone())
        });
        self.keep("following", {
            let (app, stop) = (Arc::clone(&outcomes.app), stop.clone());
            move || follow::run(Arc::clone(&app), stop.clone())
        });
        self.keep("places", {
            let (app, stop) = (Arc::clone(&outcomes.app), stop.clone());
            move || follow::place::run(Arc::clone(&app), stop.clone())
        });
        self.keep("steps", {
            let (outcomes, stop) = (outcomes.clone(), stop.clone());
            move || follow::step::run(outcomes.clone(), stop.clone())
        });
        self.keep("sweep", {
            let (outcomes, stop) = (outcomes.clone(), stop.clone());
            move || sweep::run(outcomes.clone(), stop.clone())
        });
        self.keep("leases", {
            let (outcomes, stop) = (outcomes.clone(), stop.clone());
            move || sweep::run_leases(outcomes.clone(), stop.clone())
        });
        self.keep("erasures", {
            let (outcomes, stop) = (outcomes.clone(), stop.clone());
            move || sweep::run_erasures(outcomes.clone(), stop.clone())
        });
        self.keep("orphans", {
            let (outcomes, stop) = (outcomes.clone(), stop.clone());
            move || sweep::run_orphans(outcomes.clone(), stop.clone())
        });
        self.keep("uploads", {
            let (outcomes, stop) = (outcomes.clone(), stop.clone());
            move || sweep::run_uploads(outcomes.clone(), stop.clone())
        });
    }

    fn follow(&self, certificate: &Arc<Certificate>) {
        // While the listener takes connections, it shows the certificate that is valid.
        let (certificate, stop) = (Arc::clone(certificate), self.stop_public.clone());
        self.keep("certificate", move || {
            Arc::clone(&certificate).follow(certificate::LOOK, stop.clone())
        });
    }

    fn start_messenger(&self, messenger: Messenger) {
        let (tasks, stop) = (self.tasks.clone(), self.stop.clone());
        self.keep("webhooks", move || {
            messenger.clone().run(tasks.clone(), stop.clone())
        });
    }

    fn keep<F>(&self, name: &'static str, start: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(pace::keep(name, start));
    }
}
