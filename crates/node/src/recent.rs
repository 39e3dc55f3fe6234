//! Which jobs are known, so that none is run twice.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Ids of jobs that run, whose results wait to be received, or that ended a while ago.
pub(crate) struct Recent {
    inner: Mutex<Inner>,
    remember: Duration,
}

#[derive(Default)]
struct Inner {
    /// When the job ended; `None` while it runs or its result waits.
    jobs: HashMap<String, Option<Instant>>,
    /// Ended jobs, the earliest first. A job that was forgotten and ran again is in it twice.
    ended: VecDeque<(Instant, String)>,
}

impl Recent {
    /// Most ended jobs that are remembered, whatever their age: some megabytes.
    const MOST: usize = 50_000;

    pub(crate) fn new(remember: Duration) -> Self {
        Self {
            inner: Mutex::default(),
            remember,
        }
    }

    /// Notes a job that is about to run, or whose result waits since an earlier process.
    pub(crate) fn insert(&self, job_id: &str) {
        self.lock().jobs.insert(job_id.to_owned(), None);
    }

    pub(crate) fn contains(&self, job_id: &str) -> bool {
        let mut inner = self.lock();
        inner.forget(self.remember);
        inner.jobs.contains_key(job_id)
    }

    /// Forgets a job that did not run after all.
    pub(crate) fn remove(&self, job_id: &str) {
        self.lock().jobs.remove(job_id);
    }

    /// From now on the job is remembered for a limited time.
    pub(crate) fn end(&self, job_id: &str) {
        self.end_at(job_id, Instant::now());
    }

    /// The same, for a job that ended `ago`, before this process began.
    pub(crate) fn end_earlier(&self, job_id: &str, ago: Duration) {
        // A machine that was started less than `ago` ago has no such instant.
        let ended = Instant::now().checked_sub(ago).unwrap_or_else(Instant::now);
        self.end_at(job_id, ended);
    }

    fn end_at(&self, job_id: &str, ended: Instant) {
        let mut inner = self.lock();
        inner.jobs.insert(job_id.to_owned(), Some(ended));
        inner.ended.push_back((ended, job_id.to_owned()));
        inner.forget(self.remember);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn forget(&mut self, remember: Duration) {
        while let Some((ended, _)) = self.ended.front() {
            if ended.elapsed() < remember && self.ended.len() <= Recent::MOST {
                return;
            }
            let Some((ended, job_id)) = self.ended.pop_front() else {
                return;
            };
            if self.jobs.get(&job_id) == Some(&Some(ended)) {
                self.jobs.remove(&job_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_job_is_known_while_it_runs_and_for_a_while_after() {
        let recent = Recent::new(HOUR);
        assert!(!recent.contains("a"));
        recent.insert("a");
        assert!(recent.contains("a"));
        recent.end("a");
        assert!(recent.contains("a"));
        recent.remove("a");
        assert!(!recent.contains("a"));
    }

    #[test]
    fn an_old_end_is_forgotten_and_a_running_job_never() {
        let recent = Recent::new(Duration::ZERO);
        recent.insert("runs");
        recent.end("ended");
        assert!(!recent.contains("ended"));
        assert!(recent.contains("runs"));
    }

    #[test]
    fn memory_is_bounded() {
        let recent = Recent::new(HOUR);
        for number in 0..Recent::MOST + 10 {
            recent.end(&number.to_string());
        }
        assert_eq!(recent.lock().jobs.len(), Recent::MOST);
        assert!(!recent.contains("9"));
        assert!(recent.contains("10"));
    }
}
