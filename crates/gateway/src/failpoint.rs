//! Points at which a test holds up or ends the process.

use std::panic::resume_unwind;

use tokio::task::spawn_blocking;

/// Does what was asked for at this point: nothing, unless the feature `failpoints` is on.
///
/// On a thread of its own, because a point may pause: a gateway that is held up in one place
/// answers everywhere else.
pub(crate) async fn reach(point: &'static str) {
    if !fail::has_failpoints() {
        return;
    }
    tracing::debug!(point, "a failpoint is reached");
    if let Err(error) = spawn_blocking(move || fail::fail_point!(point)).await
        && let Ok(panic) = error.try_into_panic()
    {
        resume_unwind(panic);
    }
}
