//! The `config` field: a JSON object that says what to do with the pictures.

use serde::{Deserialize, Serialize};
use tryon_core::{
    category::Category,
    task::{GarmentPhotoType, Haircut, ModerationLevel, OutputFormat, Region, Task},
};
use url::Url;
use utoipa::ToSchema;

/// What a job asks for. Everything is optional, `null` is as good as absent, and unknown keys are
/// ignored.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct JobConfig {
    /// The seed; the node's default (42) where absent.
    pub seed: Option<u64>,
    /// Denoising steps, 1–100; the engine's default where absent.
    pub steps: Option<u32>,
    /// Guidance scale, 0–20; the node's default (1.0) where absent.
    pub cfg: Option<f32>,
    /// Replaces the built-in prompt of the task.
    pub prompt: Option<String>,
    /// `clothes` (default), `hairstyle` or `tattoo`.
    #[schema(value_type = Option<String>)]
    pub task: Option<Task>,
    /// What the garment picture shows; `auto` where absent.
    #[schema(value_type = Option<String>)]
    pub category: Option<Category>,
    /// The finer kind of a piece of clothing, jewellery or an accessory, in the client's words.
    pub subcategory: Option<String>,
    /// How the garment picture was taken: `auto` (default), `model` or `flat-lay`.
    #[schema(value_type = Option<String>)]
    pub garment_photo_type: Option<GarmentPhotoType>,
    /// Whether the engine may work without a segmentation of the person; it may where absent.
    pub segmentation_free: Option<bool>,
    /// Where to ink, for a tattoo: `x`, `y`, `w`, `h` as shares of the picture's sides.
    #[schema(value_type = Option<Object>)]
    pub region: Option<Region>,
    /// Where and how to ink, in the client's words.
    pub placement: Option<String>,
    /// The haircut, for a hairstyle.
    #[schema(value_type = Option<String>)]
    pub haircut: Option<Haircut>,
    /// Its colour, in the client's words.
    pub hair_color: Option<String>,
    /// The output's width in pixels, 64–4096; together with `height`.
    pub width: Option<u32>,
    /// The output's height in pixels, 64–4096; together with `width`.
    pub height: Option<u32>,
    /// `png` (default) or `jpeg`.
    #[schema(value_type = Option<String>)]
    pub output_format: Option<OutputFormat>,
    /// How strictly to moderate; `permissive` where absent.
    #[schema(value_type = Option<String>)]
    pub moderation_level: Option<ModerationLevel>,
    /// Where to POST a [`Progress`](crate::callback::Progress) at each step.
    #[schema(value_type = Option<String>)]
    pub progress_url: Option<Url>,
}

/// What is wrong with a `config`. The message names the key and what it can take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    /// Not JSON at all.
    #[error("`config` is not JSON: {reason}")]
    NotJson {
        /// What the parser says, with line and column.
        reason: String,
    },
    /// JSON, but not an object.
    #[error("`config` is {found}, not a JSON object such as {{\"seed\": 42}}")]
    NotObject {
        /// What it is, with its article.
        found: &'static str,
    },
    /// A key of the wrong type or outside its closed set.
    #[error("`config.{key}` is wrong: {reason}")]
    WrongType {
        /// The key, dotted where nested.
        key: String,
        /// What the reader expected and found.
        reason: String,
    },
    /// A number outside its range.
    #[error("`config.{key}` is {value}, not {expected}")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// What it is.
        value: String,
        /// What it can be.
        expected: &'static str,
    },
    /// A text longer than is read.
    #[error("`config.{key}` has {length} characters, at most {limit} are read")]
    TooLong {
        /// The key.
        key: &'static str,
        /// Characters it has.
        length: usize,
        /// The most it may have.
        limit: usize,
    },
    /// A key that another one needs.
    #[error("`config.{key}` is missing: {reason}")]
    Missing {
        /// The key.
        key: &'static str,
        /// What needs it.
        reason: &'static str,
    },
}

/// Shortest and longest side of an output, in pixels.
const SIDES: std::ops::RangeInclusive<u32> = 64..=4096;

impl JobConfig {
    /// Most characters of a prompt.
    pub const MAX_PROMPT: usize = 4000;
    /// Most characters of a placement, a hair colour or a subcategory.
    pub const MAX_WORDS: usize = 140;

    /// Reads and checks the JSON text of a `config` field.
    pub fn parse(text: &str) -> Result<Self, ConfigFault> {
        let value = serde_json::from_str(text).map_err(|error| ConfigFault::NotJson {
            reason: error.to_string(),
        })?;
        Self::from_value(value)
    }

