//! A way in for the targets of `fuzz/`, which have no node to send a form to.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header},
};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tryon_api::node::{JobConfig, field};
use tryon_core::task::{Provider, Task};
use tryon_engine::Description;

use crate::{
    config::LimitsConfig,
    form::{Glimpse, glimpse},
    order::read_tryon,
};

/// What a form of `POST /tryon` reads as.
#[derive(Debug, PartialEq)]
pub struct Reading {
    /// The ids of the job, the user and the session.
    pub ids: [String; 3],
    /// What to do.
    pub config: JobConfig,
    /// The person's file.
    pub person: Bytes,
    /// The garment's, where the task has one.
    pub garment: Option<Bytes>,
}

/// Reads a body of this content type, which arrives in these pieces, as `POST /tryon` is read.
pub async fn read_form(
    kind: &'static str,
    pieces: Vec<Bytes>,
    limits: &LimitsConfig,
) -> Result<Reading, String> {
    let body = Body::from_stream(stream::iter(pieces).map(Ok::<_, std::io::Error>));
    let read = read_tryon(&headers(kind), body, limits, &description()).await;
    let (ids, order) = read.map_err(|refusal| refusal.to_string())?;
    Ok(Reading {
        ids: [ids.job_id, ids.user_id, ids.session_id],
        config: order.config,
        person: order.person,
        garment: order.garment,
    })
}

/// Looks for the job's id in the beginning of a form, as a busy node does.
pub async fn find_job_id(kind: &'static str, start: Bytes) -> Option<String> {
    match glimpse(&headers(kind), start, field::JOB_ID).await {
        Glimpse::Found(id) => Some(id),
        Glimpse::Absent | Glimpse::Unclear => None,
    }
}

fn headers(kind: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))])
}

fn description() -> Description {
    Description {
        providers: vec![Provider::Preview],
        tasks: Task::ALL.to_vec(),
        model_type: String::new(),
        model_version: String::new(),
        backend: String::new(),
        notice: None,
        default_steps: 1,
        stages: Vec::new(),
    }
}
