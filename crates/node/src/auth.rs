//! The shared token.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tryon_api::callback::AUTH_HEADER;

use crate::{app::App, config::SecurityConfig, refusal::Refusal};

/// Decides whether a request carries the token. Both sides are hashed first, so that the
/// comparison takes the same time whatever was sent, however long.
pub(crate) struct Gatekeeper {
    /// Absent when no token is required.
    expected: Option<[u8; 32]>,
}

impl Gatekeeper {
    pub(crate) fn new(config: &SecurityConfig) -> Self {
        let token = config
            .internal_auth_token
            .as_ref()
            .filter(|_| config.require_auth);
        Self {
            expected: token.map(|token| Sha256::digest(token.expose()).into()),
        }
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(expected) = &self.expected else {
            return true;
        };
        let Some(given) = headers.get(AUTH_HEADER) else {
            return false;
        };
        let given: [u8; 32] = Sha256::digest(given.as_bytes()).into();
        given.ct_eq(expected).into()
    }
}

/// Middleware for the routes that need the token. The body is not looked at.
pub(crate) async fn require_token(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    if app.gatekeeper.admits(request.headers()) {
        return Ok(next.run(request).await);
    }
    Err(Refusal::Unauthorized)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use tryon_core::secret::Secret;

    use super::*;

    fn admits(require_auth: bool, given: Option<&'static str>) -> bool {
        let internal_auth_token = Some(Secret::new("token"));
        let keeper = Gatekeeper::new(&SecurityConfig {
            require_auth,
            internal_auth_token,
        });
        let mut headers = HeaderMap::new();
        if let Some(given) = given {
            headers.insert(AUTH_HEADER, HeaderValue::from_static(given));
        }
        keeper.admits(&headers)
    }

    #[test]
    fn only_the_token_opens() {
        assert!(admits(true, Some("token")));
        for other in [None, Some(""), Some("Token"), Some("tokentoken")] {
            assert!(!admits(true, other), "{other:?}");
            assert!(admits(false, other), "{other:?}");
        }
    }
}
