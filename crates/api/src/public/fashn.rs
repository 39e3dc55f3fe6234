//! The dialect of FASHN's API, for clients that were written for it.

use serde::{Deserialize, Serialize};
use tryon_core::{id::JobId, job::JobState, ledger::Balance};
use utoipa::ToSchema;

use super::{
    ClothesRequest, JobFailure, RequestFault, Submission, Text, Whole, field::object,
    submission::read,
};

/// The model that is served: the field is there for others.
const MODEL: &str = "tryon-v1.6";

/// The body of `POST /v1/run`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RunRequest<'a> {
    /// `tryon-v1.6`.
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true, example = "tryon-v1.6")]
    pub model_name: Option<Text<'a>>,
    /// What it works on.
    #[serde(borrow, default, deserialize_with = "object")]
    #[schema(value_type = RunInputs<'a>, required = true)]
    pub inputs: Option<RunInputs<'a>>,
}

/// What `tryon-v1.6` works on. Other fields are ignored.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RunInputs<'a> {
    /// The person: an `http(s)` URL or `data:image/…;base64,…`.
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true, example = "https://example.org/person.jpg")]
    pub model_image: Option<Text<'a>>,
    /// The garment: an `http(s)` URL or `data:image/…;base64,…`.
    #[serde(borrow, default)]
    #[schema(value_type = String, required = true, example = "https://example.org/shirt.jpg")]
    pub garment_image: Option<Text<'a>>,
    /// `auto` (default), `tops`, `bottoms`, `one-pieces`, or one of the other dialect's.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "tops")]
    pub category: Option<Text<'a>>,
    /// The finer kind, which some of the other dialect's categories need.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    pub subcategory: Option<Text<'a>>,
    /// `performance`, `balanced` (default) or `quality`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "balanced")]
    pub mode: Option<Text<'a>>,
    /// Pictures to make, 1 (default) to 4. Each costs one credit.
    #[serde(default)]
    #[schema(value_type = Option<u8>, minimum = 1, maximum = 4)]
    pub num_samples: Option<Whole>,
    /// `png` (default) or `jpeg`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "png")]
    pub output_format: Option<Text<'a>>,
    /// `conservative`, `permissive` (default) or `none`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "permissive")]
    pub moderation_level: Option<Text<'a>>,
    /// The first picture's seed; the ones after it use the numbers after it. Random where absent.
    #[serde(default)]
    #[schema(value_type = Option<u64>, example = 42)]
    pub seed: Option<Whole>,
    /// What you call the person that it is for, 1 to 255 characters: by it all that there is of them
    /// can be erased. It is not kept as it is.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255, example = "customer-1042")]
    pub end_user_id: Option<Text<'a>>,
    /// Whether the person need not be segmented first (default `true`).
    #[serde(default)]
    pub segmentation_free: Option<bool>,
    /// `auto` (default), `model` or `flat-lay`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, example = "auto")]
    pub garment_photo_type: Option<Text<'a>>,
    /// Outputs are given as links: `true` is refused.
    #[serde(default)]
    pub return_base64: Option<bool>,
}

/// Reads and checks the body of a run, whose end is told to the address in `webhook_url`.
pub fn parse_run<'a>(
    body: &'a [u8],
    webhook_url: Option<&'a str>,
) -> Result<Submission<'a>, RequestFault> {
    let run: RunRequest<'a> = read(body).map_err(unprefixed)?;
    let missing = |field, reason| RequestFault::Missing { field, reason };
    match run.model_name.as_ref().and_then(Text::filled) {
        Some(MODEL) => {}
        Some(_) => {
            let reason = format!("`{MODEL}` is the one model that is served here");
            return Err(RequestFault::wrong("model_name", &reason));
        }
        None => return Err(missing("model_name", "send `tryon-v1.6`")),
    }
    let inputs = run.inputs.ok_or_else(|| {
        let reason = "an object with `model_image` and `garment_image` is needed";
        missing("inputs", reason)
    })?;
    let request = ClothesRequest {
        model_image: inputs.model_image,
        garment_image: inputs.garment_image,
        category: inputs.category,
        subcategory: inputs.subcategory,
        mode: inputs.mode,
        num_samples: inputs.num_samples,
        output_format: inputs.output_format,
        moderation_level: inputs.moderation_level,
        seed: inputs.seed,
        end_user_id: inputs.end_user_id,
        segmentation_free: inputs.segmentation_free,
        garment_photo_type: inputs.garment_photo_type,
        webhook_url: webhook_url.map(|url| Text(url.into())),
    };
    if inputs.return_base64 == Some(true) {
        let reason = "outputs are given as links here: leave it out, and where none may be kept have \
                      the account's outputs erased once they are downloaded";
        return Err(RequestFault::wrong("return_base64", &reason));
    }
    request.check()
}

/// A fault of an input under the name that the other dialect has for it.
fn unprefixed(fault: RequestFault) -> RequestFault {
    match fault {
        RequestFault::WrongType { field, reason } => {
            let inner = field.strip_prefix("inputs.").map(str::to_owned);
            let field = inner.unwrap_or(field);
            RequestFault::WrongType { field, reason }
        }
        other => other,
    }
}

