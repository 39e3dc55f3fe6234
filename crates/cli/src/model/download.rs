//! One file, from where it was left.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use super::{
    file::{Hasher, ModelFile},
    hub::{Content, Fault, Hub},
    manifest::Manifest,
    place::{part_path, sync_folder, unwritable},
    progress::Progress,
    retries::Retries,
};
use crate::failure::Failure;

/// A file to be had.
pub(super) struct Download<'a> {
    pub(super) hub: &'a Hub,
    pub(super) manifest: &'a Manifest,
    pub(super) file: &'a ModelFile,
    pub(super) progress: &'a Progress,
}

impl Download<'_> {
    /// Gets the file into `staging`. What arrived is kept there, however this ends, unless it turns
    /// out to be wrong.
    pub(super) async fn run(&self, staging: &Path) -> Result<(), Failure> {
        let path = part_path(self.file, staging);
        let part = Part::open(path.clone(), self.file, self.progress);
        let mut part = part.map_err(|error| unwritable(&path, &error))?;
        let mut retries = Retries::new(self.progress);
        while part.length < self.file.size {
            let before = part.length;
            let Err(fault) = self.fetch(&mut part).await else {
                break;
            };
            if part.length > before {
                retries.forget();
            }
            retries.wait(fault).await?;
        }
        part.finish(&self.file.path.under(staging))
    }

    /// Appends what the hub sends to the part, until it is whole.
    async fn fetch(&self, part: &mut Part<'_>) -> Result<(), Fault> {
        let Manifest { repo, commit, .. } = self.manifest;
        let mut content = self.hub.open(repo, commit, self.file, part.length).await?;
        if content.start != part.length {
            part.restart(self.progress)?;
        }
        while let Some(bytes) = content.next().await? {
            part.append(&bytes)?;
            self.progress.advance(bytes.len() as u64);
        }
        self.check_length(part, &content)
    }

    fn check_length(&self, part: &Part<'_>, content: &Content) -> Result<(), Fault> {
        if part.length == self.file.size {
            return Ok(());
        }
        Err(content.too_short(self.file, part.length))
    }
}

/// A file whose end has not arrived yet.
struct Part<'a> {
    model_file: &'a ModelFile,
    path: PathBuf,
    file: File,
    length: u64,
    hasher: Hasher,
}

impl<'a> Part<'a> {
    /// The part at `path` as it was left, or an empty one.
    fn open(path: PathBuf, model_file: &'a ModelFile, progress: &Progress) -> io::Result<Self> {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path)?;
        let mut hasher = model_file.hasher();
        let mut length = file.metadata()?.len();
        if length > model_file.size {
            file.set_len(0)?;
            length = 0;
        }
        hasher.read(&mut file, progress)?;
        Ok(Self {
            model_file,
            path,
            file,
            length,
            hasher,
        })
    }

    /// Forgets everything that arrived: the hub sends the file from its beginning.
    fn restart(&mut self, progress: &Progress) -> Result<(), Fault> {
        let cut = self.file.set_len(0);
        let cut = cut.and_then(|()| self.file.seek(SeekFrom::Start(0)));
        cut.map_err(|error| self.unwritable(&error))?;
        progress.retract(self.length);
        self.length = 0;
        self.hasher = self.model_file.hasher();
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let length = self.length + bytes.len() as u64;
        if length > self.model_file.size {
            return Err(Fault::last(self.refuse("it is longer than it should be")));
        }
        let written = self.file.write_all(bytes);
        written.map_err(|error| self.unwritable(&error))?;
        self.hasher.update(bytes);
        self.length = length;
        Ok(())
    }

    /// Gives the file its name, if it is the right one.
    fn finish(mut self, path: &Path) -> Result<(), Failure> {
        let hasher = std::mem::replace(&mut self.hasher, self.model_file.hasher());
        if hasher.finish() != self.model_file.digest.as_str() {
            return Err(self.refuse("its digest is another one"));
        }
        let named = self.file.sync_all();
        let named = named.and_then(|()| fs::rename(&self.path, path));
        let named = named.and_then(|()| path.parent().map_or(Ok(()), sync_folder));
        named.map_err(|error| unwritable(path, &error))
    }

    /// Removes what arrived.
    fn refuse(&self, why: &str) -> Failure {
        let name = self.model_file.path.as_str();
        let removed = match fs::remove_file(&self.path) {
            Ok(()) => "it was removed".to_owned(),
            Err(error) => format!("it cannot be removed: {error}"),
        };
        Failure::new(format!(
            "`{name}` is not what the hub lists: {why}; {removed}"
        ))
        .hint("pull again; if it stays wrong, something between here and the hub changes it")
    }

    fn unwritable(&self, error: &io::Error) -> Fault {
        Fault::last(unwritable(&self.path, error))
    }
}
