//! Where a garment goes on somebody who wears none of its kind, from the parts of the body.

use image::GrayImage;
use tryon_core::category::Category;

use super::{
    grid::Grid,
    label::{Labels, Recipe},
};

/// From the chin to the hip, in heights of a face.
const TORSO: u32 = 3;

/// A rectangle of cells; `right` and `bottom` are past its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) right: u32,
    pub(super) bottom: u32,
}

impl Bounds {
    /// Around a region; None if it is empty.
    fn of(region: &GrayImage) -> Option<Self> {
        region
            .enumerate_pixels()
            .filter(|(_, _, cell)| cell.0[0] > 0)
            .map(|(x, y, _)| Self {
                left: x,
                top: y,
                right: x + 1,
                bottom: y + 1,
            })
            .reduce(Self::around)
    }

    fn around(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    pub(super) fn contains(self, x: u32, y: u32) -> bool {
        (self.left..self.right).contains(&x) && (self.top..self.bottom).contains(&y)
    }

    fn width(self) -> u32 {
        self.right - self.left
    }

    fn height(self) -> u32 {
        self.bottom - self.top
    }
}

/// Where the parts of a body are.
struct Body {
    head: Option<Bounds>,
    arms: Option<Bounds>,
    /// A garment on the upper body.
    upper: Option<Bounds>,
    /// Legs, bare or not.
    lower: Option<Bounds>,
    /// Around all of them.
    whole: Bounds,
}

/// Where a garment of this category goes; None if too little of the body is seen. What passes for
/// such a garment says nothing.
pub(super) fn guess(grid: &Grid<'_>, category: Category, recipe: Recipe) -> Option<Bounds> {
    let body = Body::find(grid, recipe.core)?;
    let (width, height) = grid.size();
    let hip = body.hip();
    let (top, bottom) = match category {
        Category::Tops => (body.neck(), hip?),
        Category::Bottoms => (hip?, body.end(height)),
        _ => (body.neck(), body.end(height)),
    };
    let (left, right) = body.columns();
    let bounds = Bounds {
        left,
        top,
        right: right.min(width),
        bottom: bottom.min(height),
    };
    (bounds.top < bounds.bottom).then_some(bounds)
}

impl Body {
    fn find(grid: &Grid<'_>, ignored: Labels) -> Option<Self> {
        let find = |labels: Labels| Bounds::of(&grid.region(labels.without(ignored)));
        let parts = [Labels::HEAD, Labels::ARMS, Labels::UPPER, Labels::LOWER].map(find);
        let [head, arms, upper, lower] = parts;
        Some(Self {
            head,
            arms,
            upper,
            lower,
            whole: parts.into_iter().flatten().reduce(Bounds::around)?,
        })
    }

    /// The row where the torso begins. Above legs alone there is as much body as they are long.
    fn neck(&self) -> u32 {
        let torso = self.arms.into_iter().chain(self.upper);
        match (self.head, torso.reduce(Bounds::around)) {
            (Some(head), _) => head.bottom,
            (None, Some(torso)) => torso.top,
            (None, None) => self.whole.top.saturating_sub(self.whole.height()),
        }
    }

    /// The row where the legs begin, by the first that is known of: legs and the end of a garment
    /// above them, hands, the face.
    fn hip(&self) -> Option<u32> {
        let lower = self.lower.map(|lower| lower.top);
        let upper = self.upper.map(|upper| upper.bottom);
        let arms = self.arms.map(|arms| arms.bottom);
        let head = self.head.map(|head| head.bottom + TORSO * head.height());
        lower.into_iter().chain(upper).min().or(arms).or(head)
    }

    /// The row past the legs: past the picture if they are not seen.
    fn end(&self, height: u32) -> u32 {
        self.lower.map_or(height, |lower| lower.bottom)
    }

    /// The columns of all that is seen, and at least those of shoulders: a face's width on either
    /// side of it.
    fn columns(&self) -> (u32, u32) {
        let Bounds { left, right, .. } = self.whole;
        self.head.map_or((left, right), |head| {
            (
                left.min(head.left.saturating_sub(head.width())),
                right.max(head.right + head.width()),
            )
        })
    }
}
