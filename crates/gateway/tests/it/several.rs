//! Several gateways on one PostgreSQL, one Redis and one bucket, with several nodes.

use std::{env, process::Command};

use serde_json::{Value, json};
use tryon_blob::{Blobs, Folder};
use tryon_core::{
    id::JobId,
    job::{JobState, SampleState},
    limit::Limits,
    secret::Secret,
};
use tryon_gateway::Gateway;
use tryon_testkit::{
    fake_node::{FakeNode, Reaction},
    object_store::ObjectStore,
    postgres::PostgresServer,
    redis::Redis,
};
use url::{Position, Url};

use crate::stage::{
    Answer, CALLBACK_TOKEN, GENEROUS, NODE_TOKEN, TestApp, clothes, node_config, result, wait,
};

/// Every other test holds on PostgreSQL too.
#[test]
fn every_test_holds_on_postgres() {
    let mut tests = Command::new(env::current_exe().unwrap());
    tests.args(["--quiet", "--skip", "several::", "--skip", "lab::"]);
    let output = tests.env("TRYON_TEST_DATABASE", "postgres").output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains(" 0 passed"), "{said}");
}

/// Two gateways and three nodes, of which two report to the second gateway.
struct Several {
    first: TestApp,
    second: Gateway,
    others: [FakeNode; 2],
    _bucket: ObjectStore,
    _redis: Redis,
}

impl Several {
    async fn start(server: &PostgresServer) -> Self {
        let bucket = ObjectStore::start("shop");
        let blobs = Blobs::bucket("s3://shop/try", bucket.variables()).await;
        let redis = Redis::start();
        let others = [FakeNode::start().await, FakeNode::start().await];
        let first = TestApp::start_keeping(Some(blobs.unwrap()), |config| {
            config.database.url = server.create_database().unwrap().into();
            config.rates.url = Some(Secret::new(redis.url()));
            let names = ["other", "another"];
            let more = others.iter().zip(names);
            let more = more.map(|(node, name)| node_config(name, node.url()));
            config.nodes.extend(more);
        })
        .await;
        let second = first.start_beside().await;
        for node in &others {
            node.set_token(NODE_TOKEN);
            node.report_to(second.callback_url().as_str(), CALLBACK_TOKEN);
        }
        Self {
            first,
            second,
            others,
            _bucket: bucket,
            _redis: redis,
        }
    }

    fn nodes(&self) -> [&FakeNode; 3] {
        [&self.first.node, &self.others[0], &self.others[1]]
    }

    /// How many offers the nodes took.
    fn runs(&self) -> usize {
        self.nodes().map(|node| node.runs().len()).iter().sum()
    }

    async fn submit_at_second(&self) -> Answer {
        let url = self.url_at_second("/api/v1/tryon/clothes");
        let request = self.first.http.post(url);
        let request = request.bearer_auth(&self.first.owner.key);
        Answer::to(request.json(&clothes(json!({})))).await
    }

    async fn get_at_second(&self, path: &str) -> Answer {
        let request = self.first.http.get(self.url_at_second(path));
        Answer::to(request.bearer_auth(&self.first.owner.key)).await
    }

    fn url_at_second(&self, path: &str) -> String {
        format!("http://{}{path}", self.second.public_addr())
    }

