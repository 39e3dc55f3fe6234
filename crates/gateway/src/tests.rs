//! Jobs from their submission to their end, over real sockets and with a node that does as it is
//! told.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Multipart, State},
    http::StatusCode,
    routing::{get, post},
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use image::{Rgba, RgbaImage};
use rand::{SeedableRng as _, rngs::StdRng};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tryon_blob::{Blobs, Folder};
use tryon_core::{
    id::{AccountId, KeyId},
    ledger::Pool,
    limit::Limits,
    scope::Scopes,
    secret::Secret,
    time::{Seconds, Timestamp},
};
use tryon_picture::encode_png;
use tryon_store::{NewKey, SqliteStore, Store};

use crate::{Gateway, GatewayConfig, auth::NewSecret, config::NodeConfig};

const TOKEN: &str = "0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway, an account with ten credits, and a node whose attempts are told.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    store: Arc<dyn Store>,
    pub(crate) blobs: Blobs,
    account: AccountId,
    secret: String,
    attempts: mpsc::UnboundedReceiver<String>,
    http: reqwest::Client,
}

async fn start_node() -> (String, mpsc::UnboundedReceiver<String>) {
    let (tell, attempts) = mpsc::unbounded_channel();
    let test =
        json!({"status": "hot", "model_loaded": true, "node_id": "n", "model_type": "preview"});
    let version = json!({"model_type": "preview", "model_version": "1", "backend": "cpu",
        "git_commit": "unknown", "node_id": "n", "providers": ["preview"]});
    let gpu = json!({"node_id": "n", "busy": false, "current_job_id": null, "queue_length": 0});
    let router = Router::new()
        .route("/test", get(move || async move { Json(test) }))
        .route("/version", get(move || async move { Json(version) }))
        .route("/gpu/status", get(move || async move { Json(gpu) }))
        .route("/tryon", post(take_attempt))
        .with_state(tell);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, attempts)
}

async fn take_attempt(
    State(tell): State<mpsc::UnboundedSender<String>>,
    mut form: Multipart,
) -> StatusCode {
    while let Some(field) = form.next_field().await.unwrap() {
        if field.name() == Some("job_id") {
            tell.send(field.text().await.unwrap()).unwrap();
        }
    }
    StatusCode::ACCEPTED
}

