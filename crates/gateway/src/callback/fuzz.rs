//! A way in for the targets of `fuzz/`, which have no gateway to report to.

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tryon_core::error::JobError;

use super::form;
use crate::error::ApiError;

/// What a report reads as.
#[derive(Debug, PartialEq, Eq)]
pub struct Reading {
    /// The attempt's name.
    pub job_id: String,
    /// The picture's file, on success.
    pub image: Option<Bytes>,
    /// What its words would mean for the job if there is none.
    pub failure: JobError,
}

/// Reads a body of this content type, which arrives in these pieces, as a result is read.
pub async fn read_report(
    kind: &str,
    pieces: Vec<Bytes>,
    limit: usize,
) -> Result<Reading, ApiError> {
    let chunks = stream::iter(pieces).map(Ok).boxed();
    let report = match multer::parse_boundary(kind) {
        Ok(boundary) => form::read_multipart(chunks, boundary, limit).await?,
        Err(_) => form::read_urlencoded(chunks, limit).await?,
    };
    let report = report.check()?;
    Ok(Reading {
        job_id: report.job_id,
        image: report.image,
        failure: report.failure.understand().error,
    })
}
