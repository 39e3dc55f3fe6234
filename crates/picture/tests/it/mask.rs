use image::{DynamicImage, Rgba, RgbaImage};
use tryon_picture::mask::{Marking, Mask, find_marked, green_mask, transparent_mask};
use tryon_picture::{Limits, decode, encode_jpeg};

const GREEN: Rgba<u8> = Rgba([0, 255, 0, 255]);

/// A skin-coloured picture with a disc of paint, and the disc.
fn painted() -> (RgbaImage, Mask) {
    let disc = Mask::from_fn(200, 160, |x, y| {
        x.abs_diff(90).pow(2) + y.abs_diff(80).pow(2) < 2500
    });
    let picture = RgbaImage::from_fn(200, 160, |x, y| {
        if disc.contains(x, y) {
            GREEN
        } else {
            Rgba([205, 160, 140, 255])
        }
    });
    (picture, disc)
}

fn overlap(a: &Mask, b: &Mask) -> f64 {
    let both = Mask::from_fn(a.width, a.height, |x, y| {
        a.contains(x, y) && b.contains(x, y)
    });
    let any = Mask::from_fn(a.width, a.height, |x, y| {
        a.contains(x, y) || b.contains(x, y)
    });
    both.share() / any.share()
}

#[test]
fn paint_is_found_exactly() {
    let (picture, disc) = painted();
    assert_eq!(green_mask(&picture), disc);
    assert_eq!(find_marked(&picture), Some((Marking::Paint, disc)));
}

#[test]
fn paint_survives_jpeg() {
    let (picture, disc) = painted();
    let rgb = DynamicImage::from(picture).into_rgb8();
    let bytes = encode_jpeg(&rgb, 75, "").unwrap();
    let found = green_mask(&decode(&bytes, &Limits::default()).unwrap());
    assert!(overlap(&found, &disc) > 0.93, "{}", overlap(&found, &disc));
    // No greenish rim is left outside the mask.
    let missed = Mask::from_fn(200, 160, |x, y| {
        disc.contains(x, y) && !found.contains(x, y)
    });
    assert!(missed.share() < 0.001);
}

#[test]
fn specks_and_green_clothes_are_not_paint() {
    let (mut picture, disc) = painted();
    picture.put_pixel(10, 10, GREEN);
    for x in 180..184 {
        for y in 20..24 {
            picture.put_pixel(x, y, GREEN);
        }
    }
    assert_eq!(green_mask(&picture), disc);
    let shirt = RgbaImage::from_pixel(64, 64, Rgba([60, 190, 80, 255]));
    assert!(green_mask(&shirt).is_empty());
    assert_eq!(find_marked(&shirt), None);
}

#[test]
fn a_hole_in_the_alpha_channel_is_a_mask() {
    let (mut picture, disc) = painted();
    assert!(transparent_mask(&picture).is_empty());
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        pixel.0[3] = if disc.contains(x, y) { 0 } else { 255 };
    }
    assert_eq!(transparent_mask(&picture), disc);
    // Transparent pixels of any colour are a hole, not paint.
    assert!(green_mask(&picture).is_empty());
}

#[test]
fn a_mask_turns_into_a_picture() {
    let (_, disc) = painted();
    let luma = disc.to_luma();
    assert_eq!(luma.get_pixel(90, 80).0, [255]);
    assert_eq!(luma.get_pixel(0, 0).0, [0]);
    assert_eq!(
        disc.count(),
        luma.pixels().filter(|pixel| pixel.0[0] == 255).count()
    );
}

#[test]
fn masks_are_found_in_pictures_of_every_size() {
    let pixels = [GREEN, Rgba([0; 4]), Rgba([205, 160, 140, 255])];
    for (width, height) in (0..=4).flat_map(|width| (0..=4).map(move |height| (width, height))) {
        for pattern in 0..3_u32.pow(4) {
            // Four digits of base three, repeated: uniform, striped and mixed pictures.
            let picture = RgbaImage::from_fn(width, height, |x, y| {
                let digit = (x + 3 * y) % 4;
                pixels[(pattern / 3_u32.pow(digit) % 3) as usize]
            });
            for mask in [green_mask(&picture), transparent_mask(&picture)] {
                assert_eq!((mask.width, mask.height), (width, height));
                assert_eq!(mask.data.len(), (width * height) as usize);
            }
        }
    }
}

#[test]
fn a_picture_of_one_pixel_is_all_mask_or_none() {
    let one = |pixel| RgbaImage::from_pixel(1, 1, pixel);
    assert_eq!(transparent_mask(&one(Rgba([0; 4]))).count(), 1);
    assert!(transparent_mask(&one(GREEN)).is_empty());
    assert_eq!(green_mask(&one(GREEN)).count(), 1);
    assert!(green_mask(&one(Rgba([0; 4]))).is_empty());
}
