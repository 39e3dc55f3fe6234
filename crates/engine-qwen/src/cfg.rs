//! Guidance by a prompt for what is not wanted.

/// `negative + scale · (positive - negative)`, each token scaled to the length that it has in
/// `positive`. `channels` numbers are a token.
///
/// diffusers 0.42.1, `pipelines/qwenimage/pipeline_qwenimage_edit_plus.py`, `true_cfg_scale`.
///
/// # Panics
///
/// If there are more numbers in one than in the other, or not whole tokens.
pub fn guide(positive: &[f32], negative: &[f32], scale: f32, channels: usize) -> Vec<f32> {
    assert_eq!(positive.len(), negative.len(), "BUG: both are of one size");
    assert_eq!(positive.len() % channels, 0, "BUG: tokens are whole");
    let tokens = positive
        .chunks_exact(channels)
        .zip(negative.chunks_exact(channels));
    tokens
        .flat_map(|(positive, negative)| guide_token(positive, negative, scale))
        .collect()
}

fn guide_token(positive: &[f32], negative: &[f32], scale: f32) -> Vec<f32> {
    let pairs = positive.iter().zip(negative);
    let mut combined: Vec<f32> = pairs.map(|(pos, neg)| neg + scale * (pos - neg)).collect();
    let factor = length(positive) / length(&combined);
    for value in &mut combined {
        *value *= factor;
    }
    combined
}

fn length(token: &[f32]) -> f32 {
    token.iter().map(|value| value * value).sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::guide;

    #[test]
    fn tokens_keep_the_length_of_the_positive() {
        // (3, 4) + 1 · ((3, 4) - (3, 0)) = (3, 8); then as long as (3, 4).
        let guided = guide(&[3.0, 4.0, 1.0, 0.0], &[3.0, 0.0, 0.0, 0.0], 2.0, 2);
        let factor = 5.0 / 73.0_f32.sqrt();
        for (found, expected) in guided.iter().zip([3.0 * factor, 8.0 * factor, 1.0, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{guided:?}");
        }
    }

    #[test]
    fn a_scale_of_one_is_the_positive() {
        let positive = [0.5, -2.0, 1.5, 0.25];
        assert_eq!(guide(&positive, &[1.0, 2.0, 3.0, 4.0], 1.0, 4), positive);
    }
}
