//! A text with words in braces that are filled in.

use super::fault::PromptFault;

/// A text, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Placeholder(&'static str),
}

/// The words that are filled in, by the end of a key: those that a text may have, and of these the
/// ones it must have.
struct Words {
    key: &'static str,
    may: &'static [&'static str],
    must: &'static [&'static str],
}

const WORDS: [Words; 8] = [
    Words {
        key: "clothes.masked",
        may: &["garment", "wear"],
        must: &[],
    },
    Words {
        key: "clothes.unmasked",
        may: &["garment", "wear"],
        must: &[],
    },
    Words {
        key: "hairstyle.plain",
        may: &["haircut"],
        must: &["haircut"],
    },
    Words {
        key: "hairstyle.coloured",
        may: &["haircut", "color"],
        must: &["haircut", "color"],
    },
    Words {
        key: "tattoo.anywhere",
        may: &[],
        must: &[],
    },
    Words {
        key: "tattoo.placed",
        may: &["placement"],
        must: &["placement"],
    },
    Words {
        key: "tattoo.region",
        may: &["spot", "left", "top", "right", "bottom"],
        must: &[],
    },
    Words {
        key: "tattoo.placed-region",
        may: &["placement", "spot", "left", "top", "right", "bottom"],
        must: &["placement"],
    },
];

/// Names and descriptions have nothing to be filled in.
const NONE: Words = Words {
    key: "",
    may: &[],
    must: &[],
};

impl Template {
    /// Takes the text of `key`, such as `en.clothes.masked`, apart.
    pub(super) fn parse(key: &str, text: &str) -> Result<Self, PromptFault> {
        let words = WORDS.iter().find(|words| {
            let language = key.strip_suffix(words.key);
            language.is_some_and(|language| language.ends_with('.'))
        });
        let words = words.unwrap_or(&NONE);
        if text.trim().is_empty() {
            return Err(PromptFault::Empty { key: key.into() });
        }
        let parts = split(key, text.trim(), words)?;
        let lacking = |word: &&&'static str| !parts.contains(&Part::Placeholder(word));
        match words.must.iter().find(lacking) {
            None => Ok(Self { parts }),
            Some(placeholder) => Err(PromptFault::MissingPlaceholder {
                key: key.into(),
                placeholder,
            }),
        }
    }

    /// Puts in the values, each as it is: braces in a value stay.
    ///
    /// # Panics
    /// If a value is missing.
    pub(super) fn fill(&self, values: &[(&str, String)]) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Placeholder(word) => {
                let value = values.iter().find(|(name, _)| name == word);
                value
                    .expect("BUG: every word that may be there has a value")
                    .1
                    .clone()
            }
        };
        self.parts.iter().map(part).collect()
    }
}

fn split(key: &str, text: &str, words: &Words) -> Result<Vec<Part>, PromptFault> {
    let unbalanced = || PromptFault::Unbalanced { key: key.into() };
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, braced) = rest.split_at(at);
        let inside = braced.strip_prefix('{').ok_or_else(unbalanced)?;
        let (word, after) = inside.split_once('}').ok_or_else(unbalanced)?;
        let known = words.may.iter().find(|name| **name == word);
        let known = known.ok_or_else(|| PromptFault::UnknownPlaceholder {
            key: key.into(),
            placeholder: word.into(),
            known: words.may,
        })?;
        parts.push(Part::Text(before.into()));
        parts.push(Part::Placeholder(known));
        rest = after;
    }
    parts.push(Part::Text(rest.into()));
    Ok(parts)
}
