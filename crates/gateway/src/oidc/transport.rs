//! The requests that a provider is sent.

use std::time::Duration;

use openidconnect::{HttpRequest, HttpResponse};
use reqwest::{Client, redirect::Policy};

use crate::tls;

/// Bytes of an answer, at most. A provider's keys are a few thousand.
const LONGEST: usize = 256 << 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    #[error("the provider does not answer")]
    Silent(#[from] reqwest::Error),
    #[error("the provider's answer has more than {LONGEST} bytes")]
    TooLong,
    #[error("the provider's answer is none of HTTP")]
    Senseless(#[from] http::Error),
}

/// Asks a provider, within bounds of time and size. No redirect is followed: what it says of itself
/// names where it is asked.
#[derive(Debug, Clone)]
pub(super) struct Transport(Client);

impl Transport {
    pub(super) fn new(timeout: Duration) -> reqwest::Result<Self> {
        tls::install_provider();
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .timeout(timeout)
            .user_agent(concat!("tryon/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self(client))
    }

    pub(super) async fn ask(self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let mut response = self.0.execute(request.try_into()?).await?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > LONGEST {
                return Err(TransportError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = http::Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.clone_from(response.headers());
        }
        Ok(answer.body(body)?)
    }
}
