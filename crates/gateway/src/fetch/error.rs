//! Why a picture could not be fetched.

use std::time::Duration;

use http::StatusCode;

use super::lookup::NoPublicAddress;

/// Why a picture could not be fetched, in words for whoever named its address. Nothing that the
/// other side sent is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Not a URL.
    #[error("its address is not a URL; send one that starts with `https://`")]
    NotUrl,
    /// Not HTTP.
    #[error("`{scheme}:` addresses are not fetched; send one that starts with `https://`")]
    Scheme {
        /// What it is instead.
        scheme: String,
    },
    /// A user name or password.
    #[error("addresses with a user name or password are not fetched; send one that needs none")]
    Credentials,
    /// A host that is none, or is not for strangers.
    #[error("its host has no public address; check its name, or send the picture as base64")]
    NoPublicAddress,
    /// Nobody there.
    #[error("its server cannot be reached; check that the address opens in a browser")]
    Unreachable,
    /// A redirect to nowhere.
    #[error("its server redirects to what is not an address")]
    BadRedirect,
    /// A redirect too many.
    #[error("its server redirects more than {limit} times; send the final address")]
    TooManyRedirects {
        /// How many are followed.
        limit: usize,
    },
    /// An answer without a picture.
    #[error(
        "its server answered {}; check that the address opens in a browser without signing in",
        status.as_u16()
    )]
    Status {
        /// What was answered.
        status: StatusCode,
    },
    /// An answer that has to be unpacked.
    #[error("its server compresses the file although it was asked not to; send it as base64")]
    Encoded,
    /// A file that is too large.
    #[error("the file has more than {limit} bytes; send a smaller or more compressed one")]
    TooLarge {
        /// The most bytes that are read.
        limit: usize,
    },
    /// A file that does not end in time.
    #[error("loading it took more than {} seconds; send it from a faster server", after.as_secs_f32())]
    TimedOut {
        /// How long was waited.
        after: Duration,
    },
    /// A connection that went silent.
    #[error("its server was silent for {} seconds; send it from a faster server", after.as_secs_f32())]
    Silent {
        /// How long was waited.
        after: Duration,
    },
    /// A connection that broke.
    #[error("the connection to its server broke; try again, or send the picture as base64")]
    Broken,
}

/// What a failed request comes to; `silence` is how long a connection may be silent.
pub(super) fn explain(error: &reqwest::Error, silence: Duration) -> FetchError {
    if is_refusal(error) {
        FetchError::NoPublicAddress
    } else if error.is_connect() {
        FetchError::Unreachable
    } else if error.is_timeout() {
        FetchError::Silent { after: silence }
    } else {
        FetchError::Broken
    }
}

fn is_refusal(error: &reqwest::Error) -> bool {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| error.source())
        .any(<dyn std::error::Error>::is::<NoPublicAddress>)
}
