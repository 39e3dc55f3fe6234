//! What keeps a gateway from starting.

use std::collections::BTreeSet;

use tryon_core::time::Seconds;
use tryon_trace::TracesFault;

use super::{DatabaseUrl, GatewayConfig, NodeConfig, TaskConfig, sign_in};

/// The least bytes of a secret that signs links.
const SECRET_BYTES: usize = 16;

/// A setting with which no gateway can start. The message names its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    /// A secret that is absent or too short to be one.
    #[error("`{key}` needs at least {least} characters; `openssl rand -hex 32` makes some")]
    WeakSecret {
        /// Which.
        key: &'static str,
        /// How many it needs.
        least: usize,
    },
    /// The database is not one that is known.
    #[error(
        "`database.url` {}, not `sqlite://<path>` or \
         `postgres://<user>:<password>@<host>/<database>`",
        .scheme.as_ref().map_or_else(|| "is no URL".to_owned(), |it| format!("is of `{it}`"))
    )]
    UnknownDatabase {
        /// What its URL begins with, if it is one. The rest may hold a password.
        scheme: Option<String>,
    },
    /// Something that has to be more than nothing.
    #[error("`{key}` has to be above 0")]
    Zero {
        /// Which.
        key: String,
    },
    /// A number outside its range.
    #[error("`{key}` is {value}, not {expected}")]
    OutOfRange {
        /// Which.
        key: String,
        /// What it is.
        value: String,
        /// What it can be.
        expected: &'static str,
    },
    /// Two nodes of one name.
    #[error("two nodes are named `{name}`")]
    DoubledNode {
        /// The name.
        name: String,
    },
    /// A URL that is not one of HTTP.
    #[error("`{key}` is `{url}`, not an `http://` or `https://` URL")]
    NotHttp {
        /// Which.
        key: String,
        /// What it is.
        url: String,
    },
    /// Half of what TLS needs.
    #[error("`{key}` is absent: a certificate and its key need each other")]
    HalfTls {
        /// Which is absent.
        key: &'static str,
    },
    /// One of two settings that need each other.
    #[error("`{absent}` is absent: `{given}` needs it")]
    Half {
        /// Which is there.
        given: &'static str,
        /// Which is not.
        absent: &'static str,
    },
    /// Neither passwords nor a provider that people sign in at.
    #[error(
        "`sign_in.passwords` is off and `sign_in.oidc.issuer` absent: nobody could sign in; set one"
    )]
    NobodySignsIn,
    /// A provider whose keys somebody else could tell.
    #[error(
        "`sign_in.oidc.issuer` is `{issuer}`, not an `https://` URL without a query, or an `http://` \
         one of this machine"
    )]
    UnsafeIssuer {
        /// What it is.
        issuer: String,
    },
    /// Traces that cannot be sent.
    #[error(transparent)]
    Traces(#[from] TracesFault),
    /// Less room for all requests than one may take.
    #[error("`limits.buffered_bytes` has to be at least {least}: one request takes as much")]
    NoRoom {
        /// What one request may take.
        least: usize,
    },
}

impl ConfigFault {
    /// That `url` names no database that is known.
    pub fn unknown_database(url: &DatabaseUrl) -> Self {
        let scheme = url.scheme().map(str::to_owned);
        Self::UnknownDatabase { scheme }
    }
}

