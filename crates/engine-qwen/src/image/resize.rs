//! Resampling a picture as Pillow does.

use std::borrow::Cow;

use image::RgbImage;
use rayon::prelude::*;

use super::filter::{Filter, PRECISION, Taps, taps};

/// Bytes of a pixel.
const CHANNELS: usize = 3;

/// The picture at another size, byte for byte what `PIL.Image.resize` makes of it.
///
/// One direction is resampled, rounded to bytes and clamped to 0–255; then the other. A direction
/// whose size stays is left alone. Takes memory for the result and for a picture of one old and one
/// new side.
///
/// # Panics
/// If a side of either size is 0.
pub fn resize(picture: &RgbImage, width: u32, height: u32, filter: Filter) -> RgbImage {
    let (from_width, from_height) = picture.dimensions();
    assert!(
        from_width.min(from_height).min(width).min(height) > 0,
        "BUG: a picture without pixels"
    );
    let mut pixels = Cow::Borrowed(picture.as_raw().as_slice());
    let rows_first = rows_first(picture.dimensions(), (width, height));
    for rows in [rows_first, !rows_first] {
        if rows && from_width != width {
            pixels = across(&pixels, from_width as usize, width as usize, filter).into();
        }
        if !rows && from_height != height {
            pixels = down(&pixels, from_height as usize, height as usize, filter).into();
        }
    }
    let pixels = pixels.into_owned();
    RgbImage::from_raw(width, height, pixels).expect("BUG: as many bytes as pixels")
}

/// Whether rows are resampled before columns. What is rounded in between depends on it.
///
/// Pillow 13.0, `src/libImaging/Resample.c`, `ImagingResampleInner`; until 12 it was always so.
fn rows_first(from: (u32, u32), to: (u32, u32)) -> bool {
    let shrunk = |from: u32, to: u32| i64::from(from) - i64::from(to);
    let (width, height) = (shrunk(from.0, to.0), shrunk(from.1, to.1));
    !(height > 0 && height > 2 * width)
}

fn across(rows: &[u8], from: usize, to: usize, filter: Filter) -> Vec<u8> {
    let taps = taps(from, to, filter);
    let height = rows.len() / (from * CHANNELS);
    let mut result = vec![0; height * to * CHANNELS];
    let rows = rows.par_chunks_exact(from * CHANNELS);
    let results = result.par_chunks_exact_mut(to * CHANNELS);
    results.zip(rows).for_each(|(result, row)| {
        for (pixel, taps) in result.chunks_exact_mut(CHANNELS).zip(&taps) {
            pixel.copy_from_slice(&weigh(&row[taps.start * CHANNELS..], &taps.weights));
        }
    });
    result
}

/// One pixel of as many as there are weights.
fn weigh(pixels: &[u8], weights: &[i32]) -> [u8; CHANNELS] {
    let mut sums = [HALF; CHANNELS];
    for (pixel, weight) in pixels.chunks_exact(CHANNELS).zip(weights) {
        for (sum, value) in sums.iter_mut().zip(pixel) {
            *sum += weight * i32::from(*value);
        }
    }
    sums.map(round)
}

fn down(rows: &[u8], from: usize, to: usize, filter: Filter) -> Vec<u8> {
    let length = rows.len() / from;
    let mut result = vec![0; length * to];
    let results = result.par_chunks_exact_mut(length);
    results
        .zip(taps(from, to, filter))
        .for_each_init(Vec::new, |sums, (result, taps)| {
            blend(&rows[taps.start * length..], &taps, sums, result);
        });
    result
}

/// One row of as many as there are weights.
fn blend(rows: &[u8], taps: &Taps, sums: &mut Vec<i32>, result: &mut [u8]) {
    sums.clear();
    sums.resize(result.len(), HALF);
    for (row, weight) in rows.chunks_exact(result.len()).zip(&taps.weights) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += weight * i32::from(*value);
        }
    }
    for (value, sum) in result.iter_mut().zip(sums) {
        *value = round(*sum);
    }
}

/// What is added so that cutting off the bits behind the point rounds.
const HALF: i32 = 1 << (PRECISION - 1);

fn round(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}
