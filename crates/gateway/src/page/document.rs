//! The guide and the reference, for people and as text.

use std::sync::{Arc, LazyLock};

use askama::Template;
use axum::{
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};

use tryon_core::task::Haircut;

use super::{assets, markdown, path, reference, render};
use crate::app::App;

const GUIDE: &str = include_str!("../../templates/guide.md");

static REFERENCE: LazyLock<String> = LazyLock::new(|| reference::write(&crate::route::document()));

#[derive(Template)]
#[template(path = "document.html")]
struct Document {
    here: &'static str,
    title: String,
    contents: Vec<markdown::Entry>,
    html: String,
}

impl Document {
    fn of(here: &'static str, text: &str) -> Self {
        let markdown::Page {
            title,
            contents,
            html,
        } = markdown::render(text);
        Self {
            here,
            title,
            contents,
            html,
        }
    }
}

/// The guide to this gateway.
fn guide(app: &App) -> String {
    let haircuts = format!("`{}`", Haircut::NAMES.join("`, `"));
    GUIDE
        .replace("{base}", &app.config.server.link_base())
        .replace("{haircuts}", &haircuts)
}

pub(super) async fn show_guide(State(app): State<Arc<App>>) -> Response {
    render(&Document::of(path::GUIDE, &guide(&app)))
}

pub(super) async fn show_reference() -> Response {
    static PAGE: LazyLock<Document> = LazyLock::new(|| Document::of(path::REFERENCE, &REFERENCE));
    render(&*PAGE)
}

pub(super) async fn show_text(State(app): State<Arc<App>>) -> Response {
    let text = format!("{}\n{}", guide(&app), *REFERENCE);
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (kind, text).into_response()
}
