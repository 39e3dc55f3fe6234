//! Every environment variable, registered once: loading and documentation read this list. What each
//! is for is said by the key it sets.

use std::collections::BTreeMap;

use serde_json::Value;

/// How the text of a variable is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As it is.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// Several, with commas between them.
    List,
}

impl Kind {
    /// The value of `text`, or what is needed instead.
    pub(crate) fn parse(self, text: &str) -> Result<Value, String> {
        match self {
            Self::Text => Ok(Value::from(text)),
            Self::List => {
                let items = text.split(',').map(str::trim);
                Ok(items.filter(|item| !item.is_empty()).collect())
            }
            Self::Integer => text
                .parse::<i64>()
                .map(Value::from)
                .map_err(|_| "a whole number is needed".into()),
            Self::Number => text
                .parse::<f64>()
                .map(Value::from)
                .map_err(|_| "a number is needed".into()),
            Self::Flag => match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" => Ok(Value::from(true)),
                "false" | "0" | "no" => Ok(Value::from(false)),
                _ => Err("`true` or `false` is needed".into()),
            },
        }
    }
}

/// An environment variable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: &'static str,
    /// The dotted key it sets.
    pub(crate) key: &'static str,
    /// How its text is read.
    pub(crate) kind: Kind,
}

impl Variable {
    /// Whether it is to be read. Those of OpenTelemetry are every program's on a machine: some switch
    /// traces off for all, and some are said to samplers that we do not have.
    pub(crate) fn counts(&self, environment: &BTreeMap<String, String>) -> bool {
        if !self.name.starts_with("OTEL_") {
            return true;
        }
        let said = |name: &str| environment.get(name).map_or("", |text| text.trim());
        let off = said("OTEL_SDK_DISABLED").eq_ignore_ascii_case("true")
            || said("OTEL_TRACES_EXPORTER") == "none";
        let sampler = said("OTEL_TRACES_SAMPLER");
        let ours = sampler.is_empty() || sampler.ends_with("traceidratio");
        !off && (ours || self.name != SAMPLE_RATIO.name)
    }
}

const fn variable(name: &'static str, key: &'static str, kind: Kind) -> Variable {
    Variable { name, key, kind }
}

// OpenTelemetry's own names, by which every program on a machine is told the same.
const ENDPOINT: Variable = variable("OTEL_EXPORTER_OTLP_ENDPOINT", "traces.endpoint", Kind::Text);
const EXACT_ENDPOINT: Variable = variable(
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "traces.exact_endpoint",
    Kind::Text,
);
const HEADERS: Variable = variable("OTEL_EXPORTER_OTLP_HEADERS", "traces.headers", Kind::Text);
const SERVICE_NAME: Variable = variable("OTEL_SERVICE_NAME", "traces.service_name", Kind::Text);
const SAMPLE_RATIO: Variable = variable(
    "OTEL_TRACES_SAMPLER_ARG",
    "traces.sample_ratio",
    Kind::Number,
);

/// The node's variables.
pub(crate) const NODE_VARIABLES: &[Variable] = &[
    variable("GPU_NODE_ID", "server.node_id", Kind::Text),
    variable("SERVER_HOST", "server.host", Kind::Text),
    variable("SERVER_PORT", "server.port", Kind::Integer),
    variable("REQUIRE_AUTH", "security.require_auth", Kind::Flag),
    variable(
        "INCOMING_AUTH_TOKEN",
        "security.internal_auth_token",
        Kind::Text,
    ),
    variable(
        "RESULT_CALLBACK_URL",
        "asset_service.callback_url",
        Kind::Text,
    ),
    variable(
        "RESULT_CALLBACK_AUTH_TOKEN",
        "asset_service.internal_auth_token",
        Kind::Text,
    ),
    variable("JOB_COMPLETE_CALLBACK_URL", "load_balancer.url", Kind::Text),
    variable(
        "LOAD_BALANCER_AUTH_TOKEN",
        "load_balancer.internal_auth_token",
        Kind::Text,
    ),
    variable("REGISTRATION_GATEWAYS", "registration.gateways", Kind::List),
    variable(
        "REGISTRATION_AUTH_TOKEN",
        "registration.internal_auth_token",
        Kind::Text,
    ),
    variable("ADVERTISE_URL", "registration.advertise_url", Kind::Text),
    variable("RUST_LOG", "logging.level", Kind::Text),
    ENDPOINT,
    EXACT_ENDPOINT,
    HEADERS,
    SERVICE_NAME,
    SAMPLE_RATIO,
];

/// The gateway's variables.
pub(crate) const GATEWAY_VARIABLES: &[Variable] = &[
    variable("TRYON_HOST", "server.host", Kind::Text),
    variable("TRYON_PORT", "server.port", Kind::Integer),
    variable("TRYON_PUBLIC_URL", "server.public_url", Kind::Text),
    variable("TRYON_DATABASE_URL", "database.url", Kind::Text),
    variable("TRYON_RATES_URL", "rates.url", Kind::Text),
    variable("TRYON_STORAGE_PATH", "storage.path", Kind::Text),
    variable("TRYON_STORAGE_URL", "storage.url", Kind::Text),
    variable(
        "TRYON_LINK_SIGNING_KEY",
        "secrets.link_signing_key",
        Kind::Text,
    ),
    variable(
        "TRYON_WEBHOOK_SIGNING_KEY",
        "secrets.webhook_signing_key",
        Kind::Text,
    ),
    variable("TRYON_CALLBACK_TOKEN", "callbacks.token", Kind::Text),
    variable("TRYON_NODE_TOKEN", "registration.node_token", Kind::Text),
    variable(
        "TRYON_OIDC_CLIENT_SECRET",
        "sign_in.oidc.client_secret",
        Kind::Text,
    ),
    ENDPOINT,
    EXACT_ENDPOINT,
    HEADERS,
    SERVICE_NAME,
    SAMPLE_RATIO,
];

/// Variables, and the section of a configuration they belong to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Registry {
    /// The dotted key of the section; empty for the whole.
    pub(crate) section: &'static str,
    /// The variables.
    pub(crate) variables: &'static [Variable],
}

impl Registry {
    /// The dotted key that `variable` sets.
    pub(crate) fn key(&self, variable: &Variable) -> String {
        match self.section {
            "" => variable.key.to_owned(),
            section => format!("{section}.{}", variable.key),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn several_stand_with_commas_between_them() {
        let list = |text| Kind::List.parse(text).unwrap();
        assert_eq!(list("http://a, http://b,"), json!(["http://a", "http://b"]));
        assert_eq!(list(""), json!([]));
    }

    #[test]
    fn what_every_program_is_told_counts_unless_it_is_switched_off() {
        let counts = |variable: Variable, said: &[(&str, &str)]| {
            let said = said
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
            variable.counts(&said.collect())
        };
        assert!(counts(ENDPOINT, &[]) && counts(SAMPLE_RATIO, &[]));
        for off in [
            ("OTEL_SDK_DISABLED", "True"),
            ("OTEL_TRACES_EXPORTER", "none"),
        ] {
            assert!(!counts(ENDPOINT, &[off]), "{off:?}");
            assert!(counts(NODE_VARIABLES[0], &[off]), "{off:?}");
        }
        let sampler = |name| [("OTEL_TRACES_SAMPLER", name)];
        assert!(counts(SAMPLE_RATIO, &sampler("parentbased_traceidratio")));
        assert!(!counts(SAMPLE_RATIO, &sampler("jaeger_remote")));
        assert!(counts(ENDPOINT, &sampler("jaeger_remote")));
    }
}
