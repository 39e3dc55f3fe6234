//! The one type that becomes an error answer.

use std::{borrow::Cow, error::Error, fmt, time::Duration};

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tryon_api::public::{ErrorBody, RequestFault};
use tryon_blob::BlobError;
use tryon_core::{error::ApiErrorCode, scope::Scope};
use tryon_store::{StoreError, SubmitError};

/// Tells clients whether to try the same request again.
pub(crate) const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// When to ask again for a slot that other jobs hold: about what one of them takes.
const CONCURRENCY_RETRY: Duration = Duration::from_secs(5);
/// When to ask again for credits, for clients that must have a figure.
const CREDIT_RETRY: Duration = Duration::from_mins(1);
/// When to ask again for something that is too busy or down.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(5);

const OPAQUE: &str = "something failed on our side; try again, and name the `x-request-id` of this \
                      answer if it goes on";

/// Why a request is refused. A closed set of names, each with its status: clients of this API
/// know these pairs and no others, so a body that is too large is a 400 and not a 413. Only links
/// to pictures, which browsers follow, readiness, which load balancers ask for, names of
/// submissions, which those clients do not send, and what nodes ask for have statuses of their own.
#[derive(Debug)]
pub struct ApiError {
    code: ApiErrorCode,
    status: StatusCode,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    /// Whether a client must not send the same again by itself.
    last: bool,
    /// What happened, for the log alone.
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl ApiError {
    fn new(code: ApiErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::from_u16(code.status());
        Self {
            code,
            status: status.expect("BUG: every code has an HTTP status"),
            message: message.into(),
            retry_after: None,
            last: false,
            cause: None,
        }
    }

    fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    fn retry_after(self, after: Duration) -> Self {
        Self {
            retry_after: Some(after),
            ..self
        }
    }

    /// 400: the request is wrong.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ApiErrorCode::BadRequest, message)
    }

