//! Pictures that are sent ahead of the jobs that use them.
//!
//! An upload belongs to its account, and opens with that account's keys alone. Its address is never
//! fetched: what it names is read where it lies. It has a life of its own, which is short and told to
//! the client, and ends whether a job used it or not.

use std::time::Duration;

use tryon_blob::{BlobError, Key};
use tryon_core::{
    id::{AccountId, UploadId},
    time::Timestamp,
};
use url::Url;

use crate::{app::App, route::path};

/// The address of uploads, with a slash at the end: as a submission has it, which is without a port
/// that goes without saying.
fn base(app: &App) -> String {
    let base = format!("{}{}/", app.config.server.link_base(), path::UPLOADS);
    Url::parse(&base).map_or(base, String::from)
}

/// What a submission names an upload by.
pub(crate) fn address(app: &App, id: UploadId) -> String {
    format!("{}{id}", base(app))
}

/// The upload of this account that an address names; `None` where it names something else.
pub(crate) fn find_named(app: &App, account: AccountId, address: &str) -> Option<Key> {
    let id = address.strip_prefix(&base(app))?.parse().ok()?;
    Some(Key::staged(account, id))
}

/// Until when an upload that was written then may be used.
pub(crate) fn expiry(app: &App, written: Timestamp) -> Timestamp {
    written + app.config.jobs.upload_retention.duration()
}

/// Whether an upload may be used.
pub(crate) async fn is_kept(app: &App, key: &Key) -> Result<bool, BlobError> {
    let written = app.blobs.written_at(key).await?;
    Ok(written.is_some_and(|written| app.clock.now() < expiry(app, written)))
}

/// How old uploads are before they are erased: a job that was accepted with one still finds it.
pub(crate) fn erased_after(app: &App) -> Duration {
    let jobs = &app.config.jobs;
    jobs.upload_retention.duration() + jobs.deadline.duration()
}

/// What is said where an upload cannot be used.
pub(crate) const GONE: &str = "there is no such upload of yours, or it has expired; upload the \
                               picture again";
