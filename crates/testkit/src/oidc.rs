//! A provider of OpenID Connect, in a process of its own.
//!
//! It is the npm package `oidc-provider`, unchanged, with clients and people of a test's.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// A client with a secret, and one without.
pub const CLIENT: &str = "tryon";
/// What the former proves itself with: characters that have to be escaped on their way.
pub const CLIENT_SECRET: &str = "the secret: of tryon+%";
/// A client that is public.
pub const PUBLIC_CLIENT: &str = "tryon-public";

/// The folder of the package in `TRYON_TEST_CLIENTS`.
const PACKAGE: &str = "oidc-provider-9.13.3";

/// The provider. It is killed when this is dropped.
pub struct OidcProvider {
    process: Child,
    issuer: String,
}

impl OidcProvider {
    /// Starts one that says in an ID token all that it knows.
    pub fn start() -> Self {
        Self::spawn("0", &[])
    }

    /// One that says no more there than who it is.
    pub fn start_thin() -> Self {
        Self::spawn("0", &["thin"])
    }

    /// What it calls itself.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Kills it.
    pub fn kill(&mut self) {
        // It may be dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Kills it and starts it again with other keys, as the same.
    pub fn restart(&mut self) {
        self.kill();
        let (_, port) = self.issuer.rsplit_once(':').expect("it has a port");
        *self = Self::spawn(port, &[]);
    }

    fn spawn(port: &str, more: &[&str]) -> Self {
        let clients = env::var_os("TRYON_TEST_CLIENTS")
            .expect("the provider is needed: run ./test.sh, which installs it");
        let mut process = Command::new("node")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/oidc_provider.mjs"))
            .arg(Path::new(&clients).join(PACKAGE))
            .arg(port)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("apt-get install npm: {error}"));
        let mut said = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let issuer = loop {
            let line = said.next().and_then(Result::ok);
            let line = line.expect("`oidc-provider` is needed: run ./test.sh, which installs it");
            if let Some(issuer) = line.strip_prefix("issuer ") {
                break issuer.to_owned();
            }
        };
        // It says nothing that is read any more, and is not to wait for that.
        std::thread::spawn(move || said.for_each(drop));
        Self { process, issuer }
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        self.kill();
    }
}
