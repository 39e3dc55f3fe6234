//! A client of the public API, for `submit` and `demo`.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use reqwest::{StatusCode, header::RETRY_AFTER};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tryon_core::secret::Secret;

use crate::failure::Failure;

/// How long to wait before a job's status is asked for again: short at first, for jobs that are
/// done soon, and then so that several who wait stay within the limit of their key.
const FIRST_POLL: Duration = Duration::from_millis(250);
const LAST_POLL: Duration = Duration::from_secs(1);

/// How long a job's status may not be had before it is waited for no more. The job goes on
/// meanwhile, and is charged: a deploy of the gateway must not make its picture look lost. By
/// default a gateway ends jobs sooner than this.
const MAX_SILENCE: Duration = Duration::from_mins(2);

/// How long a submission of which nobody knows whether it was taken is sent again.
const MAX_DOUBT: Duration = Duration::from_secs(30);

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Talks to a gateway with an account's key.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    key: Secret,
    last_poll: Duration,
}

#[derive(Deserialize)]
struct Submitted {
    id: String,
}

#[derive(Deserialize)]
struct Status {
    #[serde(rename = "status")]
    state: String,
    #[serde(default)]
    output: Vec<String>,
    error: Option<JobFailure>,
}

impl Status {
    /// The outputs of a job that has ended, or why it has none.
    fn into_outputs(self) -> Result<Vec<String>, Failure> {
        match (self.state.as_str(), self.error) {
            ("completed", _) => Ok(self.output),
            (_, Some(JobFailure { name, message })) => {
                let failure = Failure::new(format!("the job failed with {name}: {message}"));
                Err(failure.hint("a failed job is not charged"))
            }
            (other, None) => {
                let failure = Failure::new(format!("unknown job status `{other}`"));
                Err(failure.hint("is the gateway newer than this client?"))
            }
        }
    }
}

#[derive(Deserialize)]
struct JobFailure {
    name: String,
    message: String,
}

#[derive(Deserialize)]
struct CreditsAnswer {
    credits: Credits,
}

