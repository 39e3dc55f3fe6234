//! What a request asks for, read from its form.

use axum::{body::Body, http::HeaderMap};
use bytes::Bytes;
use tryon_api::node::{ConfigFault, JobConfig, field};
use tryon_core::{
    category::Category,
    task::{GarmentPhotoType, ModerationLevel, OutputFormat, Provider, Task},
};
use tryon_engine::{Description, Options, Request};
use tryon_picture::{Growth, fit_long_side, fit_short_side};
use url::Url;

use crate::{
    app::App,
    config::{LimitsConfig, ModelConfig},
    form::{FieldSpec, Form, FormFault},
    refusal::Refusal,
    upload::Upload,
};

/// Most bytes of an id.
const ID_BYTES: u64 = 256;
/// Most bytes of a `config`.
const CONFIG_BYTES: u64 = 64 * 1024;
/// Sides of generated pictures are multiples of this, which the models' latents need.
const MULTIPLE: u32 = 16;
/// A generated picture's longer side is at most this many times the shorter side asked for: a
/// strip of a photo would otherwise take all memory.
const LONGEST_RATIO: u32 = 3;

/// Who asked, echoed with the result.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_field_names,
    reason = "the names of the fields on the wire"
)]
pub(crate) struct Ids {
    pub(crate) job_id: String,
    pub(crate) user_id: String,
    pub(crate) session_id: String,
}

/// A request whose fields are checked and whose pictures are not decoded yet.
pub(crate) struct Order {
    provider: Provider,
    pub(crate) config: JobConfig,
    pub(crate) person: Bytes,
    pub(crate) garment: Option<Bytes>,
}

/// A request that can be run.
pub(crate) struct Job {
    pub(crate) request: Request,
    pub(crate) format: OutputFormat,
    pub(crate) progress_url: Option<Url>,
}

/// Reads the form of `POST /tryon`.
pub(crate) async fn read_tryon(
    headers: &HeaderMap,
    body: Body,
    limits: &LimitsConfig,
    description: &Description,
) -> Result<(Ids, Order), Refusal> {
    let texts = [
        field::JOB_ID,
        field::USER_ID,
        field::SESSION_ID,
        field::PROVIDER,
    ];
    let mut form = read_form(headers, body, limits, &texts).await?;
    let ids = Ids {
        job_id: form.take_name(field::JOB_ID)?,
        user_id: form.take_name(field::USER_ID)?,
        session_id: form.take_name(field::SESSION_ID)?,
    };
    let provider = find_provider(&form.take_text(field::PROVIDER)?, description)?;
    let config = JobConfig::parse(&form.take_text(field::CONFIG)?)?;
    let order = Order::new(provider, config, form, description)?;
    Ok((ids, order))
}

/// Reads the form of `POST /infer`: no ids, and the common parameters as fields of their own.
pub(crate) async fn read_infer(
    headers: &HeaderMap,
    body: Body,
    limits: &LimitsConfig,
    description: &Description,
) -> Result<Order, Refusal> {
    let texts = [
        field::PROVIDER,
        field::SEED,
        field::STEPS,
        field::CFG,
        field::PROMPT,
    ];
    let mut form = read_form(headers, body, limits, &texts).await?;
    let provider = match form.find_text(field::PROVIDER)? {
        Some(name) => find_provider(&name, description)?,
        None => *description.providers.first().ok_or(Refusal::NotLoaded)?,
    };
    let config = read_loose_config(&mut form)?;
    Order::new(provider, config, form, description)
}

/// Reads the form of `POST /check`: the photo, and what it is to be dressed in.
pub(crate) async fn read_check(
    headers: &HeaderMap,
    body: Body,
    limits: &LimitsConfig,
    description: &Description,
) -> Result<(Category, Bytes), Refusal> {
    let mut form = read_form(headers, body, limits, &[field::PROVIDER]).await?;
    if let Some(name) = form.find_text(field::PROVIDER)? {
        find_provider(&name, description)?;
    }
    let config = read_loose_config(&mut form)?;
    Ok((
        config.category.unwrap_or_default(),
        form.take(field::PERSON)?,
    ))
}

