//! A tokenizer out of the files that older releases of transformers write.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use tokenizers::{
    AddedToken, SplitDelimiterBehavior, Tokenizer,
    models::bpe::BPE,
    normalizers::NFC,
    pre_tokenizers::{
        byte_level::ByteLevel,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
};

use crate::{config, error::LoadError};

/// Where text is split before pairs are merged.
///
/// transformers 5.23.0, `models/qwen2/tokenization_qwen2.py`, `PRETOKENIZE_REGEX`.
const SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The part of `tokenizer_config.json` that is needed.
#[derive(Default, Deserialize)]
struct Config {
    /// By id.
    #[serde(default)]
    added_tokens_decoder: BTreeMap<u32, Added>,
}

#[derive(Deserialize)]
struct Added {
    content: String,
}

/// Builds it from `vocab.json`, `merges.txt`, and the added tokens of `tokenizer_config.json` or
/// `added_tokens.json`.
pub(super) fn build(folder: &Path) -> Result<Tokenizer, LoadError> {
    let vocabulary: BTreeMap<String, u32> = config::read(&folder.join("vocab.json"))?;
    let merges = merges(&folder.join("merges.txt"), &vocabulary)?;
    let added = added(folder)?;
    let mut tokenizer = Tokenizer::new(BPE::new(vocabulary.into_iter().collect(), merges));
    let damaged = |error| LoadError::damaged(folder, error);
    tokenizer.with_normalizer(Some(NFC)).map_err(damaged)?;
    let split = Split::new(
        SplitPattern::Regex(SPLIT.to_owned()),
        SplitDelimiterBehavior::Isolated,
        false,
    );
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![
        split.map_err(damaged)?.into(),
        ByteLevel::new(false, true, false).into(),
    ])));
    add(&mut tokenizer, added)?;
    Ok(tokenizer)
}

/// The pairs, in the order in which they are merged. Both parts of each, and what they become, are
/// in the vocabulary.
fn merges(
    path: &Path,
    vocabulary: &BTreeMap<String, u32>,
) -> Result<Vec<(String, String)>, LoadError> {
    let text = fs::read_to_string(path).map_err(LoadError::unreadable(path))?;
    let lines = text.lines().filter(|line| !line.starts_with("#version"));
    let pair = |line: &str| {
        let known = |token: &str| vocabulary.contains_key(token);
        let pair = line.split_once(' ').filter(|(left, right)| {
            known(left) && known(right) && known(&format!("{left}{right}"))
        });
        let (left, right) = pair.ok_or_else(|| {
            let reason = format!("its line `{line}` is not a pair of tokens in `vocab.json`");
            LoadError::damaged(path, reason)
        })?;
        Ok((left.to_owned(), right.to_owned()))
    };
    lines.filter(|line| !line.is_empty()).map(pair).collect()
}

/// An added token, and the file that says so.
struct Named {
    id: u32,
    content: String,
    path: PathBuf,
}

/// Those of both files, by id.
fn added(folder: &Path) -> Result<Vec<Named>, LoadError> {
    let mut found = Vec::new();
    let path = folder.join("tokenizer_config.json");
    if path.exists() {
        let config: Config = config::read(&path)?;
        let each = config.added_tokens_decoder.into_iter();
        found.extend(each.map(|(id, Added { content })| Named {
            id,
            content,
            path: path.clone(),
        }));
    }
    let path = folder.join("added_tokens.json");
    if path.exists() {
        let ids: BTreeMap<String, u32> = config::read(&path)?;
        found.extend(ids.into_iter().map(|(content, id)| Named {
            id,
            content,
            path: path.clone(),
        }));
    }
    found.sort_by_key(|token| token.id);
    Ok(found)
}

/// Adds them; each gets the id that its file says, or the files are at fault.
fn add(tokenizer: &mut Tokenizer, added: Vec<Named>) -> Result<(), LoadError> {
    for Named { id, content, path } in added {
        let token = AddedToken::from(content.clone(), true).normalized(false);
        tokenizer
            .add_special_tokens([token])
            .map_err(|error| LoadError::damaged(&path, error))?;
        let found = tokenizer.token_to_id(&content);
        let found = found.expect("BUG: it was just added");
        if found != id {
            let reason =
                format!("it gives `{content}` the id {id}, and behind `vocab.json` it has {found}");
            return Err(LoadError::damaged(&path, reason));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use serde_json::Value;

    use super::build;

    /// The fixture's vocabulary is too small to tell every way to split text by its ids, so the way
    /// itself is held against that of the reference's `tokenizer.json`.
    ///
    /// Fails when digits are not split one by one, or text is not normalised.
    #[test]
    fn text_is_split_as_by_the_reference() {
        let checkpoint = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/checkpoint");
        let checkpoint = checkpoint.join("tiny-2511");
        let stored = fs::read(checkpoint.join("processor/tokenizer.json")).unwrap();
        let stored: Value = serde_json::from_slice(&stored).unwrap();
        let built = build(&checkpoint.join("tokenizer")).unwrap();
        let built: Value = serde_json::from_str(&built.to_string(false).unwrap()).unwrap();
        for key in [
            "/normalizer",
            "/pre_tokenizer",
            "/model/vocab",
            "/model/merges",
            "/added_tokens",
        ] {
            let part = |whole: &Value| whole.pointer(key).cloned().unwrap();
            assert_eq!(part(&built), part(&stored), "{key}");
        }
    }
}
