//! Layers a [`Source`] into a configuration.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    fault::{Fault, Faults, Origin},
    source::Source,
    variable::Registry,
};

/// A value that was given, by its dotted key.
struct Given {
    key: String,
    value: Value,
    origin: Origin,
}

/// Loads a configuration of type `T`, whose default tells which keys exist.
///
/// Each value is tried alone first, so that every fault is found and named, then all together.
pub(crate) fn load<T>(source: &Source, registries: &[Registry]) -> Result<T, Faults>
where
    T: Default + Serialize + DeserializeOwned,
{
    let known = serde_json::to_value(T::default()).expect("BUG: a default configuration is JSON");
    let mut faults = Vec::new();
    let mut layers = from_command(&source.fallbacks);
    layers.extend(from_file(source, &known, &mut faults));
    for registry in registries {
        layers.extend(from_environment(source, registry, &mut faults));
    }
    layers.extend(from_command(&source.flags));
    for given in &layers {
        if let Err(error) = serde_json::from_value::<T>(alone(given)) {
            faults.push(Fault::BadValue {
                key: given.key.clone(),
                reason: error.to_string(),
                origin: given.origin.clone(),
            });
        }
    }
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    let mut merged = Value::Object(Map::new());
    for given in layers {
        set(&mut merged, &given.key, given.value);
    }
    Ok(serde_json::from_value(merged).expect("BUG: values that fit alone fit together"))
}

fn from_file(source: &Source, known: &Value, faults: &mut Vec<Fault>) -> Vec<Given> {
    let Some((path, text)) = &source.file else {
        return Vec::new();
    };
    let tree = match serde_saphyr::from_str::<Option<Value>>(text) {
        Ok(None) => return Vec::new(),
        Ok(Some(tree @ Value::Object(_))) => tree,
        Ok(Some(_)) => {
            let reason = "a mapping of sections is needed".to_owned();
            faults.push(Fault::NotYaml {
                path: path.clone(),
                reason,
            });
            return Vec::new();
        }
        Err(error) => {
            faults.push(Fault::NotYaml {
                path: path.clone(),
                reason: error.to_string(),
            });
            return Vec::new();
        }
    };
    let mut reader = FileReader {
        path,
        given: Vec::new(),
        faults,
    };
    reader.walk(String::new(), tree, known);
    reader.given
}

/// Collects the values of a file and refuses the keys that do not exist.
struct FileReader<'a> {
    path: &'a str,
    given: Vec<Given>,
    faults: &'a mut Vec<Fault>,
}

impl FileReader<'_> {
    fn walk(&mut self, key: String, value: Value, known: &Value) {
        let path_of_file = self.path;
        let origin = || Origin::File(path_of_file.to_owned());
        let (Value::Object(entries), Value::Object(fields)) = (&value, known) else {
            let origin = origin();
            return self.given.push(Given { key, value, origin });
        };
        for (name, inner) in entries {
            let path = if key.is_empty() {
                name.clone()
            } else {
                format!("{key}.{name}")
            };
            if let Some(known) = fields.get(name) {
                self.walk(path, inner.clone(), known);
            } else {
                self.faults.push(Fault::UnknownKey {
                    key: path,
                    nearest: nearest(name, fields.keys()),
                    origin: origin(),
                });
            }
        }
    }
}

/// The known name that looks most like `name`, if any looks like it at all.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Option<String> {
    known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.clone())
}

fn from_environment(source: &Source, registry: &Registry, faults: &mut Vec<Fault>) -> Vec<Given> {
    let mut given = Vec::new();
    for variable in registry.variables {
        // An empty variable is one that somebody meant to unset.
        let text = source
            .environment
            .get(variable.name)
            .filter(|text| !text.is_empty());
        let Some(text) = text.filter(|_| variable.counts(&source.environment)) else {
            continue;
        };
        let origin = Origin::Variable(variable.name.to_owned());
        let key = registry.key(variable);
        match variable.kind.parse(text) {
            Ok(value) => given.push(Given { key, value, origin }),
            Err(reason) => faults.push(Fault::BadValue {
                key,
                reason,
                origin,
            }),
        }
    }
    given
}

