//! Speaking to a node.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use reqwest::{Client, RequestBuilder, Response, multipart::Form, redirect::Policy};
use serde::de::DeserializeOwned;
use tryon_api::node::{AUTH_HEADER, CheckReport, GpuStatus, TestReport, VersionReport};
use tryon_core::{id::AttemptId, secret::Secret, task::Provider};

use crate::{config::NodeConfig, follow::Steps, tls};

/// How long a question may take. A node answers them in milliseconds whatever its device does.
const QUESTION: Duration = Duration::from_secs(5);

/// How long a node is given to look into a photo: more than it gives itself.
const PARSING: Duration = Duration::from_secs(12);

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);

/// What is read of an answer, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

/// How long a busy node is left alone that does not say how long it will be.
const DEFAULT_RETRY: Duration = Duration::from_secs(5);

/// The longest that a node is left alone because it is busy, whatever it says.
const LONGEST_RETRY: Duration = Duration::from_mins(1);

/// What a node said to an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It will report the result.
    Accepted,
    /// It works on something else.
    Busy {
        /// How long it expects to.
        retry_after: Duration,
    },
    /// Its model is not loaded.
    Loading,
    /// Our token is not its token.
    Unauthorized,
    /// It does not serve the provider.
    UnknownProvider {
        /// Its words.
        detail: String,
    },
    /// The request is wrong.
    Refused {
        /// Its words.
        detail: String,
    },
    /// It failed.
    Failed {
        /// How.
        status: StatusCode,
    },
    /// Something answers there that is no node.
    NoNode {
        /// What it answered.
        status: StatusCode,
    },
}

impl Answer {
    /// Its name in a trace.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Busy { .. } => "busy",
            Self::Loading => "loading",
            Self::Unauthorized => "unauthorized",
            Self::UnknownProvider { .. } => "unknown-provider",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
            Self::NoNode { .. } => "no-node",
        }
    }
}

/// What a node said of a photo.
#[derive(Debug)]
pub(super) enum Finding {
    /// What it would mask.
    Told(CheckReport),
    /// It takes no such photo.
    Refused {
        /// Its words.
        detail: String,
    },
    /// It did not look: it is busy with others, loads, or does not know the question.
    NotAsked {
        /// What it answered.
        status: StatusCode,
    },
    /// It failed.
    Failed {
        /// How.
        status: StatusCode,
    },
}

