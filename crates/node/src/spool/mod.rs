//! Results on disk until they were received, and the jobs that still owe one.
//!
//! | folder | holds | from | until |
//! |---|---|---|---|
//! | `running` | a [`Record`] | before the answer 202 | the job ended |
//! | `results` | a [`Document`] and its picture | before the first delivery | it was received |
//! | `ended` | a [`Record`] | the job ended | it may be forgotten |
//! | `damaged` | what could not be read at a start | | somebody looked |
//!
//! So a record in `running` without a result, found at a start, is a job that the last process
//! left behind. Everything here blocks: callers are on a blocking thread.

mod document;
mod file;

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

pub(crate) use document::{Damage, Document, Outcome, Record};

use crate::config::SpoolConfig;

const RUNNING: &str = "running";
const RESULTS: &str = "results";
const ENDED: &str = "ended";
const DAMAGED: &str = "damaged";
const FOLDERS: [&str; 4] = [RUNNING, RESULTS, ENDED, DAMAGED];

/// Why the spool cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder cannot be made or read.
    #[error("the spool folder `{}` cannot be used: {source}", dir.display())]
    Unusable {
        /// The folder.
        dir: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another node has it.
    #[error("the spool folder `{}` is in use by another node; give each its own `spool.dir`", dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
}

/// What an earlier process left in the spool.
#[derive(Debug, Default)]
pub(crate) struct Leftover {
    /// Jobs that were running.
    pub(crate) interrupted: Vec<Record>,
    /// Ids of jobs whose results wait, the oldest first.
    pub(crate) waiting: Vec<String>,
    /// Ids of jobs that ended, and how long ago.
    pub(crate) ended: Vec<(String, Duration)>,
}

/// The spool's folder. There is one of it per node.
pub(crate) struct Spool {
    dir: PathBuf,
    max_bytes: u64,
    remember: Duration,
    /// Bytes in `results`.
    waiting_bytes: AtomicU64,
    /// Files in `results`.
    waiting_results: AtomicU64,
    /// Held while the process lives, and given back by the system however it ends.
    _lock: File,
}

