//! The whole model on a device.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Case, Row, Timed, meter::Metered, model::Model};
use crate::{
    backend::cuda::{Cuda, Device, Precision},
    error::{ComputeError, LoadError, RunError},
    weights::RandomKind,
};

/// How often a picture is made after the first time.
const LATER: usize = 3;

/// A model that has random weights and makes pictures. There is nothing to see in them.
pub struct Whole<D: Device> {
    model: Model<Cuda<Metered<D>>>,
    kind: RandomKind,
    loaded: Duration,
}

impl<D: Device> Whole<D> {
    /// A model as the configurations in `folder` say, which lie as in a checkpoint. `kind` is that of
    /// the transformer's matrices.
    ///
    /// # Errors
    ///
    /// Configurations that are not there or cannot be used; those of the device, too little memory
    /// among them.
    pub fn load(device: Arc<D>, folder: &Path, kind: RandomKind) -> Result<Self, LoadError> {
        let start = Instant::now();
        let cuda = Cuda::new(Metered::new(device), Precision::default());
        Ok(Self {
            model: Model::load(cuda, folder, kind)?,
            kind,
            loaded: start.elapsed(),
        })
    }

    /// How long it took to load, and the bytes that it takes.
    pub fn loaded(&self) -> (Duration, u64) {
        (self.loaded, self.model.backend().device().taken())
    }

    /// Makes a picture four times: the first, for which everything is planned, and the median of
    /// those after it. `peak` is what products reach at best, in operations a second.
    ///
    /// # Errors
    ///
    /// Those of the device, and numbers on the way that are none.
    pub fn measure(&mut self, case: &Case, peak: f64) -> Result<[Row; 2], RunError> {
        let photos = case.photos();
        // Neither plans nor memory of another picture.
        self.model.backend().release();
        self.model.backend().device().restart();
        let first = self.model.time(case, &photos)?;
        let later = (0..LATER).map(|_| self.model.time(case, &photos));
        let later = Timed::median(&later.collect::<Result<Vec<_>, _>>()?);
        let most = self.model.backend().device().peak();
        let most = most.map_err(ComputeError::from)?;
        let median = format!("median of {LATER}");
        Ok(
            [("first", first), (&median, later)].map(|(run, timed)| Row {
                program: self.program().to_owned(),
                picture: case.name.to_owned(),
                run: run.to_owned(),
                timed,
                peak: most,
                limit: timed.steps.len() as f64 * case.operations() / peak,
            }),
        )
    }

    const fn program(&self) -> &'static str {
        match self.kind {
            RandomKind::Bf16 => "tryon bf16",
            RandomKind::Fp8 => "tryon FP8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cuda::{Host, measure::write_published};

    /// The tests' checkpoint, of which only the configurations are read.
    const TINY: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/goldens/checkpoint/tiny-2511"
    );

    const CASE: Case = Case {
        name: "a small one",
        text: 20,
        references: &[[64, 32], [32, 32]],
        result: [32, 48],
        condition: 64 * 64,
    };

    #[test]
    fn a_picture_is_made_and_measured_stage_by_stage() {
        for (kind, program) in [
            (RandomKind::Bf16, "tryon bf16"),
            (RandomKind::Fp8, "tryon FP8"),
        ] {
            let host = Arc::new(Host::default());
            let mut whole = Whole::load(Arc::clone(&host), TINY.as_ref(), kind).unwrap();
            let (_, weights) = whole.loaded();
            assert_eq!(weights, host.taken());
            let rows = whole.measure(&CASE, 1e12).unwrap();
            assert_eq!(rows.each_ref().map(|row| &*row.program), [program; 2]);
            assert_eq!(
                rows.each_ref().map(|row| &*row.run),
                ["first", "median of 3"]
            );
            let first = &rows[0].timed;
            let stages = [first.prepare, first.vision, first.text, first.encode];
            let stages = stages.into_iter().chain(first.steps);
            let stages: Vec<f64> = stages.chain([first.tables, first.decode]).collect();
            assert!(stages.iter().all(|seconds| *seconds > 0.0), "{first:?}");
            // Nothing lies between the stages.
            assert!((first.total - stages.iter().sum::<f64>()).abs() < 1e-6);
            // Not above: a slab has room for all of it.
            assert!(rows.iter().all(|row| row.peak >= weights));
            // Later pictures do what was planned for the first.
            let counts = whole.model.backend().counts();
            assert!(
                counts.runs > counts.planned && counts.replayed > 0,
                "{counts:?}"
            );
            drop(whole);
            assert_eq!(host.taken(), 0);
        }
    }

    #[test]
    fn the_published_configurations_can_be_read() {
        use crate::{
            dit::TransformerConfig, image::Processor, schedule::SchedulerConfig,
            text::EncoderConfig, vae::VaeConfig,
        };
        let folder = tempfile::tempdir().unwrap();
        write_published(folder.path()).unwrap();
        let at = |name: &str| folder.path().join(name);
        let transformer = TransformerConfig::read(&at("transformer/config.json")).unwrap();
        assert_eq!((transformer.layers, transformer.width()), (60, 3072));
        let vae = VaeConfig::read(&at("vae/config.json")).unwrap();
        assert_eq!((vae.base_dim, vae.scale_factor()), (96, 8));
        SchedulerConfig::read(&at("scheduler/scheduler_config.json")).unwrap();
        let processor = Processor::open(folder.path()).unwrap();
        let encoder = EncoderConfig::without_tokeniser(folder.path(), &processor).unwrap();
        assert_eq!(encoder.language.hidden_size, transformer.text_width);
        assert_eq!(encoder.vision.depth, 32);
    }
}
