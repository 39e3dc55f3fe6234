//! The files that pages are made of.
//!
//! Their addresses stay the same, and browsers ask each time whether they changed: while gateways of
//! two versions run side by side, each answers what it has.

use std::sync::LazyLock;

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;

pub(super) const PATH: &str = "/assets/{name}";

macro_rules! assets {
    ($($name:ident = $path:literal, $kind:literal, $file:literal;)+) => {
        $(pub(crate) const $name: &str = $path;)+

        const ALL: &[Asset] = &[$(Asset {
            path: $path,
            kind: $kind,
            bytes: include_bytes!(concat!("../../", $file)),
        },)+];
    };
}

/// A file.
struct Asset {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

assets! {
    STYLE = "/assets/style.css", "text/css; charset=utf-8", "assets/style.css";
    PLAYGROUND = "/assets/playground.js", "text/javascript; charset=utf-8", "assets/playground.js";
    ICON = "/assets/icon.svg", "image/svg+xml", "assets/icon.svg";
    PERSON = "/assets/person.jpg", "image/jpeg", "../../examples/person-studio.jpg";
    GARMENT = "/assets/tee.jpg", "image/jpeg", "../../examples/garment-tee.jpg";
    STRIPED = "/assets/striped.jpg", "image/jpeg", "../../examples/garment-striped.jpg";
    TROUSERS = "/assets/trousers.jpg", "image/jpeg", "../../examples/garment-trousers.jpg";
    DRESS = "/assets/dress.jpg", "image/jpeg", "../../examples/garment-dress.jpg";
}

/// What tells each of [`ALL`] from what it was before.
static TAGS: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| {
    let tag = |asset: &Asset| format!("\"{}\"", hex::encode(&Sha256::digest(asset.bytes)[..12]));
    let tags = ALL.iter().map(tag);
    tags.map(|tag| HeaderValue::try_from(tag).expect("BUG: hex digits are a header value"))
        .collect()
});

pub(super) async fn get_asset(uri: Uri, headers: HeaderMap) -> Response {
    let found = ALL.iter().zip(&*TAGS).find(|(it, _)| it.path == uri.path());
    let Some((asset, tag)) = found else {
        return ApiError::not_found("there is no such file").into_response();
    };
    let caching = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    if headers.get(header::IF_NONE_MATCH) == Some(tag) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let kind = [(header::CONTENT_TYPE, asset.kind)];
    (caching, kind, asset.bytes).into_response()
}