    /// 401: no key, or not a valid one.
    pub fn unauthorized(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ApiErrorCode::UnauthorizedAccess, message)
    }

    /// What is said to whoever asked.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether it is that there is no key, or not a valid one.
    pub(crate) fn is_unauthorized(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// 403: the key is valid, and not for this.
    pub fn out_of_scope(scope: Scope) -> Self {
        let message = format!("this API key is not for `{scope}`: use one that has this scope");
        Self::unauthorized(message).status(StatusCode::FORBIDDEN)
    }

    /// 403: the link was not made by us.
    pub fn forged_link() -> Self {
        Self::unauthorized("the link is not valid: ask for the job's status to get a new one")
            .status(StatusCode::FORBIDDEN)
    }

    /// 404: there is no such thing, or it is somebody else's.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ApiErrorCode::NotFound, message)
    }

    /// 404: the route exists, for other methods.
    pub fn no_method() -> Self {
        Self::not_found("this route does not take that method: see the `Allow` header")
    }

    /// 400: the body did not arrive in time.
    pub fn body_timeout() -> Self {
        Self::bad_request("the request's body did not arrive in time: send it again")
    }

    /// 410: the picture was erased.
    pub fn gone() -> Self {
        Self::not_found("the picture was erased: outputs are kept for a limited time")
            .status(StatusCode::GONE)
    }

    /// 400: the body, or a picture in it, is too large.
    pub fn too_large(what: &str, limit: usize) -> Self {
        Self::bad_request(format!("{what} is larger than {limit} bytes"))
    }

    /// 409: the client's name for the submission is another's.
    pub fn other_request() -> Self {
        Self::bad_request(
            "this `Idempotency-Key` was used for another request within the last 24 hours: use a \
             new one for each job",
        )
        .status(StatusCode::CONFLICT)
    }

    /// 409: another node has this name.
    pub fn name_taken(name: &str, url: &str) -> Self {
        Self::bad_request(format!(
            "the name `{name}` is that of the node at `{url}`, which is listed in `nodes` or was \
             heard of a moment ago: give each node a name of its own"
        ))
        .status(StatusCode::CONFLICT)
    }

    /// 429: too many requests in the window.
    pub fn rate_limited(limit: u32, reset: Duration) -> Self {
        let message = format!("more than {limit} requests in a minute: wait for the next window");
        Self::new(ApiErrorCode::RateLimitExceeded, message).retry_after(reset)
    }

    /// 429: too many requests without a valid key.
    pub fn too_many_failures(again: Duration) -> Self {
        let message = "too many requests without a valid API key came from your address: check \
                       the key, and wait";
        Self::new(ApiErrorCode::RateLimitExceeded, message).retry_after(again)
    }

    /// 429: more large bodies than there is memory for.
    pub fn crowded() -> Self {
        Self::new(
            ApiErrorCode::RateLimitExceeded,
            "too many large requests at once: try again, or send URLs instead of pictures",
        )
        .retry_after(UNAVAILABLE_RETRY)
    }

    /// 429: as many requests of the account are being read as it may have jobs.
    pub fn too_many_bodies(limit: u32) -> Self {
        let message = format!("{limit} submissions are being sent already: wait for one of them");
        Self::new(ApiErrorCode::ConcurrencyLimitExceeded, message).retry_after(CONCURRENCY_RETRY)
    }

    /// 429: as many of the account's jobs are followed as may be.
    pub fn too_many_followers(limit: u32) -> Self {
        let message = format!("{limit} streams of events are open already: close one of them");
        Self::new(ApiErrorCode::ConcurrencyLimitExceeded, message).retry_after(CONCURRENCY_RETRY)
    }

    /// 429: as many pictures of the account are uploaded as may be.
    pub fn too_many_uploads(limit: usize) -> Self {
        let message =
            format!("{limit} pictures are uploaded already: erase one, or let one expire");
        Self::new(ApiErrorCode::ConcurrencyLimitExceeded, message).retry_after(CREDIT_RETRY)
    }

    /// 429: too many jobs under way.
    pub fn too_many_jobs(open: u32, limit: u32) -> Self {
        let message = format!("{open} jobs are under way and {limit} are allowed: wait for one");
        Self::new(ApiErrorCode::ConcurrencyLimitExceeded, message).retry_after(CONCURRENCY_RETRY)
    }

    /// 429: the account cannot pay.
    pub fn out_of_credits(reason: impl fmt::Display) -> Self {
        let error = Self::new(ApiErrorCode::OutOfCredits, reason.to_string());
        Self {
            last: true,
            ..error.retry_after(CREDIT_RETRY)
        }
    }

    /// 503: not now.
    pub fn unavailable(message: &'static str) -> Self {
        Self::new(ApiErrorCode::InternalServerError, message)
            .status(StatusCode::SERVICE_UNAVAILABLE)
            .retry_after(UNAVAILABLE_RETRY)
    }

    /// 500: our fault, in the middle of accepting a job. A client that sends it again by itself would
    /// perhaps pay twice.
    pub fn perhaps_accepted(cause: StoreError) -> Self {
        let message = "something failed on our side, and the job may have been accepted: see \
                       `GET /api/v1/jobs` before you send it again. With an `Idempotency-Key` it \
                       can be sent again at any time";
        Self {
            last: true,
            cause: Some(cause.into()),
            ..Self::new(ApiErrorCode::InternalServerError, message)
        }
    }

    /// 500: our fault. The cause is logged, not answered.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = Self::new(ApiErrorCode::InternalServerError, OPAQUE);
        Self {
            cause: Some(cause.into()),
            ..error
        }
    }
}

impl From<RequestFault> for ApiError {
    fn from(fault: RequestFault) -> Self {
        Self::bad_request(fault.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::internal(error)
    }
}

impl From<BlobError> for ApiError {
    fn from(error: BlobError) -> Self {
        Self::internal(error)
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::OutOfCredits(reason) => Self::out_of_credits(reason),
            SubmitError::TooManyJobs { open, limit } => Self::too_many_jobs(open, limit),
            SubmitError::OtherRequest => Self::other_request(),
            // Who submits answers with the job.
            error @ SubmitError::AcceptedBefore(_) => Self::internal(error),
            SubmitError::Store(error) => error.into(),
        }
    }
}

/// An error and what caused it, on one line: what a log needs.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            let text = error.to_string();
            // Some errors repeat their source's words.
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            (said, source) = (text, error.source());
        }
        Ok(())
    }
}

impl IntoResponse for ApiError {
    /// Logs the cause, if there is one, in the request's span: this happens once for an error.
    fn into_response(self) -> Response {
        if let Some(cause) = &self.cause {
            tracing::error!(cause = %Chain(cause.as_ref()), "a request failed");
        }
        let body = ErrorBody {
            error: self.code,
            message: self.message.into_owned(),
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, whole_seconds(after).into());
        }
        if self.last {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Seconds, rounded up: who waits that long finds that the time is over.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_chain_says_each_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("the network failed: {0}")]
        struct Talkative(#[source] io::Error);
        #[derive(Debug, thiserror::Error)]
        #[error("the database failed")]
        struct Silent(#[source] Talkative);

        let error = Silent(Talkative(io::Error::other("nobody is there")));
        let expected = "the database failed: the network failed: nobody is there";
        assert_eq!(Chain(&error).to_string(), expected);
    }
}
