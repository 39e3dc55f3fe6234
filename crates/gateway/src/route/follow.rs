//! Waiting for a job: a stream of events, or an answer that comes when it has ended.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, stream};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tryon_api::public::{ErrorBody, JobEvent, Progress, SampleProgress, Stage};
use tryon_core::job::JobState;
use tryon_store::{Job, StoreError};

use super::{
    extract::UrlPath,
    refusal,
    status::{describe, find_own},
};
use crate::{
    app::App,
    auth::Caller,
    error::ApiError,
    follow::{self, Admission, Standing},
};

/// How often a stream says that it is still there, for proxies that close silent connections.
const ALIVE: Duration = Duration::from_secs(15);

/// When a client whose stream broke asks for it anew.
const RETRY: Duration = Duration::from_secs(2);

/// The longest that an answer is held back: published clients give up after 60 seconds.
const LONGEST_WAIT: u64 = 55;

/// What the reference says of `Prefer`.
pub(super) const PREFER: &str = "`wait=N`, 1 to 55: the answer comes once the job has ended, after N seconds at the latest, and \
                      has what the status route answers.";

const PREFER_HEADER: HeaderName = HeaderName::from_static("prefer");
/// Says what was waited for.
pub(super) const APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx to pass events on as they come.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Follows a job until it has ended: a stream of server-sent events named `status`, each with how
/// the job stands then, the last with its end. A stream that breaks is asked for again with the `id`
/// of the last event in `Last-Event-ID`, here or at another gateway: it goes on with how the job
/// stands then. Once the end was told, that is answered 204.
#[utoipa::path(
    get,
    path = super::path::EVENTS,
    tag = "jobs",
    security(("key" = [])),
    params(
        ("id" = String, Path, description = "The job's id"),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that came"),
    ),
    responses(
        (status = 200, description = "The events; the `data` of each is this", body = JobEvent, content_type = "text/event-stream"),
        (status = 204, description = "That event was the last"),
        (status = 404, description = "`NotFound`: the account has no such job", body = ErrorBody),
        refusal::Limited,
    )
)]
pub(super) async fn follow_job(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    UrlPath(id): UrlPath<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let job = find_own(&app, &caller, &id).await?;
    let told = headers.get(LAST_EVENT_ID);
    let told = told.and_then(|id| id.to_str().ok()).map(str::to_owned);
    if job.state.is_terminal() && told == Some(Message::of(&app, &Standing::new(job.clone()))?.id) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let limit = app.config.limits.followers;
    let admission = app.following.admit(caller.account.id, limit);
    let admission = admission.ok_or_else(|| ApiError::too_many_followers(limit))?;
    let follower = Follower {
        first: Some(Standing::new(job.clone())),
        receiver: (!job.state.is_terminal()).then(|| app.following.follow(job)),
        app,
        told,
        _admission: admission,
    };
    let events = Sse::new(follower.events()).keep_alive(KeepAlive::new().interval(ALIVE));
    let mut response = events.into_response();
    let headers = response.headers_mut();
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// Who reads a stream.
struct Follower {
    app: Arc<App>,
    /// How the job stood when the stream began, until that was told.
    first: Option<Standing>,
    /// `None` for a job that has ended.
    receiver: Option<watch::Receiver<Standing>>,
    /// The event that was told last.
    told: Option<String>,
    _admission: Admission,
}

impl Follower {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut follower| async {
            let message = follower.next().await?;
            let event = Event::default()
                .event("status")
                .id(&message.id)
                .retry(RETRY)
                .data(message.data);
            follower.told = Some(message.id);
            Some((Ok(event), follower))
        })
    }

    /// What there is to tell next that is not what was told last.
    async fn next(&mut self) -> Option<Message> {
        loop {
            let standing = match self.first.take() {
                Some(first) => first,
                None => follow::next(&self.app, self.receiver.as_mut()?).await?,
            };
            // The client asks again, and is told what is wrong.
            let message = Message::of(&self.app, &standing).ok()?;
            if self.told.as_ref() != Some(&message.id) {
                return Some(message);
            }
        }
    }
}

/// An event. Its id is made of what it says, so that every gateway knows it.
struct Message {
    id: String,
    data: String,
}

impl Message {
    fn of(app: &App, standing: &Standing) -> Result<Self, StoreError> {
        let event = JobEvent {
            answer: describe(app, &standing.job)?,
            progress: progress(standing),
        };
        let data = serde_json::to_string(&event).expect("BUG: an event is JSON");
        let id = hex::encode(&Sha256::digest(&data)[..8]);
        Ok(Self { id, data })
    }
}

fn progress(standing: &Standing) -> Option<Progress> {
    let Standing { job, place, steps } = standing;
    let stage = match job.state {
        JobState::Accepted => Stage::Preparing,
        JobState::Prepared => Stage::Queued,
        JobState::Running => Stage::Running,
        JobState::Completed | JobState::Failed => return None,
    };
    let samples = job.samples.iter().map(|sample| {
        let count = steps.get(&sample.id).and_then(|steps| steps.count);
        SampleProgress {
            status: sample.state.into(),
            step: count.map(|count| count.step),
            steps: count.map(|count| count.steps),
        }
    });
    let remaining = match place {
        Some(place) => place.remaining,
        None => steps.values().filter_map(|steps| steps.remaining).max(),
    };
    Some(Progress {
        stage,
        queue_position: place.map(|place| place.ahead + 1),
        remaining_ms: remaining.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX)),
        samples: samples.collect(),
    })
}

/// How long the client would like to wait (RFC 7240): what it says otherwise, or not well, is never
/// a reason to refuse.
pub(super) fn read_patience(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all(PREFER_HEADER).into_iter();
    let mut preferences = preferences
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let seconds = preferences.find_map(|preference| {
        let (preference, _) = preference.split_once(';').unwrap_or((preference, ""));
        let (name, value) = preference.split_once('=')?;
        let wait = name.trim().eq_ignore_ascii_case("wait");
        wait.then(|| value.trim().trim_matches('"').parse().ok())?
    });
    let seconds = seconds.filter(|seconds: &u64| *seconds > 0)?;
    Some(Duration::from_secs(seconds.min(LONGEST_WAIT)))
}

/// Waits for the end of a job as its client prefers, and says what was waited for. A client that
/// waits in too many places already is answered at once.
pub(super) async fn wait(
    app: &App,
    job: Job,
    patience: Option<Duration>,
) -> (Job, Option<[(HeaderName, String); 1]>) {
    let limit = app.config.limits.followers;
    let Some(patience) = patience else {
        return (job, None);
    };
    let Some(_admission) = app.following.admit(job.account, limit) else {
        return (job, None);
    };
    let job = follow::wait(app, job, patience).await;
    (
        job,
        Some([(APPLIED, format!("wait={}", patience.as_secs()))]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_is_read_as_its_standard_says() {
        let read = |values: &[&'static str]| {
            let values = values
                .iter()
                .map(|it| (PREFER_HEADER, HeaderValue::from_static(it)));
            read_patience(&values.collect()).map(|it| it.as_secs())
        };
        assert_eq!(read(&["wait=30"]), Some(30));
        assert_eq!(read(&["respond-async, WAIT = \"7\"; x=1"]), Some(7));
        assert_eq!(read(&["return=minimal", "wait=1"]), Some(1));
        assert_eq!(read(&["wait=600"]), Some(55));
        for none in ["wait", "wait=0", "wait=soon", "wait=-1", "await=5", ""] {
            assert_eq!(read(&[none]), None, "{none}");
        }
        assert_eq!(read(&[]), None);
    }
}
