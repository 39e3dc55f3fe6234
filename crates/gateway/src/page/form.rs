//! What a page's form sends.

use std::{convert::Infallible, str::FromStr, sync::Arc, time::Duration};

use axum::{
    extract::{FromRef, FromRequest, FromRequestParts, Request},
    http::{HeaderMap, HeaderValue, Uri, header, request::Parts},
};
use http_body_util::{BodyExt as _, Limited};
use tokio::time::timeout;
use url::{Url, form_urlencoded};

use crate::{app::App, config::ServerConfig, error::ApiError};

/// The largest form, in bytes.
const LONGEST: usize = 16 << 10;

/// The fields of a form, each with its value.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// What a field holds; nothing where there is none of this name.
    pub(crate) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value.trim())
    }

    /// What a field holds as it was typed.
    pub(crate) fn exactly(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value)
    }

    /// Whether a box is checked.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(field, _)| field == name)
    }

    /// The number in a field, which the message calls `what`.
    pub(crate) fn number(&self, name: &str, what: &str) -> Result<u32, String> {
        let text = self.get(name);
        let number = text.parse();
        number.map_err(|_| format!("{what}: `{text}` is not a whole number from 0 on"))
    }
}

impl<S> FromRequest<S> for Fields
where
    S: Send + Sync,
    Arc<App>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let config = &Arc::<App>::from_ref(state).config;
        read(
            request,
            &config.server,
            config.limits.header_timeout.duration(),
        )
        .await
    }
}

/// Reads a form, which arrives as soon as a request's head does.
async fn read(
    request: Request,
    server: &ServerConfig,
    patience: Duration,
) -> Result<Fields, ApiError> {
    let (parts, body) = request.into_parts();
    if is_foreign(&parts.headers, server) {
        let reason = "the form is on a page of somebody else: open this site and use its own";
        return Err(ApiError::bad_request(reason));
    }
    let body = Limited::new(body, LONGEST).collect();
    let body = timeout(patience, body).await;
    let body = body.map_err(|_| ApiError::body_timeout())?;
    let reason = "the form did not arrive whole, or is longer than any of ours: send it again";
    let body = body.map_err(|_| ApiError::bad_request(reason))?;
    let bytes = body.to_bytes();
    Ok(Fields(
        form_urlencoded::parse(&bytes).into_owned().collect(),
    ))
}

/// Whether the browser says that another site sends this, or that it is no form.
fn is_foreign(headers: &HeaderMap, server: &ServerConfig) -> bool {
    let site = headers.get("sec-fetch-site");
    let is_elsewhere = site.is_some_and(|site| site != "same-origin" && site != "none");
    let kind = headers.get(header::CONTENT_TYPE);
    let is_form = kind.is_some_and(|kind| {
        let form = b"application/x-www-form-urlencoded";
        kind.as_bytes().starts_with(form)
    });
    is_elsewhere
        || !is_form
        || headers
            .get(header::ORIGIN)
            .is_some_and(|origin| !is_ours(origin, headers.get(header::HOST), server))
}

/// Whether an origin is what clients call this gateway, or what this request does.
fn is_ours(origin: &HeaderValue, host: Option<&HeaderValue>, server: &ServerConfig) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    let named = Url::parse(&server.link_base()).map(|url| url.origin().ascii_serialization());
    let bare = origin.split_once("://").map(|(_, host)| host.as_bytes());
    named.is_ok_and(|named| named == origin)
        || (bare.is_some() && bare == host.map(HeaderValue::as_bytes))
}

/// The value of this name in a page's address, if it is there.
pub(crate) fn query(uri: &Uri, name: &str) -> Option<String> {
    let pairs = form_urlencoded::parse(uri.query()?.as_bytes());
    let mut values = pairs.filter(|(field, _)| field == name);
    values.next().map(|(_, value)| value.into_owned())
}

/// Where a list goes on: what is behind `after` in a page's address. What does not read is the
/// list's beginning.
pub(crate) struct After<T>(pub(crate) Option<T>);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for After<T> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let value = query(&parts.uri, "after");
        Ok(Self(value.and_then(|value| value.parse().ok())))
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    async fn send(head: &[(&str, &str)], body: impl Into<Body>) -> Result<Fields, ApiError> {
        let mut request = Request::builder().header("host", "127.0.0.1:8080");
        for (name, value) in head {
            request = request.header(*name, *value);
        }
        let server = ServerConfig {
            public_url: Some("https://tryon.example".parse().unwrap()),
            ..ServerConfig::default()
        };
        let request = request.body(body.into()).unwrap();
        read(request, &server, Duration::from_millis(50)).await
    }

    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

    #[tokio::test]
    async fn fields_are_found_by_name() {
        let fields = send(&[FORM], "name=%20a+b%20&on=&days=7&many=-1")
            .await
            .unwrap();
        assert_eq!(
            (fields.get("name"), fields.exactly("name")),
            ("a b", " a b ")
        );
        assert!(fields.has("on") && !fields.has("off"));
        assert_eq!(fields.get("off"), "");
        assert_eq!(fields.number("days", "Days"), Ok(7));
        assert!(fields.number("many", "Many").unwrap_err().contains("Many"));
    }

    #[tokio::test]
    async fn only_a_page_of_ours_sends_a_form() {
        for (site, fine) in [
            ("same-origin", true),
            ("none", true),
            ("same-site", false),
            ("cross-site", false),
        ] {
            let sent = send(&[FORM, ("sec-fetch-site", site)], "a=b").await;
            assert_eq!(sent.is_ok(), fine, "{site}");
        }
        assert!(
            send(&[("content-type", "text/plain")], "a=b")
                .await
                .is_err()
        );
        assert!(send(&[FORM], "x".repeat(LONGEST + 1)).await.is_err());
    }

    #[tokio::test]
    async fn an_origin_is_this_host_or_what_clients_call_it() {
        for (origin, fine) in [
            ("https://tryon.example", true),
            ("http://127.0.0.1:8080", true),
            ("https://tryon.example.evil", false),
            ("http://127.0.0.1:9", false),
            ("null", false),
        ] {
            let sent = send(&[FORM, ("origin", origin)], "a=b").await;
            assert_eq!(sent.is_ok(), fine, "{origin}");
        }
    }

    #[tokio::test]
    async fn a_form_that_does_not_come_is_not_waited_for() {
        let never = futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
        let refused = send(&[FORM], Body::from_stream(never)).await.unwrap_err();
        assert!(refused.message().contains("in time"), "{refused:?}");
    }
}
