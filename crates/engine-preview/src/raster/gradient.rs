//! Sobel derivatives (3 by 3, not normalised: a unit ramp gives 8), border mirrored.

use super::blur::reflect101;
use super::plane::{Color, Gray};

/// The derivative to the right.
pub(crate) fn sobel_x(plane: &Gray) -> Gray {
    filter(plane, [1.0, 2.0, 1.0], [-1.0, 0.0, 1.0])
}

/// The derivative downwards.
pub(crate) fn sobel_y(plane: &Gray) -> Gray {
    filter(plane, [-1.0, 0.0, 1.0], [1.0, 2.0, 1.0])
}

/// The length of the gradient.
pub(crate) fn sobel_magnitude(plane: &Gray) -> Gray {
    let (dx, dy) = (sobel_x(plane), sobel_y(plane));
    dx.zip_with(&dy, |x, y| (x * x + y * y).sqrt())
}

/// The derivative of each channel to the right.
pub(crate) fn sobel_x_color(plane: &Color) -> Color {
    let channels = [0, 1, 2].map(|i| sobel_x(&plane.channel(i)));
    let [a, b, c] = &channels;
    let pairs = a.zip_with(b, |&a, &b| (a, b));
    pairs.zip_with(c, |&(a, b), &c| [a, b, c])
}

/// The 3 by 3 filter that is the product of a vertical and a horizontal kernel.
fn filter(plane: &Gray, down: [f32; 3], right: [f32; 3]) -> Gray {
    let (width, height) = plane.size();
    let mut out = Gray::new(width, height, 0.0);
    if plane.data.is_empty() {
        return out;
    }
    let mut column = vec![0.0f32; width + 2];
    for y in 0..height {
        let above = plane.row(reflect101(y as isize - 1, height));
        let below = plane.row(reflect101(y as isize + 1, height));
        for ((sum, (a, b)), c) in column[1..]
            .iter_mut()
            .zip(above.iter().zip(plane.row(y)))
            .zip(below)
        {
            *sum = down[0] * a + down[1] * b + down[2] * c;
        }
        column[0] = column[1 + reflect101(-1, width)];
        column[width + 1] = column[1 + reflect101(width as isize, width)];
        for (value, window) in out.row_mut(y).iter_mut().zip(column.windows(3)) {
            *value = right[0] * window[0] + right[1] * window[1] + right[2] * window[2];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_has_a_constant_gradient() {
        let ramp = Gray::from_fn(9, 7, |x, y| 3.0 * x as f32 - 2.0 * y as f32);
        assert!((sobel_x(&ramp)[(4, 3)] - 24.0).abs() < 1e-4);
        assert!((sobel_y(&ramp)[(4, 3)] + 16.0).abs() < 1e-4);
        assert!((sobel_magnitude(&ramp)[(4, 3)] - 24f32.hypot(16.0)).abs() < 1e-4);
        // Mirrored, a ramp turns round at the border.
        assert!(sobel_x(&ramp)[(0, 3)].abs() < 1e-4);
    }

    #[test]
    fn colours_have_the_gradient_of_their_channels() {
        let picture = Color::from_fn(8, 5, |x, y| [(x * x) as f32, (x * y) as f32, y as f32]);
        assert_eq!(
            sobel_x_color(&picture).channel(1),
            sobel_x(&picture.channel(1))
        );
    }
}
