//! Reproducible irregularity: grain, weave, strands.

/// Smooth noise in -1..1 with features about one unit large; `seed` picks another pattern.
pub(super) fn smooth(x: f32, y: f32, seed: u32) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (tx, ty) = (ease(x - left), ease(y - top));
    let corner = |dx: f32, dy: f32| white(left + dx, top + dy, seed);
    let upper = corner(0.0, 0.0) * (1.0 - tx) + corner(1.0, 0.0) * tx;
    let lower = corner(0.0, 1.0) * (1.0 - tx) + corner(1.0, 1.0) * tx;
    upper * (1.0 - ty) + lower * ty
}

/// Three octaves of [`smooth`], in -1..1.
pub(super) fn cloudy(x: f32, y: f32, seed: u32) -> f32 {
    (smooth(x, y, seed) * 4.0
        + smooth(2.0 * x, 2.0 * y, seed + 1) * 2.0
        + smooth(4.0 * x, 4.0 * y, seed + 2))
        / 7.0
}

/// Unrelated values in -1..1 at whole coordinates.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a hash mixes bits"
)]
pub(super) fn white(x: f32, y: f32, seed: u32) -> f32 {
    let mut hash = (x as i32 as u32).wrapping_mul(0x9e37_79b1)
        ^ (y as i32 as u32).wrapping_mul(0x85eb_ca77)
        ^ seed.wrapping_mul(0xc2b2_ae3d);
    hash = (hash ^ (hash >> 15)).wrapping_mul(0x2c1b_3c6d);
    hash = (hash ^ (hash >> 12)).wrapping_mul(0x297a_2d39);
    hash ^= hash >> 15;
    hash as f32 / u32::MAX as f32 * 2.0 - 1.0
}
