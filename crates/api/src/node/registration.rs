//! How a node makes itself known to the gateways.

use serde::{Deserialize, Serialize};
use tryon_core::time::Seconds;
use url::Url;
use utoipa::ToSchema;

/// Where a gateway's internal listener takes registrations.
pub const REGISTRATION_PATH: &str = "/internal/v1/nodes";

/// The longest name, in bytes.
const LONGEST_NAME: usize = 200;

/// That a node is there: sent when it starts, and again and again while it runs. What it serves it
/// is asked for, as every node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Registration {
    /// Its name, which no other node has.
    #[schema(example = "gpu-1")]
    pub name: String,
    /// Where gateways reach it.
    #[schema(value_type = String, example = "http://10.0.0.11:8000")]
    pub url: Url,
}

/// What a gateway answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Registered {
    /// In how many seconds the node is taken for lost unless it is heard of again.
    #[schema(value_type = f32, example = 30.0)]
    pub lease: Seconds,
}

/// What is wrong with a registration.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationFault {
    /// It is not the JSON that is expected.
    #[error("the registration is not `{{\"name\", \"url\"}}`: {0}")]
    NotJson(#[from] serde_json::Error),
    /// Not a name.
    #[error("`name` has to be 1 to {LONGEST_NAME} bytes without control characters")]
    Name,
    /// Not an address that nodes can have.
    #[error(
        "`url` is `{0}`, not an `http://` or `https://` address without user, query and fragment"
    )]
    Address(Url),
}

impl Registration {
    /// Reads one, and checks it.
    pub fn parse(json: &[u8]) -> Result<Self, RegistrationFault> {
        let registration: Self = serde_json::from_slice(json)?;
        let Self { name, url } = &registration;
        if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
            return Err(RegistrationFault::Name);
        }
        if !is_address(url) {
            return Err(RegistrationFault::Address(url.clone()));
        }
        Ok(registration)
    }
}

/// Whether paths can be appended to it, and nobody reads it otherwise than we do.
fn is_address(url: &Url) -> bool {
    let plain = url.username().is_empty() && url.password().is_none();
    let ends = url.query().is_none() && url.fragment().is_none();
    matches!(url.scheme(), "http" | "https") && url.has_host() && plain && ends
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(name: &str, url: &str) -> Result<Registration, RegistrationFault> {
        let json = json!({"name": name, "url": url, "providers": ["preview"]});
        Registration::parse(json.to_string().as_bytes())
    }

    #[test]
    fn a_registration_names_a_node_and_its_address() {
        let sound = parse("pod-7", "http://10.0.0.7:8000").unwrap();
        assert_eq!(sound.url.as_str(), "http://10.0.0.7:8000/");
        let below = parse("a", "https://nodes.example/seven").unwrap();
        assert_eq!(below.url.as_str(), "https://nodes.example/seven");
        for name in ["", "a\nb", &"a".repeat(201)] {
            let fault = parse(name, "http://a").unwrap_err();
            assert!(matches!(fault, RegistrationFault::Name), "{fault}");
        }
        let odd = "ftp://a file:///etc http://me@a http://me:pw@a http://a/?b http://a/#b data:a";
        for url in odd.split(' ') {
            let fault = parse("a", url).unwrap_err();
            assert!(matches!(fault, RegistrationFault::Address(_)), "{fault}");
        }
        let fault = Registration::parse(b"{\"name\": \"a\"}").unwrap_err();
        assert!(fault.to_string().contains("missing field `url`"), "{fault}");
    }
}
