//! What kind of garment a picture shows, where the request leaves that open.
//!
//! The rule, in order, on the garment's mask:
//! 1. it parts into legs: an overall if it is long above them, else bottoms;
//! 2. it has a straight top as wide as what is below and widens downwards, without shoulders above
//!    armholes: a skirt, so bottoms;
//! 3. from neck to hem it is at least four half chests long: a one-piece;
//! 4. else it is a top.

use tryon_core::category::Category;

use crate::garment::{Landmarks, LowerLandmarks};
use crate::raster::plane::{Mask, Rect};
use crate::raster::run::extent;

/// A garment this long, in half chests from neck to hem, reaches over the hips.
const DRESS_LENGTH: f64 = 4.0;
/// Legs that part this far down belong to an overall...
const OVERALL_RISE: f64 = 0.42;
/// ...when the whole is also this much longer than wide.
const OVERALL_LENGTH: f64 = 1.9;
/// A skirt is this much wider at the hem than at the waist.
const SKIRT_FLARE: f64 = 1.15;

/// Tells tops, bottoms and one-pieces apart. `upper` is missing when the mask has no shoulders,
/// `lower` when it has no waistband.
pub(crate) fn tell_category(
    mask: &Mask,
    upper: Option<&Landmarks>,
    lower: Option<&LowerLandmarks>,
) -> Category {
    if let Some(garment) = lower
        && let Some(crotch) = garment.crotch
    {
        let rise = (crotch.y - garment.top) / garment.height();
        let overall = rise > OVERALL_RISE && slenderness(mask) > OVERALL_LENGTH;
        return if overall {
            Category::OnePieces
        } else {
            Category::Bottoms
        };
    }
    let Some(upper) = upper.filter(|_| !is_skirt(mask)) else {
        return Category::Bottoms;
    };
    let half_chest = upper.armpit.map(|p| (p.x - upper.axis).abs()).mean();
    let length = upper.hem_center.y - upper.neck.map(|p| p.y).mean();
    if length >= DRESS_LENGTH * half_chest {
        Category::OnePieces
    } else {
        Category::Tops
    }
}

/// Height by width.
fn slenderness(mask: &Mask) -> f64 {
    mask.bounds()
        .map_or(0.0, |bounds| bounds.height() as f64 / bounds.width() as f64)
}

/// A straight waistband and a flare, with nothing like a neck or straps.
fn is_skirt(mask: &Mask) -> bool {
    let Some(widths) = Widths::measure(mask) else {
        return false;
    };
    let (top, below) = (widths.filled(0.03), widths.across(0.12));
    let straight = top > 0.85 * below && widths.filled(0.12) > 0.95 * below;
    let flared = widths.across(0.9) > SKIRT_FLARE * below;
    straight && flared && !(widths.slopes_to_neck() && widths.has_armholes())
}

/// How wide a garment is at shares of its height.
struct Widths<'a> {
    mask: &'a Mask,
    bounds: Rect,
}

impl<'a> Widths<'a> {
    fn measure(mask: &'a Mask) -> Option<Self> {
        let bounds = mask.bounds()?;
        Some(Self { mask, bounds })
    }

    fn row(&self, depth: f64) -> usize {
        self.bounds.y0 + (depth * (self.bounds.height() - 1) as f64) as usize
    }

    /// Pixels of cloth.
    fn filled(&self, depth: f64) -> f64 {
        let row = self.mask.row(self.row(depth));
        row.iter().filter(|&&set| set).count() as f64
    }

    /// From the first to the last of them.
    fn across(&self, depth: f64) -> f64 {
        extent(self.mask, self.row(depth)).map_or(0.0, |run| run.len() as f64)
    }

    /// The top rises to a neck instead of ending in a waistband.
    fn slopes_to_neck(&self) -> bool {
        self.filled(0.01) < 0.85 * self.across(0.12)
    }

    /// Somewhere in the upper half it widens at once and then no more: under an arm.
    fn has_armholes(&self) -> bool {
        (5..20).any(|step| {
            let depth = f64::from(step) * 0.02;
            let [above, armpit, below] = [0.0, 0.10, 0.20].map(|d| self.across(depth + d));
            armpit > 1.16 * above && below < 1.05 * armpit
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flared_shape_with_a_straight_top_is_a_skirt() {
        let skirt = Mask::from_fn(200, 200, |x, y| {
            (20..180).contains(&y) && x.abs_diff(100) < 40 + y / 4
        });
        assert!(is_skirt(&skirt));
        assert_eq!(tell_category(&skirt, None, None), Category::Bottoms);
        let slip = Mask::from_fn(200, 200, |x, y| {
            let half = match y {
                0..20 => 0,
                20..28 => 20 + 2 * (y - 20),
                28..60 => 36,
                _ => 44 + y / 8,
            };
            y < 180 && x.abs_diff(100) < half
        });
        assert!(!is_skirt(&slip), "shoulders, armholes and a flare: a dress");
        let box_top = Mask::from_fn(200, 200, |x, y| {
            (20..180).contains(&y) && x.abs_diff(100) < 50
        });
        assert!(!is_skirt(&box_top));
    }
}
