//! What a page's form sends.

use axum::{
    body::to_bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use url::form_urlencoded;

use crate::error::ApiError;

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

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        if is_foreign(&parts.headers) {
            let reason = "the form is on a page of somebody else: open this site and use its own";
            return Err(ApiError::bad_request(reason));
        }
        let bytes = to_bytes(body, LONGEST).await;
        let bytes = bytes.map_err(|_| ApiError::too_large("the form", LONGEST))?;
        let pairs = form_urlencoded::parse(&bytes);
        Ok(Self(pairs.into_owned().collect()))
    }
}

/// Whether the browser says that another site sends this.
fn is_foreign(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    site.is_some_and(|site| site != "same-origin" && site != "none")
        || headers.get(header::CONTENT_TYPE).is_none_or(|kind| {
            !kind
                .as_bytes()
                .starts_with(b"application/x-www-form-urlencoded")
        })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    async fn read(head: &[(&str, &str)], body: &'static str) -> Result<Fields, ApiError> {
        let mut request = Request::builder();
        for (name, value) in head {
            request = request.header(*name, *value);
        }
        Fields::from_request(request.body(Body::from(body)).unwrap(), &()).await
    }

    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

    #[tokio::test]
    async fn fields_are_found_by_name() {
        let fields = read(&[FORM], "name=%20a+b%20&on=&days=7&many=-1")
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
            let sent = read(&[FORM, ("sec-fetch-site", site)], "a=b").await;
            assert_eq!(sent.is_ok(), fine, "{site}");
        }
        assert!(
            read(&[("content-type", "text/plain")], "a=b")
                .await
                .is_err()
        );
        assert!(read(&[FORM], "x".repeat(LONGEST + 1).leak()).await.is_err());
    }
}
