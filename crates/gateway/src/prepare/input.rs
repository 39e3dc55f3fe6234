//! Where inputs come from, and what is said when they cannot be used.

use bytes::Bytes;
use tryon_core::error::{JobError, JobErrorCode};
use tryon_picture::{Limits, PictureError};
use tryon_store::Source;

use super::{PrepareError, Preparer, develop};

impl Preparer {
    /// The picture of `source`, ready for a node.
    pub(super) async fn develop(
        &self,
        field: &'static str,
        source: Source,
        max_side: u32,
    ) -> Result<Bytes, PrepareError> {
        let limits = self.limits();
        let file = self.read(field, source).await?;
        let developed = self
            .app
            .darkroom
            .run(move || develop::develop(file, &limits, max_side))
            .await;
        match developed {
            Ok(Ok(picture)) => Ok(picture),
            Ok(Err(error)) => Err(unusable(field, &error)),
            Err(panic) => {
                tracing::error!(%panic, field, "BUG: a picture could not be decoded or refused");
                Err(load_error(
                    field,
                    "the picture cannot be read; send another file",
                ))
            }
        }
    }

    /// Pictures that were sent along were measured when they came, those that were fetched while
    /// they came.
    fn limits(&self) -> Limits {
        let config = &self.app.config;
        let max_bytes = config.limits.picture_bytes.max(config.fetch.max_bytes);
        Limits {
            max_bytes: max_bytes as u64,
            ..Limits::default()
        }
    }

    async fn read(&self, field: &'static str, source: Source) -> Result<Bytes, PrepareError> {
        let key = match source {
            Source::Url(url) => {
                let fetched = self.fetcher.fetch(&url).await;
                return fetched.map_err(|error| load_error(field, &error.to_string()));
            }
            Source::Blob(key) => Some(key),
            Source::Erased => None,
        };
        let lost = || {
            let message = format!("`{field}` was lost on our side; submit the job again");
            PrepareError::Unusable(JobError::new(JobErrorCode::PipelineError, message))
        };
        let key = key.and_then(|key| key.parse().ok()).ok_or_else(lost)?;
        self.app.blobs.get(&key).await?.ok_or_else(lost)
    }
}

fn load_error(field: &str, reason: &str) -> PrepareError {
    let message = format!("`{field}` could not be loaded: {reason}");
    PrepareError::Unusable(JobError::new(JobErrorCode::ImageLoadError, message))
}

/// What is no picture could not be loaded; what is a picture, but not one that is taken, could.
fn unusable(field: &str, error: &PictureError) -> PrepareError {
    match error {
        PictureError::TooManyPixels { .. }
        | PictureError::TooManyBytes { .. }
        | PictureError::Animated { .. } => {
            let message = format!("`{field}` cannot be used: {error}");
            PrepareError::Unusable(JobError::new(JobErrorCode::InputValidationError, message))
        }
        _ => load_error(field, &error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(error: &PictureError) -> (JobErrorCode, String) {
        match unusable("model_image", error) {
            PrepareError::Unusable(error) => (error.name, error.message),
            other => panic!("{other}"),
        }
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
