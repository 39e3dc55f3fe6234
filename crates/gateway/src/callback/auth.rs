//! Who may report.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::HeaderMap,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use subtle::ConstantTimeEq as _;
use tryon_api::callback::AUTH_HEADER;
use tryon_core::secret::Secret;

use crate::{app::App, error::ApiError};

/// Middleware that lets in who knows the token. The body is not touched before.
pub(super) async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if knows(request.headers(), &app.config.callbacks.token) {
        return next.run(request).await;
    }
    tracing::warn!("a report without the right `X-Internal-Auth` was refused");
    let message = "`X-Internal-Auth` is absent or wrong: it has to be `callbacks.token`";
    ApiError::unauthorized(message).into_response()
}

/// Takes as long for a wrong token as for the right one of its length. An empty token, which no
/// gateway starts with, opens nothing.
fn knows(headers: &HeaderMap, token: &Secret) -> bool {
    let mut given = headers.get_all(AUTH_HEADER).iter();
    let (Some(one), None) = (given.next(), given.next()) else {
        return false;
    };
    !token.is_empty() && one.as_bytes().ct_eq(token.expose().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_whole_token_given_once_opens() {
        let token = Secret::new("0123456789abcdef");
        let admits = |given: &[&'static str], token: &Secret| {
            let mut headers = HeaderMap::new();
            for value in given {
                headers.append(AUTH_HEADER, HeaderValue::from_static(value));
            }
            knows(&headers, token)
        };
        assert!(admits(&["0123456789abcdef"], &token));
        assert!(!admits(&[], &token));
        assert!(!admits(&[""], &Secret::new("")));
        assert!(!admits(&["0123456789abcde"], &token));
        assert!(!admits(&["0123456789abcdeF"], &token));
        assert!(!admits(&["0123456789abcdef", "0123456789abcdef"], &token));
    }
}
