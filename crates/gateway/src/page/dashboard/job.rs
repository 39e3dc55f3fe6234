//! An account's jobs.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Response};
use tryon_core::{id::JobId, job::JobState};
use tryon_store::{Job, JobPage, StoreError};

use super::super::{
    assets,
    form::After,
    frame::{Frame, Notice, PAGE, moment},
    path, render,
};
use crate::{app::App, error::ApiError, route, session::Session};

/// A job in a list.
pub(in crate::page) struct JobRow {
    pub(in crate::page) id: JobId,
    pub(in crate::page) state: &'static str,
    pub(in crate::page) what: String,
    pub(in crate::page) created: String,
    pub(in crate::page) failure: Option<String>,
    /// Where its pictures are, as long as they are kept.
    pub(in crate::page) pictures: Vec<String>,
    /// What is to be said where there are none.
    pub(in crate::page) absence: &'static str,
}

impl JobRow {
    pub(in crate::page) fn new(app: &App, job: &Job) -> Result<Self, StoreError> {
        let request = &job.request;
        let failure = job.error.as_ref();
        let (pictures, absence) = pictures(app, job)?;
        Ok(Self {
            id: job.id,
            state: match job.state {
                JobState::Accepted | JobState::Prepared => "waiting",
                JobState::Running => "running",
                JobState::Completed => "completed",
                JobState::Failed => "failed",
            },
            what: format!(
                "{}, {}, {}",
                request.options.task(),
                request.mode,
                job.plan.provider.as_str()
            ),
            created: moment(job.created_at),
            failure: failure.map(|error| format!("{}: {}", error.name.as_str(), error.message)),
            pictures,
            absence,
        })
    }
}

/// Links to a job's pictures on this very site, or why there are none.
fn pictures(app: &App, job: &Job) -> Result<(Vec<String>, &'static str), StoreError> {
    if job.state != JobState::Completed {
        return Ok((Vec::new(), ""));
    }
    // To show one of those would be its one download.
    if job.retention.once {
        return Ok((Vec::new(), "kept until downloaded once"));
    }
    let ended_at = job.ended_at.unwrap_or(job.deadline);
    let is_over = ended_at + job.retention.longest <= app.clock.now();
    if job.outputs_erased_at.is_some() || is_over {
        return Ok((Vec::new(), "expired"));
    }
    let base = app.config.server.link_base();
    let links = route::status::links(app, job)?;
    let local = |link: String| link.strip_prefix(&base).map_or(link.clone(), str::to_owned);
    Ok((links.into_iter().map(local).collect(), "erased"))
}

#[derive(Template)]
#[template(path = "app/jobs.html")]
struct JobsPage {
    here: &'static str,
    frame: Frame,
    jobs: Vec<JobRow>,
    next: Option<JobId>,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    After(after): After<JobId>,
    session: Session,
) -> Result<Response, ApiError> {
    let jobs = app.store.list_jobs(JobPage {
        account: session.visitor.account.id,
        after,
        limit: PAGE,
    });
    let jobs = jobs.await?;
    let full = jobs.len() == PAGE as usize;
    let rows: Result<_, _> = jobs.iter().map(|job| JobRow::new(&app, job)).collect();
    Ok(render(&JobsPage {
        here: path::JOBS,
        frame: Frame::of(&app, &session),
        jobs: rows?,
        next: jobs.last().filter(|_| full).map(|job| job.id),
    }))
}
