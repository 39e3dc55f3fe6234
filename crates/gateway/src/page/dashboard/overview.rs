//! How an account stands.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};
use tryon_store::{Account, JobPage};

use super::{
    super::{
        assets,
        chart::{self, Chart},
        frame::{Frame, Notice},
        path, render,
    },
    JobRow,
};
use crate::{app::App, error::ApiError, session::Session};

/// Jobs that are shown.
const LATEST: u32 = 6;

#[derive(Template)]
#[template(path = "app/overview.html")]
struct Overview {
    here: &'static str,
    frame: Frame,
    account: Account,
    chart: Chart,
    jobs: Vec<JobRow>,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    session: Session,
) -> Result<Response, ApiError> {
    let account = session.visitor.account.clone();
    let now = app.clock.now();
    let used = app.store.list_usage(account.id, chart::first_day(now));
    let jobs = app.store.list_jobs(JobPage {
        account: account.id,
        after: None,
        limit: LATEST,
    });
    let (used, jobs) = (used.await?, jobs.await?);
    let jobs: Result<_, _> = jobs.iter().map(|job| JobRow::new(&app, job)).collect();
    Ok(render(&Overview {
        here: path::DASHBOARD,
        frame: Frame::of(&app, &session),
        account,
        chart: Chart::new(&used, now),
        jobs: jobs?,
    }))
}
