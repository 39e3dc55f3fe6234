//! Being told of a job's end: knowing that a message is the gateway's.
//!
//! Messages are signed after Standard Webhooks with the account's secret
//! ([`Client::webhook_secret`](crate::Client::webhook_secret)). The same one may come more than once,
//! with the same [`Message::id`].
//!
//! ```
//! use reqwest::header::HeaderMap;
//! use tryon_client::{Job, Secret, webhook::{Verifier, WebhookFault}};
//!
//! /// What a receiver does with what was posted to it.
//! fn receive(secret: &Secret, headers: &HeaderMap, body: &[u8]) -> Result<Job, WebhookFault> {
//!     let message = Verifier::new(secret)?.open(headers, body)?;
//!     Ok(message.job)
//! }
//!
//! let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
//! let fault = receive(&secret, &HeaderMap::new(), b"{}").unwrap_err();
//! assert_eq!(fault.to_string(), "the header `webhook-id` is absent or wrong");
//! ```
//!
//! Source: the specification at <https://www.standardwebhooks.com>, "Signature scheme".

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::HeaderMap;
use sha2::Sha256;
use tryon_core::secret::Secret;

use crate::answer::Job;

const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

/// How long ago a message may have been sent, so that one that was recorded cannot be sent again by
/// others; and how wrong the clocks may be.
const TOLERANCE: Duration = Duration::from_mins(5);

/// Knows which messages are the gateway's.
#[derive(Clone)]
pub struct Verifier {
    mac: Hmac<Sha256>,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The same each time that it is sent.
    pub id: String,
    /// The job that ended, and how.
    pub job: Job,
}

/// Why a message is not taken.
#[derive(Debug, thiserror::Error)]
pub enum WebhookFault {
    /// The secret is not one.
    #[error("a secret is `whsec_` and base64")]
    Secret(#[source] base64::DecodeError),
    /// A header is absent or does not read.
    #[error("the header `{name}` is absent or wrong")]
    Header {
        /// Which.
        name: &'static str,
    },
    /// It was sent too long ago, or one of the clocks is wrong.
    #[error("the message was not sent within {TOLERANCE:?} of now: is the clock right?")]
    Late,
    /// It was not signed with this secret.
    #[error("the signature is not of this message and this secret")]
    Forged,
    /// It is the gateway's, and says nothing that this client knows.
    #[error("the message is not about a job's end")]
    Unreadable(#[source] serde_json::Error),
}

impl Verifier {
    /// One for the messages of the account with this secret.
    pub fn new(secret: &Secret) -> Result<Self, WebhookFault> {
        let text = secret.expose();
        let text = text.strip_prefix("whsec_").unwrap_or(text);
        let key = BASE64_STANDARD.decode(text).map_err(WebhookFault::Secret)?;
        let mac = Hmac::new_from_slice(&key).expect("BUG: HMAC takes keys of any length");
        Ok(Self { mac })
    }

    /// What a message says that was posted with these headers, if it is the gateway's.
    pub fn open(&self, headers: &HeaderMap, body: &[u8]) -> Result<Message, WebhookFault> {
        self.open_at(headers, body, SystemTime::now())
    }

    /// The same by a clock of your own.
    pub fn open_at(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Message, WebhookFault> {
        let id = read(headers, ID)?;
        self.check_signature(headers, id, body)?;
        check_time(headers, now)?;
        let job = serde_json::from_slice(body).map_err(WebhookFault::Unreadable)?;
        let id = id.to_owned();
        Ok(Message { id, job })
    }

    fn check_signature(
        &self,
        headers: &HeaderMap,
        id: &str,
        body: &[u8],
    ) -> Result<(), WebhookFault> {
        let head = format!("{id}.{}.", read(headers, TIMESTAMP)?);
        let mac = self.mac.clone().chain_update(head).chain_update(body);
        // Several, while a secret is being replaced by another.
        let mut signatures = read(headers, SIGNATURE)?.split(' ');
        let fits = |signature: &str| {
            let signature = signature.strip_prefix("v1,");
            let bytes = signature.and_then(|text| BASE64_STANDARD.decode(text).ok());
            // In constant time.
            bytes.is_some_and(|bytes| mac.clone().verify_slice(&bytes).is_ok())
        };
        signatures
            .any(fits)
            .then_some(())
            .ok_or(WebhookFault::Forged)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(***)")
    }
}

fn check_time(headers: &HeaderMap, now: SystemTime) -> Result<(), WebhookFault> {
    let sent = read(headers, TIMESTAMP)?.parse::<u32>();
    let sent = sent.map_err(|_| WebhookFault::Header { name: TIMESTAMP })?;
    let sent = UNIX_EPOCH + Duration::from_secs(sent.into());
    let apart = now.duration_since(sent);
    let apart = apart.unwrap_or_else(|error| error.duration());
    (apart <= TOLERANCE).then_some(()).ok_or(WebhookFault::Late)
}

fn read<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, WebhookFault> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.ok_or(WebhookFault::Header { name })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SENT: i64 = 1_800_000_000;
    const BODY: &str = r#"{"id": "64b7f1a9d9a3b8e5c7f9a123", "ok": true, "status": "processing"}"#;

    /// Signed by the published library.
    fn headers() -> HeaderMap {
        let library = standardwebhooks::Webhook::new(SECRET).unwrap();
        let signature = library.sign("msg_1", SENT, BODY.as_bytes()).unwrap();
        let signature = format!("v1,AAAA v2,{signature} {signature}");
        let headers = [
            (ID, "msg_1"),
            (TIMESTAMP, "1800000000"),
            (SIGNATURE, &signature),
        ];
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        headers.into_iter().collect()
    }

    fn open(headers: &HeaderMap, body: &str, late: i64) -> Result<Message, WebhookFault> {
        let now = UNIX_EPOCH + Duration::from_secs((SENT + late).try_into().unwrap());
        let verifier = Verifier::new(&Secret::new(SECRET)).unwrap();
        verifier.open_at(headers, body.as_bytes(), now)
    }

    #[test]
    fn a_message_is_taken_if_it_was_signed_lately_and_is_whole() {
        for late in [-300, 0, 300] {
            assert_eq!(open(&headers(), BODY, late).unwrap().id, "msg_1");
        }
        for late in [-301, 301, 86_400] {
            assert!(matches!(
                open(&headers(), BODY, late),
                Err(WebhookFault::Late)
            ));
        }
        let other = BODY.replace("processing", "completed");
        assert!(matches!(
            open(&headers(), &other, 0),
            Err(WebhookFault::Forged)
        ));
        for (name, value) in [(ID, "msg_2"), (TIMESTAMP, "1800000001"), (SIGNATURE, "v1,")] {
            let mut changed = headers();
            changed.insert(name, value.parse().unwrap());
            assert!(
                matches!(open(&changed, BODY, 0), Err(WebhookFault::Forged)),
                "{name}"
            );
            changed.remove(name);
            let fault = open(&changed, BODY, 0).unwrap_err();
            assert!(matches!(fault, WebhookFault::Header { name: it } if it == name));
        }
    }

    #[test]
    fn no_secret_is_printed() {
        let verifier = Verifier::new(&Secret::new(SECRET)).unwrap();
        assert_eq!(format!("{verifier:?}"), "Verifier(***)");
        assert!(Verifier::new(&Secret::new("whsec_!")).is_err());
    }
}
