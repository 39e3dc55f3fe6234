//! What a node is sent, and what follows from each of its answers.

use std::time::Duration;

use serde_json::json;
use tryon_api::node::Readiness;
use tryon_core::{
    error::JobErrorCode,
    job::{JobState, SampleState},
    time::Seconds,
};
use tryon_store::NodeState;
use tryon_testkit::{
    fake_node::{FakeNode, Outcome, Reaction},
    upload,
};

use crate::stage::{CALLBACK_TOKEN, NODE_TOKEN, TestApp, node_config, result, tattoo, wait};

/// The first wait of a sample whose attempt was lost.
const PAUSE: Duration = Duration::from_secs(1);

/// A gateway with two nodes, of which only the first is hot to begin with. The second reports a
/// picture as soon as it is given a job.
pub(crate) async fn start_with_two() -> (TestApp, FakeNode) {
    let other = FakeNode::start().await;
    other.set_token(NODE_TOKEN);
    other.set_readiness(Readiness::Loading);
    other.otherwise(Reaction::Report(result()));
    let url = other.url().to_owned();
    let app = TestApp::start_with(|config| {
        config.jobs.lease = Seconds::new(2);
        config.jobs.deadline = Seconds::new(3600);
        config.nodes.push(node_config("other", &url));
    })
    .await;
    other.report_to(app.gateway.callback_url().as_str(), CALLBACK_TOKEN);
    app.wait_for_node(NodeState::Ready).await;
    (app, other)
}

/// How often a sample's attempts were worked on, at all nodes together.
fn runs_of(job: tryon_core::id::JobId, nodes: &[&FakeNode]) -> usize {
    let runs = nodes.iter().flat_map(|node| node.runs());
    runs.filter(|run| run.job_id().starts_with(&job.to_string()))
        .count()
}

#[tokio::test]
async fn a_node_is_sent_what_was_asked_for() {
    let app = TestApp::start().await;
    let fields = json!({"category": "tops", "seed": 41, "num_samples": 2, "mode": "quality",
        "output_format": "jpeg", "moderation_level": "none"});
    let job = app.submit(fields).await;
    let first = app.node.wait_for_offer(1).await;
    assert_eq!(first.job_id(), format!("{job}-0.1"));
    assert_eq!(first.headers["x-internal-auth"], NODE_TOKEN);
    assert_eq!(first.text("provider"), "preview");
    assert_eq!(first.text("user_id"), app.owner.account.to_string());
    assert_eq!(first.text("session_id"), job.to_string());
    let expected = json!({"seed": 41, "steps": 1, "cfg": 1.0, "task": "clothes", "category": "tops",
        "garment_photo_type": "auto", "segmentation_free": true, "output_format": "jpeg", "moderation_level": "none"});
    assert_eq!(first.config(), expected);
    assert!(first.file("masked_user_image").starts_with(b"\x89PNG"));
    assert!(first.file("garment_image").starts_with(b"\x89PNG"));
    app.node.otherwise(Reaction::Report(result()));
    app.node.report(&first.job_id(), &result()).await;
    let second = app.node.wait_for_offer(2).await;
    assert_eq!(
        (second.job_id(), second.config()["seed"].clone()),
        (format!("{job}-1.1"), json!(42))
    );
    app.wait_for_outputs(job).await;
    let region = json!({"x": 0.25, "y": 0.5, "w": 0.25, "h": 0.125});
    let body = tattoo(json!({"placement": "left arm", "region": region}));
    app.post("/tryon/tattoo", &body).await.job();
    let config = app.node.wait_for_offer(3).await.config();
    assert_eq!(
        (&config["task"], &config["placement"]),
        (&json!("tattoo"), &json!("left arm"))
    );
    assert_eq!(config["region"], region);
}

#[tokio::test]
async fn a_node_works_on_one_attempt_at_a_time_and_the_oldest_job_first() {
    let app = TestApp::start().await;
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(app.submit(json!({})).await);
        app.wait_for_started(*jobs.last().unwrap()).await;
        app.clock.advance(Duration::from_millis(1));
    }
    app.node.wait_for_offer(1).await;
    assert_eq!(app.node.offers().len(), 1);
    for (index, job) in jobs.iter().enumerate() {
        let attempt = app.node.wait_for_offer(index + 1).await.job_id();
        assert_eq!(attempt, format!("{job}-0.1"));
        app.node.report(&attempt, &result()).await;
        app.wait_for_outputs(*job).await;
    }
    assert_eq!(app.node.offers().len(), 3);
}

