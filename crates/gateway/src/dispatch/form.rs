//! What a node is sent.

use reqwest::{
    Body,
    multipart::{Form, Part},
};
use serde_json::Value;
use tryon_api::node::{JobConfig, field};
use tryon_blob::{Blob, BlobError, Blobs, Key};
use tryon_core::{id::AttemptId, task::TaskOptions};
use tryon_store::{Assignment, Pair};

/// Why there is nothing to send.
#[derive(Debug, thiserror::Error)]
pub(super) enum FormError {
    /// A prepared picture is not where it was put.
    #[error("the prepared picture `{key}` is gone")]
    Gone {
        /// Which.
        key: String,
    },
    /// The pictures cannot be reached now.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// The prepared pictures, opened.
pub(super) async fn open(blobs: &Blobs, inputs: &Pair<String>) -> Result<Pair<Blob>, FormError> {
    let garment = match &inputs.garment {
        Some(key) => Some(open_one(blobs, key).await?),
        None => None,
    };
    Ok(Pair {
        person: open_one(blobs, &inputs.person).await?,
        garment,
    })
}

async fn open_one(blobs: &Blobs, key: &str) -> Result<Blob, FormError> {
    let gone = || FormError::Gone {
        key: key.to_owned(),
    };
    let parsed: Key = key.parse().map_err(|_| gone())?;
    blobs.open(&parsed).await?.ok_or_else(gone)
}

/// The form of an attempt. Its pictures are read from the storage while they are sent.
pub(super) fn build(assignment: &Assignment, pictures: Pair<Blob>) -> Form {
    let AttemptId { sample, .. } = assignment.attempt;
    let form = Form::new()
        .text(field::JOB_ID, assignment.attempt.to_string())
        .text(field::USER_ID, assignment.account.to_string())
        .text(field::SESSION_ID, sample.job.to_string())
        .text(field::PROVIDER, assignment.plan.provider.as_str())
        .text(field::CONFIG, write_config(assignment))
        .part(field::PERSON, part(pictures.person, "person.png"));
    match pictures.garment {
        Some(garment) => form.part(field::GARMENT, part(garment, "garment.png")),
        None => form,
    }
}

fn part(picture: Blob, name: &'static str) -> Part {
    Part::stream_with_length(Body::wrap_stream(picture.stream), picture.size)
        .file_name(name)
        .mime_str("image/png")
        .expect("BUG: `image/png` is a media type")
}

fn write_config(assignment: &Assignment) -> String {
    to_text(&config(assignment))
}

/// The `config` field. Keys without a value are left out: not every node takes a `null` for that.
pub(super) fn to_text(config: &JobConfig) -> String {
    let value = serde_json::to_value(config);
    let mut value = value.expect("BUG: a config is numbers and texts");
    if let Value::Object(keys) = &mut value {
        keys.retain(|_, value| !value.is_null());
    }
    value.to_string()
}

fn config(assignment: &Assignment) -> JobConfig {
    let (request, plan) = (&assignment.request, &assignment.plan);
    let mut config = JobConfig {
        seed: Some(assignment.seed),
        steps: Some(plan.steps),
        cfg: Some(plan.cfg),
        task: Some(request.options.task()),
        output_format: Some(request.output_format),
        moderation_level: Some(request.moderation),
        ..JobConfig::default()
    };
    match &request.options {
        TaskOptions::Clothes {
            category,
            subcategory,
            garment_photo_type,
            segmentation_free,
        } => {
            config.category = Some(*category);
            config.subcategory.clone_from(subcategory);
            config.garment_photo_type = Some(*garment_photo_type);
            config.segmentation_free = Some(*segmentation_free);
        }
        TaskOptions::Hairstyle {
            haircut,
            hair_color,
        } => {
            config.haircut = Some(*haircut);
            config.hair_color.clone_from(hair_color);
        }
        TaskOptions::Tattoo { placement, region } => {
            config.placement.clone_from(placement);
            config.region = *region;
        }
    }
    config
}

#[cfg(test)]
mod tests {
    use tryon_core::{
        category::Category,
        id::{AccountId, JobId},
        task::{GarmentPhotoType, Mode, ModerationLevel, OutputFormat, Provider, Region},
        time::Timestamp,
    };
    use tryon_store::{Plan, Request};

    use super::*;

    fn assignment(options: TaskOptions) -> Assignment {
        Assignment {
            attempt: JobId::from_bytes([1; 12]).sample(0).attempt(2),
            account: AccountId::from_bytes([2; 12]),
            node: "a".to_owned(),
            request: Request {
                options,
                mode: Mode::Balanced,
                output_format: OutputFormat::Jpeg,
                moderation: ModerationLevel::None,
            },
            plan: Plan {
                provider: Provider::Preview,
                steps: 4,
                cfg: 1.5,
                max_side: 512,
            },
            inputs: Pair {
                person: "a".to_owned(),
                garment: None,
            },
            seed: u64::from(u32::MAX),
            due_at: Timestamp::from_millis(0),
            deadline: Timestamp::from_millis(0),
            trace: None,
        }
    }

    #[test]
    fn a_node_reads_back_which_clothes_were_asked_for() {
        let options = TaskOptions::Clothes {
            category: Category::Jewelry,
            subcategory: Some("necklace".to_owned()),
            garment_photo_type: GarmentPhotoType::Model,
            segmentation_free: false,
        };
        let config = JobConfig::parse(&write_config(&assignment(options))).unwrap();
        assert_eq!(config.category, Some(Category::Jewelry));
        assert_eq!(config.subcategory.as_deref(), Some("necklace"));
        assert_eq!(config.garment_photo_type, Some(GarmentPhotoType::Model));
        assert_eq!(config.segmentation_free, Some(false));
    }

    #[test]
    fn a_node_reads_back_what_was_asked_for() {
        let region = Region {
            x: 0.25,
            y: 0.5,
            w: 0.25,
            h: 0.125,
        };
        let placement = Some("upper arm".to_owned());
        let options = TaskOptions::Tattoo {
            placement: placement.clone(),
            region: Some(region),
        };
        let text = write_config(&assignment(options));
        assert!(!text.contains("null"), "{text}");
        let config = JobConfig::parse(&text).unwrap();
        assert_eq!(config.seed, Some(u64::from(u32::MAX)));
        assert_eq!((config.steps, config.cfg), (Some(4), Some(1.5)));
        assert_eq!((config.placement, config.region), (placement, Some(region)));
        assert_eq!(config.output_format, Some(OutputFormat::Jpeg));
        assert_eq!(config.moderation_level, Some(ModerationLevel::None));
    }
}