    /// Reads and checks a JSON value.
    pub fn from_value(value: serde_json::Value) -> Result<Self, ConfigFault> {
        if !value.is_object() {
            return Err(ConfigFault::NotObject {
                found: describe(&value),
            });
        }
        let config: Self =
            serde_path_to_error::deserialize(value).map_err(|error| ConfigFault::WrongType {
                key: error.path().to_string(),
                reason: error.inner().to_string(),
            })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigFault> {
        self.check_numbers()?;
        self.check_texts()?;
        self.check_task()?;
        self.check_progress_url()
    }

    fn check_numbers(&self) -> Result<(), ConfigFault> {
        check(
            self.steps,
            "steps",
            "a whole number from 1 to 100",
            |steps| (1..=100).contains(&steps),
        )?;
        check(self.cfg, "cfg", "a number from 0 to 20", |cfg| {
            (0.0..=20.0).contains(&cfg)
        })?;
        let side = "a whole number from 64 to 4096";
        check(self.width, "width", side, |width| SIDES.contains(&width))?;
        check(self.height, "height", side, |height| {
            SIDES.contains(&height)
        })?;
        let together = "`width` and `height` come together";
        match (self.width, self.height) {
            (Some(_), None) => Err(ConfigFault::Missing {
                key: "height",
                reason: together,
            }),
            (None, Some(_)) => Err(ConfigFault::Missing {
                key: "width",
                reason: together,
            }),
            _ => Ok(()),
        }
    }

    fn check_texts(&self) -> Result<(), ConfigFault> {
        let texts = [
            ("prompt", &self.prompt, Self::MAX_PROMPT),
            ("placement", &self.placement, Self::MAX_WORDS),
            ("hair_color", &self.hair_color, Self::MAX_WORDS),
            ("subcategory", &self.subcategory, Self::MAX_WORDS),
        ];
        for (key, text, limit) in texts {
            let length = text.as_ref().map_or(0, |text| text.chars().count());
            if length > limit {
                return Err(ConfigFault::TooLong { key, length, limit });
            }
        }
        Ok(())
    }

    fn check_task(&self) -> Result<(), ConfigFault> {
        if self.task == Some(Task::Hairstyle) && self.haircut.is_none() {
            let reason = "a hairstyle needs one";
            return Err(ConfigFault::Missing {
                key: "haircut",
                reason,
            });
        }
        let Some(region) = self.region else {
            return Ok(());
        };
        region
            .validate()
            .map(|_| ())
            .map_err(|error| ConfigFault::WrongType {
                key: "region".to_owned(),
                reason: error.to_string(),
            })
    }

    fn check_progress_url(&self) -> Result<(), ConfigFault> {
        let scheme = self.progress_url.as_ref().map_or("http", Url::scheme);
        if matches!(scheme, "http" | "https") {
            return Ok(());
        }
        Err(ConfigFault::OutOfRange {
            key: "progress_url",
            value: format!("a `{scheme}` address"),
            expected: "an http or https address",
        })
    }
}

fn check<T: Copy + ToString>(
    value: Option<T>,
    key: &'static str,
    expected: &'static str,
    holds: impl Fn(T) -> bool,
) -> Result<(), ConfigFault> {
    match value {
        Some(value) if !holds(value) => Err(ConfigFault::OutOfRange {
            key,
            value: value.to_string(),
            expected,
        }),
        _ => Ok(()),
    }
}

fn describe(value: &serde_json::Value) -> &'static str {
    use serde_json::Value;
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        JobConfig::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn everything_is_optional_and_unknown_keys_are_ignored() {
        assert_eq!(JobConfig::parse("{}"), Ok(JobConfig::default()));
        let config = JobConfig::parse(r#"{"seed": null, "sampler": "euler", "cfg": 2}"#).unwrap();
        assert_eq!(
            config,
            JobConfig {
                cfg: Some(2.0),
                ..JobConfig::default()
            }
        );
    }

    #[test]
    fn every_fault_names_its_key() {
        let cases = [
            (
                "seed=42",
                "`config` is not JSON: expected value at line 1 column 1",
            ),
            (
                "[1]",
                "`config` is a list, not a JSON object such as {\"seed\": 42}",
            ),
            (
                r#"{"seed": "42"}"#,
                "`config.seed` is wrong: invalid type: string \"42\", expected u64",
            ),
            (
                r#"{"seed": -1}"#,
                "`config.seed` is wrong: invalid value: integer `-1`, expected u64",
            ),
            (
                r#"{"steps": 101}"#,
                "`config.steps` is 101, not a whole number from 1 to 100",
            ),
            (
                r#"{"cfg": -1}"#,
                "`config.cfg` is -1, not a number from 0 to 20",
            ),
            (
                r#"{"cfg": 1e99}"#,
                "`config.cfg` is inf, not a number from 0 to 20",
            ),
            (
                r#"{"width": 512}"#,
                "`config.height` is missing: `width` and `height` come together",
            ),
            (
                r#"{"task": "hairstyle"}"#,
                "`config.haircut` is missing: a hairstyle needs one",
            ),
            (
                r#"{"region": {"x": 0.9, "y": 0, "w": 0.5, "h": 0.5}}"#,
                "`config.region` is wrong: the region ends outside the picture: `x` + `w` is above 1",
            ),
            (
                r#"{"progress_url": "file:///etc/passwd"}"#,
                "`config.progress_url` is a `file` address, not an http or https address",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(fault(text), expected);
        }
        assert!(fault(r#"{"region": {"x": "a"}}"#).starts_with("`config.region.x` is wrong"));
        assert!(fault(r#"{"task": "shoes"}"#).starts_with("`config.task` is wrong"));
    }

    #[test]
    fn a_long_text_is_refused() {
        let text = format!(r#"{{"placement": "{}"}}"#, "é".repeat(141));
        assert_eq!(
            fault(&text),
            "`config.placement` has 141 characters, at most 140 are read"
        );
    }
}
