//! What each service is configured with.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tryon_gateway::GatewayConfig;
use tryon_node::NodeConfig;

use super::{
    fault::Faults,
    load::load,
    source::Source,
    variable::{GATEWAY_VARIABLES, NODE_VARIABLES, Registry},
};

/// The configuration of `tryon serve`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ServeConfig {
    /// The gateway's.
    pub(crate) gateway: GatewayConfig,
    /// The node's.
    pub(crate) node: NodeConfig,
}

/// Whom a configuration file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Service {
    /// `tryon serve`
    Serve,
    /// `tryon gateway`
    Gateway,
    /// `tryon node`
    Node,
}

impl Service {
    /// The service that has the sections of this file; `serve` without a file.
    pub(crate) fn of(source: &Source) -> Self {
        if source.has_section(&[
            "model",
            "security",
            "asset_service",
            "load_balancer",
            "spool",
        ]) {
            Self::Node
        } else if source.file.is_none() || source.has_section(&["gateway", "node"]) {
            Self::Serve
        } else {
            Self::Gateway
        }
    }
}

/// Loads a gateway's configuration.
pub(crate) fn load_gateway(source: &Source) -> Result<GatewayConfig, Faults> {
    let registry = Registry {
        section: "",
        variables: GATEWAY_VARIABLES,
    };
    load(source, &[registry])
}

/// Loads a node's configuration.
pub(crate) fn load_node(source: &Source) -> Result<NodeConfig, Faults> {
    let registry = Registry {
        section: "",
        variables: NODE_VARIABLES,
    };
    load(source, &[registry])
}

/// Loads the configuration of a gateway and a node that keep their data under `data` and find
/// each other on free ports, where nothing else was said.
pub(crate) fn load_serve(source: Source, data: &Path) -> Result<ServeConfig, Faults> {
    let path = |name: &str| data.join(name).display().to_string();
    let source = source
        .fallback(
            "gateway.database.url",
            format!("sqlite://{}", path("tryon.db")),
        )
        .fallback("gateway.storage.path", path("pictures"))
        .fallback("gateway.server.internal_port", 0)
        .fallback("node.spool.dir", path("spool"))
        .fallback("node.server.port", 0);
    let registries = [
        Registry {
            section: "gateway",
            variables: GATEWAY_VARIABLES,
        },
        Registry {
            section: "node",
            variables: NODE_VARIABLES,
        },
    ];
    load(&source, &registries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(yaml: &str) -> Source {
        Source {
            file: Some(("config.yaml".to_owned(), yaml.to_owned())),
            ..Source::default()
        }
    }

    #[test]
    fn a_file_says_whom_it_is_for() {
        assert_eq!(Service::of(&Source::default()), Service::Serve);
        assert_eq!(Service::of(&source("node: {}")), Service::Serve);
        assert_eq!(Service::of(&source("nodes: []")), Service::Gateway);
        assert_eq!(Service::of(&source("model: {}")), Service::Node);
    }

    #[test]
    fn where_a_flag_says_that_traces_go_they_go() {
        let name = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        let variable = (name.to_owned(), "http://other/whole".to_owned());
        let source = Source {
            environment: [variable].into(),
            ..Source::default()
        };
        let keys = ["traces.endpoint", "traces.exact_endpoint"];
        let load = |url: Option<&str>| {
            let source = source.clone().traces_flag(keys, url.map(str::to_owned));
            load_gateway(&source).unwrap().traces
        };
        let given = load(Some("http://collector"));
        assert_eq!(given.exact_endpoint, None);
        assert_eq!(given.endpoint.unwrap().host_str(), Some("collector"));
        assert!(load(None).exact_endpoint.is_some());
    }

    #[test]
    fn serving_keeps_everything_under_one_folder() {
        let config = load_serve(Source::default(), Path::new("/srv/tryon")).unwrap();
        let url = config.gateway.database.url.to_string();
        assert_eq!(url, "sqlite:///srv/tryon/tryon.db");
        assert_eq!(
            config.gateway.storage.path,
            Path::new("/srv/tryon/pictures")
        );
        assert_eq!(config.node.spool.dir, Path::new("/srv/tryon/spool"));
        let yaml = "gateway: {storage: {path: /mnt/pictures}}";
        let config = load_serve(source(yaml), Path::new("/srv/tryon")).unwrap();
        assert_eq!(config.gateway.storage.path, Path::new("/mnt/pictures"));
    }
}
