//! `docs/configuration.md`, generated from the defaults, the registry of variables and the doc
//! comments of what the services are configured with.

use std::fmt::Write as _;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use tryon_gateway::{
    GatewayConfig,
    config::{NodeConfig as NodeEntry, TaskConfig},
};
use tryon_node::NodeConfig;

use super::{
    doc_comment::{Field, find_fields},
    variable::{GATEWAY_VARIABLES, NODE_VARIABLES, Variable},
};

/// The texts that a gateway's configuration is declared in.
const GATEWAY_SOURCES: &[&str] = &[
    include_str!("../../../gateway/src/config/mod.rs"),
    include_str!("../../../gateway/src/config/section.rs"),
    include_str!("../../../gateway/src/config/sign_in.rs"),
    include_str!("../../../gateway/src/config/database.rs"),
    include_str!("../../../gateway/src/config/task.rs"),
    include_str!("../../../core/src/limit.rs"),
    include_str!("../../../trace/src/config.rs"),
];

/// The texts that a node's configuration is declared in.
const NODE_SOURCES: &[&str] = &[
    include_str!("../../../node/src/config/mod.rs"),
    include_str!("../../../node/src/config/section.rs"),
    include_str!("../../../trace/src/config.rs"),
];

/// One service's part of the reference.
struct Part {
    title: &'static str,
    /// The type of the whole.
    root: &'static str,
    sources: &'static [&'static str],
    defaults: Value,
    variables: &'static [Variable],
    lists: Vec<List>,
}

/// A key whose value is a list of mappings.
struct List {
    key: &'static str,
    /// The least that an entry has to say.
    required: Value,
    /// What an entry that says no more than that holds.
    entry: Value,
}

impl List {
    fn of<T: DeserializeOwned + Serialize>(key: &'static str, required: Value) -> Self {
        let entry = serde_json::from_value::<T>(required.clone());
        let entry = entry.and_then(serde_json::to_value);
        let entry = entry.expect("BUG: the least entry is one");
        Self {
            key,
            required,
            entry,
        }
    }
}

/// A row of the table.
#[derive(Debug, PartialEq)]
struct Row {
    key: String,
    default: String,
    doc: String,
}

fn parts() -> [Part; 2] {
    let gateway = Part {
        title: "Gateway",
        root: "GatewayConfig",
        sources: GATEWAY_SOURCES,
        defaults: defaults::<GatewayConfig>(),
        variables: GATEWAY_VARIABLES,
        lists: vec![
            List::of::<NodeEntry>("nodes", json!({"name": "a", "url": "http://10.0.0.7:8000"})),
            List::of::<TaskConfig>("tasks", json!({"task": "clothes", "provider": "preview"})),
        ],
    };
    let node = Part {
        title: "Node",
        root: "NodeConfig",
        sources: NODE_SOURCES,
        defaults: defaults::<NodeConfig>(),
        variables: NODE_VARIABLES,
        lists: Vec::new(),
    };
    [gateway, node]
}

