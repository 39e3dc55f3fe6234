//! What kind of thing a garment picture shows.

use serde::{Deserialize, Serialize};

/// The kind of garment or accessory, after a request's `category` and `subcategory` were joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// The engine finds out.
    #[default]
    Auto,
    /// Shirts, jackets: what covers the torso.
    Tops,
    /// Trousers, skirts.
    Bottoms,
    /// Dresses, overalls.
    OnePieces,
    /// Glasses.
    Eyewear,
    /// Shoes.
    Footwear,
    /// Hats.
    Headwear,
    /// Rings, necklaces, earrings.
    Jewelry,
    /// Bags, belts, scarves.
    Accessories,
    /// Anything else that is worn.
    Others,
}

impl Category {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Tops => "tops",
            Self::Bottoms => "bottoms",
            Self::OnePieces => "one-pieces",
            Self::Eyewear => "eyewear",
            Self::Footwear => "footwear",
            Self::Headwear => "headwear",
            Self::Jewelry => "jewelry",
            Self::Accessories => "accessories",
            Self::Others => "others",
        }
    }
}
