//! Spans on their way to the collector.
//!
//! Whoever ends a span puts it into a queue and goes on. One task sends what is there; where the queue
//! is full, because the collector is slow or away, spans are dropped and counted.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// The most spans that wait. A picture makes about a dozen, each of a few hundred bytes.
const QUEUE: usize = 4096;

/// The most spans that are sent at once.
const BATCH: usize = 512;

/// How long others are waited for that are sent along.
const GATHER: Duration = Duration::from_secs(1);

/// How long the collector may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

static SENT: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);

/// What became of this process's spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// The collector took them.
    pub sent: u64,
    /// There was no room for them.
    pub dropped: u64,
    /// The collector did not take them.
    pub failed: u64,
}

impl Counts {
    /// Each by its name.
    pub const fn by_name(&self) -> [(&'static str, u64); 3] {
        [
            ("sent", self.sent),
            ("dropped", self.dropped),
            ("failed", self.failed),
        ]
    }
}

/// What became of them so far.
pub fn counts() -> Counts {
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    Counts {
        sent: read(&SENT),
        dropped: read(&DROPPED),
        failed: read(&FAILED),
    }
}

fn count(counter: &AtomicU64, spans: usize) {
    counter.fetch_add(spans as u64, Ordering::Relaxed);
}

/// Where spans wait that have ended.
#[derive(Debug)]
pub(crate) struct Queue(mpsc::Sender<SpanData>);

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.0.try_send(span).is_err() {
            count(&DROPPED, 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    // The task is stopped by who started it.
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The task that sends.
#[derive(Debug)]
pub(crate) struct Exporting {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Exporting {
    pub(crate) async fn stop(mut self, within: Duration) {
        self.stop.cancel();
        if timeout(within, &mut self.task).await.is_err() {
            self.task.abort();
            tracing::warn!("the collector did not take the last spans in time; they are lost");
        }
    }
}

/// Starts to send what comes into the queue.
pub(crate) fn start(exporter: impl SpanExporter + 'static) -> (Queue, Exporting) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let stop = CancellationToken::new();
    let sending = Sending {
        exporter,
        receiver,
        is_away: false,
    };
    let task = tokio::spawn(sending.run(stop.clone()));
    (Queue(sender), Exporting { stop, task })
}

struct Sending<E> {
    exporter: E,
    receiver: mpsc::Receiver<SpanData>,
    /// Whether the collector did not take the last ones.
    is_away: bool,
}

impl<E: SpanExporter> Sending<E> {
    async fn run(mut self, stop: CancellationToken) {
        while let Some(first) = stop.run_until_cancelled(self.receiver.recv()).await {
            let Some(first) = first else { return };
            let mut batch = vec![first];
            let gathered = stop.run_until_cancelled(self.gather(&mut batch));
            let _ = gathered.await;
            self.send(batch).await;
        }
        self.receiver.close();
        let mut batch = Vec::new();
        while self.receiver.recv_many(&mut batch, BATCH).await > 0 {
            self.send(std::mem::take(&mut batch)).await;
        }
    }

    /// Waits for more, but not for long.
    async fn gather(&mut self, batch: &mut Vec<SpanData>) {
        let fill = async {
            while batch.len() < BATCH {
                let room = BATCH - batch.len();
                if self.receiver.recv_many(batch, room).await == 0 {
                    return;
                }
            }
        };
        let _ = timeout(GATHER, fill).await;
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let spans = batch.len();
        match self.exporter.export(batch).await {
            Ok(()) => {
                count(&SENT, spans);
                if std::mem::take(&mut self.is_away) {
                    tracing::info!("the collector takes spans again");
                }
            }
            Err(error) => {
                count(&FAILED, spans);
                // Once, not for every batch of a night.
                if !std::mem::replace(&mut self.is_away, true) {
                    tracing::warn!(%error, "the collector does not take spans; they are lost until it does");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        time::SystemTime,
    };

    use opentelemetry::{
        InstrumentationScope,
        trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
    };
    use opentelemetry_sdk::error::OTelSdkError;
    use tokio::sync::Semaphore;

    use super::*;

    /// A collector that takes a batch for each permit, or refuses.
    #[derive(Debug, Clone)]
    struct Collector {
        taken: Arc<Mutex<Vec<usize>>>,
        open: Arc<Semaphore>,
        refuses: bool,
    }

    impl Collector {
        fn new(permits: usize, refuses: bool) -> Self {
            Self {
                taken: Arc::default(),
                open: Arc::new(Semaphore::new(permits)),
                refuses,
            }
        }

        fn taken(&self) -> usize {
            self.taken.lock().unwrap().iter().sum()
        }
    }

    impl SpanExporter for Collector {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.open.acquire().await.unwrap().forget();
            if self.refuses {
                return Err(OTelSdkError::InternalFailure("refused".to_owned()));
            }
            self.taken.lock().unwrap().push(batch.len());
            Ok(())
        }
    }

    fn span() -> SpanData {
        let (trace, span) = (TraceId::from(1_u128), SpanId::from(2_u64));
        let state = TraceState::default();
        let now = SystemTime::now();
        SpanData {
            span_context: SpanContext::new(trace, span, TraceFlags::SAMPLED, false, state),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: "span".into(),
            start_time: now,
            end_time: now,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: opentelemetry_sdk::trace::SpanEvents::default(),
            links: opentelemetry_sdk::trace::SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    /// The counts are the process's: one test for all that is counted.
    #[tokio::test]
    async fn spans_are_sent_dropped_where_there_is_no_room_and_counted() {
        let collector = Collector::new(0, false);
        let (queue, exporting) = start(collector.clone());
        // The collector hangs: the queue fills, and whoever ends a span is not held up.
        for _ in 0..QUEUE + 1000 {
            queue.on_end(span());
            tokio::task::yield_now().await;
        }
        let lost = counts().dropped;
        assert!((1..=1000).contains(&lost), "{lost}");
        assert_eq!(counts().sent, 0);
        // It is back, and gets everything that was kept, also what waits at the end.
        collector.open.add_permits(Semaphore::MAX_PERMITS);
        exporting.stop(Duration::from_mins(1)).await;
        let kept = QUEUE + 1000 - usize::try_from(lost).unwrap();
        assert_eq!(collector.taken(), kept);
        assert_eq!(counts().sent, kept as u64);
        assert!(
            collector
                .taken
                .lock()
                .unwrap()
                .iter()
                .all(|batch| *batch <= BATCH)
        );
        queue.on_end(span());
        assert_eq!(counts().dropped, lost + 1);

        let (queue, exporting) = start(Collector::new(1, true));
        queue.on_end(span());
        exporting.stop(Duration::from_mins(1)).await;
        assert_eq!(counts().failed, 1);

        // One that hangs does not hold up an end.
        let (queue, exporting) = start(Collector::new(0, false));
        queue.on_end(span());
        let begun = std::time::Instant::now();
        exporting.stop(Duration::from_millis(50)).await;
        assert!(begun.elapsed() < PATIENCE);
    }
}
