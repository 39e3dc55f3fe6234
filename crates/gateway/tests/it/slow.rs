//! Clients that send or read slowly, and the many that send at once.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};
use tryon_blob::Folder;
use tryon_core::{job::JobState, limit::Limits, time::Seconds};

use crate::{
    host::Host,
    stage::{Customer, GENEROUS, TestApp, clothes, wait},
};

const SHORT: Seconds = Seconds::new(1);

async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(app.gateway.public_addr()).await.unwrap()
}

/// The head of a submission whose body is announced to have this length.
fn head(who: &Customer, length: usize) -> String {
    format!(
        "POST /api/v1/tryon/clothes HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
        who.key
    )
}

/// Begins a submission and sends nothing of its body but the first byte.
async fn begin(app: &TestApp, who: &Customer, length: usize) -> TcpStream {
    let mut stream = connect(app).await;
    let text = head(who, length) + "{";
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// What is answered until the connection is closed.
async fn answer(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn a_body_that_stalls_is_refused_and_costs_nothing() {
    let app = TestApp::start_with(|config| config.limits.body_idle = SHORT).await;
    let said = answer(begin(&app, &app.owner, 5000).await).await;
    assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
    assert!(
        said.contains("BadRequest") && said.contains("in time"),
        "{said}"
    );
    assert_eq!(app.balance(&app.owner).await.available(), 100);
}

#[tokio::test]
async fn a_body_that_drips_is_refused_when_its_time_is_over() {
    let app = TestApp::start_with(|config| config.limits.body_timeout = SHORT).await;
    let mut stream = begin(&app, &app.owner, 5000).await;
    let mut said = [0; 12];
    let drips = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            // The gateway may have closed its side: what it said is read all the same.
            let _ = stream.write_all(b" ").await;
            if stream.try_read(&mut said).is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), drips)
        .await
        .expect("a dripping body is refused");
    assert_eq!(&said, b"HTTP/1.1 400");
}

#[tokio::test]
async fn a_head_that_stalls_is_hung_up_on() {
    let app = TestApp::start_with(|config| config.limits.header_timeout = SHORT).await;
    let mut stream = connect(&app).await;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHo")
        .await
        .unwrap();
    let said = answer(stream).await;
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 408 "),
        "{said}"
    );
}

#[tokio::test]
async fn who_does_not_read_is_hung_up_on() {
    let app = TestApp::start_with(|config| config.limits.write_idle = SHORT).await;
    let mut stream = connect(&app).await;
    let ask = b"GET /openapi.json HTTP/1.1\r\nHost: gateway\r\n\r\n";
    // Asks until the gateway, whose answers nobody takes, does not read any more, and then until
    // it has closed the connection.
    let asking = async { while stream.write_all(ask).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(25), asking)
        .await
        .expect("a connection that is not read from is closed");
}

#[tokio::test]
async fn an_account_cannot_keep_others_from_sending_pictures() {
    let app = TestApp::start_with(|config| {
        config.limits.body_bytes = 1_000_000;
        config.limits.buffered_bytes = 6 * 1_750_000;
        config.limits.buffer_wait = SHORT;
    })
    .await;
    let limits = Limits {
        concurrent_jobs: 3,
        ..GENEROUS
    };
    let rude = app.customer(100, limits).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(begin(&app, &rude, 1_000_000).await);
    }
    let fourth = loop {
        // The three may not have been seen yet.
        let request = app
            .post_as(&rude, "/tryon/clothes", &clothes(json!({})))
            .await;
        if request.status == 429 {
            break request;
        }
        assert_eq!(request.status, 200, "{}", request.text);
    };
    fourth.refusal(429, "ConcurrencyLimitExceeded");
    let polite = app.post("/tryon/clothes", &clothes(json!({}))).await;
    assert_eq!(polite.status, 200, "{}", polite.text);
    drop(held);
}

