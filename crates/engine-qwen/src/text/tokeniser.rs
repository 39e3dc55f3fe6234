//! The tokenizer of a checkpoint.

use std::path::{Path, PathBuf};

use tokenizers::{
    AddedVocabulary, Model, ModelWrapper, Tokenizer, pre_tokenizers::byte_level::ByteLevel,
};

use super::vocabulary;
use crate::error::LoadError;

/// Turns text into ids.
///
/// Text alone never becomes a special token: `<|im_end|>` in a client's prompt is ten characters.
/// Special tokens are put where the template wants them by their ids.
pub struct Tokeniser {
    /// Without any added token.
    plain: Tokenizer,
    special: Special,
    /// The largest id that can come out.
    largest: u32,
    path: PathBuf,
}

/// The special tokens that the template has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Special {
    pub(super) im_start: u32,
    pub(super) im_end: u32,
    pub(super) vision_start: u32,
    pub(super) vision_end: u32,
    pub(super) image_pad: u32,
}

impl Tokeniser {
    /// Opens `tokenizer/tokenizer.json` of a checkpoint, else `processor/tokenizer.json`, else
    /// builds it from `vocab.json`, `merges.txt` and the added tokens in `tokenizer`.
    pub fn open(checkpoint: &Path) -> Result<Self, LoadError> {
        let folders = [checkpoint.join("tokenizer"), checkpoint.join("processor")];
        let files = folders.map(|folder| folder.join("tokenizer.json"));
        if let Some(path) = files.into_iter().find(|file| file.exists()) {
            let whole = Tokenizer::from_file(&path);
            return Self::new(
                whole.map_err(|error| LoadError::damaged(&path, error))?,
                path,
            );
        }
        let folder = checkpoint.join("tokenizer");
        Self::new(vocabulary::build(&folder)?, folder)
    }

    fn new(mut whole: Tokenizer, path: PathBuf) -> Result<Self, LoadError> {
        check_bytes(&whole, &path)?;
        let special = Special::find(&whole, &path)?;
        let largest = whole.get_vocab(true).into_values().max().unwrap_or(0);
        whole.with_added_vocabulary(AddedVocabulary::new());
        Ok(Self {
            plain: whole,
            special,
            largest,
            path,
        })
    }

    pub(super) fn special(&self) -> Special {
        self.special
    }

    /// The id that stands for a part of a picture.
    pub fn image_pad(&self) -> u32 {
        self.special.image_pad
    }

    /// The largest id that it can produce.
    pub fn largest_id(&self) -> u32 {
        self.largest
    }

    /// Where it was read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The ids of a text, none of them a special token's.
    pub(super) fn text(&self, text: &str) -> Vec<u32> {
        let encoding = self.plain.encode_fast(text, false);
        let encoding = encoding.expect("BUG: a byte-level tokenizer knows every text");
        encoding.get_ids().to_vec()
    }
}

/// Checks that it is a byte-level one with every byte: such a tokenizer knows every text.
fn check_bytes(whole: &Tokenizer, path: &Path) -> Result<(), LoadError> {
    let damaged = |reason: String| LoadError::damaged(path, reason);
    let ModelWrapper::BPE(model) = whole.get_model() else {
        return Err(damaged(
            "it is not of the kind BPE, as every Qwen2 tokenizer is".into(),
        ));
    };
    if model.dropout.is_some() || model.unk_token.is_some() {
        let reason = "its BPE has `dropout` or `unk_token`, which no Qwen2 tokenizer has";
        return Err(damaged(reason.into()));
    }
    let missing = |byte: &char| model.token_to_id(&byte.to_string()).is_none();
    match ByteLevel::alphabet().into_iter().find(missing) {
        None => Ok(()),
        Some(byte) => Err(damaged(format!("its vocabulary lacks the byte `{byte}`"))),
    }
}

impl Special {
    fn find(whole: &Tokenizer, path: &Path) -> Result<Self, LoadError> {
        let id = |token: &str| {
            whole.token_to_id(token).ok_or_else(|| {
                let reason = format!("it has no token `{token}`, which every Qwen2 tokenizer has");
                LoadError::damaged(path, reason)
            })
        };
        Ok(Self {
            im_start: id("<|im_start|>")?,
            im_end: id("<|im_end|>")?,
            vision_start: id("<|vision_start|>")?,
            vision_end: id("<|vision_end|>")?,
            image_pad: id("<|image_pad|>")?,
        })
    }
}
