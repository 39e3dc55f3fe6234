//! What a configuration is made from.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use crate::failure::Failure;

/// Everything that loading depends on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source {
    /// The configuration file: its path, for messages, and its text.
    pub(crate) file: Option<(String, String)>,
    /// The environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// Flags: dotted keys and their values.
    pub(crate) flags: Vec<(&'static str, Value)>,
    /// What a command takes instead of a default: dotted keys and their values.
    pub(crate) fallbacks: Vec<(&'static str, Value)>,
}

impl Source {
    /// Reads the environment of this process and the file at `path`; without a path, the file
    /// `config.yaml` in the working directory when there is one.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, Failure> {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let default = Path::new("config.yaml");
        let path = path.or_else(|| default.exists().then_some(default));
        let file = path.map(read_file).transpose()?;
        Ok(Self {
            file,
            environment,
            ..Self::default()
        })
    }

    /// Replaces a default.
    pub(crate) fn fallback(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.fallbacks.push((key, value.into()));
        self
    }

    /// Adds a flag that was given.
    pub(crate) fn flag(mut self, key: &'static str, value: Option<impl Into<Value>>) -> Self {
        self.flags.extend(value.map(|value| (key, value.into())));
        self
    }

    /// Adds where traces go, if that was given; the whole URL, which a variable may have, would win over
    /// it.
    pub(crate) fn traces_flag(
        self,
        [endpoint, exact]: [&'static str; 2],
        url: Option<String>,
    ) -> Self {
        let none = url.as_ref().map(|_| Value::Null);
        self.flag(exact, none).flag(endpoint, url)
    }

    /// Whether the file has one of these sections.
    pub(crate) fn has_section(&self, names: &[&str]) -> bool {
        let tree = |(_, text): &(String, String)| serde_saphyr::from_str::<Value>(text).ok();
        let tree = self.file.as_ref().and_then(tree);
        tree.is_some_and(|tree| names.iter().any(|name| tree.get(name).is_some()))
    }
}

fn read_file(path: &Path) -> Result<(String, String), Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(format!("`{}` cannot be read: {error}", path.display()))
            .hint("name a readable YAML file with `--config`")
    })?;
    Ok((path.display().to_string(), text))
}
