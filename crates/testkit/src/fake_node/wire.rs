//! What a [`FakeNode`](super::FakeNode) answers.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, RETRY_AFTER},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::{net::TcpListener, time::sleep};
use tryon_api::{
    callback::AUTH_HEADER,
    node::{Accepted, Detail, GpuStatus, Health, Readiness, TestReport, VersionReport},
};

use super::{Check, Inner, Offer, Outcome, Reaction, Reported, State, report::MODEL_VERSION};
use crate::receiver::read_form;

/// How often a report is sent that is not answered, and the wait in between.
const PERSISTENCE: usize = 300;
const PAUSE: Duration = Duration::from_millis(100);

/// Why there is no answer: the connection is closed instead.
#[derive(Debug)]
struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is closed on purpose")
    }
}

impl std::error::Error for Dropped {}

type Answer = Result<Response<Full<Bytes>>, Dropped>;

pub(super) async fn listen(listener: TcpListener, inner: Arc<Inner>) {
    // Dropped with the listener, so that a node that is gone answers on no connection.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let inner = Arc::clone(&inner);
        let service = service_fn(move |request| answer(request, Arc::clone(&inner)));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        connections.spawn(async { drop(connection.await) });
    }
}

async fn answer(request: Request<Incoming>, inner: Arc<Inner>) -> Answer {
    let path = request.uri().path().to_owned();
    let (dark, admitted) = inner.update(|state| {
        state.requests.push(format!("{} {path}", request.method()));
        let given = request
            .headers()
            .get(AUTH_HEADER)
            .and_then(|token| token.to_str().ok());
        (
            state.dark,
            state.token.is_none() || state.token.as_deref() == given,
        )
    });
    if dark {
        return Err(Dropped);
    }
    let node_id = "fake-node".to_owned();
    match (request.method(), path.as_str()) {
        (&Method::POST, "/tryon") => offer(request, &inner, admitted).await,
        (&Method::DELETE, _) if admitted => Ok(cancel(&inner, path.trim_start_matches("/tryon/"))),
        (&Method::GET, "/gpu/status") if admitted => Ok(respond(200, &gpu_status(&inner, node_id))),
        (_, "/gpu/status") | (&Method::DELETE, _) => Ok(unauthorized()),
        (_, "/test") => Ok(respond(200, &test(&inner, node_id))),
        (&Method::POST, "/check") if admitted => check(request, &inner).await,
        (_, "/version") => Ok(respond(200, &version(&inner, node_id))),
        (_, "/health") => {
            let model_loaded = inner.lock().readiness == Readiness::Hot;
            Ok(respond(
                200,
                &Health {
                    status: "ok".to_owned(),
                    model_loaded,
                    node_id,
                },
            ))
        }
        _ => Ok(respond(404, &Detail::new("Not Found"))),
    }
}

async fn offer(request: Request<Incoming>, inner: &Arc<Inner>, admitted: bool) -> Answer {
    let (head, body) = request.into_parts();
    let reaction = if admitted {
        inner.update(next_reaction)
    } else {
        Reaction::refuse(401, "Unauthorized")
    };
    if matches!(reaction, Reaction::DropAtHead) {
        let offer = Offer {
            headers: head.headers,
            parts: BTreeMap::new(),
            taken: false,
        };
        inner.update(|state| state.offers.push(offer));
        return Err(Dropped);
    }
    let offer = read_offer(Request::from_parts(head, body), reaction.takes()).await?;
    let job_id = offer.job_id();
    inner.update(|state| {
        if offer.taken {
            state.current = Some(job_id.clone());
        }
        state.offers.push(offer);
    });
    react(inner, reaction, job_id).await
}

/// Busy with a job, a node refuses another, whatever it would do with it otherwise.
async fn read_offer(request: Request<Incoming>, taken: bool) -> Result<Offer, Dropped> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    let kind = head.headers.get(CONTENT_TYPE);
    let boundary = kind.and_then(|kind| multer::parse_boundary(kind.to_str().ok()?).ok());
    let parts = read_form(body, boundary.expect("pictures are sent in forms")).await;
    Ok(Offer {
        headers: head.headers,
        parts,
        taken,
    })
}

fn next_reaction(state: &mut State) -> Reaction {
    match (state.script.pop_front(), &state.current, state.readiness) {
        (Some(scripted), ..) => scripted,
        (None, _, Readiness::Loading | Readiness::Failed) => Reaction::loading(),
        (None, Some(_), _) => Reaction::busy(1),
        (None, None, _) => (state.otherwise)(),
    }
}

