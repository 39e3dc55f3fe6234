//! Lists that are answered in pages.

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use serde::Deserialize;
use tryon_core::id::JobId;
use utoipa::IntoParams;

use crate::error::ApiError;

/// Entries of a page that does not say how many, and the most of one that does.
const SHORT: u32 = 20;
const LONGEST: u32 = 100;

/// Which page of a list, as it is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// How many entries at most, 1 to 100; 20 where absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// The `next` of the page before.
    #[param(value_type = Option<String>, pattern = "^[0-9a-f]{24}$")]
    after: Option<JobId>,
}

/// Which page of a list. What does not read is refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    /// How many entries at most.
    pub(super) limit: u32,
    /// The job of the last entry before it.
    pub(super) after: Option<JobId>,
}

impl Page {
    /// Where the page after this one begins, of which these are the entries; `None` when there is
    /// none.
    pub(super) fn next<T>(&self, entries: &[T], job: impl Fn(&T) -> JobId) -> Option<JobId> {
        let full = entries.len() == self.limit as usize;
        entries.last().filter(|_| full).map(job)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<PageQuery>::from_request_parts(parts, state).await;
        let Query(query) = query.map_err(|error| ApiError::bad_request(error.body_text()))?;
        let limit = query.limit.unwrap_or(SHORT);
        if !(1..=LONGEST).contains(&limit) {
            let reason = format!("`limit` is {limit}, not a number from 1 to {LONGEST}");
            return Err(ApiError::bad_request(reason));
        }
        Ok(Self {
            limit,
            after: query.after,
        })
    }
}
