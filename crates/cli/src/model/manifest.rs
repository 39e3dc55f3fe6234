//! What was installed, kept beside it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::file::ModelFile;

/// The manifest's name in a model's folder.
pub(crate) const MANIFEST: &str = "tryon-model.json";

/// Where a model's files came from and what they have to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The model's name.
    pub(crate) name: String,
    /// The repository it is from.
    pub(crate) repo: String,
    /// What was asked for: a branch, a tag or a commit.
    pub(crate) revision: String,
    /// The commit that this was.
    pub(crate) commit: String,
    /// Its files.
    pub(crate) files: Vec<ModelFile>,
}

impl Manifest {
    /// The one in `folder`, if there is one.
    pub(crate) fn find(folder: &Path) -> io::Result<Option<Self>> {
        match fs::read(folder.join(MANIFEST)) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it into `folder`.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let mut file = File::create(folder.join(MANIFEST))?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()
    }

    /// Bytes of its files.
    pub(crate) fn size(&self) -> u64 {
        // A hub can say anything.
        let sizes = self.files.iter().map(|file| file.size);
        sizes.fold(0, u64::saturating_add)
    }
}
