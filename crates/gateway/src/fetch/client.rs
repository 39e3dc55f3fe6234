//! The client that connects to what strangers name.

use std::{net::IpAddr, ops::Deref, sync::Arc};

use reqwest::{Client, redirect::Policy};
use url::{Host, Url};

use super::{
    FetchError,
    address::Guard,
    lookup::{GuardedResolver, Lookup},
};
use crate::{config::FetchConfig, tls};

/// A client that connects to nothing it should not: each URL has to be checked before it is asked.
#[derive(Clone)]
pub(super) struct GuardedClient {
    client: Client,
    guard: Arc<Guard>,
}

impl GuardedClient {
    pub(super) fn new(config: &FetchConfig, lookup: Arc<dyn Lookup>) -> reqwest::Result<Self> {
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
            .build()?;
        Ok(Self { client, guard })
    }

    /// Whether this URL may be asked.
    pub(super) fn check(&self, url: &Url) -> Result<(), FetchError> {
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
}

impl Deref for GuardedClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// Whether the operator opened this host, which is closed to strangers otherwise.
pub(crate) fn is_opened(url: &Url, config: &FetchConfig) -> bool {
    let guard = Guard::new(config);
    let host = url.host_str().unwrap_or_default();
    guard.opens(host)
}
