//! Configuration files of a checkpoint: JSON, each fault with its file and key.

use std::{fs, path::Path};

use serde::{Deserialize, de::DeserializeOwned};

use crate::error::LoadError;

/// What every configuration of diffusers says of itself.
#[derive(Deserialize)]
struct Class {
    #[serde(rename = "_class_name")]
    name: String,
}

/// Reads a configuration file.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, LoadError> {
    let text = fs::read(path).map_err(LoadError::unreadable(path))?;
    parse(path, &text)
}

/// Reads a configuration file of diffusers that is to be of this class. Another class is told
/// before any key that it has and this one has not.
pub(crate) fn read_of_class<T: DeserializeOwned>(path: &Path, class: &str) -> Result<T, LoadError> {
    let text = fs::read(path).map_err(LoadError::unreadable(path))?;
    let found: Class = parse(path, &text)?;
    if found.name != class {
        let problem = format!("is `{}`, not `{class}`: it is of another model", found.name);
        return Err(LoadError::config(path, "_class_name", problem));
    }
    parse(path, &text)
}

fn parse<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, LoadError> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| fault(path, &error))?;
    json.end()
        .map_err(|error| LoadError::damaged(path, error))?;
    Ok(value)
}

fn fault(path: &Path, error: &serde_path_to_error::Error<serde_json::Error>) -> LoadError {
    if !error.inner().is_data() {
        return LoadError::damaged(path, error.inner());
    }
    let problem = error.inner().to_string();
    let above = error.path().to_string();
    // Serde names the key of a missing or unknown field in its words alone.
    let key = problem.split('`').nth(1).unwrap_or_default();
    let named = problem.contains("field `");
    let key = match (above.as_str(), named) {
        (".", true) => key.to_owned(),
        (above, true) if !above.ends_with(key) => format!("{above}.{key}"),
        (above, _) => above.to_owned(),
    };
    LoadError::config(path, key, format!("cannot be used: {problem}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde::Deserialize;

    use super::{read, read_of_class};
    use crate::error::LoadError;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[serde(rename = "_class_name", default)]
        class: String,
        size: usize,
        inner: Inner,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        depth: usize,
    }

    fn written(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn a_fault_is_named_by_its_key() {
        for (text, expected) in [
            (r#"{"size": "1", "inner": {"depth": 2}}"#, "size"),
            (r#"{"size": 1, "inner": {"depth": -2}}"#, "inner.depth"),
            (r#"{"size": 1}"#, "inner"),
            (r#"{"size": 1, "inner": {}}"#, "inner.depth"),
            (
                r#"{"size": 1, "inner": {"depth": 2, "width": 3}}"#,
                "inner.width",
            ),
            (r#"{"size": 1, "inner": {"depth": 2}, "more": 3}"#, "more"),
        ] {
            let (_folder, path) = written(text);
            let error = read::<Outer>(&path).unwrap_err();
            let LoadError::Config {
                key, path: named, ..
            } = &error
            else {
                panic!("{error}");
            };
            assert_eq!((key.as_str(), named), (expected, &path), "{error}");
        }
    }

    #[test]
    fn what_is_not_json_is_damaged() {
        for text in [
            "",
            "{",
            "size: 1",
            r#"{"size": 1, "inner": {"depth": 2}} }"#,
        ] {
            let (_folder, path) = written(text);
            let error = read::<Outer>(&path).unwrap_err();
            assert!(matches!(&error, LoadError::Damaged { path: named, .. } if *named == path));
        }
    }

    #[test]
    fn another_class_is_told_first() {
        let (_folder, path) = written(r#"{"other": 1, "_class_name": "Vae"}"#);
        let error = read_of_class::<Outer>(&path, "Transformer").unwrap_err();
        assert!(matches!(&error, LoadError::Config { key, .. } if key == "_class_name"));
        let (_folder, path) = written(r#"{"_class_name": "T", "size": 1, "inner": {"depth": 2}}"#);
        let read = read_of_class::<Outer>(&path, "T").unwrap();
        assert_eq!((read.size, read.inner), (1, Inner { depth: 2 }));
    }
}
