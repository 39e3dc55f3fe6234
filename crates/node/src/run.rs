//! A job's way: slot, record, engine, file, spool.
//!
//! The slot is given back in the engine's own callback, before anything is encoded, written or
//! sent: the device never waits for any of that.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::oneshot, task::spawn_blocking};
use tracing::Instrument;
use tryon_api::{callback::ResultError, node::Accepted};
use tryon_core::task::OutputFormat;
use tryon_engine::{
    Output, Request, StageTime, Step,
    supervisor::{RunEnd, RunError},
};
use tryon_trace::{Kind, Span, TraceContext, Traced as _};

use crate::{
    app::App,
    clock,
    delivery::Parcel,
    ending::{self, Encoded},
    failpoint,
    notice::StepTeller,
    order::{Ids, Job},
    refusal::Refusal,
    slot::{Occupant, Permit},
    spool::{Document, Outcome, Record},
};

/// A run that ended.
pub(crate) struct Ended {
    result: Result<Output, RunError>,
    /// How long it had the device.
    pub(crate) took: Duration,
}

/// A run under way.
pub(crate) struct Running {
    pub(crate) occupant: Occupant,
    ended: oneshot::Receiver<Ended>,
}

impl Running {
    /// Waits for the end of the run.
    pub(crate) async fn end(self) -> Ended {
        self.ended.await.unwrap_or_else(|_| {
            let reason = "the worker's supervisor ended".to_owned();
            Ended {
                result: Err(RunError::Crashed { reason }),
                took: Duration::ZERO,
            }
        })
    }
}

/// The device's part of a job.
fn begin_span(request: &Request) -> Span {
    let span = Span::new("inference", Kind::Internal);
    span.set("tryon.provider", request.provider.as_str());
    span.set("tryon.task", request.options.task.as_str());
    span.set("tryon.steps", i64::from(request.options.steps));
    span
}

fn note_step(span: &Span, step: Step) {
    let (done, total) = (i64::from(step.done), i64::from(step.total));
    span.event("step", [("tryon.step", done), ("tryon.steps", total)]);
}

/// Of its stages a node hears when they are over.
fn end_span(span: &Span, result: &Result<Output, RunError>, stages: &[StageTime]) {
    for it in stages {
        span.part(it.stage.as_str(), it.began, it.took);
    }
    if let Err(error) = result {
        span.fail(ending::to_error(error).error_name.as_str());
    }
    span.end();
}

impl App {
    /// Takes the slot for a job, writes it down and begins it. The same job again is accepted and
    /// not begun.
    pub(crate) async fn submit(self: Arc<Self>, ids: Ids, job: Job) -> Result<Accepted, Refusal> {
        let accepted = Accepted::queued(ids.job_id.clone());
        let _taking = self.taking.lock().await;
        if self.recent.contains(&ids.job_id) {
            return Ok(accepted);
        }
        let taken = self.slot.take(&ids.job_id, job.request.options.steps);
        let permit = taken.map_err(|occupied| Refusal::Busy {
            retry_after: occupied.retry_after,
        })?;
        self.begin(ids, job, permit).await.map(|()| accepted)
    }

    /// Whether a job was accepted, which is known once it is written down or refused.
    pub(crate) async fn knows(&self, job_id: &str) -> bool {
        if self.recent.contains(job_id) {
            return true;
        }
        let occupied = self.slot.find_occupied();
        if occupied.is_some_and(|occupied| occupied.job_id == job_id) {
            drop(self.taking.lock().await);
        }
        self.recent.contains(job_id)
    }

    async fn begin(self: &Arc<Self>, ids: Ids, job: Job, permit: Permit) -> Result<(), Refusal> {
        let record = self.record(ids, &job).await?;
        self.recent.insert(&record.job_id);
        let teller = job
            .progress_url
            .map(|url| self.notices.follow(&record.job_id, url));
        let running = match self.start(job.request, permit, teller) {
            Ok(running) => running,
            Err(refusal) => {
                self.recent.remove(&record.job_id);
                self.withdraw(&record).await;
                return Err(refusal);
            }
        };
        let span = tracing::info_span!("job", job_id = record.job_id, provider = record.provider);
        let app = Arc::clone(self);
        let finish = async move { app.finish(record, running, job.format).await };
        self.jobs.spawn(finish.traced_here().instrument(span));
        Ok(())
    }

    async fn record(&self, ids: Ids, job: &Job) -> Result<Record, Refusal> {
        let description = self.supervisor.description().ok_or(Refusal::NotLoaded)?;
        let record = Record {
            job_id: ids.job_id,
            user_id: ids.user_id,
            session_id: ids.session_id,
            provider: job.request.provider.to_string(),
            model_version: description.model_version,
            accepted_at: clock::now(),
            trace: TraceContext::current().map(|context| context.to_string()),
        };
        let spool = Arc::clone(&self.spool);
        let written = spawn_blocking(move || spool.record(&record).map(|()| record)).await;
        written
            .expect("BUG: writing a record does not panic")
            .map_err(|error| {
                tracing::error!(%error, "a job cannot be recorded");
                Refusal::SpoolUnwritable {
                    reason: error.to_string(),
                }
            })
    }

