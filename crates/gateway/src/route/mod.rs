//! The routes of the public listener.
//!
//! Every answer, also to what is not understood, carries `x-request-id` and CORS headers, and every
//! refusal the body `{"error", "message"}`. The order of checks on a route that needs a key: key,
//! request limit, the key's scope, what the account may still do, body, field by field, then what only the store can know.

use std::sync::Arc;

use axum::{
    Extension, Router, middleware,
    routing::{MethodRouter, delete, get, post},
};
use tryon_core::{limit::RateClass, scope::Scope};

use crate::{app::App, dispatch::Outcomes, error::ApiError, input::Inputs};

pub(crate) mod body;
mod check;
mod cors;
mod credit;
mod erasure;
mod extract;
mod fashn;
mod file;
mod follow;
mod gate;
mod health;
mod job;
pub(crate) mod lingering;
mod openapi;
mod page;
mod refusal;
pub(crate) mod status;
mod submit;
pub(crate) mod trace;
mod upload;
mod webhook;

pub use self::openapi::document;
pub(crate) use self::{extract::UrlPath, submit::refuse_readable};

/// Where the routes are.
pub mod path {
    /// Submits a garment or accessory.
    pub const CLOTHES: &str = "/api/v1/tryon/clothes";
    /// The same under its older name.
    pub const FASHION: &str = "/api/v1/tryon/fashion";
    /// Submits a haircut.
    pub const HAIRSTYLE: &str = "/api/v1/tryon/hairstyle";
    /// The same under its other spelling.
    pub const HAIRSTYLES: &str = "/api/v1/tryon/hairstyles";
    /// Submits a tattoo.
    pub const TATTOO: &str = "/api/v1/tryon/tattoo";
    /// Says how a job stands.
    pub const STATUS: &str = "/api/v1/status/{id}";
    /// Tells each change of it.
    pub const EVENTS: &str = "/api/v1/status/{id}/events";
    /// Lists jobs.
    pub const JOBS: &str = "/api/v1/jobs";
    /// Cancels a job.
    pub const CANCEL: &str = "/api/v1/jobs/{id}/cancel";
    /// Erases a job.
    pub const JOB: &str = "/api/v1/jobs/{id}";
    /// Erases the jobs of an end user.
    pub const END_USER: &str = "/api/v1/end-users/{end_user_id}";
    /// Shows the receipt of an erasure.
    pub const ERASURE: &str = "/api/v1/erasures/{id}";
    /// Says what an account holds.
    pub const CREDITS: &str = "/api/v1/credits";
    /// Submits a garment in FASHN's dialect.
    pub const RUN: &str = "/v1/run";
    /// Says in it how a job stands.
    pub const RUN_STATUS: &str = "/v1/status/{id}";
    /// Says in it what an account holds.
    pub const CREDIT_TOTALS: &str = "/v1/credits";
    /// Says what webhooks are signed with.
    pub const WEBHOOK_SECRET: &str = "/api/v1/webhooks/secret";
    /// Lists the deliveries of webhooks.
    pub const DELIVERIES: &str = "/api/v1/webhooks/deliveries";
    /// Says how a job's webhook was delivered.
    pub const DELIVERY: &str = "/api/v1/webhooks/deliveries/{job}";
    /// Sends a job's webhook anew.
    pub const REPLAY: &str = "/api/v1/webhooks/deliveries/{job}/replay";
    /// Takes a picture ahead of the jobs that use it.
    pub const UPLOADS: &str = "/api/v1/uploads";
    /// Erases it.
    pub const UPLOAD: &str = "/api/v1/uploads/{id}";
    /// Says what would become of a picture.
    pub const CHECK: &str = "/api/v1/check";
    /// Serves outputs on signed links.
    pub const FILE: &str = "/files/outputs/{job}/{file}";
    /// What links to outputs have before the part that is signed.
    pub const FILES: &str = "/files/";
    /// Says that the process runs.
    pub const HEALTH: &str = "/healthz";
    /// Says that it can work.
    pub const READINESS: &str = "/readyz";
    /// Describes all of this.
    pub const OPENAPI: &str = "/openapi.json";

    /// Every one of them.
    pub const ALL: [&str; 27] = [
        CLOTHES,
        FASHION,
        HAIRSTYLE,
        HAIRSTYLES,
        TATTOO,
        STATUS,
        EVENTS,
        JOBS,
        CANCEL,
        JOB,
        END_USER,
        ERASURE,
        CREDITS,
        RUN,
        RUN_STATUS,
        CREDIT_TOTALS,
        WEBHOOK_SECRET,
        DELIVERIES,
        DELIVERY,
        REPLAY,
        UPLOADS,
        UPLOAD,
        CHECK,
        FILE,
        HEALTH,
        READINESS,
        OPENAPI,
    ];
}