#[tokio::test]
async fn an_account_of_slow_servers_cannot_keep_others_from_being_prepared() {
    let host = Host::start().await;
    let network = format!("{}/32", host.address.ip());
    let app = TestApp::start_with(|config| {
        config.fetch.allowed_networks = vec![network.parse().unwrap()];
        config.fetch.timeout = Seconds::new(120);
    })
    .await;
    let rude = app.customer(100, GENEROUS).await;
    let dripping = clothes(json!({"model_image": host.url("/drip")}));
    let mut held = Vec::new();
    for _ in 0..24 {
        let answer = app.post_as(&rude, "/tryon/clothes", &dripping).await;
        held.push(answer.job());
    }
    for _ in 0..6 {
        let polite = app.submit(json!({})).await;
        app.wait_for_started(polite).await;
    }
    for job in held {
        assert_eq!(app.job(job).await.state, JobState::Accepted);
    }
}

#[tokio::test]
async fn an_account_is_prepared_for_as_its_places_become_free() {
    let app = TestApp::start().await;
    let many = (0..12).map(|_| app.submit(json!({})));
    for job in futures::future::join_all(many).await {
        app.wait_for_started(job).await;
    }
}

#[tokio::test]
async fn small_requests_do_not_stand_in_line_behind_large_ones() {
    let app = TestApp::start_with(|config| {
        config.limits.body_bytes = 1_000_000;
        config.limits.buffered_bytes = 1_750_000;
        config.limits.buffer_wait = SHORT;
    })
    .await;
    let other = app.customer(100, GENEROUS).await;
    // There is memory for one of the two. The other waits for it, in vain.
    let mut first = begin(&app, &other, 1_000_000).await;
    let mut second = begin(&app, &app.owner, 1_000_000).await;
    let (mut large, mut other_said) = ([0; 12], [0; 12]);
    tokio::select! {
        said = first.read_exact(&mut large) => said.unwrap(),
        said = second.read_exact(&mut other_said) => {
            large = other_said;
            said.unwrap()
        }
    };
    assert_eq!(&large, b"HTTP/1.1 429");
    let urls = json!({"model_image": "https://shop.example/a.jpg", "garment_image": "https://shop.example/b.jpg"});
    let small = app.post("/tryon/clothes", &clothes(urls)).await;
    assert_eq!(small.status, 200, "{}", small.text);
    drop((first, second));
}

#[tokio::test]
async fn an_answer_comes_before_the_body_that_is_not_wanted() {
    const LENGTH: usize = 20_000_000;
    let app = TestApp::start().await;
    let poor = app.customer(0, GENEROUS).await;
    let mut stream = connect(&app).await;
    let (mut read, mut write) = stream.split();
    let sending = async {
        write.write_all(head(&poor, LENGTH).as_bytes()).await?;
        for _ in 0..LENGTH / 100_000 {
            write.write_all(&vec![b' '; 100_000]).await?;
        }
        Ok::<_, std::io::Error>(())
    };
    let reading = async {
        let mut text = Vec::new();
        read.read_to_end(&mut text).await.map(|_| text)
    };
    let (sent, said) = tokio::join!(sending, reading);
    sent.expect("a client that sends on is read to the end");
    let said = String::from_utf8(said.unwrap()).unwrap();
    assert!(said.starts_with("HTTP/1.1 429 "), "{said}");
    assert!(said.contains("OutOfCredits"), "{said}");
    assert!(said.to_lowercase().contains("connection: close"), "{said}");
}

#[tokio::test]
async fn who_hangs_up_before_the_answer_leaves_no_picture_without_a_job() {
    const CLIENTS: usize = 40;
    let app = TestApp::start().await;
    let body = clothes(json!({})).to_string();
    let whole = head(&app.owner, body.len()) + &body;
    for number in 0..CLIENTS {
        let mut stream = connect(&app).await;
        stream.write_all(whole.as_bytes()).await.unwrap();
        // Some are gone at once, and some once the first picture is stored.
        sleep(Duration::from_micros(200 * number as u64)).await;
    }
    let last = app.submit(json!({})).await;
    app.wait_for_started(last).await;
    wait("a job for each picture", async || {
        let keys = app.pictures(Folder::Uploads).await;
        let jobs = keys
            .iter()
            .map(|key| app.store.find_job(key.job().unwrap()));
        let jobs = futures::future::join_all(jobs).await;
        jobs.into_iter().all(|job| job.unwrap().is_some())
    })
    .await;
    app.check_books().await;
}
