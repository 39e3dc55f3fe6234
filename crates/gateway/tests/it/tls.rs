//! The public listener, where it speaks TLS itself.

use std::time::Duration;

use reqwest::{Certificate, Client};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tryon_core::time::Seconds;
use tryon_gateway::GatewayConfig;

use tryon_testkit::fake_node::Reaction;

use crate::stage::{TestApp, result};

/// A certificate for this machine, as files and as what clients trust.
struct Made {
    dir: TempDir,
    certificate: Certificate,
}

impl Made {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(dir.path().join("chain.pem"), made.cert.pem()).unwrap();
        std::fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let certificate = Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
        Self { dir, certificate }
    }

    fn set(&self, config: &mut GatewayConfig) {
        config.server.tls_certificate = Some(self.dir.path().join("chain.pem"));
        config.server.tls_key = Some(self.dir.path().join("key.pem"));
    }

    fn client(&self) -> Client {
        let builder = Client::builder().no_proxy().https_only(true);
        builder
            .tls_certs_only([self.certificate.clone()])
            .build()
            .unwrap()
    }
}

#[tokio::test]
async fn a_job_and_its_picture_go_through_tls() {
    let made = Made::new();
    let mut app = TestApp::start_with(|config| made.set(config)).await;
    app.http = made.client();
    app.node.otherwise(Reaction::Report(result()));
    let job = app.submit(json!({})).await;
    let [link] = app.wait_for_outputs(job).await.try_into().unwrap();
    assert!(link.starts_with("https://127.0.0.1:"), "{link}");
    let picture = app.http.get(&link).send().await.unwrap();
    assert_eq!(picture.status(), 200);
    assert!(!picture.bytes().await.unwrap().is_empty());
    // Who trusts other certificates does not talk to it.
    let stranger = Made::new().client();
    assert!(stranger.get(&link).send().await.is_err());
}

#[tokio::test]
async fn nothing_is_said_without_tls() {
    let made = Made::new();
    let app = TestApp::start_with(|config| made.set(config)).await;
    let mut stream = TcpStream::connect(app.gateway.public_addr()).await.unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n")
        .await
        .unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
}

#[tokio::test]
async fn a_handshake_that_stalls_is_hung_up_on() {
    let made = Made::new();
    let app = TestApp::start_with(|config| {
        made.set(config);
        config.limits.header_timeout = Seconds::new(1);
    })
    .await;
    let mut stream = TcpStream::connect(app.gateway.public_addr()).await.unwrap();
    // The beginning of a first message, and no more of it.
    stream.write_all(&[0x16, 3, 1, 1, 0, 1]).await.unwrap();
    let mut said = Vec::new();
    let hung_up = timeout(Duration::from_secs(20), stream.read_to_end(&mut said)).await;
    assert!(hung_up.is_ok(), "the connection is still open");
}

#[tokio::test]
async fn a_gateway_that_ends_ends_its_encrypted_connections() {
    let made = Made::new();
    let mut app = TestApp::start_with(|config| made.set(config)).await;
    app.http = made.client();
    let health = app.http.get(app.url("/healthz")).send().await.unwrap();
    assert_eq!(health.status(), 200);
    // The client keeps its connection, and another never ends its handshake: the gateway has
    // nothing to wait for.
    let mut stream = TcpStream::connect(app.gateway.public_addr()).await.unwrap();
    stream.write_all(&[0x16, 3, 1, 1, 0, 1]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    timeout(Duration::from_secs(5), app.gateway.shutdown())
        .await
        .expect("the gateway ends");
}