impl Spool {
    /// Opens the spool, and finds what an earlier process left.
    pub(crate) fn open(config: &SpoolConfig) -> Result<(Self, Leftover), SpoolError> {
        let unusable = |source| SpoolError::Unusable {
            dir: config.dir.clone(),
            source,
        };
        for folder in FOLDERS {
            fs::create_dir_all(config.dir.join(folder)).map_err(unusable)?;
        }
        let lock = File::create(config.dir.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(SpoolError::InUse {
                    dir: config.dir.clone(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        let spool = Self {
            dir: config.dir.clone(),
            max_bytes: config.max_bytes,
            remember: config.remember.duration(),
            waiting_bytes: AtomicU64::new(0),
            waiting_results: AtomicU64::new(0),
            _lock: lock,
        };
        let leftover = spool.take_stock().map_err(unusable)?;
        Ok((spool, leftover))
    }

    /// Writes down that a job was accepted.
    pub(crate) fn record(&self, record: &Record) -> io::Result<()> {
        let line = document::to_line(record);
        file::write_durably(&self.path(RUNNING, &record.job_id), &[&line])
    }

    /// Takes that back: the job did not run.
    pub(crate) fn withdraw(&self, job_id: &str) -> io::Result<()> {
        file::remove_if_there(&self.path(RUNNING, job_id))
    }

    /// Writes down a job's result; from now on the job is one that ended.
    pub(crate) fn keep(&self, document: &Document, picture: &[u8]) -> io::Result<()> {
        let line = document::to_line(document);
        let path = self.path(RESULTS, &document.head.job_id);
        file::write_durably(&path, &[&line, picture])?;
        self.count_in((line.len() + picture.len()) as u64);
        if let Err(error) = self.mark_ended(&document.head.job_id) {
            // The result is safe, and `remove` tries again.
            tracing::warn!(job_id = document.head.job_id, %error, "a record cannot be moved");
        }
        Ok(())
    }

    /// Notes that a job ended whose result is not kept.
    pub(crate) fn mark_ended(&self, job_id: &str) -> io::Result<()> {
        let record = self.path(RUNNING, job_id);
        // A file's time is when its job ended.
        match File::options().write(true).open(&record) {
            Ok(file) => file.set_modified(SystemTime::now())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        fs::rename(&record, self.path(ENDED, job_id))
    }

    /// Reads a waiting result and opens its picture.
    pub(crate) fn open_result(&self, job_id: &str) -> Result<(Document, File), Damage> {
        document::open_document(&self.path(RESULTS, job_id))
    }

    /// Removes a result that was received or given up.
    pub(crate) fn remove(&self, job_id: &str) -> io::Result<()> {
        self.mark_ended(job_id)?;
        let path = self.path(RESULTS, job_id);
        let bytes = fs::metadata(&path)?.len();
        fs::remove_file(&path)?;
        self.count_out(bytes);
        Ok(())
    }

    /// Moves a result that cannot be read out of the way.
    pub(crate) fn set_aside(&self, job_id: &str) -> io::Result<()> {
        let path = self.path(RESULTS, job_id);
        let bytes = fs::metadata(&path)?.len();
        self.move_to_damaged(&path)?;
        self.count_out(bytes);
        Ok(())
    }

    /// Forgets jobs that ended long ago.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        for path in self.list(ENDED)? {
            if age(&path)? >= self.remember {
                file::remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    /// Whether no further result may be promised: the bytes that wait and the most that may.
    pub(crate) fn find_overflow(&self) -> Option<(u64, u64)> {
        let waiting = self.waiting_bytes();
        (waiting >= self.max_bytes).then_some((waiting, self.max_bytes))
    }

    /// Bytes of results that wait.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes.load(Ordering::Relaxed)
    }

    /// Results that wait.
    pub(crate) fn waiting_results(&self) -> u64 {
        self.waiting_results.load(Ordering::Relaxed)
    }

    fn path(&self, folder: &str, job_id: &str) -> PathBuf {
        self.dir.join(folder).join(document::file_stem(job_id))
    }

    fn count_in(&self, bytes: u64) {
        self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.waiting_results.fetch_add(1, Ordering::Relaxed);
    }

    fn count_out(&self, bytes: u64) {
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.waiting_results.fetch_sub(1, Ordering::Relaxed);
    }

    fn take_stock(&self) -> io::Result<Leftover> {
        self.remove_unfinished()?;
        let waiting = self.list_waiting()?;
        let interrupted = self.list_interrupted()?;
        self.sweep()?;
        let ended = self.list_ended()?;
        Ok(Leftover {
            interrupted,
            waiting,
            ended,
        })
    }

    fn remove_unfinished(&self) -> io::Result<()> {
        for folder in FOLDERS {
            for path in self.list(folder)? {
                if path
                    .extension()
                    .is_some_and(|ending| ending == file::UNFINISHED)
                {
                    file::remove_if_there(&path)?;
                }
            }
        }
        Ok(())
    }

    fn list_waiting(&self) -> io::Result<Vec<String>> {
        let mut waiting = Vec::new();
        for path in self.list(RESULTS)? {
            match document::open_document(&path) {
                Ok((document, _)) => {
                    self.count_in(fs::metadata(&path)?.len());
                    waiting.push((document.ended_at, document.head.job_id));
                }
                Err(damage) => self.report_damage(&path, &damage)?,
            }
        }
        waiting.sort();
        Ok(waiting.into_iter().map(|(_, job_id)| job_id).collect())
    }

    fn list_interrupted(&self) -> io::Result<Vec<Record>> {
        let mut interrupted = Vec::new();
        for path in self.list(RUNNING)? {
            match document::read_record(&path) {
                // The process died between the two steps of `keep`: finish the second.
                Ok(record) if self.path(RESULTS, &record.job_id).exists() => {
                    self.mark_ended(&record.job_id)?;
                }
                Ok(record) => interrupted.push(record),
                Err(damage) => self.report_damage(&path, &damage)?,
            }
        }
        Ok(interrupted)
    }

    fn list_ended(&self) -> io::Result<Vec<(String, Duration)>> {
        let mut ended = Vec::new();
        for path in self.list(ENDED)? {
            match document::read_record(&path) {
                Ok(record) => ended.push((record.job_id, age(&path)?)),
                Err(damage) => self.report_damage(&path, &damage)?,
            }
        }
        // The oldest first, as those who forget them expect.
        ended.sort_by_key(|(_, age)| std::cmp::Reverse(*age));
        Ok(ended)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.dir.join(folder))?;
        entries.map(|entry| Ok(entry?.path())).collect()
    }

    fn report_damage(&self, path: &Path, damage: &Damage) -> io::Result<()> {
        tracing::error!(file = %path.display(), %damage, "a file of the spool is set aside");
        self.move_to_damaged(path)
    }

    fn move_to_damaged(&self, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default();
        fs::rename(path, self.dir.join(DAMAGED).join(name))
    }
}

/// How long ago a file was last written; nothing when the clock was set back since.
fn age(path: &Path) -> io::Result<Duration> {
    let modified = fs::metadata(path)?.modified()?;
    Ok(SystemTime::now()
        .duration_since(modified)
        .unwrap_or_default())
}

#[cfg(test)]
mod tests;
