//! An S3 server on loopback, with buckets in a folder.
//!
//! It checks signatures as any other does, in headers and in addresses.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    thread,
};

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use s3s::{
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::{runtime, sync::oneshot};

const ACCESS_KEY: &str = "tryon-test";
const SECRET_KEY: &str = "tryon-test-secret";

/// The server. It runs on a thread of its own until it is dropped.
pub struct ObjectStore {
    address: SocketAddr,
    folder: TempDir,
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
        let service = service(folder.path());
        let (stop, stopped) = oneshot::channel();
        thread::spawn(move || serve(listener, &service, stopped));
        Self {
            address,
            folder,
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

fn serve(listener: TcpListener, service: &S3Service, stopped: oneshot::Receiver<()>) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be had").block_on(async {
        listener.set_nonblocking(true).expect("it is a socket");
        let listener = tokio::net::TcpListener::from_std(listener).expect("it is a socket");
        tokio::select! {
            () = accept(listener, service) => {}
            _ = stopped => {}
        }
    });
}

async fn accept(listener: tokio::net::TcpListener, service: &S3Service) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = service.clone();
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            // A client that is gone is of no interest.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