/// An attempt that was not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum OfferError {
    /// There was no connection: the node knows nothing of the attempt.
    #[error("the node cannot be connected to")]
    NotConnected(#[source] reqwest::Error),
    /// The node may have the attempt.
    #[error("the node did not answer")]
    Unanswered(#[source] reqwest::Error),
}

/// Speaks to one node.
#[derive(Debug, Clone)]
pub(crate) struct NodeClient {
    http: Client,
    base: String,
    token: Option<Secret>,
    /// How long an attempt may take to be answered.
    patience: Duration,
}

/// The connections to all nodes.
pub(super) fn connections() -> reqwest::Result<Client> {
    tls::install_provider();
    Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(CONNECT)
        .pool_idle_timeout(Duration::from_secs(10))
        .user_agent(concat!("tryon/", env!("CARGO_PKG_VERSION")))
        .build()
}

impl NodeClient {
    pub(super) fn new(http: Client, node: &NodeConfig, patience: Duration) -> Self {
        let base = node.url.as_str().trim_end_matches('/').to_owned();
        Self {
            http,
            base,
            token: node.token.clone(),
            patience,
        }
    }

    /// Offers an attempt.
    pub(super) async fn offer(&self, form: Form) -> Result<Answer, OfferError> {
        let request = self.http.post(self.address("tryon")).timeout(self.patience);
        let request = self.signed(request).headers(tryon_trace::headers());
        let sent = request.multipart(form).send().await;
        let response = sent.map_err(|error| {
            if error.is_connect() {
                OfferError::NotConnected(error)
            } else {
                OfferError::Unanswered(error)
            }
        })?;
        Ok(read_answer(response).await)
    }

    /// Whether its model is loaded.
    pub(super) async fn test(&self) -> reqwest::Result<Option<TestReport>> {
        self.ask("test").await.map(|(_, report)| report)
    }

    /// What it serves; empty when it does not say.
    pub(super) async fn providers(&self) -> reqwest::Result<Vec<Provider>> {
        let (_, report) = self.ask::<VersionReport>("version").await?;
        let Some(report) = report else {
            return Ok(Vec::new());
        };
        let named = if report.providers.is_empty() {
            vec![report.model_type]
        } else {
            report.providers
        };
        Ok(named.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Whether it takes our token.
    pub(super) async fn is_ours(&self) -> reqwest::Result<bool> {
        let (status, _) = self.ask::<GpuStatus>("gpu/status").await?;
        Ok(!is_unauthorized(status))
    }

    /// Whether it works on this attempt.
    pub(crate) async fn works_on(&self, attempt: AttemptId) -> reqwest::Result<bool> {
        let (_, status) = self.ask::<GpuStatus>("gpu/status").await?;
        let current = status.and_then(|status| status.current_job_id);
        Ok(current.is_some_and(|current| current == attempt.to_string()))
    }

    /// How far it is with this attempt; `None` when it does not work on it.
    pub(crate) async fn progress(&self, attempt: AttemptId) -> reqwest::Result<Option<Steps>> {
        let (_, status) = self.ask::<GpuStatus>("gpu/status").await?;
        let attempt = attempt.to_string();
        let status = status.filter(|it| it.current_job_id.as_ref() == Some(&attempt));
        Ok(status.map(Steps::from))
    }

    /// Asks it to stop working on an attempt. A node that cannot simply goes on.
    pub(crate) async fn cancel(&self, attempt: AttemptId) -> reqwest::Result<()> {
        let request = self.http.delete(self.address(&format!("tryon/{attempt}")));
        self.signed(request.timeout(QUESTION))
            .send()
            .await
            .map(drop)
    }

    /// What of a photo it would mask.
    pub(super) async fn check(&self, form: Form) -> reqwest::Result<Finding> {
        let request = self.http.post(self.address("check")).timeout(PARSING);
        let request = request.headers(tryon_trace::headers()).multipart(form);
        let mut response = self.signed(request).send().await?;
        let status = response.status();
        let text = read_start(&mut response).await?;
        Ok(match status {
            StatusCode::OK => {
                serde_json::from_slice(&text).map_or(Finding::Failed { status }, Finding::Told)
            }
            StatusCode::BAD_REQUEST => Finding::Refused {
                detail: read_detail(&text),
            },
            status if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE => {
                Finding::Failed { status }
            }
            status => Finding::NotAsked { status },
        })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> reqwest::Result<(StatusCode, Option<T>)> {
        let request = self.http.get(self.address(path)).timeout(QUESTION);
        let mut response = self.signed(request).send().await?;
        let status = response.status();
        let text = read_start(&mut response).await?;
        let report = serde_json::from_slice(&text)
            .ok()
            .filter(|_| status.is_success());
        Ok((status, report))
    }

    fn address(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.header(AUTH_HEADER, token.expose()),
            None => request,
        }
    }
}

async fn read_answer(mut response: Response) -> Answer {
    let status = response.status();
    let retry = find_retry(response.headers());
    // The status says enough should the rest be lost.
    let text = read_start(&mut response).await.unwrap_or_default();
    match status {
        status if status.is_success() => Answer::Accepted,
        StatusCode::TOO_MANY_REQUESTS => Answer::Busy { retry_after: retry },
        StatusCode::SERVICE_UNAVAILABLE => Answer::Loading,
        status if is_unauthorized(status) => Answer::Unauthorized,
        // A framework's word for a malformed form.
        StatusCode::BAD_REQUEST
        | StatusCode::UNPROCESSABLE_ENTITY
        | StatusCode::PAYLOAD_TOO_LARGE => refusal(&text),
        status if status.is_server_error() => Answer::Failed { status },
        status => Answer::NoNode { status },
    }
}

fn is_unauthorized(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

fn find_retry(headers: &HeaderMap) -> Duration {
    let seconds = headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    let seconds = seconds.and_then(|seconds| seconds.parse().ok());
    let retry = seconds.map_or(DEFAULT_RETRY, Duration::from_secs);
    retry.clamp(Duration::from_millis(100), LONGEST_RETRY)
}

fn refusal(text: &[u8]) -> Answer {
    let detail = read_detail(text);
    if detail.starts_with("Invalid provider") {
        Answer::UnknownProvider { detail }
    } else {
        Answer::Refused { detail }
    }
}

/// The text of `{"detail": …}`, at most 500 characters of it.
fn read_detail(text: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
    let detail = match &body["detail"] {
        serde_json::Value::String(detail) => detail.clone(),
        serde_json::Value::Null => "the node refused the request without saying why".to_owned(),
        other => other.to_string(),
    };
    detail.chars().take(500).collect()
}

/// The start of an answer; the rest of a longer one is left unread.
async fn read_start(response: &mut Response) -> reqwest::Result<Vec<u8>> {
    let mut start = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        start.extend_from_slice(&chunk[..chunk.len().min(LONGEST_ANSWER - start.len())]);
        if start.len() == LONGEST_ANSWER {
            break;
        }
    }
    Ok(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_provider_is_told_from_a_wrong_request() {
        let provider = refusal(br#"{"detail": "Invalid provider: qwen"}"#);
        let detail = "Invalid provider: qwen".to_owned();
        assert_eq!(provider, Answer::UnknownProvider { detail });
        let field = refusal(br#"{"detail": "`config.steps` is 0"}"#);
        assert_eq!(
            field,
            Answer::Refused {
                detail: "`config.steps` is 0".to_owned()
            }
        );
        let list = refusal(br#"{"detail": [{"loc": ["body"], "msg": "missing"}]}"#);
        assert!(matches!(list, Answer::Refused { detail } if detail.contains("missing")));
        let Answer::Refused { detail } = refusal(b"<html>") else {
            panic!("not a refusal")
        };
        assert_eq!(detail, "the node refused the request without saying why");
    }

    #[test]
    fn a_retry_is_bounded() {
        let retry = |value: &'static str| {
            let value = header::HeaderValue::from_static(value);
            find_retry(&HeaderMap::from_iter([(header::RETRY_AFTER, value)]))
        };
        assert_eq!(retry("7"), Duration::from_secs(7));
        assert_eq!(retry("0"), Duration::from_millis(100));
        assert_eq!(retry("86400"), LONGEST_RETRY);
        assert_eq!(retry("Wed, 21 Oct 2015 07:28:00 GMT"), DEFAULT_RETRY);
        assert_eq!(find_retry(&HeaderMap::new()), DEFAULT_RETRY);
    }
}
