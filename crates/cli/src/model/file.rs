//! A file of a model: where it belongs, how long it is and its digest.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::progress::Progress;

/// How much is read and hashed at a time.
const CHUNK: usize = 1 << 20;

/// A path inside of a model's folder. It is relative and never leads out of the folder: names come
/// from a hub.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct FilePath(String);

impl FilePath {
    /// As it is written, with `/`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Where it is under `folder`.
    pub(crate) fn under(&self, folder: &Path) -> PathBuf {
        folder.join(&self.0)
    }
}

impl TryFrom<String> for FilePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_name = |part: &str| !matches!(part, "" | "." | "..");
        let is_odd = |letter: char| letter == '\\' || letter.is_control();
        if text.split('/').all(is_name) && !text.contains(is_odd) {
            return Ok(Self(text));
        }
        let shown = text.escape_debug();
        Err(format!("`{shown}` is no path inside of a model's folder"))
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> Self {
        path.0
    }
}

/// What a file's content hashes to, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Digest {
    /// SHA-256 of the content: what a hub tells of large files.
    #[serde(rename = "sha256")]
    Sha256(String),
    /// SHA-1 as git names a blob: what a hub tells of small files.
    #[serde(rename = "git_blob_sha1")]
    GitBlob(String),
}

impl Digest {
    /// A SHA-256, if `text` is one.
    pub(crate) fn sha256(text: &str) -> Option<Self> {
        hexadecimal(text, 64).map(Self::Sha256)
    }

    /// The name of a git blob, if `text` is one.
    pub(crate) fn git_blob(text: &str) -> Option<Self> {
        hexadecimal(text, 40).map(Self::GitBlob)
    }

    /// The digits.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Sha256(digits) | Self::GitBlob(digits) => digits,
        }
    }
}

fn hexadecimal(text: &str, length: usize) -> Option<String> {
    let fits = text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| text.to_ascii_lowercase())
}

/// A file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ModelFile {
    /// Where it belongs.
    pub(crate) path: FilePath,
    /// Its bytes.
    pub(crate) size: u64,
    /// What it hashes to.
    #[serde(flatten)]
    pub(crate) digest: Digest,
}

/// What is found where a file belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The file.
    Intact,
    /// Nothing.
    Missing,
    /// Something else.
    Damaged,
}

impl ModelFile {
    /// Starts hashing content as this file's digest was.
    pub(super) fn hasher(&self) -> Hasher {
        match self.digest {
            Digest::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Digest::GitBlob(_) => {
                let head = format!("blob {}\0", self.size);
                Hasher::GitBlob(Sha1::new_with_prefix(head))
            }
        }
    }

    /// Looks at what is in its place under `folder`, to the last byte.
    pub(crate) fn inspect(&self, folder: &Path, progress: &Progress) -> io::Result<Finding> {
        use io::ErrorKind::{NotADirectory, NotFound};
        let mut file = match File::open(self.path.under(folder)) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), NotFound | NotADirectory) => {
                return Ok(Finding::Missing);
            }
            Err(error) => return Err(error),
        };
        let found = file.metadata()?;
        if !found.is_file() || found.len() != self.size {
            return Ok(Finding::Damaged);
        }
        let mut hasher = self.hasher();
        let read = hasher.read(&mut file, progress)?;
        if hasher.finish() == self.digest.as_str() {
            return Ok(Finding::Intact);
        }
        progress.retract(read);
        Ok(Finding::Damaged)
    }
}

/// A digest in the making.
pub(super) enum Hasher {
    Sha256(Sha256),
    GitBlob(Sha1),
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::GitBlob(hasher) => hasher.update(bytes),
        }
    }

    /// Hashes the rest of a file and tells how long that was.
    pub(super) fn read(&mut self, file: &mut File, progress: &Progress) -> io::Result<u64> {
        let (mut buffer, mut total) = (vec![0; CHUNK], 0);
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok(total);
            }
            self.update(&buffer[..read]);
            total += read as u64;
            progress.advance(read as u64);
        }
    }

    pub(super) fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => hex::encode(hasher.finalize()),
            Self::GitBlob(hasher) => hex::encode(hasher.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(digest: Digest) -> ModelFile {
        ModelFile {
            path: FilePath("a/b".to_owned()),
            size: 5,
            digest,
        }
    }

    #[test]
    fn content_hashes_as_sha256sum_and_git_say() {
        // `printf hello | sha256sum` and `printf hello | git hash-object --stdin`
        let cases = [
            Digest::sha256("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
            Digest::git_blob("b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"),
        ];
        for digest in cases {
            let file = file(digest.unwrap());
            let mut hasher = file.hasher();
            hasher.update(b"he");
            hasher.update(b"llo");
            assert_eq!(hasher.finish(), file.digest.as_str());
        }
    }

    #[test]
    fn a_file_is_intact_missing_or_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let digest = Digest::git_blob("b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0");
        let file = file(digest.unwrap());
        let inspect = || file.inspect(folder.path(), &Progress::hidden()).unwrap();
        assert_eq!(inspect(), Finding::Missing);
        std::fs::write(folder.path().join("a"), "").unwrap();
        assert_eq!(inspect(), Finding::Missing);
        std::fs::remove_file(folder.path().join("a")).unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        assert_eq!(inspect(), Finding::Damaged);
        std::fs::remove_dir(folder.path().join("a/b")).unwrap();
        for (content, finding) in [
            ("hello", Finding::Intact),
            ("hullo", Finding::Damaged),
            ("hell", Finding::Damaged),
        ] {
            std::fs::write(folder.path().join("a/b"), content).unwrap();
            assert_eq!(inspect(), finding, "{content}");
        }
    }

    #[test]
    fn a_path_stays_inside() {
        for path in ["a", "a/b.json", "a..b/c", ".hidden"] {
            assert!(FilePath::try_from(path.to_owned()).is_ok(), "{path}");
        }
        let outside = [
            "",
            "/",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "a/",
            "./a",
            "a\\..\\b",
            "a\nb",
        ];
        for path in outside {
            assert!(FilePath::try_from(path.to_owned()).is_err(), "{path}");
        }
    }

    #[test]
    fn only_a_digest_is_one() {
        assert!(Digest::sha256("../../x").is_none());
        assert!(Digest::git_blob(&"g".repeat(40)).is_none());
        assert_eq!(
            Digest::git_blob(&"A".repeat(40)).unwrap().as_str(),
            "a".repeat(40)
        );
    }
}
