//! Pictures that were being written to disk when the process ended.

use std::{
    fs, io,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use tryon_core::{id::JobId, time::Timestamp};

use crate::key::Folder;

/// Removes files below `root` that were never finished and not touched since `older_than`.
/// Returns how many there were.
pub(crate) fn erase(root: &Path, older_than: Timestamp) -> io::Result<usize> {
    let mut erased = 0;
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        // What another sweep or a deletion took in the meantime is as good as erased.
        erased += match erase_entry(&entry, older_than) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            result => result?,
        };
    }
    Ok(erased)
}

/// Removes what was begun of a job's pictures, however lately: whoever still writes one fails.
pub(crate) fn erase_job(root: &Path, job: JobId) -> io::Result<()> {
    for folder in Folder::OF_JOBS {
        let folder = root.join(folder.as_str()).join(job.to_string());
        match erase(&folder, Timestamp::from_millis(i64::MAX)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => drop(result?),
        }
    }
    Ok(())
}

fn erase_entry(entry: &fs::DirEntry, older_than: Timestamp) -> io::Result<usize> {
    let metadata = entry.metadata()?;
    if metadata.is_dir() {
        return erase(&entry.path(), older_than);
    }
    let unfinished = entry.file_name().to_str().is_some_and(is_partial);
    let touched = metadata
        .modified()?
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    if !unfinished || Timestamp::default() + touched >= older_than {
        return Ok(0);
    }
    fs::remove_file(entry.path())?;
    Ok(1)
}

/// `object_store` writes `<name>#<number>` and renames it to `<name>` when it is complete.
fn is_partial(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, number)| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}
