use image::{Rgb, RgbImage, Rgba, RgbaImage};
use proptest::prelude::*;
use tryon_picture::resize::LONGEST_SIDE;
use tryon_picture::{Growth, fit_long_side, fit_pixels, fit_short_side, resize, shrink};

#[test]
fn resolutions_round_down_to_multiples() {
    let fit = |short| fit_short_side(768, 1024, short, 16, Growth::Allowed);
    assert_eq!(fit(480), (480, 640));
    assert_eq!(fit(720), (720, 960));
    assert_eq!(fit(1080), (1072, 1440));
    assert_eq!(
        fit_long_side(3000, 2000, 1024, 8, Growth::Never),
        (1024, 680)
    );
}

#[test]
fn small_pictures_grow_only_when_asked() {
    assert_eq!(fit_short_side(300, 400, 720, 16, Growth::Never), (288, 400));
    assert_eq!(
        fit_short_side(300, 400, 720, 16, Growth::Allowed),
        (720, 960)
    );
    assert_eq!(fit_short_side(5, 5, 720, 16, Growth::Never), (16, 16));
}

#[test]
fn shrinking_draws_no_rim_around_paint() {
    let (paint, skin) = (Rgba([0, 255, 0, 255]), Rgba([205, 160, 140, 255]));
    let picture = RgbaImage::from_fn(300, 60, |x, _| if x < 150 { paint } else { skin });
    let small = shrink(&picture, 173, 34);
    for pixel in small.pixels() {
        let [r, g, b, _] = pixel.0;
        assert!(r <= 205 && b <= 140 && g >= 160, "{pixel:?}");
    }
    assert_eq!(
        (small.get_pixel(0, 0), small.get_pixel(172, 33)),
        (&paint, &skin)
    );
}

proptest! {
    #[test]
    fn a_number_of_pixels_is_kept_to(
        width in 1_u32..10_000_000,
        height in 1_u32..10_000_000,
        pixels in 1_u32..50_000_000,
    ) {
        let (w, h) = fit_pixels(width, height, pixels);
        prop_assert!(w > 0 && h > 0 && w <= width && h <= height);
        prop_assert!(u64::from(w) * u64::from(h) <= u64::from(pixels));
        let whole = u64::from(width) * u64::from(height) <= u64::from(pixels);
        prop_assert_eq!((w, h) == (width, height), whole);
        // No side is a pixel shorter than it could be.
        let ratio = f64::from(width) / f64::from(height);
        prop_assert!(whole || h == 1 || w == 1 || (f64::from(w) / ratio - f64::from(h)).abs() <= 1.0 + 1.0 / ratio);
    }

    #[test]
    fn fitted_sides_are_bounded_multiples(
        width in 1_u32..40_000_000,
        height in 1_u32..40_000_000,
        wanted in 1_u32..4096,
    ) {
        let (w, h) = fit_short_side(width, height, wanted, 16, Growth::Allowed);
        prop_assert!(w % 16 == 0 && h % 16 == 0 && w > 0 && h > 0);
        prop_assert!(w.max(h) <= LONGEST_SIDE);
        prop_assert!(w.min(h) <= wanted.max(16));
        prop_assert_eq!(w > h, w > h && width > height);
    }
}

#[test]
fn transparent_pixels_do_not_bleed_into_their_neighbours() {
    let half = RgbaImage::from_fn(64, 64, |x, _| {
        if x < 32 {
            Rgba([255, 0, 0, 255])
        } else {
            Rgba([0, 255, 0, 0])
        }
    });
    let small = resize(&half, 15, 15);
    for pixel in small.pixels().filter(|pixel| pixel.0[3] > 8) {
        assert!(pixel.0[0] > 240 && pixel.0[1] < 15, "{pixel:?}");
    }
}

#[test]
fn a_plain_picture_stays_plain_at_any_size() {
    let plain = RgbImage::from_pixel(200, 100, Rgb([12, 140, 250]));
    for (width, height) in [(200, 100), (7, 3), (20, 10), (401, 333), (1, 1)] {
        let resized = resize(&plain, width, height);
        assert_eq!(resized.dimensions(), (width, height));
        assert!(resized.pixels().all(|pixel| pixel.0 == [12, 140, 250]));
    }
}
