//! How long the stages of a run take.

use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use tryon_core::stage::Stage;

/// A stage of a run, once it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTime {
    /// Which.
    pub stage: Stage,
    /// When it began.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
}

/// Tells the time of each stage of one run.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    /// Both at the same moment: the calendar's clock may be set while a run is under way.
    start: (Instant, SystemTime),
    current: Option<(Stage, Instant)>,
    ended: Vec<StageTime>,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self {
            start: (Instant::now(), SystemTime::now()),
            current: None,
            ended: Vec::new(),
        }
    }

    /// Begins a stage, which ends the one before. The same one goes on.
    pub(crate) fn begin(&mut self, stage: Stage) {
        if self.current.is_none_or(|(current, _)| current != stage) {
            let now = Instant::now();
            self.end(now);
            self.current = Some((stage, now));
        }
    }

    /// The stages so far, in order, of which this ends the last.
    pub(crate) fn stop(mut self) -> Vec<StageTime> {
        self.end(Instant::now());
        self.ended
    }

    fn end(&mut self, now: Instant) {
        if let Some((stage, began)) = self.current.take() {
            let (start, at_start) = self.start;
            self.ended.push(StageTime {
                stage,
                began: at_start + (began - start),
                took: now - began,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_begins_where_the_one_before_ends() {
        let before = SystemTime::now();
        let mut watch = Stopwatch::start();
        let order = [
            Stage::Load,
            Stage::EncodeInputs,
            Stage::Load,
            Stage::Denoise,
        ];
        for stage in order {
            // That it is said twice makes one of it.
            watch.begin(stage);
            watch.begin(stage);
        }
        let ended = watch.stop();
        assert_eq!(ended.iter().map(|it| it.stage).collect::<Vec<_>>(), order);
        for pair in ended.windows(2) {
            assert_eq!(pair[0].began + pair[0].took, pair[1].began);
        }
        assert!(before <= ended[0].began);
    }

    #[test]
    fn a_run_without_stages_has_none() {
        assert_eq!(Stopwatch::start().stop(), []);
    }
}
