//! What a key may be used for.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    limit::RateClass,
    name::{UnknownName, named},
};

named! {
    /// A group of routes that a key opens or does not.
    Scope {
        /// Submitting jobs, which spends credits.
        Submit = "submit",
        /// Reading how a job stands, with links to its outputs.
        Status = "status",
        /// Reading what the account holds.
        Credits = "credits",
        /// Erasing jobs and end users, and reading the receipts.
        Erase = "erase",
        /// Reading what webhooks are signed with and how they were delivered; sending one anew.
        Webhooks = "webhooks",
    }
}

impl Scope {
    /// What its requests are counted as.
    pub const fn rate_class(self) -> RateClass {
        match self {
            Self::Submit => RateClass::Tryon,
            Self::Credits => RateClass::Credits,
            Self::Status | Self::Erase | Self::Webhooks => RateClass::Status,
        }
    }
}

/// The scopes that a key has: some, or all there are and will be.
///
/// Its text is their names with a space between each two.
///
/// ```
/// use tryon_core::scope::{Scope, Scopes};
///
/// let scopes: Scopes = "status submit".parse().unwrap();
/// assert!(scopes.allow(Scope::Submit) && !scopes.allow(Scope::Erase));
/// assert_eq!(scopes.to_string(), "submit status");
/// assert!(Scopes::ALL.allow(Scope::Erase));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Every scope, also those that are added later.
    pub const ALL: Self = Self(u8::MAX);

    /// Whether this scope is among them.
    pub const fn allow(self, scope: Scope) -> bool {
        self.0 & bit(scope) != 0
    }

    /// Whether they are all there are and will be.
    pub fn are_all(self) -> bool {
        self == Self::ALL
    }
}

/// A list of all there are must not be [`Scopes::ALL`], which is those that come as well.
const _: () = assert!(Scope::ALL.len() < 8);

const fn bit(scope: Scope) -> u8 {
    1 << scope as u8
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(scopes.into_iter().map(bit).fold(0, |all, one| all | one))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let among = |scope: &&Scope| self.allow(**scope);
        let names: Vec<_> = Scope::ALL
            .iter()
            .filter(among)
            .map(|it| it.as_str())
            .collect();
        f.write_str(&names.join(" "))
    }
}

impl FromStr for Scopes {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        text.split_ascii_whitespace()
            .map(str::parse::<Scope>)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_what_their_text_says() {
        for text in [
            "",
            "submit",
            "submit status",
            "submit status credits erase webhooks",
        ] {
            let scopes: Scopes = text.parse().unwrap();
            assert_eq!(scopes.to_string(), text);
            assert!(!scopes.are_all());
            for scope in Scope::ALL {
                assert_eq!(
                    scopes.allow(*scope),
                    text.contains(scope.as_str()),
                    "{scope}"
                );
            }
        }
        let unknown = "submit everything".parse::<Scopes>().unwrap_err();
        let told = unknown.to_string();
        assert!(
            told.starts_with("`everything` is not one of submit, status"),
            "{told}"
        );
    }
}
