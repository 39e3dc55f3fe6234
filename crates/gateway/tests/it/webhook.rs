//! Being told of a job's end: when, how it is known to be from us, and what becomes of receivers
//! that do not answer.

use std::time::Duration;

use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tryon_core::{error::JobErrorCode, id::JobId};
use tryon_testkit::{
    fake_node::{Outcome, Reaction},
    receiver::{Delivery, Receiver},
};

use crate::stage::{Answer, Customer, GENEROUS, TestApp, clothes, result, wait};

/// A gateway that may send to this machine, and whose node delivers.
async fn start() -> (TestApp, Receiver) {
    let app = TestApp::start_with(|config| {
        config.fetch.allowed_networks = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    app.node.otherwise(Reaction::Report(result()));
    (app, Receiver::start().await)
}

async fn submit_told(app: &TestApp, url: &str) -> JobId {
    app.submit(json!({"webhook_url": url})).await
}

async fn secret(app: &TestApp) -> String {
    let answer = app.get("/webhooks/secret").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body["secret"].as_str().unwrap().to_owned()
}

/// What a message says, once the published library took its signature.
fn open(delivery: &Delivery, secret: &str) -> Value {
    let webhook = Webhook::new(secret).unwrap();
    let taken = webhook.verify(&delivery.body, &delivery.headers);
    taken.expect("the signature is right");
    serde_json::from_slice(&delivery.body).unwrap()
}

fn header<'a>(delivery: &'a Delivery, name: &str) -> &'a str {
    delivery.headers[name].to_str().unwrap()
}

async fn get_delivery(app: &TestApp, who: &Customer, job: JobId) -> Answer {
    app.get_as(who, &format!("/webhooks/deliveries/{job}"))
        .await
}

/// The delivery once it stands there.
async fn wait_for_delivery(app: &TestApp, job: JobId, state: &str) -> Value {
    let mut last = Value::Null;
    wait("the delivery", async || {
        last = get_delivery(app, &app.owner, job).await.body;
        last["state"] == state
    })
    .await;
    last
}

async fn replay(app: &TestApp, who: &Customer, job: JobId) -> Answer {
    let path = format!("/webhooks/deliveries/{job}/replay");
    app.post_as(who, &path, &Value::Null).await
}

fn statuses(delivery: &Value) -> Vec<Value> {
    let tries = delivery["tries"].as_array().unwrap();
    tries.iter().map(|tried| tried["status"].clone()).collect()
}

#[tokio::test]
async fn an_end_is_told_as_the_status_route_tells_it() {
    let (app, receiver) = start().await;
    let secret = secret(&app).await;
    let completed = submit_told(&app, &receiver.url("/done?order=7")).await;
    let told = receiver.next("/done").await;
    let said = open(&told, &secret);
    assert_eq!(said, app.status(completed).await);
    assert_eq!(said["status"], "completed");
    assert_eq!(header(&told, "webhook-id"), format!("msg_{completed}"));
    assert_eq!(header(&told, "content-type"), "application/json");
    // A link in it opens without a key.
    let link = said["output"][0].as_str().unwrap();
    assert_eq!(app.http.get(link).send().await.unwrap().status(), 200);

    let failure = Outcome::error(JobErrorCode::PoseError, "nobody is there", false);
    app.node.otherwise(Reaction::Report(failure));
    let failed = submit_told(&app, &receiver.url("/failed")).await;
    let said = open(&receiver.next("/failed").await, &secret);
    assert_eq!(said, app.status(failed).await);
    assert_eq!(said["error"]["name"], "PoseError");

    // One that nobody is to be told of.
    let silent = app.submit(json!({})).await;
    app.wait_for_end(silent).await;
    let log = wait_for_delivery(&app, completed, "delivered").await;
    assert_eq!(statuses(&log), [json!(200)]);
    assert_eq!(log["next_try_at"], Value::Null);
    get_delivery(&app, &app.owner, silent)
        .await
        .refusal(404, "NotFound");
    assert!(receiver.rest("/done").is_empty() && receiver.rest("/failed").is_empty());
}

