//! What a job asks for.

use serde::{Deserialize, Serialize};

use crate::{category::Category, name::named};

pub use crate::name::UnknownName;

named! {
    /// The model name a request asks for. It is served by that model or refused.
    Provider {
        /// Qwen-Image-Edit in bf16.
        Qwen = "qwen",
        /// Qwen-Image-Edit, distilled to four steps, in FP8.
        Lightxv = "lightxv",
        /// The classical preview: not a generative model.
        Preview = "preview",
    }
}

named! {
    /// The kind of try-on.
    Task {
        /// A garment or accessory on a person.
        Clothes = "clothes",
        /// A haircut on a face.
        Hairstyle = "hairstyle",
        /// A design on skin.
        Tattoo = "tattoo",
    }
}

named! {
    /// How a job weighs speed against quality.
    Mode {
        /// Fastest.
        Performance = "performance",
        /// Between the two.
        Balanced = "balanced",
        /// Best.
        Quality = "quality",
    }
}

named! {
    /// The file format of an output.
    OutputFormat {
        /// Lossless.
        Png = "png",
        /// Smaller.
        Jpeg = "jpeg",
    }
}

impl OutputFormat {
    /// The media type.
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
        }
    }

    /// The file name extension.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
        }
    }
}

named! {
    /// How strictly pictures are moderated.
    ModerationLevel {
        /// Refuse early.
        Conservative = "conservative",
        /// Refuse what is plainly unfit.
        Permissive = "permissive",
        /// Refuse nothing.
        None = "none",
    }
}

named! {
    /// How the garment picture was taken.
    GarmentPhotoType {
        /// The engine finds out.
        Auto = "auto",
        /// Worn by a model.
        Model = "model",
        /// Laid flat or on a hanger.
        FlatLay = "flat-lay",
    }
}

named! {
    /// The haircuts of the public API.
    Haircut {
        /// Afro.
        Afro = "Afro",
        /// Bob cut.
        BobCut = "BobCut",
        /// Bowl cut.
        BowlCut = "BowlCut",
        /// Box braids.
        BoxBraids = "BoxBraids",
        /// Buzz cut.
        BuzzCut = "BuzzCut",
        /// Chignon.
        Chignon = "Chignon",
        /// Comb-over.
        CombOver = "CombOver",
        /// Cornrow braids.
        CornrowBraids = "CornrowBraids",
        /// Curly bob.
        CurlyBob = "CurlyBob",
        /// Curly shag.
        CurlyShag = "CurlyShag",
        /// Double bun.
        DoubleBun = "DoubleBun",
        /// Dreadlocks.
        Dreadlocks = "Dreadlocks",
        /// Faux hawk.
        FauxHawk = "FauxHawk",
        /// Fishtail braid.
        FishtailBraid = "FishtailBraid",
        /// Long and curly.
        LongCurly = "LongCurly",
        /// Long hair, tied up.
        LongHairTiedUp = "LongHairTiedUp",
        /// Long hime cut.
        LongHimeCut = "LongHimeCut",
        /// Long and straight.
        LongStraight = "LongStraight",
        /// Long twintails.
        LongTwintails = "LongTwintails",
        /// Long and wavy.
        LongWavy = "LongWavy",
        /// Long and wavy with curtain bangs.
        LongWavyCurtainBangs = "LongWavyCurtainBangs",
        /// Man bun.
        ManBun = "ManBun",
        /// Messy and tousled.
        MessyTousled = "MessyTousled",
        /// Pixie cut.
        PixieCut = "PixieCut",
        /// Pompadour.
        Pompadour = "Pompadour",
        /// Ponytail.
        Ponytail = "Ponytail",
        /// Short curly pixie.
        ShortCurlyPixie = "ShortCurlyPixie",
        /// Short twintails.
        ShortTwintails = "ShortTwintails",
        /// Shoulder-length hair.
        ShoulderLengthHair = "ShoulderLengthHair",
        /// Spiky.
        Spiky = "Spiky",
        /// Textured fringe.
        TexturedFringe = "TexturedFringe",
        /// Twin braids.
        TwinBraids = "TwinBraids",
        /// Updo.
        Updo = "Updo",
        /// Wavy shag.
        WavyShag = "WavyShag",
    }
}

