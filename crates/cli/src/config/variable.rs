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
    /// A JSON array, such as `[1, 2, 4]`.
    List,
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
            Self::List => match serde_json::from_str(text) {
                Ok(list @ Value::Array(_)) => Ok(list),
                _ => Err("a list such as `[1, 2, 4]` is needed".into()),
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
pub(crate) const GATEWAY_VARIABLES: &[Variable] = &[];
