//! Fetching pictures from addresses that strangers name, and sending messages there.
//!
//! A stranger's address must not lead into the operator's network. Each hop's host is looked up
//! by `lookup::GuardedResolver`, addresses that are not public are dropped, and the connection
//! goes to what was checked; a host that is an address itself never reaches the resolver and is
//! checked here. Redirects are followed by hand so that each of them passes the same checks.
//!
//! What comes back is not trusted either: its size is counted while it arrives, whatever the
//! length it announced, and silence, slowness and redirects end it.

mod address;
mod client;
mod error;
mod lookup;
mod post;

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use reqwest::Response;
use url::Url;

use self::{client::GuardedClient, error::explain};
pub(crate) use self::{
    client::is_opened,
    post::{Posted, Poster},
};
pub use self::{
    error::FetchError,
    lookup::{Lookup, SystemLookup},
};
use crate::config::FetchConfig;

/// Fetches pictures. Clones share one client.
#[derive(Clone)]
pub struct Fetcher {
    client: GuardedClient,
    max_bytes: usize,
    max_redirects: usize,
    silence: Duration,
    timeout: Duration,
}

impl Fetcher {
    /// A fetcher that looks names up as the machine does.
    pub fn new(config: &FetchConfig) -> reqwest::Result<Self> {
        Self::with_lookup(config, Arc::new(SystemLookup))
    }

    /// A fetcher that looks names up elsewhere.
    pub fn with_lookup(config: &FetchConfig, lookup: Arc<dyn Lookup>) -> reqwest::Result<Self> {
        Ok(Self {
            client: GuardedClient::new(config, lookup)?,
            max_bytes: config.max_bytes,
            max_redirects: config.max_redirects,
            silence: config.read_timeout.duration(),
            timeout: config.timeout.duration(),
        })
    }

    /// The file at `url`, whatever it is.
    pub async fn fetch(&self, url: &str) -> Result<Bytes, FetchError> {
        let url = Url::parse(url).map_err(|_| FetchError::NotUrl)?;
        let timed_out = FetchError::TimedOut {
            after: self.timeout,
        };
        let file = tokio::time::timeout(self.timeout, self.follow(url)).await;
        file.unwrap_or(Err(timed_out))
    }

    async fn follow(&self, mut url: Url) -> Result<Bytes, FetchError> {
        for _ in 0..=self.max_redirects {
            self.client.check(&url)?;
            let sent = self.client.get(url.clone()).headers(headers()).send().await;
            let response = sent.map_err(|error| explain(&error, self.silence))?;
            match find_target(&url, &response)? {
                Some(target) => url = target,
                None => return self.read(response).await,
            }
        }
        Err(FetchError::TooManyRedirects {
            limit: self.max_redirects,
        })
    }

    async fn read(&self, mut response: Response) -> Result<Bytes, FetchError> {
        if !response.status().is_success() {
            return Err(FetchError::Status {
                status: response.status(),
            });
        }
        if is_encoded(response.headers()) {
            return Err(FetchError::Encoded);
        }
        let too_large = FetchError::TooLarge {
            limit: self.max_bytes,
        };
        let limit = self.max_bytes as u64;
        if response
            .content_length()
            .is_some_and(|length| length > limit)
        {
            return Err(too_large);
        }
        let mut file = BytesMut::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| explain(&error, self.silence))?
        {
            if file.len() + chunk.len() > self.max_bytes {
                return Err(too_large);
            }
            file.extend_from_slice(&chunk);
        }
        Ok(file.freeze())
    }
}

fn headers() -> HeaderMap {
    let accept = "image/png, image/jpeg, image/webp, */*;q=0.1";
    HeaderMap::from_iter([
        (header::ACCEPT, HeaderValue::from_static(accept)),
        (
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        ),
    ])
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let encoding = headers.get(header::CONTENT_ENCODING);
    encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Where a redirect leads; `None` when the answer is none.
fn find_target(url: &Url, response: &Response) -> Result<Option<Url>, FetchError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers().get(header::LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    let target = location.and_then(|location| url.join(location).ok());
    target.map(Some).ok_or(FetchError::BadRedirect)
}
