//! Making itself known to gateways.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tryon_core::secret::Secret;
use tryon_node::NodeConfig;

use crate::{form::Form, stage::Stage};

const PATIENCE: Duration = Duration::from_secs(30);
const TOKEN: &str = "the-gateways-callback-token";
const NODES: &str = "/internal/v1/nodes";

/// What a node said.
#[derive(Debug)]
struct Call {
    method: Method,
    uri: Uri,
    token: String,
    body: Value,
}

#[derive(Clone)]
struct Answers {
    status: Arc<Mutex<StatusCode>>,
    calls: mpsc::UnboundedSender<Call>,
}

/// A gateway that hears registrations, each good for a tenth of a second.
struct Gateway {
    url: String,
    status: Arc<Mutex<StatusCode>>,
    calls: mpsc::UnboundedReceiver<Call>,
}

impl Gateway {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, calls) = mpsc::unbounded_channel();
        let status = Arc::new(Mutex::new(StatusCode::OK));
        let answers = Answers {
            status: Arc::clone(&status),
            calls: sender,
        };
        let router = Router::new().fallback(answer).with_state(answers);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, status, calls }
    }

    fn answer(&self, status: StatusCode) {
        *self.status.lock().unwrap() = status;
    }

    async fn next(&mut self) -> Call {
        let call = timeout(PATIENCE, self.calls.recv()).await;
        call.expect("the node calls").unwrap()
    }
}

async fn answer(
    State(answers): State<Answers>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, Json<Value>) {
    let token = headers["x-internal-auth"].to_str().unwrap().to_owned();
    let body = serde_json::from_str(&body).unwrap_or_default();
    let call = Call {
        method,
        uri,
        token,
        body,
    };
    // The test may have ended.
    let _ = answers.calls.send(call);
    let status = *answers.status.lock().unwrap();
    (status, Json(json!({"lease": 0.1})))
}

/// A node that makes itself known to these gateways.
async fn start(gateways: &[&str]) -> Stage {
    Stage::start_with(|config: &mut NodeConfig| {
        let registration = &mut config.registration;
        registration.gateways = gateways.iter().map(|url| url.parse().unwrap()).collect();
        registration.advertise_url = "http://10.0.0.7:8000".parse().ok();
        registration.internal_auth_token = Some(Secret::new(TOKEN));
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_calls_again_and_again_and_says_when_it_ends() {
    let mut gateway = Gateway::start().await;
    let stage = start(&[&gateway.url]).await;
    for _ in 0..3 {
        let call = gateway.next().await;
        assert_eq!((call.method, call.uri.path()), (Method::POST, NODES));
        assert_eq!(call.token, TOKEN);
        let expected = json!({"name": "node-under-test", "url": "http://10.0.0.7:8000/"});
        assert_eq!(call.body, expected);
    }
    stage.node.shutdown().await;
    let last = loop {
        let call = gateway.next().await;
        if call.method != Method::POST {
            break call;
        }
    };
    let expected = format!("{NODES}/node-under-test?url=http%3A%2F%2F10.0.0.7%3A8000%2F");
    assert_eq!(
        (last.method, last.uri),
        (Method::DELETE, expected.parse().unwrap())
    );
    assert_eq!(last.token, TOKEN);
    assert!(gateway.calls.try_recv().is_err(), "it called after its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_gateway_is_called_where_one_is_gone() {
    let mut gateway = Gateway::start().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let _stage = start(&[&nobody, &gateway.url]).await;
    for _ in 0..2 {
        assert_eq!(gateway.next().await.uri.path(), NODES);
    }
}

/// Whatever the gateway says, jobs are taken and delivered, and the node tries again.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_refuses_is_asked_again_and_jobs_go_on() {
    let mut gateway = Gateway::start().await;
    gateway.answer(StatusCode::CONFLICT);
    let stage = start(&[&gateway.url]).await;
    gateway.next().await;
    stage.submit(&Form::tryon("job")).await;
    assert_eq!(stage.result().await.text("job_id"), "job");
    gateway.next().await;
    gateway.answer(StatusCode::OK);
    gateway.next().await;
    // Taken: it calls at the pace of the lease, and not at that of failures.
    timeout(Duration::from_secs(5), async {
        for _ in 0..6 {
            gateway.next().await;
        }
    })
    .await
    .expect("it is registered");
}