#[tokio::test]
async fn a_busy_node_is_left_alone_for_as_long_as_it_says_and_no_attempt_is_lost() {
    let app = TestApp::start_with(|config| config.jobs.max_lost = 1).await;
    app.node.script([
        Reaction::busy(7),
        Reaction::busy(7),
        Reaction::Report(result()),
    ]);
    let job = app.submit(json!({})).await;
    for offers in 1..=2 {
        app.node.wait_for_offer(offers).await;
        wait("the node's hold", async || {
            let node = app.node_state().await;
            node.attempt.is_none() && node.hold_until > app.now()
        })
        .await;
        app.clock.advance(Duration::from_millis(6_900));
        assert_eq!(app.node.offers().len(), offers);
        assert_eq!(app.node_state().await.state, NodeState::Ready);
        app.clock.advance(Duration::from_millis(100));
    }
    app.wait_for_outputs(job).await;
    assert_eq!(
        (app.node.offers().len(), app.node_state().await.faults),
        (3, 0)
    );
}

#[tokio::test]
async fn a_loading_node_is_probed_until_it_is_hot_and_no_attempt_is_lost() {
    let app = TestApp::start_with(|config| config.jobs.max_lost = 1).await;
    app.wait_for_node(NodeState::Ready).await;
    app.node.script([Reaction::unload()]);
    let job = app.submit(json!({})).await;
    app.wait_for_node(NodeState::NotReady).await;
    let probed = app.node.requests("GET /test");
    app.node.wait_for_requests("GET /test", probed + 2).await;
    assert_eq!(app.node.offers().len(), 1);
    assert_eq!(app.status(job).await["status"], "processing");
    app.node.otherwise(Reaction::Report(result()));
    app.node.set_readiness(Readiness::Hot);
    app.wait_for_outputs(job).await;
}

#[tokio::test]
async fn a_node_that_refuses_our_token_is_quarantined_and_the_job_goes_elsewhere() {
    let (app, other) = start_with_two().await;
    app.node.set_token("another-token");
    let job = app.submit(json!({})).await;
    app.wait_for_node(NodeState::Quarantined).await;
    assert_eq!(app.status(job).await["status"], "processing");
    other.set_readiness(Readiness::Hot);
    app.wait_for_outputs(job).await;
    // A probe may have found out before the offer.
    assert!(app.node.offers().len() <= 1);
    assert_eq!(app.node.runs().len(), 0);
    assert_eq!(app.node_state().await.state, NodeState::Quarantined);
}

#[tokio::test]
async fn a_quarantined_node_is_taken_back_when_it_knows_our_token_again() {
    let app = TestApp::start_with(|config| {
        config.jobs.quarantine = Seconds::new(1);
        config.jobs.deadline = Seconds::new(3600);
    })
    .await;
    app.node.set_token("another-token");
    let job = app.submit(json!({})).await;
    app.wait_for_node(NodeState::Quarantined).await;
    app.node.otherwise(Reaction::Report(result()));
    app.node.set_token(NODE_TOKEN);
    app.wait_for_outputs(job).await;
}

#[tokio::test]
async fn a_node_that_refuses_the_request_fails_the_sample_in_the_clients_words() {
    let app = TestApp::start().await;
    app.node.script([
        Reaction::refuse(400, "`garment_image` is blank"),
        Reaction::refuse(400, "`masked_user_image`: the picture is 1x1"),
        Reaction::refuse(400, "`garment_image`: the picture is 1x1"),
    ]);
    let job = app.submit(json!({})).await;
    let (name, message) = app.wait_for_failure(job).await;
    assert_eq!(
        (name.as_str(), message.as_str()),
        ("InputValidationError", "`garment_image` is blank")
    );
    assert_eq!(
        (app.node.offers().len(), app.node_state().await.faults),
        (1, 0)
    );
    let job = app.submit(json!({})).await;
    let (_, message) = app.wait_for_failure(job).await;
    assert_eq!(message, "`model_image`: the picture is 1x1");
    let job = app.post("/tryon/tattoo", &tattoo(json!({}))).await.job();
    let (_, message) = app.wait_for_failure(job).await;
    assert_eq!(message, "`design_image`: the picture is 1x1");
}

#[tokio::test]
async fn a_node_that_lacks_the_provider_is_not_asked_for_it_again() {
    let (app, other) = start_with_two().await;
    app.node
        .script([Reaction::refuse(400, "Invalid provider: preview")]);
    let job = app.submit(json!({})).await;
    app.node.wait_for_offer(1).await;
    other.set_readiness(Readiness::Hot);
    app.pass_time_until_outputs(job).await;
    assert_eq!((app.node.offers().len(), other.runs().len()), (1, 1));
}

