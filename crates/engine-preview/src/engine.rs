//! The engine: requests in, pictures out.

use std::sync::Arc;

use image::RgbImage;
use tryon_core::category::Category;
use tryon_core::task::{Provider, Task};
use tryon_engine::{
    Description, Engine, EngineError, Monitor, Output, Parser, Request, Stage, Step,
};

use crate::body::{PaintedBody, Target, analyse_painted};
use crate::confidence::{self, Confidence};
use crate::error::PreviewError;
use crate::garment::{Cutout, LowerGarment, LowerLandmarks, Source, UpperGarment};
use crate::input::{Garment, Person};
use crate::kind::tell_category;
use crate::outfit::{self, Scene, Wearer, dress_lower, dress_painted, dress_upper};
use crate::parse::PhotoParser;
use crate::plan::{Extent, Hem, plan_lower, plan_upper};
use crate::raster::plane::{Color, Mask};
use crate::tattoo::ink;

/// Garment, person, picture.
const STEPS: u32 = 3;
const NOTICE: &str = "preview, not a generative model: garments are fitted by measure, skin that \
                      was hidden is invented, and fit, size and drape are not shown";

/// The classical preview engine. It holds nothing between requests.
#[derive(Debug, Clone, Copy, Default)]
pub struct PreviewEngine;

impl PreviewEngine {
    /// An engine that is ready at once.
    pub const fn new() -> Self {
        Self
    }
}

impl Engine for PreviewEngine {
    fn describe(&self) -> Description {
        Description {
            providers: vec![Provider::Preview],
            tasks: vec![Task::Clothes, Task::Tattoo],
            model_type: "preview".into(),
            model_version: env!("CARGO_PKG_VERSION").into(),
            backend: "cpu".into(),
            notice: Some(NOTICE.into()),
            default_steps: STEPS,
            stages: vec![Stage::ReadGarment, Stage::ReadPerson, Stage::Dress],
        }
    }

    fn run(&mut self, request: &Request, monitor: &mut dyn Monitor) -> Result<Output, EngineError> {
        let mut progress = Progress { monitor, done: 0 };
        let preview = match request.options.task {
            Task::Clothes => dress(request, &mut progress)?,
            Task::Tattoo => tattoo(request, &mut progress)?,
            Task::Hairstyle => return Err(PreviewError::Hairstyle.into()),
        };
        Ok(preview.into_output(request))
    }

    fn parser(&self) -> Option<Arc<dyn Parser>> {
        Some(Arc::new(PhotoParser))
    }
}

/// Tells the monitor of every stage that begins, and of its end as a step.
struct Progress<'a> {
    monitor: &'a mut dyn Monitor,
    done: u32,
}

impl Progress<'_> {
    fn step(&mut self) -> Result<(), EngineError> {
        self.done += 1;
        self.monitor.step(Step {
            done: self.done,
            total: STEPS,
        })
    }

    fn stage(&mut self, stage: Stage) {
        self.monitor.stage(stage);
    }
}

/// A picture and what is to be said of it.
struct Preview {
    picture: RgbImage,
    /// The size that the photo came in, if it was reduced.
    reduced_from: Option<(u32, u32)>,
    confidence: Confidence,
    /// What was put on.
    kind: &'static str,
}

impl Preview {
    fn into_output(self, request: &Request) -> Output {
        let mut metadata = vec![
            (
                "Software".into(),
                concat!("tryon preview ", env!("CARGO_PKG_VERSION")).into(),
            ),
            ("Comment".into(), NOTICE.into()),
            ("tryon:model".into(), "preview".into()),
            ("tryon:kind".into(), self.kind.into()),
            (
                "tryon:confidence".into(),
                format!("{:.2}", self.confidence.value),
            ),
        ];
        if !self.confidence.reasons.is_empty() {
            metadata.push(("tryon:doubts".into(), self.confidence.reasons.join("; ")));
        }
        if self.kind == Category::Bottoms.as_str() {
            metadata.push(("tryon:experimental".into(), "bottoms".into()));
        }
        if let Some((width, height)) = self.reduced_from {
            metadata.push(("tryon:reduced-from".into(), format!("{width}x{height}")));
        }
        Output {
            picture: resize(self.picture, request.options.size),
            metadata,
        }
    }
}

/// The picture at the size that was asked for.
fn resize(picture: RgbImage, size: Option<(u32, u32)>) -> RgbImage {
    match size {
        Some((width, height)) => tryon_picture::resize(&picture, width, height),
        None => picture,
    }
}

