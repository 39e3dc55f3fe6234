//! How long a job still takes, from how long steps took.

use std::time::{Duration, Instant};

use tryon_engine::Step;

/// Step boundaries of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    started: Instant,
    /// Steps that are expected until the engine says how many there are.
    expected: u32,
    first: Option<(Step, Instant)>,
    last: Option<(Step, Instant)>,
}

impl Course {
    pub(crate) fn new(started: Instant, expected: u32) -> Self {
        Self {
            started,
            expected,
            first: None,
            last: None,
        }
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn note(&mut self, step: Step, at: Instant) {
        self.first.get_or_insert((step, at));
        self.last = Some((step, at));
    }

    /// The last boundary that was passed.
    pub(crate) fn last_step(&self) -> Option<Step> {
        self.last.map(|(step, _)| step)
    }

    /// The mean time of a step, once two boundaries were passed.
    fn step_time(&self) -> Option<Duration> {
        let ((first, from), (last, to)) = (self.first?, self.last?);
        let steps = last
            .done
            .checked_sub(first.done)
            .filter(|steps| *steps > 0)?;
        Some(to.duration_since(from) / steps)
    }
}

/// What earlier runs tell about the next one: the time of a step, the time before the first and
/// the time after the last, each smoothed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    step: Option<Duration>,
    lead: Option<Duration>,
    tail: Option<Duration>,
}

impl Pace {
    /// Learns from a run that gave a picture.
    pub(crate) fn learn(&mut self, course: &Course, ended: Instant) {
        let whole = ended.duration_since(course.started);
        let (Some((first, first_at)), Some((_, last_at))) = (course.first, course.last) else {
            let steps = course.expected.max(1);
            return smooth(&mut self.step, whole / steps);
        };
        let until_first = first_at.duration_since(course.started);
        let step = course
            .step_time()
            .unwrap_or(until_first / first.done.max(1));
        smooth(&mut self.step, step);
        smooth(
            &mut self.lead,
            until_first.saturating_sub(step * first.done),
        );
        smooth(&mut self.tail, ended.duration_since(last_at));
    }

    /// The time that a run still takes; `None` when nothing is known about its speed.
    pub(crate) fn remaining(&self, course: &Course, now: Instant) -> Option<Duration> {
        let step_time = course.step_time().or(self.step)?;
        let tail = self.tail.unwrap_or_default();
        let (total, since) = if let Some((step, at)) = course.last {
            (step_time * step.total.saturating_sub(step.done), at)
        } else {
            let lead = self.lead.unwrap_or_default();
            (lead + step_time * course.expected, course.started)
        };
        Some((total + tail).saturating_sub(now.duration_since(since)))
    }
}

/// Moves `mean` a third of the way to `sample`: a few runs after a change of size or steps, the
/// estimate fits again.
fn smooth(mean: &mut Option<Duration>, sample: Duration) {
    *mean = Some(match *mean {
        Some(mean) => (mean * 2 + sample) / 3,
        None => sample,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn run(start: Instant, steps: u32, lead: u32, step: u32, tail: u32) -> (Course, Instant) {
        let mut course = Course::new(start, steps);
        for done in 1..=steps {
            let step_of = Step { done, total: steps };
            course.note(step_of, start + SECOND * (lead + step * done));
        }
        (course, start + SECOND * (lead + step * steps + tail))
    }

    #[test]
    fn a_second_run_is_foretold_by_the_first() {
        let start = Instant::now();
        let (course, end) = run(start, 4, 2, 3, 1);
        let mut pace = Pace::default();
        pace.learn(&course, end);

        let next = Course::new(end, 10);
        assert_eq!(pace.remaining(&next, end), Some(SECOND * (2 + 30 + 1)));
        assert_eq!(pace.remaining(&next, end + SECOND * 5), Some(SECOND * 28));
    }

    #[test]
    fn a_run_is_measured_by_its_own_steps_as_soon_as_it_has_two() {
        let start = Instant::now();
        let mut pace = Pace::default();
        let (course, end) = run(start, 4, 0, 1, 0);
        pace.learn(&course, end);

        let mut slow = Course::new(end, 4);
        slow.note(Step { done: 1, total: 4 }, end + SECOND * 10);
        slow.note(Step { done: 2, total: 4 }, end + SECOND * 20);
        assert_eq!(pace.remaining(&slow, end + SECOND * 22), Some(SECOND * 18));
    }

    #[test]
    fn nothing_is_foretold_from_nothing_and_never_less_than_nothing() {
        let start = Instant::now();
        let mut pace = Pace::default();
        let fresh = Course::new(start, 4);
        assert_eq!(pace.remaining(&fresh, start), None);
        pace.learn(&fresh, start + SECOND * 4);
        assert_eq!(
            pace.remaining(&fresh, start + SECOND * 60),
            Some(Duration::ZERO)
        );
    }
}
