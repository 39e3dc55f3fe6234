//! A parsing in cells of several pixels, so that the work does not grow with the picture.

use image::{GrayImage, Luma};
use imageproc::{
    distance_transform::Norm,
    drawing::draw_polygon_mut,
    morphology::dilate,
    point::Point,
    region_labelling::{Connectivity, connected_components},
};

use super::{guess::Bounds, label::Labels};
use crate::parse::Parsing;

/// The most cells.
const MOST_CELLS: usize = 1 << 20;

/// The most cells in a row or column: what a strip of one pixel's height is cut into. Products of
/// two coordinates, as the convex hull needs them, fit an `i32`.
const LONGEST_SIDE: usize = 4096;

/// A region grows by a square of this part of the longer side.
const GROWTH: u32 = 50;

/// How far from what is kept the paint ends, in pixels.
const MARGIN: usize = 3;

/// A cell inside a region.
const INSIDE: Luma<u8> = Luma([255]);

/// A parsing cut into squares.
pub(super) struct Grid<'a> {
    parsing: &'a Parsing,
    /// Pixels along a cell.
    step: usize,
}

impl<'a> Grid<'a> {
    /// With cells of a pixel where the picture is small enough. The parsing has pixels.
    pub(super) fn new(parsing: &'a Parsing) -> Self {
        let fits = |&step: &usize| {
            let (width, height) = cells(parsing, step);
            width * height <= MOST_CELLS && width.max(height) <= LONGEST_SIDE
        };
        let step = (1..=parsing.width.max(parsing.height)).find(fits);
        Self {
            parsing,
            step: step.expect("BUG: a picture fits into one cell"),
        }
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (u32, u32) {
        let (width, height) = cells(self.parsing, self.step);
        (width as u32, height as u32)
    }

    /// The cells that have a pixel of these classes.
    pub(super) fn region(&self, labels: Labels) -> GrayImage {
        let (width, height) = self.size();
        let mut region = GrayImage::new(width, height);
        for (i, _) in
            (self.parsing.classes.iter().enumerate()).filter(|(_, class)| labels.contains(**class))
        {
            let (x, y) = (i % self.parsing.width, i / self.parsing.width);
            region.put_pixel((x / self.step) as u32, (y / self.step) as u32, INSIDE);
        }
        region
    }

    /// [`Self::region`] with the surroundings in which a garment of another cut may end: grown,
    /// and each connected piece made convex, so that the old garment's outline does not show.
    pub(super) fn surroundings(&self, labels: Labels) -> GrayImage {
        let (width, height) = self.size();
        let kernel = (width.max(height) / GROWTH) | 1;
        let mut region = dilate(&self.region(labels), Norm::LInf, (kernel / 2) as u8);
        for piece in outlines(&region) {
            let hull = imageproc::geometry::convex_hull(piece);
            draw_polygon_mut(&mut region, &hull, INSIDE);
        }
        region
    }

    /// The cells at and close to pixels of these classes.
    pub(super) fn vicinity(&self, labels: Labels) -> GrayImage {
        let margin = MARGIN.div_ceil(self.step);
        dilate(&self.region(labels), Norm::LInf, margin as u8)
    }

    /// The cells from `left` to `right` and from `top` to `bottom`.
    pub(super) fn filled(&self, bounds: Bounds) -> GrayImage {
        let (width, height) = self.size();
        GrayImage::from_fn(width, height, |x, y| {
            Luma([255 * u8::from(bounds.contains(x, y))])
        })
    }

    /// Whether the cell of a pixel is inside `region`.
    pub(super) fn is_inside(&self, region: &GrayImage, x: u32, y: u32) -> bool {
        let step = self.step as u32;
        *region.get_pixel(x / step, y / step) == INSIDE
    }
}

/// Columns and rows of cells of `step` pixels.
fn cells(parsing: &Parsing, step: usize) -> (usize, usize) {
    (parsing.width.div_ceil(step), parsing.height.div_ceil(step))
}

/// For each connected piece the ends of its runs in rows, each once: all that its convex hull
/// depends on.
fn outlines(region: &GrayImage) -> Vec<Vec<Point<i32>>> {
    // `connected_components` has no room for the label of a lone pixel, and panics.
    if region.len() == 1 {
        return Vec::new();
    }
    let pieces = connected_components(region, Connectivity::Eight, Luma([0]));
    let mut outlines: Vec<Vec<Point<i32>>> = Vec::new();
    for (x, y, &Luma([piece])) in pieces.enumerate_pixels() {
        let continues = |x: Option<u32>| {
            x.and_then(|x| pieces.get_pixel_checked(x, y))
                .is_some_and(|other| other.0[0] == piece)
        };
        if piece == 0 || continues(x.checked_sub(1)) && continues(x.checked_add(1)) {
            continue;
        }
        let piece = piece as usize - 1;
        if outlines.len() <= piece {
            outlines.resize_with(piece + 1, Vec::new);
        }
        outlines[piece].push(Point::new(x as i32, y as i32));
    }
    outlines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::label::Label;

    const PANTS: Labels = Labels::of(&[Label::Pants]);

    fn parsing(width: usize, height: usize, class: impl Fn(usize, usize) -> u8) -> Parsing {
        let classes = (0..width * height).map(|i| class(i % width, i / width));
        Parsing {
            width,
            height,
            classes: classes.collect(),
        }
    }

    fn count(region: &GrayImage) -> usize {
        region.pixels().filter(|cell| **cell == INSIDE).count()
    }

    #[test]
    fn cells_are_bounded() {
        let sizes = [
            (1, 1, 1),
            (1024, 1024, 1),
            (1025, 1024, 2),
            (3000, 2000, 3),
            (1, 5_000_000, 1221),
        ];
        for (width, height, step) in sizes {
            let parsing = parsing(width, height, |_, _| 0);
            assert_eq!(Grid::new(&parsing).step, step, "{width}x{height}");
        }
    }

    #[test]
    fn a_cell_belongs_to_each_class_in_it() {
        let parsing = parsing(2050, 2060, |x, y| if (x, y) == (2048, 3) { 6 } else { 0 });
        let grid = Grid::new(&parsing);
        assert_eq!(grid.size(), (684, 687));
        let region = grid.region(PANTS);
        assert_eq!(count(&region), 1);
        assert!(grid.is_inside(&region, 2046, 5));
        assert!(!grid.is_inside(&region, 2045, 5));
    }

    #[test]
    fn surroundings_are_grown_and_convex() {
        // 200 / 50, made odd, is a square of 5: 2 on each side.
        let parsing = parsing(200, 100, |x, y| {
            let bar = (40..60).contains(&y) && (50..90).contains(&x);
            let post = (60..80).contains(&y) && (50..54).contains(&x);
            if bar || post { 6 } else { 0 }
        });
        let region = Grid::new(&parsing).surroundings(PANTS);
        let inside = |x, y| *region.get_pixel(x, y) == INSIDE;
        assert!(inside(48, 38) && !inside(47, 38) && !inside(48, 37));
        assert!(inside(70, 65), "between bar and post");
        assert!(!inside(85, 78), "beyond the hull");
    }

    #[test]
    fn pieces_apart_stay_apart() {
        let parsing = parsing(200, 100, |x, y| {
            let posts = (20..30).contains(&x) || (150..160).contains(&x);
            if posts && y < 50 { 6 } else { 0 }
        });
        let region = Grid::new(&parsing).surroundings(PANTS);
        assert_eq!(count(&region), 2 * 14 * 52);
    }

    #[test]
    fn the_vicinity_is_three_pixels() {
        let parsing = parsing(40, 40, |x, y| if (x, y) == (20, 20) { 6 } else { 0 });
        assert_eq!(count(&Grid::new(&parsing).vicinity(PANTS)), 49);
    }
}
