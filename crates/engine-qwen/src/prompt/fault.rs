//! What can be wrong with a file of prompts.

/// Why a file of prompts cannot be used. All but the first name the key.
#[derive(Debug, thiserror::Error)]
pub enum PromptFault {
    /// It is not YAML, or has something else than texts.
    #[error("the prompts are not a YAML table of texts")]
    Yaml(#[from] serde_saphyr::Error),
    /// A text that nothing asks for.
    #[error("there is no prompt `{key}`: see the built-in file for those there are")]
    UnknownKey {
        /// Its key.
        key: String,
    },
    /// A text without words.
    #[error("`{key}` is empty: leave it out for the built-in text")]
    Empty {
        /// Its key.
        key: String,
    },
    /// A brace without its other half.
    #[error("`{key}` has a brace without its other half")]
    Unbalanced {
        /// Its key.
        key: String,
    },
    /// A word in braces that is not filled in there.
    #[error("`{key}` has `{{{placeholder}}}`, which is not filled in there; {}", list(.known))]
    UnknownPlaceholder {
        /// Its key.
        key: String,
        /// The word.
        placeholder: String,
        /// Those that are.
        known: &'static [&'static str],
    },
    /// A text that leaves out what the client asked for.
    #[error("`{key}` lacks `{{{placeholder}}}`, without which it ignores the request")]
    MissingPlaceholder {
        /// Its key.
        key: String,
        /// The word.
        placeholder: &'static str,
    },
}

fn list(known: &[&str]) -> String {
    match known {
        [] => "nothing is".to_owned(),
        _ => format!("these are: {}", known.join(", ")),
    }
}
