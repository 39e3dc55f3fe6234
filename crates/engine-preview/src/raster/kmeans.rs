//! Colour clusters without randomness.

use super::color::distance;
use super::order::{median_color, percentile};

/// Colours used at most; more are thinned out evenly.
const SAMPLES: usize = 4000;
const ITERATIONS: usize = 12;
/// The least spread of a cluster: below it, noise would decide.
const LEAST_SPREAD: f64 = 3.0;

/// The result of [`kmeans`]; one entry per cluster.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Clusters {
    /// Mean colours.
    pub centers: Vec<[f32; 3]>,
    /// Root mean square distances to the centre, at least 3.
    pub spread: Vec<f32>,
    /// Shares of the colours, summing to 1.
    pub share: Vec<f32>,
}

/// Sorts `colors` into `count` clusters: the first starts at the median, each next one at a colour
/// far from all before (not the farthest 3 %, which are outliers). Clusters may stay empty; without
/// colours there are none.
pub(crate) fn kmeans(colors: &[[f32; 3]], count: usize) -> Clusters {
    let colors = thin(colors);
    let Some(middle) = median_color_of(&colors) else {
        return Clusters {
            centers: Vec::new(),
            spread: Vec::new(),
            share: Vec::new(),
        };
    };
    let mut centers = vec![middle];
    while centers.len() < count {
        centers.push(far_color(&colors, &centers));
    }
    let mut owner = vec![0; colors.len()];
    for _ in 0..ITERATIONS {
        for (owner, &color) in owner.iter_mut().zip(&colors) {
            *owner = closest(color, &centers);
        }
        update(&mut centers, &colors, &owner);
    }
    describe(centers, &colors, &owner)
}

fn median_color_of(colors: &[[f32; 3]]) -> Option<[f32; 3]> {
    (!colors.is_empty()).then(|| median_color(colors))
}

fn thin(colors: &[[f32; 3]]) -> Vec<[f32; 3]> {
    if colors.len() <= SAMPLES {
        return colors.to_vec();
    }
    let step = (colors.len() - 1) as f64 / (SAMPLES - 1) as f64;
    (0..SAMPLES)
        .map(|i| colors[(i as f64 * step) as usize])
        .collect()
}

fn closest(color: [f32; 3], centers: &[[f32; 3]]) -> usize {
    let nearer = |a: usize, b: usize| {
        if squared(color, centers[b]) < squared(color, centers[a]) {
            b
        } else {
            a
        }
    };
    (0..centers.len()).reduce(nearer).unwrap_or(0)
}

fn squared(a: [f32; 3], b: [f32; 3]) -> f32 {
    let [x, y, z] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    x * x + y * y + z * z
}

fn far_color(colors: &[[f32; 3]], centers: &[[f32; 3]]) -> [f32; 3] {
    let gaps: Vec<f32> = colors
        .iter()
        .map(|&c| squared(c, centers[closest(c, centers)]))
        .collect();
    let limit = percentile(&gaps, 97.0);
    let capped = |i: usize| f64::from(gaps[i]).min(limit);
    let farther = |a: usize, b: usize| if capped(b) > capped(a) { b } else { a };
    let found = (0..gaps.len()).reduce(farther);
    colors[found.expect("BUG: clusters of no colours")]
}

fn update(centers: &mut [[f32; 3]], colors: &[[f32; 3]], owner: &[usize]) {
    for (index, center) in centers.iter_mut().enumerate() {
        let mut sum = [0.0f64; 4];
        for (color, _) in colors.iter().zip(owner).filter(|&(_, &o)| o == index) {
            (0..3).for_each(|c| sum[c] += f64::from(color[c]));
            sum[3] += 1.0;
        }
        if sum[3] > 0.0 {
            *center = [0, 1, 2].map(|c| (sum[c] / sum[3]) as f32);
        }
    }
}

fn describe(centers: Vec<[f32; 3]>, colors: &[[f32; 3]], owner: &[usize]) -> Clusters {
    let members = |index: usize| {
        colors
            .iter()
            .zip(owner)
            .filter(move |&(_, &o)| o == index)
            .map(|(c, _)| *c)
    };
    let spread = |(index, &center): (usize, &[f32; 3])| {
        let count = members(index).count();
        let sum: f64 = members(index)
            .map(|c| f64::from(distance(c, center)).powi(2))
            .sum();
        let rms = if count > 5 {
            (sum / count as f64).sqrt()
        } else {
            0.0
        };
        rms.max(LEAST_SPREAD) as f32
    };
    let share = |index: usize| members(index).count() as f32 / colors.len() as f32;
    Clusters {
        spread: centers.iter().enumerate().map(spread).collect(),
        share: (0..centers.len()).map(share).collect(),
        centers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separates_two_colours_by_their_share() {
        let colors: Vec<[f32; 3]> = (0..1000)
            .map(|i| {
                let jitter = (i % 7) as f32 * 0.2;
                if i % 4 == 0 {
                    [80.0 + jitter, 10.0, 0.0]
                } else {
                    [30.0 + jitter, -5.0, 20.0]
                }
            })
            .collect();
        let clusters = kmeans(&colors, 2);
        assert!(distance(clusters.centers[0], [30.6, -5.0, 20.0]) < 0.1);
        assert!(distance(clusters.centers[1], [80.6, 10.0, 0.0]) < 0.1);
        assert!((clusters.share[1] - 0.25).abs() < 1e-6);
        assert_eq!(clusters.spread, [3.0, 3.0]);
    }

    #[test]
    fn one_colour_leaves_clusters_empty_and_no_colour_leaves_none() {
        let clusters = kmeans(&[[5.0; 3]; 40], 3);
        assert_eq!(clusters.share, [1.0, 0.0, 0.0]);
        assert!(kmeans(&[], 3).centers.is_empty());
    }
}