/// It is told once it answers, with the same id, and the log says how it went.
#[tokio::test]
async fn a_receiver_that_is_down_is_told_later() {
    let (app, receiver) = start().await;
    receiver.answer(503);
    let job = submit_told(&app, &receiver.url("/")).await;
    for tries in 1..=3 {
        receiver.wait_for_requests("/", tries).await;
        let log = wait_for_delivery(&app, job, "pending").await;
        assert!(log["next_try_at"].is_string(), "{log}");
        wait("the try to be recorded", async || {
            let log = get_delivery(&app, &app.owner, job).await.body;
            statuses(&log).len() == tries
        })
        .await;
        // More than the next wait, less than the two after it.
        app.clock
            .advance(Duration::from_secs([6, 34, 133][tries - 1]));
    }
    receiver.answer(200);
    receiver.wait_for_requests("/", 4).await;
    app.clock.advance(Duration::from_mins(12));
    let told = receiver.next("/").await;
    assert_eq!(header(&told, "webhook-id"), format!("msg_{job}"));
    let log = wait_for_delivery(&app, job, "delivered").await;
    assert_eq!(statuses(&log)[..3], [json!(503), json!(503), json!(503)]);
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_given_up_and_sent_to_anew() {
    let (app, receiver) = start().await;
    receiver.answer(500);
    let job = submit_told(&app, &receiver.url("/")).await;
    app.wait_for_end(job).await;
    for tries in 1..=12 {
        wait("the try to be recorded", async || {
            let log = get_delivery(&app, &app.owner, job).await.body;
            statuses(&log).len() == tries
        })
        .await;
        app.clock.advance(Duration::from_hours(7));
    }
    let log = wait_for_delivery(&app, job, "failed").await;
    assert_eq!(statuses(&log), vec![json!(500); 12]);

    receiver.answer(204);
    let replayed = replay(&app, &app.owner, job).await;
    assert_eq!(replayed.status, 200, "{}", replayed.text);
    let told = receiver.next("/").await;
    assert_eq!(header(&told, "webhook-id"), format!("msg_{job}"));
    let log = wait_for_delivery(&app, job, "delivered").await;
    assert_eq!(log["tries"][12]["number"], 13);
    assert_eq!(log["tries"][12]["status"], 204);
}

#[tokio::test]
async fn an_address_that_is_gone_is_left_alone_until_it_is_asked_for() {
    let (app, receiver) = start().await;
    let url = receiver.url("/");
    receiver.answer(410);
    let first = submit_told(&app, &url).await;
    wait_for_delivery(&app, first, "disabled").await;
    receiver.answer(200);
    let second = submit_told(&app, &url).await;
    let log = wait_for_delivery(&app, second, "disabled").await;
    assert_eq!(log["tries"], json!([]));

    assert_eq!(replay(&app, &app.owner, second).await.status, 200);
    assert_eq!(
        header(&receiver.next("/").await, "webhook-id"),
        format!("msg_{second}")
    );
    let third = submit_told(&app, &url).await;
    wait_for_delivery(&app, third, "delivered").await;
}

/// No address leads into the operator's network, and no redirect anywhere.
#[tokio::test]
async fn a_message_goes_nowhere_else() {
    let app = TestApp::start_with(|config| {
        config.fetch.allowed_hosts = vec!["localhost".to_owned()];
    })
    .await;
    app.node.otherwise(Reaction::Report(result()));
    let receiver = Receiver::start().await;
    let closed = [
        receiver.url("/").replace("http:", "https:"),
        "https://169.254.169.254/latest".to_owned(),
        "https://[::1]/".to_owned(),
    ];
    for url in &closed {
        let job = submit_told(&app, url).await;
        wait("the first try", async || {
            let log = get_delivery(&app, &app.owner, job).await.body;
            log["tries"][0]["error"] == "its host has no public address"
        })
        .await;
    }
    receiver.answer(302);
    let opened = receiver.url("/moved").replace("127.0.0.1", "localhost");
    let job = submit_told(&app, &opened).await;
    receiver.wait_for_requests("/moved", 1).await;
    wait("the first try", async || {
        let log = get_delivery(&app, &app.owner, job).await.body;
        log["tries"][0]["status"] == 302 && log["state"] == "pending"
    })
    .await;
    assert!(receiver.rest("/").is_empty());
}

#[tokio::test]
async fn an_address_that_cannot_be_told_is_refused() {
    let (app, _) = start().await;
    let long = format!("https://shop.example/{}", "x".repeat(2048));
    for (url, words) in [
        (
            json!("http://shop.example/"),
            "`webhook_url` is wrong: an `https://` URL is needed",
        ),
        (json!("ftp://shop.example/"), "`webhook_url` is wrong"),
        (
            json!("https://me:secret@shop.example/"),
            "without a user name or password",
        ),
        (json!("shop"), "`webhook_url` is wrong"),
        (json!(7), "`webhook_url` is wrong: a number, not a text"),
        (
            json!(long),
            "`webhook_url` has 2069 characters, at most 2048 are read",
        ),
    ] {
        let answer = app
            .post("/tryon/clothes", &clothes(json!({"webhook_url": url})))
            .await;
        let message = answer.refusal(400, "BadRequest");
        assert!(message.contains(words), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
    // Absent in all but name.
    for url in [Value::Null, json!("")] {
        let job = app.submit(json!({"webhook_url": url})).await;
        app.wait_for_end(job).await;
        get_delivery(&app, &app.owner, job)
            .await
            .refusal(404, "NotFound");
    }
}

#[tokio::test]
async fn deliveries_are_the_accounts_own_and_come_in_pages() {
    let (app, receiver) = start().await;
    let other = app.customer(10, GENEROUS).await;
    let mut jobs = Vec::new();
    for _ in 0..3 {
        // The clock stands still otherwise, and the order is that of the ends.
        app.clock.advance(Duration::from_millis(10));
        let job = submit_told(&app, &receiver.url("/")).await;
        wait_for_delivery(&app, job, "delivered").await;
        jobs.push(job.to_string());
    }
    let page = app.get("/webhooks/deliveries?limit=2").await.body;
    let listed = |page: &Value| {
        let deliveries = page["deliveries"].as_array().unwrap();
        let jobs = deliveries.iter().map(|delivery| delivery["job"].clone());
        jobs.collect::<Vec<_>>()
    };
    assert_eq!(listed(&page), [jobs[2].as_str(), jobs[1].as_str()]);
    let next = format!(
        "/webhooks/deliveries?limit=2&after={}",
        page["next"].as_str().unwrap()
    );
    let page = app.get(&next).await.body;
    assert_eq!(listed(&page), [jobs[0].as_str()]);
    assert_eq!(page["next"], Value::Null);

    let theirs = app.get_as(&other, "/webhooks/deliveries").await.body;
    assert_eq!(listed(&theirs), [] as [Value; 0]);
    let job: JobId = jobs[0].parse().unwrap();
    let absent = get_delivery(&app, &other, JobId::from_bytes([9; 12])).await;
    assert_eq!(get_delivery(&app, &other, job).await.body, absent.body);
    replay(&app, &other, job).await.refusal(404, "NotFound");
    assert_ne!(
        app.get_as(&other, "/webhooks/secret").await.body["secret"],
        json!(secret(&app).await)
    );
    for wrong in ["limit=0", "limit=101", "limit=many", "after=7"] {
        let answer = app.get(&format!("/webhooks/deliveries?{wrong}")).await;
        answer.refusal(400, "BadRequest");
    }
}

/// What waits is told by the gateway that is started next.
#[tokio::test]
async fn a_message_outlives_its_gateway() {
    let (app, receiver) = start().await;
    receiver.answer(503);
    let job = submit_told(&app, &receiver.url("/")).await;
    receiver.wait_for_requests("/", 1).await;
    let app = app.restart().await;
    receiver.answer(200);
    app.clock.advance(Duration::from_mins(1));
    assert_eq!(
        header(&receiver.next("/").await, "webhook-id"),
        format!("msg_{job}")
    );
    wait_for_delivery(&app, job, "delivered").await;
}

/// One account's receiver holds as many places as it may, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_receiver_of_one_account_keeps_no_other_from_being_told() {
    let (app, slow) = start().await;
    slow.hold();
    for _ in 0..70 {
        submit_told(&app, &slow.url("/")).await;
    }
    slow.wait_for_requests("/", 16).await;
    let other = app.customer(10, GENEROUS).await;
    let quick = Receiver::start().await;
    let body = clothes(json!({"webhook_url": quick.url("/")}));
    let job = app.post_as(&other, "/tryon/clothes", &body).await.job();
    let told = quick.next("/").await;
    assert_eq!(header(&told, "webhook-id"), format!("msg_{job}"));
    slow.release();
}
