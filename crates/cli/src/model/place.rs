//! The folders of a model that is being pulled.
//!
//! Files are gathered in a folder of their own and moved to where a node looks for them once all
//! are there: a model that is pulled for the first time appears complete, and one that is replaced
//! is the old one until the last byte of the new one has arrived, and then its files are moved one
//! after the other.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use indicatif::DecimalBytes;
use rustix::fs::statvfs;

use super::{
    file::{FilePath, Finding, ModelFile},
    manifest::{MANIFEST, Manifest},
    progress::Progress,
};
use crate::failure::Failure;

/// Where a model is, and where its files are gathered.
pub(super) struct Place {
    target: PathBuf,
    pub(super) staging: PathBuf,
    /// Held while the model is being pulled; the system lets go of it however the process ends.
    _lock: File,
}

impl Place {
    /// The places of the model `name` in `dir`, for this process alone.
    pub(super) fn claim(dir: &Path, name: &str) -> Result<Self, Failure> {
        let failed = |error| unwritable(dir, &error);
        fs::create_dir_all(dir).map_err(failed)?;
        let lock = File::create(dir.join(format!(".{name}.lock"))).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("`{name}` is being pulled by another process");
                return Err(Failure::new(message).hint("wait until it is done"));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let target = dir.join(name);
        let staging = staging(dir, name);
        fs::create_dir_all(&staging).map_err(failed)?;
        Ok(Self {
            target,
            staging,
            _lock: lock,
        })
    }

    /// Removes what was gathered of another revision.
    pub(super) fn tidy(&self, files: &[ModelFile]) -> Result<(), Failure> {
        let kept = files.iter().flat_map(|file| {
            [
                file.path.under(&self.staging),
                part_path(file, &self.staging),
            ]
        });
        let removed = remove_others(&self.staging, &kept.collect());
        removed.map_err(|error| unwritable(&self.staging, &error))
    }

    /// Those of `files` that are neither installed nor gathered.
    pub(super) fn missing<'a>(
        &self,
        files: &'a [ModelFile],
        progress: &Progress,
    ) -> Result<Vec<&'a ModelFile>, Failure> {
        let mut missing = Vec::new();
        for file in files {
            progress.name(&format!("checking {}", file.path.as_str()));
            if !self.has(file, progress)? {
                missing.push(file);
            }
        }
        Ok(missing)
    }

    fn has(&self, file: &ModelFile, progress: &Progress) -> Result<bool, Failure> {
        for folder in [&self.target, &self.staging] {
            let found = file.inspect(folder, progress).map_err(|error| {
                let path = file.path.under(folder);
                Failure::new(format!("`{}` cannot be read: {error}", path.display()))
                    .hint("remove it, and pull again")
            })?;
            if found == Finding::Intact {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Refuses to pull what the disk has no room for.
    pub(super) fn check_space(&self, missing: &[&ModelFile]) -> Result<(), Failure> {
        let rest = |file: &&ModelFile| {
            let part = fs::metadata(part_path(file, &self.staging));
            file.size.saturating_sub(part.map_or(0, |part| part.len()))
        };
        let needed = missing.iter().map(rest).fold(0, u64::saturating_add);
        let disk = statvfs(&self.staging).map_err(|error| unwritable(&self.staging, &error.into()));
        let disk = disk?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if needed <= free {
            return Ok(());
        }
        let (needed, free) = (DecimalBytes(needed), DecimalBytes(free));
        let folder = self.target.display();
        Err(Failure::new(format!(
            "`{folder}` needs {needed} more, and its disk has {free} free"
        ))
        .hint("`--dir` or `model.dir` name a folder on a larger disk"))
    }

    /// Moves what was gathered to where a node looks for it.
    pub(super) fn install(&self, manifest: &Manifest) -> Result<(), Failure> {
        let moved = self.try_install(manifest);
        moved.map_err(|error| unwritable(&self.target, &error))
    }

    fn try_install(&self, manifest: &Manifest) -> io::Result<()> {
        // A manifest that cannot be read is replaced like any other damaged file.
        let old = Manifest::find(&self.target).ok().flatten();
        manifest.write(&self.staging)?;
        if self.target.try_exists()? {
            for file in &manifest.files {
                self.move_file(&file.path)?;
            }
            // Before the old manifest is gone: nothing else names these files.
            self.remove_outdated(old, manifest)?;
            fs::rename(self.staging.join(MANIFEST), self.target.join(MANIFEST))?;
            fs::remove_dir_all(&self.staging)?;
            return sync_folder(&self.target);
        }
        fs::rename(&self.staging, &self.target)?;
        self.target.parent().map_or(Ok(()), sync_folder)
    }

    /// Moves a file if it was gathered; else the one that is there is the right one.
    fn move_file(&self, path: &FilePath) -> io::Result<()> {
        let (from, to) = (path.under(&self.staging), path.under(&self.target));
        if !from.try_exists()? {
            return Ok(());
        }
        to.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::rename(from, to)
    }

    /// Removes files of the old revision that the new one does not have.
    fn remove_outdated(&self, old: Option<Manifest>, new: &Manifest) -> io::Result<()> {
        let kept: BTreeSet<_> = new.files.iter().map(|file| &file.path).collect();
        let old = old.map_or_else(Vec::new, |old| old.files);
        for file in old.iter().filter(|file| !kept.contains(&file.path)) {
            ignore_missing(fs::remove_file(file.path.under(&self.target)))?;
        }
        Ok(())
    }
}

/// Bytes of the model `name` that a pull into `dir` gathered and did not install.
pub(crate) fn gathered(dir: &Path, name: &str) -> io::Result<u64> {
    size_of(&staging(dir, name))
}

/// Where files of the model `name` are gathered.
fn staging(dir: &Path, name: &str) -> PathBuf {
    let target = dir.join(name);
    // Beside the files that are replaced, which may be on another disk than `dir`.
    if target.is_dir() {
        target.join(".pull")
    } else {
        dir.join(format!(".{name}.pull"))
    }
}

/// Bytes of the files in a folder, if there is one.
fn size_of(folder: &Path) -> io::Result<u64> {
    if !folder.try_exists()? {
        return Ok(0);
    }
    let sizes = fs::read_dir(folder)?.map(|entry| {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            return size_of(&entry.path());
        }
        Ok(entry.metadata()?.len())
    });
    sizes.sum()
}

/// Where the bytes of a file are until all are there. It is named after their digest: they are
/// never continued with bytes of another revision.
pub(super) fn part_path(file: &ModelFile, staging: &Path) -> PathBuf {
    let digits = &file.digest.as_str()[..16];
    staging.join(format!("{}.{digits}.part", file.path.as_str()))
}

/// That something could not be written.
pub(super) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    let hint = match error.kind() {
        StorageFull | QuotaExceeded => {
            "make room and pull again, which goes on from here; `--dir` or `model.dir` name a \
             folder on a larger disk"
        }
        _ => "`--dir` or `model.dir` name a folder that this user may write to",
    };
    Failure::new(format!("`{}` cannot be written: {error}", path.display())).hint(hint)
}

fn remove_others(folder: &Path, kept: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_others(&entry.path(), kept)?;
            // Fails where something is left in it.
            let _ = fs::remove_dir(entry.path());
        } else if !kept.contains(&entry.path()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

/// Makes renames in a folder outlive a loss of power.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
