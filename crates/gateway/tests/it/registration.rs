//! Nodes that make themselves known.

use std::time::Duration;

use serde_json::{Value, json};
use tryon_core::{job::SampleState, secret::Secret};
use tryon_gateway::{Gateway, GatewayConfig};
use tryon_store::{Node, NodeState};
use tryon_testkit::fake_node::{FakeNode, Reaction};

use crate::stage::{Answer, CALLBACK_TOKEN, NODE_TOKEN, TestApp, result, wait};

/// A gateway that lists no node, and takes those that register.
fn open(config: &mut GatewayConfig) {
    config.nodes.clear();
    config.registration.node_token = Some(Secret::new(NODE_TOKEN));
}

async fn start() -> TestApp {
    let app = TestApp::start_with(open).await;
    app.node.otherwise(Reaction::Report(result()));
    app
}

fn url(gateway: &Gateway, path: &str) -> String {
    format!("http://{}/internal/v1/nodes{path}", gateway.internal_addr())
}

/// `POST /internal/v1/nodes` with this token.
async fn post_as(app: &TestApp, token: &str, body: &Value) -> Answer {
    let request = app.http.post(url(&app.gateway, ""));
    Answer::to(request.header("x-internal-auth", token).json(body)).await
}

async fn register(app: &TestApp, name: &str, node: &FakeNode) -> Answer {
    let body = json!({"name": name, "url": node.url()});
    post_as(app, CALLBACK_TOKEN, &body).await
}

async fn remove(app: &TestApp, path: &str) -> Answer {
    let request = app.http.delete(url(&app.gateway, path));
    Answer::to(request.header("x-internal-auth", CALLBACK_TOKEN)).await
}

async fn nodes(app: &TestApp) -> Vec<Node> {
    app.store.list_nodes().await.unwrap()
}

fn lease(app: &TestApp) -> Duration {
    app.config.registration.lease.duration()
}

#[tokio::test]
async fn a_node_that_registers_is_given_work() {
    let app = start().await;
    let job = app.submit(json!({})).await;
    app.wait_for_started(job).await;
    let answer = register(&app, "node", &app.node).await;
    assert_eq!((answer.status, answer.body), (200, json!({"lease": 30})));
    app.wait_for_outputs(job).await;
    // Its own token was sent to it, or it had refused.
    assert_eq!(app.node.runs().len(), 1);
    assert_eq!(app.node_state().await.state, NodeState::Ready);
}

#[tokio::test]
async fn a_node_that_is_not_heard_of_is_given_nothing_until_it_is() {
    let app = start().await;
    register(&app, "node", &app.node).await;
    app.wait_for_node(NodeState::Ready).await;
    // Heard of in time, it goes on.
    app.clock
        .advance(lease(&app).saturating_sub(Duration::from_secs(1)));
    register(&app, "node", &app.node).await;
    app.clock
        .advance(lease(&app).saturating_sub(Duration::from_secs(1)));
    let job = app.submit(json!({})).await;
    app.wait_for_outputs(job).await;

    app.clock.advance(Duration::from_secs(1));
    let job = app.submit(json!({})).await;
    app.wait_for_started(job).await;
    app.wait_for_node(NodeState::Unreachable).await;
    assert_eq!(app.job(job).await.samples[0].state, SampleState::Queued);
    // It still answers, and that says nothing: it is not asked.
    let asked = app.node.requests("GET /test");
    register(&app, "node", &app.node).await;
    app.wait_for_outputs(job).await;
    assert!(app.node.requests("GET /test") > asked);
    assert_eq!(app.node.runs().len(), 2);
}

