//! What keeps a node from starting.

use tryon_core::secret::Secret;
use tryon_trace::TracesFault;
use url::Url;

use super::{NodeConfig, RegistrationConfig};

/// A setting that a node cannot start with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    /// No token, and none was waived.
    #[error(
        "`security.internal_auth_token` is not set; set it (or `INCOMING_AUTH_TOKEN`), or say \
         `security.require_auth: false` on a network where everybody may use the device"
    )]
    NoToken,
    /// A node that makes itself known, and does not know where it is.
    #[error(
        "`registration.advertise_url` is not set; set it (or `ADVERTISE_URL`) to where the \
         gateways reach this node, such as `http://10.0.0.7:8000`"
    )]
    NoAddress,
    /// A node that makes itself known to gateways which would not hear it.
    #[error(
        "`registration.internal_auth_token` is not set; set it (or `REGISTRATION_AUTH_TOKEN`) to \
         the gateways' `callbacks.token`"
    )]
    NoRegistrationToken,
    /// A token that no header can carry.
    #[error("`{key}` has characters that an HTTP header cannot carry; use visible ASCII only")]
    UnsendableToken {
        /// Which.
        key: &'static str,
    },
    /// An address that cannot be posted to.
    #[error("`{key}` is a `{scheme}` address; give an http or https address")]
    NotHttp {
        /// Which.
        key: &'static str,
        /// What it is.
        scheme: String,
    },
    /// A text that must not be empty.
    #[error("`{key}` is empty")]
    Empty {
        /// Which.
        key: &'static str,
    },
    /// A number that must not be zero.
    #[error("`{key}` is 0; the node could do nothing at all")]
    Zero {
        /// Which.
        key: &'static str,
    },
    /// A number outside its range.
    #[error("`{key}` is {value}, not {expected}")]
    OutOfRange {
        /// Which.
        key: &'static str,
        /// What it is.
        value: String,
        /// What it can be.
        expected: &'static str,
    },
    /// Traces that cannot be sent.
    #[error(transparent)]
    Traces(#[from] TracesFault),
}

pub(super) fn find_faults(config: &NodeConfig) -> Vec<ConfigFault> {
    let mut faults = Vec::new();
    check_tokens(config, &mut faults);
    check_addresses(config, &mut faults);
    check_registration(&config.registration, &mut faults);
    check_defaults(config, &mut faults);
    check_limits(config, &mut faults);
    faults.extend(config.traces.faults().into_iter().map(ConfigFault::Traces));
    faults
}

fn check_tokens(config: &NodeConfig, faults: &mut Vec<ConfigFault>) {
    let token = config.security.internal_auth_token.as_ref();
    if config.security.require_auth && token.is_none_or(Secret::is_empty) {
        faults.push(ConfigFault::NoToken);
    }
    let tokens = [
        ("security.internal_auth_token", token),
        (
            "asset_service.internal_auth_token",
            config.asset_service.internal_auth_token.as_ref(),
        ),
        (
            "load_balancer.internal_auth_token",
            config.load_balancer.internal_auth_token.as_ref(),
        ),
        (
            "registration.internal_auth_token",
            config.registration.internal_auth_token.as_ref(),
        ),
    ];
    for (key, token) in tokens {
        if token.is_some_and(|token| !is_sendable(token)) {
            faults.push(ConfigFault::UnsendableToken { key });
        }
    }
}

