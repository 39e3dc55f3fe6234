//! Functions of one number that a compiler turns into vector instructions: no branch, no call.

/// Adding 1.5·2²³ rounds to a whole number.
const ROUND: f32 = 12_582_912.0;

/// `eˣ`, within 2e-7 of its value where that is a normal number; 0 or a large number outside.
///
/// `x = n·ln 2 + r`, and `eʳ` by the polynomial of Cephes' `expf` (Moshier, 1992).
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "to be compiled for its caller's instructions"
)]
pub(super) fn exp(x: f32) -> f32 {
    // The smallest is a normal number, the largest is finite.
    let x = x.clamp(-87.3, 88.3);
    let n = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let e = p * r * r + r + 1.0;
    // 2ⁿ, put together from its bits.
    e * f32::from_bits(((n as i32 + 127) as u32) << 23)
}

/// `x · sigmoid(x)`.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "to be compiled for its caller's instructions"
)]
pub(super) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// GELU by its approximation `x/2 · (1 + tanh u)`, which is `x · sigmoid(2u)`.
#[inline(always)]
pub(super) fn gelu_tanh(x: f32) -> f32 {
    const SQRT_8_OVER_PI: f32 = 1.595_769;
    let twice_u = SQRT_8_OVER_PI * (x + 0.044_715 * x * x * x);
    x / (1.0 + exp(-twice_u))
}

/// GELU by the error function.
pub(super) fn gelu_erf(x: f32) -> f32 {
    0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every 1/1024 of -100 to 100.
    fn all() -> impl Iterator<Item = f32> {
        (-102_400..=102_400).map(|i| i as f32 / 1024.0)
    }

    fn relative(found: f32, exact: f64) -> f64 {
        (f64::from(found) - exact).abs() / exact.abs().max(1e-30)
    }

    #[test]
    fn exponentials_are_exact_to_the_last_digits() {
        for x in all().filter(|x| (-87.0..88.0).contains(x)) {
            let error = relative(exp(x), f64::from(x).exp());
            assert!(error < 2e-7, "exp({x}): {error:e}");
        }
        assert!(exp(-1000.0) < 1.3e-38 && exp(1000.0).is_finite());
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn activations_are_exact_to_the_last_digits() {
        for x in all() {
            let wide = f64::from(x);
            let silu_of = wide / (1.0 + (-wide).exp());
            let u = (2.0 / std::f64::consts::PI).sqrt() * (wide + 0.044_715 * wide.powi(3));
            let gelu_of = wide / (1.0 + (-2.0 * u).exp());
            // The exponent is known to a digit of its own: at 10 that is ten digits of its power.
            // Where the exact value is next to nothing, any value next to nothing will do.
            let close = |found: f32, exact: f64| {
                (f64::from(found) - exact).abs() <= 1.5e-6 * exact.abs().max(1e-3)
            };
            assert!(close(silu(x), silu_of), "silu({x})");
            assert!(close(gelu_tanh(x), gelu_of), "gelu({x})");
        }
        assert_eq!((gelu_tanh(0.0), gelu_erf(0.0), silu(0.0)), (0.0, 0.0, 0.0));
        assert!((gelu_erf(1.0) - 0.841_344_7).abs() < 1e-7);
        assert!((gelu_tanh(1.0) - 0.841_192).abs() < 1e-6);
    }
}
