//! A client that sends again what was not answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{RngExt as _, rngs::StdRng};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tryon_core::id::JobId;

use crate::stage::clothes;

/// How long anything may take, in real time, before it counts as lost.
const PATIENCE: Duration = Duration::from_mins(2);

/// How long a client waits before it asks again.
const PAUSE: Duration = Duration::from_millis(60);

/// A job as its client saw it end.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) id: JobId,
    /// How many pictures it has, each of which was read.
    pub(super) pictures: usize,
    /// Why it has none.
    pub(super) error: Option<String>,
    /// Whether somebody is to be told.
    pub(super) told: bool,
}

pub(super) struct Shopper {
    pub(super) url: String,
    pub(super) key: String,
    /// Who is told of the ends of some jobs.
    pub(super) receiver: String,
    pub(super) number: usize,
    pub(super) random: StdRng,
}

impl Shopper {
    /// Has one job after another until it is told to stop.
    pub(super) async fn shop(mut self, over: Arc<AtomicBool>) -> Vec<Ended> {
        let mut jobs = Vec::new();
        // A connection is for one request: what harms it harms nothing else.
        let http = Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(5))
            .build()
            .unwrap();
        while !over.load(Ordering::Relaxed) {
            let name = format!("{}/{}", self.number, jobs.len());
            jobs.push(self.have(&http, &name).await);
        }
        jobs
    }

    async fn have(&mut self, http: &Client, name: &str) -> Ended {
        let told = self.random.random_bool(0.5);
        let mut body = clothes(json!({"num_samples": self.random.random_range(1..=3)}));
        if told {
            body["webhook_url"] = format!("{}/{}", self.receiver, self.number).into();
        }
        let submit = http.post(format!("{}/api/v1/tryon/clothes", self.url));
        let submit = submit.header("idempotency-key", name).json(&body);
        let submitted = self.persist(submit).await;
        let submitted: Value = serde_json::from_slice(&submitted).unwrap();
        let id: JobId = submitted["id"].as_str().unwrap().parse().unwrap();
        let status = self.wait_for_end(http, id).await;
        let links = status["output"].as_array().unwrap();
        for link in links {
            let picture = self.persist(http.get(link.as_str().unwrap())).await;
            assert!(picture.starts_with(b"\x89PNG"), "{id}: {link}");
        }
        let error = status["error"]["name"].as_str();
        assert_eq!(links.is_empty(), error.is_some(), "{status}");
        Ended {
            id,
            pictures: links.len(),
            error: error.map(str::to_owned),
            told,
        }
    }

    async fn wait_for_end(&self, http: &Client, id: JobId) -> Value {
        let began = Instant::now();
        loop {
            let ask = http.get(format!("{}/api/v1/status/{id}", self.url));
            let status: Value = serde_json::from_slice(&self.persist(ask).await).unwrap();
            if status["status"] != "processing" {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "{id} does not end");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The answer's body, once there is one. A refusal is none to be asked for again.
    async fn persist(&self, request: RequestBuilder) -> Vec<u8> {
        let began = Instant::now();
        let request = request.bearer_auth(&self.key);
        loop {
            let problem = match request.try_clone().unwrap().send().await {
                Ok(answer) if answer.status() == 200 => match answer.bytes().await {
                    Ok(body) => return body.into(),
                    Err(error) => error.to_string(),
                },
                Ok(answer) => {
                    let status = answer.status();
                    let text = answer.text().await.unwrap_or_default();
                    assert!(!status.is_client_error(), "{status} {text}");
                    format!("{status} {text}")
                }
                Err(error) => error.to_string(),
            };
            assert!(began.elapsed() < PATIENCE, "{problem}");
            tokio::time::sleep(PAUSE).await;
        }
    }
}