#[derive(Deserialize)]
struct Credits {
    on_demand: i64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal {
    error: String,
    message: String,
}

impl Client {
    /// A client of the gateway at `url`, such as `http://127.0.0.1:8080`.
    pub(crate) fn new(url: &str, key: Secret) -> Result<Self, Failure> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).build();
        let http = http.map_err(|error| {
            Failure::from_error("no HTTP client can be had", &error)
                .hint("the system's certificates may be absent: install `ca-certificates`")
        })?;
        Ok(Self {
            http,
            base: format!("{}/api/v1", url.trim_end_matches('/')),
            key,
            last_poll: LAST_POLL,
        })
    }

    /// Asks for the status of a job that takes long no more often than this.
    pub(crate) fn asking_each(self, last_poll: Duration) -> Self {
        Self { last_poll, ..self }
    }

    /// Submits a job to `/tryon/{task}` and returns its id. A submission that may have been taken is
    /// sent again under the same name, which makes no second job.
    pub(crate) async fn submit(&self, task: &str, body: &Value) -> Result<String, Failure> {
        let name = hex::encode(rand::random::<[u8; 16]>());
        let begun = Instant::now();
        let mut uncertain = false;
        loop {
            let request = self.http.post(format!("{}/tryon/{task}", self.base));
            let request = request.header("idempotency-key", &name).json(body);
            let error = match self.try_send::<Submitted>(request).await {
                Ok(submitted) => return Ok(submitted.id),
                Err(error) => error,
            };
            uncertain |= error.uncertain;
            match error.wait_within(begun, MAX_DOUBT) {
                Some(after) if uncertain => tokio::time::sleep(after).await,
                _ => return Err(error.failure),
            }
        }
    }

    /// Waits until a job has ended and returns its outputs' URLs.
    pub(crate) async fn wait(&self, id: &str) -> Result<Vec<String>, Failure> {
        let mut pause = FIRST_POLL;
        loop {
            let status = self.status(id).await?;
            if status.state != "processing" {
                return status.into_outputs();
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(self.last_poll);
        }
    }

    /// A job's status, asked for again while the answer is that it cannot be told now.
    async fn status(&self, id: &str) -> Result<Status, Failure> {
        let begun = Instant::now();
        loop {
            let request = self.http.get(format!("{}/status/{id}", self.base));
            let error = match self.try_send(request).await {
                Ok(status) => return Ok(status),
                Err(error) => error,
            };
            let Some(after) = error.wait_within(begun, MAX_SILENCE) else {
                let job = format!("the job may go on: its id is {id}");
                return Err(error.failure.also(&job));
            };
            tokio::time::sleep(after).await;
        }
    }

    /// Credits that are left to spend.
    pub(crate) async fn credits(&self) -> Result<i64, Failure> {
        let answer = self.send::<CreditsAnswer>(self.http.get(format!("{}/credits", self.base)));
        Ok(answer.await?.credits.on_demand)
    }

    /// Downloads an output.
    pub(crate) async fn download(&self, url: &str) -> Result<Vec<u8>, Failure> {
        let answer = async {
            self.http
                .get(url)
                .send()
                .await?
                .error_for_status()?
                .bytes()
                .await
        };
        let bytes = answer.await;
        bytes.map(Vec::from).map_err(|error| {
            Failure::from_error("the picture cannot be downloaded", &error).hint(
                "links start with the gateway's `server.public_url`: can this machine reach it?",
            )
        })
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, Failure> {
        let sent = self.try_send(request).await;
        sent.map_err(|error| error.failure)
    }

    async fn try_send<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, SendError> {
        let lost = |error: reqwest::Error| SendError {
            failure: self.unreachable(&error),
            retry_after: Some(LAST_POLL),
            uncertain: !error.is_connect(),
        };
        let sent = request.bearer_auth(self.key.expose()).send().await;
        let answer = sent.map_err(lost)?;
        let (status, after) = (answer.status(), retry_after(&answer));
        let body = answer.bytes().await.map_err(lost)?;
        if !status.is_success() {
            let refusal: Refusal = serde_json::from_slice(&body).unwrap_or_default();
            return Err(SendError {
                failure: refused(status.as_u16(), &refusal),
                retry_after: after,
                uncertain: status.is_server_error(),
            });
        }
        serde_json::from_slice(&body).map_err(|error| SendError {
            failure: Failure::from_error("the answer is not one of this API", &error)
                .hint(format!("is there a tryon gateway at `{}`?", self.base)),
            retry_after: None,
            uncertain: true,
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        Failure::from_error("the gateway did not answer", error).hint(format!(
            "is there a tryon gateway at `{}`? `tryon serve` starts one",
            self.base
        ))
    }
}

/// Why a request was not answered with what it asks for.
struct SendError {
    failure: Failure,
    /// How long to wait before the same may be asked again; `None` when it need not be.
    retry_after: Option<Duration>,
    /// Whether what was asked for may have been done all the same.
    uncertain: bool,
}

impl SendError {
    /// How long to wait before asking again, if that is over within `patience` from `begun`.
    fn wait_within(&self, begun: Instant, patience: Duration) -> Option<Duration> {
        let patience = patience.saturating_sub(begun.elapsed());
        self.retry_after.filter(|after| *after <= patience)
    }
}

/// How long to wait before asking again: what a refusal for now says, or a little.
fn retry_after(answer: &reqwest::Response) -> Option<Duration> {
    let status = answer.status();
    if status != StatusCode::TOO_MANY_REQUESTS && !status.is_server_error() {
        return None;
    }
    let said = answer.headers().get(RETRY_AFTER);
    let seconds = said.and_then(|said| said.to_str().ok()?.parse().ok());
    Some(seconds.map_or(LAST_POLL, Duration::from_secs))
}

fn refused(status: u16, refusal: &Refusal) -> Failure {
    let Refusal { error, message } = refusal;
    let failure = Failure::new(format!("the gateway answered {status} {error}: {message}"));
    match error.as_str() {
        "UnauthorizedAccess" => failure.hint("name a valid key with `--key` or TRYON_API_KEY"),
        "OutOfCredits" => failure.hint("`tryon credits grant ACCOUNT AMOUNT` gives more"),
        "RateLimitExceeded" | "ConcurrencyLimitExceeded" => {
            failure.hint("wait, or raise the limit with `tryon account limits`")
        }
        "BadRequest" => failure.hint("`tryon submit --help` lists what can be asked for"),
        _ => failure.hint("the gateway's log says more, under the answer's `x-request-id`"),
    }
}

/// A picture file as the data URL that the API takes.
pub(crate) fn data_url(picture: &[u8], path: &Path) -> String {
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or("png");
    let kind = match extension.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => "jpeg",
        "webp" => "webp",
        _ => "png",
    };
    format!(
        "data:image/{kind};base64,{}",
        BASE64_STANDARD.encode(picture)
    )
}