#[tokio::test]
async fn a_connection_that_closes_before_the_body_sends_the_job_to_the_next_node() {
    let (app, other) = start_with_two().await;
    app.node.script([Reaction::DropAtHead]);
    app.node.otherwise(Reaction::busy(60));
    let job = app.submit(json!({})).await;
    app.node.wait_for_offer(1).await;
    other.set_readiness(Readiness::Hot);
    app.pass_time_until_outputs(job).await;
    assert_eq!(runs_of(job, &[&app.node, &other]), 1);
    app.check_books().await;
}

#[tokio::test]
async fn a_node_that_cannot_be_connected_to_costs_no_attempt() {
    let gone = FakeNode::start().await;
    let url = gone.url().to_owned();
    drop(gone);
    let app = TestApp::start_with(|config| {
        config.jobs.max_lost = 1;
        config.nodes.push(node_config("gone", &url));
    })
    .await;
    app.node.otherwise(Reaction::Report(result()));
    // As it stood when the gateway last saw it.
    let providers = [tryon_core::task::Provider::Preview];
    app.store
        .set_node_state("gone", NodeState::Ready, &providers)
        .await
        .unwrap();
    let job = app.submit(json!({"num_samples": 4})).await;
    assert_eq!(app.wait_for_outputs(job).await.len(), 4);
}

#[tokio::test]
async fn a_node_that_took_the_job_without_an_answer_is_asked_and_keeps_it() {
    for reaction in [
        Reaction::DropAfterBody { taken: true },
        Reaction::Mute { taken: true },
    ] {
        let (app, other) = start_with_two().await;
        let asked = app.node.requests("GET /gpu/status");
        app.node.script([reaction]);
        let job = app.submit(json!({})).await;
        let attempt = app.node.wait_for_offer(1).await.job_id();
        app.node
            .wait_for_requests("GET /gpu/status", asked + 1)
            .await;
        app.wait_for_sample(job, SampleState::Running).await;
        other.set_readiness(Readiness::Hot);
        app.node.report(&attempt, &result()).await;
        app.wait_for_outputs(job).await;
        assert_eq!(runs_of(job, &[&app.node, &other]), 1);
        assert_eq!(app.node_state().await.faults, 0);
    }
}

#[tokio::test]
async fn a_node_that_did_not_take_the_job_is_asked_and_another_runs_it_once() {
    for reaction in [
        Reaction::DropAfterBody { taken: false },
        Reaction::Mute { taken: false },
    ] {
        let (app, other) = start_with_two().await;
        let asked = app.node.requests("GET /gpu/status");
        app.node.script([reaction]);
        app.node.otherwise(Reaction::busy(60));
        let job = app.submit(json!({})).await;
        app.node
            .wait_for_requests("GET /gpu/status", asked + 1)
            .await;
        other.set_readiness(Readiness::Hot);
        app.pass_time_until_outputs(job).await;
        assert_eq!(runs_of(job, &[&app.node, &other]), 1);
        assert_eq!(app.balance(&app.owner).await.available(), 99);
    }
}

