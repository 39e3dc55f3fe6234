//! Signatures after Standard Webhooks, version 1.0.
//!
//! An account's key is derived from a secret of the operator's, so that no database that is stolen
//! forges a message, and nothing has to be drawn or kept.
//!
//! Source: the specification at <https://www.standardwebhooks.com>, "Signature scheme".

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderName, HeaderValue};
use sha2::Sha256;
use tryon_core::{
    id::{AccountId, JobId},
    time::Timestamp,
};

use crate::config::SecretConfig;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// What an account's messages are signed with.
pub(crate) struct SigningKey([u8; 32]);

impl SigningKey {
    /// The key as the account's own code is given it.
    pub(crate) fn to_text(&self) -> String {
        format!("whsec_{}", BASE64_STANDARD.encode(self.0))
    }
}

/// The key of this account.
pub(crate) fn key(secrets: &SecretConfig, account: AccountId) -> SigningKey {
    let own = secrets.webhook_signing_key.as_ref();
    let secret = own.unwrap_or(&secrets.link_signing_key).expose();
    // No link is signed over a text like this one: those have two lines.
    let text = format!("webhooks of {account}");
    SigningKey(hmac(secret.as_bytes(), &[text.as_bytes()]))
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mac = Hmac::<Sha256>::new_from_slice(key);
    let mut mac = mac.expect("BUG: HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// What tells a receiver that a message is ours, and which it is.
pub(super) struct Stamp {
    id: String,
    timestamp: String,
    signature: String,
}

impl Stamp {
    /// The stamp of the message about `job` when it is sent at `at`.
    pub(super) fn new(job: JobId, at: Timestamp, body: &[u8], key: &SigningKey) -> Self {
        let (id, timestamp) = (format!("msg_{job}"), at.as_secs().to_string());
        let head = format!("{id}.{timestamp}.");
        let signature = BASE64_STANDARD.encode(hmac(&key.0, &[head.as_bytes(), body]));
        Self {
            id,
            timestamp,
            signature: format!("v1,{signature}"),
        }
    }

    pub(super) fn into_headers(self) -> [(HeaderName, HeaderValue); 3] {
        let value = |text: String| {
            let value = HeaderValue::try_from(text);
            value.expect("BUG: hex, digits and base64 are header values")
        };
        [
            (ID, value(self.id)),
            (TIMESTAMP, value(self.timestamp)),
            (SIGNATURE, value(self.signature)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use standardwebhooks::Webhook;
    use tryon_core::secret::Secret;

    use super::*;
    use crate::clock::{Clock as _, SystemClock};

    fn secrets(link: &str, own: Option<&str>) -> SecretConfig {
        SecretConfig {
            link_signing_key: Secret::new(link),
            webhook_signing_key: own.map(Secret::new),
        }
    }

    fn text(secrets: &SecretConfig, account: u8) -> String {
        key(secrets, AccountId::from_bytes([account; 12])).to_text()
    }

    /// The published library takes it, and nothing that was changed.
    #[test]
    fn receivers_know_a_message_of_ours() {
        let account = AccountId::from_bytes([1; 12]);
        let key = key(&secrets("a secret", None), account);
        let webhook = Webhook::new(&key.to_text()).unwrap();
        let body = br#"{"id":"64b7f1a9d9a3b8e5c7f9a123"}"#;
        let stamp = Stamp::new(JobId::from_bytes([7; 12]), SystemClock.now(), body, &key);
        let headers = http::HeaderMap::from_iter(stamp.into_headers());
        webhook
            .verify(body, &headers)
            .expect("the library knows it");
        assert!(webhook.verify(b"{}", &headers).is_err());
        for name in [ID, TIMESTAMP] {
            let mut other = headers.clone();
            let value = other.get_mut(&name).unwrap();
            let changed = value.to_str().unwrap().replace('7', "8") + "1";
            *value = changed.try_into().unwrap();
            assert!(webhook.verify(body, &other).is_err(), "{name}");
        }
    }

    #[test]
    fn each_account_has_a_key_of_its_own() {
        let shared = secrets("a secret", None);
        assert_ne!(text(&shared, 1), text(&shared, 2));
        assert_eq!(text(&shared, 1), text(&shared, 1));
        let own = secrets("a secret", Some("another"));
        assert_ne!(text(&own, 1), text(&shared, 1));
        assert_eq!(text(&own, 1), text(&secrets("changed", Some("another")), 1));
    }
}
