//! Where traces go.

use serde::{Deserialize, Serialize};
use tryon_core::secret::Secret;
use url::Url;

/// What is added to a collector's base URL.
const PATH: &str = "v1/traces";

/// `traces`: where spans are sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TracesConfig {
    /// The base URL of a collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`;
    /// `/v1/traces` is added to it. Nothing is traced where neither this nor `traces.exact_endpoint`
    /// is set. In `tryon serve`, where gateway and node are one process, the gateway's section counts,
    /// and the node's where that names no collector.
    pub endpoint: Option<Url>,
    /// The same as a whole URL, to which nothing is added; it wins.
    pub exact_endpoint: Option<Url>,
    /// Headers for the collector, such as a key: `name=value`, with commas between them, and values
    /// in percent-encoding where they have commas themselves.
    pub headers: Option<Secret>,
    /// What traces call this service; `tryon`, `tryon-gateway` or `tryon-node` where it is not set.
    pub service_name: Option<String>,
    /// The share of traces that are sent, 0–1, of those that begin here. Who sends a `traceparent`
    /// has decided already.
    pub sample_ratio: f64,
}

impl Default for TracesConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            exact_endpoint: None,
            headers: None,
            service_name: None,
            sample_ratio: 1.0,
        }
    }
}

/// A setting with which nothing can be traced. The message names its key, and no header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TracesFault {
    /// An address that cannot be posted to.
    #[error(
        "`{key}` is a `{scheme}` address; give an http or https address, such as `http://127.0.0.1:4318`"
    )]
    NotHttp {
        /// Which.
        key: &'static str,
        /// What it is.
        scheme: String,
    },
    /// An address with a password in it, which would be printed.
    #[error("`{key}` holds a user or a password; say them in `traces.headers`")]
    Credentials {
        /// Which.
        key: &'static str,
    },
    /// Headers that cannot be sent.
    #[error(
        "header {number} of `traces.headers` is none; `name=value` is needed, with commas between them"
    )]
    BadHeader {
        /// Which, from 1.
        number: usize,
    },
    /// A share outside its range.
    #[error("`traces.sample_ratio` is {value}, not between 0 and 1")]
    BadRatio {
        /// What it is.
        value: String,
    },
    /// A name that is none.
    #[error("`traces.service_name` is empty")]
    NoName,
}

impl TracesConfig {
    /// Whether it names a collector.
    pub const fn is_on(&self) -> bool {
        self.endpoint.is_some() || self.exact_endpoint.is_some()
    }

    /// Everything that keeps a service of this configuration from tracing; empty when nothing does.
    pub fn faults(&self) -> Vec<TracesFault> {
        let addresses = [
            ("traces.endpoint", &self.endpoint),
            ("traces.exact_endpoint", &self.exact_endpoint),
        ];
        let mut faults = Vec::new();
        for (key, url) in addresses {
            faults.extend(url.as_ref().and_then(|url| url_fault(key, url)));
        }
        faults.extend(self.headers().err());
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            let value = self.sample_ratio.to_string();
            faults.push(TracesFault::BadRatio { value });
        }
        if self.service_name.as_ref().is_some_and(String::is_empty) {
            faults.push(TracesFault::NoName);
        }
        faults
    }

    /// Where spans are posted to.
    pub(crate) fn url(&self) -> Option<String> {
        let base = || {
            let base = self.endpoint.as_ref()?.as_str().trim_end_matches('/');
            Some(format!("{base}/{PATH}"))
        };
        self.exact_endpoint
            .as_ref()
            .map(Url::to_string)
            .or_else(base)
    }

    /// The headers, one by one.
    pub(crate) fn headers(&self) -> Result<Vec<(String, String)>, TracesFault> {
        let text = self.headers.as_ref().map_or("", |headers| headers.expose());
        let listed = text.split(',').map(str::trim).enumerate();
        let listed = listed.filter(|(_, header)| !header.is_empty());
        let read = listed.map(|(index, header)| {
            read_header(header).ok_or(TracesFault::BadHeader { number: index + 1 })
        });
        read.collect()
    }
}

fn url_fault(key: &'static str, url: &Url) -> Option<TracesFault> {
    if !matches!(url.scheme(), "http" | "https") {
        let scheme = url.scheme().to_owned();
        return Some(TracesFault::NotHttp { key, scheme });
    }
    let bare = url.username().is_empty() && url.password().is_none();
    (!bare).then_some(TracesFault::Credentials { key })
}

/// A header that can be sent as it is, so that none is left out quietly.
fn read_header(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let value = decode(value.trim())?;
    let name: http::HeaderName = name.trim().parse().ok()?;
    http::HeaderValue::try_from(value.as_str()).ok()?;
    Some((name.to_string(), value))
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                // A sign is no digit, which the parser would take.
                let digits = str::from_utf8(&digits)
                    .ok()
                    .filter(|it| it.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
                u8::from_str_radix(digits, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_headers(text: &str) -> TracesConfig {
        TracesConfig {
            headers: Some(Secret::new(text)),
            ..TracesConfig::default()
        }
    }

    #[test]
    fn a_path_is_added_to_a_base_alone() {
        let url = |endpoint: Option<&str>, exact: Option<&str>| {
            let parse = |url: &str| url.parse().unwrap();
            let config = TracesConfig {
                endpoint: endpoint.map(parse),
                exact_endpoint: exact.map(parse),
                ..TracesConfig::default()
            };
            config.url()
        };
        assert_eq!(url(None, None), None);
        let base = url(Some("http://collector:4318"), None);
        assert_eq!(base.unwrap(), "http://collector:4318/v1/traces");
        let base = url(Some("https://shop.example/otlp/"), None);
        assert_eq!(base.unwrap(), "https://shop.example/otlp/v1/traces");
        let exact = url(Some("http://collector:4318"), Some("http://other/in?x=1"));
        assert_eq!(exact.unwrap(), "http://other/in?x=1");
    }

    #[test]
    fn headers_are_read_as_the_standard_writes_them() {
        let config = with_headers("api-key=s3cret, x-list=a%2Cb%20c,");
        let headers = config.headers().unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            headers,
            [pair("api-key", "s3cret"), pair("x-list", "a,b c")]
        );
        assert_eq!(with_headers("").headers().unwrap(), []);
        for wrong in [
            "s3cret",
            "a b=s3cret",
            "a=%2",
            "a=%+1",
            "a=%zz",
            "a=%0a",
            "=s3cret",
        ] {
            let fault = with_headers(&format!("x=1,{wrong}")).faults().remove(0);
            assert_eq!(fault, TracesFault::BadHeader { number: 2 }, "{wrong}");
            assert!(!fault.to_string().contains("s3cret"));
        }
    }

    #[test]
    fn what_cannot_work_is_told_with_its_key() {
        let config = TracesConfig {
            endpoint: "grpc://collector:4317".parse().ok(),
            exact_endpoint: "https://me:s3cret@collector/".parse().ok(),
            sample_ratio: f64::NAN,
            service_name: Some(String::new()),
            ..TracesConfig::default()
        };
        let faults: Vec<_> = config.faults().iter().map(ToString::to_string).collect();
        let text = faults.join("\n");
        for key in [
            "endpoint` is a `grpc`",
            "exact_endpoint`",
            "sample_ratio` is NaN",
            "service_name`",
        ] {
            assert!(text.contains(&format!("`traces.{key}")), "{text}");
        }
        assert!(!text.contains("s3cret"), "{text}");
        assert_eq!(TracesConfig::default().faults(), []);
    }
}
