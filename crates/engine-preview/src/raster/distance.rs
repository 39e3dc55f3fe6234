//! Exact Euclidean distances to a set of pixels.

use super::morphology::dilate_disk;
use super::plane::{Gray, Mask, Plane};

/// No target pixel in the column.
const NONE: u32 = u32::MAX;

/// The distance from each pixel to the nearest pixel set in `targets`: 0 on them, infinite when
/// there is none.
pub(crate) fn to_nearest(targets: &Mask) -> Gray {
    let Some(nearest) = nearest(targets) else {
        return Gray::new(targets.width, targets.height, f32::INFINITY);
    };
    Gray::from_fn(targets.width, targets.height, |x, y| {
        let index = nearest[(x, y)] as usize;
        let (dx, dy) = (
            x.abs_diff(index % targets.width),
            y.abs_diff(index / targets.width),
        );
        ((dx * dx + dy * dy) as f32).sqrt()
    })
}

/// The index (in row order) of the target nearest to each pixel, or `None` when there is none.
pub(crate) fn nearest(targets: &Mask) -> Option<Plane<u32>> {
    if !targets.any() {
        return None;
    }
    let rows = nearest_in_column(targets);
    let mut found = Plane::new(targets.width, targets.height, 0);
    let mut envelope = Envelope::default();
    for y in 0..targets.height {
        envelope.build(rows.row(y), y);
        envelope.write(rows.row(y), found.row_mut(y), targets.width);
    }
    Some(found)
}

/// Like [`nearest`] for the pixels set in `wanted` alone and up to a distance of `radius`; `None`
/// for every other pixel. Much cheaper for a narrow band.
pub(crate) fn nearest_within(targets: &Mask, wanted: &Mask, radius: usize) -> Plane<Option<u32>> {
    let rows = nearest_in_column(targets);
    let near = dilate_disk(targets, radius);
    Plane::from_fn(targets.width, targets.height, |x, y| {
        let searched = wanted[(x, y)] && near[(x, y)];
        searched
            .then(|| search_row(&rows, x, y, radius * radius))
            .flatten()
    })
}

/// Looks left and right of `x` until no column can hold anything nearer.
fn search_row(rows: &Plane<u32>, x: usize, y: usize, limit: usize) -> Option<u32> {
    let mut best = (limit + 1, None);
    let row = rows.row(y);
    for dx in 0.. {
        if dx * dx >= best.0 {
            break;
        }
        for column in [x.checked_sub(dx), Some(x + dx)].into_iter().flatten() {
            let Some(&target) = row.get(column).filter(|&&target| target != NONE) else {
                continue;
            };
            let dy = y.abs_diff(target as usize);
            if dx * dx + dy * dy < best.0 {
                best = (
                    dx * dx + dy * dy,
                    Some(target * rows.width as u32 + column as u32),
                );
            }
        }
    }
    best.1
}

/// The row of the nearest target in the same column.
fn nearest_in_column(targets: &Mask) -> Plane<u32> {
    let (width, height) = targets.size();
    let mut rows = Plane::new(width, height, NONE);
    let mut last = vec![NONE; width];
    for y in 0..height {
        for ((found, last), &set) in rows
            .row_mut(y)
            .iter_mut()
            .zip(&mut last)
            .zip(targets.row(y))
        {
            if set {
                *last = y as u32;
            }
            *found = *last;
        }
    }
    last.fill(NONE);
    for y in (0..height).rev() {
        for ((found, last), &set) in rows
            .row_mut(y)
            .iter_mut()
            .zip(&mut last)
            .zip(targets.row(y))
        {
            if set {
                *last = y as u32;
            }
            let nearer = *found == NONE || last.abs_diff(y as u32) < found.abs_diff(y as u32);
            if *last != NONE && nearer {
                *found = *last;
            }
        }
    }
    rows
}

/// The lower envelope of the parabolas that the targets of a row of columns raise over that row.
#[derive(Default)]
struct Envelope {
    /// Columns of the parabolas that reach the envelope.
    site: Vec<i32>,
    /// The first column where each of them is lowest.
    from: Vec<i32>,
    /// Squared vertical distance to the target of each column; -1 for none.
    height: Vec<i32>,
}

impl Envelope {
    fn build(&mut self, targets: &[u32], y: usize) {
        self.height.clear();
        self.height.extend(targets.iter().map(|&target| {
            let dy = target.abs_diff(y as u32) as i32;
            if target == NONE { -1 } else { dy * dy }
        }));
        self.site.clear();
        self.from.clear();
        for column in 0..targets.len() as i32 {
            if self.height[column as usize] >= 0 {
                self.add(column);
            }
        }
    }

    fn value(&self, x: i32, site: i32) -> i32 {
        (x - site) * (x - site) + self.height[site as usize]
    }

    fn add(&mut self, column: i32) {
        while let (Some(&site), Some(&from)) = (self.site.last(), self.from.last()) {
            if self.value(from, site) <= self.value(from, column) {
                break;
            }
            self.site.pop();
            self.from.pop();
        }
        let Some(&site) = self.site.last() else {
            self.site.push(column);
            self.from.push(0);
            return;
        };
        let heights = self.height[column as usize] - self.height[site as usize];
        let crossing = (column * column - site * site + heights).div_euclid(2 * (column - site));
        if crossing + 1 < self.height.len() as i32 {
            self.site.push(column);
            self.from.push(crossing + 1);
        }
    }

    fn write(&self, targets: &[u32], out: &mut [u32], width: usize) {
        for (k, &site) in self.site.iter().enumerate() {
            let end = self.from.get(k + 1).map_or(out.len(), |&x| x as usize);
            let index = targets[site as usize] * width as u32 + site as u32;
            out[self.from[k] as usize..end].fill(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scattered() -> Mask {
        Mask::from_fn(37, 29, |x, y| (x * 31 + y * 17) % 97 == 3)
    }

    fn squared(mask: &Mask, (x, y): (usize, usize), index: usize) -> usize {
        x.abs_diff(index % mask.width).pow(2) + y.abs_diff(index / mask.width).pow(2)
    }

    fn brute_force(mask: &Mask, at: (usize, usize)) -> usize {
        let targets = (0..mask.data.len()).filter(|&i| mask.data[i]);
        targets.map(|i| squared(mask, at, i)).min().unwrap()
    }

    #[test]
    fn distances_are_exact() {
        let mask = scattered();
        let distances = to_nearest(&mask);
        let found = nearest(&mask).unwrap();
        for y in 0..mask.height {
            for x in 0..mask.width {
                let expected = brute_force(&mask, (x, y));
                let index = found[(x, y)] as usize;
                assert!(mask.data[index]);
                assert_eq!(squared(&mask, (x, y), index), expected, "at {x},{y}");
                assert!((distances[(x, y)] - (expected as f32).sqrt()).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn the_bounded_search_agrees_within_its_radius() {
        let mask = scattered();
        let found = nearest_within(&mask, &mask.not(), 4);
        for y in 0..mask.height {
            for x in 0..mask.width {
                let expected = brute_force(&mask, (x, y));
                let distance = found[(x, y)].map(|i| squared(&mask, (x, y), i as usize));
                let wanted = !mask[(x, y)] && expected <= 16;
                assert_eq!(distance, wanted.then_some(expected), "at {x},{y}");
            }
        }
    }

    #[test]
    fn without_targets_everything_is_infinitely_far() {
        let nothing = Mask::new(4, 3, false);
        assert_eq!(nearest(&nothing), None);
        assert!(to_nearest(&nothing).data.iter().all(|d| d.is_infinite()));
    }
}
