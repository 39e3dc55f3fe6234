//! What a person parser tells apart, and what is done with it.

use tryon_core::category::Category;

/// The classes of the ATR data set, in its order; 0 is the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    Hat = 1,
    Hair,
    Sunglasses,
    UpperClothes,
    Skirt,
    Pants,
    Dress,
    Belt,
    LeftShoe,
    RightShoe,
    Face,
    LeftLeg,
    RightLeg,
    LeftArm,
    RightArm,
    Bag,
    Scarf,
}

use Label::{
    Bag, Belt, Dress, Face, Hair, Hat, LeftArm, LeftLeg, LeftShoe, Pants, RightArm, RightLeg,
    RightShoe, Scarf, Skirt, Sunglasses, UpperClothes,
};

/// Some classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Labels(u32);

impl Labels {
    pub(super) const HEAD: Self = Self::of(&[Face]);
    pub(super) const ARMS: Self = Self::of(&[LeftArm, RightArm]);
    pub(super) const UPPER: Self = Self::of(&[UpperClothes]);
    pub(super) const LOWER: Self = Self::of(&[Skirt, Pants, LeftLeg, RightLeg]);

    /// What no garment of the three categories goes over.
    const ALWAYS_KEPT: Self = Self::of(&[Hat, Hair, Sunglasses, Face, Bag, LeftShoe, RightShoe]);

    pub(super) const fn of(labels: &[Label]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < labels.len() {
            bits |= 1 << labels[i] as u32;
            i += 1;
        }
        Self(bits)
    }

    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn contains(self, class: u8) -> bool {
        1_u32
            .checked_shl(class.into())
            .is_some_and(|bit| self.0 & bit != 0)
    }
}

/// Which classes become what when a garment of some category is put on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recipe {
    /// Garments that are replaced: always painted.
    pub(super) core: Labels,
    /// What the new garment may cover, or the old one showed through: painted with its
    /// surroundings, but says nothing about whether there is such a garment.
    pub(super) extension: Labels,
    /// Never painted.
    pub(super) kept: Labels,
}

impl Recipe {
    /// None where it is not a garment that a parser knows.
    pub(super) fn of(category: Category) -> Option<Self> {
        match category {
            Category::Tops => Some(Self {
                core: Labels::of(&[UpperClothes, Dress]),
                extension: Labels::of(&[LeftArm, RightArm, Scarf]),
                kept: Labels::ALWAYS_KEPT.or(Labels::LOWER),
            }),
            Category::Bottoms => Some(Self {
                core: Labels::of(&[Skirt, Pants, Dress]),
                extension: Labels::of(&[LeftLeg, RightLeg, Belt]),
                kept: Labels::ALWAYS_KEPT.or(Labels::UPPER).or(Labels::ARMS),
            }),
            Category::OnePieces => Some(Self {
                core: Labels::of(&[UpperClothes, Skirt, Pants, Dress]),
                extension: Labels::of(&[LeftArm, RightArm, LeftLeg, RightLeg, Belt]),
                kept: Labels::ALWAYS_KEPT,
            }),
            Category::Auto
            | Category::Eyewear
            | Category::Footwear
            | Category::Headwear
            | Category::Jewelry
            | Category::Accessories
            | Category::Others => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_numbered_as_in_atr() {
        let numbers = [(Hat, 1), (UpperClothes, 4), (Face, 11), (Scarf, 17)];
        for (label, number) in numbers {
            assert_eq!(label as u8, number);
        }
    }

    #[test]
    fn a_class_that_is_not_known_is_in_no_set() {
        let all = Labels(u32::MAX);
        assert!(all.contains(31));
        assert!(!all.contains(32));
        assert!(!all.contains(255));
    }

    #[test]
    fn nothing_is_both_painted_and_kept() {
        for category in [Category::Tops, Category::Bottoms, Category::OnePieces] {
            let recipe = Recipe::of(category).unwrap();
            assert_eq!(recipe.core.or(recipe.extension).0 & recipe.kept.0, 0);
            assert_eq!(recipe.core.0 & recipe.extension.0, 0);
        }
    }
}