#[tokio::test]
async fn a_result_that_is_faster_than_its_202_counts() {
    let app = TestApp::start().await;
    app.node.script([Reaction::ReportFirst(result())]);
    let job = app.submit(json!({})).await;
    app.wait_for_outputs(job).await;
    assert_eq!(app.node.offers().len(), 1);
    wait("the idle node", async || {
        app.node_state().await.attempt.is_none()
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_ran_out_is_renewed_while_the_node_works_on_it() {
    let app = TestApp::start_with(|config| config.jobs.deadline = Seconds::new(3600)).await;
    let job = app.submit(json!({})).await;
    let attempt = app.node.wait_for_offer(1).await.job_id();
    app.wait_for_sample(job, SampleState::Running).await;
    let asked = app.node.requests("GET /gpu/status");
    wait("three renewals", async || {
        app.clock.advance(Duration::from_secs(2));
        app.node.requests("GET /gpu/status") >= asked + 3
    })
    .await;
    assert_eq!(app.node.offers().len(), 1);
    app.node.report(&attempt, &result()).await;
    app.wait_for_outputs(job).await;
}

#[tokio::test]
async fn a_lease_of_a_node_that_forgot_its_job_queues_the_sample_again() {
    let app = TestApp::start().await;
    let job = app.submit(json!({})).await;
    app.node.wait_for_offer(1).await;
    app.wait_for_sample(job, SampleState::Running).await;
    app.node.forget();
    app.node.otherwise(Reaction::Report(result()));
    app.clock.advance(app.config.jobs.lease.duration());
    wait("the sample's return", async || {
        app.job(job).await.samples[0].state == SampleState::Queued
    })
    .await;
    app.clock.advance(PAUSE);
    app.wait_for_outputs(job).await;
    assert_eq!(
        app.node.wait_for_offer(2).await.job_id(),
        format!("{job}-0.2")
    );
    assert_eq!(app.balance(&app.owner).await.available(), 99);
}

#[tokio::test]
async fn a_node_that_went_dark_loses_its_job_to_another() {
    let (app, other) = start_with_two().await;
    let job = app.submit(json!({})).await;
    app.node.wait_for_offer(1).await;
    app.wait_for_sample(job, SampleState::Running).await;
    app.node.set_dark(true);
    other.set_readiness(Readiness::Hot);
    app.clock.advance(app.config.jobs.lease.duration());
    app.wait_for_node(NodeState::Unreachable).await;
    app.pass_time_until_outputs(job).await;
    assert_eq!(other.runs().len(), 1);
}

#[tokio::test]
async fn a_sample_that_every_attempt_lost_fails_and_costs_nothing() {
    let app = TestApp::start_with(|config| {
        config.jobs.max_lost = 2;
        config.jobs.deadline = Seconds::new(3600);
    })
    .await;
    app.node
        .otherwise(Reaction::refuse(500, "Internal Server Error"));
    let job = app.submit(json!({})).await;
    app.node.wait_for_offer(1).await;
    wait("the end of the attempts", async || {
        app.clock.advance(PAUSE);
        app.status(job).await["status"] == "failed"
    })
    .await;
    let (name, _) = app.wait_for_failure(job).await;
    assert_eq!(
        (name.as_str(), app.node.offers().len()),
        ("PipelineError", 2)
    );
    assert_eq!(app.balance(&app.owner).await.available(), 100);
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_again() {
    let app = TestApp::start().await;
    let crash = Outcome::error(JobErrorCode::ProcessingError, "the engine crashed", true);
    app.node
        .script([Reaction::Report(crash), Reaction::Report(result())]);
    let job = app.submit(json!({})).await;
    app.node.wait_for_report(1).await;
    app.clock.advance(PAUSE);
    app.wait_for_outputs(job).await;
    let samples = app.job(job).await.samples;
    assert_eq!((samples[0].attempt, samples.len()), (2, 1));
    assert_eq!(app.balance(&app.owner).await.available(), 99);
    // An image ends a row of faults.
    wait("the end of the faults", async || {
        app.node_state().await.faults == 0
    })
    .await;
}

#[tokio::test]
async fn a_node_that_fails_every_job_is_held() {
    let app = TestApp::start_with(|config| {
        config.jobs.max_lost = 10;
        config.jobs.deadline = Seconds::new(3600);
    })
    .await;
    app.node.otherwise(Reaction::refuse(502, "Bad Gateway"));
    let job = app.submit(json!({})).await;
    wait("the breaker", async || {
        app.clock.advance(PAUSE);
        app.node_state().await.faults >= 3
    })
    .await;
    wait("the node's hold", async || {
        app.node_state().await.hold_until > app.now()
    })
    .await;
    assert_eq!(app.status(job).await["status"], "processing");
}

#[tokio::test]
async fn a_job_survives_a_restart_wherever_it_is() {
    let app = TestApp::start().await;
    let running = app.submit(json!({})).await;
    let attempt = app.node.wait_for_offer(1).await.job_id();
    app.wait_for_sample(running, SampleState::Running).await;
    let waiting = app.submit(json!({})).await;
    app.wait_for_state(waiting, JobState::Prepared).await;
    let app = app.restart().await;
    assert_eq!(app.status(running).await["status"], "processing");
    app.node.otherwise(Reaction::Report(result()));
    app.node.report(&attempt, &result()).await;
    for job in [running, waiting] {
        app.wait_for_outputs(job).await;
    }
    assert_eq!(app.node.runs().len(), 2);
    assert_eq!(app.balance(&app.owner).await.available(), 98);
    app.check_books().await;
}

#[tokio::test]
async fn a_picture_that_cannot_be_read_is_a_fault_of_the_node() {
    let app = TestApp::start().await;
    let broken = Outcome::png(upload::truncated(upload::noise(32, 32)));
    app.node
        .script([Reaction::Report(broken), Reaction::Report(result())]);
    let job = app.submit(json!({})).await;
    app.node.wait_for_report(1).await;
    assert_eq!(app.node_state().await.faults, 1);
    app.clock.advance(PAUSE);
    app.wait_for_outputs(job).await;
}
