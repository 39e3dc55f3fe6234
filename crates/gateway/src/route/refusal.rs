//! The refusals that routes have in common, for their documentation.

use tryon_api::public::ErrorBody;
use utoipa::IntoResponses;

/// What every limited route may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only documents")]
pub(super) enum Limited {
    /// `UnauthorizedAccess`: no key, or not a valid one.
    #[response(status = 401)]
    Unauthorized(ErrorBody),
    /// `UnauthorizedAccess`: the key is valid, and does not have the scope that this needs.
    #[response(status = 403)]
    OutOfScope(ErrorBody),
    /// `RateLimitExceeded`: wait for `Retry-After` seconds.
    #[response(status = 429)]
    TooMany(ErrorBody),
    /// `InternalServerError`: our fault.
    #[response(status = 500)]
    Internal(ErrorBody),
}

/// What every submission may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only documents")]
pub(super) enum Submission {
    /// `BadRequest`: `message` names the field, or says what is too large, late or not offered.
    #[response(status = 400)]
    Wrong(ErrorBody),
    /// `UnauthorizedAccess`: no key, or not a valid one.
    #[response(status = 401)]
    Unauthorized(ErrorBody),
    /// `UnauthorizedAccess`: the key is valid, and does not have the scope that this needs.
    #[response(status = 403)]
    OutOfScope(ErrorBody),
    /// `BadRequest`: the `Idempotency-Key` was used for another request.
    #[response(status = 409)]
    Named(ErrorBody),
    /// `RateLimitExceeded` or `ConcurrencyLimitExceeded`: wait for `Retry-After` seconds.
    /// `OutOfCredits`: waiting does not help, and `x-should-retry` is `false`.
    #[response(status = 429)]
    TooMany(ErrorBody),
    /// `InternalServerError`: our fault. Where the job may have been accepted all the same, and has no
    /// `Idempotency-Key`, `x-should-retry` is `false`.
    #[response(status = 500)]
    Internal(ErrorBody),
}