fn defaults<T: Default + Serialize>() -> Value {
    let defaults = serde_json::to_value(T::default());
    defaults.expect("BUG: a default configuration is JSON")
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

Durations are seconds, whole or not; sizes are bytes. Where the default is none, the key is absent.

This page is generated: `cargo run -- reference > docs/configuration.md`.
";

/// The whole page.
pub(crate) fn page() -> String {
    let mut page = HEAD.to_owned();
    for part in parts() {
        write_part(&mut page, &part);
    }
    page
}

fn write_part(page: &mut String, part: &Part) {
    let title = part.title;
    let _ = writeln!(page, "\n## {title}\n");
    page.push_str("| key | variable | default | |\n|---|---|---|---|\n");
    for Row { key, default, doc } in part.rows() {
        let variable = part.variables.iter().find(|variable| variable.key == key);
        let name = variable.map_or_else(String::new, |variable| format!("`{}`", variable.name));
        let _ = writeln!(page, "| `{key}` | {name} | {default} | {doc} |");
    }
    for list in &part.lists {
        write_entries(page, list.key, &part.defaults[list.key]);
    }
}

/// What a list holds where nothing else was said. JSON is YAML.
fn write_entries(page: &mut String, key: &str, entries: &Value) {
    let entries = entries.as_array().map_or(&[][..], Vec::as_slice);
    if entries.is_empty() {
        return;
    }
    let _ = writeln!(page, "\nThe default of `{key}`:\n\n```yaml\n{key}:");
    for entry in entries {
        let _ = writeln!(page, "  - {entry}");
    }
    page.push_str("```\n");
}

impl Part {
    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        self.collect(self.root, "", &self.defaults, &mut rows);
        rows
    }

    fn collect(&self, section: &str, prefix: &str, defaults: &Value, rows: &mut Vec<Row>) {
        for field in self.fields(section) {
            let key = format!("{prefix}{}", field.name);
            let default = &defaults[&field.name];
            if let Some(list) = self.lists.iter().find(|list| list.key == key) {
                self.collect_list(list, &field, default, rows);
            } else if find_fields(self.sources, &field.kind).is_some() {
                self.collect(&field.kind, &format!("{key}."), default, rows);
            } else {
                rows.push(Row {
                    key,
                    default: in_a_cell(default),
                    doc: field.doc,
                });
            }
        }
    }

    /// The key itself, and what each entry can say.
    fn collect_list(&self, list: &List, field: &Field, default: &Value, rows: &mut Vec<Row>) {
        let key = list.key;
        rows.push(Row {
            key: key.to_owned(),
            default: match default.as_array().map_or(0, Vec::len) {
                0 => in_a_cell(default),
                count => format!("{count} entries, below"),
            },
            doc: field.doc.clone(),
        });
        let entry = field.kind.trim_start_matches("Vec<").trim_end_matches('>');
        for Field { name, doc, .. } in self.fields(entry) {
            rows.push(Row {
                key: format!("{key}[].{name}"),
                default: match list.required.get(&name) {
                    Some(_) => "required".to_owned(),
                    None => in_a_cell(&list.entry[&name]),
                },
                doc,
            });
        }
    }

    fn fields(&self, section: &str) -> Vec<Field> {
        let fields = find_fields(self.sources, section);
        fields.expect("BUG: each section is declared in these sources")
    }
}

fn in_a_cell(default: &Value) -> String {
    if default.is_null() {
        "none".to_owned()
    } else {
        format!("`{default}`")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_committed_page_is_the_generated_one() {
        let committed = include_str!("../../../../docs/configuration.md");
        assert_eq!(
            committed,
            page(),
            "run `cargo run -- reference > docs/configuration.md`"
        );
    }

    fn leaves(key: &str, value: &Value, keys: &mut BTreeSet<String>) {
        match value {
            Value::Object(entries) => {
                for (name, value) in entries {
                    leaves(&format!("{key}.{name}"), value, keys);
                }
            }
            _ => {
                keys.insert(key.trim_start_matches('.').to_owned());
            }
        }
    }

    #[test]
    fn every_key_that_is_read_is_told_of_with_what_it_is_for() {
        for part in parts() {
            let mut read = BTreeSet::new();
            leaves("", &part.defaults, &mut read);
            for list in &part.lists {
                leaves(&format!("{}[]", list.key), &list.entry, &mut read);
            }
            let rows = part.rows();
            let told: BTreeSet<_> = rows.iter().map(|row| row.key.clone()).collect();
            assert_eq!(told, read, "{}", part.title);
            for row in rows {
                assert!(row.doc.ends_with('.'), "`{}` says nothing", row.key);
            }
            for variable in part.variables {
                assert!(told.contains(variable.key), "{}", variable.name);
            }
        }
    }
}
