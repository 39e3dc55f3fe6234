//! An S3 server on loopback, with buckets in a folder.
//!
//! It checks signatures as any other does, in headers and in addresses.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use hyper::{Method, Request, Response, StatusCode, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use s3s::{
    Body, HttpError,
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::{runtime, sync::oneshot};

/// What a server says whose disk is full.
const FULL: &str = "<Error><Code>XMinioStorageFull</Code><Message>no space left</Message></Error>";

const ACCESS_KEY: &str = "tryon-test";
const SECRET_KEY: &str = "tryon-test-secret";

/// The server. It runs on a thread of its own until it is dropped.
pub struct ObjectStore {
    address: SocketAddr,
    folder: TempDir,
    is_full: Arc<AtomicBool>,
    /// Ends it when it is dropped.
    _stop: oneshot::Sender<()>,
}

impl ObjectStore {
    /// Listens on a free port, with this bucket, empty.
    pub fn start(bucket: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        std::fs::create_dir(folder.path().join(bucket)).expect("a bucket is a folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let is_full = Arc::new(AtomicBool::new(false));
        let disk = Disk {
            service: service(folder.path()),
            is_full: Arc::clone(&is_full),
        };
        let (stop, stopped) = oneshot::channel();
        thread::spawn(move || serve(listener, &disk, stopped));
        Self {
            address,
            folder,
            is_full,
            _stop: stop,
        }
    }

    /// The variables that a client needs to know of it.
    pub fn variables(&self) -> Vec<(String, String)> {
        let variables = [
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ];
        variables
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }

    /// From now on its disk is full: it takes no object. Or it has room again.
    pub fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// The folder that a bucket's objects are in.
    pub fn folder(&self, bucket: &str) -> PathBuf {
        self.folder.path().join(bucket)
    }
}

fn service(root: &Path) -> S3Service {
    let mut builder = S3ServiceBuilder::new(FileSystem::new(root).expect("the folder is there"));
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    builder.build()
}

/// The service, as long as there is room.
#[derive(Clone)]
struct Disk {
    service: S3Service,
    is_full: Arc<AtomicBool>,
}

impl Disk {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, HttpError> {
        if request.method() == Method::PUT && self.is_full.load(Ordering::Relaxed) {
            let mut full = Response::new(Body::from(FULL.to_owned()));
            *full.status_mut() = StatusCode::INSUFFICIENT_STORAGE;
            return Ok(full);
        }
        hyper::service::Service::call(&self.service, request).await
    }
}

fn serve(listener: TcpListener, disk: &Disk, stopped: oneshot::Receiver<()>) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be had").block_on(async {
        listener.set_nonblocking(true).expect("it is a socket");
        let listener = tokio::net::TcpListener::from_std(listener).expect("it is a socket");
        tokio::select! {
            () = accept(listener, disk) => {}
            _ = stopped => {}
        }
    });
}

async fn accept(listener: tokio::net::TcpListener, disk: &Disk) {
    while let Ok((stream, _)) = listener.accept().await {
        let disk = disk.clone();
        let service = service_fn(move |request| disk.clone().answer(request));
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            // A client that is gone is of no interest.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