/// A rectangle on a picture, as shares of its sides from the top left corner.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Left edge, 0–1.
    pub x: f32,
    /// Upper edge, 0–1.
    pub y: f32,
    /// Width, [`Region::MIN_SIDE`]–1.
    pub w: f32,
    /// Height, [`Region::MIN_SIDE`]–1.
    pub h: f32,
}

/// Why a rectangle is not a [`Region`].
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum InvalidRegion {
    /// A number below 0 or above 1, or not a number.
    #[error("`{field}` is {value}, outside 0 to 1")]
    OutOfRange {
        /// Which of `x`, `y`, `w`, `h`.
        field: &'static str,
        /// What it is.
        value: f32,
    },
    /// A side that is too short to ink.
    #[error("`{field}` is {value}, below the least side of {}", Region::MIN_SIDE)]
    TooSmall {
        /// `w` or `h`.
        field: &'static str,
        /// What it is.
        value: f32,
    },
    /// The rectangle ends outside the picture.
    #[error("the region ends outside the picture: `{start}` + `{side}` is above 1")]
    Outside {
        /// `x` or `y`.
        start: &'static str,
        /// `w` or `h`.
        side: &'static str,
    },
}

impl Region {
    /// The least width and height.
    pub const MIN_SIDE: f32 = 0.06;

    /// Checks that the rectangle lies in the picture and is large enough.
    pub fn validate(self) -> Result<Self, InvalidRegion> {
        for (field, value) in [("x", self.x), ("y", self.y), ("w", self.w), ("h", self.h)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(InvalidRegion::OutOfRange { field, value });
            }
        }
        for (field, value) in [("w", self.w), ("h", self.h)] {
            if value < Self::MIN_SIDE {
                return Err(InvalidRegion::TooSmall { field, value });
            }
        }
        // Clients compute x + w in floating point: forgive the last digit.
        let ends = [("x", self.x, "w", self.w), ("y", self.y, "h", self.h)];
        match ends
            .into_iter()
            .find(|(_, start, _, side)| start + side > 1.0 + 1e-4)
        {
            Some((start, _, side, _)) => Err(InvalidRegion::Outside { start, side }),
            None => Ok(self),
        }
    }
}

/// What a job asks for, apart from its pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub enum TaskOptions {
    /// A garment or accessory on a person.
    Clothes {
        /// What the garment picture shows.
        #[serde(default)]
        category: Category,
        /// The finer kind of a piece of jewellery or an accessory, in the client's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subcategory: Option<String>,
        /// How the garment picture was taken.
        garment_photo_type: GarmentPhotoType,
        /// Whether the engine may work without a segmentation of the person.
        segmentation_free: bool,
    },
    /// A haircut on a face. Its second picture is absent.
    Hairstyle {
        /// Which.
        haircut: Haircut,
        /// Free text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hair_color: Option<String>,
    },
    /// A design on skin.
    Tattoo {
        /// Where and how, in the client's words; at most 140 characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        placement: Option<String>,
        /// Where exactly.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        region: Option<Region>,
    },
}

impl TaskOptions {
    /// The same without what the client said in its own words, or said of a body: the choices
    /// among those that everybody has stay.
    #[must_use]
    pub fn without_words(mut self) -> Self {
        match &mut self {
            Self::Clothes { subcategory, .. } => *subcategory = None,
            Self::Hairstyle { hair_color, .. } => *hair_color = None,
            Self::Tattoo { placement, region } => (*placement, *region) = (None, None),
        }
        self
    }

    /// Which task these are the options of.
    pub const fn task(&self) -> Task {
        match self {
            Self::Clothes { .. } => Task::Clothes,
            Self::Hairstyle { .. } => Task::Hairstyle,
            Self::Tattoo { .. } => Task::Tattoo,
        }
    }
}
