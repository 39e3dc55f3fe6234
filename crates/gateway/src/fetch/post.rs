//! Sending messages to addresses that strangers name.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use reqwest::Response;
use url::Url;

use super::{FetchError, SystemLookup, client::GuardedClient, error::explain};
use crate::config::FetchConfig;

/// Sends messages. Clones share one client.
#[derive(Clone)]
pub(crate) struct Poster {
    client: GuardedClient,
    timeout: Duration,
}

/// What a receiver answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Posted {
    pub(crate) status: StatusCode,
    /// How long it wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

impl Poster {
    /// A poster that gives a receiver so long, to connect and to answer.
    pub(crate) fn new(config: &FetchConfig, timeout: Duration) -> reqwest::Result<Self> {
        Ok(Self {
            client: GuardedClient::new(config, Arc::new(SystemLookup))?,
            timeout,
        })
    }

    /// Sends `body` to `url` and says what was answered: no redirect is followed, and of the answer
    /// nothing but its head is read.
    pub(crate) async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Posted, FetchError> {
        let url = Url::parse(url).map_err(|_| FetchError::NotUrl)?;
        self.client.check(&url)?;
        let request = self.client.post(url).headers(headers).body(body);
        let sent = tokio::time::timeout(self.timeout, request.send()).await;
        let timed_out = FetchError::TimedOut {
            after: self.timeout,
        };
        let response = sent
            .map_err(|_| timed_out)?
            .map_err(|error| explain(&error, self.timeout))?;
        Ok(Posted {
            status: response.status(),
            retry_after: retry_after(&response),
        })
    }
}

/// `Retry-After` in seconds. The form with a date needs a clock that agrees with the receiver's.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?;
    let seconds = value.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
