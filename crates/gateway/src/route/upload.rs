//! Pictures ahead of jobs.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Extension, Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
};
use bytes::Bytes;
use futures::stream;
use multer::Multipart;
use tokio::task::spawn_blocking;
use tryon_api::public::{ErrorBody, PictureInfo, Uploaded};
use tryon_blob::Key;
use tryon_core::id::UploadId;
use tryon_picture::{Header, Limits, probe};
use utoipa::ToSchema;

use super::{body, extract::UrlPath, refusal};
use crate::{app::App, auth::Caller, error::ApiError, upload};

/// The field of a form that holds the picture.
const FIELD: &str = "file";

/// How many fields of a form are looked through for it.
const MOST_FIELDS: usize = 16;

/// The form that an upload may come in.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only documents")]
struct UploadForm {
    /// The picture's file.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// Uploads a picture: the body is its file, or a form with the field `file`. What is answered is
/// the picture's address for submissions, in any number of jobs, until it expires.
#[utoipa::path(
    post,
    path = super::path::UPLOADS,
    tag = "pictures",
    security(("key" = [])),
    request_body(content(
        (Vec<u8> = "image/jpeg"),
        (Vec<u8> = "image/png"),
        (Vec<u8> = "image/webp"),
        (UploadForm = "multipart/form-data"),
    )),
    responses(
        (
            status = 201,
            description = "It was uploaded",
            body = Uploaded,
            headers(("Location" = String, description = "Its address, as in the body")),
        ),
        (status = 400, description = "`BadRequest`: it is no picture, or one that is not taken", body = ErrorBody),
        refusal::Limited,
    )
)]
pub(super) async fn create_upload(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, ApiError> {
    let (account, most) = (caller.account.id, app.config.limits.uploads);
    let kept_since = app.clock.now() - app.config.jobs.upload_retention.duration();
    let kept = app.blobs.count_staged(account, kept_since, most).await?;
    if kept >= most {
        return Err(ApiError::too_many_uploads(most));
    }
    let body = body::read(body, &caller.account, &app.config.limits, &app.bodies).await?;
    let (bytes, _held) = body.into_parts();
    let file = read_file(&headers, bytes).await?;
    let picture = describe(&app, file.clone()).await?;
    let id = UploadId::from_bytes(app.random.id());
    app.blobs.put(&Key::staged(account, id), file).await?;
    let url = upload::address(&app, id);
    let uploaded = Uploaded {
        ok: true,
        id,
        url: url.clone(),
        expires_at: upload::expiry(&app, app.clock.now()),
        picture,
    };
    let location = [(header::LOCATION, url)];
    Ok((StatusCode::CREATED, location, Json(uploaded)))
}

/// Erases an upload, which expires by itself. Jobs that were submitted with it may fail for want of it.
#[utoipa::path(
    delete,
    path = super::path::UPLOAD,
    tag = "pictures",
    security(("key" = [])),
    params(("id" = String, Path, description = "The upload's id")),
    responses(
        (status = 204, description = "There is no such upload of yours any more"),
        (status = 404, description = "`NotFound`: that is no upload's id", body = ErrorBody),
        refusal::Limited,
    )
)]
pub(super) async fn delete_upload(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    UrlPath(id): UrlPath<String>,
) -> Result<StatusCode, ApiError> {
    let id = id.parse::<UploadId>();
    let id = id.map_err(|_| ApiError::not_found("an upload's id has 24 hex digits"))?;
    let key = Key::staged(caller.account.id, id);
    app.blobs.delete(&[key]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The picture's file in a body.
async fn read_file(headers: &HeaderMap, body: Bytes) -> Result<Bytes, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let Ok(boundary) = multer::parse_boundary(kind) else {
        return Ok(body);
    };
    // It is all there, and searched for where one field ends and the next begins.
    let read = spawn_blocking(move || futures::executor::block_on(read_form(body, boundary)));
    read.await.map_err(ApiError::internal)?
}

async fn read_form(body: Bytes, boundary: String) -> Result<Bytes, ApiError> {
    let wrong = |error| ApiError::bad_request(format!("the form cannot be read: {error}"));
    let whole = stream::once(async { Ok::<_, Infallible>(body) });
    let mut form = Multipart::new(whole, boundary);
    for _ in 0..MOST_FIELDS {
        match form.next_field().await.map_err(wrong)? {
            Some(field) if field.name() == Some(FIELD) => {
                return field.bytes().await.map_err(wrong);
            }
            Some(_) => {}
            None => break,
        }
    }
    Err(ApiError::bad_request(format!(
        "the field `{FIELD}` is missing: it holds the picture"
    )))
}

async fn describe(app: &App, file: Bytes) -> Result<PictureInfo, ApiError> {
    let limits = Limits {
        max_bytes: app.config.limits.picture_bytes as u64,
        ..Limits::default()
    };
    let unusable = |reason| ApiError::bad_request(format!("the picture cannot be used: {reason}"));
    // A header holds compressed parts.
    let look = move || probe(&file, &limits).map(|header| tell(header, file.len()));
    match app.darkroom.run(look).await {
        Ok(looked) => looked.map_err(|error| unusable(error.to_string())),
        Err(panic) => {
            tracing::error!(%panic, "BUG: a picture's header could not be read or refused");
            Err(unusable("it cannot be read; send another file".to_owned()))
        }
    }
}

/// What a picture's header says, in the words of the API.
pub(super) fn tell(header: Header, bytes: usize) -> PictureInfo {
    PictureInfo {
        format: header.format.name(),
        bytes: bytes as u64,
        width: header.width,
        height: header.height,
        orientation: header.orientation,
        has_alpha: header.has_alpha,
    }
}