async fn react(inner: &Arc<Inner>, reaction: Reaction, job_id: String) -> Answer {
    match reaction {
        Reaction::Work => {}
        Reaction::Vanish => inner.update(|state| state.current = None),
        Reaction::Persist {
            outcome,
            after,
            reports,
            forgets,
        } => {
            if forgets {
                inner.update(|state| state.current = None);
            }
            for _ in 0..reports {
                let (inner, job_id) = (Arc::clone(inner), job_id.clone());
                let outcome = outcome.clone();
                tokio::spawn(async move {
                    sleep(after).await;
                    persist(&inner, &job_id, &outcome).await;
                });
            }
        }
        Reaction::Report(outcome) => {
            let (inner, job_id) = (Arc::clone(inner), job_id.clone());
            tokio::spawn(async move { report(&inner, &job_id, &outcome).await });
        }
        Reaction::ReportFirst(outcome) => {
            report(inner, &job_id, &outcome).await;
        }
        Reaction::Refuse {
            status,
            body,
            retry_after,
            unloads,
        } => {
            if unloads {
                inner.update(|state| state.readiness = Readiness::Loading);
            }
            let mut answer = respond_text(status, body);
            if let Some(seconds) = retry_after {
                answer.headers_mut().insert(RETRY_AFTER, seconds.into());
            }
            return Ok(answer);
        }
        Reaction::DropAtHead | Reaction::DropAfterBody { .. } => return Err(Dropped),
        Reaction::Mute { .. } => std::future::pending().await,
    }
    Ok(respond(202, &Accepted::queued(job_id)))
}

pub(super) async fn report(inner: &Inner, job_id: &str, outcome: &Outcome) -> Reported {
    let sender = inner.update(|state| {
        state.current.take_if(|current| current == job_id);
        state.reporter.clone()
    });
    let sender = sender.expect("the node was told where to report");
    let reported = sender.send(job_id, outcome).await;
    inner.update(|state| state.reports.push(reported.clone()));
    reported
}

/// Reports until the receiver has made up its mind.
async fn persist(inner: &Inner, job_id: &str, outcome: &Outcome) {
    for _ in 0..PERSISTENCE {
        if matches!(report(inner, job_id, outcome).await.status, 200..500) {
            return;
        }
        sleep(PAUSE).await;
    }
}

fn cancel(inner: &Inner, job_id: &str) -> Response<Full<Bytes>> {
    let cancelled = inner.update(|state| state.current.take_if(|current| current == job_id));
    match cancelled {
        Some(_) => respond(202, &Accepted::cancelling(job_id)),
        None => respond(404, &Detail::new("no such job is running")),
    }
}

async fn check(request: Request<Incoming>, inner: &Inner) -> Answer {
    let offer = read_offer(request, false).await?;
    let answer = inner.update(|state| {
        state.checks.push(offer);
        state.check.clone()
    });
    Ok(match answer {
        Check::Report(report) => respond(200, &report),
        Check::Refusal(status, detail) => respond(status, &Detail::new(detail)),
    })
}

fn gpu_status(inner: &Inner, node_id: String) -> GpuStatus {
    let state = inner.lock();
    let current_job_id = state.current.clone();
    let progress = state.progress.filter(|_| current_job_id.is_some());
    let busy = current_job_id.is_some();
    GpuStatus {
        node_id,
        busy,
        current_job_id,
        queue_length: 0,
        progress: progress.map(|(count, _)| count),
        eta_ms: progress.map(|(_, eta_ms)| eta_ms),
        gpu: None,
    }
}

fn test(inner: &Inner, node_id: String) -> TestReport {
    let status = inner.lock().readiness;
    let model_loaded = status == Readiness::Hot;
    let reason = (status == Readiness::Failed).then(|| "given up".to_owned());
    TestReport {
        status,
        model_loaded,
        node_id,
        model_type: "fake".to_owned(),
        reason,
    }
}

fn version(inner: &Inner, node_id: String) -> VersionReport {
    VersionReport {
        model_type: "fake".to_owned(),
        model_version: MODEL_VERSION.to_owned(),
        backend: "cpu".to_owned(),
        git_commit: "unknown".to_owned(),
        node_id,
        providers: inner.lock().providers.clone(),
        notice: None,
    }
}

fn unauthorized() -> Response<Full<Bytes>> {
    respond(401, &Detail::new("Unauthorized"))
}

fn respond(status: u16, body: &impl Serialize) -> Response<Full<Bytes>> {
    respond_text(status, json(body))
}

fn respond_text(status: u16, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = StatusCode::from_u16(status).expect("it is a status");
    let kind = "application/json".parse().expect("it is a header's value");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

pub(super) fn json(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("wire types are JSON")
}
