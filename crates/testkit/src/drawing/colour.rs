//! Colours in linear light.

use std::ops::{Add, Mul};

/// Red, green and blue in linear light, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Light(pub(super) [f32; 3]);

impl Light {
    pub(super) const WHITE: Self = Self([1.0; 3]);

    /// From a colour as written in a style sheet: `0xRRGGBB`.
    pub(super) fn srgb(hex: u32) -> Self {
        let [_, r, g, b] = hex.to_be_bytes();
        Self([r, g, b].map(|value| {
            let value = f32::from(value) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        }))
    }

    /// To 8-bit sRGB.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped"
    )]
    pub(super) fn to_srgb(self, dither: f32) -> [u8; 3] {
        self.0.map(|value| {
            let value = value.clamp(0.0, 1.0);
            let encoded = if value <= 0.003_130_8 {
                value * 12.92
            } else {
                1.055 * value.powf(1.0 / 2.4) - 0.055
            };
            (encoded * 255.0 + 0.5 + dither).clamp(0.0, 255.0) as u8
        })
    }

    /// The way from here to `other`, `t` from 0 to 1.
    pub(super) fn mix(self, other: Self, t: f32) -> Self {
        self * (1.0 - t) + other * t
    }

    pub(super) fn times(self, other: Self) -> Self {
        let [r, g, b] = self.0;
        Self([r * other.0[0], g * other.0[1], b * other.0[2]])
    }
}

impl Mul<f32> for Light {
    type Output = Self;

    fn mul(self, factor: f32) -> Self {
        Self(self.0.map(|value| value * factor))
    }
}

impl Add for Light {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let [r, g, b] = self.0;
        Self([r + other.0[0], g + other.0[1], b + other.0[2]])
    }
}