fn tattoo(request: &Request, progress: &mut Progress<'_>) -> Result<Preview, EngineError> {
    let design = request.garment.as_ref().ok_or(PreviewError::NoGarment)?;
    let region = request.options.region.ok_or(PreviewError::NoRegion)?;
    let region = region.validate().map_err(PreviewError::from)?;
    progress.step()?;
    progress.stage(Stage::ReadPerson);
    let person = Person::read(&request.person)?;
    progress.step()?;
    progress.stage(Stage::Dress);
    let picture = ink(&person.photo, design, region).map_err(PreviewError::from)?;
    progress.step()?;
    Ok(Preview {
        picture,
        reduced_from: person.reduced_from,
        confidence: Confidence::full(),
        kind: "tattoo",
    })
}

fn dress(request: &Request, progress: &mut Progress<'_>) -> Result<Preview, EngineError> {
    let category = request.options.category;
    check_category(category)?;
    let picture = request.garment.as_ref().ok_or(PreviewError::NoGarment)?;
    progress.stage(Stage::ReadGarment);
    let person = Person::read(&request.person)?;
    let longest = person.photo.width().max(person.photo.height());
    let garment = Clothes::read(&Garment::read(picture, longest), category)?;
    progress.step()?;
    progress.stage(Stage::ReadPerson);
    let seed = request.options.seed;
    match (&garment, &person.mask) {
        (Clothes::Upper(garment, extent), Some(mask)) => {
            let fitted = PaintedFitting::measure(&person, mask)?;
            progress.step()?;
            progress.stage(Stage::Dress);
            let picture = fitted.dress(&person, garment, *extent, seed);
            progress.step()?;
            Ok(fitted.preview(&person, picture, kind(*extent)))
        }
        (Clothes::Upper(garment, extent), None) => {
            let fitted = Fitting::measure(&person, *extent == Extent::WholeBody)?;
            progress.step()?;
            progress.stage(Stage::Dress);
            let picture = fitted.dress_upper(&person, garment, *extent, seed);
            progress.step()?;
            Ok(fitted.preview(&person, picture, kind(*extent)))
        }
        (Clothes::Lower(_), Some(_)) => Err(PreviewError::PaintedBottoms.into()),
        (Clothes::Lower(garment), None) => {
            let fitted = Fitting::measure(&person, false)?;
            progress.step()?;
            progress.stage(Stage::Dress);
            let picture = fitted.dress_lower(&person, garment, seed);
            progress.step()?;
            Ok(fitted.preview(&person, picture, Category::Bottoms.as_str()))
        }
    }
}

/// Whether things of this kind can be fitted.
pub(crate) const fn check_category(category: Category) -> Result<(), PreviewError> {
    match category {
        Category::Auto | Category::Tops | Category::Bottoms | Category::OnePieces => Ok(()),
        _ => Err(PreviewError::Category { category }),
    }
}

const fn kind(extent: Extent) -> &'static str {
    match extent {
        Extent::Torso => Category::Tops.as_str(),
        Extent::WholeBody => Category::OnePieces.as_str(),
    }
}

/// A garment that was understood.
enum Clothes {
    Upper(Box<UpperGarment>, Extent),
    Lower(Box<LowerGarment>),
}

impl Clothes {
    fn read(garment: &Garment, category: Category) -> Result<Self, PreviewError> {
        let source = Source {
            picture: &garment.picture,
            alpha: garment.alpha.as_ref(),
        };
        match category {
            Category::Bottoms => Self::lower(source),
            Category::OnePieces => Ok(Self::Upper(
                Box::new(UpperGarment::analyse(source)?),
                Extent::WholeBody,
            )),
            Category::Tops => Ok(Self::Upper(
                Box::new(UpperGarment::analyse(source)?),
                Extent::Torso,
            )),
            _ => Self::tell(source),
        }
    }

    fn lower(source: Source<'_>) -> Result<Self, PreviewError> {
        Ok(Self::Lower(Box::new(LowerGarment::analyse(source)?)))
    }

