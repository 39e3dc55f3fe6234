//! What the spool's files contain.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use tryon_api::callback::{ResultError, ResultHead, ResultImage};
use tryon_core::time::Timestamp;
use tryon_trace::TraceContext;

/// A job that was accepted, as it is written down before the answer 202.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) job_id: String,
    pub(crate) user_id: String,
    pub(crate) session_id: String,
    pub(crate) provider: String,
    pub(crate) model_version: String,
    pub(crate) accepted_at: Timestamp,
    /// Where its trace goes on, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<String>,
}

impl Record {
    /// The head of this job's result.
    pub(crate) fn result_head(&self, node_id: &str, inference_time_ms: u64) -> ResultHead {
        ResultHead {
            job_id: self.job_id.clone(),
            user_id: self.user_id.clone(),
            session_id: self.session_id.clone(),
            provider: self.provider.clone(),
            node_id: node_id.to_owned(),
            model_version: self.model_version.clone(),
            inference_time_ms,
        }
    }
}

/// A result: this as one line of JSON and, after it, the bytes of the picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Document {
    pub(crate) head: ResultHead,
    pub(crate) outcome: Outcome,
    pub(crate) ended_at: Timestamp,
    /// Where the job's trace goes on, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<String>,
}

impl Document {
    /// Where the job's trace goes on.
    pub(crate) fn find_trace(&self) -> Option<TraceContext> {
        self.trace.as_deref().and_then(TraceContext::parse)
    }
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// With a picture of `bytes` bytes.
    Picture { image: ResultImage, bytes: u64 },
    /// Without one.
    Error(ResultError),
}

impl Outcome {
    /// Bytes of the picture.
    pub(crate) fn picture_bytes(&self) -> u64 {
        match self {
            Self::Picture { bytes, .. } => *bytes,
            Self::Error(_) => 0,
        }
    }
}

/// The longest first line that is read.
const LONGEST_HEAD: u64 = 64 * 1024;

/// Why a file of the spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Damage {
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("its description is malformed: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("it has {found} bytes of a picture of {expected}")]
    CutOff { found: u64, expected: u64 },
}

/// Reads a record.
pub(super) fn read_record(path: &Path) -> Result<Record, Damage> {
    read_line(&mut BufReader::new(File::open(path)?)).map(|(record, _)| record)
}

/// Reads a result's description and opens its picture, which is everything that follows.
pub(super) fn open_document(path: &Path) -> Result<(Document, File), Damage> {
    let mut reader = BufReader::new(File::open(path)?);
    let (document, start) = read_line::<Document>(&mut reader)?;
    let mut file = reader.into_inner();
    let found = file.metadata()?.len().saturating_sub(start);
    let expected = document.outcome.picture_bytes();
    if found != expected {
        return Err(Damage::CutOff { found, expected });
    }
    file.seek(SeekFrom::Start(start))?;
    Ok((document, file))
}

fn read_line<T: DeserializeOwned>(reader: &mut impl BufRead) -> Result<(T, u64), Damage> {
    let mut line = Vec::new();
    let length = reader.take(LONGEST_HEAD).read_until(b'\n', &mut line)?;
    Ok((serde_json::from_slice(&line)?, length as u64))
}

/// Writes a description as its line.
pub(super) fn to_line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("BUG: a description is JSON");
    line.push(b'\n');
    line
}

/// The file name of a job, without its ending: what is readable of its id, and a digest, because
/// an id may be any text.
pub(super) fn file_stem(job_id: &str) -> String {
    let readable: String = job_id
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() || letter == '-' {
                letter
            } else {
                '_'
            }
        })
        .take(48)
        .collect();
    let digest = hex::encode(&Sha256::digest(job_id)[..8]);
    format!("{readable}.{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_safe_and_distinct() {
        let hostile = file_stem("../../etc/passwd");
        assert!(
            !hostile.contains('/') && !hostile.starts_with('.'),
            "{hostile}"
        );
        assert_ne!(file_stem("a/b"), file_stem("a_b"));
        assert!(file_stem(&"é".repeat(500)).len() < 80);
        assert!(
            file_stem("64b7f1a9d9a3b8e5c7f9a123-0.1").starts_with("64b7f1a9d9a3b8e5c7f9a123-0_1.")
        );
    }
}
