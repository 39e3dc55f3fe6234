//! How many requests an account may make.
//!
//! Requests are counted in windows of [`Limits::WINDOW_SECS`] that begin with the first request
//! of an account in a class, in this process's memory or, where several gateways count together, in
//! a Redis.

mod memory;
mod redis;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tryon_core::{
    id::AccountId,
    limit::{Limits, RateClass},
    time::Timestamp,
};

use crate::config::RateConfig;

pub use self::{
    memory::MemoryRates,
    redis::{RedisError, RedisRates},
};

/// The counter that a configuration asks for.
pub async fn open(config: &RateConfig) -> Result<Arc<dyn Rates>, RedisError> {
    Ok(match &config.url {
        None => Arc::new(MemoryRates::default()),
        Some(url) => Arc::new(RedisRates::open(url.expose()).await?),
    })
}

/// How an account stands in its window, after a request was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Requests allowed per window.
    pub limit: u32,
    /// Requests that are left.
    pub remaining: u32,
    /// How long until the window ends, and all of them are there again.
    pub reset: Duration,
    /// Whether this request is one of those allowed.
    pub granted: bool,
}

/// Counts requests.
#[async_trait]
pub trait Rates: Send + Sync + 'static {
    /// Counts a request of `account` in `class`, of which `limit` are allowed per window. An
    /// implementation that cannot count grants: requests are limited to protect, not to charge.
    async fn take(
        &self,
        account: AccountId,
        class: RateClass,
        limit: u32,
        now: Timestamp,
    ) -> Allowance;
}

const WINDOW: Duration = Duration::from_secs(Limits::WINDOW_SECS);
