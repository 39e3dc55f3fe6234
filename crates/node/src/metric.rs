//! What is counted, as JSON and in the exposition format.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeLabelSet, EncodeMetric as _,
        text::{encode_eof, encode_registry},
    },
    metrics::{
        TypedMetric as _, counter::Counter, family::Family, gauge::Gauge, histogram::Histogram,
    },
    registry::{Registry, Unit},
};
use tryon_api::node::{GpuReport, MetricsSummary};
use tryon_core::error::JobErrorCode;
use tryon_engine::Description;

use crate::{gpu::list_figures, refusal::Refusal, stage::Stages};

/// What becomes of an offer of a result.
const OFFERS: [&str; 3] = ["received", "failed", "given_up"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    error_name: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SpanLabels {
    outcome: &'static str,
}

/// What is true at the moment the metrics are read.
pub(crate) struct Moment {
    /// The engine, once it was loaded.
    pub(crate) engine: Option<Description>,
    pub(crate) hot: bool,
    pub(crate) busy: bool,
    pub(crate) waiting_results: u64,
    pub(crate) waiting_bytes: u64,
}

/// Everything a node counts.
pub(crate) struct Metrics {
    registry: Registry,
    pictures: Counter,
    errors: Family<ErrorLabels, Counter>,
    latency: Histogram,
    pub(crate) stages: Stages,
    /// The sum of the latencies, which the histogram does not tell.
    total_micros: AtomicU64,
    refusals: Family<RefusalLabels, Counter>,
    deliveries: Family<DeliveryLabels, Counter>,
    hot: Gauge,
    busy: Gauge,
    waiting_results: Gauge,
    waiting_bytes: Gauge,
    gpu_memory: Gauge,
    gpu_utilization: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        // From a tenth of a second, a preview, to two minutes, many steps on a slow device.
        let latency =
            Histogram::new([0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 120.0]);
        let mut metrics = Self {
            registry: Registry::default(),
            pictures: Counter::default(),
            errors: Family::default(),
            latency,
            stages: Stages::new(),
            total_micros: AtomicU64::new(0),
            refusals: Family::default(),
            deliveries: Family::default(),
            hot: Gauge::default(),
            busy: Gauge::default(),
            waiting_results: Gauge::default(),
            waiting_bytes: Gauge::default(),
            gpu_memory: Gauge::default(),
            gpu_utilization: Gauge::default(),
        };
        metrics.register_counts();
        metrics.register_gauges();
        metrics.begin();
        metrics
    }

    /// Has everything be 0 whose labels are known before: a rate needs a number to grow from.
    fn begin(&self) {
        for name in JobErrorCode::ALL {
            let error_name = name.as_str();
            drop(self.errors.get_or_create(&ErrorLabels { error_name }));
        }
        for reason in Refusal::NAMES {
            drop(self.refusals.get_or_create(&RefusalLabels { reason }));
        }
        for outcome in OFFERS {
            drop(self.deliveries.get_or_create(&DeliveryLabels { outcome }));
        }
    }

    fn register_counts(&mut self) {
        let registry = &mut self.registry;
        let text = "Inferences that gave a picture";
        registry.register("vton_inference", text, self.pictures.clone());
        let text = "Inferences that gave none";
        registry.register("vton_inference_errors", text, self.errors.clone());
        let text = "Duration of inferences that gave a picture";
        let latency = self.latency.clone();
        registry.register_with_unit("vton_inference_latency", text, Unit::Seconds, latency);
        self.stages.register(registry);
        let text = "Requests that were refused";
        registry.register("tryon_node_refusals", text, self.refusals.clone());
        let text = "Offers of results to their receiver";
        registry.register("tryon_node_deliveries", text, self.deliveries.clone());
        registry.register_collector(Box::new(Spans));
    }

    fn register_gauges(&mut self) {
        let gauges = [
            ("tryon_node_hot", "Whether the engine is loaded", &self.hot),
            (
                "tryon_node_busy",
                "Whether a job has the device",
                &self.busy,
            ),
            (
                "tryon_node_spool_results",
                "Results that wait",
                &self.waiting_results,
            ),
            (
                "tryon_node_spool_bytes",
                "Bytes of results that wait",
                &self.waiting_bytes,
            ),
            (
                "gpu_memory_used_bytes",
                "Device memory in use",
                &self.gpu_memory,
            ),
            (
                "gpu_utilization_percent",
                "Device utilisation",
                &self.gpu_utilization,
            ),
        ];
        for (name, help, gauge) in gauges {
            self.registry.register(name, help, gauge.clone());
        }
    }

    /// Counts an inference that gave a picture.
    pub(crate) fn count_picture(&self, took: Duration) {
        self.pictures.inc();
        self.latency.observe(took.as_secs_f64());
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.total_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Counts an inference that gave none.
    pub(crate) fn count_error(&self, name: JobErrorCode) {
        let labels = ErrorLabels {
            error_name: name.as_str(),
        };
        self.errors.get_or_create(&labels).inc();
    }

    /// Counts a refused request.
    pub(crate) fn count_refusal(&self, reason: &'static str) {
        self.refusals.get_or_create(&RefusalLabels { reason }).inc();
    }

    /// Counts an offer of a result: one of [`OFFERS`].
    pub(crate) fn count_delivery(&self, outcome: &'static str) {
        self.deliveries
            .get_or_create(&DeliveryLabels { outcome })
            .inc();
    }

    /// The five figures of the JSON form.
    pub(crate) fn summarize(&self, gpu: Option<&GpuReport>) -> MetricsSummary {
        let count = self.pictures.get();
        let micros = self.total_micros.load(Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a mean, to be looked at")]
        let mean_ms = micros as f64 / count.max(1) as f64 / 1000.0;
        MetricsSummary {
            vton_inference_count: count,
            vton_inference_latency_ms: mean_ms,
            vton_inference_errors_total: self.count_errors(),
            gpu_memory_used_bytes: memory_used(gpu),
            gpu_utilization_percent: f64::from(utilization(gpu)),
        }
    }

    fn count_errors(&self) -> u64 {
        let labels = JobErrorCode::ALL.map(|name| ErrorLabels {
            error_name: name.as_str(),
        });
        labels
            .iter()
            .filter_map(|labels| self.errors.get(labels))
            .map(|count| count.get())
            .sum()
    }

    /// All of it in the format of `OpenMetrics`.
    pub(crate) fn expose(&self, moment: &Moment, gpu: Option<&GpuReport>) -> String {
        if let Some(engine) = &moment.engine {
            self.stages.begin(engine);
        }
        set(&self.hot, u64::from(moment.hot));
        set(&self.busy, u64::from(moment.busy));
        set(&self.waiting_results, moment.waiting_results);
        set(&self.waiting_bytes, moment.waiting_bytes);
        set(&self.gpu_memory, memory_used(gpu));
        set(&self.gpu_utilization, u64::from(utilization(gpu)));
        let mut text = String::new();
        let mut encoded = encode_registry(&mut text, &self.registry);
        if let Some(gpu) = gpu {
            encoded = encoded.and_then(|()| encode_registry(&mut text, &list_figures(gpu)));
        }
        let ended = encoded.and_then(|()| encode_eof(&mut text));
        ended.expect("BUG: writing to a string does not fail");
        text
    }
}

/// 0 where it is not known, which who reads this figure has always been told.
fn memory_used(gpu: Option<&GpuReport>) -> u64 {
    gpu.and_then(|gpu| gpu.memory_used_bytes)
        .unwrap_or_default()
}

/// Likewise.
fn utilization(gpu: Option<&GpuReport>) -> u32 {
    gpu.and_then(|gpu| gpu.utilization_percent)
        .unwrap_or_default()
}

/// What became of this process's spans, which are counted elsewhere.
#[derive(Debug)]
struct Spans;

impl Collector for Spans {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let spans = Family::<SpanLabels, Counter>::default();
        for (outcome, count) in tryon_trace::counts().by_name() {
            spans.get_or_create(&SpanLabels { outcome }).inc_by(count);
        }
        let text = "Spans of traces that were sent, or lost.";
        let kind = Family::<SpanLabels, Counter>::TYPE;
        let described = encoder.encode_descriptor("tryon_node_trace_spans", text, None, kind)?;
        spans.encode(described)
    }
}

/// The same text in the older format, in which a counter is called by its whole name everywhere and
/// nothing is said of units and of the end.
pub(crate) fn to_older_format(text: &str) -> String {
    let counter = |line: &str| {
        let name = line.strip_prefix("# TYPE ")?.strip_suffix(" counter")?;
        Some(name.to_owned())
    };
    let counters: BTreeSet<_> = text.lines().filter_map(counter).collect();
    let mut older = String::with_capacity(text.len());
    for line in text.lines() {
        let described = line.strip_prefix("# HELP ").map(|rest| ("# HELP ", rest));
        let described = described.or_else(|| Some(("# TYPE ", line.strip_prefix("# TYPE ")?)));
        let described = described.and_then(|(head, rest)| Some((head, rest.split_once(' ')?)));
        match described {
            Some((head, (name, rest))) if counters.contains(name) => {
                older.extend([head, name, "_total ", rest, "\n"]);
            }
            None if line.starts_with('#') => {}
            _ => older.extend([line, "\n"]),
        }
    }
    older
}

fn set(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Moment = Moment {
        engine: None,
        hot: true,
        busy: false,
        waiting_results: 0,
        waiting_bytes: 0,
    };

    fn has(text: &str, line: &str) -> bool {
        text.lines().any(|it| it == line)
    }

    #[test]
    fn without_a_gpu_the_old_figures_are_zero_and_the_new_ones_absent() {
        let metrics = Metrics::new();
        let text = metrics.expose(&IDLE, None);
        assert!(has(&text, "gpu_memory_used_bytes 0") && has(&text, "gpu_utilization_percent 0"));
        assert!(!text.contains("tryon_node_gpu_"), "{text}");
        assert!(text.ends_with("\n# EOF\n"));
        let summary = metrics.summarize(None);
        let told = (
            summary.gpu_memory_used_bytes,
            summary.gpu_utilization_percent,
        );
        assert_eq!(told, (0, 0.0));
    }

    #[test]
    fn a_gpu_is_told_in_every_form() {
        let metrics = Metrics::new();
        let gpu = GpuReport {
            memory_used_bytes: Some(7 << 30),
            utilization_percent: Some(97),
            temperature_celsius: Some(61),
            ..GpuReport::default()
        };
        let text = metrics.expose(&IDLE, Some(&gpu));
        for text in [&text, &to_older_format(&text)] {
            for line in [
                "gpu_memory_used_bytes 7516192768",
                "gpu_utilization_percent 97",
                "tryon_node_gpu_temperature_celsius 61",
            ] {
                assert!(has(text, line), "{line}: {text}");
            }
            assert!(!text.contains("tryon_node_gpu_power_watts"), "{text}");
        }
        assert!(text.ends_with("\n# EOF\n") && text.matches("# EOF").count() == 1);
        let summary = metrics.summarize(Some(&gpu));
        let told = (
            summary.gpu_memory_used_bytes,
            summary.gpu_utilization_percent,
        );
        assert_eq!(told, (7 << 30, 97.0));
        let gone = metrics.expose(&IDLE, None);
        assert!(has(&gone, "gpu_memory_used_bytes 0") && !gone.contains("tryon_node_gpu_"));
    }
}