async fn read_form(
    headers: &HeaderMap,
    body: Body,
    limits: &LimitsConfig,
    texts: &[&'static str],
) -> Result<Form, FormFault> {
    let mut specs: Vec<_> = texts
        .iter()
        .map(|name| FieldSpec {
            name,
            limit: ID_BYTES,
        })
        .collect();
    for spec in specs.iter_mut().filter(|spec| spec.name == field::PROMPT) {
        spec.limit = CONFIG_BYTES;
    }
    specs.push(FieldSpec {
        name: field::CONFIG,
        limit: CONFIG_BYTES,
    });
    for name in [field::PERSON, field::GARMENT] {
        specs.push(FieldSpec {
            name,
            limit: limits.picture_bytes,
        });
    }
    Form::read(headers, Upload::new(body, limits), &specs).await
}

fn find_provider(name: &str, description: &Description) -> Result<Provider, Refusal> {
    let Ok(provider) = name.parse::<Provider>() else {
        let name = name
            .chars()
            .filter(|letter| !letter.is_control())
            .take(64)
            .collect();
        return Err(Refusal::UnknownProvider { name });
    };
    if description.providers.contains(&provider) {
        return Ok(provider);
    }
    let loaded = description
        .providers
        .iter()
        .map(|provider| provider.as_str())
        .collect();
    Err(Refusal::OtherProvider {
        provider: provider.as_str(),
        loaded,
    })
}

/// The `config` of `POST /infer`, where it was sent, with the fields that stand beside it.
fn read_loose_config(form: &mut Form) -> Result<JobConfig, Refusal> {
    let text = form.find_text(field::CONFIG)?;
    let mut value = serde_json::from_str(text.as_deref().unwrap_or("{}")).map_err(|error| {
        ConfigFault::NotJson {
            reason: error.to_string(),
        }
    })?;
    for name in [field::SEED, field::STEPS, field::CFG, field::PROMPT] {
        let Some(text) = form.find_text(name)? else {
            continue;
        };
        let Some(object) = serde_json::Value::as_object_mut(&mut value) else {
            break;
        };
        // What is no number stays a text, which the check of types then names.
        let number = text.trim().parse::<serde_json::Number>().ok();
        let number = number.filter(|_| name != field::PROMPT);
        object.insert(name.to_owned(), number.map_or(text.into(), Into::into));
    }
    Ok(JobConfig::from_value(value)?)
}

impl Order {
    fn new(
        provider: Provider,
        config: JobConfig,
        mut form: Form,
        description: &Description,
    ) -> Result<Self, Refusal> {
        let task = config.task.unwrap_or(Task::Clothes);
        if !description.tasks.contains(&task) {
            let offered = description.tasks.iter().map(|task| task.as_str()).collect();
            return Err(Refusal::UnofferedTask {
                task: task.as_str(),
                offered,
            });
        }
        let person = form.take(field::PERSON)?;
        let garment = match task {
            Task::Hairstyle => None,
            Task::Clothes | Task::Tattoo => Some(form.take(field::GARMENT)?),
        };
        Ok(Self {
            provider,
            config,
            person,
            garment,
        })
    }

    /// Decodes the pictures.
    pub(crate) async fn develop(
        self,
        app: &App,
        description: &Description,
    ) -> Result<Job, Refusal> {
        let Self {
            provider,
            config,
            person,
            garment,
        } = self;
        let person = app.dark_room.develop(field::PERSON, person).await?;
        let garment = match garment {
            Some(garment) => Some(app.dark_room.develop(field::GARMENT, garment).await?),
            None => None,
        };
        let model = &app.config.model;
        let size = output_size(provider, &config, person.dimensions(), model);
        let format = config.output_format.unwrap_or(OutputFormat::Png);
        let progress_url = config.progress_url.clone();
        let options = to_options(config, size, model, description);
        let request = Request {
            provider,
            options,
            person,
            garment,
        };
        Ok(Job {
            request,
            format,
            progress_url,
        })
    }
}

fn to_options(
    config: JobConfig,
    size: Option<(u32, u32)>,
    model: &ModelConfig,
    description: &Description,
) -> Options {
    let default_steps = model.default_steps.unwrap_or(description.default_steps);
    Options {
        task: config.task.unwrap_or(Task::Clothes),
        category: config.category.unwrap_or_default(),
        subcategory: config.subcategory,
        garment_photo: config.garment_photo_type.unwrap_or(GarmentPhotoType::Auto),
        segmentation_free: config.segmentation_free.unwrap_or(true),
        region: config.region,
        placement: config.placement,
        haircut: config.haircut,
        hair_color: config.hair_color,
        seed: config.seed.unwrap_or(model.default_seed),
        steps: config.steps.unwrap_or(default_steps),
        cfg: config.cfg.unwrap_or(model.default_cfg),
        prompt: config.prompt,
        size,
        moderation: config
            .moderation_level
            .unwrap_or(ModerationLevel::Permissive),
    }
}

/// The size of the output. The preview engine pastes onto the photo and keeps its size unless
/// told otherwise; a generated picture has the node's standard size, and sides that its model can
/// make.
fn output_size(
    provider: Provider,
    config: &JobConfig,
    (width, height): (u32, u32),
    model: &ModelConfig,
) -> Option<(u32, u32)> {
    let asked = config.width.zip(config.height);
    if provider == Provider::Preview {
        return asked;
    }
    Some(match asked {
        Some((width, height)) => (width - width % MULTIPLE, height - height % MULTIPLE),
        None => standard_size(width, height, model.default_resolution.short_side()),
    })
}

fn standard_size(width: u32, height: u32, short: u32) -> (u32, u32) {
    let longest = LONGEST_RATIO * short;
    let is_strip = width.max(height) > LONGEST_RATIO.saturating_mul(width.min(height));
    if is_strip {
        return fit_long_side(width, height, longest, MULTIPLE, Growth::Allowed);
    }
    fit_short_side(width, height, short, MULTIPLE, Growth::Allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(provider: Provider, config: &str, photo: (u32, u32)) -> Option<(u32, u32)> {
        let config = JobConfig::parse(config).unwrap();
        output_size(provider, &config, photo, &ModelConfig::default())
    }

    #[test]
    fn a_generated_picture_has_the_standard_size() {
        let qwen = |photo| size(Provider::Qwen, "{}", photo);
        assert_eq!(qwen((3024, 4032)), Some((720, 960)));
        assert_eq!(qwen((4032, 2268)), Some((1280, 720)));
        assert_eq!(qwen((300, 400)), Some((720, 960)));
        assert_eq!(qwen((100, 10_000)), Some((16, 2160)));
        assert_eq!(qwen((16, 16)), Some((720, 720)));
    }

    #[test]
    fn a_size_that_was_asked_for_is_rounded_down_for_a_model() {
        let asked = r#"{"width": 1000, "height": 64}"#;
        assert_eq!(size(Provider::Lightxv, asked, (300, 400)), Some((992, 64)));
        assert_eq!(size(Provider::Preview, asked, (300, 400)), Some((1000, 64)));
    }

    #[test]
    fn a_preview_keeps_the_size_of_its_photo() {
        assert_eq!(size(Provider::Preview, "{}", (300, 400)), None);
    }
}
