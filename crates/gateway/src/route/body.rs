//! Reading bodies within limits of size, time and memory.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use tryon_core::id::AccountId;
use tryon_store::Account;

use crate::{config::LimitConfig, error::ApiError};

/// What memory is counted in, so that a semaphore's 32 bits are enough.
const UNIT: usize = 4096;

/// What a request with a body of this size takes until it is answered: the body, and the pictures
/// that were decoded out of it, which are three quarters of it.
pub(crate) const fn weight(body: usize) -> usize {
    body + body / 4 * 3
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// How much memory the bodies of requests may take together.
pub(crate) struct BodyBudget {
    free: Arc<Semaphore>,
    wait: Duration,
    /// Bodies that are being read, by the account that sends them.
    read: Arc<Mutex<HashMap<AccountId, u32>>>,
}

/// Bodies up to this size do not wait for memory: they are bounded by how many each account may send
/// at once, and must not stand in line behind those that carry pictures.
const SMALL: usize = 16 * 1024;

/// How many of the largest results are read at the same time.
const RESULTS: usize = 4;

impl BodyBudget {
    /// What all requests of clients share.
    pub(crate) fn for_requests(limits: &LimitConfig) -> Self {
        Self::new(limits.buffered_bytes, limits.buffer_wait.duration())
    }

    /// What all results of nodes share.
    pub(crate) fn for_results(limits: &LimitConfig) -> Self {
        let bytes = limits.body_bytes.saturating_mul(RESULTS);
        Self::new(bytes, limits.buffer_wait.duration())
    }

    fn new(bytes: usize, wait: Duration) -> Self {
        let units = usize::try_from(units(bytes)).unwrap_or(usize::MAX);
        let free = Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS)));
        let read = Arc::default();
        Self { free, wait, read }
    }

    /// Takes note that a body of the account is being read, for as long as the result lives. An
    /// account may send as many at once as it may have jobs: memory that was set aside for bodies
    /// that never come would be taken from everybody else.
    fn begin(&self, account: &Account) -> Result<Reading, ApiError> {
        let limit = account.limits.concurrent_jobs;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let count = read.entry(account.id).or_default();
        if *count >= limit {
            return Err(ApiError::too_many_bodies(limit));
        }
        *count += 1;
        Ok(Reading {
            account: account.id,
            read: Arc::clone(&self.read),
        })
    }

    /// A share of the memory; `None` when there was none for too long.
    pub(crate) async fn reserve(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let share = Arc::clone(&self.free).acquire_many_owned(units(bytes));
        let share = timeout(self.wait, share).await.ok()?;
        Some(share.expect("BUG: the semaphore is never closed"))
    }
}

/// A body that is being read, or whose submission is being accepted.
struct Reading {
    account: AccountId,
    read: Arc<Mutex<HashMap<AccountId, u32>>>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = read.entry(self.account) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// A body in memory, with the share of the budget that it takes.
pub(super) struct Buffered {
    bytes: Bytes,
    held: Held,
}

/// What a body takes of the memory, and of the bodies that its account may send at once.
pub(super) struct Held {
    _share: Option<OwnedSemaphorePermit>,
    _reading: Reading,
}

impl Buffered {
    /// The body, and what it takes, to be kept for as long as its bytes are.
    pub(super) fn into_parts(self) -> (Bytes, Held) {
        (self.bytes, self.held)
    }
}

/// Reads the body of a request of `account`.
pub(super) async fn read(
    body: Body,
    account: &Account,
    limits: &LimitConfig,
    budget: &BodyBudget,
) -> Result<Buffered, ApiError> {
    let limit = limits.body_bytes;
    // Exact when the client announced a length; otherwise it may become the largest.
    let announced = announced(&body);
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let reading = budget.begin(account)?;
    let share = if announced.is_some_and(|length| length <= SMALL) {
        None
    } else {
        let share = budget.reserve(weight(announced.unwrap_or(limit))).await;
        Some(share.ok_or_else(ApiError::crowded)?)
    };
    let whole = collect(body, announced.unwrap_or(0), limits);
    let whole = timeout(limits.body_timeout.duration(), whole).await;
    let bytes = whole.map_err(|_| ApiError::body_timeout())??;
    let held = Held {
        _share: share,
        _reading: reading,
    };
    Ok(Buffered { bytes, held })
}

/// The length that a body's sender announced.
pub(crate) fn announced(body: &Body) -> Option<usize> {
    let length = body.size_hint().exact()?;
    Some(usize::try_from(length).unwrap_or(usize::MAX))
}

async fn collect(mut body: Body, expected: usize, limits: &LimitConfig) -> Result<Bytes, ApiError> {
    let mut bytes = BytesMut::with_capacity(expected);
    let idle = limits.body_idle.duration();
    while let Some(frame) = timeout(idle, body.frame())
        .await
        .map_err(|_| ApiError::body_timeout())?
    {
        let frame = frame.map_err(|_| ApiError::bad_request("the request's body broke off"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > limits.body_bytes {
            return Err(too_large(limits.body_bytes));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

pub(crate) fn too_large(limit: usize) -> ApiError {
    ApiError::too_large("the request's body", limit)
}
