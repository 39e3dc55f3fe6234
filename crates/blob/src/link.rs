//! Links that open one picture until a point in time.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tryon_core::{secret::Secret, time::Timestamp};

use crate::key::Key;

/// Why a link opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It was not made with this secret, or was changed.
    #[error("the link's signature is wrong")]
    Forged,
    /// Its time is over.
    #[error("the link expired at {at:?}")]
    Expired {
        /// When.
        at: Timestamp,
    },
}

/// Makes and checks links. Whoever has a link needs no key; a link tells nothing about another.
#[derive(Clone)]
pub struct LinkSigner {
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for LinkSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkSigner(***)")
    }
}

impl LinkSigner {
    /// A signer with this secret. Links made with another secret are refused.
    pub fn new(secret: &Secret) -> Self {
        let mac = Hmac::new_from_slice(secret.expose().as_bytes());
        Self {
            mac: mac.expect("BUG: HMAC takes keys of any length"),
        }
    }

    /// The link to `key` until `expires_at`, to be appended to the address that pictures are
    /// served at: `<key>?expires=<seconds since 1970>&signature=<64 hex digits>`.
    pub fn sign(&self, key: &Key, expires_at: Timestamp) -> String {
        let expires = expires_at.as_secs();
        let signature = hex::encode(self.mac(key, expires).finalize().into_bytes());
        format!("{key}?expires={expires}&signature={signature}")
    }

    /// Checks what came back in a link. Takes as long for a wrong signature as for a right one.
    pub fn verify(
        &self,
        key: &Key,
        expires: i64,
        signature: &str,
        now: Timestamp,
    ) -> Result<(), LinkError> {
        let signature = hex::decode(signature).map_err(|_| LinkError::Forged)?;
        let mac = self.mac(key, expires);
        mac.verify_slice(&signature)
            .map_err(|_| LinkError::Forged)?;
        if now.as_secs() >= expires {
            let at = Timestamp::from_millis(expires.saturating_mul(1000));
            return Err(LinkError::Expired { at });
        }
        Ok(())
    }

    fn mac(&self, key: &Key, expires: i64) -> Hmac<Sha256> {
        // A key holds no line break, so that no two links sign the same text.
        let mut mac = self.mac.clone();
        mac.update(format!("{key}\n{expires}").as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use tryon_core::{id::JobId, task::OutputFormat};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn key(index: u8) -> Key {
        Key::output(
            JobId::from_bytes([1; 12]).sample(index).attempt(1),
            OutputFormat::Png,
        )
    }

    fn signature(signer: &LinkSigner, expires: i64) -> String {
        let link = signer.sign(&key(0), Timestamp::from_millis(expires * 1000));
        link.rsplit_once('=').unwrap().1.to_owned()
    }

    #[test]
    fn a_link_opens_its_picture_until_it_expires() {
        let signer = LinkSigner::new(&Secret::new("secret"));
        let signature = signature(&signer, 1001);
        assert_eq!(signer.verify(&key(0), 1001, &signature, NOW), Ok(()));
        let later = Timestamp::from_millis(1_001_000);
        let expired = LinkError::Expired { at: later };
        assert_eq!(
            signer.verify(&key(0), 1001, &signature, later),
            Err(expired)
        );
    }

    #[test]
    fn a_changed_link_opens_nothing() {
        let signer = LinkSigner::new(&Secret::new("secret"));
        let good = signature(&signer, 1001);
        let other = LinkSigner::new(&Secret::new("other"));
        let verify = |key, expires, signature: &str| signer.verify(&key, expires, signature, NOW);
        assert_eq!(verify(key(1), 1001, &good), Err(LinkError::Forged));
        assert_eq!(verify(key(0), 1002, &good), Err(LinkError::Forged));
        assert_eq!(verify(key(0), 1001, &good[2..]), Err(LinkError::Forged));
        assert_eq!(verify(key(0), 1001, ""), Err(LinkError::Forged));
        assert_eq!(verify(key(0), 1001, "é"), Err(LinkError::Forged));
        assert_eq!(
            other.verify(&key(0), 1001, &good, NOW),
            Err(LinkError::Forged)
        );
    }
}
