//! `sign_in`: who signs in to the pages, and how.

use serde::{Deserialize, Serialize};
use tryon_core::{id::AccountId, secret::Secret, time::Seconds};
use url::{Host, Url};

use super::ConfigFault;

/// `sign_in`: who signs in to the pages, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignInConfig {
    /// How long somebody stays signed in.
    pub session_life: Seconds,
    /// Whether passwords sign in. Without them `oidc` has to, and the command line makes the first
    /// operator: a user whose login is their address of mail.
    pub passwords: bool,
    /// A provider of OpenID Connect that people sign in at.
    pub oidc: OidcConfig,
}

impl Default for SignInConfig {
    fn default() -> Self {
        Self {
            session_life: Seconds::new(7 * 24 * 3600),
            passwords: true,
            oidc: OidcConfig::default(),
        }
    }
}

/// `sign_in.oidc`: a provider of OpenID Connect that people sign in at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OidcConfig {
    /// The provider, to the letter as it calls itself, such as `https://accounts.google.com`: what it
    /// says of itself is at `<issuer>/.well-known/openid-configuration`. Nobody signs in so where this
    /// is absent.
    pub issuer: Option<String>,
    /// What the provider calls this platform. It has to know `<public_url>/app/sign-in/callback` as
    /// the address to lead back to.
    pub client_id: String,
    /// What proves to the provider that it is this platform that asks. Absent where the provider
    /// knows it as a public client, which proves by PKCE alone that it asked before.
    pub client_secret: Option<Secret>,
    /// What the provider is called on the button: `Sign in with …`.
    pub name: String,
    /// What the provider is asked to tell, besides `openid`. Without `email` nobody signs in for the
    /// first time.
    pub scopes: Vec<String>,
    /// The account of those who sign in for the first time and have no login: one is made. Where this
    /// is absent only those come in whose verified address of mail is a login already.
    pub create_in: Option<AccountId>,
    /// The domains of the addresses of mail that a login is made for, such as `shop.example`; `*` for
    /// whomever the provider knows, which for a public one is everybody.
    pub create_domains: Vec<String>,
    /// The claim that says who is an operator, such as `groups`: whoever signs in is one from then on
    /// if it is, or holds, `operator_value`, and none otherwise. Where this is absent signing in
    /// changes nothing about that.
    pub operator_claim: Option<String>,
    /// What that claim is, or holds, for operators.
    pub operator_value: Option<String>,
    /// How long each answer of the provider may take.
    pub timeout: Seconds,
}

impl Default for OidcConfig {
    fn default() -> Self {
        Self {
            issuer: None,
            client_id: String::new(),
            client_secret: None,
            name: "single sign-on".to_owned(),
            scopes: vec!["email".to_owned(), "profile".to_owned()],
            create_in: None,
            create_domains: Vec::new(),
            operator_claim: None,
            operator_value: None,
            timeout: Seconds::new(10),
        }
    }
}

impl OidcConfig {
    /// Whether a login is made for whoever has this address of mail.
    pub(crate) fn creates(&self, mail: &str) -> bool {
        let domain = mail.rsplit_once('@').map_or("", |(_, domain)| domain);
        let admits = |it: &String| it == "*" || it.eq_ignore_ascii_case(domain);
        self.create_domains.iter().any(admits)
    }
}

pub(super) fn faults(config: &SignInConfig) -> Vec<ConfigFault> {
    let oidc = &config.oidc;
    let mut faults = Vec::new();
    if !config.passwords && oidc.issuer.is_none() {
        faults.push(ConfigFault::NobodySignsIn);
    }
    let issuer = oidc.issuer.iter();
    faults.extend(issuer.filter(|it| !is_safe(it)).map(|issuer| {
        let issuer = issuer.clone();
        ConfigFault::UnsafeIssuer { issuer }
    }));
    let pairs = [
        (
            ("sign_in.oidc.client_id", !oidc.client_id.is_empty()),
            ("sign_in.oidc.issuer", oidc.issuer.is_some()),
        ),
        (
            (
                "sign_in.oidc.create_domains",
                !oidc.create_domains.is_empty(),
            ),
            ("sign_in.oidc.create_in", oidc.create_in.is_some()),
        ),
        (
            ("sign_in.oidc.operator_claim", oidc.operator_claim.is_some()),
            ("sign_in.oidc.operator_value", oidc.operator_value.is_some()),
        ),
    ];
    for ((one, has_one), (other, has_other)) in pairs {
        let half = |given, absent| ConfigFault::Half { given, absent };
        match (has_one, has_other) {
            (true, false) => faults.push(half(one, other)),
            (false, true) => faults.push(half(other, one)),
            _ => {}
        }
    }
    faults
}

/// Whether nobody on the way can say what the provider's keys are.
fn is_safe(issuer: &str) -> bool {
    let Ok(url) = Url::parse(issuer) else {
        return false;
    };
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => return false,
    };
    let is_bare = url.query().is_none() && url.fragment().is_none();
    is_bare && (url.scheme() == "https" || (url.scheme() == "http" && is_here))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(config: &SignInConfig) -> Vec<String> {
        faults(config).iter().map(ToString::to_string).collect()
    }

    fn sound() -> SignInConfig {
        let mut config = SignInConfig::default();
        config.oidc.issuer = Some("https://id.example/realms/shop".to_owned());
        config.oidc.client_id = "tryon".to_owned();
        config
    }

    #[test]
    fn a_provider_is_named_whole_or_not_at_all() {
        assert_eq!(said(&SignInConfig::default()), [""; 0]);
        assert_eq!(said(&sound()), [""; 0]);
        let mut config = sound();
        config.oidc.client_id.clear();
        config.oidc.create_in = Some(AccountId::from_bytes([1; 12]));
        config.oidc.operator_claim = Some("groups".to_owned());
        let said = said(&config);
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].starts_with("`sign_in.oidc.client_id` is absent"));
        assert!(said[1].starts_with("`sign_in.oidc.create_domains` is absent"));
        assert!(said[2].starts_with("`sign_in.oidc.operator_value` is absent"));
    }

    #[test]
    fn without_passwords_a_provider_is_needed() {
        let off = |config: SignInConfig| SignInConfig {
            passwords: false,
            ..config
        };
        assert_eq!(said(&off(sound())), [""; 0]);
        assert_eq!(said(&off(SignInConfig::default())).len(), 1);
    }

    #[test]
    fn a_provider_is_asked_over_tls() {
        for (issuer, fine) in [
            ("https://accounts.google.com", true),
            ("http://localhost:8080/realms/shop", true),
            ("http://127.0.0.1:9", true),
            ("http://[::1]:9", true),
            ("http://id.example", false),
            ("http://10.0.0.7", false),
            ("ftp://id.example", false),
            ("id.example", false),
            ("https://id.example?a=b", false),
        ] {
            assert_eq!(is_safe(issuer), fine, "{issuer}");
        }
    }

    #[test]
    fn a_login_is_made_for_the_domains_that_are_named() {
        let mut oidc = sound().oidc;
        assert!(!oidc.creates("anna@shop.example"));
        oidc.create_domains = vec!["Shop.example".to_owned()];
        for (mail, fine) in [
            ("anna@shop.example", true),
            ("anna@evil.example", false),
            ("anna@shop.example@evil.example", false),
            ("anna@not-shop.example", false),
            ("anna@sub.shop.example", false),
            ("shop.example", false),
        ] {
            assert_eq!(oidc.creates(mail), fine, "{mail}");
        }
        oidc.create_domains = vec!["*".to_owned()];
        assert!(oidc.creates("anna@evil.example"));
    }
}
