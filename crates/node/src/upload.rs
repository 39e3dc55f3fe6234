//! A request's body within limits: of size, of standing still, of time.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::Stream;
use tokio::time::{Instant, Sleep};

use crate::config::LimitsConfig;

/// Bytes allowed beside the two pictures: texts, part headers, fields nobody reads.
const OVERHEAD: u64 = 1_000_000;

/// Why a body was not read to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UploadFault {
    #[error("the upload stood still for {} s; send it again", after.as_secs_f64())]
    Stalled { after: Duration },
    #[error("the upload took longer than {} s; send smaller pictures", after.as_secs_f64())]
    TooSlow { after: Duration },
    #[error("the request has more than {limit} bytes; send smaller pictures")]
    TooLarge { limit: u64 },
    #[error("the connection broke during the upload: {reason}")]
    Broken { reason: String },
}

/// A body as a stream of chunks that ends in an [`UploadFault`] when a limit is passed.
pub(crate) struct Upload {
    chunks: BodyDataStream,
    left: u64,
    limit: u64,
    stall: (Duration, Pin<Box<Sleep>>),
    whole: (Duration, Pin<Box<Sleep>>),
}

impl Upload {
    pub(crate) fn new(body: Body, limits: &LimitsConfig) -> Self {
        let limit = limits
            .picture_bytes
            .saturating_mul(2)
            .saturating_add(OVERHEAD);
        let timer = |wait: Duration| (wait, Box::pin(tokio::time::sleep(wait)));
        Self {
            chunks: body.into_data_stream(),
            left: limit,
            limit,
            stall: timer(limits.stall_timeout.duration()),
            whole: timer(limits.upload_timeout.duration()),
        }
    }

    fn count(&mut self, chunk: Bytes) -> Result<Bytes, UploadFault> {
        let left = self.left.checked_sub(chunk.len() as u64);
        self.left = left.ok_or(UploadFault::TooLarge { limit: self.limit })?;
        let (stall, timer) = &mut self.stall;
        timer.as_mut().reset(Instant::now() + *stall);
        Ok(chunk)
    }
}

impl Stream for Upload {
    type Item = Result<Bytes, UploadFault>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let (after, timer) = &mut self.whole;
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(UploadFault::TooSlow { after: *after })));
        }
        match Pin::new(&mut self.chunks).poll_next(cx) {
            Poll::Ready(Some(Ok(chunk))) => Poll::Ready(Some(self.count(chunk))),
            Poll::Ready(Some(Err(error))) => {
                let reason = error.to_string();
                Poll::Ready(Some(Err(UploadFault::Broken { reason })))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let (after, timer) = &mut self.stall;
                let fault = UploadFault::Stalled { after: *after };
                timer.as_mut().poll(cx).map(|()| Some(Err(fault)))
            }
        }
    }
}
