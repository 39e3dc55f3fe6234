//! Measures of a dressed picture that need no other picture to compare with.
//!
//! Never one alone: a region filled with the mean colour has the right colour, a garment pasted
//! over the photo has the right colour and texture.

use image::{Rgb, RgbImage};
use tryon_picture::mask::green_mask;

use crate::scene::rgba;

pub(crate) type Lab = [f64; 3];

/// A box, of which every sixth pixel is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    pub(crate) left: u32,
    pub(crate) top: u32,
    pub(crate) right: u32,
    pub(crate) bottom: u32,
}

impl Area {
    fn pixels(self) -> impl Iterator<Item = (u32, u32)> {
        let columns = (self.left..self.right).step_by(2);
        (self.top..self.bottom)
            .step_by(3)
            .flat_map(move |y| columns.clone().map(move |x| (x, y)))
    }
}

/// The mean colour of an area.
pub(crate) fn mean(picture: &RgbImage, area: Area) -> Lab {
    let colors: Vec<Lab> = area
        .pixels()
        .map(|(x, y)| lab(*picture.get_pixel(x, y)))
        .collect();
    let count = f64::from(u32::try_from(colors.len()).unwrap());
    std::array::from_fn(|c| colors.iter().map(|color| color[c]).sum::<f64>() / count)
}

/// The usual colour of an area, whatever is printed on it.
pub(crate) fn median(picture: &RgbImage, area: Area) -> Lab {
    let colors: Vec<Lab> = area
        .pixels()
        .map(|(x, y)| lab(*picture.get_pixel(x, y)))
        .collect();
    std::array::from_fn(|c| {
        let mut channel: Vec<f64> = colors.iter().map(|color| color[c]).collect();
        channel.sort_by(f64::total_cmp);
        channel[channel.len() / 2]
    })
}

/// Texture: the mean step in brightness between neighbours that are two pixels apart.
pub(crate) fn edges(picture: &RgbImage, area: Area) -> f64 {
    let light = |x: u32, y: u32| lab(*picture.get_pixel(x, y))[0];
    let steps: Vec<f64> = area
        .pixels()
        .map(|(x, y)| {
            let across = (light(x + 2, y) - light(x, y)).abs();
            across.max((light(x, y + 2) - light(x, y)).abs())
        })
        .collect();
    steps.iter().sum::<f64>() / f64::from(u32::try_from(steps.len()).unwrap())
}

/// The share of the pixels `region` whose colour is one of `palette`, in some light.
pub(crate) fn palette_share(picture: &RgbImage, region: &[(u32, u32)], palette: &[u32]) -> f64 {
    let palette: Vec<Lab> = palette.iter().map(|&color| lab(from_hex(color))).collect();
    let matches = |&&(x, y): &&(u32, u32)| {
        let color = lab(*picture.get_pixel(x, y));
        palette.iter().any(|known| {
            let [l, a, b]: Lab = std::array::from_fn(|c| color[c] - known[c]);
            (0.36 * l * l + a * a + b * b).sqrt() < 16.0
        })
    };
    let sample: Vec<_> = region.iter().step_by(7).collect();
    share(sample.iter().copied().filter(matches).count(), sample.len())
}

/// The share of the pixels `region` that look as they did.
pub(crate) fn unchanged_share(before: &RgbImage, after: &RgbImage, region: &[(u32, u32)]) -> f64 {
    let same = |&&(x, y): &&(u32, u32)| {
        let (before, after) = (before.get_pixel(x, y).0, after.get_pixel(x, y).0);
        before.iter().zip(after).all(|(a, b)| a.abs_diff(b) < 6)
    };
    share(region.iter().filter(same).count(), region.len())
}

fn share(part: usize, whole: usize) -> f64 {
    let [part, whole] = [part, whole].map(|n| f64::from(u32::try_from(n).unwrap()));
    part / whole
}

/// Pixels of green paint that are left.
pub(crate) fn green_left(picture: &RgbImage) -> usize {
    picture.pixels().filter(|&&pixel| is_green(pixel)).count()
}

fn is_green(Rgb([r, g, b]): Rgb<u8>) -> bool {
    i32::from(g) - i32::from(r.max(b)) > 60
}

/// The painted pixels of a photo.
pub(crate) fn painted(photo: &RgbImage) -> Vec<(u32, u32)> {
    let mask = green_mask(&rgba(photo));
    pixels(photo)
        .filter(|&(x, y)| mask.contains(x, y))
        .collect()
}

/// How many pixels outside of the painted region, less a rim of two pixels, are not the same.
pub(crate) fn changed_outside(photo: &RgbImage, dressed: &RgbImage) -> usize {
    let mask = green_mask(&rgba(photo));
    let is_paint = |x: u32, y: u32| mask.contains(x, y) || is_green(*photo.get_pixel(x, y));
    let near_paint = |x: u32, y: u32| {
        let rows = y.saturating_sub(2)..(y + 3).min(photo.height());
        let mut columns = x.saturating_sub(2)..(x + 3).min(photo.width());
        columns.any(|x| rows.clone().any(|y| is_paint(x, y)))
    };
    pixels(photo)
        .filter(|&(x, y)| photo.get_pixel(x, y) != dressed.get_pixel(x, y))
        .filter(|&(x, y)| !near_paint(x, y))
        .count()
}

