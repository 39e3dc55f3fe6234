//! Every environment variable, registered once: loading and documentation read this list.

use serde_json::Value;

/// How the text of a variable is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As it is.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Flag,
}

impl Kind {
    /// The value of `text`, or what is needed instead.
    pub(crate) fn parse(self, text: &str) -> Result<Value, String> {
        match self {
            Self::Text => Ok(Value::from(text)),
            Self::Integer => text
                .parse::<i64>()
                .map(Value::from)
                .map_err(|_| "a whole number is needed".into()),
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
    /// What it is for.
    pub(crate) doc: &'static str,
}

const fn variable(
    name: &'static str,
    key: &'static str,
    kind: Kind,
    doc: &'static str,
) -> Variable {
    Variable {
        name,
        key,
        kind,
        doc,
    }
}

/// The node's variables.
pub(crate) const NODE_VARIABLES: &[Variable] = &[
    variable(
        "GPU_NODE_ID",
        "server.node_id",
        Kind::Text,
        "The node's name, stamped on results.",
    ),
    variable(
        "SERVER_HOST",
        "server.host",
        Kind::Text,
        "The address to listen on.",
    ),
    variable(
        "SERVER_PORT",
        "server.port",
        Kind::Integer,
        "The port to listen on.",
    ),
    variable(
        "REQUIRE_AUTH",
        "security.require_auth",
        Kind::Flag,
        "Whether requests need the token below.",
    ),
    variable(
        "INCOMING_AUTH_TOKEN",
        "security.internal_auth_token",
        Kind::Text,
        "The token that callers send as `X-Internal-Auth`.",
    ),
    variable(
        "RESULT_CALLBACK_URL",
        "asset_service.callback_url",
        Kind::Text,
        "Where results are delivered.",
    ),
    variable(
        "RESULT_CALLBACK_AUTH_TOKEN",
        "asset_service.internal_auth_token",
        Kind::Text,
        "The token sent along with results.",
    ),
    variable(
        "JOB_COMPLETE_CALLBACK_URL",
        "load_balancer.url",
        Kind::Text,
        "The base URL that `/job_complete` is posted to after each job.",
    ),
    variable(
        "LOAD_BALANCER_AUTH_TOKEN",
        "load_balancer.internal_auth_token",
        Kind::Text,
        "The token sent along with `/job_complete`.",
    ),
];

/// The gateway's variables.
pub(crate) const GATEWAY_VARIABLES: &[Variable] = &[
    variable(
        "TRYON_HOST",
        "server.host",
        Kind::Text,
        "The address of the public listener.",
    ),
    variable(
        "TRYON_PORT",
        "server.port",
        Kind::Integer,
        "The port of the public listener.",
    ),
    variable(
        "TRYON_PUBLIC_URL",
        "server.public_url",
        Kind::Text,
        "What clients call the gateway: links to outputs start with this.",
    ),
    variable(
        "TRYON_DATABASE_URL",
        "database.url",
        Kind::Text,
        "Where accounts, jobs and credits are kept: `sqlite://<path>`.",
    ),
    variable(
        "TRYON_STORAGE_PATH",
        "storage.path",
        Kind::Text,
        "The folder of the pictures.",
    ),
    variable(
        "TRYON_LINK_SIGNING_KEY",
        "secrets.link_signing_key",
        Kind::Text,
        "Signs the links to outputs; they end when it changes.",
    ),
    variable(
        "TRYON_CALLBACK_TOKEN",
        "callbacks.token",
        Kind::Text,
        "What nodes send along with results: their `RESULT_CALLBACK_AUTH_TOKEN`.",
    ),
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