/// A run was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RunAnswer {
    /// The job's id: 24 lower-case hex digits.
    #[schema(value_type = String, example = "64b7f1a9d9a3b8e5c7f9a123")]
    pub id: JobId,
    /// Always `null`.
    pub error: Option<String>,
}

impl From<JobId> for RunAnswer {
    fn from(id: JobId) -> Self {
        Self { id, error: None }
    }
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Its pictures are being fetched and read.
    Starting,
    /// It waits for a node.
    InQueue,
    /// A node works on it.
    Processing,
    /// It delivered at least one picture.
    Completed,
    /// It delivered none, and cost nothing.
    Failed,
}

impl From<JobState> for RunState {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Accepted => Self::Starting,
            JobState::Prepared => Self::InQueue,
            JobState::Running => Self::Processing,
            JobState::Completed => Self::Completed,
            JobState::Failed => Self::Failed,
        }
    }
}

/// How a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RunStatus {
    /// The job's id.
    #[schema(value_type = String, example = "64b7f1a9d9a3b8e5c7f9a123")]
    pub id: JobId,
    /// Where it is.
    pub status: RunState,
    /// Links to its pictures, without a key, for 72 hours after its end; `null` unless it is
    /// completed.
    pub output: Option<Vec<String>>,
    /// Why it failed; `null` otherwise.
    pub error: Option<JobFailure>,
}

/// What an account holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct CreditTotalAnswer {
    /// The figures.
    pub credits: CreditTotals,
}

/// Credits; one buys one picture. Those set aside for jobs under way are among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct CreditTotals {
    /// `subscription + on_demand`.
    pub total: u64,
    /// Credits of the subscription.
    pub subscription: u64,
    /// Credits that were bought.
    pub on_demand: u64,
}

impl From<Balance> for CreditTotalAnswer {
    fn from(balance: Balance) -> Self {
        let Balance {
            subscription,
            purchased,
            ..
        } = balance;
        Self {
            credits: CreditTotals {
                total: subscription + purchased,
                subscription,
                on_demand: purchased,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tryon_core::task::{Mode, OutputFormat, TaskOptions};

    use super::*;
    use crate::public::ImageSource;

    fn fault(body: &serde_json::Value) -> String {
        let body = body.to_string();
        parse_run(body.as_bytes(), None).unwrap_err().to_string()
    }

    #[test]
    fn a_run_is_a_submission_of_clothes() {
        let body = json!({
            "model_name": "tryon-v1.6",
            "inputs": {
                "model_image": "https://example.org/me.jpg",
                "garment_image": "data:image/png;base64,AAAA",
                "category": "tops",
                "mode": "quality",
                "num_samples": 3,
                "output_format": "jpeg",
                "seed": 7,
                "end_user_id": "customer-7",
                "return_base64": false,
                "prompt": "ignored",
            },
        })
        .to_string();
        let address = "https://shop.example/told";
        let run = parse_run(body.as_bytes(), Some(address)).unwrap();
        assert!(matches!(run.options, TaskOptions::Clothes { .. }));
        assert_eq!(
            (run.mode, run.output_format),
            (Mode::Quality, OutputFormat::Jpeg)
        );
        assert_eq!((run.samples, run.seed), (3, Some(7)));
        assert_eq!(run.webhook_url.unwrap().as_str(), address);
        assert!(matches!(run.garment, Some(ImageSource::Base64(_))));
        assert_eq!(run.end_user.as_deref(), Some("customer-7"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let inputs =
            json!({"model_image": "https://a.example", "garment_image": "https://b.example"});
        let with = |name: &str, value: serde_json::Value| {
            let mut inputs = inputs.clone();
            inputs[name] = value;
            json!({"model_name": "tryon-v1.6", "inputs": inputs})
        };
        let picture = "an `http://` or `https://` URL, or `data:image/…;base64,…`, is needed";
        for (body, expected) in [
            (
                json!({"inputs": inputs}),
                "`model_name` is missing: send `tryon-v1.6`",
            ),
            (
                json!({"model_name": "tryon-max", "inputs": inputs}),
                "`model_name` is wrong: `tryon-v1.6` is the one model that is served here",
            ),
            (
                json!({"model_name": 7, "inputs": inputs}),
                "`model_name` is wrong: a number, not a text",
            ),
            (
                json!({"model_name": "tryon-v1.6"}),
                "`inputs` is missing: an object with `model_image` and `garment_image` is needed",
            ),
            (
                json!({"model_name": "tryon-v1.6", "inputs": ["https://a.example"]}),
                "`inputs` is wrong: a list, not an object with named fields",
            ),
            (
                with("model_image", json!(null)),
                &format!("`model_image` is missing: {picture}"),
            ),
            (
                with("model_image", json!("saved:anna")),
                &format!("`model_image` is wrong: {picture}"),
            ),
            (
                with("num_samples", json!("two")),
                "`num_samples` is wrong: a text, not a whole number",
            ),
            (
                with("num_samples", json!(5)),
                "`num_samples` is wrong: 5 is not a whole number from 1 to 4",
            ),
            (
                with("return_base64", json!(true)),
                "`return_base64` is wrong: outputs are given as links here: leave it out, and where \
                 none may be kept have the account's outputs erased once they are downloaded",
            ),
        ] {
            assert_eq!(fault(&body), expected);
        }
    }
}
