//! What was measured of the whole, as a table.

use std::{fmt, time::Instant};

/// Steps that are made.
pub(super) const STEPS: usize = 4;

/// The head of the table. `bench/gpu.sh` has it too.
pub const HEAD: &str = "\
| program | picture | run | prepare | vision | text | VAE encode | tables | step 1 | step 2 | step 3 | step 4 | VAE decode | end to end | peak GiB | % of limit |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|";

/// How long a picture took, in seconds, each stage until the device had done all of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timed {
    /// Resampling the references and drawing the noise, by the processor.
    pub prepare: f64,
    /// The vision tower.
    pub vision: f64,
    /// The language model.
    pub text: f64,
    /// The references' latents.
    pub encode: f64,
    /// What is the same at every step, and the modulations of timesteps that are new.
    pub tables: f64,
    /// Each step.
    pub steps: [f64; STEPS],
    /// From the latents to bytes.
    pub decode: f64,
    /// All of it.
    pub total: f64,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What made the picture.
    pub program: String,
    /// The picture.
    pub picture: String,
    /// Which runs.
    pub run: String,
    /// How long it took.
    pub timed: Timed,
    /// Bytes of the device in use at most.
    pub peak: u64,
    /// How long the steps would take at least.
    pub limit: f64,
}

impl Timed {
    /// The middle one of each stage's times. Of an even number, the later one of the two.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn median(all: &[Self]) -> Self {
        let of = |get: &dyn Fn(&Self) -> f64| {
            let mut values: Vec<f64> = all.iter().map(get).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Self {
            prepare: of(&|one| one.prepare),
            vision: of(&|one| one.vision),
            text: of(&|one| one.text),
            encode: of(&|one| one.encode),
            tables: of(&|one| one.tables),
            steps: std::array::from_fn(|step| of(&|one| one.steps[step])),
            decode: of(&|one| one.decode),
            total: of(&|one| one.total),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timed = &self.timed;
        write!(f, "| {} | {} | {}", self.program, self.picture, self.run)?;
        let before = [
            timed.prepare,
            timed.vision,
            timed.text,
            timed.encode,
            timed.tables,
        ];
        let after = [timed.decode, timed.total];
        let seconds = before.iter().chain(&timed.steps).chain(&after);
        for seconds in seconds {
            write!(f, " | {seconds:.3}")?;
        }
        let gib = self.peak as f64 / f64::from(1 << 30);
        let share = 100.0 * self.limit / timed.steps.iter().sum::<f64>();
        write!(f, " | {gib:.1} | {share:.0} |")
    }
}

/// Tells how long each part of something took.
pub(super) struct Stopwatch {
    start: Instant,
    last: Instant,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        let now = Instant::now();
        Self {
            start: now,
            last: now,
        }
    }

    /// Seconds since the last part.
    pub(super) fn lap(&mut self) -> f64 {
        let before = std::mem::replace(&mut self.last, Instant::now());
        (self.last - before).as_secs_f64()
    }

    /// Seconds from the start to the last part's end.
    pub(super) fn total(&self) -> f64 {
        (self.last - self.start).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(prepare: f64, steps: [f64; STEPS], total: f64) -> Timed {
        Timed {
            prepare,
            vision: 0.02,
            text: 0.03,
            encode: 0.04,
            tables: 0.05,
            steps,
            decode: 0.06,
            total,
        }
    }

    #[test]
    fn the_median_is_of_each_stage_for_itself() {
        let all = [
            timed(3.0, [1.0, 9.0, 1.0, 1.0], 30.0),
            timed(1.0, [2.0, 8.0, 1.0, 1.0], 10.0),
            timed(2.0, [3.0, 7.0, 1.0, 1.0], 20.0),
        ];
        assert_eq!(Timed::median(&all), timed(2.0, [2.0, 8.0, 1.0, 1.0], 20.0));
    }

    #[test]
    fn a_row_has_what_the_head_says() {
        let row = Row {
            program: "tryon bf16".to_owned(),
            picture: "1024x1024".to_owned(),
            run: "first".to_owned(),
            timed: timed(0.01, [0.5; STEPS], 2.3),
            peak: 64 << 30,
            limit: 1.5,
        };
        assert_eq!(
            row.to_string(),
            "| tryon bf16 | 1024x1024 | first | 0.010 | 0.020 | 0.030 | 0.040 | 0.050 | 0.500 \
             | 0.500 | 0.500 | 0.500 | 0.060 | 2.300 | 64.0 | 75 |"
        );
        let columns = |line: &str| line.matches('|').count();
        for line in HEAD.lines() {
            assert_eq!(columns(line), columns(&row.to_string()), "{line}");
        }
    }

    #[test]
    fn laps_add_up() {
        let mut watch = Stopwatch::start();
        let laps: f64 = (0..3).map(|_| watch.lap()).sum();
        assert!((watch.total() - laps).abs() < 1e-9);
    }

    #[test]
    fn the_script_has_the_same_head() {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bench/gpu.sh");
        let script = std::fs::read_to_string(script).unwrap();
        assert!(script.contains(HEAD));
    }
}
