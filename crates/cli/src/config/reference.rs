//! `docs/configuration.md`, generated from the defaults and the registry of variables.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use tryon_gateway::GatewayConfig;
use tryon_node::NodeConfig;

use super::variable::{GATEWAY_VARIABLES, NODE_VARIABLES, Variable};

/// One service's part of the reference.
struct Part {
    title: &'static str,
    defaults: Value,
    variables: &'static [Variable],
}

impl Part {
    fn of<T: Default + Serialize>(title: &'static str, variables: &'static [Variable]) -> Self {
        let defaults = serde_json::to_value(T::default());
        let defaults = defaults.expect("BUG: a default configuration is JSON");
        Self {
            title,
            defaults,
            variables,
        }
    }
}

const HEAD: &str = "\
# Configuration

A flag wins over an environment variable, that over `config.yaml`, and that over the default. The
file is `config.yaml` in the working directory, or the one named with `--config`. A key that does
not exist, or a value that its key cannot take, is an error at start, and all of them are reported
at once. An empty variable counts as unset. Secrets are never printed.

`tryon serve` reads the same keys under `gateway:` and `node:`. Where they are not set it keeps its
data under `./data`, draws the tokens itself, and gives the node and the internal listener free
ports.

This page is generated: `cargo run -- reference > docs/configuration.md`.
";

/// The whole page.
pub(crate) fn page() -> String {
    let parts = [
        Part::of::<GatewayConfig>("Gateway", GATEWAY_VARIABLES),
        Part::of::<NodeConfig>("Node", NODE_VARIABLES),
    ];
    let mut page = HEAD.to_owned();
    for part in &parts {
        write_part(&mut page, part);
    }
    page
}

fn write_part(page: &mut String, part: &Part) {
    let line = |page: &mut String, text: &str| {
        page.push_str(text);
        page.push('\n');
    };
    let _ = writeln!(page, "\n## {}\n", part.title);
    line(page, "| key | variable | default | |");
    line(page, "|---|---|---|---|");
    let mut keys = Vec::new();
    collect(String::new(), &part.defaults, &mut keys);
    for (key, default) in keys {
        let variable = part.variables.iter().find(|variable| variable.key == key);
        let name = variable.map_or_else(String::new, |variable| format!("`{}`", variable.name));
        let doc = variable.map_or("", |variable| variable.doc);
        let default = if default.is_null() {
            "none".to_owned()
        } else {
            format!("`{default}`")
        };
        let _ = writeln!(page, "| `{key}` | {name} | {default} | {doc} |");
    }
}

fn collect(key: String, value: &Value, keys: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            for (name, value) in entries {
                let key = if key.is_empty() {
                    name.clone()
                } else {
                    format!("{key}.{name}")
                };
                collect(key, value, keys);
            }
        }
        _ => keys.push((key, value.clone())),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_page_is_the_generated_one() {
        let committed = include_str!("../../../../docs/configuration.md");
        assert_eq!(
            committed,
            super::page(),
            "run `cargo run -- reference > docs/configuration.md`"
        );
    }
}
