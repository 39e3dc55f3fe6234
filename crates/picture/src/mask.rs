//! The region of a picture that somebody marked: painted pure green, or cut out.

use image::{GrayImage, Luma, RgbaImage};
use imageproc::distance_transform::Norm;
use imageproc::morphology::{dilate, open};
use imageproc::region_labelling::{Connectivity, connected_components};

/// Components smaller than this share of the largest one are compression noise.
const SMALLEST_COMPONENT: f64 = 0.02;

/// A region of a picture: one flag per pixel, rows from top to bottom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Columns, in pixels.
    pub width: u32,
    /// Rows, in pixels.
    pub height: u32,
    /// `width * height` flags; `true` inside the region.
    pub data: Vec<bool>,
}

impl Mask {
    /// Marks the pixels for which `inside(x, y)` holds.
    pub fn from_fn(width: u32, height: u32, mut inside: impl FnMut(u32, u32) -> bool) -> Self {
        let data = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .map(|(x, y)| inside(x, y))
            .collect();
        Self {
            width,
            height,
            data,
        }
    }

    /// Whether the pixel in column `x` and row `y` is inside; `false` beyond the borders.
    pub fn contains(&self, x: u32, y: u32) -> bool {
        x < self.width
            && y < self.height
            && self.data[y as usize * self.width as usize + x as usize]
    }

    /// Number of pixels inside.
    pub fn count(&self) -> usize {
        self.data.iter().filter(|&&inside| inside).count()
    }

    /// Pixels inside as a share of all, 0.0 to 1.0.
    #[expect(
        clippy::cast_precision_loss,
        reason = "pixel counts are far below 2^52"
    )]
    pub fn share(&self) -> f64 {
        self.count() as f64 / self.data.len().max(1) as f64
    }

    /// Whether no pixel is inside.
    pub fn is_empty(&self) -> bool {
        !self.data.contains(&true)
    }

    /// The smallest rectangle around what is inside: left, top, right and bottom in pixels, the
    /// latter two exclusive. `None` where nothing is.
    pub fn bounds(&self) -> Option<[u32; 4]> {
        let inside = |x: u32, y: u32| self.contains(x, y);
        let row = |y: &u32| (0..self.width).any(|x| inside(x, *y));
        let column = |x: &u32| (0..self.height).any(|y| inside(*x, y));
        Some([
            (0..self.width).find(column)?,
            (0..self.height).find(row)?,
            (0..self.width).rfind(column)? + 1,
            (0..self.height).rfind(row)? + 1,
        ])
    }

    /// The same rectangle in shares of the picture's sides: left, top, width and height.
    pub fn frame(&self) -> Option<[f64; 4]> {
        let [left, top, right, bottom] = self.bounds()?;
        let across = |pixels: u32| f64::from(pixels) / f64::from(self.width);
        let down = |pixels: u32| f64::from(pixels) / f64::from(self.height);
        Some([
            across(left),
            down(top),
            across(right - left),
            down(bottom - top),
        ])
    }

    /// White inside, black outside.
    pub fn to_luma(&self) -> GrayImage {
        let pixels = self.data.iter().map(|&inside| u8::from(inside) * 255);
        GrayImage::from_raw(self.width, self.height, pixels.collect())
            .expect("BUG: a mask has one flag per pixel")
    }

    fn from_luma(luma: &GrayImage) -> Self {
        Self {
            width: luma.width(),
            height: luma.height(),
            data: luma.pixels().map(|Luma([value])| *value > 127).collect(),
        }
    }
}

