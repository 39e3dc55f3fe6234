use image::{Rgba, RgbaImage, imageops};
use moxcms::ColorProfile;
use png::{BitDepth, ColorType};
use tryon_picture::{Format, Header, Limits, PictureError, decode, probe};

use crate::file;

fn decoded(bytes: &[u8]) -> RgbaImage {
    decode(bytes, &Limits::default()).unwrap()
}

fn refused(bytes: &[u8]) -> PictureError {
    decode(bytes, &Limits::default()).unwrap_err()
}

#[track_caller]
fn assert_near(actual: Rgba<u8>, expected: [u8; 4], tolerance: u8) {
    let near = actual
        .0
        .iter()
        .zip(expected)
        .all(|(a, e)| a.abs_diff(e) <= tolerance);
    assert!(near, "{actual:?} is not within {tolerance} of {expected:?}");
}

#[test]
fn lossless_files_come_back_bit_for_bit() {
    assert_eq!(decoded(&file::png()), file::corners());
    assert_eq!(decoded(&file::webp()), file::corners());
}

#[test]
fn every_png_kind_becomes_rgba8() {
    let cases: [(Vec<u8>, [u8; 4]); 7] = [
        (
            file::png_of(ColorType::Grayscale, BitDepth::One, None, &[0b1010_0000]),
            [255; 4],
        ),
        (
            file::png_of(ColorType::Grayscale, BitDepth::Eight, None, &[90; 4]),
            [90, 90, 90, 255],
        ),
        (
            file::png_of(ColorType::Grayscale, BitDepth::Sixteen, None, &[90; 8]),
            [90, 90, 90, 255],
        ),
        (
            file::png_of(ColorType::GrayscaleAlpha, BitDepth::Eight, None, &[9; 8]),
            [9; 4],
        ),
        (
            file::png_of(ColorType::Rgb, BitDepth::Eight, None, &[1, 2, 3].repeat(4)),
            [1, 2, 3, 255],
        ),
        (
            file::png_of(ColorType::Rgba, BitDepth::Sixteen, None, &[64; 32]),
            [64; 4],
        ),
        (
            file::png_of(
                ColorType::Indexed,
                BitDepth::Two,
                Some(&[0, 0, 0, 5, 6, 7]),
                &[0b0100_0000],
            ),
            [5, 6, 7, 255],
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(decoded(&bytes).get_pixel(0, 0).0, expected);
    }
}

#[test]
fn cmyk_and_ycck_jpeg_become_rgb() {
    for ycck in [false, true] {
        let orange = decoded(&file::cmyk_jpeg([0, 128, 255, 0], ycck));
        assert_near(*orange.get_pixel(16, 16), [255, 127, 0, 255], 6);
        let dark = decoded(&file::cmyk_jpeg([0, 0, 0, 200], ycck));
        assert_near(*dark.get_pixel(16, 16), [55, 55, 55, 255], 6);
    }
}

#[test]
fn all_eight_exif_orientations_come_out_upright() {
    let upright = file::corners();
    // How the camera stored the picture, so that the orientation's correction undoes it.
    let stored: [RgbaImage; 8] = [
        upright.clone(),
        imageops::flip_horizontal(&upright),
        imageops::rotate180(&upright),
        imageops::flip_vertical(&upright),
        imageops::rotate270(&imageops::flip_horizontal(&upright)),
        imageops::rotate270(&upright),
        imageops::rotate90(&imageops::flip_horizontal(&upright)),
        imageops::rotate90(&upright),
    ];
    for (orientation, stored) in (1..).zip(&stored) {
        let bytes = file::rotated_jpeg(stored, orientation);
        let header = probe(&bytes, &Limits::default()).unwrap();
        assert_eq!(
            (header.width, header.height),
            (24, 16),
            "orientation {orientation}"
        );
        let picture = decoded(&bytes);
        for (x, y) in [(4, 4), (20, 4), (4, 12), (20, 12)] {
            assert_near(*picture.get_pixel(x, y), upright.get_pixel(x, y).0, 12);
        }
    }
}

#[test]
fn a_colour_profile_is_converted_from() {
    let profile = ColorProfile::new_display_p3().encode().unwrap();
    let plain = decoded(&file::profiled_jpeg(
        [200, 120, 90],
        &ColorProfile::new_srgb().encode().unwrap(),
    ));
    assert_near(*plain.get_pixel(8, 8), [200, 120, 90, 255], 3);
    let vivid = decoded(&file::profiled_jpeg([200, 120, 90], &profile));
    assert_near(*vivid.get_pixel(8, 8), [211, 117, 83, 255], 4);
    let broken = decoded(&file::profiled_jpeg([200, 120, 90], b"not a profile"));
    assert_near(*broken.get_pixel(8, 8), [200, 120, 90, 255], 3);
}

#[test]
fn probing_reads_the_header_alone() {
    let limits = Limits::default();
    let expected = |format, has_alpha| Header {
        format,
        width: 24,
        height: 16,
        orientation: 1,
        has_alpha,
    };
    let cut = |bytes: Vec<u8>, keep: usize| bytes[..keep].to_vec();
    assert_eq!(
        probe(&file::png(), &limits).unwrap(),
        expected(Format::Png, true)
    );
    assert_eq!(
        probe(&file::webp(), &limits).unwrap(),
        expected(Format::Webp, true)
    );
    let jpeg = file::jpeg();
    let start_of_scan = jpeg
        .windows(2)
        .position(|pair| pair == [0xff, 0xda])
        .unwrap();
    assert_eq!(
        probe(&cut(jpeg, start_of_scan + 20), &limits).unwrap(),
        expected(Format::Jpeg, false)
    );
}

#[test]
fn a_one_pixel_picture_is_a_picture() {
    let one = RgbaImage::from_pixel(1, 1, Rgba([1, 2, 3, 4]));
    let bytes = tryon_picture::encode_png(&one, &[]).unwrap();
    assert_eq!(decoded(&bytes), one);
}

#[test]
fn an_empty_file_is_refused() {
    assert!(matches!(refused(b""), PictureError::Empty));
}

#[test]
fn text_that_calls_itself_png_is_called_text() {
    let error = refused(b"this is not an image, whatever its name says");
    assert!(matches!(
        error,
        PictureError::UnknownFormat { found: "text" }
    ));
    assert_eq!(
        error.to_string(),
        "the file is text, not a picture that can be read; send a PNG, JPEG or WebP file"
    );
}

#[test]
fn too_large_a_file_is_refused_unread() {
    let limits = Limits {
        max_bytes: 8,
        ..Limits::default()
    };
    let error = decode(&file::png(), &limits).unwrap_err();
    assert!(matches!(
        error,
        PictureError::TooManyBytes {
            bytes: 9..,
            limit: 8
        }
    ));
}

#[test]
fn a_header_that_promises_too_much_is_refused_before_decoding() {
    let bomb = file::png_header(40_000, 40_000);
    assert!(bomb.len() < 100);
    for error in [
        refused(&bomb),
        probe(&bomb, &Limits::default()).unwrap_err(),
    ] {
        assert_eq!(
            error.to_string(),
            "the picture is 40000x40000, that is 1600000000 pixels and 40000000 are accepted; \
             scale it down"
        );
    }
}

#[test]
fn animations_are_refused() {
    for (bytes, expected) in [
        (file::animated_png(), Format::Png),
        (file::animated_webp(), Format::Webp),
    ] {
        let error = refused(&bytes);
        assert!(
            matches!(error, PictureError::Animated { format } if format == expected),
            "{error}"
        );
    }
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    for whole in [file::png(), file::jpeg(), file::webp()] {
        for keep in [13, whole.len() / 3, whole.len() * 2 / 3, whole.len() - 14] {
            let error = refused(&whole[..keep]);
            assert!(
                matches!(
                    error,
                    PictureError::Truncated { .. } | PictureError::Corrupt { .. }
                ),
                "{keep} of {} bytes: {error}",
                whole.len()
            );
        }
    }
    let jpeg = file::jpeg();
    let error = refused(&jpeg[..jpeg.len() - 2]);
    assert_eq!(
        error.to_string(),
        "the JPEG picture is cut off; send the whole file"
    );
}

/// The first of these had the decoder panic.
#[test]
fn colours_with_more_samples_than_the_brightness_are_refused() {
    let found = include_bytes!("../../../../fuzz/seeds/image_header/oddly-sampled.jpg");
    let mut changed = file::jpeg();
    let frame = changed.windows(2).position(|marker| marker == [0xff, 0xc0]);
    // After the marker, the length and what a frame begins with come three bytes a component.
    changed[frame.unwrap() + 10 + 3 + 1] = 0x24;
    for file in [&found[..], &changed] {
        for refused in [
            probe(file, &Limits::default()).map(drop),
            decode(file, &Limits::default()).map(drop),
        ] {
            assert!(
                matches!(refused, Err(PictureError::OddSampling { .. })),
                "{refused:?}"
            );
        }
    }
}

#[test]
fn damaged_pixels_are_refused() {
    let mut png = file::png();
    let data = png.windows(4).position(|name| name == b"IDAT").unwrap();
    png[data + 8] ^= 0xff;
    let error = refused(&png);
    assert!(
        matches!(
            error,
            PictureError::Corrupt {
                format: Format::Png,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn metadata_that_a_file_only_claims_to_have_takes_no_memory() {
    for name in [*b"EXIF", *b"ICCP"] {
        for more in [2, 0xffff_ff00] {
            let file = file::webp_claiming(name, more);
            let refused = probe(&file, &Limits::default());
            assert!(
                matches!(refused, Err(PictureError::Truncated { .. })),
                "{refused:?}"
            );
        }
    }
    let turned = decode(&file::webp_claiming(*b"EXIF", 0), &Limits::default()).unwrap();
    assert_eq!(turned.dimensions(), (16, 24));
    // What nobody reads may be missing.
    assert!(
        decode(
            &file::webp_claiming(*b"XMP ", 0xffff_ff00),
            &Limits::default()
        )
        .is_ok()
    );
}
