//! Being told of a job's end.

use serde::{Deserialize, Serialize};
use tryon_core::{id::JobId, time::Timestamp};
use url::Url;
use utoipa::ToSchema;

use super::{
    RequestFault, Text,
    moment::{rfc3339, rfc3339_or_null},
    submission::MAX_WEBHOOK_URL,
};

const FIELD: &str = "webhook_url";

/// The address that is to be told of the job's end.
pub(super) fn webhook_url(text: Option<&Text<'_>>) -> Result<Option<Url>, RequestFault> {
    let text = text.and_then(Text::filled);
    text.map(parse_webhook_url).transpose()
}

/// An address that messages may be sent to.
pub fn parse_webhook_url(text: &str) -> Result<Url, RequestFault> {
    let length = text.len();
    if length > MAX_WEBHOOK_URL {
        return Err(RequestFault::TooLong {
            field: FIELD,
            length,
            limit: MAX_WEBHOOK_URL,
        });
    }
    let url = Url::parse(text).ok().filter(is_address);
    let needed = "an `https://` URL without a user name or password is needed";
    url.ok_or_else(|| RequestFault::wrong(FIELD, &needed))
}

fn is_address(url: &Url) -> bool {
    let http = matches!(url.scheme(), "http" | "https") && url.has_host();
    http && url.username().is_empty() && url.password().is_none()
}

/// What the account's webhooks are signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WebhookSecret {
    /// Always `true`.
    pub ok: bool,
    /// The secret as the libraries of Standard Webhooks take it.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    pub secret: String,
}

/// A page of the account's deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeliveryPage {
    /// Always `true`.
    pub ok: bool,
    /// The deliveries, newest first.
    pub deliveries: Vec<Delivery>,
    /// What to send as `after` for the next page, which may be empty; `null` when there is none.
    #[schema(value_type = Option<String>)]
    pub next: Option<JobId>,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// It is tried at `next_try_at`.
    Pending,
    /// The receiver answered 2xx.
    Delivered,
    /// It did not, at any try.
    Failed,
    /// The address answered 410, now or earlier: nothing is sent there until a delivery to it is
    /// replayed.
    Disabled,
}

/// The message about a job's end, and its log, which is kept for 30 days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Delivery {
    /// The job. Its message has the `webhook-id` `msg_<job>`, at every try.
    #[schema(value_type = String, example = "64b7f1a9d9a3b8e5c7f9a123")]
    pub job: JobId,
    /// Where it goes.
    pub url: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// When the job ended.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it is tried next.
    #[serde(serialize_with = "rfc3339_or_null")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_try_at: Option<Timestamp>,
    /// What came of each try, oldest first. One whose number is missing was cut short.
    pub tries: Vec<DeliveryTry>,
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeliveryTry {
    /// Its number, from 1.
    pub number: u32,
    /// When it began.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The status that the receiver answered; `null` when it did not.
    pub status: Option<u16>,
    /// Why it did not; `null` when it did.
    pub error: Option<String>,
}