/// The region painted pure green (0,255,0), empty when there is none.
///
/// Tolerates what JPEG makes of the paint: after specks are removed, greenish pixels within
/// 3 pixels of the paint, where the colours were mixed, belong to it.
pub fn green_mask(picture: &RgbaImage) -> Mask {
    let (width, height) = picture.dimensions();
    let core = Mask::from_fn(width, height, |x, y| is_paint(picture.get_pixel(x, y).0));
    if core.is_empty() {
        return core;
    }
    let core = keep_large(&open(&core.to_luma(), Norm::LInf, 1));
    let near = dilate(&core, Norm::LInf, 3);
    Mask::from_fn(width, height, |x, y| {
        let inside = |luma: &GrayImage| luma.get_pixel(x, y).0[0] > 0;
        inside(&core) || inside(&near) && greenness(picture.get_pixel(x, y).0) > 28
    })
}

/// The region cut out of a picture (alpha below half), empty when there is none.
pub fn transparent_mask(picture: &RgbaImage) -> Mask {
    let (width, height) = picture.dimensions();
    let clear = Mask::from_fn(width, height, |x, y| picture.get_pixel(x, y).0[3] < 128);
    if clear.is_empty() {
        return clear;
    }
    Mask::from_luma(&keep_large(&clear.to_luma()))
}

/// Marked regions smaller than this share of a picture are specks, logos or rounded corners.
const LEAST_MARK: f64 = 0.001;

/// A region along more than this share of the border is a backdrop.
const BACKDROP_BORDER: f64 = 0.5;

/// How somebody marked a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marking {
    /// It was made transparent.
    CutOut,
    /// It was painted pure green.
    Paint,
}

/// The region that somebody marked in a picture, and how. What runs along most of the border is no
/// such region: a person who was cut out, or stands before a green screen, marks nothing.
pub fn find_marked(picture: &RgbaImage) -> Option<(Marking, Mask)> {
    let is_region = |mask: &Mask| mask.share() >= LEAST_MARK && !is_backdrop(mask);
    let hole = Some(transparent_mask(picture)).filter(is_region);
    hole.map(|mask| (Marking::CutOut, mask)).or_else(|| {
        let paint = Some(green_mask(picture)).filter(is_region);
        paint.map(|mask| (Marking::Paint, mask))
    })
}

/// Whether the region runs along the top, left and right border.
#[expect(
    clippy::cast_precision_loss,
    reason = "borders are far shorter than 2^52 pixels"
)]
fn is_backdrop(mask: &Mask) -> bool {
    let top = (0..mask.width).map(|x| (x, 0));
    let sides = (0..mask.height).flat_map(|y| [(0, y), (mask.width - 1, y)]);
    let border: Vec<_> = top.chain(sides).collect();
    let inside = border.iter().filter(|&&(x, y)| mask.contains(x, y)).count();
    inside as f64 > BACKDROP_BORDER * border.len() as f64
}

fn is_paint([r, g, b, alpha]: [u8; 4]) -> bool {
    alpha > 127 && g > 200 && r < 70 && b < 70 && greenness([r, g, b, alpha]) > 130
}

/// By how much green exceeds the other two.
fn greenness([r, g, b, _]: [u8; 4]) -> i32 {
    i32::from(g) - i32::from(r.max(b))
}

/// Keeps the components that have at least [`SMALLEST_COMPONENT`] of the largest one's area.
fn keep_large(region: &GrayImage) -> GrayImage {
    // `connected_components` has room for one label less than there are pixels, and panics.
    if region.dimensions() == (1, 1) {
        return region.clone();
    }
    let labels = connected_components(region, Connectivity::Eight, Luma([0]));
    let components = labels.pixels().map(|label| label.0[0]).max().unwrap_or(0);
    let mut areas = vec![0_u32; components as usize + 1];
    for Luma([label]) in labels.pixels().filter(|label| label.0[0] > 0) {
        areas[*label as usize] += 1;
    }
    let largest = areas.iter().copied().max().unwrap_or(0);
    let is_large = |area: u32| f64::from(area) >= SMALLEST_COMPONENT * f64::from(largest);
    GrayImage::from_fn(region.width(), region.height(), |x, y| {
        let label = labels.get_pixel(x, y).0[0];
        Luma([u8::from(label > 0 && is_large(areas[label as usize])) * 255])
    })
}
