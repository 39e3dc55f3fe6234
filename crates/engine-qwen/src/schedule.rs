//! How noise is taken away step by step.
//!
//! diffusers 0.42.1, `schedulers/scheduling_flow_match_euler_discrete.py`, with the sigmas that
//! `pipelines/qwenimage/pipeline_qwenimage_edit_plus.py` gives it: `1, (n-1)/n, … 1/n`, shifted.

use std::{fmt, path::Path, str::FromStr};

use half::bf16;
use serde::{Deserialize, de::IgnoredAny};

use crate::{config, error::LoadError};

/// What the reference calls the scheduler.
const CLASS: &str = "FlowMatchEulerDiscreteScheduler";
/// σ of 1 is this timestep.
const TRAIN_STEPS: f32 = 1000.0;
/// The adapters of Qwen-Image-Lightning were distilled at this shift.
const LIGHTNING_SHIFT: f64 = 3.0;

/// How the sigmas are shifted: the published choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Schedule {
    /// As the checkpoint's `scheduler_config.json` says: for the model without an adapter.
    Base,
    /// Shift 3 whatever the size, and no terminal value: what the authors of the Lightning adapters
    /// use.
    LightningShift3,
    /// The checkpoint's, with a Lightning adapter: what `LightX2V` does (commit 7651b0f).
    Lightx2vCompat,
}

impl Schedule {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Base, Self::LightningShift3, Self::Lightx2vCompat];

    /// As it is written in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::LightningShift3 => "lightning_shift3",
            Self::Lightx2vCompat => "lightx2v_compat",
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No schedule has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no schedule: it is `base`, `lightning_shift3` or `lightx2v_compat`")]
pub struct UnknownSchedule(String);

impl FromStr for Schedule {
    type Err = UnknownSchedule;

    fn from_str(name: &str) -> Result<Self, UnknownSchedule> {
        let found = Self::ALL
            .into_iter()
            .find(|schedule| schedule.name() == name);
        found.ok_or_else(|| UnknownSchedule(name.to_owned()))
    }
}

/// What a timestep is rounded to before the model has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rounding {
    /// To 16 bits, twice, as the reference does with a model in that type. The model as published.
    #[default]
    Bf16,
    /// Not below 32 bits, as the reference does with a model in that type.
    F32,
}

/// `scheduler/scheduler_config.json`, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct SchedulerConfig {
    base_shift: f64,
    max_shift: f64,
    base_tokens: f64,
    max_tokens: f64,
    terminal: Option<f64>,
}

/// The file. Another key is refused: what it changes is not known here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are the file's")]
struct File {
    #[serde(rename = "_class_name")]
    _class_name: IgnoredAny,
    num_train_timesteps: f32,
    use_dynamic_shifting: bool,
    base_shift: f64,
    max_shift: f64,
    base_image_seq_len: f64,
    max_image_seq_len: f64,
    shift_terminal: Option<f64>,
    time_shift_type: String,
    #[serde(default)]
    invert_sigmas: bool,
    #[serde(default)]
    stochastic_sampling: bool,
    #[serde(default)]
    use_beta_sigmas: bool,
    #[serde(default)]
    use_exponential_sigmas: bool,
    #[serde(default)]
    use_karras_sigmas: bool,
    // Without effect when the shift is dynamic.
    #[serde(rename = "shift", default)]
    _shift: IgnoredAny,
    #[serde(rename = "_diffusers_version", default)]
    _diffusers_version: IgnoredAny,
}

impl SchedulerConfig {
    /// Reads `scheduler_config.json`.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let file: File = config::read_of_class(path, CLASS)?;
        match file.fault() {
            Some((key, problem)) => Err(LoadError::config(path, key, problem)),
            None => Ok(Self::from(file)),
        }
    }

    /// σ before each of `steps` steps, and 0 after the last, for a picture of `tokens` tokens
    /// without those of its references.
    ///
    /// # Panics
    ///
    /// If there are no steps.
    pub fn sigmas(&self, schedule: Schedule, steps: usize, tokens: usize) -> Vec<f32> {
        assert!(steps > 0, "BUG: a picture takes a step");
        let (shift, terminal) = match schedule {
            Schedule::Base | Schedule::Lightx2vCompat => (self.shift(tokens), self.terminal),
            Schedule::LightningShift3 => (LIGHTNING_SHIFT.ln(), None),
        };
        // The reference's arithmetic: 64 bits until here, 32 from here on.
        let factor = shift.exp() as f32;
        let even = linspace(steps).map(|sigma| sigma as f32);
        let mut sigmas: Vec<f32> = even
            .map(|sigma| factor / (factor + (1.0 / sigma - 1.0)))
            .collect();
        if let Some(terminal) = terminal {
            stretch(&mut sigmas, terminal as f32);
        }
        sigmas.push(0.0);
        sigmas
    }

    /// The logarithm of the shift, which grows with the picture.
    fn shift(&self, tokens: usize) -> f64 {
        let slope = (self.max_shift - self.base_shift) / (self.max_tokens - self.base_tokens);
        tokens as f64 * slope + (self.base_shift - slope * self.base_tokens)
    }
}