/// Who may come in to which routes.
struct Doors<'a>(&'a Arc<App>);

impl Doors<'_> {
    /// A route for keys of this scope, whose requests are counted as this.
    fn counted(
        &self,
        class: RateClass,
        scope: Scope,
        route: MethodRouter<Outcomes>,
    ) -> MethodRouter<Outcomes> {
        let app = Arc::clone(self.0);
        let gate = gate::Gate { app, scope, class };
        route.route_layer(middleware::from_fn_with_state(gate, gate::admit))
    }

    /// The same, counted as most of the scope are.
    fn keyed(&self, scope: Scope, route: MethodRouter<Outcomes>) -> MethodRouter<Outcomes> {
        self.counted(scope.rate_class(), scope, route)
    }
}

/// The public listener's routes.
pub(crate) fn router(outcomes: &Outcomes, inputs: Inputs) -> Router {
    let app = &outcomes.app;
    let doors = Doors(app);
    Router::new()
        .merge(submissions(&doors))
        .merge(pictures(&doors, inputs))
        .merge(jobs(&doors))
        .merge(webhooks(&doors))
        .route(path::HEALTH, get(health::get_health))
        .route(path::READINESS, get(health::get_readiness))
        .route(path::OPENAPI, get(openapi::get_openapi))
        .merge(crate::page::router())
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn(lingering::linger))
        .layer(middleware::from_fn_with_state(
            Arc::clone(app),
            health::part,
        ))
        .layer(middleware::from_fn(trace::catch))
        .layer(cors::layer())
        .layer(middleware::from_fn_with_state(
            Arc::clone(app),
            trace::trace,
        ))
        .with_state(outcomes.clone())
}

fn submissions(doors: &Doors<'_>) -> Router<Outcomes> {
    let submit = |route| doors.keyed(Scope::Submit, route);
    Router::new()
        .route(path::CLOTHES, submit(post(submit::submit_clothes)))
        .route(path::FASHION, submit(post(submit::submit_clothes)))
        .route(path::HAIRSTYLE, submit(post(submit::submit_hairstyle)))
        .route(path::HAIRSTYLES, submit(post(submit::submit_hairstyle)))
        .route(path::TATTOO, submit(post(submit::submit_tattoo)))
        .route(path::RUN, submit(post(fashn::submit_run)))
}

fn pictures(doors: &Doors<'_>, inputs: Inputs) -> Router<Outcomes> {
    // What is sent ahead of a job is not counted as one.
    let ahead = |route| doors.counted(RateClass::Status, Scope::Submit, route);
    // A picture is fetched and decoded for it, as for a job.
    let check = post(check::check_picture).layer(Extension(inputs));
    Router::new()
        .route(path::UPLOADS, ahead(post(upload::create_upload)))
        .route(path::UPLOAD, ahead(delete(upload::delete_upload)))
        .route(path::CHECK, doors.keyed(Scope::Submit, check))
        .route(path::FILE, get(file::get_file))
}

fn jobs(doors: &Doors<'_>) -> Router<Outcomes> {
    let status = |route| doors.keyed(Scope::Status, route);
    let erase = |route| doors.keyed(Scope::Erase, route);
    let credits = |route| doors.keyed(Scope::Credits, route);
    // Whoever submitted too much can still take it back.
    let cancel = doors.counted(RateClass::Status, Scope::Submit, post(job::cancel_job));
    Router::new()
        .route(path::STATUS, status(get(status::get_status)))
        .route(path::EVENTS, status(get(follow::follow_job)))
        .route(path::JOBS, status(get(job::list_jobs)))
        .route(path::CANCEL, cancel)
        .route(path::JOB, erase(delete(erasure::delete_job)))
        .route(path::END_USER, erase(delete(erasure::delete_end_user)))
        .route(path::ERASURE, erase(get(erasure::get_erasure)))
        .route(path::CREDITS, credits(get(credit::get_credits)))
        .route(path::RUN_STATUS, status(get(fashn::get_run)))
        .route(path::CREDIT_TOTALS, credits(get(fashn::get_credit_totals)))
}

fn webhooks(doors: &Doors<'_>) -> Router<Outcomes> {
    let keyed = |route| doors.keyed(Scope::Webhooks, route);
    Router::new()
        .route(
            path::WEBHOOK_SECRET,
            keyed(get(webhook::get_webhook_secret)),
        )
        .route(path::DELIVERIES, keyed(get(webhook::list_deliveries)))
        .route(path::DELIVERY, keyed(get(webhook::get_delivery)))
        .route(path::REPLAY, keyed(post(webhook::replay_delivery)))
}

async fn no_route() -> ApiError {
    ApiError::not_found("there is no such route: `/openapi.json` lists them")
}

async fn no_method() -> ApiError {
    ApiError::no_method()
}
