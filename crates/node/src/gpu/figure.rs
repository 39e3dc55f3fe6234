//! The figures of a GPU in the exposition.

use prometheus_client::{
    encoding::{EncodeGaugeValue, EncodeLabelSet},
    metrics::{
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::{Registry, Unit},
};
use tryon_api::node::GpuReport;

use super::reading::REASONS;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GpuLabels {
    index: String,
    name: String,
    uuid: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// What is known of a GPU, and nothing of what is not.
pub(crate) fn list_figures(gpu: &GpuReport) -> Registry {
    let mut figures = Registry::default();
    let text = "Which GPU the engine computes on, or would";
    figures.register("tryon_node_gpu_info", text, describe(gpu));
    let text = "Memory of the GPU in all";
    let (name, bytes) = ("tryon_node_gpu_memory_total", gpu.memory_total_bytes);
    tell(&mut figures, name, text, Unit::Bytes, bytes);
    let text = "Temperature of the GPU";
    let (name, degrees) = ("tryon_node_gpu_temperature", gpu.temperature_celsius);
    tell(&mut figures, name, text, Unit::Celsius, degrees);
    let text = "Power that the GPU draws";
    let watts = || Unit::Other("watts".to_owned());
    tell(
        &mut figures,
        "tryon_node_gpu_power",
        text,
        watts(),
        gpu.power_watts,
    );
    let text = "Power that the GPU may draw";
    let (name, limit) = ("tryon_node_gpu_power_limit", gpu.power_limit_watts);
    tell(&mut figures, name, text, watts(), limit);
    if let Some(given) = &gpu.throttled_by {
        let text = "Whether this keeps the clocks of the GPU down";
        figures.register("tryon_node_gpu_throttled", text, weigh(given));
    }
    figures
}

fn tell<N>(figures: &mut Registry, name: &str, help: &str, unit: Unit, value: Option<N>)
where
    N: EncodeGaugeValue + std::fmt::Debug + Send + Sync + 'static,
{
    if let Some(value) = value {
        figures.register_with_unit(name, help, unit, ConstGauge::new(value));
    }
}

/// A gauge that is 1, for its labels: the older format has no other way to tell a name.
fn describe(gpu: &GpuReport) -> Family<GpuLabels, Gauge> {
    let labels = GpuLabels {
        index: gpu.index.map(|it| it.to_string()).unwrap_or_default(),
        name: gpu.name.clone().unwrap_or_default(),
        uuid: gpu.uuid.clone().unwrap_or_default(),
    };
    let described = Family::<GpuLabels, Gauge>::default();
    described.get_or_create(&labels).set(1);
    described
}

/// Every reason, those that are not given with 0.
fn weigh(given: &[String]) -> Family<ReasonLabels, Gauge> {
    let reasons = Family::<ReasonLabels, Gauge>::default();
    for (reason, _) in REASONS {
        let is_given = given.iter().any(|it| it == reason);
        let gauge = reasons.get_or_create(&ReasonLabels { reason });
        gauge.set(i64::from(is_given));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use prometheus_client::encoding::text::encode_registry;

    use super::*;
    use crate::metric::to_older_format;

    fn expose(gpu: &GpuReport) -> String {
        let mut text = String::new();
        encode_registry(&mut text, &list_figures(gpu)).unwrap();
        let mut lines: Vec<_> = text.lines().collect();
        // Those of one family come in any order.
        for family in lines.chunk_by_mut(|a, b| !a.starts_with('#') && !b.starts_with('#')) {
            family.sort_unstable();
        }
        lines.join("\n") + "\n"
    }

    /// What a machine with a GPU tells. The dashboard is held to it, see `deploy/check.sh`.
    #[test]
    fn everything_is_told_of_a_gpu_that_tells_everything() {
        let text = expose(&GpuReport {
            index: Some(1),
            uuid: Some("GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77".to_owned()),
            name: Some("NVIDIA H200".to_owned()),
            memory_total_bytes: Some(150_754_820_096),
            memory_used_bytes: Some(62_277_025_792),
            utilization_percent: Some(97),
            temperature_celsius: Some(61),
            power_watts: Some(612.4),
            power_limit_watts: Some(700.0),
            throttled_by: Some(vec!["sw_power_cap".to_owned()]),
        });
        assert_snapshot!("open", text);
        assert_snapshot!("older", to_older_format(&text));
    }

    #[test]
    fn what_it_does_not_tell_is_absent() {
        let text = expose(&GpuReport {
            throttled_by: Some(Vec::new()),
            ..GpuReport::default()
        });
        let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let expected = [
            "tryon_node_gpu_info gauge",
            "tryon_node_gpu_throttled gauge",
        ];
        assert_eq!(names.collect::<Vec<_>>(), expected);
        assert!(
            text.lines()
                .all(|line| !line.starts_with("tryon_node_gpu_throttled") || line.ends_with(" 0"))
        );
        assert!(!expose(&GpuReport::default()).contains("throttled"));
    }
}
