//! Uploaded pictures become pixels, on threads that may be kept busy.

use std::sync::Arc;

use bytes::Bytes;
use image::RgbaImage;
use tokio::{sync::Semaphore, task::spawn_blocking};
use tryon_picture::{Limits, PictureError};

use crate::config::LimitsConfig;

/// What is wrong with a picture, and with which.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PhotoFault {
    #[error("`{name}`: {source}")]
    Unreadable {
        name: &'static str,
        source: PictureError,
    },
    #[error("`{name}`: the picture is {width}x{height}; both sides need at least {least} pixels")]
    TooSmall {
        name: &'static str,
        width: u32,
        height: u32,
        least: u32,
    },
    #[error("`{name}`: the picture made its decoder fail; open it in an editor and export it anew")]
    Unreliable { name: &'static str },
}

/// Where pictures are decoded and encoded: a few at a time, because each may take hundreds of
/// megabytes and a core.
pub(crate) struct DarkRoom {
    places: Arc<Semaphore>,
    limits: Limits,
    least_side: u32,
}

impl DarkRoom {
    const PLACES: usize = 2;

    pub(crate) fn new(limits: &LimitsConfig) -> Self {
        Self {
            places: Arc::new(Semaphore::new(Self::PLACES)),
            limits: Limits {
                max_bytes: limits.picture_bytes,
                max_pixels: limits.picture_pixels,
            },
            least_side: limits.picture_side,
        }
    }

    /// Decodes the picture that was sent as the field `name`.
    pub(crate) async fn develop(
        &self,
        name: &'static str,
        bytes: Bytes,
    ) -> Result<RgbaImage, PhotoFault> {
        let (limits, least) = (self.limits, self.least_side);
        self.work(move || decode(name, &bytes, &limits, least))
            .await
            .unwrap_or(Err(PhotoFault::Unreliable { name }))
    }

    /// Runs picture work on a thread of its own; `None` when it panicked.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let places = Arc::clone(&self.places);
        let place = places
            .acquire_owned()
            .await
            .expect("BUG: the semaphore is never closed");
        // The place goes along: it is taken until the work ends, even if nobody waits any more.
        let worked = spawn_blocking(move || {
            let result = work();
            drop(place);
            result
        });
        worked.await.ok()
    }
}

fn decode(
    name: &'static str,
    bytes: &[u8],
    limits: &Limits,
    least: u32,
) -> Result<RgbaImage, PhotoFault> {
    let unreadable = |source| PhotoFault::Unreadable { name, source };
    let header = tryon_picture::probe(bytes, limits).map_err(unreadable)?;
    let (width, height) = (header.width, header.height);
    if width.min(height) < least {
        return Err(PhotoFault::TooSmall {
            name,
            width,
            height,
            least,
        });
    }
    tryon_picture::decode(bytes, limits).map_err(unreadable)
}
