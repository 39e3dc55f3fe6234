//! The description of the internal listener, made from the types that serve it.

use std::sync::LazyLock;

use axum::{
    http::header,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use tryon_api::callback::AUTH_HEADER;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{ApiKey, ApiKeyValue, SecurityScheme},
    },
};

use super::{hint, metrics, node, path};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "tryon gateway, internal",
        description = "What nodes report to, and who watches over gateways asks. Nobody else needs to \
                       reach it."
    ),
    paths(
        super::receive_result,
        hint::receive_hint,
        node::register_node,
        node::remove_node,
        metrics::get_metrics,
        get_openapi,
    ),
    modifiers(&Token),
    tags(
        (name = "results", description = "What became of attempts"),
        (name = "nodes", description = "Nodes that make themselves known"),
        (name = "metrics", description = "For whoever runs the gateway"),
    )
)]
struct Internal;

/// Describes the shared token.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut Document) {
        let value = ApiKeyValue::with_description(AUTH_HEADER, "`callbacks.token`");
        let scheme = SecurityScheme::ApiKey(ApiKey::Header(value));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", scheme);
    }
}

/// Describes this API.
#[utoipa::path(
    get,
    path = path::OPENAPI,
    tag = "metrics",
    responses((status = 200, description = "An `OpenAPI` 3.1 document", content_type = "application/json"))
)]
pub(super) async fn get_openapi() -> Response {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| {
        let text = Internal::openapi().to_json();
        text.expect("BUG: the description is JSON").into()
    });
    ([(header::CONTENT_TYPE, "application/json")], TEXT.clone()).into_response()
}
