//! What a browser brings back from a provider.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use cookie::{Cookie, SameSite};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tryon_core::{secret::Secret, time::Timestamp};

use crate::{
    config::{GatewayConfig, ServerConfig},
    page::path,
    random::Random,
    session::is_secure,
};

/// How long somebody may take at the provider.
const LIFE: Duration = Duration::from_mins(10);

/// Characters of what the cookie holds, at most.
const LONGEST: usize = 512;

/// A way to the provider and back, of one browser.
///
/// The browser keeps random bytes, until when they are good and where to go on. `state`, `nonce` and
/// the verifier of PKCE are derived from that with a key that gateways have in common: whoever brings
/// a `state` back that fits the cookie has a cookie that a gateway made, to the letter, and is the
/// browser that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flow(String);

impl Flow {
    /// A way that begins now and leads to this page of ours.
    pub(crate) fn begin(random: &dyn Random, next: &str, now: Timestamp) -> Self {
        let mut bytes = [0; 32];
        random.fill(&mut bytes);
        let until = (now + LIFE).as_millis();
        let bytes = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        Self(format!("{bytes}.{until}.{}", path::ours(next)))
    }

    /// The way that this browser was sent on with this `state`, unless that took too long.
    pub(crate) fn find(
        headers: &HeaderMap,
        state: &str,
        config: &GatewayConfig,
        now: Timestamp,
    ) -> Option<Self> {
        let values = headers.get_all(header::COOKIE).iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        let name = cookie_name(&config.server);
        let flow = texts
            .flat_map(Cookie::split_parse)
            .filter_map(Result::ok)
            .find(|cookie| cookie.name() == name && cookie.value().len() <= LONGEST)
            .map(|cookie| Self(cookie.value().to_owned()))?;
        let expected = flow.state(&config.secrets.link_signing_key);
        let is_ours: bool = expected.as_bytes().ct_eq(state.as_bytes()).into();
        (is_ours && flow.until()? > now).then_some(flow)
    }

    fn until(&self) -> Option<Timestamp> {
        let millis = self.0.split('.').nth(1)?.parse().ok()?;
        Some(Timestamp::from_millis(millis))
    }

    /// Where to go on.
    pub(crate) fn next(&self) -> &str {
        path::ours(self.0.split('.').nth(2).unwrap_or_default())
    }

    /// What the provider gives back with the browser.
    pub(crate) fn state(&self, key: &Secret) -> String {
        self.derive(key, "state")
    }

    /// What the provider says the ID token is for.
    pub(super) fn nonce(&self, key: &Secret) -> String {
        self.derive(key, "nonce")
    }

    /// What proves to the provider that whoever asked first asks again: PKCE.
    pub(super) fn verifier(&self, key: &Secret) -> String {
        self.derive(key, "verifier")
    }

    fn derive(&self, key: &Secret, purpose: &str) -> String {
        // No link and no webhook is signed over a text like this one.
        let text = format!("signing in, {purpose}: {}", self.0);
        let mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes());
        let mac = mac.expect("BUG: HMAC takes keys of any length");
        BASE64_URL_SAFE_NO_PAD.encode(mac.chain_update(text).finalize().into_bytes())
    }

    /// What a way that is gone once only is known by.
    pub(crate) fn mark(&self) -> String {
        hex::encode(Sha256::digest(self.0.as_bytes()))
    }

    /// Has the browser keep it.
    pub(crate) fn set_cookie(&self, server: &ServerConfig) -> HeaderValue {
        make_cookie(&self.0, LIFE, server)
    }

    /// Has the browser forget it.
    pub(crate) fn end_cookie(server: &ServerConfig) -> HeaderValue {
        make_cookie("", Duration::ZERO, server)
    }
}

fn make_cookie(value: &str, life: Duration, server: &ServerConfig) -> HeaderValue {
    let seconds = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
    let cookie = Cookie::build((cookie_name(server), value))
        .path("/")
        .http_only(true)
        .secure(is_secure(server))
        // The provider leads back here, by a link.
        .same_site(SameSite::Lax)
        .max_age(cookie::time::Duration::seconds(seconds));
    HeaderValue::try_from(cookie.to_string()).expect("BUG: base64 and a page are a header value")
}

/// With this prefix no other host, and nobody without TLS, can set it.
fn cookie_name(server: &ServerConfig) -> &'static str {
    if is_secure(server) {
        "__Host-tryon-way"
    } else {
        "tryon-way"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn config() -> GatewayConfig {
        let mut config = GatewayConfig::default();
        config.secrets.link_signing_key = Secret::new("the key of all gateways");
        config
    }

    fn cookie(value: &str) -> HeaderMap {
        let value = format!("a=b; tryon-way={value}").parse().unwrap();
        HeaderMap::from_iter([(header::COOKIE, value)])
    }

    fn begin(seed: u64, next: &str) -> Flow {
        Flow::begin(&SeededRandom::new(seed), next, START)
    }

    #[test]
    fn a_way_is_of_one_browser_and_for_ten_minutes() {
        let (config, flow) = (config(), begin(1, "/app/developer/keys"));
        let key = &config.secrets.link_signing_key;
        let state = flow.state(key);
        let find = |cookie: &HeaderMap, state: &str, after| {
            Flow::find(cookie, state, &config, START + Duration::from_secs(after))
        };
        assert_eq!(find(&cookie(&flow.0), &state, 599), Some(flow.clone()));
        assert_eq!(flow.next(), "/app/developer/keys");
        assert_eq!(find(&cookie(&flow.0), &state, 600), None);
        assert_eq!(find(&HeaderMap::new(), &state, 0), None);
        let another = begin(2, "/admin");
        for (kept, state) in [
            (&another.0, &state),
            (&flow.0, &another.state(key)),
            (&flow.0, &flow.state(&Secret::new("another key"))),
            (&flow.0, &String::new()),
            (&flow.0.replace("keys", "jobs"), &state),
            (&flow.0.replace(".17", ".27"), &state),
        ] {
            assert_eq!(find(&cookie(kept), state, 0), None, "{kept}");
        }
    }

    #[test]
    fn what_is_told_to_one_is_of_no_use_to_another() {
        let (config, flow) = (config(), begin(1, ""));
        let key = &config.secrets.link_signing_key;
        let told = [flow.state(key), flow.nonce(key), flow.verifier(key)];
        assert!(told.iter().all(|text| text.len() == 43), "{told:?}");
        assert!(told[0] != told[1] && told[1] != told[2] && told[0] != told[2]);
        assert_ne!(flow.mark(), begin(2, "").mark());
    }

    #[test]
    fn a_way_leads_to_pages_of_ours_alone() {
        for next in [
            "https://evil.example",
            "//evil.example",
            "/admin.evil",
            "/docs",
        ] {
            assert_eq!(begin(1, next).next(), path::DASHBOARD, "{next}");
        }
    }
}