pub(super) fn find_faults(config: &GatewayConfig) -> Vec<ConfigFault> {
    let mut faults = secret_faults(config);
    let database = &config.database.url;
    if database.find_database().is_none() {
        faults.push(ConfigFault::unknown_database(database));
    }
    if let Some(url) = &config.server.public_url {
        faults.extend(url_fault("server.public_url".to_owned(), url));
    }
    let absent = match (&config.server.tls_certificate, &config.server.tls_key) {
        (None, Some(_)) => Some("server.tls_certificate"),
        (Some(_), None) => Some("server.tls_key"),
        _ => None,
    };
    faults.extend(absent.map(|key| ConfigFault::HalfTls { key }));
    faults.extend(zero_faults(config));
    faults.extend(sign_in::faults(&config.sign_in));
    faults.extend(node_faults(&config.nodes));
    for (index, task) in config.tasks.iter().enumerate() {
        faults.extend(task_faults(index, task));
    }
    let traces = config.traces.faults();
    faults.extend(traces.into_iter().map(ConfigFault::Traces));
    let least = crate::route::body::weight(config.limits.body_bytes);
    if config.limits.buffered_bytes < least {
        faults.push(ConfigFault::NoRoom { least });
    }
    faults
}

fn secret_faults(config: &GatewayConfig) -> Vec<ConfigFault> {
    let secrets = [
        ("secrets.link_signing_key", &config.secrets.link_signing_key),
        ("callbacks.token", &config.callbacks.token),
    ];
    let own = config.secrets.webhook_signing_key.as_ref();
    let own = own.map(|secret| ("secrets.webhook_signing_key", secret));
    let node_token = config.registration.node_token.as_ref();
    let node_token = node_token.map(|token| ("registration.node_token", token));
    let weak = secrets
        .into_iter()
        .chain(own)
        .chain(node_token)
        .filter(|(_, secret)| secret.expose().len() < SECRET_BYTES);
    weak.map(|(key, _)| ConfigFault::WeakSecret {
        key,
        least: SECRET_BYTES,
    })
    .collect()
}

fn zero_faults(config: &GatewayConfig) -> impl Iterator<Item = ConfigFault> {
    let (jobs, limits, fetch) = (&config.jobs, &config.limits, &config.fetch);
    let durations = [
        ("jobs.deadline", jobs.deadline),
        ("jobs.lease", jobs.lease),
        ("registration.lease", config.registration.lease),
        ("jobs.output_retention", jobs.output_retention),
        ("jobs.download_grace", jobs.download_grace),
        ("jobs.upload_retention", jobs.upload_retention),
        ("limits.header_timeout", limits.header_timeout),
        ("limits.body_idle", limits.body_idle),
        ("limits.body_timeout", limits.body_timeout),
        ("webhooks.timeout", config.webhooks.timeout),
        ("sign_in.session_life", config.sign_in.session_life),
        ("sign_in.oidc.timeout", config.sign_in.oidc.timeout),
        ("fetch.timeout", fetch.timeout),
        ("fetch.connect_timeout", fetch.connect_timeout),
        ("fetch.read_timeout", fetch.read_timeout),
    ];
    let sizes = [
        ("limits.picture_bytes", limits.picture_bytes),
        ("limits.body_bytes", limits.body_bytes),
        ("limits.connections", limits.connections),
        ("fetch.max_bytes", fetch.max_bytes),
    ];
    let zero_durations = durations.map(|(key, value)| (key, value == Seconds::new(0)));
    let zero_sizes = sizes.map(|(key, value)| (key, value == 0));
    zero_durations
        .into_iter()
        .chain(zero_sizes)
        .filter(|(_, zero)| *zero)
        .map(|(key, _)| ConfigFault::Zero {
            key: key.to_owned(),
        })
}

fn node_faults(nodes: &[NodeConfig]) -> Vec<ConfigFault> {
    let mut names = BTreeSet::new();
    let mut faults = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        faults.extend(url_fault(format!("nodes[{index}].url"), &node.url));
        if node.name.is_empty() {
            faults.push(ConfigFault::OutOfRange {
                key: format!("nodes[{index}].name"),
                value: "empty".to_owned(),
                expected: "a name",
            });
        } else if !names.insert(&node.name) {
            faults.push(ConfigFault::DoubledNode {
                name: node.name.clone(),
            });
        }
    }
    faults
}

