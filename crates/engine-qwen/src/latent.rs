//! Latent pixels as tokens.
//!
//! diffusers 0.42.1, `pipelines/qwenimage/pipeline_qwenimage_edit_plus.py`, `_pack_latents` and
//! `_unpack_latents`.

/// A picture in latent pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatentSize {
    /// Channels of a pixel, before packing.
    pub channels: usize,
    /// Pixels from top to bottom, a multiple of `patch`.
    pub height: usize,
    /// Pixels from left to right, a multiple of `patch`.
    pub width: usize,
    /// Side of the square that is packed into a token.
    pub patch: usize,
}

impl LatentSize {
    /// `[c, h, w] → [(h/p)·(w/p), c·p·p]`: the numbers of a token are its channels, each with the
    /// rows of its square.
    ///
    /// # Panics
    ///
    /// If `pixels` or the patches are of another size.
    pub fn pack(self, pixels: &[f32]) -> Vec<f32> {
        self.check(pixels);
        self.order().map(|pixel| pixels[pixel]).collect()
    }

    /// The inverse of [`Self::pack`].
    ///
    /// # Panics
    ///
    /// As [`Self::pack`].
    pub fn unpack(self, tokens: &[f32]) -> Vec<f32> {
        self.check(tokens);
        let mut pixels = vec![0.0; tokens.len()];
        for (pixel, value) in self.order().zip(tokens) {
            pixels[pixel] = *value;
        }
        pixels
    }

    /// Where the pixel of each number of the tokens lies.
    fn order(self) -> impl Iterator<Item = usize> {
        let Self {
            channels,
            height,
            width,
            patch,
        } = self;
        let rows = (0..height).step_by(patch);
        let corners = rows.flat_map(move |y| (0..width).step_by(patch).map(move |x| (y, x)));
        corners.flat_map(move |(y, x)| {
            let channels = 0..channels;
            channels.flat_map(move |channel| {
                (0..patch).flat_map(move |dy| {
                    let row = (channel * height + y + dy) * width + x;
                    row..row + patch
                })
            })
        })
    }

    fn check(self, values: &[f32]) {
        assert_eq!(
            values.len(),
            self.channels * self.height * self.width,
            "BUG: another size"
        );
        let whole = self.height.is_multiple_of(self.patch) && self.width.is_multiple_of(self.patch);
        assert!(whole, "BUG: patches are whole");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::LatentSize;

    #[test]
    fn a_token_holds_channels_then_rows_then_columns() {
        let size = LatentSize {
            channels: 2,
            height: 2,
            width: 4,
            patch: 2,
        };
        // Hundreds: channel; tens: row; ones: column.
        let pixels = [
            0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0, 100.0, 101.0, 102.0, 103.0, 110.0, 111.0,
            112.0, 113.0,
        ];
        let tokens = [
            0.0, 1.0, 10.0, 11.0, 100.0, 101.0, 110.0, 111.0, 2.0, 3.0, 12.0, 13.0, 102.0, 103.0,
            112.0, 113.0,
        ];
        assert_eq!(size.pack(&pixels), tokens);
    }

    proptest! {
        #[test]
        fn unpacking_undoes_packing(channels in 1_usize..5, rows in 1_usize..6, columns in 1_usize..6) {
            let size = LatentSize { channels, height: 2 * rows, width: 2 * columns, patch: 2 };
            let pixels: Vec<f32> = (0..channels * rows * columns * 4).map(|i| i as f32).collect();
            prop_assert_eq!(size.unpack(&size.pack(&pixels)), pixels);
        }
    }
}