fn is_sendable(token: &Secret) -> bool {
    token
        .expose()
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

fn check_addresses(config: &NodeConfig, faults: &mut Vec<ConfigFault>) {
    let addresses = [
        (
            "asset_service.callback_url",
            config.asset_service.callback_url.as_ref(),
        ),
        ("load_balancer.url", config.load_balancer.url.as_ref()),
        (
            "registration.advertise_url",
            config.registration.advertise_url.as_ref(),
        ),
    ];
    let gateways = config.registration.gateways.iter();
    let gateways = gateways.map(|url| ("registration.gateways", Some(url)));
    for (key, url) in addresses.into_iter().chain(gateways) {
        let scheme = url.map_or("http", Url::scheme);
        if !matches!(scheme, "http" | "https") {
            let scheme = scheme.to_owned();
            faults.push(ConfigFault::NotHttp { key, scheme });
        }
    }
    if config.server.node_id.is_empty() {
        faults.push(ConfigFault::Empty {
            key: "server.node_id",
        });
    }
}

fn check_registration(config: &RegistrationConfig, faults: &mut Vec<ConfigFault>) {
    if config.gateways.is_empty() {
        return;
    }
    if config.advertise_url.is_none() {
        faults.push(ConfigFault::NoAddress);
    }
    let token = config.internal_auth_token.as_ref();
    if token.is_none_or(Secret::is_empty) {
        faults.push(ConfigFault::NoRegistrationToken);
    }
}

fn check_defaults(config: &NodeConfig, faults: &mut Vec<ConfigFault>) {
    let model = &config.model;
    if let Some(steps) = model
        .default_steps
        .filter(|steps| !(1..=100).contains(steps))
    {
        let expected = "a whole number from 1 to 100";
        let value = steps.to_string();
        faults.push(ConfigFault::OutOfRange {
            key: "model.default_steps",
            value,
            expected,
        });
    }
    if !(0.0..=20.0).contains(&model.default_cfg) {
        let expected = "a number from 0 to 20";
        let value = model.default_cfg.to_string();
        faults.push(ConfigFault::OutOfRange {
            key: "model.default_cfg",
            value,
            expected,
        });
    }
}

fn check_limits(config: &NodeConfig, faults: &mut Vec<ConfigFault>) {
    let limits = &config.limits;
    let counts = [
        ("limits.connections", limits.connections),
        ("limits.uploads", limits.uploads),
    ];
    for (key, _) in counts.into_iter().filter(|(_, count)| *count == 0) {
        faults.push(ConfigFault::Zero { key });
    }
    let waits = [
        ("asset_service.timeout", config.asset_service.timeout),
        ("limits.header_timeout", limits.header_timeout),
        ("limits.stall_timeout", limits.stall_timeout),
        ("limits.upload_timeout", limits.upload_timeout),
        ("limits.job_timeout", limits.job_timeout),
        ("limits.load_timeout", limits.load_timeout),
    ];
    for (key, _) in waits
        .into_iter()
        .filter(|(_, wait)| wait.duration().is_zero())
    {
        faults.push(ConfigFault::Zero { key });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_needs_a_token_or_a_waiver() {
        let mut config = NodeConfig::default();
        assert_eq!(config.faults(), [ConfigFault::NoToken]);
        config.security.internal_auth_token = Some(Secret::new(""));
        assert_eq!(config.faults(), [ConfigFault::NoToken]);
        config.security.internal_auth_token = Some(Secret::new("token"));
        assert_eq!(config.faults(), []);
        config.security = super::super::SecurityConfig {
            require_auth: false,
            internal_auth_token: None,
        };
        assert_eq!(config.faults(), []);
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let config: NodeConfig = serde_json::from_str(
            r#"{"security": {"internal_auth_token": "tok\nen"},
                "asset_service": {"callback_url": "ftp://example.com/", "timeout": 0},
                "model": {"default_steps": 0, "default_cfg": 21},
                "limits": {"uploads": 0}}"#,
        )
        .unwrap();
        let faults: Vec<_> = config.faults().iter().map(ToString::to_string).collect();
        assert_eq!(faults.len(), 6, "{faults:#?}");
    }

    #[test]
    fn a_node_that_registers_knows_where_it_is_and_whom_it_tells() {
        let mut config = NodeConfig::default();
        config.security.internal_auth_token = Some(Secret::new("token"));
        config.registration.gateways = vec!["ftp://gateway".parse().unwrap()];
        let scheme = "ftp".to_owned();
        let key = "registration.gateways";
        assert_eq!(
            config.faults(),
            [
                ConfigFault::NotHttp { key, scheme },
                ConfigFault::NoAddress,
                ConfigFault::NoRegistrationToken,
            ]
        );
        config.registration.gateways = vec!["http://gateway:8081".parse().unwrap()];
        config.registration.advertise_url = "http://10.0.0.7:8000".parse().ok();
        config.registration.internal_auth_token = Some(Secret::new("token"));
        assert_eq!(config.faults(), []);
    }

    #[test]
    fn the_model_is_one_of_a_closed_set_and_left_open_by_default() {
        use super::super::ModelType;
        assert_eq!(NodeConfig::default().model.model_type, ModelType::Auto);
        for name in ["auto", "qwen", "lightxv", "preview"] {
            let text = format!(r#"{{"model": {{"model_type": "{name}"}}}}"#);
            let config: NodeConfig = serde_json::from_str(&text).unwrap();
            assert_eq!(config.model.model_type.as_str(), name);
        }
        let text = r#"{"model": {"model_type": "gpt"}}"#;
        let error = serde_json::from_str::<NodeConfig>(text).unwrap_err();
        assert!(
            error.to_string().contains("unknown variant `gpt`"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let text = r#"{"server": {"prot": 8000}}"#;
        let error = serde_json::from_str::<NodeConfig>(text).unwrap_err();
        assert!(
            error.to_string().contains("unknown field `prot`"),
            "{error}"
        );
    }
}
