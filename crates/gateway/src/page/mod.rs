//! Pages for people: what this is, the playground, the guide and the reference.
//!
//! They are made by this program alone: no file beside it, no script or picture of another origin,
//! nothing that a browser is told to do inline.

use askama::Template;
use axum::{
    Router,
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
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

mod admin;
mod asset;
mod chart;
mod dashboard;
mod document;
mod form;
mod frame;
mod markdown;
mod reference;

use self::asset as assets;
pub(crate) use self::{asset::GARMENT as PICTURE, form::Fields};

/// Where the pages are.
pub(crate) mod path {
    use axum::http::request::Parts;
    use tryon_core::id::AccountId;
    use url::form_urlencoded::byte_serialize;

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
    /// Signing in.
    pub(crate) const SIGN_IN: &str = "/app/sign-in";
    /// Signing in elsewhere.
    pub(crate) const LEAVE: &str = "/app/sign-in/leave";
    /// Where whoever signed in elsewhere comes back.
    pub(crate) const CALLBACK: &str = "/app/sign-in/callback";
    /// How an account stands.
    pub(crate) const DASHBOARD: &str = "/app/developer";
    /// Its keys.
    pub(crate) const KEYS: &str = "/app/developer/keys";
    /// Its jobs.
    pub(crate) const JOBS: &str = "/app/developer/jobs";
    /// Its credits.
    pub(crate) const CREDITS: &str = "/app/developer/credits";
    /// Its webhooks.
    pub(crate) const WEBHOOKS: &str = "/app/developer/webhooks";
    /// One's own password.
    pub(crate) const PASSWORD: &str = "/app/developer/password";
    /// The nodes.
    pub(crate) const ADMIN: &str = "/admin";
    /// Every account.
    pub(crate) const ACCOUNTS: &str = "/admin/accounts";
    /// Who changed what.
    pub(crate) const LOG: &str = "/admin/log";

    /// An account as the platform's operators see it.
    pub(crate) fn account(id: AccountId) -> String {
        format!("{ACCOUNTS}/{id}")
    }

    /// Where to sign in, and go on to what was asked for.
    pub(crate) fn sign_in_for(parts: &Parts) -> String {
        let page = parts.uri.path();
        if parts.method != "GET" || page == DASHBOARD {
            return SIGN_IN.to_owned();
        }
        let next: String = byte_serialize(page.as_bytes()).collect();
        format!("{SIGN_IN}?next={next}")
    }

    /// This page, if it is one of those that are signed in to: a link from elsewhere leads nowhere
    /// else.
    pub(crate) fn ours(next: &str) -> &str {
        let is_ours = [DASHBOARD, ADMIN].iter().any(|start| {
            let rest = next.strip_prefix(start);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        // No dots, which lead upwards, and nothing that is written otherwise.
        let is_plain = next
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/-".contains(&byte));
        if is_ours && is_plain { next } else { DASHBOARD }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn nobody_is_led_elsewhere() {
            for page in ["/app/developer/keys", "/admin", "/admin/log"] {
                assert_eq!(ours(page), page);
            }
            for page in [
                "",
                "//evil.example",
                "https://evil.example",
                "/docs",
                "/administer",
                "/admin/\r\nx",
                "/admin/\\",
                "/admin/../playground#key=x",
                "/admin/%2e%2e/docs",
                "/admin?x",
            ] {
                assert_eq!(ours(page), DASHBOARD, "{page:?}");
            }
        }
    }
}

/// Bytes of a refusal, at most.
const LONGEST_REFUSAL: usize = 64 << 10;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' blob: data:; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// What every page is sent with.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
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
    // What is somebody's own is kept by no cache, also not that of a browser that is signed out.
    let own = dashboard::router()
        .merge(admin::router())
        .layer(middleware::from_fn(keep_out));
    Router::new()
        .route(path::HOME, get(show_home))
        .route(path::PLAYGROUND, get(show_playground))
        .route(path::GUIDE, get(document::show_guide))
        .route(path::REFERENCE, get(document::show_reference))
        .route(path::LLMS, get(document::show_text))
        .route(assets::PATH, get(assets::get_asset))
        .merge(own)
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

#[derive(Template)]
#[template(path = "app/error.html")]
struct Refused {
    here: &'static str,
    message: String,
}

/// A refusal as people read it.
async fn spell_out(response: Response) -> Response {
    let is_refusal = response.status().is_client_error() || response.status().is_server_error();
    let kind = response.headers().get(header::CONTENT_TYPE);
    if !is_refusal || kind.is_none_or(|kind| kind != "application/json") {
        return response;
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, LONGEST_REFUSAL).await.unwrap_or_default();
    let message = match serde_json::from_slice::<serde_json::Value>(&body) {
        Ok(refusal) => refusal["message"].as_str().unwrap_or_default().to_owned(),
        Err(_) => String::new(),
    };
    let mut page = render_as(parts.status, &Refused { here: "", message });
    if let Some(after) = parts.headers.get(header::RETRY_AFTER) {
        page.headers_mut()
            .insert(header::RETRY_AFTER, after.clone());
    }
    page
}

async fn keep_out(request: Request, next: Next) -> Response {
    let mut response = spell_out(next.run(request).await).await;
    let nothing = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, nothing);
    response
}

/// A page as it is answered.
fn render(page: &impl Template) -> Response {
    render_as(StatusCode::OK, page)
}

/// The same with another status.
fn render_as(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
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
