//! The sections.

use std::{num::NonZeroU32, path::PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use tryon_core::{secret::Secret, time::Seconds};
use url::Url;

const MIB: usize = 1024 * 1024;

/// A client that polls every 2 seconds with a key that was revoked fails 30 times a minute.
const FAILURES: NonZeroU32 = NonZeroU32::new(120).expect("BUG: it is not 0");

/// `server`: where the gateway listens and what clients call it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// The address of the public listener: an IP address or a host name.
    pub host: String,
    /// Its port; 0 lets the system choose one.
    pub port: u16,
    /// What clients call it: links to outputs start with this. `http://<host>:<port>` where
    /// absent, or `https://…` with a certificate; name it when a proxy stands in front, and for
    /// the name that a certificate is for.
    pub public_url: Option<Url>,
    /// A file with the certificate of the public listener in PEM, those that it was signed with
    /// after it: the listener then speaks TLS alone. Read again when it changes. Without one it
    /// does not encrypt, which is right behind a proxy that does.
    pub tls_certificate: Option<PathBuf>,
    /// A file with that certificate's private key in PEM.
    pub tls_key: Option<PathBuf>,
    /// Networks of the proxies in front, such as `10.1.0.0/16`: of the addresses that they name in
    /// `X-Forwarded-For`, the last one outside of these networks is taken for the client's.
    pub trusted_proxies: Vec<IpNet>,
    /// The address of the listener that nodes report to. Nobody else needs to reach it.
    pub internal_host: String,
    /// Its port; 0 lets the system choose one.
    pub internal_port: u16,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8080,
            public_url: None,
            tls_certificate: None,
            tls_key: None,
            trusted_proxies: Vec::new(),
            internal_host: "127.0.0.1".to_owned(),
            internal_port: 8081,
        }
    }
}

impl ServerConfig {
    /// What links to outputs start with, without a slash at the end.
    pub fn link_base(&self) -> String {
        match &self.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!(
                "{}://{}:{}",
                self.scheme(),
                reachable(&self.host),
                self.port
            ),
        }
    }

    /// What the public listener speaks: `https` with a certificate, `http` without.
    pub const fn scheme(&self) -> &'static str {
        match self.tls_certificate {
            Some(_) => "https",
            None => "http",
        }
    }

    /// What this machine's nodes can call the internal listener, without a slash at the end.
    pub fn internal_base(&self) -> String {
        let host = reachable(&self.internal_host);
        format!("http://{host}:{}", self.internal_port)
    }
}

/// A name for the host that this machine's clients can connect to.
fn reachable(host: &str) -> String {
    match host {
        "0.0.0.0" | "::" | "[::]" => "127.0.0.1".to_owned(),
        host if host.contains(':') && !host.starts_with('[') => format!("[{host}]"),
        host => host.to_owned(),
    }
}

/// `storage`: where pictures are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// A folder, created for its owner alone where there is none.
    pub path: PathBuf,
    /// A bucket instead of the folder: `s3://<bucket>/<path>`, `gs://…` or `azure://…`. Region,
    /// endpoint and credentials come from the environment, as the store's own tools name them:
    /// `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID` and so on, `GOOGLE_*`, `AZURE_*`.
    pub url: Option<String>,
    /// Whether whoever follows the link to an output is sent on to the bucket, to an address that
    /// it signed for a few minutes. Without it, where clients cannot reach the bucket, pictures
    /// pass through the gateway.
    pub redirect: bool,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::from("data/pictures"),
            url: None,
            redirect: true,
        }
    }
}

/// `rates`: where requests are counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateConfig {
    /// A Redis or Valkey in which several gateways count together:
    /// `redis://[user:password@]host[:port][/database]`, `rediss://…` with TLS, or
    /// `redis+unix://<path>`. Each gateway counts in its own memory where absent.
    pub url: Option<Secret>,
}

/// `secrets`: what nobody else may know.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretConfig {
    /// Signs the links to outputs. Links end with it: keep it across restarts, and give several
    /// gateways the same one.
    pub link_signing_key: Secret,
    /// What the keys of webhooks are derived from; `link_signing_key` where absent. Accounts check
    /// webhooks with those: keep it across restarts, and give several gateways the same one.
    pub webhook_signing_key: Option<Secret>,
}

/// One of `nodes`: who computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Its name in logs and the store.
    pub name: String,
    /// Where it listens, such as `http://10.0.0.7:8000`.
    pub url: Url,
    /// What it wants to be told as `X-Internal-Auth`.
    #[serde(default)]
    pub token: Option<Secret>,
}

/// `registration`: nodes that make themselves known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistrationConfig {
    /// What every node that registers is told as `X-Internal-Auth`: its own
    /// `security.internal_auth_token`. Registrations are refused where this is absent. Whoever
    /// registers is sent this and the pictures of jobs, and proves itself by `callbacks.token`.
    pub node_token: Option<Secret>,
    /// How long a node that registered is given work without being heard of again. Nodes are told
    /// so, and call three times as often.
    pub lease: Seconds,
    /// How long a node that is not heard of any more is remembered.
    pub forget_after: Seconds,
}

impl Default for RegistrationConfig {
    fn default() -> Self {
        Self {
            node_token: None,
            lease: Seconds::new(30),
            forget_after: Seconds::new(60 * 60),
        }
    }
}

