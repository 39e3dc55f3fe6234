//! How long the stages of inferences take, as a metric.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};
use tryon_core::{stage::Stage, task::Provider};
use tryon_engine::{Description, StageTime};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    provider: &'static str,
    stage: &'static str,
}

impl Labels {
    const fn new(provider: Provider, stage: Stage) -> Self {
        Self {
            provider: provider.as_str(),
            stage: stage.as_str(),
        }
    }
}

/// Seconds by provider and stage.
#[derive(Debug)]
pub(crate) struct Stages(Family<Labels, Histogram, fn() -> Histogram>);

impl Stages {
    pub(crate) fn new() -> Self {
        // From a hundredth of a second, a GPU that decodes, to two minutes of denoising.
        Self(Family::new_with_constructor(|| {
            Histogram::new([
                0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 120.0,
            ])
        }))
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        let text = "Time that a stage of an inference that gave a picture took";
        let name = "tryon_node_inference_stage";
        registry.register_with_unit(name, text, Unit::Seconds, self.0.clone());
    }

    /// Has those be 0 that an engine may have.
    pub(crate) fn begin(&self, engine: &Description) {
        for provider in &engine.providers {
            for stage in &engine.stages {
                drop(self.0.get_or_create(&Labels::new(*provider, *stage)));
            }
        }
    }

    /// Counts those of an inference, each once: one that came several times took as long as all of
    /// them together.
    pub(crate) fn count(&self, provider: Provider, stages: &[StageTime]) {
        for stage in Stage::ALL {
            let times = stages.iter().filter(|it| it.stage == *stage);
            // As numbers, whose sum cannot overflow whatever a worker says.
            let times: Vec<f64> = times.map(|it| it.took.as_secs_f64()).collect();
            if !times.is_empty() {
                let seconds = times.iter().sum();
                let labels = Labels::new(provider, *stage);
                self.0.get_or_create(&labels).observe(seconds);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use prometheus_client::encoding::text::encode;

    use super::*;

    fn exposed(stages: &Stages) -> String {
        let mut registry = Registry::default();
        stages.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn one_that_came_twice_is_counted_once_with_all_its_time() {
        let stages = Stages::new();
        let time = |stage, millis| StageTime {
            stage,
            began: SystemTime::UNIX_EPOCH,
            took: Duration::from_millis(millis),
        };
        let run = [
            time(Stage::Load, 2000),
            time(Stage::Denoise, 500),
            time(Stage::Load, 1000),
        ];
        stages.count(Provider::Qwen, &run);
        let text = exposed(&stages);
        for line in [
            r#"_sum{provider="qwen",stage="load"} 3.0"#,
            r#"_count{provider="qwen",stage="load"} 1"#,
            r#"_sum{provider="qwen",stage="denoise"} 0.5"#,
        ] {
            let line = format!("tryon_node_inference_stage_seconds{line}");
            assert!(text.lines().any(|it| it == line), "{line}: {text}");
        }
        assert!(!text.contains(r#"stage="moderate""#), "{text}");
    }
}