/// How many pixels that `inside` accepts are not the same.
pub(crate) fn changed(
    before: &RgbImage,
    after: &RgbImage,
    inside: impl Fn(u32, u32) -> bool,
) -> usize {
    pixels(before)
        .filter(|&(x, y)| inside(x, y) && before.get_pixel(x, y) != after.get_pixel(x, y))
        .count()
}

fn pixels(picture: &RgbImage) -> impl Iterator<Item = (u32, u32)> + use<> {
    let width = picture.width();
    (0..picture.height()).flat_map(move |y| (0..width).map(move |x| (x, y)))
}

fn from_hex(color: u32) -> Rgb<u8> {
    let [_, r, g, b] = color.to_be_bytes();
    Rgb([r, g, b])
}

/// CIELAB under D65.
pub(crate) fn lab(Rgb(color): Rgb<u8>) -> Lab {
    let [r, g, b] = color.map(|c| {
        let c = f64::from(c) / 255.0;
        if c <= 0.04045 {
            c / 12.92
        } else {
            ((c + 0.055) / 1.055).powf(2.4)
        }
    });
    let curve = |t: f64| {
        if t > 0.008_856 {
            t.cbrt()
        } else {
            7.787 * t + 16.0 / 116.0
        }
    };
    let x = curve((0.412_456 * r + 0.357_576 * g + 0.180_438 * b) / 0.950_47);
    let y = curve(0.212_673 * r + 0.715_152 * g + 0.072_175 * b);
    let z = curve((0.019_334 * r + 0.119_192 * g + 0.950_304 * b) / 1.088_83);
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// The CIEDE2000 difference of two colours.
pub(crate) fn difference([l1, a1, b1]: Lab, [l2, a2, b2]: Lab) -> f64 {
    let seventh = |c: f64| (c.powi(7) / (c.powi(7) + 25.0_f64.powi(7))).sqrt();
    let chroma = f64::midpoint(a1.hypot(b1), a2.hypot(b2));
    let stretch = 1.5 - 0.5 * seventh(chroma);
    let (a1, a2) = (a1 * stretch, a2 * stretch);
    let (c1, c2) = (a1.hypot(b1), a2.hypot(b2));
    let hue = |a: f64, b: f64| b.atan2(a).to_degrees().rem_euclid(360.0);
    let (h1, h2) = (hue(a1, b1), hue(a2, b2));
    let mut turn = h2 - h1;
    let mut middle = h1 + h2;
    if c1 * c2 > 0.0 {
        if turn.abs() > 180.0 {
            turn -= 360.0 * turn.signum();
            middle += if middle < 360.0 { 360.0 } else { -360.0 };
        }
        middle /= 2.0;
    } else {
        turn = 0.0;
    }
    let (l, c) = (f64::midpoint(l1, l2), f64::midpoint(c1, c2));
    let wave = |factor: f64, shift: f64| (factor * middle + shift).to_radians().cos();
    let t = 1.0 - 0.17 * wave(1.0, -30.0) + 0.24 * wave(2.0, 0.0) + 0.32 * wave(3.0, 6.0)
        - 0.20 * wave(4.0, -63.0);
    let dip = (l - 50.0).powi(2);
    let light = (l2 - l1) / (1.0 + 0.015 * dip / (20.0 + dip).sqrt());
    let chroma = (c2 - c1) / (1.0 + 0.045 * c);
    let hue = 2.0 * (c1 * c2).sqrt() * (turn / 2.0).to_radians().sin() / (1.0 + 0.015 * c * t);
    let blue = 30.0 * (-((middle - 275.0) / 25.0).powi(2)).exp();
    let rotation = -2.0 * seventh(c) * (2.0 * blue).to_radians().sin();
    (light * light + chroma * chroma + hue * hue + rotation * chroma * hue).sqrt()
}

/// From the test data of Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula" (2005).
#[test]
fn differences_are_those_of_the_standard() {
    let pairs = [
        ([50.0, 2.6772, -79.7751], [50.0, 0.0, -82.7485], 2.0425),
        ([50.0, 2.5, 0.0], [73.0, 25.0, -18.0], 27.1492),
        (
            [60.2574, -34.0099, 36.2677],
            [60.4626, -34.1751, 39.4387],
            1.2644,
        ),
        (
            [2.0776, 0.0795, -1.1350],
            [0.9033, -0.0636, -0.5514],
            0.9082,
        ),
    ];
    for (a, b, expected) in pairs {
        assert!((difference(a, b) - expected).abs() < 1e-4, "{a:?} {b:?}");
    }
}
