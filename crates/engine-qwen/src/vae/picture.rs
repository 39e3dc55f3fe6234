//! Bytes as the numbers of the autoencoder, and back.

use image::RgbImage;

use crate::{
    backend::{Backend, to_byte},
    error::ComputeError,
};

/// A picture as `[h, w, 3]` in -1..1.
pub(super) fn from_image<B: Backend>(
    backend: &B,
    picture: &RgbImage,
) -> Result<B::Tensor, ComputeError> {
    let values = picture
        .as_raw()
        .iter()
        .map(|byte| f32::from(*byte) / 255.0 * 2.0 - 1.0);
    let shape = [picture.height() as usize, picture.width() as usize, 3];
    backend.upload(values.collect(), &shape)
}

/// `[h, w, 3]` in -1..1 as a picture: what is outside is cut off, halves go to even.
///
/// # Panics
///
/// If `values` are not of this size.
pub fn to_image(values: &[f32], width: u32, height: u32) -> RgbImage {
    of_bytes(values.iter().copied().map(to_byte).collect(), width, height)
}

/// The same of `picture` on a device, where its values become bytes if it can make them.
pub(super) fn fetch<B: Backend>(
    backend: &B,
    picture: &B::Tensor,
) -> Result<RgbImage, ComputeError> {
    let shape = backend.shape(picture);
    let bytes = backend.to_bytes(picture)?;
    Ok(of_bytes(bytes, shape[1] as u32, shape[0] as u32))
}

fn of_bytes(bytes: Vec<u8>, width: u32, height: u32) -> RgbImage {
    RgbImage::from_raw(width, height, bytes).expect("BUG: a picture has three values a pixel")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_the_nearest_bytes_and_halves_even_ones() {
        let of = |byte: f32| byte / 255.0 * 2.0 - 1.0;
        let values = [-7.0, 7.0, of(0.0), of(127.0), of(200.4), of(200.6)];
        let bytes = to_image(&values, 2, 1).into_raw();
        assert_eq!(bytes, [0, 255, 0, 127, 200, 201]);
        // 0.0 is 127.5.
        assert_eq!(to_image(&[0.0; 3], 1, 1).into_raw(), [128; 3]);
    }
}
