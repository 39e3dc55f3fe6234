//! Passwords of those who sign in to the pages.

use std::{fmt, sync::LazyLock};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use rand::CryptoRng;

/// Characters of a password, at least and at most.
const LENGTH: std::ops::RangeInclusive<usize> = 10..=128;

/// What a user who is not there is checked against, so that it takes as long.
static NOBODY: LazyLock<String> = LazyLock::new(|| Password("nobody's".to_owned()).hash());

/// A password that somebody chose, or was given.
#[derive(Clone)]
pub struct Password(String);

/// A password that is too short to keep anybody out, or longer than any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a password has {} to {} characters", LENGTH.start(), LENGTH.end())]
pub struct BadPassword;

impl Password {
    /// The password that this text is.
    pub fn parse(text: &str) -> Result<Self, BadPassword> {
        if LENGTH.contains(&text.chars().count()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadPassword)
        }
    }

    /// A fresh one: 96 random bits.
    pub fn generate(random: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; 12];
        random.fill_bytes(&mut bytes);
        Self(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What the store keeps: Argon2id over a fresh salt, in the PHC form: two passes over 19 MiB, not
    /// for a thread that others wait for.
    pub fn hash(&self) -> String {
        let hash: PasswordHash = Argon2::default()
            .hash_password(self.0.as_bytes())
            .expect("BUG: Argon2 takes a password of this length, and the system has randomness");
        hash.to_string()
    }

    /// The password itself, to be shown once.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

/// Makes what a user who is not there is checked against, which the first check would wait for.
pub(crate) fn prepare() {
    LazyLock::force(&NOBODY);
}

/// Whether `text` is the password of this hash. Takes as long as [`Password::hash`], also without a
/// hash, where the answer is no.
pub(crate) fn verify(text: &str, hash: Option<&str>) -> bool {
    let Ok(parsed) = PasswordHash::new(hash.unwrap_or(&NOBODY)) else {
        return false;
    };
    // What is longer than any password is not worth the time.
    let is_right = text.len() <= 4 * LENGTH.end()
        && Argon2::default()
            .verify_password(text.as_bytes(), &parsed)
            .is_ok();
    is_right && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_alone() {
        let password = Password::parse("correct horse").unwrap();
        let hash = password.hash();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(!hash.contains("horse") && !format!("{password:?}").contains("horse"));
        assert_ne!(hash, password.hash());
        assert!(verify("correct horse", Some(&hash)));
        assert!(!verify("correct horsf", Some(&hash)));
        assert!(!verify("nobody's", None));
        assert!(!verify("correct horse", Some("what is no hash")));
    }

    #[test]
    fn one_that_keeps_nobody_out_is_refused() {
        for (text, fine) in [
            ("", false),
            ("ninechars", false),
            ("tenletters", true),
            (&"x".repeat(129), false),
        ] {
            assert_eq!(Password::parse(text).is_ok(), fine, "{text}");
        }
        assert!(Password::parse(&Password::generate(&mut rand::rng()).into_string()).is_ok());
    }
}
