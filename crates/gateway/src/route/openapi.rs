//! The description of the public API, made from the types that serve it.

use std::sync::LazyLock;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{
    check, credit, erasure, fashn, file, follow, health, job, path, status, submit, upload, webhook,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "tryon",
        description = "Virtual try-on: a photo of a person and a photo of a garment become a \
                       photo of that person wearing it. Submit a job, then ask for its status \
                       until it is `completed` or `failed`."
    ),
    paths(
        submit::submit_clothes,
        submit::submit_hairstyle,
        submit::submit_tattoo,
        status::get_status,
        follow::follow_job,
        job::list_jobs,
        job::cancel_job,
        erasure::delete_job,
        erasure::delete_end_user,
        erasure::get_erasure,
        credit::get_credits,
        fashn::submit_run,
        fashn::get_run,
        fashn::get_credit_totals,
        webhook::get_webhook_secret,
        webhook::list_deliveries,
        webhook::get_delivery,
        webhook::replay_delivery,
        upload::create_upload,
        upload::delete_upload,
        check::check_picture,
        file::get_file,
        health::get_health,
        health::get_readiness,
        get_openapi,
    ),
    modifiers(&Key),
    tags(
        (name = "try-on", description = "Submitting jobs"),
        (name = "pictures", description = "Sending pictures ahead, and having them looked at"),
        (name = "jobs", description = "Following jobs"),
        (name = "erasure", description = "Forgetting people"),
        (name = "credits", description = "What jobs are paid with"),
        (name = "FASHN", description = "The same in the dialect of FASHN's API"),
        (name = "webhooks", description = "Being told of jobs' ends"),
        (name = "files", description = "What jobs delivered"),
        (name = "health", description = "For whoever runs the gateway"),
    )
)]
struct Public;

/// Describes the API key.
struct Key;

impl Modify for Key {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key: `Authorization: Bearer tryon_…`"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

/// The description of every route.
pub fn document() -> Document {
    let mut document = Public::openapi();
    alias(
        &mut document,
        path::CLOTHES,
        path::FASHION,
        "submit_fashion",
    );
    alias(
        &mut document,
        path::HAIRSTYLE,
        path::HAIRSTYLES,
        "submit_hairstyles",
    );
    document
}

/// Describes a second address of a route.
fn alias(document: &mut Document, of: &str, path: &str, operation: &str) {
    let mut item = document
        .paths
        .paths
        .get(of)
        .cloned()
        .expect("BUG: the route is described");
    let post = item.post.as_mut().expect("BUG: the route takes POST");
    post.operation_id = Some(operation.to_owned());
    document.paths.paths.insert(path.to_owned(), item);
}

/// Describes this API.
#[utoipa::path(
    get,
    path = super::path::OPENAPI,
    tag = "health",
    responses((status = 200, description = "An `OpenAPI` 3.1 document", content_type = "application/json"))
)]
pub(super) async fn get_openapi() -> Response {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| {
        document()
            .to_json()
            .expect("BUG: the description is JSON")
            .into()
    });
    ([(header::CONTENT_TYPE, "application/json")], TEXT.clone()).into_response()
}
