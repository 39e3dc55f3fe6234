//! One request and its answer.

use std::time::Duration;

use reqwest::{
    Method, RequestBuilder, Response, StatusCode,
    header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER},
};
use serde::{Deserialize, de::DeserializeOwned};
use tryon_core::secret::Secret;
use url::Url;

use crate::{
    error::{AnswerFault, Error, InputFault, Refusal},
    record::{Page, Paging},
};

/// The most bytes of an answer: a page of a hundred jobs has less.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// The most bytes of a refusal: what else is sent with such a status is no part of this API.
const LONGEST_REFUSAL: usize = 64 * 1024;

/// Sends requests with an account's key.
#[derive(Debug)]
pub(crate) struct Caller {
    http: reqwest::Client,
    base: Url,
    /// Marked as sensitive, so that it prints as such.
    key: HeaderValue,
    /// How long a request may take.
    pub(crate) timeout: Duration,
}

impl Caller {
    pub(crate) fn new(http: reqwest::Client, base: &str, key: &Secret) -> Result<Self, InputFault> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose()))
            .map_err(|_| InputFault::Key)?;
        value.set_sensitive(true);
        if key.is_empty() {
            return Err(InputFault::Key);
        }
        Ok(Self {
            http,
            base: parse_base(base).ok_or(InputFault::Address)?,
            key: value,
            timeout: Duration::from_mins(1),
        })
    }

    /// A request to `/api/v1` and these segments, without a time limit of its own.
    pub(crate) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.request_at(method, self.url(path))
    }

    fn request_at(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        request.header(AUTHORIZATION, self.key.clone())
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        let mut segments = url.path_segments_mut().expect("BUG: it is an HTTP URL");
        segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        drop(segments);
        url
    }

    /// What is at this path.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Error> {
        self.ask(self.request(Method::GET, path)).await
    }

    /// A page of the list at this path.
    pub(crate) async fn get_page<T: DeserializeOwned>(
        &self,
        path: &[&str],
        paging: Paging,
    ) -> Result<Page<T>, Error> {
        let mut url = self.url(path);
        url.set_query(Some(&paging.query()));
        self.ask(self.request_at(Method::GET, url)).await
    }

    /// What a request is answered.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, Error> {
        let answer = accept(request.timeout(self.timeout).send().await).await?;
        let body = read(answer, LONGEST_ANSWER).await?;
        serde_json::from_slice(&body).map_err(|error| Error::NotThisApi(error.into()))
    }

    /// Has something done, of which nothing is answered but that it is.
    pub(crate) async fn tell(&self, request: RequestBuilder) -> Result<(), Error> {
        let sent = request.timeout(self.timeout).send().await;
        accept(sent).await.map(drop)
    }

    /// What a link leads to, if it is not larger than that. The key is not sent along.
    pub(crate) async fn download(&self, link: &str, limit: usize) -> Result<Vec<u8>, Error> {
        let sent = self.http.get(link).timeout(self.timeout).send().await;
        let answer = async { read(accept(sent).await?, limit).await };
        // A link opens a picture to whoever has it: it is in no error.
        answer.await.map_err(|error| match error {
            Error::Unreachable(error) => Error::Unreachable(error.without_url()),
            other => other,
        })
    }
}

fn parse_base(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok()?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none();
    url.set_query(None);
    url.set_fragment(None);
    fits.then_some(url)
}

/// The answer, if the request was not refused.
pub(crate) async fn accept(sent: reqwest::Result<Response>) -> Result<Response, Error> {
    let answer = sent.map_err(Error::Unreachable)?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let (status, headers) = (answer.status(), answer.headers().clone());
    // Whatever else it says, it is a refusal.
    let body = read(answer, LONGEST_REFUSAL).await.unwrap_or_default();
    let said: Said = serde_json::from_slice(&body).unwrap_or_default();
    Err(Error::Refused(refusal(status, &headers, said)))
}

/// The body of a refusal.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Said {
    error: String,
    message: String,
}

fn refusal(status: StatusCode, headers: &HeaderMap, said: Said) -> Refusal {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let seconds = header(RETRY_AFTER.as_str()).and_then(|it| it.parse().ok());
    Refusal {
        status: status.as_u16(),
        name: said.error,
        message: said.message,
        request_id: header("x-request-id").map(str::to_owned),
        retry_after: seconds.map(Duration::from_secs),
        is_final: header("x-should-retry") == Some("false"),
    }
}

/// A body of at most so many bytes.
async fn read(mut answer: Response, limit: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(Error::Unreachable)? {
        if body.len() + chunk.len() > limit {
            return Err(Error::NotThisApi(AnswerFault::TooLarge { limit }));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(base: &str, key: &str) -> Result<Caller, InputFault> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Caller::new(reqwest::Client::new(), base, &Secret::new(key))
    }

    #[test]
    fn paths_are_put_behind_the_address_whatever_is_in_them() {
        for (base, expected) in [
            ("http://a:8080", "http://a:8080/api/v1/end-users/a%2Fb%3F"),
            ("http://a:8080/", "http://a:8080/api/v1/end-users/a%2Fb%3F"),
            ("https://a/b/?c#d", "https://a/b/api/v1/end-users/a%2Fb%3F"),
        ] {
            let url = caller(base, "k").unwrap().url(&["end-users", "a/b?"]);
            assert_eq!(url.as_str(), expected);
        }
    }

    #[test]
    fn what_is_no_address_or_key_is_said_at_once_and_no_key_is_printed() {
        for base in ["", "a:8080", "ftp://a", "http://name:word@a"] {
            assert_eq!(
                caller(base, "k").unwrap_err(),
                InputFault::Address,
                "{base}"
            );
        }
        for key in ["", "a\nb"] {
            assert_eq!(caller("http://a", key).unwrap_err(), InputFault::Key);
        }
        let printed = format!("{:?}", caller("http://a", "tryon_secret").unwrap());
        assert!(!printed.contains("tryon_secret"), "{printed}");
    }
}
