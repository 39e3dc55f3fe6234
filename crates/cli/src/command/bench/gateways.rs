//! Gateways in processes of their own.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::json;

use crate::{config::GATEWAY_VARIABLES, failure::Failure};

/// What links are signed with: nobody else sees them.
const LINK_KEY: &str = "of no use to anybody else";

/// A gateway that runs.
pub(super) struct GatewayProcess {
    child: Child,
    /// Where clients reach it.
    pub(super) url: String,
    /// Where nodes report to.
    pub(super) internal_url: String,
}

impl GatewayProcess {
    /// Starts one on this database, with its files in `folder`. Nodes and it tell each other
    /// `token`.
    pub(super) fn start(folder: &Path, database: &str, token: &str) -> Result<Self, Failure> {
        let config = json!({
            "server": {"port": 0, "internal_port": 0},
            "database": {"url": database},
            "storage": {"path": folder.join("pictures")},
            "secrets": {"link_signing_key": LINK_KEY},
            "callbacks": {"token": token},
            "registration": {"node_token": token},
            // Jobs that wait for a node are waited for.
            "jobs": {"deadline": 24 * 60 * 60},
        });
        let path = folder.join("gateway.yaml");
        let written = fs::write(&path, config.to_string());
        written.map_err(|error| {
            Failure::from_error(
                "the folder for temporary files cannot be written to",
                &error,
            )
            .hint("`TMPDIR` names another")
        })?;
        let mut command = Command::new("/proc/self/exe");
        command.arg("gateway").arg("--config").arg(&path);
        // A variable wins over the file: one of them may name the database that customers use.
        for variable in GATEWAY_VARIABLES {
            command.env_remove(variable.name);
        }
        let mut child = command
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| {
                Failure::from_error("a gateway cannot be started", &error)
                    .hint("the system's limit on processes may be too low (`ulimit -u`)")
            })?;
        let output = child.stdout.take().expect("BUG: it is piped");
        let mut gateway = Self {
            child,
            url: String::new(),
            internal_url: String::new(),
        };
        let mut lines = BufReader::new(output).lines();
        let mut read = |label: &str| {
            let line = lines.next().and_then(Result::ok).unwrap_or_default();
            let url = line.strip_prefix(label).map(str::to_owned);
            url.ok_or_else(|| {
                Failure::new("a gateway did not start").hint("what it says above is the reason")
            })
        };
        gateway.url = read("gateway on ")?;
        gateway.internal_url = read("nodes report to ")?;
        Ok(gateway)
    }

    /// Its process's id.
    pub(super) fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap_or_default()
    }
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        // What it was at is the benchmark's, and goes with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
