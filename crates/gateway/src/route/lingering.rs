//! Answers that arrive although the request's body was not read.
//!
//! Who answers early and closes makes the kernel reset the connection, and a client that is still
//! sending its pictures loses the answer to that reset. So what a handler left unread is read on
//! and thrown away, for as long as a client may reasonably need to finish; and the answer says
//! `Connection: close`, so that clients which read while they send stop.

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
use http_body_util::BodyExt as _;
use tokio::{runtime::Handle, time::timeout};

/// How long an unread body is read on, without a byte arriving and in all: what nginx's
/// `lingering_timeout` and `lingering_time` are by default.
const IDLE: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(30);

/// Middleware that lets every handler answer early.
pub(crate) async fn linger(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let read = Arc::new(AtomicBool::new(body.is_end_stream()));
    let body = Lingering {
        inner: Some(body),
        read: Arc::clone(&read),
        unasked: parts.headers.contains_key(header::EXPECT),
    };
    let mut response = next.run(Request::from_parts(parts, Body::new(body))).await;
    if !read.load(Ordering::Acquire) {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A request's body that outlives its handler.
struct Lingering {
    /// Present until dropped.
    inner: Option<Body>,
    /// Whether nothing of it is left to read.
    read: Arc<AtomicBool>,
    /// Whether the client waits to be asked for it (`Expect: 100-continue`) and was not. Then it
    /// sends nothing, and reading on would only ask for it.
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
        let done = self.unasked || self.read.load(Ordering::Acquire);
        let Some(body) = self.inner.take().filter(|_| !done) else {
            return;
        };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(timeout(WHOLE, drain(body)));
        }
    }
}

async fn drain(mut body: Body) {
    while let Ok(Some(Ok(_))) = timeout(IDLE, body.frame()).await {}
}
