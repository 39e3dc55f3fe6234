//! Pictures that are named by their address: what is fetched, and what is refused in bounded time
//! and memory.

use std::time::{Duration, Instant};

use serde_json::json;
use tryon_core::time::Seconds;
use tryon_testkit::fake_node::Reaction;

use crate::{
    host::Host,
    stage::{TestApp, clothes, result},
};

/// A gateway that may fetch from this very host, as from an operator's own storage.
async fn start(host: &Host) -> TestApp {
    let network = format!("{}/32", host.address.ip());
    TestApp::start_with(|config| {
        config.fetch.allowed_networks = vec![network.parse().unwrap()];
        config.fetch.max_bytes = 1_000_000;
        config.fetch.read_timeout = Seconds::from(Duration::from_millis(400));
        config.fetch.timeout = Seconds::from(Duration::from_millis(1500));
        config.fetch.max_redirects = 3;
    })
    .await
}

#[tokio::test]
async fn addresses_are_fetched_whatever_type_they_claim() {
    let host = Host::start().await;
    let app = start(&host).await;
    app.node.otherwise(Reaction::Report(result()));
    let to = host.url("/to?url=/picture.png");
    for path in [
        host.url("/picture.png"),
        host.url("/typed-as-text"),
        host.url("/hops/2"),
        to,
    ] {
        let job = app.submit(json!({"model_image": path})).await;
        app.wait_for_outputs(job).await;
    }
    assert_eq!(app.node.runs().len(), 4);
    app.check_books().await;
}

#[tokio::test]
async fn what_cannot_be_fetched_fails_the_job_and_costs_nothing() {
    let host = Host::start().await;
    let app = start(&host).await;
    for (path, words) in [
        ("/status/404", "answered 404"),
        ("/status/401", "answered 401"),
        ("/status/500", "answered 500"),
        ("/status/204", ""),
        ("/hops/4", "redirects more than 3 times"),
        (
            "/to?url=ftp://example.org/a.png",
            "`ftp:` addresses are not fetched",
        ),
        (
            "/to?url=http://user:word@127.0.0.1/",
            "user name or password",
        ),
        ("/zipped", "compresses the file"),
        ("/broken", "broke"),
        ("/huge", "more than 1000000 bytes"),
        ("/endless", "more than 1000000 bytes"),
        ("/drip", "took more than 1.5 seconds"),
        ("/silent", "was silent for 0.4 seconds"),
        ("/mute", "was silent for 0.4 seconds"),
    ] {
        let start = Instant::now();
        let job = app.submit(json!({"garment_image": host.url(path)})).await;
        let (name, message) = app.wait_for_failure(job).await;
        assert_eq!(name, "ImageLoadError", "{path}: {message}");
        assert!(
            message.contains("`garment_image`") && message.contains(words),
            "{path}: {message}"
        );
        assert!(!message.contains("secret of the inside"), "{message}");
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{path}: {:?}",
            start.elapsed()
        );
    }
    // Of five gigabytes no more was taken than the limit and what sockets hold.
    assert!(host.given() < 40_000_000, "{}", host.given());
    assert_eq!(app.node.offers().len(), 0);
    app.wait_until_inputs_are_gone().await;
}

#[tokio::test]
async fn nothing_leads_into_the_operators_network() {
    let host = Host::start().await;
    let app = TestApp::start().await;
    let port = host.address.port();
    let metadata = "http://169.254.169.254/latest/meta-data/iam/security-credentials/";
    let mut said = std::collections::BTreeSet::new();
    for address in [
        format!("http://127.0.0.1:{port}/picture.png"),
        format!("http://[::1]:{port}/picture.png"),
        format!("http://localhost:{port}/picture.png"),
        format!("http://LOCALHOST.:{port}/picture.png"),
        format!("http://2130706433:{port}/picture.png"),
        format!("http://0x7f.1:{port}/picture.png"),
        format!("http://0177.0.0.1:{port}/picture.png"),
        format!("http://[::ffff:127.0.0.1]:{port}/picture.png"),
        format!("http://0.0.0.0:{port}/picture.png"),
        app.url("/healthz"),
        app.gateway.callback_url().to_string(),
        app.node.url().to_owned(),
        metadata.to_owned(),
        "http://[fd00:ec2::254]/latest/meta-data".to_owned(),
        "http://10.0.0.1/a.png".to_owned(),
        "http://no-such-host.invalid/a.png".to_owned(),
    ] {
        let start = Instant::now();
        let job = app.submit(json!({"model_image": address})).await;
        let (name, message) = app.wait_for_failure(job).await;
        assert_eq!(name, "ImageLoadError", "{address}: {message}");
        assert!(start.elapsed() < Duration::from_secs(10), "{address}");
        said.insert(message);
    }
    // The same sentence for all of them: a stranger learns nothing about what is inside.
    assert_eq!(said.len(), 1, "{said:?}");
    let sentence = said.pop_first().unwrap();
    assert!(
        sentence.contains("its host has no public address"),
        "{sentence}"
    );
    assert_eq!(app.node.requests("GET /"), 0);
}

#[tokio::test]
async fn no_redirect_leads_into_the_operators_network() {
    let host = Host::start().await;
    let app = start(&host).await;
    for target in [
        "http://127.0.0.2:80/",
        "http://[::1]:80/",
        "http://169.254.169.254/latest/meta-data/",
        "//169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "file:///etc/passwd",
    ] {
        let address = host.url(&format!("/to?url={target}"));
        let job = app
            .post("/tryon/clothes", &clothes(json!({"model_image": address})))
            .await
            .job();
        let (name, message) = app.wait_for_failure(job).await;
        assert_eq!(name, "ImageLoadError", "{target}: {message}");
        assert!(
            !message.contains("169.254") && !message.contains("passwd"),
            "{message}"
        );
    }
}
