//! From names to addresses that may be connected to.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::Guard;

/// Looks up what a name stands for.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// Every address of `host`.
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The machine's own way to look names up.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// A name that stands for nothing that may be connected to. Whether it stands for nothing at all
/// is not said: a stranger must not learn which names the operator's network knows.
#[derive(Debug, thiserror::Error)]
#[error("the host has no public address")]
pub(super) struct NoPublicAddress;

/// Hands the client checked addresses only. It connects to these and looks nothing up again, so
/// that a name cannot stand for something else once it was checked.
pub(super) struct GuardedResolver {
    pub(super) guard: Arc<Guard>,
    pub(super) lookup: Arc<dyn Lookup>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, lookup) = (self.guard.clone(), self.lookup.clone());
        Box::pin(async move {
            let host = name.as_str();
            let found = lookup.lookup(host).await.unwrap_or_default();
            let permitted = found.into_iter().filter(|&ip| guard.permits(host, ip));
            // Port 0 stands for the port of the URL.
            let permitted: Vec<_> = permitted.map(|ip| SocketAddr::new(ip, 0)).collect();
            if permitted.is_empty() {
                return Err(NoPublicAddress.into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}