fn task_faults(index: usize, task: &TaskConfig) -> Vec<ConfigFault> {
    let fault = |field: &str, value: String, expected| ConfigFault::OutOfRange {
        key: format!("tasks[{index}].{field}"),
        value,
        expected,
    };
    let mut faults = Vec::new();
    if task.modes.is_empty() {
        faults.push(fault("modes", "empty".to_owned(), "a list of modes"));
    }
    if !(1..=100).contains(&task.steps) {
        faults.push(fault(
            "steps",
            task.steps.to_string(),
            "a whole number from 1 to 100",
        ));
    }
    if !(0.0..=20.0).contains(&task.cfg) {
        faults.push(fault("cfg", task.cfg.to_string(), "a number from 0 to 20"));
    }
    if !(64..=4096).contains(&task.max_side) {
        faults.push(fault(
            "max_side",
            task.max_side.to_string(),
            "a number from 64 to 4096",
        ));
    }
    faults
}

fn url_fault(key: String, url: &url::Url) -> Option<ConfigFault> {
    let http = matches!(url.scheme(), "http" | "https") && url.has_host();
    (!http).then(|| ConfigFault::NotHttp {
        key,
        url: url.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use tryon_core::secret::Secret;

    use super::*;

    fn sound() -> GatewayConfig {
        let mut config = GatewayConfig::default();
        config.secrets.link_signing_key = Secret::new("0123456789abcdef");
        config.callbacks.token = Secret::new("0123456789abcdef");
        config
    }

    #[test]
    fn the_defaults_lack_only_secrets() {
        assert_eq!(sound().faults(), []);
        let faults = GatewayConfig::default().faults();
        assert_eq!(faults.len(), 2, "{faults:?}");
        let text = faults[0].to_string();
        assert!(
            text.starts_with("`secrets.link_signing_key` needs at least 16"),
            "{text}"
        );
    }

    #[test]
    fn every_fault_is_found_at_once() {
        let mut config = sound();
        config.database.url = "mysql://me:hunter2@x".to_owned().into();
        config.server.public_url = Some("ftp://x".parse().unwrap());
        config.server.tls_key = Some("key.pem".into());
        config.jobs.deadline = Seconds::new(0);
        config.limits.buffered_bytes = 1;
        config.tasks[0].steps = 0;
        config.registration.lease = Seconds::new(0);
        config.registration.node_token = Some(Secret::new("short"));
        let node = NodeConfig {
            name: "a".to_owned(),
            url: "http://10.0.0.7:8000".parse().unwrap(),
            token: None,
        };
        config.nodes = vec![node.clone(), node];
        let faults = config.faults();
        let text: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert!(
            text.iter()
                .any(|told| told.starts_with("`server.tls_certificate` is absent"))
        );
        assert_eq!(faults.len(), 9, "{text:#?}");
        assert!(
            text.contains(&"`tasks[0].steps` is 0, not a whole number from 1 to 100".to_owned())
        );
        assert!(text.contains(&"two nodes are named `a`".to_owned()));
        assert!(
            text[0].starts_with("`registration.node_token` needs at least 16 characters"),
            "{text:#?}"
        );
        assert!(
            text[1].starts_with("`database.url` is of `mysql`, not ")
                && !text[1].contains("hunter2")
        );
    }

    #[test]
    fn links_start_with_what_clients_can_reach() {
        let mut config = sound();
        assert_eq!(config.server.link_base(), "http://127.0.0.1:8080");
        config.server.host = "0.0.0.0".to_owned();
        assert_eq!(config.server.link_base(), "http://127.0.0.1:8080");
        config.server.host = "::1".to_owned();
        assert_eq!(config.server.link_base(), "http://[::1]:8080");
        config.server.tls_certificate = Some("chain.pem".into());
        assert_eq!(config.server.link_base(), "https://[::1]:8080");
        config.server.public_url = Some("https://try.example/".parse().unwrap());
        assert_eq!(config.server.link_base(), "https://try.example");
    }
}
