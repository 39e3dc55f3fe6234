//! Answers that arrive although the request's body was not read.
//!
//! A server that answers early and closes makes the kernel reset the connection, and a client
//! that is still sending 20 MB loses the answer to that reset. So a body that its handler dropped
//! is read on, and thrown away, for as long as a client may reasonably need to finish sending; and
//! the answer says `Connection: close`, which makes clients that read while they send stop.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

/// How long a dropped body is read on, without a byte arriving and in all. The figures are
/// nginx's `lingering_timeout` and `lingering_time`.
const IDLE: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(30);

/// Middleware that lets every handler answer early.
pub(crate) async fn linger(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let read = Arc::new(AtomicBool::new(HttpBody::is_end_stream(&body)));
    let body = Lingering {
        inner: Some(body),
        read: Arc::clone(&read),
        unasked: parts.headers.contains_key(header::EXPECT),
    };
    let mut response = next.run(Request::from_parts(parts, Body::new(body))).await;
    if !read.load(Ordering::Acquire) {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// A request body that outlives its handler.
struct Lingering {
    /// Present until dropped.
    inner: Option<Body>,
    /// Whether it was read to its end.
    read: Arc<AtomicBool>,
    /// Whether the client waits to be asked for the body (`Expect: 100-continue`) and was not:
    /// then it sends none, and reading on would only ask for it.
    unasked: bool,
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.unasked = false;
        let Some(body) = self.inner.as_mut() else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) || body.is_end_stream() {
            self.read.store(true, Ordering::Release);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let finished = self.read.load(Ordering::Acquire) || self.unasked;
        let Some(body) = self.inner.take().filter(|_| !finished) else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(WHOLE, drain(body)));
        }
    }
}

async fn drain(mut body: Body) {
    while let Ok(Some(Ok(_))) = tokio::time::timeout(IDLE, body.frame()).await {}
}
