//! Files that are there as a whole or not at all, also after a power failure.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// The ending of a file that is being written; left over ones are removed at the next start.
pub(super) const UNFINISHED: &str = "part";

/// Writes `parts` to `path`. When this returns, the file is on the disk under its name.
pub(super) fn write_durably(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let unfinished = path.with_added_extension(UNFINISHED);
    let written = write_and_rename(&unfinished, path, parts);
    if written.is_err() {
        // On a full disk the half of a file is the half too much. A whole one whose name may not
        // last is not there either: the caller was told so.
        let _ = fs::remove_file(&unfinished);
        let _ = fs::remove_file(path);
    }
    written
}

fn write_and_rename(unfinished: &Path, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = File::create(unfinished)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()?;
    drop(file);
    fs::rename(unfinished, path)?;
    sync_folder_of(path)
}

/// Makes the names in the folder of `path` durable.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Removes a file that may be gone already.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
