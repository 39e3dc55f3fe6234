//! Fetching pictures from addresses that strangers name.
//!
//! A stranger's address must not lead into the operator's network. Each hop's host is looked up
//! by `lookup::GuardedResolver`, addresses that are not public are dropped, and the connection
//! goes to what was checked; a host that is an address itself never reaches the resolver and is
//! checked here. Redirects are followed by hand so that each of them passes the same checks.
//!
//! What comes back is not trusted either: its size is counted while it arrives, whatever the
//! length it announced, and silence, slowness and redirects end it.

mod address;
mod error;
mod lookup;

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use reqwest::{Client, Response, redirect::Policy};
use url::{Host, Url};

use self::{address::Guard, error::explain, lookup::GuardedResolver};
pub use self::{
    error::FetchError,
    lookup::{Lookup, SystemLookup},
};
use crate::{config::FetchConfig, tls};

/// Fetches pictures. Clones share one client.
#[derive(Clone)]
pub struct Fetcher {
    client: Client,
    guard: Arc<Guard>,
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
        let guard = Arc::new(Guard::new(config));
        let resolver = GuardedResolver {
            guard: guard.clone(),
            lookup,
        };
        tls::install_provider();
        let client = Client::builder()
            .dns_resolver(Arc::new(resolver))
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .http1_only()
            // No connection outlives the check of its address.
            .pool_max_idle_per_host(0)
            .connect_timeout(config.connect_timeout.duration())
            .read_timeout(config.read_timeout.duration())
            .user_agent(concat!("tryon/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers())
            .build()?;
        Ok(Self {
            client,
            guard,
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
            self.check(&url)?;
            let sent = self.client.get(url.clone()).send().await;
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

    fn check(&self, url: &Url) -> Result<(), FetchError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FetchError::Scheme {
                scheme: url.scheme().chars().take(32).collect(),
            });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::Credentials);
        }
        let address = match url.host() {
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
            // The resolver checks what the name stands for.
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(FetchError::NotUrl),
        };
        let permitted = self
            .guard
            .permits(url.host_str().unwrap_or_default(), address);
        permitted.then_some(()).ok_or(FetchError::NoPublicAddress)
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