#[tokio::test]
async fn a_lost_node_is_forgotten_in_time() {
    let app = start().await;
    register(&app, "node", &app.node).await;
    app.clock.advance(lease(&app));
    app.wait_for_node(NodeState::Unreachable).await;
    app.clock
        .advance(app.config.registration.forget_after.duration());
    app.clock.advance(Duration::from_millis(1));
    wait("the node to be forgotten", async || {
        nodes(&app).await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_node_that_ends_is_given_nothing_more() {
    let app = start().await;
    app.node.otherwise(Reaction::Work);
    register(&app, "node", &app.node).await;
    let running = app.submit(json!({})).await;
    app.wait_for_sample(running, SampleState::Running).await;
    // Another node of this name that ends says nothing of this one.
    let other = remove(&app, "/node?url=http://elsewhere/").await;
    assert_eq!(other.status, 200, "{}", other.text);
    assert_eq!(app.node_state().await.state, NodeState::Ready);
    let here = format!("/node?url={}/", app.node.url());
    assert_eq!(remove(&app, &here).await.status, 200);
    assert_eq!(app.node_state().await.state, NodeState::Unreachable);

    // What it works on ends as ever.
    let attempt = app.node.runs()[0].job_id();
    app.node.report(&attempt, &result()).await;
    app.wait_for_outputs(running).await;
    let waiting = app.submit(json!({})).await;
    app.wait_for_started(waiting).await;
    // Its name is free at once.
    let next = FakeNode::start().await;
    next.set_token(NODE_TOKEN);
    next.report_to(app.gateway.callback_url().as_str(), CALLBACK_TOKEN);
    next.otherwise(Reaction::Report(result()));
    assert_eq!(register(&app, "node", &next).await.status, 200);
    app.wait_for_outputs(waiting).await;
    assert_eq!((app.node.runs().len(), next.runs().len()), (1, 1));
    assert_eq!(remove(&app, "/ghost").await.status, 200);
}

#[tokio::test]
async fn a_name_is_refused_until_its_node_is_gone() {
    let app = start().await;
    register(&app, "node", &app.node).await;
    let other = FakeNode::start().await;
    let message = register(&app, "node", &other).await;
    let message = message.refusal(409, "BadRequest");
    assert!(message.contains("the name `node` is that of"), "{message}");
    app.clock.advance(lease(&app));
    assert_eq!(register(&app, "node", &other).await.status, 200);
    let known = app.node_state().await.url;
    assert_eq!(known.trim_end_matches('/'), other.url());
}

#[tokio::test]
async fn a_listed_node_stays_as_it_is_listed() {
    let app = TestApp::start_with(|config| {
        config.registration.node_token = Some(Secret::new("another-token-than-its-own"));
    })
    .await;
    app.node.otherwise(Reaction::Report(result()));
    assert_eq!(register(&app, "node", &app.node).await.status, 200);
    assert_eq!(app.node_state().await.registration, None);
    let thief = FakeNode::start().await;
    assert_eq!(register(&app, "node", &thief).await.status, 409);
    // It is told the token of the list, and is still there when it does not call again.
    app.clock.advance(lease(&app) * 2);
    let job = app.submit(json!({})).await;
    app.wait_for_outputs(job).await;
}

#[tokio::test]
async fn only_who_knows_the_token_registers_and_none_names_what_it_is_sent() {
    let app = start().await;
    let stranger = FakeNode::start().await;
    stranger.set_token("a-token-that-the-stranger-names");
    let mut body = json!({
        "name": "stranger",
        "url": stranger.url(),
        "token": "a-token-that-the-stranger-names",
    });
    for token in ["", NODE_TOKEN] {
        let refused = post_as(&app, token, &body).await;
        refused.refusal(401, "UnauthorizedAccess");
    }
    assert_eq!(nodes(&app).await, []);
    assert_eq!(post_as(&app, CALLBACK_TOKEN, &body).await.status, 200);
    wait("the stranger's refusal", async || {
        nodes(&app).await[0].state == NodeState::Quarantined
    })
    .await;
    body["url"] = json!("ftp://elsewhere");
    let refused = post_as(&app, CALLBACK_TOKEN, &body).await;
    let message = refused.refusal(400, "BadRequest");
    assert!(message.starts_with("`url` is `ftp://"), "{message}");
}

#[tokio::test]
async fn without_a_token_for_nodes_nobody_registers() {
    let app = TestApp::start().await;
    let refused = register(&app, "another", &app.node).await;
    let message = refused.refusal(404, "NotFound");
    assert!(message.contains("`registration.node_token`"), "{message}");
    remove(&app, "/another").await.refusal(404, "NotFound");
    assert_eq!(nodes(&app).await.len(), 1);
}

/// It registers at one gateway, and works for another that lists other nodes.
#[tokio::test]
async fn a_node_is_known_to_every_gateway_on_the_store() {
    let app = start().await;
    register(&app, "node", &app.node).await;
    app.wait_for_node(NodeState::Ready).await;
    let second = app.start_beside().await;
    let TestApp {
        gateway,
        node,
        store,
        ..
    } = app;
    node.report_to(second.callback_url().as_str(), CALLBACK_TOKEN);
    gateway.shutdown().await;
    let request = app.http.post(format!(
        "http://{}/api/v1/tryon/clothes",
        second.public_addr()
    ));
    let body = crate::stage::clothes(json!({}));
    let submitted = Answer::to(request.bearer_auth(&app.owner.key).json(&body)).await;
    let job = submitted.job();
    wait("the job's end", async || {
        let job = store.find_job(job).await.unwrap().unwrap();
        job.state.is_terminal()
    })
    .await;
    assert_eq!(node.runs().len(), 1);
    second.shutdown().await;
}
