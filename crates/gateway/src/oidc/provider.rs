//! A provider of OpenID Connect, as it says of itself, and what it says of people.

use std::{collections::HashMap, error::Error, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use openidconnect::{
    AccessToken, AdditionalClaims, AuthType, AuthenticationFlow, AuthorizationCode,
    ClaimsVerificationError, Client, ClientId, ClientSecret, ConfigurationError, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, IdToken, IdTokenClaims, IdTokenFields, IssuerUrl, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError,
    Scope, SignatureVerificationError, StandardErrorResponse, StandardTokenResponse,
    SubjectIdentifier, TokenResponse as _, UserInfoClaims,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType,
        CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreResponseType, CoreRevocableToken,
        CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;
use tryon_core::{secret::Secret, time::Timestamp};
use tryon_store::Identity;
use url::Url;

use super::{
    Flow,
    transport::{Transport, TransportError},
};
use crate::{
    config::{GatewayConfig, OidcConfig},
    page::path,
};

/// How long what a provider says of itself is believed.
const FRESH: Duration = Duration::from_hours(1);

/// How long a provider that did not answer is left alone: those who wait for the same answer meanwhile
/// do not each wait for their own.
const PAUSE: Duration = Duration::from_secs(5);

/// Characters of what a provider calls somebody, at most: so says OpenID Connect.
const LONGEST_SUBJECT: usize = 255;

/// Signatures that are believed: of the provider's own keys. With a secret that both know, whoever
/// reads the configuration could sign.
const SIGNATURES: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Claims that the standard does not name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct OtherClaims {
    #[serde(flatten)]
    all: HashMap<String, Value>,
}

impl AdditionalClaims for OtherClaims {}

type Fields = IdTokenFields<
    OtherClaims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

type Tokens = StandardTokenResponse<Fields, CoreTokenType>;

type Claims = IdTokenClaims<OtherClaims, CoreGenderClaim>;

type SignedClaims = IdToken<
    OtherClaims,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

/// What asks a provider whose description is known.
type KnownProvider = Client<
    OtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

type Answering = BoxFuture<'static, Result<HttpResponse, TransportError>>;

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OidcError {
    /// What it says of itself cannot be had or used.
    #[error("the provider does not describe itself")]
    Undescribed(#[source] Box<dyn Error + Send + Sync>),
    /// A moment ago.
    #[error("the provider did not answer a moment ago")]
    Silent,
    /// Its description lacks something.
    #[error("the provider's description lacks something")]
    Incomplete(#[from] ConfigurationError),
    /// It does not give tokens for this code.
    #[error("the provider does not take the code: {0}")]
    Refused(StandardErrorResponse<CoreErrorResponseType>),
    /// What it gives for the code is no tokens.
    #[error("the provider gives no tokens")]
    NoTokens(#[source] Box<dyn Error + Send + Sync>),
    /// It gave tokens, and none of them says who it is.
    #[error("the provider gives no ID token")]
    NoIdToken,
    /// The ID token is not the provider's, not for us, not for now or not for this browser.
    #[error("the provider's ID token is not to be trusted")]
    Untrusted(#[from] ClaimsVerificationError),
    /// What it calls somebody is longer than it may be, or is no text.
    #[error("the provider calls somebody what is no subject")]
    BadSubject,
    /// It says nothing about the person.
    #[error("the provider says nothing about the person")]
    NoClaims(#[source] Box<dyn Error + Send + Sync>),
}

impl OidcError {
    /// Whether whoever wants to sign in has no part in it: the provider does not answer.
    pub(crate) const fn is_the_providers(&self) -> bool {
        matches!(
            self,
            Self::Undescribed(_) | Self::Silent | Self::NoTokens(_)
        )
    }
}

/// Somebody, as a provider knows them.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) identity: Identity,
    /// Their address of mail, if it is theirs for certain.
    pub(crate) mail: Option<String>,
    /// Whether they look after the platform, where the provider says that.
    pub(crate) is_operator: Option<bool>,
}

/// A provider that people sign in at.
#[derive(Debug)]
pub(crate) struct Provider {
    config: OidcConfig,
    issuer: IssuerUrl,
    back: RedirectUrl,
    /// What gateways have in common.
    key: Secret,
    transport: Transport,
    known: Mutex<Known>,
}

/// What is known of it at this time.
#[derive(Debug, Default)]
struct Known {
    provider: Option<(Arc<KnownProvider>, Timestamp)>,
    failed_at: Option<Timestamp>,
}

impl Provider {
    /// The provider of a sound configuration, if it names one. Nothing is asked of it yet.
    pub(crate) fn of(config: &GatewayConfig) -> reqwest::Result<Option<Self>> {
        let oidc = &config.sign_in.oidc;
        let Some(issuer) = oidc.issuer.clone() else {
            return Ok(None);
        };
        let back = format!("{}{}", config.server.link_base(), path::CALLBACK);
        Ok(Some(Self {
            issuer: IssuerUrl::new(issuer).expect("BUG: the configuration was checked"),
            back: RedirectUrl::new(back).expect("BUG: links start with a URL"),
            key: config.secrets.link_signing_key.clone(),
            transport: Transport::new(oidc.timeout.duration())?,
            known: Mutex::default(),
            config: oidc.clone(),
        }))
    }

    /// What it is called on the button.
    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    /// Whether somebody who says that they come from there, where they do, does.
    pub(crate) fn is(&self, issuer: Option<&str>) -> bool {
        issuer.is_none_or(|issuer| issuer == self.issuer.as_str())
    }

    /// Where a browser that begins this way is sent.
    pub(crate) async fn address(&self, flow: &Flow, now: Timestamp) -> Result<Url, OidcError> {
        let provider = self.find(now).await?;
        let (state, nonce) = (flow.state(&self.key), flow.nonce(&self.key));
        let scopes = self.config.scopes.iter().filter(|it| *it != "openid");
        let verifier = PkceCodeVerifier::new(flow.verifier(&self.key));
        let (url, _, _) = provider
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                || CsrfToken::new(state),
                || Nonce::new(nonce),
            )
            .add_scopes(scopes.cloned().map(Scope::new))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .url();
        Ok(url)
    }

    /// Who came back on this way, with this code.
    pub(crate) async fn identify(
        &self,
        flow: &Flow,
        code: &str,
        now: Timestamp,
    ) -> Result<Person, OidcError> {
        let provider = self.find(now).await?;
        let verifier = PkceCodeVerifier::new(flow.verifier(&self.key));
        let tokens = provider
            .exchange_code(AuthorizationCode::new(code.to_owned()))?
            .set_pkce_verifier(verifier)
            .request_async(&self.asking())
            .await
            .map_err(|error| match error {
                RequestTokenError::ServerResponse(said) => OidcError::Refused(said),
                error => OidcError::NoTokens(error.into()),
            })?;
        let token = tokens.id_token().ok_or(OidcError::NoIdToken)?;
        let nonce = Nonce::new(flow.nonce(&self.key));
        let claims = match verify(&provider, token, &nonce) {
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            )) => {
                // Keys are exchanged by being there before they are used; not all providers wait.
                let renewed = self.renew(&provider, now).await?;
                verify(&renewed, token, &nonce)?.clone()
            }
            claims => claims?.clone(),
        };
        self.describe(&provider, &claims, tokens.access_token())
            .await
    }

    /// The person whom these claims are about. What they leave out is asked for.
    async fn describe(
        &self,
        provider: &KnownProvider,
        claims: &Claims,
        token: &AccessToken,
    ) -> Result<Person, OidcError> {
        let identity = self.identity(claims.subject())?;
        let wanted = self.config.operator_claim.as_deref();
        let mut mail = claims.email().map(|mail| mail.to_string());
        let mut is_verified = claims.email_verified();
        let mut held = wanted.and_then(|name| claims.additional_claims().all.get(name).cloned());
        let is_short = mail.is_none() || (wanted.is_some() && held.is_none());
        if is_short && provider.user_info_url().is_some() {
            let subject = Some(claims.subject().clone());
            let told: UserInfoClaims<OtherClaims, CoreGenderClaim> = provider
                .user_info(token.clone(), subject)?
                .request_async(&self.asking())
                .await
                .map_err(|error| OidcError::NoClaims(error.into()))?;
            if mail.is_none() {
                mail = told.email().map(|mail| mail.to_string());
                is_verified = told.email_verified();
            }
            let more = wanted.and_then(|name| told.additional_claims().all.get(name).cloned());
            held = held.or(more);
        }
        Ok(Person {
            identity,
            mail: mail.filter(|_| is_verified == Some(true)),
            is_operator: wanted.map(|_| self.makes_operator(held.as_ref())),
        })
    }

    fn identity(&self, subject: &SubjectIdentifier) -> Result<Identity, OidcError> {
        let is_text = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !(1..=LONGEST_SUBJECT).contains(&subject.len()) || !is_text(subject) {
            return Err(OidcError::BadSubject);
        }
        Ok(Identity {
            issuer: self.issuer.to_string(),
            subject: subject.to_string(),
        })
    }

    fn makes_operator(&self, held: Option<&Value>) -> bool {
        let wanted = self.config.operator_value.as_deref();
        let is_it = |value: &Value| wanted.is_some() && value.as_str() == wanted;
        match held {
            Some(Value::Array(values)) => values.iter().any(is_it),
            Some(value) => is_it(value),
            None => false,
        }
    }

    /// What it says of itself.
    async fn find(&self, now: Timestamp) -> Result<Arc<KnownProvider>, OidcError> {
        let mut known = self.known.lock().await;
        match &known.provider {
            Some((provider, at)) if now.since(*at) < FRESH => Ok(Arc::clone(provider)),
            _ => self.learn(&mut known, now).await,
        }
    }

    /// The same anew, unless another browser had it renewed meanwhile.
    async fn renew(
        &self,
        stale: &Arc<KnownProvider>,
        now: Timestamp,
    ) -> Result<Arc<KnownProvider>, OidcError> {
        let mut known = self.known.lock().await;
        match &known.provider {
            Some((provider, _)) if !Arc::ptr_eq(provider, stale) => Ok(Arc::clone(provider)),
            _ => self.learn(&mut known, now).await,
        }
    }

    async fn learn(
        &self,
        known: &mut Known,
        now: Timestamp,
    ) -> Result<Arc<KnownProvider>, OidcError> {
        if known.failed_at.is_some_and(|at| now.since(at) < PAUSE) {
            return Err(OidcError::Silent);
        }
        let asking = self.asking();
        let described = CoreProviderMetadata::discover_async(self.issuer.clone(), &asking).await;
        match described {
            Ok(description) => {
                let provider = Arc::new(self.client(&description));
                *known = Known {
                    provider: Some((Arc::clone(&provider), now)),
                    failed_at: None,
                };
                Ok(provider)
            }
            Err(error) => {
                known.failed_at = Some(now);
                Err(OidcError::Undescribed(error.into()))
            }
        }
    }

    fn client(&self, description: &CoreProviderMetadata) -> KnownProvider {
        let id = ClientId::new(self.config.client_id.clone());
        let secret = self.config.client_secret.as_ref();
        let secret = secret.map(|secret| ClientSecret::new(secret.expose().to_owned()));
        let methods = description.token_endpoint_auth_methods_supported();
        let client: KnownProvider = Client::from_provider_metadata(description.clone(), id, secret);
        let offers = |method| methods.is_some_and(|methods| methods.contains(&method));
        // The standard's own way is the first that is tried, and what a provider offers that says
        // nothing.
        let by_body = offers(CoreClientAuthMethod::ClientSecretPost)
            && !offers(CoreClientAuthMethod::ClientSecretBasic);
        let client = if by_body {
            client.set_auth_type(AuthType::RequestBody)
        } else {
            client
        };
        client.set_redirect_uri(self.back.clone())
    }

    /// What sends the requests of `openidconnect`.
    fn asking(&self) -> impl Fn(HttpRequest) -> Answering + use<> {
        let transport = self.transport.clone();
        move |request| Box::pin(transport.clone().ask(request))
    }
}

/// What an ID token says, if the provider signed it for us, for now and for this browser.
fn verify<'t>(
    provider: &KnownProvider,
    token: &'t SignedClaims,
    nonce: &Nonce,
) -> Result<&'t Claims, ClaimsVerificationError> {
    let verifier = provider.id_token_verifier().set_allowed_algs(SIGNATURES);
    token.claims(&verifier, nonce)
}
