//! What the model is told to do.
//!
//! The built-in texts are in `prompts.yaml`; an operator's file of the same shape replaces any of
//! them.
//!
//! ```
//! use tryon_core::task::Haircut;
//! use tryon_engine_qwen::prompt::{Ask, Language, Prompts};
//!
//! let ask = Ask::Hairstyle { haircut: Haircut::BobCut, color: Some("copper") };
//! let prompt = Prompts::built_in().render(Language::English, ask);
//! assert!(prompt.contains("bob") && prompt.contains("copper"));
//! ```

mod ask;
mod fault;
mod template;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use self::{ask::Ask, fault::PromptFault};
use self::{ask::Filled, template::Template};

/// The texts that come with the crate.
const BUILT_IN: &str = include_str!("prompts.yaml");

/// The language that the model is spoken to in. It understands both alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Simplified Chinese.
    Chinese,
}

impl Language {
    /// Both.
    pub const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// What it is called in a file of prompts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }
}

/// Texts for every task, in every language.
#[derive(Debug, Clone)]
pub struct Prompts {
    /// By their keys, with dots between levels.
    texts: BTreeMap<String, Template>,
}

/// A text, or texts by their names.
#[derive(Deserialize)]
#[serde(untagged)]
enum Node {
    Text(String),
    Table(BTreeMap<String, Self>),
}

impl Prompts {
    /// Those that come with the crate.
    pub fn built_in() -> Self {
        let texts = read(BUILT_IN).expect("BUG: the built-in prompts can be read");
        Self { texts }
    }

    /// The built-in ones, with those in their places that `text` has.
    pub fn from_text(text: &str) -> Result<Self, PromptFault> {
        let mut prompts = Self::built_in();
        for (key, template) in read(text)? {
            let known = prompts.texts.get_mut(&key);
            *known.ok_or(PromptFault::UnknownKey { key })? = template;
        }
        Ok(prompts)
    }

    /// The text for what is asked for.
    pub fn render(&self, language: Language, ask: Ask<'_>) -> String {
        let text = |key: &str| {
            let key = format!("{}.{key}", language.as_str());
            self.texts
                .get(&key)
                .expect("BUG: each key that is asked for is built in")
        };
        let Filled { key, values } = ask.fill(|key| text(key).fill(&[]));
        text(key).fill(&values)
    }
}

/// The texts of a file, each checked for what is to be filled in.
fn read(text: &str) -> Result<BTreeMap<String, Template>, PromptFault> {
    let tree: Option<Node> = serde_saphyr::from_str(text)?;
    let mut texts = Vec::new();
    if let Some(tree) = tree {
        flatten(String::new(), tree, &mut texts);
    }
    let parse = |(key, text): (String, String)| {
        let template = Template::parse(&key, &text)?;
        Ok((key, template))
    };
    texts.into_iter().map(parse).collect()
}

fn flatten(key: String, node: Node, texts: &mut Vec<(String, String)>) {
    match node {
        Node::Text(text) => texts.push((key, text)),
        Node::Table(table) => {
            for (name, node) in table {
                let key = if key.is_empty() {
                    name
                } else {
                    format!("{key}.{name}")
                };
                flatten(key, node, texts);
            }
        }
    }
}
