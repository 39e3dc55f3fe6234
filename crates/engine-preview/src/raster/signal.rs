//! Smoothing of signals: Gaussian mean and running median.

/// Gaussian smoothing, the kernel cut at four sigma; the signal is mirrored at its ends, the last
/// sample repeated.
pub(crate) fn gaussian1d(signal: &[f64], sigma: f64) -> Vec<f64> {
    smooth(signal, sigma, Edge::Reflect)
}

/// [`gaussian1d`] of the signal continued by its end values.
pub(crate) fn gaussian1d_nearest(signal: &[f64], sigma: f64) -> Vec<f64> {
    smooth(signal, sigma, Edge::Nearest)
}

/// The median of each window of `size` (odd) samples; mirrored like [`gaussian1d`].
pub(crate) fn median1d(signal: &[f64], size: usize) -> Vec<f64> {
    running_median(signal, size, Edge::Reflect)
}

/// [`median1d`] of the signal continued by its end values.
pub(crate) fn median1d_nearest(signal: &[f64], size: usize) -> Vec<f64> {
    running_median(signal, size, Edge::Nearest)
}

/// How a signal continues past its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    /// Mirrored about the edge of the last sample, which is repeated: `b a | a b`.
    Reflect,
    /// The last sample repeated.
    Nearest,
}

impl Edge {
    /// The index in `0..len` that stands for `index`.
    fn resolve(self, index: isize, len: usize) -> usize {
        let len = len as isize;
        let inside = match self {
            Self::Nearest => index.clamp(0, len - 1),
            Self::Reflect => {
                let folded = index.rem_euclid(2 * len);
                folded.min(2 * len - 1 - folded)
            }
        };
        inside as usize
    }
}

fn smooth(signal: &[f64], sigma: f64, edge: Edge) -> Vec<f64> {
    let radius = (4.0 * sigma + 0.5) as isize;
    let weight = |d: isize| (-0.5 * (d as f64 / sigma).powi(2)).exp();
    let norm: f64 = (-radius..=radius).map(weight).sum();
    let kernel: Vec<f64> = (0..=radius).map(|d| weight(d) / norm).collect();
    let at = |i: isize| signal[edge.resolve(i, signal.len())];
    (0..signal.len() as isize)
        .map(|i| {
            let sides = (1..=radius).map(|d| kernel[d as usize] * (at(i - d) + at(i + d)));
            kernel[0] * at(i) + sides.sum::<f64>()
        })
        .collect()
}

fn running_median(signal: &[f64], size: usize, edge: Edge) -> Vec<f64> {
    let radius = (size / 2) as isize;
    (0..signal.len() as isize)
        .map(|i| {
            let mut window: Vec<f64> = (i - radius..=i + radius)
                .map(|j| signal[edge.resolve(j, signal.len())])
                .collect();
            *window.select_nth_unstable_by(size / 2, f64::total_cmp).1
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_drops_an_outlier_and_keeps_a_step() {
        let signal = [1.0, 1.0, 9.0, 1.0, 5.0, 5.0, 5.0];
        assert_eq!(median1d(&signal, 3), [1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 5.0]);
    }

    #[test]
    fn the_ends_tell_the_two_continuations_apart() {
        let ramp: Vec<f64> = (0..20).map(f64::from).collect();
        let (mirrored, held) = (gaussian1d(&ramp, 2.0), gaussian1d_nearest(&ramp, 2.0));
        assert!((mirrored[10] - 10.0).abs() < 1e-9);
        assert!(mirrored[0] > held[0] && held[0] > 0.5);
        assert!((mirrored[0] + mirrored[19] - 19.0).abs() < 1e-9);
    }

    #[test]
    fn short_signals_are_mirrored_as_often_as_needed() {
        assert!((gaussian1d(&[3.0, 5.0], 4.0)[0] - 4.0).abs() < 0.1);
        assert_eq!(median1d_nearest(&[7.0], 9), [7.0]);
    }
}
