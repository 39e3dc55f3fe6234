//! FP8 (E4M3) with a scale for each row: the largest value of a row becomes 448.

use float8::F8E4M3;
use rayon::prelude::*;

/// The largest number of E4M3.
pub(crate) const MAX: f32 = 448.0;

/// Quantises row by row: values, and what each row is to be multiplied with.
pub(crate) fn quantise_rows(values: &[f32], width: usize) -> (Vec<F8E4M3>, Vec<f32>) {
    let scale: Vec<f32> = values.par_chunks_exact(width).map(scale_of).collect();
    let rows = values.par_chunks_exact(width).zip(&scale);
    let quantised =
        rows.flat_map_iter(|(row, scale)| row.iter().map(move |value| quantise(value / scale)));
    (quantised.collect(), scale)
}

/// What a row's quantised values are to be multiplied with. The least is that of the published
/// converter (`LightX2V`, `tools/convert/converter.py`, commit 7651b0f).
pub(crate) fn scale_of(row: &[f32]) -> f32 {
    let largest = row
        .iter()
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    largest.max(1e-5) / MAX
}

/// The same for activations, which have no least scale: a row of zeros stays one.
pub(crate) fn activation_scale(row: &[f32]) -> f32 {
    let largest = row
        .iter()
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    if largest == 0.0 { 1.0 } else { largest / MAX }
}

/// The nearest number of E4M3, no larger than [`MAX`].
pub(crate) fn quantise(value: f32) -> F8E4M3 {
    F8E4M3::from_f32(value.clamp(-MAX, MAX))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{MAX, quantise, quantise_rows, scale_of};
    use crate::golden::Golden;

    #[test]
    fn every_code_is_its_own_quantisation() {
        for code in (0..=0xff_u8).filter(|code| code & 0x7f != 0x7f) {
            let value = float8::F8E4M3::from_bits(code).to_f32();
            assert_eq!(quantise(value).to_bits(), code, "{value}");
        }
    }

    /// As `torch.tensor(x).to(torch.float8_e4m3fn)` rounds.
    #[test]
    fn ties_go_to_the_even_code() {
        for (value, expected) in [
            (1.0625, 1.0),
            (1.1875, 1.25),
            (-1.0625, -1.0),
            (17.0, 16.0),
            (19.0, 20.0),
            (432.0, 416.0 + 32.0),
            (433.0, 448.0),
            // Below the normal numbers, in steps of 2⁻⁹.
            (0.000_976_562_5, 0.0),
            (0.000_976_6, 0.001_953_125),
            (0.002_929_687_5, 0.003_906_25),
            // Beyond the largest.
            (1e6, MAX),
            (-1e6, -MAX),
        ] {
            assert_eq!(quantise(value).to_f32(), expected, "{value}");
        }
    }

    #[test]
    fn boundaries_round_as_in_the_reference() {
        let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
        let golden = Golden::open(&goldens.join("fp8_rounding.safetensors")).unwrap();
        let values = |name| &golden.find(name).unwrap().values;
        let pairs = values("rounding.values")
            .iter()
            .zip(values("rounding.codes_u8"));
        assert_eq!(pairs.len(), 1019);
        for (value, code) in pairs {
            assert_eq!(
                f64::from(quantise(*value as f32).to_bits()),
                *code,
                "{value}"
            );
        }
        let pairs = values("decoding.codes_u8")
            .iter()
            .zip(values("decoding.values"));
        for (code, value) in pairs.filter(|(code, _)| **code as u8 & 0x7f != 0x7f) {
            let decoded = float8::F8E4M3::from_bits(*code as u8).to_f64();
            assert_eq!(decoded, *value, "{code}");
        }
    }

    #[test]
    fn the_largest_of_each_row_becomes_448() {
        let (values, scale) = quantise_rows(&[0.0, -2.0, 1.0, 0.0, 0.0, 0.0], 3);
        assert_eq!(scale, [2.0 / MAX, 1e-5 / MAX]);
        let values: Vec<f32> = values.into_iter().map(|value| value.to_f32()).collect();
        assert_eq!(values, [0.0, -448.0, 224.0, 0.0, 0.0, 0.0]);
        assert_eq!(scale_of(&[0.5, -8.96]), 0.02);
    }
}
