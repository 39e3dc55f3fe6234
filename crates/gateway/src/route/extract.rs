//! Extractors whose refusals have our form.

use axum::extract::{FromRequestParts, Path, rejection::PathRejection};

use crate::error::ApiError;

/// The parameters in a route's path. What does not read names nothing.
#[derive(FromRequestParts)]
#[from_request(via(Path), rejection(ApiError))]
pub(crate) struct UrlPath<T>(pub(crate) T);

impl From<PathRejection> for ApiError {
    fn from(_: PathRejection) -> Self {
        Self::not_found("the path does not read as text")
    }
}