impl File {
    /// A key whose value cannot be used.
    fn fault(&self) -> Option<(&'static str, String)> {
        for (key, on, wanted) in [
            ("use_dynamic_shifting", self.use_dynamic_shifting, true),
            ("invert_sigmas", self.invert_sigmas, false),
            ("stochastic_sampling", self.stochastic_sampling, false),
            ("use_beta_sigmas", self.use_beta_sigmas, false),
            ("use_exponential_sigmas", self.use_exponential_sigmas, false),
            ("use_karras_sigmas", self.use_karras_sigmas, false),
        ] {
            if on != wanted {
                return Some((
                    key,
                    format!("is `{on}`, not `{wanted}` as in Qwen-Image-Edit"),
                ));
            }
        }
        if self.time_shift_type != "exponential" {
            let problem = format!("is `{}`, not `exponential`", self.time_shift_type);
            return Some(("time_shift_type", problem));
        }
        if self.num_train_timesteps != TRAIN_STEPS {
            let problem = format!("is {}, not {TRAIN_STEPS}", self.num_train_timesteps);
            return Some(("num_train_timesteps", problem));
        }
        if self.max_image_seq_len <= self.base_image_seq_len {
            let problem = "is not above `base_image_seq_len`".into();
            return Some(("max_image_seq_len", problem));
        }
        let beyond = self
            .shift_terminal
            .filter(|terminal| !(0.0..1.0).contains(terminal));
        beyond.map(|terminal| {
            (
                "shift_terminal",
                format!("is {terminal}, not from 0 to below 1"),
            )
        })
    }
}

impl From<File> for SchedulerConfig {
    fn from(file: File) -> Self {
        Self {
            base_shift: file.base_shift,
            max_shift: file.max_shift,
            base_tokens: file.base_image_seq_len,
            max_tokens: file.max_image_seq_len,
            // The reference takes 0 as nothing.
            terminal: file.shift_terminal.filter(|terminal| *terminal != 0.0),
        }
    }
}

/// `n` numbers from 1 to `1 / n`.
fn linspace(n: usize) -> impl Iterator<Item = f64> {
    let last = 1.0 / n as f64;
    let step = (last - 1.0) / (n.max(2) - 1) as f64;
    (0..n).map(move |i| match i {
        0 => 1.0,
        _ if i == n - 1 => last,
        _ => i as f64 * step + 1.0,
    })
}

/// Makes the last of them `terminal`, and leaves the first.
fn stretch(sigmas: &mut [f32], terminal: f32) {
    let last = 1.0 - sigmas.last().expect("BUG: there are no sigmas");
    // A single step begins and ends at 1.
    if last > 0.0 {
        let factor = last / (1.0 - terminal);
        for sigma in sigmas {
            *sigma = 1.0 - (1.0 - *sigma) / factor;
        }
    }
}

/// σ as the scheduler counts it.
pub fn timestep(sigma: f32) -> f32 {
    sigma * TRAIN_STEPS
}

/// σ as the model is given it.
pub fn model_timestep(sigma: f32, rounding: Rounding) -> f32 {
    let timestep = timestep(sigma);
    match rounding {
        Rounding::F32 => timestep / TRAIN_STEPS,
        Rounding::Bf16 => {
            let rounded = bf16::from_f32(timestep).to_f32();
            bf16::from_f32(rounded / TRAIN_STEPS).to_f32()
        }
    }
}

