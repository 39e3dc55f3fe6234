//! Colour spaces, colour difference and the skin rule.

use std::sync::LazyLock;

use super::plane::{Color, to_byte};

/// sRGB in `0..=255` to CIELAB under D65: L in `0..=100`.
pub(crate) fn rgb_to_lab(rgb: &Color) -> Color {
    let tables = &*TABLES;
    rgb.map(|&pixel| tables.lab(pixel))
}

static TABLES: LazyLock<LabTables> = LazyLock::new(LabTables::new);

/// Entries of a sampled curve.
const ENTRIES: usize = 4096;

/// A curve over `0..=1`, sampled: values and the steps to the next ones.
struct Curve(Box<[[f32; 2]; ENTRIES]>);

impl Curve {
    fn sample(curve: impl Fn(f64) -> f64) -> Self {
        let at = |i: usize| curve(i as f64 / (ENTRIES - 1) as f64);
        let entries = (0..ENTRIES).map(|i| [at(i) as f32, (at(i + 1) - at(i)) as f32]);
        let entries: Box<[[f32; 2]]> = entries.collect();
        Self(
            entries
                .try_into()
                .expect("BUG: as many entries as were sampled"),
        )
    }

    fn read(&self, value: f32) -> f32 {
        let position = value.clamp(0.0, 1.0) * (ENTRIES - 1) as f32;
        let index = position as u16;
        let [base, step] = self.0[usize::from(index) % ENTRIES];
        base + step * (position - f32::from(index))
    }
}

/// The two curves of the conversion: evaluating the powers directly costs ten times as much and
/// differs by less than 0.01 L.
struct LabTables {
    linear: Curve,
    root: Curve,
}

impl LabTables {
    fn new() -> Self {
        Self {
            linear: Curve::sample(linear_light),
            root: Curve::sample(lab_root),
        }
    }

    fn lab(&self, rgb: [f32; 3]) -> [f32; 3] {
        let [r, g, b] = rgb.map(|v| self.linear.read(v / 255.0));
        let x = (0.412_453 * r + 0.357_580 * g + 0.180_423 * b) / 0.950_456;
        let y = 0.212_671 * r + 0.715_160 * g + 0.072_169 * b;
        let z = (0.019_334 * r + 0.119_193 * g + 0.950_227 * b) / 1.088_754;
        let [x, y, z] = [x, y, z].map(|v| self.root.read(v));
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }
}

fn linear_light(v: f64) -> f64 {
    if v <= 0.04045 {
        v / 12.92
    } else {
        ((v + 0.055) / 1.055).powf(2.4)
    }
}

fn lab_root(t: f64) -> f64 {
    if t > 0.008_856 {
        t.cbrt()
    } else {
        7.787 * t + 16.0 / 116.0
    }
}

/// Full-range luma and chroma of an 8-bit sRGB colour, as `(y, cr, cb)`, in 14-bit fixed point.
pub(crate) fn ycrcb([r, g, b]: [u8; 3]) -> (i32, i32, i32) {
    const HALF: i32 = 1 << 13;
    const MIDDLE: i32 = 128 << 14;
    let (r, g, b) = (i32::from(r), i32::from(g), i32::from(b));
    let y = (4899 * r + 9617 * g + 1868 * b + HALF) >> 14;
    let cr = ((r - y) * 11682 + MIDDLE + HALF) >> 14;
    let cb = ((b - y) * 9241 + MIDDLE + HALF) >> 14;
    (y, cr.clamp(0, 255), cb.clamp(0, 255))
}

/// Whether the chroma of a colour (sRGB, `0..=255`) is that of skin, light or dark, under ordinary
/// light.
pub(crate) fn skin_rule(rgb: [f32; 3]) -> bool {
    let (y, cr, cb) = ycrcb(rgb.map(to_byte));
    (134..=180).contains(&cr) && (80..=132).contains(&cb) && y > 25 && cr - cb > 6
}

/// The Euclidean distance between two colours.
pub(crate) fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    let [x, y, z] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    (x * x + y * y + z * z).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: [f32; 3], b: [f32; 3], tolerance: f32) -> bool {
        distance(a, b) < tolerance
    }

    #[test]
    fn known_colours_have_known_lab_values() {
        for (rgb, lab) in [
            ([255.0, 255.0, 255.0], [100.0, 0.0, 0.0]),
            ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
            ([255.0, 0.0, 0.0], [53.24, 80.09, 67.20]),
            ([0.0, 128.0, 0.0], [46.23, -51.70, 49.90]),
            ([119.0, 119.0, 119.0], [50.03, 0.0, 0.0]),
        ] {
            let found = rgb_to_lab(&Color::new(1, 1, rgb))[(0, 0)];
            assert!(close(found, lab, 0.05), "{rgb:?}: {found:?}");
        }
    }

    #[test]
    fn the_skin_rule_takes_light_and_dark_skin_and_no_cloth() {
        for skin in [
            [224.0, 172.0, 145.0],
            [141.0, 85.0, 60.0],
            [88.0, 52.0, 38.0],
        ] {
            assert!(skin_rule(skin), "{skin:?}");
        }
        for other in [
            [255.0, 255.0, 255.0],
            [40.0, 60.0, 120.0],
            [20.0, 20.0, 20.0],
            [90.0, 140.0, 70.0],
        ] {
            assert!(!skin_rule(other), "{other:?}");
        }
    }

    #[test]
    fn grey_has_no_chroma() {
        assert_eq!(ycrcb([130, 130, 130]), (130, 128, 128));
        assert_eq!(ycrcb([255, 0, 0]), (76, 255, 85));
    }
}
