//! Runs of set pixels along rows and columns of a mask.

use super::plane::Mask;
use crate::geometry::Side;

/// A run of pixels in a row, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// First pixel.
    pub start: usize,
    /// Last pixel.
    pub end: usize,
}

impl Run {
    /// Number of pixels.
    pub(crate) fn len(self) -> usize {
        self.end - self.start + 1
    }

    /// The middle of the run.
    pub(crate) fn center(self) -> f64 {
        (self.start + self.end) as f64 / 2.0
    }

    /// The end of the run on one side.
    pub(crate) const fn edge(self, side: Side) -> f64 {
        match side {
            Side::Left => self.start as f64,
            Side::Right => self.end as f64,
        }
    }

    /// The part of the run on one side of `axis`.
    pub(crate) fn beside(self, axis: f64, side: Side) -> Option<Self> {
        let part = match side {
            Side::Left => Self {
                start: self.start,
                end: self.end.min(axis.max(0.0) as usize),
            },
            Side::Right => Self {
                start: self.start.max(axis.max(0.0).ceil() as usize),
                ..self
            },
        };
        (part.start <= part.end).then_some(part)
    }

    /// Distance from `x` to the run; 0 inside.
    fn gap(self, x: f64) -> f64 {
        (self.start as f64 - x).max(x - self.end as f64).max(0.0)
    }
}

/// The runs of row `y`, from left to right.
pub(crate) fn runs(mask: &Mask, y: usize) -> Vec<Run> {
    let mut found = Vec::new();
    let mut start = None;
    for (x, &set) in mask.row(y).iter().enumerate() {
        match (set, start) {
            (true, None) => start = Some(x),
            (false, Some(first)) => {
                found.push(Run {
                    start: first,
                    end: x - 1,
                });
                start = None;
            }
            _ => {}
        }
    }
    if let Some(first) = start {
        found.push(Run {
            start: first,
            end: mask.width - 1,
        });
    }
    found
}

/// The run of row `y` that holds `x`, or else the nearest one; the longer of two equally near.
pub(crate) fn central_run(mask: &Mask, y: usize, x: f64) -> Option<Run> {
    runs(mask, y)
        .into_iter()
        .min_by(|a, b| a.gap(x).total_cmp(&b.gap(x)).then(b.len().cmp(&a.len())))
}

/// From the first to the last set pixel of row `y`.
pub(crate) fn extent(mask: &Mask, y: usize) -> Option<Run> {
    let row = mask.row(y);
    let start = row.iter().position(|&set| set)?;
    let end = row.iter().rposition(|&set| set)?;
    Some(Run { start, end })
}

/// The first set row of every column.
pub(crate) fn top_profile(mask: &Mask) -> Vec<Option<f64>> {
    profile(mask, 0..mask.height)
}

/// The last set row of every column.
pub(crate) fn bottom_profile(mask: &Mask) -> Vec<Option<f64>> {
    profile(mask, (0..mask.height).rev())
}

fn profile(mask: &Mask, rows: impl Iterator<Item = usize>) -> Vec<Option<f64>> {
    let mut found = vec![None; mask.width];
    for y in rows {
        for (column, &set) in found.iter_mut().zip(mask.row(y)) {
            if set && column.is_none() {
                *column = Some(y as f64);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask() -> Mask {
        Mask::from_fn(8, 3, |x, y| match y {
            0 => false,
            1 => x == 0 || (3..=5).contains(&x),
            _ => (1..=6).contains(&x),
        })
    }

    #[test]
    fn picks_the_run_around_or_nearest_to_x() {
        assert_eq!(central_run(&mask(), 1, 4.0), Some(Run { start: 3, end: 5 }));
        assert_eq!(central_run(&mask(), 1, 1.0), Some(Run { start: 0, end: 0 }));
        assert_eq!(central_run(&mask(), 0, 4.0), None);
        assert_eq!(extent(&mask(), 1), Some(Run { start: 0, end: 5 }));
    }

    #[test]
    fn profiles_are_the_first_and_last_set_rows() {
        assert_eq!(top_profile(&mask())[..3], [Some(1.0), Some(2.0), Some(2.0)]);
        assert_eq!(bottom_profile(&mask())[3], Some(2.0));
        assert_eq!(top_profile(&mask())[7], None);
    }
}
