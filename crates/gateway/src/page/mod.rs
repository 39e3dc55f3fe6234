//! Pages for people: what this is, the playground, the guide and the reference.
//!
//! They are made by this program alone: no file beside it, no script or picture of another origin,
//! nothing that a browser is told to do inline.

use askama::Template;
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use std::sync::Arc;
use tryon_api::public::CATEGORIES;
use tryon_core::task::{Haircut, Mode, Provider, Task};

use crate::{
    app::App,
    config::{GatewayConfig, find_plan},
    dispatch::Outcomes,
    error::ApiError,
};

mod asset;
mod document;
mod markdown;
mod reference;

use self::asset as assets;

/// Where the pages are.
pub(crate) mod path {
    /// What this is.
    pub(crate) const HOME: &str = "/";
    /// Trying it.
    pub(crate) const PLAYGROUND: &str = "/playground";
    /// The guide.
    pub(crate) const GUIDE: &str = "/docs";
    /// The reference of the public API.
    pub(crate) const REFERENCE: &str = "/docs/api";
    /// Guide and reference as text.
    pub(crate) const LLMS: &str = "/llms.txt";
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' blob: data:; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// What every page is sent with.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(self), microphone=(), geolocation=()",
    ),
];

/// The pages, and the files that they are made of.
pub(crate) fn router() -> Router<Outcomes> {
    Router::new()
        .route(path::HOME, get(show_home))
        .route(path::PLAYGROUND, get(show_playground))
        .route(path::GUIDE, get(document::show_guide))
        .route(path::REFERENCE, get(document::show_reference))
        .route(path::LLMS, get(document::show_text))
        .route(assets::PATH, get(assets::get_asset))
        .layer(middleware::from_fn(protect))
}

async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A page as it is answered.
fn render(page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => ApiError::internal(error).into_response(),
    }
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    here: &'static str,
    base: &'a str,
}

async fn show_home(State(app): State<Arc<App>>) -> Response {
    render(&Home {
        here: path::HOME,
        base: &app.config.server.link_base(),
    })
}

#[derive(Template)]
#[template(path = "playground.html")]
struct Playground {
    here: &'static str,
    offers: [Offer; 3],
    /// The first that is offered, counted from 1.
    first: usize,
    /// Whether anything is served by an engine that is no generative model.
    preview: bool,
    categories: &'static [&'static str],
    haircuts: &'static [Haircut],
    modes: &'static [Mode],
    samples: [Sample; 4],
}

/// A task, and the modes that it is offered in.
struct Offer {
    task: Task,
    name: &'static str,
    modes: Vec<Mode>,
}

/// Pictures to try it with.
struct Sample {
    name: &'static str,
    person: &'static str,
    garment: &'static str,
    category: &'static str,
}

const fn sample(name: &'static str, garment: &'static str, category: &'static str) -> Sample {
    Sample {
        name,
        person: assets::PERSON,
        garment,
        category,
    }
}

async fn show_playground(State(app): State<Arc<App>>) -> Response {
    let offers = offers(&app.config);
    let offered = |offer: &Offer| !offer.modes.is_empty();
    render(&Playground {
        here: path::PLAYGROUND,
        first: 1 + offers.iter().position(offered).unwrap_or_default(),
        offers,
        preview: app
            .config
            .tasks
            .iter()
            .any(|it| it.provider == Provider::Preview),
        categories: &CATEGORIES,
        haircuts: Haircut::ALL,
        modes: Mode::ALL,
        samples: [
            sample("A shirt with a print", assets::GARMENT, "tops"),
            sample("A striped shirt", assets::STRIPED, "tops"),
            sample("Trousers", assets::TROUSERS, "bottoms"),
            sample("A dress", assets::DRESS, "one-pieces"),
        ],
    })
}

fn offers(config: &GatewayConfig) -> [Offer; 3] {
    let named = [
        (Task::Clothes, "Clothes"),
        (Task::Hairstyle, "Hairstyle"),
        (Task::Tattoo, "Tattoo"),
    ];
    named.map(|(task, name)| {
        // The others know no mode: they are served in the one that is meant where none is said.
        let chosen = |mode: &Mode| task == Task::Clothes || *mode == Mode::Balanced;
        let offered = |mode: &Mode| find_plan(&config.tasks, task, *mode).is_some();
        let modes = Mode::ALL.iter().copied().filter(chosen);
        Offer {
            task,
            name,
            modes: modes.filter(offered).collect(),
        }
    })
}
