//! Requests that several gateways count together, in Redis or Valkey.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use redis::{
    Client, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::time::timeout;
use tryon_core::{id::AccountId, limit::RateClass, time::Timestamp};

use super::{Allowance, Rates, WINDOW};

/// Counts a request if its window has room: one step, whoever else counts. The server's clock ends
/// windows, so that gateways need not agree about the time. Answers whether it was granted, how
/// many are used, and the milliseconds until the window ends.
const TAKE: &str = "
    local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
    local used = tonumber(redis.call('GET', KEYS[1]) or '0')
    local left = redis.call('PTTL', KEYS[1])
    if left > 0 and used >= limit then return {0, used, left} end
    if left <= 0 then
        if limit == 0 then return {0, 0, window} end
        redis.call('SET', KEYS[1], 1, 'PX', window)
        return {1, 1, window}
    end
    return {1, redis.call('INCR', KEYS[1]), left}";

/// How long a request waits to be counted.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long a server that did not answer is left alone: nobody waits for it in the meantime.
const REST: Duration = Duration::from_secs(1);

/// How long a server may take to answer when a gateway starts.
const START: Duration = Duration::from_secs(5);

/// Requests cannot be counted in Redis.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The URL is none of a server, or the server refused.
    #[error("it is no Redis that can be used")]
    Unusable(#[from] redis::RedisError),
    /// Nobody answered.
    #[error("nobody answered within {} seconds", START.as_secs())]
    Silent,
}

/// Counts in a Redis that gateways share. While it does not answer every request is granted.
pub struct RedisRates {
    connection: ConnectionManager,
    take: Script,
    /// Until when the server is left alone.
    rest: Mutex<Option<Instant>>,
}

impl RedisRates {
    /// Connects to the server at `url`: `redis://[user:password@]host[:port][/database]`,
    /// `rediss://…` with TLS, or `redis+unix://<path>`.
    ///
    /// # Errors
    ///
    /// A URL of another kind, a server that refuses, or nobody who answers.
    pub async fn open(url: &str) -> Result<Self, RedisError> {
        let client = Client::open(url)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(1);
        let connected = timeout(START, ConnectionManager::new_with_config(client, config)).await;
        let mut connection = connected.map_err(|_| RedisError::Silent)??;
        redis::cmd("PING")
            .query_async::<()>(&mut connection)
            .await?;
        Ok(Self {
            connection,
            take: Script::new(TAKE),
            rest: Mutex::default(),
        })
    }

    async fn count(&self, key: &str, limit: u32) -> Result<(bool, u32, u64), String> {
        let window = u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX);
        let mut connection = self.connection.clone();
        let mut invocation = self.take.key(key);
        let counted = invocation
            .arg(limit)
            .arg(window)
            .invoke_async(&mut connection);
        match timeout(PATIENCE, counted).await {
            Ok(counted) => counted.map_err(|error| error.to_string()),
            Err(_) => Err("it does not answer".to_owned()),
        }
    }

    fn is_resting(&self) -> bool {
        let rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        rest.is_some_and(|until| Instant::now() < until)
    }

    /// Leaves the server alone for a while. Said once for each such while.
    fn give_it_rest(&self, why: &str) {
        let until = Instant::now() + REST;
        let rest = self
            .rest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(until);
        if rest.is_none_or(|earlier| earlier < Instant::now()) {
            tracing::warn!(why, "requests cannot be counted in Redis and are granted");
        }
    }
}

#[async_trait]
impl Rates for RedisRates {
    async fn take(
        &self,
        account: AccountId,
        class: RateClass,
        limit: u32,
        _now: Timestamp,
    ) -> Allowance {
        let uncounted = Allowance {
            limit,
            remaining: limit,
            reset: WINDOW,
            granted: true,
        };
        if self.is_resting() {
            return uncounted;
        }
        let key = format!("tryon:rate:{}:{account}", class.as_str());
        match self.count(&key, limit).await {
            Ok((granted, used, left)) => Allowance {
                limit,
                remaining: limit.saturating_sub(used),
                reset: Duration::from_millis(left),
                granted,
            },
            Err(why) => {
                self.give_it_rest(&why);
                uncounted
            }
        }
    }
}
