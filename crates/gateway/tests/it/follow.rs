//! Waiting for a job: events, answers that come late, lists, and giving up.

use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;
use tryon_core::{
    error::JobErrorCode,
    id::JobId,
    job::{JobState, SampleState},
    limit::Limits,
};
use tryon_testkit::fake_node::{Outcome, Reaction};

use crate::{
    host::Host,
    stage::{Answer, Customer, GENEROUS, TestApp, clothes, result, wait},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// An event of a stream.
#[derive(Debug, Clone)]
struct Told {
    id: String,
    body: Value,
}

/// A stream that is read as a browser's `EventSource` does.
struct Events {
    response: reqwest::Response,
    unread: String,
}

impl Events {
    async fn open(app: &TestApp, base: &str, job: JobId, last: Option<&str>) -> Self {
        let url = format!("{base}/api/v1/status/{job}/events");
        let mut request = app.http.get(url).bearer_auth(&app.owner.key);
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        Self {
            response,
            unread: String::new(),
        }
    }

    /// The next event; `None` once the stream has ended.
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((event, rest)) = self.unread.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.unread = rest;
                let field = |name: &str| {
                    let mut lines = event.lines();
                    let prefix = format!("{name}: ");
                    lines.find_map(|line| line.strip_prefix(&prefix).map(str::to_owned))
                };
                let Some(data) = field("data") else { continue };
                assert_eq!(field("event").as_deref(), Some("status"));
                return Some(Told {
                    id: field("id").unwrap(),
                    body: serde_json::from_str(&data).unwrap(),
                });
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.expect("there is something to tell").unwrap()?;
            self.unread.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The first event of which that holds.
    async fn find(&mut self, holds: impl Fn(&Value) -> bool) -> Told {
        loop {
            let told = self.next().await.expect("the stream goes on");
            if holds(&told.body) {
                return told;
            }
        }
    }

    fn rest(self) -> impl Stream<Item = Told> {
        stream::unfold(self, async |mut events| {
            Some((events.next().await?, events))
        })
    }
}

async fn follow(app: &TestApp, job: JobId) -> Events {
    Events::open(app, &app.url(""), job, None).await
}

async fn post(app: &TestApp, path: &str) -> Answer {
    app.post(path, &Value::Null).await
}

/// A gateway that may fetch from this host.
async fn start_beside(host: &Host) -> TestApp {
    TestApp::start_with(|config| {
        let network = format!("{}/32", host.address.ip());
        config.fetch.allowed_networks = vec![network.parse().unwrap()];
    })
    .await
}

#[tokio::test]
async fn a_stream_tells_each_stage_of_a_job_and_ends_with_it() {
    let host = Host::start().await;
    let app = start_beside(&host).await;
    // The node is kept busy.
    let first = app.submit(json!({})).await;
    let attempt = app.node.wait_for_offer(1).await.job_id();
    app.wait_for_sample(first, SampleState::Running).await;

    let silent = json!({"model_image": host.url("/silent")});
    let preparing = follow(&app, app.submit(silent).await)
        .await
        .next()
        .await
        .unwrap();
    assert_eq!(preparing.body["progress"]["stage"], "preparing");
    assert_eq!(preparing.body["status"], "processing");

    let job = app.submit(json!({"num_samples": 2})).await;
    let mut events = follow(&app, job).await;
    let queued = |body: &Value| !body["progress"]["queue_position"].is_null();
    let queued = events.find(queued).await.body["progress"].take();
    let waiting = json!({"status": "queued", "step": null, "steps": null});
    let expected = json!({
        "stage": "queued", "queue_position": 1, "remaining_ms": null,
        "samples": [waiting, waiting],
    });
    assert_eq!(
        queued, expected,
        "nothing was made yet, so nobody knows how long it takes"
    );

    app.node.set_progress(2, 8, 4000);
    app.node.report(&attempt, &result()).await;
    let stepped = |body: &Value| body["progress"]["samples"][0]["step"] == 2;
    let running = events.find(stepped).await.body["progress"].take();
    assert_eq!(running["stage"], "running");
    let expected = json!({"status": "running", "step": 2, "steps": 8});
    assert_eq!(running["samples"], json!([expected, waiting]));
    app.node.set_progress(7, 8, 500);
    events
        .find(|body| body["progress"]["samples"][0]["step"] == 7)
        .await;

    app.node.otherwise(Reaction::Report(result()));
    let attempt = app.node.wait_for_offer(2).await.job_id();
    app.node.report(&attempt, &result()).await;
    let last = events.rest().collect::<Vec<_>>().await.pop().unwrap();
    let mut expected = app.status(job).await;
    assert_eq!(expected["status"], "completed");
    expected["progress"] = Value::Null;
    assert_eq!(last.body, expected);
}

#[tokio::test]
async fn who_waits_is_told_how_long_it_takes() {
    let app = TestApp::start().await;
    app.node.script([Reaction::Report(result())]);
    let made = app.submit(json!({})).await;
    app.wait_for_outputs(made).await;
    let took = app.job(made).await.samples[0]
        .output
        .clone()
        .unwrap()
        .inference_ms;
    app.submit(json!({})).await;
    app.node.wait_for_offer(2).await;
    let mut events = follow(&app, app.submit(json!({"num_samples": 3})).await).await;
    let known = events
        .find(|body| !body["progress"]["remaining_ms"].is_null())
        .await;
    assert_eq!(known.body["progress"]["remaining_ms"], 3 * took);
}

#[tokio::test]
async fn a_stream_goes_on_where_it_broke_also_at_another_gateway() {
    let app = TestApp::start().await;
    let job = app.submit(json!({})).await;
    let attempt = app.node.wait_for_offer(1).await.job_id();
    app.wait_for_sample(job, SampleState::Running).await;
    let told = follow(&app, job).await.next().await.unwrap();

    let other = app.start_beside().await;
    let base = format!("http://{}", other.public_addr());
    let mut events = Events::open(&app, &base, job, Some(&told.id)).await;
    app.node.report(&attempt, &result()).await;
    let next = events.next().await.unwrap();
    assert_eq!(next.body["status"], "completed", "nothing is told twice");
    assert!(events.next().await.is_none());

    let ask = async |last: &str| {
        let url = app.url(&format!("/api/v1/status/{job}/events"));
        let request = app.http.get(url).bearer_auth(&app.owner.key);
        Answer::to(request.header("Last-Event-ID", last)).await
    };
    // The end is told by the links of each gateway's own address here.
    let end = follow(&app, job).await.next().await.unwrap();
    assert_eq!(
        ask(&end.id).await.status,
        204,
        "a browser would ask for ever"
    );
    assert_eq!(ask(&told.id).await.status, 200);
    other.shutdown().await;
}

#[tokio::test]
async fn a_job_is_followed_by_its_owner_alone_and_not_without_bounds() {
    let app = TestApp::start_with(|config| config.limits.followers = 2).await;
    let job = app.submit(json!({})).await;
    let stranger = app.customer(10, GENEROUS).await;
    let path = format!("/status/{job}/events");
    let foreign = app.get_as(&stranger, &path).await;
    assert_eq!(
        foreign.refusal(404, "NotFound"),
        "you have no job of this id"
    );

    let open = [follow(&app, job).await, follow(&app, job).await];
    let refused = app.get(&path).await;
    let message = refused.refusal(429, "ConcurrencyLimitExceeded");
    assert!(message.starts_with("2 streams"), "{message}");
    let others = app
        .post_as(&stranger, "/tryon/clothes", &clothes(json!({})))
        .await
        .job();
    let theirs = app.url(&format!("/api/v1/status/{others}/events"));
    let theirs = app.http.get(theirs).bearer_auth(&stranger.key).send().await;
    assert_eq!(theirs.unwrap().status(), 200, "others are not concerned");
    drop(open);
    wait("a place", async || {
        let request = app.http.get(app.url(&format!("/api/v1{path}")));
        let answer = request.bearer_auth(&app.owner.key).send().await.unwrap();
        answer.status() == 200
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_ends_lets_its_streams_go() {
    let app = TestApp::start().await;
    let job = app.submit(json!({})).await;
    let mut events = follow(&app, job).await;
    events.next().await.unwrap();
    let (ended, rest) = tokio::join!(
        timeout(PATIENCE, app.gateway.shutdown()),
        events.rest().collect::<Vec<_>>(),
    );
    ended.expect("nobody keeps it");
    let over = |told: &Told| told.body["status"] != "processing";
    assert!(!rest.iter().any(over), "the job goes on elsewhere");
}

async fn prefer(
    app: &TestApp,
    who: &Customer,
    (method, path): (Method, &str),
    wait: &str,
) -> Answer {
    let request = app.http.request(method, app.url(&format!("/api/v1{path}")));
    let request = request.bearer_auth(&who.key).header("Prefer", wait);
    Answer::to(request.json(&clothes(json!({})))).await
}

const SUBMIT: (Method, &str) = (Method::POST, "/tryon/clothes");

#[tokio::test]
async fn who_prefers_to_wait_is_answered_with_the_end() {
    let app = TestApp::start().await;
    let later = Duration::from_millis(300);
    app.node.otherwise(Reaction::Report(result()));
    let answer = prefer(&app, &app.owner, SUBMIT, "wait=50").await;
    let job = answer.job();
    assert_eq!(answer.header("preference-applied"), "wait=50");
    let mut expected = app.status(job).await;
    assert_eq!(expected["status"], "completed");
    expected["jobId"] = json!(job);
    assert_eq!(answer.body, expected);

    let error = Outcome::error(JobErrorCode::PoseError, "nobody is there", false);
    app.node.otherwise(Reaction::Report(error));
    let failed = prefer(&app, &app.owner, SUBMIT, "wait=50").await;
    assert_eq!(failed.body["status"], "failed");
    assert_eq!(failed.body["error"]["name"], "PoseError");
    assert_eq!(failed.body["output"], json!([]));

    app.node.otherwise(Reaction::Work);
    let offers = app.node.offers().len();
    let late = prefer(&app, &app.owner, SUBMIT, "wait=1").await;
    let job = late.job();
    assert_eq!(late.body["status"], "processing");
    let attempt = app.node.wait_for_offer(offers + 1).await.job_id();
    let path = format!("/status/{job}");
    let (status, ()) = tokio::join!(
        prefer(&app, &app.owner, (Method::GET, &path), "wait=50"),
        async {
            tokio::time::sleep(later).await;
            app.node.report(&attempt, &result()).await;
        },
    );
    assert_eq!(status.body["status"], "completed", "{}", status.text);
    assert_eq!(status.body, app.status(job).await);
}

#[tokio::test]
async fn who_waits_in_too_many_places_is_answered_at_once() {
    let app = TestApp::start_with(|config| config.limits.followers = 0).await;
    let answer = prefer(&app, &app.owner, SUBMIT, "wait=50").await;
    assert_eq!(answer.body["status"], "processing");
    assert_eq!(answer.header("preference-applied"), "");
    app.node.wait_for_offer(1).await;
}

#[tokio::test]
async fn a_job_that_is_cancelled_costs_nothing_and_frees_its_node() {
    let app = TestApp::start().await;
    let job = app.submit(json!({"num_samples": 2})).await;
    let attempt = app.node.wait_for_offer(1).await.job_id();
    app.wait_for_sample(job, SampleState::Running).await;
    let stranger = app.customer(1, GENEROUS).await;
    let path = format!("/jobs/{job}/cancel");
    let foreign = app.post_as(&stranger, &path, &Value::Null).await;
    foreign.refusal(404, "NotFound");

    let mut events = follow(&app, job).await;
    let cancelled = post(&app, &path).await;
    assert_eq!(cancelled.status, 200);
    assert_eq!(cancelled.body["error"]["name"], "Cancelled");
    assert_eq!(cancelled.body, app.status(job).await);
    let told = events.find(|body| body["status"] == "failed").await;
    assert_eq!(told.body["error"], cancelled.body["error"]);
    assert_eq!(app.balance(&app.owner).await.available(), 100);
    let told = format!("DELETE /tryon/{attempt}");
    app.node.wait_for_requests(&told, 1).await;
    assert_eq!(
        post(&app, &path).await.body,
        cancelled.body,
        "once more is the same"
    );
    app.check_books().await;
}

#[tokio::test]
async fn what_was_delivered_before_a_job_was_cancelled_is_kept_and_paid() {
    let app = TestApp::start().await;
    app.node.script([Reaction::Report(result())]);
    let job = app.submit(json!({"num_samples": 2})).await;
    app.node.wait_for_offer(2).await;
    wait("the first picture", async || {
        app.job(job).await.samples[0].state == SampleState::Succeeded
    })
    .await;
    let cancelled = post(&app, &format!("/jobs/{job}/cancel")).await;
    assert_eq!(cancelled.body["status"], "completed");
    assert_eq!(cancelled.body["output"].as_array().unwrap().len(), 1);
    assert_eq!(app.balance(&app.owner).await.available(), 99);
}

#[tokio::test]
async fn jobs_are_listed_newest_first_with_what_they_were_asked_and_cost() {
    let host = Host::start().await;
    let app = start_beside(&host).await;
    app.node.script([Reaction::Report(result())]);
    let url = host.url("/picture.png");
    let done = app
        .submit(json!({"mode": "quality", "output_format": "jpeg"}))
        .await;
    app.wait_for_outputs(done).await;
    app.clock.advance(Duration::from_secs(1));
    let open = app
        .submit(json!({"model_image": url, "num_samples": 3}))
        .await;
    app.wait_for_state(open, JobState::Running).await;
    let stranger = app.customer(1, GENEROUS).await;
    assert_eq!(app.get_as(&stranger, "/jobs").await.body["jobs"], json!([]));

    let page = app.get("/jobs").await.body;
    assert_eq!((&page["ok"], &page["next"]), (&json!(true), &Value::Null));
    let [newer, older] = &page["jobs"].as_array().unwrap()[..] else {
        panic!("{page}")
    };
    let time = |field: &str| older[field].as_str().unwrap().to_owned();
    assert!(time("created_at") <= time("ended_at"));
    let mut expected = app.status(done).await;
    expected.as_object_mut().unwrap().extend(
        json!({
            "task": "clothes", "mode": "quality", "provider": "preview", "output_format": "jpeg",
            "num_samples": 1, "person_image": "<base64>", "garment_image": "<base64>", "credits": 1,
            "created_at": older["created_at"], "ended_at": older["ended_at"],
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    assert_eq!(*older, expected);
    assert_eq!(newer["id"], json!(open));
    assert_eq!(newer["person_image"], json!(url));
    assert_eq!(
        (&newer["credits"], &newer["ended_at"]),
        (&json!(0), &Value::Null)
    );

    let first = app.get("/jobs?limit=1").await.body;
    assert_eq!(first["jobs"], json!([newer]));
    let after = first["next"].as_str().unwrap();
    let second = app.get(&format!("/jobs?limit=1&after={after}")).await.body;
    assert_eq!(second["jobs"], json!([older]));
    for wrong in ["limit=0", "limit=101", "limit=many", "after=7"] {
        app.get(&format!("/jobs?{wrong}"))
            .await
            .refusal(400, "BadRequest");
    }
}

#[tokio::test]
async fn who_follows_second_is_told_what_is_known() {
    let app = TestApp::start().await;
    app.submit(json!({})).await;
    app.node.wait_for_offer(1).await;
    let job = app.submit(json!({})).await;
    let mut first = follow(&app, job).await;
    let placed = |body: &Value| !body["progress"]["queue_position"].is_null();
    let known = first.find(placed).await;
    let mut second = follow(&app, job).await;
    assert_eq!(second.find(placed).await.body, known.body);
}

#[tokio::test]
async fn who_submitted_too_much_can_still_take_it_back() {
    let app = TestApp::start().await;
    let limits = Limits {
        tryon_per_minute: 1,
        ..GENEROUS
    };
    let hasty = app.customer(10, limits).await;
    let submitted = app
        .post_as(&hasty, "/tryon/clothes", &clothes(json!({})))
        .await;
    let again = app
        .post_as(&hasty, "/tryon/clothes", &clothes(json!({})))
        .await;
    again.refusal(429, "RateLimitExceeded");
    let path = format!("/jobs/{}/cancel", submitted.job());
    let cancelled = app.post_as(&hasty, &path, &Value::Null).await;
    assert_eq!(
        cancelled.body["error"]["name"], "Cancelled",
        "{}",
        cancelled.text
    );
}
