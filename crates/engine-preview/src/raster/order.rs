//! Order statistics with linear interpolation between neighbours (numpy's default rule).

/// The `percent`-th percentile of `values`, or 0 when there are none.
pub(crate) fn percentile<T: Copy + Into<f64>>(values: &[T], percent: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let mut values: Vec<f64> = values.iter().map(|&v| v.into()).collect();
    let position = percent / 100.0 * (values.len() - 1) as f64;
    let index = position.floor() as usize;
    let (_, &mut low, above) = values.select_nth_unstable_by(index, f64::total_cmp);
    let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
    low + (high - low) * (position - index as f64)
}

/// The median of `values`, or 0 when there are none.
pub(crate) fn median<T: Copy + Into<f64>>(values: &[T]) -> f64 {
    percentile(values, 50.0)
}

/// The median of each channel, or black when there are no colours.
pub(crate) fn median_color(colors: &[[f32; 3]]) -> [f32; 3] {
    std::array::from_fn(|c| {
        let channel: Vec<f32> = colors.iter().map(|color| color[c]).collect();
        median(&channel) as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolates_between_neighbours() {
        let values = [4.0_f32, 1.0, 3.0, 2.0];
        assert!((median(&values) - 2.5).abs() < 1e-9);
        assert!((percentile(&values, 0.0) - 1.0).abs() < 1e-9);
        assert!((percentile(&values, 100.0) - 4.0).abs() < 1e-9);
        assert!((percentile(&values, 90.0) - 3.7).abs() < 1e-6);
        assert!(median::<f32>(&[]).abs() < 1e-9);
    }

    #[test]
    fn takes_each_channel_on_its_own() {
        let colors = [[1.0, 9.0, 5.0], [2.0, 8.0, 5.0], [3.0, 7.0, 5.0]];
        let median = median_color(&colors).map(f32::to_bits);
        assert_eq!(median, [2.0, 8.0, 5.0].map(f32::to_bits));
    }
}
