//! The description of the node API, made from the types that serve it.

use std::sync::LazyLock;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use tryon_api::{
    callback::{AUTH_HEADER, JobComplete, Progress, ResultForm},
    node::JobConfig,
};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{ApiKey, ApiKeyValue, SecurityScheme},
    },
};

use super::{cancel, check, infer, metrics, status, tryon};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "tryon node",
        description = "One device that makes one picture at a time. A job is taken, and its result is \
                       sent to the node's result callback as a `ResultForm`; `GET /test` says whether \
                       the model is loaded, `GET /gpu/status` whether the device is free."
    ),
    paths(
        tryon::create_tryon,
        cancel::cancel_tryon,
        infer::create_picture,
        check::check_photo,
        status::get_gpu_status,
        status::get_health,
        status::get_test,
        status::get_version,
        metrics::get_metrics,
        get_openapi,
    ),
    components(schemas(JobConfig, ResultForm, JobComplete, Progress)),
    modifiers(&Token),
    tags(
        (name = "jobs", description = "Making pictures"),
        (name = "state", description = "How the node stands; none of it waits for anything"),
    )
)]
struct Node;

/// Describes the shared token.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut Document) {
        let value = ApiKeyValue::with_description(AUTH_HEADER, "`security.internal_auth_token`");
        let scheme = SecurityScheme::ApiKey(ApiKey::Header(value));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", scheme);
    }
}

/// Describes this API.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "state",
    responses((status = 200, description = "An `OpenAPI` 3.1 document", content_type = "application/json"))
)]
pub(super) async fn get_openapi() -> Response {
    static TEXT: LazyLock<bytes::Bytes> = LazyLock::new(|| {
        let text = Node::openapi().to_json();
        text.expect("BUG: the description is JSON").into()
    });
    ([(header::CONTENT_TYPE, "application/json")], TEXT.clone()).into_response()
}
