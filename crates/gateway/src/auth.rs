//! API keys, and who a request comes from.
//!
//! A key's secret is `tryon_` and 43 characters of base64url: 32 random bytes. The store keeps its
//! SHA-256, which is enough for a secret that nobody can guess. Each request looks its key up, so
//! that a revoked key opens nothing from that moment on.

use axum::http::{HeaderMap, header};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use rand::CryptoRng;
use sha2::{Digest as _, Sha256};
use tryon_core::time::Timestamp;
use tryon_store::Store;

use crate::error::ApiError;

pub use tryon_store::Caller;

/// What every secret begins with, so that one that leaked is recognised as ours.
const PREFIX: &str = "tryon_";

/// Characters of a secret that are kept readable, to tell keys apart.
const SHOWN: usize = PREFIX.len() + 6;

/// Characters of a secret.
const LENGTH: usize = PREFIX.len() + 43;

/// The secret of a key that is being made.
pub struct NewSecret(String);

impl NewSecret {
    /// A fresh secret.
    pub fn generate(random: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; 32];
        random.fill_bytes(&mut bytes);
        let mut secret = PREFIX.to_owned();
        BASE64_URL_SAFE_NO_PAD.encode_string(bytes, &mut secret);
        Self(secret)
    }

    /// Its first characters, which may be shown.
    pub fn prefix(&self) -> &str {
        &self.0[..SHOWN]
    }

    /// What the store keeps.
    pub fn hash(&self) -> KeyHash {
        hash(&self.0)
    }

    /// The secret itself, to be shown once.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// What the store keeps of a secret: its SHA-256.
pub type KeyHash = [u8; 32];

/// What the store keeps of a secret.
pub fn hash(secret: &str) -> KeyHash {
    Sha256::digest(secret.as_bytes()).into()
}

/// The key that a request with these headers carries. What is not shaped like one is refused
/// without asking the store.
pub(crate) fn read_key(headers: &HeaderMap) -> Result<KeyHash, ApiError> {
    let secret = bearer(headers)?;
    if secret.len() == LENGTH && secret.starts_with(PREFIX) {
        Ok(hash(secret))
    } else {
        Err(not_valid())
    }
}

/// Whose key this is.
pub(crate) async fn find_caller(
    key: &KeyHash,
    store: &dyn Store,
    now: Timestamp,
) -> Result<Caller, ApiError> {
    let found = store.find_account_by_key(key, now).await?;
    found.ok_or_else(not_valid)
}

fn not_valid() -> ApiError {
    ApiError::unauthorized("the API key is not valid: it may be revoked or expired")
}

/// The token of `Authorization: Bearer <token>`.
fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let missing = || {
        ApiError::unauthorized("the Authorization header is missing: send `Bearer <your API key>`")
    };
    let value = values.next().ok_or_else(missing)?;
    if values.next().is_some() {
        return Err(ApiError::unauthorized(
            "the Authorization header is there more than once",
        ));
    }
    let form =
        || ApiError::unauthorized("the Authorization header has to be `Bearer <your API key>`");
    let (scheme, token) = value
        .to_str()
        .map_err(|_| form())?
        .split_once(' ')
        .ok_or_else(form)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(form());
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn a_secret_is_ours_to_recognise_and_never_the_same() {
        let mut random = StdRng::seed_from_u64(1);
        let (one, two) = (
            NewSecret::generate(&mut random),
            NewSecret::generate(&mut random),
        );
        assert_ne!(one.hash(), two.hash());
        assert_eq!(one.prefix().len(), SHOWN);
        let (shown, kept) = (one.prefix().to_owned(), one.hash());
        let secret = one.into_string();
        assert!(
            secret.starts_with("tryon_") && secret.starts_with(&shown),
            "{secret}"
        );
        assert_eq!(secret.len(), LENGTH);
        assert_eq!(hash(&secret), kept);
    }
}