fn from_command(values: &[(&'static str, Value)]) -> Vec<Given> {
    let given = |(key, value): &(&'static str, Value)| Given {
        key: (*key).to_owned(),
        value: value.clone(),
        origin: Origin::Flag,
    };
    values.iter().map(given).collect()
}

/// A tree that holds one value only.
fn alone(given: &Given) -> Value {
    let mut tree = Value::Object(Map::new());
    set(&mut tree, &given.key, given.value.clone());
    tree
}

fn set(tree: &mut Value, key: &str, value: Value) {
    let mut place = tree;
    for name in key.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let entries = place.as_object_mut().expect("BUG: made an object above");
        place = entries.entry(name).or_insert(Value::Null);
    }
    *place = value;
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use tryon_core::secret::Secret;

    use super::{
        super::variable::{Kind, Variable},
        *,
    };
    use crate::failure::Failure;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Config {
        server: Server,
        security: Security,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Server {
        host: String,
        port: u16,
        backoff: Vec<u32>,
    }

    impl Default for Server {
        fn default() -> Self {
            Self {
                host: "127.0.0.1".to_owned(),
                port: 8000,
                backoff: vec![1, 2, 4],
            }
        }
    }

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Security {
        token: Option<Secret>,
        required: bool,
    }

    const VARIABLES: &[Registry] = &[Registry {
        section: "",
        variables: LIST,
    }];

    const LIST: &[Variable] = &[
        Variable {
            name: "PORT",
            key: "server.port",
            kind: Kind::Integer,
        },
        Variable {
            name: "TOKEN",
            key: "security.token",
            kind: Kind::Text,
        },
        Variable {
            name: "REQUIRED",
            key: "security.required",
            kind: Kind::Flag,
        },
    ];

    fn source(yaml: &str, environment: &[(&str, &str)]) -> Source {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Source {
            file: Some(("config.yaml".to_owned(), yaml.to_owned())),
            environment: environment.iter().map(own).collect(),
            ..Source::default()
        }
    }

    #[test]
    fn without_a_source_the_defaults_hold() {
        let config: Config = load(&Source::default(), VARIABLES).unwrap();
        assert_eq!(config, Config::default());
        let empty: Config = load(&source("# nothing\n", &[]), VARIABLES).unwrap();
        assert_eq!(empty, Config::default());
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_file() {
        let yaml = "server: {host: 0.0.0.0, port: 1, backoff: [3]}\nsecurity: {token: file}";
        let source = source(
            yaml,
            &[("PORT", "2"), ("TOKEN", "env"), ("REQUIRED", "true")],
        );
        let source = source.flag("server.port", Some(3));
        let config: Config = load(&source, VARIABLES).unwrap();
        assert_eq!(config.server.host, "0.0.0.0");
        assert_eq!(config.server.port, 3);
        assert_eq!(config.server.backoff, [3]);
        assert_eq!(
            config.security,
            Security {
                token: Some(Secret::new("env")),
                required: true
            }
        );
    }

    #[test]
    fn a_command_can_replace_a_default_and_move_variables_into_a_section() {
        let moved = [Registry {
            section: "server",
            variables: &[Variable {
                name: "HOST",
                key: "host",
                kind: Kind::Text,
            }],
        }];
        let source = source("server: {backoff: [3]}", &[("HOST", "::1")]);
        let source = source
            .fallback("server.port", 0)
            .fallback("server.backoff", [7].as_slice());
        let config: Config = load(&source, &moved).unwrap();
        assert_eq!(config.server.host, "::1");
        assert_eq!(config.server.port, 0);
        assert_eq!(config.server.backoff, [3]);
    }

    #[test]
    fn every_fault_is_reported_and_no_value_repeated() {
        let yaml = "server: {hots: a, port: 70000}\nsecure: {}\nsecurity: {token: [s3cret]}";
        let faults = load::<Config>(&source(yaml, &[("REQUIRED", "maybe")]), VARIABLES);
        let text = Failure::from(faults.unwrap_err()).to_string();
        assert!(text.contains("`server.hots` in `config.yaml` is unknown; did you mean `host`?"));
        assert!(text.contains("`secure` in `config.yaml` is unknown; did you mean `security`?"));
        assert!(text.contains("`server.port` from `config.yaml`"), "{text}");
        assert!(
            text.contains("`security.token` from `config.yaml`"),
            "{text}"
        );
        assert!(
            text.contains("variable `REQUIRED`: `true` or `false` is needed"),
            "{text}"
        );
        assert!(
            text.starts_with("error: the configuration has 5 fault(s)"),
            "{text}"
        );
        assert!(!text.contains("s3cret"), "{text}");
    }

    #[test]
    fn a_file_that_is_no_mapping_is_refused() {
        for yaml in ["- a\n- b", "server: [", "just text"] {
            let faults = load::<Config>(&source(yaml, &[]), VARIABLES).unwrap_err();
            assert!(
                matches!(faults.0[..], [Fault::NotYaml { .. }]),
                "{yaml}: {faults:?}"
            );
        }
    }
}
