//! Requests that no client sends, byte for byte.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tryon_testkit::fake_node::Reaction;

use crate::stage::{TestApp, result};

/// Everything that is answered to these bytes.
async fn say(app: &TestApp, bytes: &str) -> String {
    let mut stream = TcpStream::connect(app.gateway.public_addr()).await.unwrap();
    // What is refused need not be read to its end.
    let _ = stream.write_all(bytes.as_bytes()).await;
    let mut said = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = stream.read_to_end(&mut said).await;
    String::from_utf8_lossy(&said).into_owned()
}

fn request(app: &TestApp, method: &str, path: &str, headers: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {}\r\n{headers}\r\n",
        app.owner.key
    )
}

/// The same as the last one of its connection.
fn last_request(app: &TestApp, method: &str, path: &str, headers: &str) -> String {
    request(
        app,
        method,
        path,
        &format!("Connection: close\r\n{headers}"),
    )
}

/// How many answers there are in what was said.
fn count(said: &str) -> usize {
    said.matches("HTTP/1.1 ").count()
}

#[tokio::test]
async fn an_id_is_no_path() {
    let app = TestApp::start().await;
    app.node.otherwise(Reaction::Report(result()));
    let job = app.submit(json!({})).await;
    app.wait_for_outputs(job).await;
    let database = std::fs::read_dir(app.dir.path()).unwrap().count();
    for id in [
        "..",
        "../credits",
        "..%2f..%2ftryon.db",
        "%2e%2e/%2e%2e/etc/passwd",
        "..%5c..%5ctryon.db",
        "....//....//etc/passwd",
        "%00",
        "64b7f1a9d9a3b8e5c7f9a123%00.png",
        "64b7f1a9d9a3b8e5c7f9a123/../../tryon.db",
        "%c0%ae%c0%ae/etc/passwd",
        "%252e%252e%252ftryon.db",
    ] {
        for (method, path) in [
            ("GET", format!("/api/v1/status/{id}")),
            ("DELETE", format!("/api/v1/jobs/{id}")),
            ("GET", format!("/api/v1/erasures/{id}")),
            ("GET", format!("/api/v1/webhooks/deliveries/{id}")),
            ("GET", format!("/files/outputs/{id}")),
            ("GET", format!("/files/outputs/{id}/{id}")),
            ("GET", format!("/files/{id}")),
        ] {
            let said = say(&app, &last_request(&app, method, &path, "")).await;
            let refused = ["400", "403", "404"]
                .iter()
                .any(|status| said.starts_with(&format!("HTTP/1.1 {status} ")));
            assert!(refused, "{method} {path}: {said}");
            assert!(
                !said.contains("root:") && !said.contains("SQLite"),
                "{path}"
            );
        }
    }
    let after = std::fs::read_dir(app.dir.path()).unwrap().count();
    assert_eq!(after, database);
    app.wait_for_outputs(job).await;
}

#[tokio::test]
async fn links_do_not_lead_where_a_request_says_that_it_came() {
    let app = TestApp::start().await;
    app.node.otherwise(Reaction::Report(result()));
    let job = app.submit(json!({})).await;
    let [link] = app.wait_for_outputs(job).await.try_into().unwrap();
    let status = format!("/api/v1/status/{job}");
    let lies = "X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: gopher\r\n\
                Forwarded: host=evil.example\r\n";
    let asked =
        last_request(&app, "GET", &status, lies).replace("Host: gateway", "Host: evil.example");
    let said = say(&app, &asked).await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    let base = link.split("/files/").next().unwrap();
    assert!(said.contains(base) && !said.contains("evil"), "{said}");
}

#[tokio::test]
async fn nothing_that_is_sent_becomes_a_header_of_an_answer() {
    let app = TestApp::start().await;
    for path in [
        "/api/v1/status/a%0d%0aX-Evil:%20yes",
        "/files/outputs/a%0d%0aX-Evil:%20yes/b",
        "/a%0d%0aX-Evil:%20yes?b=%0d%0aX-Evil:%20yes",
    ] {
        let headers =
            "X-Request-Id: a%0d%0aX-Evil: yes\r\nOrigin: https://a%0d%0aX-Evil:%20yes\r\n";
        let said = say(&app, &last_request(&app, "GET", path, headers)).await;
        let head = said.split("\r\n\r\n").next().unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 "), "{said}");
        assert!(!head.contains("evil"), "{head}");
    }
}

#[tokio::test]
async fn a_request_is_one_request() {
    let app = TestApp::start().await;
    let second = last_request(&app, "GET", "/api/v1/credits", "");
    let length = second.len();
    // Whoever believes the one length or the other finds another second request, so nobody is let
    // through whose lengths differ.
    for headers in [
        format!("Content-Length: 0\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: {length}, 0\r\n"),
        "Content-Length: -1\r\n".to_owned(),
        "Content-Length: +1\r\n".to_owned(),
        "Transfer-Encoding: identity, chunked, x\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\n Content-Length: 5\r\n".to_owned(),
    ] {
        let first = request(&app, "POST", "/api/v1/tryon/clothes", &headers);
        let said = say(&app, &(first + &second)).await;
        assert!(said.starts_with("HTTP/1.1 400 "), "{headers}: {said}");
        assert_eq!(count(&said), 1, "{headers}: {said}");
    }
    // The one that is allowed, and what follows it is nobody's.
    for headers in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
    ] {
        let first = request(&app, "POST", "/api/v1/tryon/clothes", &headers);
        let said = say(&app, &(first + "0\r\n\r\n" + &second)).await;
        assert_eq!(count(&said), 1, "{headers}: {said}");
    }
}

#[tokio::test]
async fn a_head_has_bounds() {
    let app = TestApp::start().await;
    let many = "X-One-More: a\r\n".repeat(1000);
    let long = format!("X-Long: {}\r\n", "a".repeat(1 << 20));
    for headers in [many, long] {
        let said = say(&app, &last_request(&app, "GET", "/healthz", &headers)).await;
        assert!(said.starts_with("HTTP/1.1 431 "), "{said}");
    }
    let path = format!("/{}", "a".repeat(1 << 20));
    let said = say(&app, &last_request(&app, "GET", &path, "")).await;
    assert!(said.starts_with("HTTP/1.1 431 "), "{said}");
    assert!(
        say(&app, &last_request(&app, "GET", "/healthz", ""))
            .await
            .starts_with("HTTP/1.1 200 ")
    );
}
