//! Outputs, on signed links.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures::TryStreamExt as _;
use serde::Deserialize;
use tryon_api::public::ErrorBody;
use tryon_blob::{Blob, Key, LinkError};
use tryon_core::task::OutputFormat;
use tryon_store::Retention;
use url::Url;

use super::extract::UrlPath;
use crate::{
    app::App,
    error::{ApiError, Chain},
};

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// How long an address in the bucket is valid: for the download that follows, and no longer.
const DIRECT_VALIDITY: Duration = Duration::from_mins(5);

/// What makes a link valid.
#[derive(Deserialize)]
pub(super) struct Seal {
    expires: i64,
    signature: String,
}

/// Sends an output. The link is all that is needed; it ends with the picture.
#[utoipa::path(
    get,
    path = super::path::FILE,
    tag = "files",
    params(
        ("job" = String, Path, description = "The job's id"),
        ("file" = String, Path, description = "The picture's name, as the link has it"),
        ("expires" = i64, Query, description = "When the link ends, in seconds since 1970"),
        ("signature" = String, Query, description = "What makes the link valid"),
    ),
    responses(
        (status = 200, description = "The picture", content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"))),
        (status = 302, description = "The picture is in a bucket, at the address that follows"),
        (status = 304, description = "The client has it already"),
        (status = 403, description = "UnauthorizedAccess: the link is not valid", body = ErrorBody),
        (status = 404, description = "NotFound: no such picture can be", body = ErrorBody),
        (status = 410, description = "NotFound: the link has ended, the picture is erased", body = ErrorBody),
        (status = 500, description = "InternalServerError", body = ErrorBody),
    )
)]
pub(super) async fn get_file(
    State(app): State<Arc<App>>,
    UrlPath((job, file)): UrlPath<(String, String)>,
    seal: Result<Query<Seal>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let key = format!("outputs/{job}/{file}").parse();
    let Ok(key @ Key::Output { attempt, format }) = key else {
        return Err(ApiError::not_found("there is no such picture"));
    };
    let Ok(Query(seal)) = seal else {
        return Err(ApiError::forged_link());
    };
    let now = app.clock.now();
    app.links
        .verify(&key, seal.expires, &seal.signature, now)
        .map_err(|error| match error {
            LinkError::Forged => ApiError::forged_link(),
            LinkError::Expired { .. } => ApiError::gone(),
        })?;
    let retention = find_kept(&app, &key).await?;
    let max_age = seal.expires.saturating_sub(now.as_secs());
    if app.config.storage.redirect
        && !retention.once
        && !is_own_page(&headers)
        && let Some(url) = app.blobs.sign(&key, validity(max_age)).await?
    {
        return Ok(send_on(&url));
    }
    let blob = app.blobs.open(&key).await?.ok_or_else(ApiError::gone)?;
    let name = format!("{}.{}", attempt.sample, format.extension());
    if retention.once {
        let blob = erase_when_sent(&app, key, blob);
        return Ok(answer(blob, format, &name, "no-store", &headers));
    }
    let caching = format!("private, max-age={max_age}, immutable");
    Ok(answer(blob, format, &name, &caching, &headers))
}

/// Whether one of our own pages asks: it may show nothing of any other origin.
fn is_own_page(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site == "same-origin")
}

/// How long the picture is kept, if it is still: a bucket is not asked by us.
async fn find_kept(app: &App, key: &Key) -> Result<Retention, ApiError> {
    let job = key.job().expect("BUG: an output is a job's");
    let job = app.store.find_job(job).await?;
    let kept = job.filter(|job| job.outputs_erased_at.is_none());
    kept.map(|job| job.retention).ok_or_else(ApiError::gone)
}

/// A download, which erases its picture at its end.
struct Download {
    app: Arc<App>,
    key: Key,
    left: u64,
}

impl Download {
    const fn advance(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
    }
}

impl Drop for Download {
    /// A picture that was given to the connection whole is gone from here. One that was not can be
    /// asked for again.
    fn drop(&mut self) {
        if self.left > 0 {
            return;
        }
        let (app, key) = (Arc::clone(&self.app), self.key);
        tokio::spawn(async move {
            match app.blobs.delete(&[key]).await {
                Ok(()) => tracing::info!(%key, "an output was downloaded and erased"),
                Err(error) => tracing::error!(error = %Chain(&error), "an output is erased later"),
            }
        });
    }
}

/// The same picture, which is erased once it was read to its end.
fn erase_when_sent(app: &Arc<App>, key: Key, blob: Blob) -> Blob {
    let mut download = Download {
        app: Arc::clone(app),
        key,
        left: blob.size,
    };
    let stream = blob.stream.inspect_ok(move |bytes| {
        download.advance(bytes.len() as u64);
    });
    Blob {
        stream: Box::pin(stream),
        ..blob
    }
}

/// How long an address in the bucket is valid for a link that is valid for `seconds` still.
fn validity(seconds: i64) -> Duration {
    let left = Duration::from_secs(seconds.try_into().unwrap_or_default());
    left.min(DIRECT_VALIDITY)
}

/// Sends the client on to the bucket. Its address is another one each time.
fn send_on(url: &Url) -> Response {
    let headers = [
        (header::LOCATION, url.as_str()),
        (header::CACHE_CONTROL, "no-store"),
        (RESOURCE_POLICY, "cross-origin"),
    ];
    (StatusCode::FOUND, headers).into_response()
}

fn answer(
    blob: Blob,
    format: OutputFormat,
    name: &str,
    caching: &str,
    asked: &HeaderMap,
) -> Response {
    let name = format!("inline; filename=\"{name}\"");
    let headers = [
        (header::ETAG, blob.etag),
        (header::CACHE_CONTROL, caching.to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        // Pages of other origins may show it: whoever has the link has the picture.
        (RESOURCE_POLICY, "cross-origin".to_owned()),
    ];
    if is_known(asked, &headers[0].1) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let content = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static(format.mime()),
        ),
        (header::CONTENT_LENGTH, blob.size.into()),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::try_from(name).expect("BUG: ids are ASCII"),
        ),
    ];
    (headers, content, Body::from_stream(blob.stream)).into_response()
}

/// Whether the client said that it has this version.
fn is_known(asked: &HeaderMap, etag: &str) -> bool {
    let tags = asked
        .get(header::IF_NONE_MATCH)
        .and_then(|tags| tags.to_str().ok());
    tags.is_some_and(|tags| {
        tags.split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
    })
}
