//! Names of pictures.

use std::{fmt, str::FromStr};

use tryon_core::{
    id::{AccountId, AttemptId, JobId, UploadId},
    task::OutputFormat,
};

/// The part that an input plays in its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The person, face or body.
    Person,
    /// The garment or design.
    Garment,
}

impl Role {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Person, Self::Garment];

    /// Its name in keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Garment => "garment",
        }
    }
}

/// A kind of picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Folder {
    /// Inputs as they were sent along with a request.
    Uploads,
    /// Inputs that are ready for a node.
    Prepared,
    /// What jobs delivered.
    Outputs,
    /// Inputs that were sent ahead of the jobs that use them.
    Staged,
}

impl Folder {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Uploads, Self::Prepared, Self::Outputs, Self::Staged];
    /// Those whose pictures belong to one job.
    pub const OF_JOBS: [Self; 3] = [Self::Uploads, Self::Prepared, Self::Outputs];

    /// The first part of its keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uploads => "uploads",
            Self::Prepared => "prepared",
            Self::Outputs => "outputs",
            Self::Staged => "staged",
        }
    }
}

/// The name of a picture. `Display` and `FromStr` are the form that the store keeps:
/// `uploads/<job>/person`, `prepared/<job>/garment`, `outputs/<job>/<sample>.<attempt>.png`,
/// `staged/<account>/<upload>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// An input as it was sent along with a request.
    Upload {
        /// Whose.
        job: JobId,
        /// Which.
        role: Role,
    },
    /// An input that is ready for a node.
    Prepared {
        /// Whose.
        job: JobId,
        /// Which.
        role: Role,
    },
    /// What an attempt delivered.
    Output {
        /// Which attempt.
        attempt: AttemptId,
        /// The picture's file format.
        format: OutputFormat,
    },
    /// An input that was sent ahead of the jobs that use it.
    Staged {
        /// Whose.
        account: AccountId,
        /// Which.
        id: UploadId,
    },
}

impl Key {
    /// The key of an input that was sent along with a request.
    pub const fn upload(job: JobId, role: Role) -> Self {
        Self::Upload { job, role }
    }

    /// The key of an input that is ready for a node.
    pub const fn prepared(job: JobId, role: Role) -> Self {
        Self::Prepared { job, role }
    }

    /// The key of what an attempt delivered.
    pub const fn output(attempt: AttemptId, format: OutputFormat) -> Self {
        Self::Output { attempt, format }
    }

    /// The key of an input that was sent ahead.
    pub const fn staged(account: AccountId, id: UploadId) -> Self {
        Self::Staged { account, id }
    }

    /// The job that the picture belongs to; `None` for one that any of its account's may use.
    pub const fn job(&self) -> Option<JobId> {
        match self {
            Self::Upload { job, .. } | Self::Prepared { job, .. } => Some(*job),
            Self::Output { attempt, .. } => Some(attempt.sample.job),
            Self::Staged { .. } => None,
        }
    }

    /// What kind of picture it is.
    pub const fn folder(&self) -> Folder {
        match self {
            Self::Upload { .. } => Folder::Uploads,
            Self::Prepared { .. } => Folder::Prepared,
            Self::Output { .. } => Folder::Outputs,
            Self::Staged { .. } => Folder::Staged,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.folder().as_str())?;
        match self {
            Self::Upload { job, role } | Self::Prepared { job, role } => {
                write!(f, "{job}/{}", role.as_str())
            }
            Self::Output { attempt, format } => {
                let (sample, number) = (attempt.sample, attempt.number);
                let extension = format.extension();
                write!(f, "{}/{}.{number}.{extension}", sample.job, sample.index)
            }
            Self::Staged { account, id } => write!(f, "{account}/{id}"),
        }
    }
}

/// A text that is not a [`Key`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the key of a picture")]
pub struct ParseKeyError {
    text: String,
}

impl FromStr for Key {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        // A key arrives in links: keep a hostile one from filling a log line.
        parse(text).ok_or_else(|| ParseKeyError {
            text: text.chars().take(64).collect(),
        })
    }
}

fn parse(text: &str) -> Option<Key> {
    let mut parts = text.split('/');
    let folder = parts.next()?;
    let folder = Folder::ALL
        .into_iter()
        .find(|known| known.as_str() == folder)?;
    let owner = parts.next()?;
    let name = parts.next()?;
    if parts.next().is_some() {
        return None;
    }
    let role = || Role::ALL.into_iter().find(|role| role.as_str() == name);
    Some(match folder {
        Folder::Uploads => Key::upload(owner.parse().ok()?, role()?),
        Folder::Prepared => Key::prepared(owner.parse().ok()?, role()?),
        Folder::Outputs => return parse_output(owner, name),
        Folder::Staged => Key::staged(owner.parse().ok()?, name.parse().ok()?),
    })
}

fn parse_output(job: &str, name: &str) -> Option<Key> {
    let (attempt, extension) = name.rsplit_once('.')?;
    // The attempt's id has one spelling only, and so has the key.
    let attempt = format!("{job}-{attempt}").parse().ok()?;
    let known = |format: &&OutputFormat| format.extension() == extension;
    let format = OutputFormat::ALL.iter().find(known)?;
    Some(Key::output(attempt, *format))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_key() -> impl Strategy<Value = Key> {
        let id = any::<[u8; 12]>();
        let role = prop_oneof![Just(Role::Person), Just(Role::Garment)];
        let format = prop_oneof![Just(OutputFormat::Png), Just(OutputFormat::Jpeg)];
        (id, id, (role, format), any::<u8>(), 1u32.., 0..4).prop_map(
            |(id, other, (role, format), index, number, kind)| {
                let job = JobId::from_bytes(id);
                match kind {
                    0 => Key::upload(job, role),
                    1 => Key::prepared(job, role),
                    2 => Key::output(job.sample(index).attempt(number), format),
                    _ => Key::staged(AccountId::from_bytes(id), UploadId::from_bytes(other)),
                }
            },
        )
    }

    proptest! {
        #[test]
        fn every_key_reads_back(key in any_key()) {
            prop_assert_eq!(key.to_string().parse::<Key>().unwrap(), key);
        }

        #[test]
        fn what_parses_prints_the_same(text in "outputs/[0-9a-f]{24}/[0-9]{1,3}\\.[0-9]{1,3}\\.(png|jpg)") {
            if let Ok(key) = text.parse::<Key>() {
                prop_assert_eq!(key.to_string(), text);
            }
        }
    }

    #[test]
    fn near_misses_are_refused() {
        for text in [
            "",
            "outputs",
            "outputs/64b7f1a9d9a3b8e5c7f9a123/0.1.gif",
            "outputs/64b7f1a9d9a3b8e5c7f9a123/0.0.png",
            "outputs/64b7f1a9d9a3b8e5c7f9a123/../0.1.png",
            "outputs//64b7f1a9d9a3b8e5c7f9a123/0.1.png",
            "uploads/64b7f1a9d9a3b8e5c7f9a123/face",
            "secrets/64b7f1a9d9a3b8e5c7f9a123/person",
            "staged/64b7f1a9d9a3b8e5c7f9a123/person",
            "staged/64b7f1a9d9a3b8e5c7f9a123/64B7F1A9D9A3B8E5C7F9A123",
        ] {
            assert!(text.parse::<Key>().is_err(), "{text}");
        }
    }
}