    /// The job's status once it has ended, as the second gateway tells it.
    async fn wait_at_second(&self, job: JobId) -> Value {
        let mut last = Value::Null;
        wait("the job's end", async || {
            last = self
                .get_at_second(&format!("/api/v1/status/{job}"))
                .await
                .body;
            last["status"] != "processing"
        })
        .await;
        last
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn any_of_them_answers_for_any_job() {
    let several = Several::start(PostgresServer::shared()).await;
    for node in several.nodes() {
        node.otherwise(Reaction::Report(result()));
    }
    let app = &several.first;
    let mut jobs = Vec::new();
    for _ in 0..6 {
        jobs.push(app.submit(json!({})).await);
        jobs.push(several.submit_at_second().await.job());
    }
    for (number, job) in jobs.into_iter().enumerate() {
        let status = if number % 2 == 0 {
            several.wait_at_second(job).await
        } else {
            app.wait_for_end(job).await
        };
        assert_eq!(status["status"], "completed", "{status}");
        // A link that one signed opens at the other.
        let link: Url = status["output"][0].as_str().unwrap().parse().unwrap();
        let path = &link[Position::BeforePath..];
        let picture = app.http.get(several.url_at_second(path));
        let picture = picture.send().await.unwrap();
        assert_eq!(picture.status(), 200, "{link}");
        assert!(picture.bytes().await.unwrap().starts_with(b"\x89PNG"));
    }
    // Each was given out once and paid once.
    assert_eq!(several.runs(), 12);
    assert!(several.nodes().iter().all(|node| !node.runs().is_empty()));
    let balance = app.balance(&app.owner).await;
    assert_eq!((balance.available(), balance.reserved), (88, 0));
    app.check_books().await;
    app.wait_until_inputs_are_gone().await;
    assert_eq!(app.pictures(Folder::Outputs).await.len(), 12);
}

#[tokio::test]
async fn limits_hold_for_all_of_them_together() {
    let several = Several::start(PostgresServer::shared()).await;
    let app = &several.first;
    let limits = Limits {
        credits_per_minute: 2,
        concurrent_jobs: 1,
        ..GENEROUS
    };
    app.store
        .set_limits(app.owner.account, limits)
        .await
        .unwrap();
    assert_eq!(app.get("/credits").await.status, 200);
    assert_eq!(several.get_at_second("/api/v1/credits").await.status, 200);
    let refused = app.get("/credits").await;
    refused.refusal(429, "RateLimitExceeded");
    app.submit(json!({})).await;
    let refused = several.submit_at_second().await;
    refused.refusal(429, "ConcurrencyLimitExceeded");
}

/// A gateway that stops takes no work with it: what it gave out ends at the other, whose turn it
/// then is to sweep.
#[tokio::test]
async fn the_others_go_on_where_one_stops() {
    let several = Several::start(PostgresServer::shared()).await;
    let app = &several.first;
    // All at work, and none ever reports.
    let running = [app.submit(json!({})).await, app.submit(json!({})).await];
    for job in running {
        app.wait_for_sample(job, SampleState::Running).await;
    }
    let Several {
        first,
        second,
        others,
        ..
    } = several;
    second.shutdown().await;
    for node in [&first.node, &others[0], &others[1]] {
        node.report_to(first.gateway.callback_url().as_str(), CALLBACK_TOKEN);
        node.otherwise(Reaction::Report(result()));
    }
    let more = first.submit(json!({})).await;
    first.wait_for_outputs(more).await;
    first.clock.advance(first.config.jobs.deadline.duration());
    for job in running {
        let (name, _) = first.wait_for_failure_among(job).await;
        assert_eq!(name, "Timeout");
    }
    first.check_books().await;
    first.wait_until_inputs_are_gone().await;
}

/// Nothing is lost with the server's connections, and no gateway has to be started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_is_killed_is_found_again() {
    let server = PostgresServer::start().unwrap();
    let several = Several::start(&server).await;
    let app = &several.first;
    let running = app.submit(json!({})).await;
    app.wait_for_sample(running, SampleState::Running).await;
    let node = several
        .nodes()
        .into_iter()
        .find(|node| !node.runs().is_empty())
        .unwrap();
    let attempt = node.runs()[0].job_id();

    server.kill();
    let refused = app.post("/tryon/clothes", &clothes(json!({}))).await;
    let message = refused.refusal(500, "InternalServerError");
    assert!(!message.contains("postgres"), "{message}");
    let received = node.report(&attempt, &result()).await;
    assert!(received.status >= 500, "{received:?}");
    server.restart().unwrap();

    // The node tries again, as nodes do.
    wait("the result to be taken", async || {
        node.report(&attempt, &result()).await.status == 200
    })
    .await;
    assert_eq!(several.wait_at_second(running).await["status"], "completed");
    let more = several.submit_at_second().await.job();
    app.wait_for_state(more, JobState::Running).await;
    app.check_books().await;
    let balance = app.balance(&app.owner).await;
    assert_eq!((balance.available(), balance.reserved), (98, 1));
}
