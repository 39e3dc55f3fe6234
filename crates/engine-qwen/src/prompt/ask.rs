//! What a prompt is asked for.

use tryon_core::{
    category::Category,
    task::{Haircut, Region},
};

/// A task, with what its prompt depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ask<'a> {
    /// A garment or accessory on a person.
    Clothes {
        /// What it is.
        category: Category,
        /// Whether the person is painted green where it goes.
        masked: bool,
    },
    /// A haircut.
    Hairstyle {
        /// Which.
        haircut: Haircut,
        /// Its colour, in the client's words.
        color: Option<&'a str>,
    },
    /// A design on skin.
    Tattoo {
        /// Where and how, in the client's words.
        placement: Option<&'a str>,
        /// Where exactly.
        region: Option<Region>,
    },
}

/// The template that is asked for, and what is filled in.
pub(super) struct Filled {
    pub(super) key: &'static str,
    pub(super) values: Vec<(&'static str, String)>,
}

impl Ask<'_> {
    /// `name` finds what something is called in the language of the prompt.
    pub(super) fn fill(self, name: impl Fn(&str) -> String) -> Filled {
        match self {
            Self::Clothes { category, masked } => Filled {
                key: if masked {
                    "clothes.masked"
                } else {
                    "clothes.unmasked"
                },
                values: vec![
                    (
                        "garment",
                        name(&format!("clothes.garment.{}", category.as_str())),
                    ),
                    ("wear", name(&format!("clothes.wear.{}", category.as_str()))),
                ],
            },
            Self::Hairstyle { haircut, color } => hairstyle(haircut, color, name),
            Self::Tattoo { placement, region } => tattoo(placement, region, name),
        }
    }
}

fn hairstyle(haircut: Haircut, color: Option<&str>, name: impl Fn(&str) -> String) -> Filled {
    let haircut = name(&format!("hairstyle.haircut.{haircut}"));
    let mut values = vec![("haircut", haircut)];
    let color = color.and_then(words);
    let key = match color {
        None => "hairstyle.plain",
        Some(_) => "hairstyle.coloured",
    };
    values.extend(color.map(|color| ("color", color)));
    Filled { key, values }
}

fn tattoo(
    placement: Option<&str>,
    region: Option<Region>,
    name: impl Fn(&str) -> String,
) -> Filled {
    let placement = placement.and_then(words);
    let key = match (&placement, &region) {
        (None, None) => "tattoo.anywhere",
        (Some(_), None) => "tattoo.placed",
        (None, Some(_)) => "tattoo.region",
        (Some(_), Some(_)) => "tattoo.placed-region",
    };
    let mut values: Vec<_> = placement
        .map(|words| ("placement", words))
        .into_iter()
        .collect();
    if let Some(region) = region {
        let percent = |share: f32| format!("{:.0}", 100.0 * share);
        values.extend([
            ("spot", name(&format!("tattoo.spot.{}", spot(region)))),
            ("left", percent(region.x)),
            ("top", percent(region.y)),
            ("right", percent(region.x + region.w)),
            ("bottom", percent(region.y + region.h)),
        ]);
    }
    Filled { key, values }
}

/// A client's words on one line, without the full stop that the sentence around them has. None if
/// there are none.
fn words(text: &str) -> Option<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.trim_end_matches(['.', '。', ' ']);
    (!text.is_empty()).then(|| text.to_owned())
}

/// The ninth of the picture that the middle of a region is in.
fn spot(region: Region) -> &'static str {
    const SPOTS: [[&str; 3]; 3] = [
        ["top-left", "top", "top-right"],
        ["left", "center", "right"],
        ["bottom-left", "bottom", "bottom-right"],
    ];
    let third = |middle: f32| ((3.0 * middle) as usize).min(2);
    SPOTS[third(region.y + region.h / 2.0)][third(region.x + region.w / 2.0)]
}