    async fn withdraw(&self, record: &Record) {
        let (spool, job_id) = (Arc::clone(&self.spool), record.job_id.clone());
        let withdrawn = spawn_blocking(move || spool.withdraw(&job_id)).await;
        if let Err(error) = withdrawn.expect("BUG: removing a record does not panic") {
            tracing::error!(job_id = record.job_id, %error, "a record cannot be removed");
        }
    }

    /// Gives a request to the engine. The permit is given back when the run ends, or at once when
    /// it does not begin.
    pub(crate) fn start(
        &self,
        request: Request,
        permit: Permit,
        teller: Option<StepTeller>,
    ) -> Result<Running, Refusal> {
        let occupant = permit.occupant();
        occupant.begin(request.options.steps);
        let span = Arc::new(begin_span(&request));
        let (watcher, stepping) = (occupant.clone(), Arc::clone(&span));
        let (metrics, provider) = (Arc::clone(&self.metrics), request.provider);
        let on_step = Box::new(move |step| {
            note_step(&stepping, step);
            watcher.step(step);
            if let Some(teller) = &teller {
                teller.tell(step);
            }
        });
        let (tell_end, ended) = oneshot::channel();
        let on_end = Box::new(move |RunEnd { result, stages }| {
            let took = permit.release(result.is_ok());
            end_span(&span, &result, &stages);
            if result.is_ok() {
                metrics.stages.count(provider, &stages);
            }
            // Nobody waits for a run whose client is gone.
            let _ = tell_end.send(Ended { result, took });
        });
        let handle = self.supervisor.run(request, on_step, on_end)?;
        occupant.attach(handle);
        Ok(Running { occupant, ended })
    }

    async fn finish(self: Arc<Self>, record: Record, running: Running, format: OutputFormat) {
        failpoint::reach("node::after-202").await;
        let ended = running.end().await;
        failpoint::reach("node::after-inference").await;
        self.notices.job_complete(&record.job_id);
        let took = ended.took;
        let result = self.conclude(ended, format).await;
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let head = record.result_head(&self.config.server.node_id, millis);
        let (outcome, picture) = match result {
            Ok(Encoded { image, bytes }) => (
                Outcome::Picture {
                    image,
                    bytes: bytes.len() as u64,
                },
                bytes,
            ),
            Err(error) => (Outcome::Error(error), Bytes::new()),
        };
        let document = Document {
            head,
            outcome,
            ended_at: clock::now(),
            trace: record.trace,
        };
        self.send_off(document, picture).await;
    }

    /// Counts how a run ended, and encodes its picture.
    pub(crate) async fn conclude(
        &self,
        ended: Ended,
        format: OutputFormat,
    ) -> Result<Encoded, ResultError> {
        let took = ended.took;
        let result = match ended.result {
            Ok(output) => {
                let span = Span::new("encode", Kind::Internal);
                let encoded = self
                    .dark_room
                    .work(move || ending::encode(&output, format))
                    .await;
                drop(span);
                encoded.unwrap_or_else(|| Err(ending::encoder_failed()))
            }
            Err(RunError::Crashed { .. }) if self.abandoned.load(Ordering::Relaxed) => {
                Err(ending::interrupted())
            }
            Err(error) => Err(ending::to_error(&error)),
        };
        match &result {
            Ok(_) => {
                tracing::info!(?took, "the job gave a picture");
                self.metrics.count_picture(took);
            }
            Err(error) => {
                tracing::warn!(
                    ?took,
                    name = error.error_name.as_str(),
                    error.error,
                    "the job failed"
                );
                self.metrics.count_error(error.error_name);
            }
        }
        result
    }

    /// Writes a result down and hands it to the courier. Without a receiver it is discarded.
    pub(crate) async fn send_off(&self, document: Document, picture: Bytes) {
        let job_id = document.head.job_id.clone();
        if !self.courier.has_receiver() {
            tracing::warn!("there is no result callback: the result is discarded");
            return self.discard(job_id).await;
        }
        let span = Span::of(document.find_trace().as_ref(), "spool", Kind::Producer);
        let spool = Arc::clone(&self.spool);
        let written = spawn_blocking(move || {
            let written = spool.keep(&document, &picture);
            (written, document, picture)
        });
        let (written, document, picture) =
            written.await.expect("BUG: writing a result does not panic");
        if written.is_err() {
            span.fail("not written");
        }
        drop(span);
        failpoint::reach("node::after-spool").await;
        self.courier.take(match written {
            Ok(()) => Parcel::Spooled { job_id },
            Err(error) => {
                tracing::error!(%error, "the result cannot be written and is kept in memory");
                Parcel::Unwritten {
                    document: Box::new(document),
                    picture,
                }
            }
        });
    }

    async fn discard(&self, job_id: String) {
        self.recent.end(&job_id);
        let spool = Arc::clone(&self.spool);
        let marked = spawn_blocking(move || spool.mark_ended(&job_id)).await;
        if let Err(error) = marked.expect("BUG: moving a record does not panic") {
            tracing::error!(%error, "a record cannot be moved");
        }
    }
}
