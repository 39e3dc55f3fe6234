//! The tokens and keys that `tryon serve` draws for itself, kept beside its data.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use serde::{Deserialize, Serialize};
use tryon_core::id::AccountId;

use crate::failure::Failure;

/// What only the gateway and the node on this machine know.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secrets {
    /// Signs the links to outputs.
    pub(crate) link_signing_key: String,
    /// What the gateway tells the node.
    pub(crate) node_token: String,
    /// What the node tells the gateway.
    pub(crate) callback_token: String,
    /// The id of the account that the first start makes. No operator's command makes one of it, so
    /// that a start which was killed half-way is told from an account of the operator's own.
    #[serde(default = "draw_account")]
    pub(crate) first_account: AccountId,
}

fn draw_account() -> AccountId {
    AccountId::from_bytes(rand::random())
}

impl Secrets {
    /// Fresh ones.
    pub(crate) fn draw() -> Self {
        let draw = || hex::encode(rand::random::<[u8; 32]>());
        Self {
            link_signing_key: draw(),
            node_token: draw(),
            callback_token: draw(),
            first_account: draw_account(),
        }
    }

    /// Those of the folder; the first time they are drawn and written, readable by their owner
    /// alone.
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("secrets.json");
        let failed = |error: io::Error| {
            Failure::new(format!("`{}` cannot be used: {error}", path.display()))
                .hint("`--data` names a folder that this user may write to")
        };
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| failed(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let secrets = Self::draw();
                secrets.write(folder, &path).map_err(failed)?;
                Ok(secrets)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Whole or not at all: links that were handed out depend on it.
    fn write(&self, folder: &Path, path: &Path) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let partial = path.with_extension(format!("{}.partial", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        fs::File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secrets_stay_and_are_their_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("data");
        let drawn = Secrets::open(&folder).unwrap();
        assert_eq!(Secrets::open(&folder).unwrap(), drawn);
        assert_ne!(Secrets::draw(), drawn);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.join("secrets.json")), 0o600);
        assert_eq!(mode(&folder), 0o700);
    }

    #[test]
    fn a_damaged_file_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("secrets.json"), "{").unwrap();
        assert!(Secrets::open(dir.path()).is_err());
        assert_eq!(fs::read(dir.path().join("secrets.json")).unwrap(), b"{");
    }
}