    /// Finds out what the garment is.
    fn tell(source: Source<'_>) -> Result<Self, PreviewError> {
        let Ok(upper) = UpperGarment::analyse(source) else {
            return Self::lower(source);
        };
        let Cutout { small_mask, .. } = &upper.cutout;
        let lower = LowerLandmarks::find(small_mask).ok();
        match tell_category(small_mask, Some(&upper.landmarks), lower.as_ref()) {
            Category::Bottoms => Self::lower(source),
            Category::OnePieces => Ok(Self::Upper(Box::new(upper), Extent::WholeBody)),
            _ => Ok(Self::Upper(Box::new(upper), Extent::Torso)),
        }
    }
}

/// A person who was understood well enough to be dressed.
pub(crate) struct Fitting {
    pub(crate) wearer: Wearer,
    confidence: Confidence,
}

impl Fitting {
    pub(crate) fn measure(person: &Person, whole_body: bool) -> Result<Self, PreviewError> {
        let wearer = Wearer::measure(person.copy(), whole_body).ok_or(PreviewError::NoPerson)?;
        let confidence = Confidence::judge(&wearer);
        if confidence.value < confidence::LEAST {
            return Err(PreviewError::NotSeparated {
                reasons: confidence.reasons,
            });
        }
        Ok(Self { wearer, confidence })
    }

    fn stage<'a>(&self, person: &'a Person, seed: u64) -> outfit::Stage<'a> {
        outfit::Stage {
            photo: &person.photo,
            small: person.small(),
            zoom: 1.0 / person.scale(),
            width: self.wearer.target.width,
            seed,
        }
    }

    fn dress_upper(
        &self,
        person: &Person,
        garment: &UpperGarment,
        extent: Extent,
        seed: u64,
    ) -> RgbImage {
        let wearer = &self.wearer;
        let old = &wearer.clothing.mask;
        // Without a waistband the hem of the old top is not known.
        let known = wearer.palette.waist.is_some() || extent == Extent::WholeBody;
        let hem = if known { Hem::Over(old) } else { Hem::Natural };
        let plan = plan_upper(garment, &wearer.target, &wearer.body.figure, extent, hem);
        dress_upper(&self.stage(person, seed), wearer, garment, &plan, extent)
    }

    fn dress_lower(&self, person: &Person, garment: &LowerGarment, seed: u64) -> RgbImage {
        let wearer = &self.wearer;
        let waist = wearer.palette.waist;
        let plan = plan_lower(garment, &wearer.target, &wearer.body.figure, waist);
        dress_lower(&self.stage(person, seed), wearer, garment, &plan)
    }

    fn preview(self, person: &Person, picture: RgbImage, kind: &'static str) -> Preview {
        Preview {
            picture,
            reduced_from: person.reduced_from,
            confidence: self.confidence,
            kind,
        }
    }
}

/// The same for a person whose clothing is painted over.
pub(crate) struct PaintedFitting<'a> {
    mask: &'a Mask,
    painted: PaintedBody,
    target: Target,
}

impl<'a> PaintedFitting<'a> {
    pub(crate) fn measure(person: &Person, mask: &'a Mask) -> Result<Self, PreviewError> {
        let photo = Color::from_image(&person.photo);
        let painted = analyse_painted(&photo, mask, person.small());
        let painted = painted.ok_or(PreviewError::MaskMisplaced)?;
        let body = &painted.body;
        let mut target = Target::measure(&body.lab, &body.figure, &body.shoulders)
            .ok_or(PreviewError::MaskMisplaced)?;
        if painted.mannequin.is_none() {
            target.slope.follow_region(&painted.painted);
        }
        Ok(Self {
            mask,
            painted,
            target,
        })
    }

    fn dress(
        &self,
        person: &Person,
        garment: &UpperGarment,
        extent: Extent,
        seed: u64,
    ) -> RgbImage {
        let stage = outfit::Stage {
            photo: &person.photo,
            small: person.small(),
            zoom: 1.0 / person.scale(),
            width: self.target.width,
            seed,
        };
        let scene = Scene::new(&stage, self.mask, &self.painted, &self.target);
        dress_painted(&scene, garment, extent)
    }

    /// A mask is never refused: it says itself where the clothing is.
    fn preview(self, person: &Person, picture: RgbImage, kind: &'static str) -> Preview {
        let mut confidence = Confidence::full();
        confidence.doubt(self.painted.face.is_none(), 0.7, || {
            "no face was found above the painted region".into()
        });
        confidence.doubt(!self.painted.plain, 0.8, || {
            "the backdrop is not plain".into()
        });
        Preview {
            picture,
            reduced_from: person.reduced_from,
            confidence,
            kind,
        }
    }
}