/// One step of Euler's method: `latents + (after - before) · velocity`, in 32 bits.
pub fn step(latents: &mut [f32], velocity: &[f32], before: f32, after: f32) {
    let length = after - before;
    for (latent, velocity) in latents.iter_mut().zip(velocity) {
        *latent += length * velocity;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::*;

    /// That of every release of Qwen-Image and Qwen-Image-Edit.
    fn published() -> Value {
        json!({
            "_class_name": "FlowMatchEulerDiscreteScheduler",
            "_diffusers_version": "0.36.0",
            "base_image_seq_len": 256,
            "base_shift": 0.5,
            "invert_sigmas": false,
            "max_image_seq_len": 8192,
            "max_shift": 0.9,
            "num_train_timesteps": 1000,
            "shift": 1.0,
            "shift_terminal": 0.02,
            "stochastic_sampling": false,
            "time_shift_type": "exponential",
            "use_beta_sigmas": false,
            "use_dynamic_shifting": true,
            "use_exponential_sigmas": false,
            "use_karras_sigmas": false,
        })
    }

    fn read(config: &Value) -> Result<SchedulerConfig, LoadError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scheduler_config.json");
        fs::write(&path, config.to_string()).unwrap();
        SchedulerConfig::read(&path)
    }

    fn assert_sigmas(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            // The expected ones are written with six digits.
            assert!((found - expected).abs() <= 6e-7, "{found} {expected}");
        }
    }

    #[test]
    fn the_checkpoints_schedule_grows_with_the_picture() {
        let config = read(&published()).unwrap();
        for (tokens, expected) in [
            (3072, [1.0, 0.761_104, 0.448_058, 0.02, 0.0]),
            (4096, [1.0, 0.766_709, 0.455_614, 0.02, 0.0]),
            (4144, [1.0, 0.766_967, 0.455_965, 0.02, 0.0]),
            (6889, [1.0, 0.780_980, 0.475_549, 0.02, 0.0]),
        ] {
            for schedule in [Schedule::Base, Schedule::Lightx2vCompat] {
                assert_sigmas(&config.sigmas(schedule, 4, tokens), &expected);
            }
        }
        let eight = [
            1.0, 0.912_872, 0.814_039, 0.700_973, 0.570_36, 0.417_772, 0.237_154, 0.02, 0.0,
        ];
        assert_sigmas(&config.sigmas(Schedule::Base, 8, 3072), &eight);
    }

    #[test]
    fn shift_3_is_the_same_at_every_size() {
        let config = read(&published()).unwrap();
        for tokens in [15, 3072, 6889] {
            let four = config.sigmas(Schedule::LightningShift3, 4, tokens);
            assert_sigmas(&four, &[1.0, 0.9, 0.75, 0.5, 0.0]);
            let eight = config.sigmas(Schedule::LightningShift3, 8, tokens);
            let expected = [
                1.0, 0.954_545, 0.9, 0.833_333, 0.75, 0.642_857, 0.5, 0.3, 0.0,
            ];
            assert_sigmas(&eight, &expected);
        }
    }

    #[test]
    fn a_single_step_goes_all_the_way() {
        let config = read(&published()).unwrap();
        for schedule in Schedule::ALL {
            assert_eq!(config.sigmas(schedule, 1, 3072), [1.0, 0.0]);
        }
    }

    #[test]
    fn timesteps_are_rounded_twice() {
        let config = read(&published()).unwrap();
        let rounded = |schedule| -> Vec<f32> {
            let sigmas = config.sigmas(schedule, 4, 3072);
            let timesteps = sigmas[..4].iter();
            let thousand = |sigma: &f32| model_timestep(*sigma, Rounding::Bf16) * 1000.0;
            timesteps.map(thousand).collect()
        };
        let base = [1000.0, 761.718_75, 447.265_63, 20.019_531];
        assert_eq!(rounded(Schedule::Base), base);
        let lightning = [1000.0, 898.437_5, 753.906_25, 500.0];
        assert_eq!(rounded(Schedule::LightningShift3), lightning);
    }

    #[test]
    fn a_schedule_is_found_by_its_name() {
        for schedule in Schedule::ALL {
            assert_eq!(schedule.name().parse(), Ok(schedule));
        }
        let error = "lightning".parse::<Schedule>().unwrap_err().to_string();
        assert!(error.contains("`lightning`") && error.contains("`lightning_shift3`"));
    }

    #[test]
    fn a_step_goes_against_the_velocity() {
        let mut latents = [1.0, 2.0];
        step(&mut latents, &[4.0, -4.0], 0.75, 0.5);
        assert_eq!(latents, [0.0, 3.0]);
    }

    #[test]
    fn a_fault_is_named_by_its_key() {
        for (key, value) in [
            ("_class_name", json!("EulerDiscreteScheduler")),
            ("use_dynamic_shifting", json!(false)),
            ("use_karras_sigmas", json!(true)),
            ("invert_sigmas", json!(true)),
            ("time_shift_type", json!("linear")),
            ("num_train_timesteps", json!(500)),
            ("max_image_seq_len", json!(256)),
            ("shift_terminal", json!(1.5)),
            ("base_shift", json!("0.5")),
            ("beta_start", json!(0.1)),
        ] {
            let mut config = published();
            config[key] = value;
            let error = read(&config).unwrap_err();
            let LoadError::Config { key: found, .. } = &error else {
                panic!("{error}");
            };
            assert_eq!(found, key, "{error}");
        }
    }
}
