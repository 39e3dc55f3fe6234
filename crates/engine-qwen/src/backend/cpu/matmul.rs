//! Products of matrices that lie anywhere in memory.

use gemm::Parallelism;

/// A matrix in a slice: number `(row, column)` is at `row · row_stride + column · column_stride`.
#[derive(Clone, Copy)]
pub(super) struct Mat<'a> {
    pub(super) values: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a> Mat<'a> {
    /// A matrix of which each row begins `stride` numbers after the one before.
    pub(super) const fn new(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        Self {
            values,
            rows,
            columns,
            row_stride: stride,
            column_stride: 1,
        }
    }

    pub(super) const fn transposed(self) -> Self {
        Self {
            values: self.values,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    fn check(&self) {
        let last = (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride;
        assert!(
            last < self.values.len(),
            "BUG: the matrix ends outside its slice"
        );
    }
}

/// Where a product goes: a matrix whose rows begin `stride` numbers apart.
pub(super) struct Target<'a> {
    pub(super) values: &'a mut [f32],
    pub(super) stride: usize,
    /// Whether the product is added to what is there.
    pub(super) add: bool,
}

/// Whether a product is spread over all cores, or its caller already is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spread {
    Cores,
    Nothing,
}

/// `target (+)= left · right`.
pub(super) fn multiply(target: Target<'_>, left: Mat<'_>, right: Mat<'_>, spread: Spread) {
    let (m, n, k) = (left.rows, right.columns, left.columns);
    let Target {
        values,
        stride,
        add,
    } = target;
    assert_eq!(k, right.rows, "BUG: the matrices do not fit each other");
    if m == 0 || n == 0 {
        return;
    }
    assert!(k > 0, "BUG: a product of nothing");
    left.check();
    right.check();
    let last = (m - 1) * stride + n - 1;
    assert!(
        last < values.len(),
        "BUG: the product ends outside its slice"
    );
    assert!(n <= stride || m == 1, "BUG: rows of the product overlap");
    let parallelism = match spread {
        Spread::Cores => Parallelism::Rayon(0),
        Spread::Nothing => Parallelism::None,
    };
    #[expect(
        unsafe_code,
        reason = "every number that is read or written lies in its slice: checked above; no slice \
                  is shared with the target, which is borrowed mutably"
    )]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            values.as_mut_ptr(),
            1,
            stride as isize,
            add,
            left.values.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.values.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0_f32,
            1.0_f32,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_the_definition() {
        let left: Vec<f32> = (0..6).map(|i| i as f32).collect();
        let right: Vec<f32> = (0..12).map(|i| (i * i) as f32).collect();
        // `right` is 4x3 and used transposed; the target has a column that is left alone.
        let mut target = vec![1.0; 10];
        let into = Target {
            values: &mut target,
            stride: 5,
            add: true,
        };
        let (left, right) = (Mat::new(&left, 2, 3, 3), Mat::new(&right, 4, 3, 3));
        multiply(into, left, right.transposed(), Spread::Nothing);
        let exact = |row: usize, column: usize| -> f32 {
            (0..3)
                .map(|k| left.values[row * 3 + k] * right.values[column * 3 + k])
                .sum()
        };
        for row in 0..2 {
            for column in 0..4 {
                assert_eq!(target[row * 5 + column], 1.0 + exact(row, column));
            }
            assert_eq!(target[row * 5 + 4], 1.0);
        }
    }
}
