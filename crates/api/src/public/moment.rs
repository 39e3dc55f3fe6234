//! Points in time on the wire: RFC 3339 in UTC, with milliseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serializer;
use tryon_core::time::Timestamp;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
pub(super) fn rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    let millis = u64::try_from(time.as_millis()).unwrap_or_default();
    let time: SystemTime = UNIX_EPOCH + Duration::from_millis(millis);
    serializer.collect_str(&humantime::format_rfc3339_millis(time))
}

#[expect(clippy::ref_option, reason = "as serde calls it")]
pub(super) fn rfc3339_or_null<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => rfc3339(time, serializer),
        None => serializer.serialize_none(),
    }
}