/// `callbacks`: who may report results, and register as a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallbackConfig {
    /// What results and registrations must carry as `X-Internal-Auth`.
    pub token: Secret,
}

/// `fetch`: how input pictures are fetched, and where webhooks may go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FetchConfig {
    /// Whether pictures may come from private, loopback and link-local addresses: for
    /// development, and for a gateway whose clients are all trusted.
    pub allow_private: bool,
    /// Host names that may resolve to such addresses all the same.
    pub allowed_hosts: Vec<String>,
    /// Networks that are reached all the same, such as `10.1.0.0/16`.
    pub allowed_networks: Vec<IpNet>,
    /// The largest file that is read, in bytes.
    pub max_bytes: usize,
    /// Redirects that are followed.
    pub max_redirects: usize,
    /// How long a connection may take.
    pub connect_timeout: Seconds,
    /// How long it may be silent.
    pub read_timeout: Seconds,
    /// How long one picture may take, redirects included.
    pub timeout: Seconds,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self {
            allow_private: false,
            allowed_hosts: Vec::new(),
            allowed_networks: Vec::new(),
            max_bytes: 20 * MIB,
            max_redirects: 5,
            connect_timeout: Seconds::new(5),
            read_timeout: Seconds::new(10),
            timeout: Seconds::new(30),
        }
    }
}

/// `webhooks`: how clients are told of their jobs' ends.
///
/// They are sent where `fetch` lets pictures come from, and to `http:` addresses only where it
/// opens a private host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookConfig {
    /// How long a receiver may take to answer.
    pub timeout: Seconds,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            timeout: Seconds::new(15),
        }
    }
}

/// `jobs`: how long things take, and are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobConfig {
    /// A job that has not ended this long after its submission fails with `Timeout`. Published
    /// clients give up after 120 seconds: with less they are told why.
    pub deadline: Seconds,
    /// How long outputs are kept, and links to them valid, after a job ended.
    pub output_retention: Seconds,
    /// How long outputs may wait for their download where an account keeps them for 0 seconds, which
    /// is until each was downloaded once.
    pub download_grace: Seconds,
    /// Attempts that may be lost before a sample fails with `PipelineError`.
    pub max_lost: u32,
    /// How long a node keeps an attempt, and a gateway a preparation, without a sign of life.
    pub lease: Seconds,
    /// How long a node that refused our token is left alone before it is asked again.
    pub quarantine: Seconds,
    /// How old a picture is before it is erased because no job names it.
    pub orphan_age: Seconds,
    /// How long a picture that was uploaded ahead may be used, in any number of jobs.
    pub upload_retention: Seconds,
}

impl Default for JobConfig {
    fn default() -> Self {
        Self {
            deadline: Seconds::new(110),
            output_retention: Seconds::new(72 * 60 * 60),
            download_grace: Seconds::new(10 * 60),
            max_lost: 3,
            lease: Seconds::new(30),
            quarantine: Seconds::new(60),
            orphan_age: Seconds::new(60 * 60),
            upload_retention: Seconds::new(60 * 60),
        }
    }
}

/// `limits`: what is accepted, and how long it is waited for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitConfig {
    /// The largest picture that may be sent along with a request, in bytes, before base64.
    pub picture_bytes: usize,
    /// The largest body of a request, in bytes. Two of the largest pictures fit, as base64.
    pub body_bytes: usize,
    /// Memory that the bodies of all clients' requests may take together, in bytes. A request
    /// waits for its share before its body is read. Results of nodes, each of at most
    /// `body_bytes`, share four times that besides.
    pub buffered_bytes: usize,
    /// How long a request waits for its share of that memory before it is refused.
    pub buffer_wait: Seconds,
    /// Requests without a valid key that an address, or the 64 bits of an IPv6 one, may make in a
    /// minute before more of them are refused unseen. Keys that worked at this gateway
    /// before are not concerned.
    pub failures_per_minute: NonZeroU32,
    /// Connections that may be open at the same time; others wait to be accepted.
    pub connections: usize,
    /// Streams of a job's events, and requests that wait for a job's end, that an account may have
    /// open at this gateway at the same time.
    pub followers: u32,
    /// Pictures that an account may have uploaded ahead at the same time.
    pub uploads: usize,
    /// How long a request's head may take.
    pub header_timeout: Seconds,
    /// How long a request's body may be silent.
    pub body_idle: Seconds,
    /// How long a client may leave an answer unread before its connection is closed.
    pub write_idle: Seconds,
    /// How long a request's body may take as a whole.
    pub body_timeout: Seconds,
    /// How long a gateway that is told to end still takes requests, while `/readyz` says that it is
    /// not ready: longer than a load balancer in front takes to notice, nothing where there is none.
    pub drain: Seconds,
    /// How long requests under way may take to end then.
    pub shutdown: Seconds,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            picture_bytes: 20 * MIB,
            body_bytes: 56 * MIB,
            buffered_bytes: 512 * MIB,
            buffer_wait: Seconds::new(10),
            failures_per_minute: FAILURES,
            connections: 4096,
            followers: 100,
            uploads: 100,
            header_timeout: Seconds::new(10),
            body_idle: Seconds::new(15),
            write_idle: Seconds::new(60),
            body_timeout: Seconds::new(120),
            drain: Seconds::new(0),
            shutdown: Seconds::new(30),
        }
    }
}
