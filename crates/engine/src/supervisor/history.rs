//! How workers ended so far, and when the next is started.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::config::SupervisorConfig;

/// In which part of its life a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before its engine was loaded.
    Loading,
    /// Before its engine was loaded, when the time for that was over.
    LoadingTooLong,
    /// Once its engine was loaded.
    Loaded,
}

/// What comes after a worker's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The next worker is started, after this long.
    Again(Duration),
    /// The worker is given up for this long.
    GivenUp(Duration),
}

/// The ends that count against the next worker.
///
/// A worker is given up that ended too often in a short time, or too often in a row without a run
/// that went well, or that could not be loaded several times in a row, or whose loading hung. Once
/// it was given up, each further end is enough, until a run goes well.
#[derive(Debug)]
pub(super) struct History {
    /// When workers ended lately, whatever went well between.
    ends: VecDeque<Instant>,
    /// Ends since a run went well.
    in_row: usize,
    /// Ends since an engine was loaded.
    loads_in_row: usize,
    given_up: bool,
    /// How long the next worker that is given up is given up for.
    back_off: Duration,
}

impl History {
    pub(super) fn new(config: &SupervisorConfig) -> Self {
        Self {
            ends: VecDeque::new(),
            in_row: 0,
            loads_in_row: 0,
            given_up: false,
            back_off: config.back_off,
        }
    }

    /// Notes that an engine was loaded.
    pub(super) fn loaded(&mut self) {
        self.loads_in_row = 0;
    }

    /// Notes a run that went well. What ended lately stays counted: ten crashes in a minute are
    /// ten, whatever went well between them.
    pub(super) fn succeeded(&mut self, config: &SupervisorConfig) {
        self.in_row = 0;
        self.given_up = false;
        self.back_off = config.back_off;
    }

    /// Notes the end of a worker, or that one could not even be started.
    pub(super) fn ended(
        &mut self,
        config: &SupervisorConfig,
        phase: Phase,
        now: Instant,
    ) -> Verdict {
        self.count(config, phase, now);
        let too_often = self.ends.len() >= config.crash_limit || self.in_row >= config.crash_limit;
        let never_loads = phase == Phase::LoadingTooLong || self.loads_in_row >= config.load_limit;
        if too_often || never_loads || self.given_up {
            return self.give_up(config);
        }
        Verdict::Again(if self.loads_in_row > 1 {
            config.load_pause
        } else {
            Duration::ZERO
        })
    }

    fn count(&mut self, config: &SupervisorConfig, phase: Phase, now: Instant) {
        self.ends.push_back(now);
        self.ends
            .retain(|end| now.duration_since(*end) < config.crash_window);
        self.in_row += 1;
        if phase != Phase::Loaded {
            self.loads_in_row += 1;
        }
    }

    fn give_up(&mut self, config: &SupervisorConfig) -> Verdict {
        let rest = self.back_off;
        self.back_off = (rest * 2).min(config.max_back_off);
        self.given_up = true;
        Verdict::GivenUp(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::config::WorkerCommand, *};

    const SECOND: Duration = Duration::from_secs(1);

    fn config() -> SupervisorConfig {
        SupervisorConfig::new(WorkerCommand {
            program: "/bin/true".into(),
            args: Vec::new(),
            env: Vec::new(),
        })
    }

    #[test]
    fn loads_that_fail_in_a_row_pause_and_then_end_however_far_apart() {
        let config = config();
        let mut history = History::new(&config);
        let start = Instant::now();
        let mut fail =
            |minute: u32| history.ended(&config, Phase::Loading, start + SECOND * 60 * minute);
        assert_eq!(fail(20), Verdict::Again(Duration::ZERO));
        assert_eq!(fail(40), Verdict::Again(config.load_pause));
        assert_eq!(fail(60), Verdict::GivenUp(config.back_off));
    }

    #[test]
    fn a_load_that_goes_well_ends_the_row() {
        let config = config();
        let mut history = History::new(&config);
        for hour in 0..9 {
            let now = Instant::now() + SECOND * 3600 * hour;
            let verdict = history.ended(&config, Phase::Loading, now);
            assert_eq!(verdict, Verdict::Again(Duration::ZERO));
            history.loaded();
        }
    }

    #[test]
    fn a_load_that_hangs_is_given_up_at_once() {
        let config = config();
        let verdict = History::new(&config).ended(&config, Phase::LoadingTooLong, Instant::now());
        assert_eq!(verdict, Verdict::GivenUp(config.back_off));
    }

    #[test]
    fn one_end_is_enough_after_the_worker_was_given_up_until_a_run_goes_well() {
        let config = config();
        let mut history = History::new(&config);
        let start = Instant::now();
        let mut now = start;
        for _ in 0..9 {
            let verdict = history.ended(&config, Phase::Loaded, now);
            assert_eq!(verdict, Verdict::Again(Duration::ZERO));
        }
        for round in 0..3 {
            // Longer than the window: each round has to remember.
            now += SECOND * 3600;
            let rest = (config.back_off * 2_u32.pow(round)).min(config.max_back_off);
            let verdict = history.ended(&config, Phase::Loaded, now);
            assert_eq!(verdict, Verdict::GivenUp(rest));
            history.loaded();
        }
        history.succeeded(&config);
        now += SECOND * 3600;
        let verdict = history.ended(&config, Phase::Loaded, now);
        assert_eq!(verdict, Verdict::Again(Duration::ZERO));
    }

    #[test]
    fn ten_ends_in_a_minute_are_ten_whatever_goes_well_between_them() {
        let config = config();
        let mut history = History::new(&config);
        let start = Instant::now();
        let mut verdicts = (0..10).map(|end| {
            history.loaded();
            history.succeeded(&config);
            history.ended(&config, Phase::Loaded, start + SECOND * 5 * end)
        });
        assert!(
            verdicts
                .by_ref()
                .take(9)
                .all(|verdict| verdict == Verdict::Again(Duration::ZERO))
        );
        assert_eq!(verdicts.next(), Some(Verdict::GivenUp(config.back_off)));
    }
}
