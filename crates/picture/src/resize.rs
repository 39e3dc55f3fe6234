//! Other sizes: which to choose, and how to get there.

use fast_image_resize::{
    FilterType, IntoImageView, IntoImageViewMut, ResizeAlg, ResizeOptions, Resizer,
};
use image::{ImageBuffer, Pixel, RgbaImage};

/// The longest side that [`fit_short_side`] and [`fit_long_side`] ever choose, in pixels. Without
/// it, a 2x20,000,000 strip fitted to a shorter side of 720 would be billions of pixels.
pub const LONGEST_SIDE: u32 = 8192;

/// Whether a fitted size may exceed the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// Small pictures keep their size, but for the rounding down to multiples.
    Never,
    /// Small pictures are enlarged to the wanted size.
    Allowed,
}

/// The size whose shorter side is `short`, aspect ratio kept, both sides then rounded down to
/// multiples of `multiple` (and at least one multiple).
///
/// `720p` is `fit_short_side(w, h, 720, 16, Growth::Allowed)`.
///
/// ```
/// # use tryon_picture::{fit_short_side, Growth};
/// assert_eq!(fit_short_side(3024, 4032, 720, 16, Growth::Never), (720, 960));
/// assert_eq!(fit_short_side(4032, 2268, 1080, 16, Growth::Never), (1920, 1072));
/// ```
pub fn fit_short_side(
    width: u32,
    height: u32,
    short: u32,
    multiple: u32,
    growth: Growth,
) -> (u32, u32) {
    scale_to((width, height), short, width.min(height), multiple, growth)
}

/// The size whose longer side is `long`, otherwise like [`fit_short_side`].
pub fn fit_long_side(
    width: u32,
    height: u32,
    long: u32,
    multiple: u32,
    growth: Growth,
) -> (u32, u32) {
    scale_to((width, height), long, width.max(height), multiple, growth)
}

/// Scales `size` by the ratio `wanted / actual`, exactly, in integers.
fn scale_to(
    (width, height): (u32, u32),
    wanted: u32,
    actual: u32,
    multiple: u32,
    growth: Growth,
) -> (u32, u32) {
    let wanted = match growth {
        Growth::Never => wanted.min(actual),
        Growth::Allowed => wanted,
    };
    let ratio = (u64::from(wanted), u64::from(actual.max(1)));
    let longest = u64::from(width.max(height).max(1));
    let limit = u64::from(LONGEST_SIDE);
    let (numerator, denominator) = if longest * ratio.0 > limit * ratio.1 {
        (limit, longest)
    } else {
        ratio
    };
    let side = |length: u32| {
        let scaled = u64::from(length) * numerator / denominator;
        let scaled = u32::try_from(scaled).expect("BUG: no side exceeds the longest one");
        round_down(scaled, multiple.max(1))
    };
    (side(width), side(height))
}

fn round_down(length: u32, multiple: u32) -> u32 {
    (length / multiple * multiple).max(multiple)
}

/// The largest size of at most `pixels` pixels and of the aspect ratio of `width`x`height`, which is
/// returned where it is not larger than that. `pixels` is at least 1.
///
/// ```
/// # use tryon_picture::fit_pixels;
/// assert_eq!(fit_pixels(3000, 4000, 3_000_000), (1500, 2000));
/// assert_eq!(fit_pixels(1500, 2000, 3_000_000), (1500, 2000));
/// ```
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the sides are positive, and none exceeds the original or `pixels`"
)]
pub fn fit_pixels(width: u32, height: u32, pixels: u32) -> (u32, u32) {
    let area = u64::from(width) * u64::from(height);
    if area <= u64::from(pixels) {
        return (width, height);
    }
    // Each from the exact ratio under the root, so that whole results come out whole.
    let side = |own: u32, other: u32| {
        (f64::from(pixels) * f64::from(own) / f64::from(other)).sqrt() as u32
    };
    // A strip that is less than a pixel across is as long as there are pixels.
    let most = |side: u32| side.clamp(1, pixels);
    (most(side(width, height)), most(side(height, width)))
}

/// Shrinks to `width`x`height` pixels (both at least 1, neither more than the picture's).
///
/// Every pixel is a mean of those that it stands for, and darker or lighter than none of them:
/// [`resize`] is sharper, but draws a rim around paint. Alpha is premultiplied on the way.
pub fn shrink(picture: &RgbaImage, width: u32, height: u32) -> RgbaImage {
    convolve(picture, (width, height), FilterType::Bilinear)
}

/// Resizes to `width`x`height` pixels (both at least 1).
///
/// Lanczos-3, or the cheaper box average where a pixel stands for more than 8x8 others and no
/// difference shows. Alpha is premultiplied on the way, so that transparent pixels do not bleed.
pub fn resize<P>(
    picture: &ImageBuffer<P, Vec<u8>>,
    width: u32,
    height: u32,
) -> ImageBuffer<P, Vec<u8>>
where
    P: Pixel<Subpixel = u8>,
    ImageBuffer<P, Vec<u8>>: IntoImageView + IntoImageViewMut,
{
    if picture.dimensions() == (width, height) {
        return picture.clone();
    }
    let filter = if picture.width() / width >= 8 && picture.height() / height >= 8 {
        FilterType::Box
    } else {
        FilterType::Lanczos3
    };
    convolve(picture, (width, height), filter)
}

fn convolve<P>(
    picture: &ImageBuffer<P, Vec<u8>>,
    (width, height): (u32, u32),
    filter: FilterType,
) -> ImageBuffer<P, Vec<u8>>
where
    P: Pixel<Subpixel = u8>,
    ImageBuffer<P, Vec<u8>>: IntoImageView + IntoImageViewMut,
{
    let mut resized = ImageBuffer::new(width, height);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
    Resizer::new()
        .resize(picture, &mut resized, &options)
        .expect("BUG: both sides are at least one pixel and the pixel types are the same");
    resized
}
