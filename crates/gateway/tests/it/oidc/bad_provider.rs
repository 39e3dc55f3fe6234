//! A provider that says what is not so.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{net::TcpListener, task::JoinHandle};
use tryon_testkit::oidc::{CLIENT, CLIENT_SECRET};

use super::browser::{Browser, query};
use crate::stage::Answer;

/// What it does wrong with a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    None,
    /// For another browser.
    OtherNonce,
    NoNonce,
    /// For another client, which could have sent it here.
    OtherAudience,
    MoreAudiences,
    OtherIssuer,
    Expired,
    /// Signed with a key that is not the one it is said to be.
    OtherKey,
    UnknownKey,
    /// Changed after it was signed.
    ChangedClaims,
    NoSignature,
    /// Signed with what is no key of its own.
    SharedSecret,
    NoIdToken,
    LongSubject,
    Endless,
    Silent,
    /// It sends whoever asks to somebody else.
    Elsewhere,
}

struct Inner {
    issuer: String,
    key: KeyPair,
    other: KeyPair,
    said: Mutex<Said>,
}

struct Said {
    lie: Lie,
    nonce: String,
    issuer: String,
}

pub(super) struct BadProvider {
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

impl BadProvider {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let key = || KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let inner = Arc::new(Inner {
            key: key(),
            other: key(),
            said: Mutex::new(Said {
                lie: Lie::None,
                nonce: String::new(),
                issuer: issuer.clone(),
            }),
            issuer,
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(describe))
            .route("/keys", get(list_keys))
            .route("/token", post(give_tokens))
            .with_state(Arc::clone(&inner));
        let task = tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Self { inner, task }
    }

    pub(super) fn issuer(&self) -> &str {
        &self.inner.issuer
    }

    /// Says that it is another.
    pub(super) fn describe_as(&self, issuer: &str) {
        issuer.clone_into(&mut self.inner.said.lock().unwrap().issuer);
    }

    /// Leads a browser back at once, as anna.
    pub(super) async fn lead_back(&self, browser: &mut Browser<'_>, lie: Lie) -> Answer {
        let address = browser.begin("").await;
        self.inner.prepare(lie, query(&address, "nonce"));
        let state = query(&address, "state");
        let back = format!("/app/sign-in/callback?code=a-code&state={state}");
        browser.get(&back).await
    }
}

impl Drop for BadProvider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn describe(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let (own, said) = (&inner.issuer, inner.said.lock().unwrap());
    Json(json!({
        "issuer": said.issuer,
        "authorization_endpoint": format!("{own}/auth"),
        "token_endpoint": format!("{own}/token"),
        "jwks_uri": format!("{own}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        // What it says that it signs with is not what counts.
        "id_token_signing_alg_values_supported": ["EdDSA", "HS256", "none"],
    }))
}

async fn list_keys(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let x = BASE64_URL_SAFE_NO_PAD.encode(inner.key.der_bytes());
    Json(json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "its-key", "x": x},
    ]}))
}

async fn give_tokens(State(inner): State<Arc<Inner>>) -> Response {
    let lie = inner.said.lock().unwrap().lie;
    match lie {
        Lie::Silent => std::future::pending().await,
        Lie::Elsewhere => {
            let head = [(header::LOCATION, format!("{}/elsewhere", inner.issuer))];
            (StatusCode::TEMPORARY_REDIRECT, head).into_response()
        }
        Lie::Endless => {
            let more = || Ok::<_, Infallible>(Bytes::from_static(&[b' '; 1 << 14]));
            let body = Body::from_stream(futures::stream::repeat_with(more));
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        _ => {
            let mut tokens = json!({"access_token": "a", "token_type": "Bearer"});
            if lie != Lie::NoIdToken {
                tokens["id_token"] = inner.id_token(lie).into();
            }
            Json(tokens).into_response()
        }
    }
}

impl Inner {
    fn prepare(&self, lie: Lie, nonce: String) {
        let mut said = self.said.lock().unwrap();
        (said.lie, said.nonce) = (lie, nonce);
    }

    fn claims(&self, lie: Lie) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let (hour, minute) = (Duration::from_hours(1), Duration::from_mins(1));
        let before = now.checked_sub(hour).unwrap();
        let mut claims = json!({
            "iss": self.issuer,
            "sub": "a-1",
            "aud": CLIENT,
            "iat": before.as_secs(),
            "exp": (now + minute).as_secs(),
            "nonce": self.said.lock().unwrap().nonce,
            "email": "anna@shop.example",
            "email_verified": true,
        });
        match lie {
            Lie::OtherNonce => claims["nonce"] = "another".into(),
            Lie::NoNonce => drop(claims.as_object_mut().unwrap().remove("nonce")),
            Lie::OtherAudience => claims["aud"] = "another".into(),
            Lie::MoreAudiences => claims["aud"] = json!([CLIENT, "another"]),
            Lie::OtherIssuer => claims["iss"] = "https://another.example".into(),
            Lie::Expired => claims["exp"] = (before + minute).as_secs().into(),
            Lie::LongSubject => claims["sub"] = "a".repeat(256).into(),
            _ => {}
        }
        claims
    }

    fn id_token(&self, lie: Lie) -> String {
        let kid = match lie {
            Lie::UnknownKey => "no-key-of-its",
            _ => "its-key",
        };
        let header = match lie {
            Lie::NoSignature => json!({"alg": "none"}),
            Lie::SharedSecret => json!({"alg": "HS256"}),
            _ => json!({"alg": "EdDSA", "kid": kid}),
        };
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let mut claims = self.claims(lie);
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = match lie {
            Lie::NoSignature => Vec::new(),
            Lie::SharedSecret => {
                let mac = Hmac::<Sha256>::new_from_slice(CLIENT_SECRET.as_bytes()).unwrap();
                mac.chain_update(&signed).finalize().into_bytes().to_vec()
            }
            Lie::OtherKey => self.other.sign(signed.as_bytes()).unwrap(),
            _ => self.key.sign(signed.as_bytes()).unwrap(),
        };
        if lie == Lie::ChangedClaims {
            claims["sub"] = "b-1".into();
        }
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        format!("{}.{}.{signature}", part(&header), part(&claims))
    }
}
