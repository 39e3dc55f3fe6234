//! Where input pictures come from, and what is said when they cannot be used.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinError;
use tryon_blob::{BlobError, Key};
use tryon_core::{
    error::{JobError, JobErrorCode},
    id::AccountId,
};
use tryon_picture::{Limits, PictureError};
use tryon_store::Source;

use crate::{app::App, fetch::Fetcher, upload};

/// Why a picture could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// It cannot be used: a job with it fails.
    #[error("{}", .0.message)]
    Unusable(JobError),
    /// The pictures' storage failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

impl From<JobError> for InputError {
    fn from(error: JobError) -> Self {
        Self::Unusable(error)
    }
}

/// Gets pictures from where a request says that they are.
#[derive(Clone)]
pub(crate) struct Inputs {
    app: Arc<App>,
    fetcher: Fetcher,
}

impl Inputs {
    pub(crate) fn new(app: Arc<App>, fetcher: Fetcher) -> Self {
        Self { app, fetcher }
    }

    /// The file of a picture that came in this field of a request of `account`.
    pub(crate) async fn read(
        &self,
        account: AccountId,
        field: &'static str,
        source: Source,
    ) -> Result<Bytes, InputError> {
        match source {
            Source::Url(url) => match upload::find_named(&self.app, account, &url) {
                Some(key) => self.get(&key, || gone(field)).await,
                None => self.fetch(field, &url).await,
            },
            Source::Blob(key) => match key.parse() {
                Ok(key) => self.get(&key, || lost(field)).await,
                Err(_) => Err(lost(field).into()),
            },
            Source::Erased => Err(lost(field).into()),
        }
    }

    /// Whether the picture is somewhere else: an address may be that of an upload.
    pub(crate) fn is_fetched(&self, account: AccountId, source: &Source) -> bool {
        match source {
            Source::Url(url) => upload::find_named(&self.app, account, url).is_none(),
            Source::Blob(_) | Source::Erased => false,
        }
    }

    /// The file at an address that is no upload's.
    async fn fetch(&self, field: &str, url: &str) -> Result<Bytes, InputError> {
        let fetched = self.fetcher.fetch(url).await;
        Ok(fetched.map_err(|error| load_error(field, &error.to_string()))?)
    }

    async fn get(&self, key: &Key, absent: impl Fn() -> JobError) -> Result<Bytes, InputError> {
        let file = self.app.blobs.get(key).await?;
        Ok(file.ok_or_else(absent)?)
    }
}

/// Pictures that were sent along were measured when they came, those that were fetched while they
/// came.
pub(crate) fn limits(app: &App) -> Limits {
    let config = &app.config;
    let max_bytes = config.limits.picture_bytes.max(config.fetch.max_bytes);
    Limits {
        max_bytes: max_bytes as u64,
        ..Limits::default()
    }
}

fn lost(field: &str) -> JobError {
    let message = format!("`{field}` was lost on our side; submit the job again");
    JobError::new(JobErrorCode::PipelineError, message)
}

/// That a field names an upload which cannot be used.
pub(crate) fn gone(field: &str) -> JobError {
    load_error(field, upload::GONE)
}

fn load_error(field: &str, reason: &str) -> JobError {
    let message = format!("`{field}` could not be loaded: {reason}");
    JobError::new(JobErrorCode::ImageLoadError, message)
}

/// What is no picture could not be loaded; what is a picture, but not one that is taken, could.
pub(crate) fn unusable(field: &str, error: &PictureError) -> JobError {
    match error {
        PictureError::TooManyPixels { .. }
        | PictureError::TooManyBytes { .. }
        | PictureError::Animated { .. } => {
            let message = format!("`{field}` cannot be used: {error}");
            JobError::new(JobErrorCode::InputValidationError, message)
        }
        _ => load_error(field, &error.to_string()),
    }
}

/// What is said of a picture at which a decoder panicked, as one may on a picture that was made for
/// that.
pub(crate) fn undecodable(field: &'static str, panic: &JoinError) -> JobError {
    tracing::error!(%panic, field, "BUG: a picture could not be decoded or refused");
    load_error(field, "the picture cannot be read; send another file")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(error: &PictureError) -> (JobErrorCode, String) {
        let error = unusable("model_image", error);
        (error.name, error.message)
    }

    #[test]
    fn what_is_no_picture_is_told_from_one_that_is_not_taken() {
        let (name, message) = name_of(&PictureError::Empty);
        assert_eq!(name, JobErrorCode::ImageLoadError);
        assert!(
            message.starts_with("`model_image` could not be loaded: "),
            "{message}"
        );
        let large = PictureError::TooManyPixels {
            width: 10_000,
            height: 10_000,
            limit: 40_000_000,
        };
        let (name, message) = name_of(&large);
        assert_eq!(name, JobErrorCode::InputValidationError);
        assert!(
            message.starts_with("`model_image` cannot be used: "),
            "{message}"
        );
    }
}