impl Stage {
    pub(crate) async fn start(change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let (url, attempts) = start_node().await;
        let mut config = GatewayConfig::default();
        config.secrets.link_signing_key = Secret::new(TOKEN);
        config.callbacks.token = Secret::new(TOKEN);
        (config.server.port, config.server.internal_port) = (0, 0);
        config.nodes = vec![NodeConfig {
            name: "n".to_owned(),
            url: url.parse().unwrap(),
            token: None,
        }];
        change(&mut config);
        let store = Arc::new(SqliteStore::open(":memory:").await.unwrap());
        let (account, now) = (AccountId::from_bytes([7; 12]), Timestamp::from_millis(0));
        store
            .create_account(account, "a", Limits::default(), now)
            .await
            .unwrap();
        store
            .grant_credits(account, Pool::Purchased, 10, now)
            .await
            .unwrap();
        let secret = NewSecret::generate(&mut StdRng::seed_from_u64(1));
        let key = NewKey {
            id: KeyId::from_bytes([8; 12]),
            account,
            name: "k".to_owned(),
            prefix: secret.prefix().to_owned(),
            hash: secret.hash(),
            scopes: Scopes::ALL,
            expires_at: None,
        };
        store.create_key(key, now).await.unwrap();
        let blobs = Blobs::memory();
        let gateway = Gateway::start(config, store.clone(), blobs.clone())
            .await
            .unwrap();
        Self {
            gateway,
            store,
            blobs,
            account,
            secret: secret.into_string(),
            attempts,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    fn address(&self, path: &str) -> String {
        format!("http://{}{path}", self.gateway.public_addr())
    }

    pub(crate) async fn submit(&self, body: Value) -> String {
        let request = self.http.post(self.address("/api/v1/tryon/clothes"));
        let request = request.bearer_auth(&self.secret).json(&body);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"))
            .to_owned()
    }

    pub(crate) async fn attempt(&mut self) -> String {
        let attempt = tokio::time::timeout(PATIENCE, self.attempts.recv()).await;
        attempt.expect("no attempt came in time").unwrap()
    }

    /// Reports a result with these texts and, if there is one, a picture.
    async fn report(&self, texts: &[(&'static str, &str)], picture: Option<Vec<u8>>) -> StatusCode {
        let mut form = Form::new();
        for (name, text) in texts {
            form = form.text(*name, (*text).to_owned());
        }
        if let Some(picture) = picture {
            let part = Part::bytes(picture)
                .file_name("result.png")
                .mime_str("image/png");
            form = form.part("output_image", part.unwrap());
        }
        let request = self.http.post(self.gateway.callback_url()).multipart(form);
        request
            .header("x-internal-auth", TOKEN)
            .send()
            .await
            .unwrap()
            .status()
    }

    async fn status(&self, id: &str) -> Value {
        let request = self.http.get(self.address(&format!("/api/v1/status/{id}")));
        request
            .bearer_auth(&self.secret)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    async fn wait_for_end(&self, id: &str) -> Value {
        let end = async {
            loop {
                let status = self.status(id).await;
                if status["status"] != "processing" {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, end)
            .await
            .expect("the job did not end in time")
    }

    async fn wait_until_inputs_are_gone(&self) {
        let future = Timestamp::from_millis(i64::MAX);
        let gone = async {
            loop {
                let uploads = self.blobs.list(Folder::Uploads, future).await.unwrap();
                let prepared = self.blobs.list(Folder::Prepared, future).await.unwrap();
                if uploads.is_empty() && prepared.is_empty() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone)
            .await
            .expect("inputs were not erased in time");
    }

    /// What is left of the ten credits, once the books are in order.
    pub(crate) async fn credits(&self) -> u64 {
        assert_eq!(self.store.audit().await.unwrap(), []);
        self.store
            .find_account(self.account)
            .await
            .unwrap()
            .unwrap()
            .balance
            .available()
    }
}

fn picture() -> Vec<u8> {
    encode_png(
        &RgbaImage::from_pixel(64, 96, Rgba([200, 100, 50, 255])),
        &[],
    )
    .unwrap()
}

pub(crate) fn clothes() -> Value {
    let picture = format!(
        "data:image/png;base64,{}",
        BASE64_STANDARD.encode(picture())
    );
    json!({"model_image": picture, "garment_image": picture, "output_format": "jpeg"})
}

#[tokio::test]
async fn a_job_becomes_a_picture_that_is_paid_for_once() {
    let mut stage = Stage::start(|_| {}).await;
    let id = stage.submit(clothes()).await;
    let attempt = stage.attempt().await;
    assert_eq!(stage.status(&id).await["status"], "processing");
    for _ in 0..2 {
        assert_eq!(
            stage.report(&[("job_id", &attempt)], Some(picture())).await,
            200
        );
    }
    let status = stage.wait_for_end(&id).await;
    let link = status["output"][0].as_str().unwrap();
    assert!(
        link.starts_with(&stage.address("/files/outputs/")),
        "{link}"
    );
    let output = stage.http.get(link).send().await.unwrap();
    assert_eq!(output.headers()["content-type"], "image/jpeg");
    let texts = tryon_picture::read_text(&output.bytes().await.unwrap());
    assert!(texts[0].1.contains("Software: tryon preview"), "{texts:?}");
    stage.wait_until_inputs_are_gone().await;
    assert_eq!(stage.credits().await, 9);
    stage.gateway.shutdown().await;
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_again_until_it_was_too_often() {
    let mut stage = Stage::start(|config| config.jobs.max_lost = 2).await;
    let id = stage.submit(clothes()).await;
    for number in 1..=2 {
        let attempt = stage.attempt().await;
        assert_eq!(attempt, format!("{id}-0.{number}"));
        let texts = [
            ("job_id", attempt.as_str()),
            ("error", "died"),
            ("retryable", "true"),
            ("error_name", "ProcessingError"),
        ];
        assert_eq!(stage.report(&texts, None).await, 200);
    }
    let status = stage.wait_for_end(&id).await;
    assert_eq!(
        status["error"],
        json!({"name": "ProcessingError", "message": "died"})
    );
    stage.wait_until_inputs_are_gone().await;
    assert_eq!(stage.credits().await, 10);
}

#[tokio::test]
async fn a_job_that_does_not_end_in_time_fails_and_costs_nothing() {
    let mut stage = Stage::start(|config| config.jobs.deadline = Seconds::new(1)).await;
    let id = stage.submit(clothes()).await;
    let attempt = stage.attempt().await;
    let status = stage.wait_for_end(&id).await;
    assert_eq!(status["error"]["name"], "Timeout");
    // Too late, and said so to nobody.
    assert_eq!(
        stage.report(&[("job_id", &attempt)], Some(picture())).await,
        200
    );
    assert_eq!(stage.status(&id).await["output"], json!([]));
    stage.wait_until_inputs_are_gone().await;
    let future = Timestamp::from_millis(i64::MAX);
    assert_eq!(stage.blobs.list(Folder::Outputs, future).await.unwrap(), []);
    assert_eq!(stage.credits().await, 10);
}

#[tokio::test]
async fn an_attempt_that_its_node_forgot_is_given_out_again() {
    let mut stage = Stage::start(|config| config.jobs.lease = Seconds::new(1)).await;
    let id = stage.submit(clothes()).await;
    assert_eq!(stage.attempt().await, format!("{id}-0.1"));
    assert_eq!(stage.attempt().await, format!("{id}-0.2"));
    // The first attempt's image counts all the same.
    let attempt = format!("{id}-0.1");
    assert_eq!(
        stage.report(&[("job_id", &attempt)], Some(picture())).await,
        200
    );
    assert_eq!(stage.wait_for_end(&id).await["status"], "completed");
    assert_eq!(stage.credits().await, 9);
}

#[tokio::test]
async fn inputs_that_cannot_be_used_are_named() {
    let stage = Stage::start(|_| {}).await;
    let mut body = clothes();
    body["garment_image"] = format!("{}/x.png", stage.address("")).into();
    let id = stage.submit(body).await;
    let error = stage.wait_for_end(&id).await["error"].clone();
    assert_eq!(error["name"], "ImageLoadError");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.starts_with("`garment_image` could not be loaded: its host has no public"),
        "{message}"
    );
    let mut body = clothes();
    body["model_image"] = "data:image/png;base64,aGVsbG8=".into();
    let id = stage.submit(body).await;
    assert_eq!(
        stage.wait_for_end(&id).await["error"]["name"],
        "ImageLoadError"
    );
    stage.wait_until_inputs_are_gone().await;
    assert_eq!(stage.credits().await, 10);
}

#[tokio::test]
async fn reports_of_strangers_and_of_nothing_change_nothing() {
    let stage = Stage::start(|_| {}).await;
    let url = stage.gateway.callback_url();
    let wrong = stage
        .http
        .post(url.clone())
        .header("x-internal-auth", "wrong");
    assert_eq!(wrong.body("x").send().await.unwrap().status(), 401);
    let right = stage.http.post(url).header("x-internal-auth", TOKEN);
    assert_eq!(right.body("x").send().await.unwrap().status(), 400);
    let unknown = "64b7f1a9d9a3b8e5c7f9a123-0.1";
    for name in [unknown, "job-12345"] {
        assert_eq!(
            stage.report(&[("job_id", name)], Some(picture())).await,
            200
        );
    }
    let hint = stage
        .gateway
        .load_balancer_url()
        .join("job_complete")
        .unwrap();
    let hint = stage
        .http
        .post(hint)
        .header("x-internal-auth", TOKEN)
        .body("{}");
    assert_eq!(hint.send().await.unwrap().status(), 200);
}
