//! Closed sets of names.

/// A name outside a closed set; the message lists the names that are in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not one of {}", names.join(", "))]
pub struct UnknownName {
    pub(crate) text: String,
    pub(crate) names: &'static [&'static str],
}

/// A closed set of names, each with one spelling on the wire.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];
            /// The names of all of them, in the same order.
            pub const NAMES: &[&'static str] = &[$($text,)+];

            /// Its name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::name::UnknownName;

            fn from_str(text: &str) -> Result<Self, $crate::name::UnknownName> {
                Self::ALL.iter().copied().find(|name| name.as_str() == text).ok_or_else(|| {
                    $crate::name::UnknownName { text: text.chars().take(64).collect(), names: Self::NAMES }
                })
            }
        }
    };
}
pub(crate) use named;
