//! Connected components.

use super::plane::{Mask, Plane, Rect};
use super::run::runs;

/// Which pixels touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connectivity {
    /// Pixels that share an edge.
    Four,
    /// Pixels that share an edge or a corner.
    Eight,
}

/// One connected part of a mask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Component {
    /// Pixels.
    pub area: usize,
    /// The smallest box around it.
    pub bounds: Rect,
    /// The mean position `(x, y)` of the pixels.
    pub centroid: (f64, f64),
    /// The leftmost pixel of the topmost row.
    pub first: (usize, usize),
}

/// The sides of a plane from which a flood enters: the top, the left, the right, and perhaps the
/// bottom, where people are cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Border {
    /// Whether the bottom counts.
    pub bottom: bool,
}

impl Border {
    /// All four sides.
    pub(crate) const ALL: Self = Self { bottom: true };
}

/// Labels the parts of `mask`: 0 is background and label `i + 1` belongs to component `i`, in the
/// order of their first pixels.
pub(crate) fn label(mask: &Mask, connectivity: Connectivity) -> (Plane<u32>, Vec<Component>) {
    let mut forest = Forest::new(mask, connectivity);
    let mut labels = Plane::new(mask.width, mask.height, 0);
    let mut numbers = vec![0u32; forest.runs.len()];
    let mut sums: Vec<Sums> = Vec::new();
    for index in 0..forest.runs.len() {
        let root = forest.find(index);
        let run = forest.runs[index];
        if numbers[root] == 0 {
            sums.push(Sums::new(run));
            numbers[root] = sums.len() as u32;
        }
        let number = numbers[root];
        sums[number as usize - 1].add(run);
        labels.row_mut(run.y)[run.first..=run.last].fill(number);
    }
    (labels, sums.into_iter().map(Sums::finish).collect())
}

/// The components (eight-connected) of at least `fraction` of the largest one's area.
pub(crate) fn keep_largest(mask: &Mask, fraction: f64) -> Mask {
    let (labels, parts) = label(mask, Connectivity::Eight);
    let largest = parts.iter().map(|p| p.area).max().unwrap_or(0);
    let keep: Vec<bool> = parts
        .iter()
        .map(|p| p.area as f64 >= fraction * largest as f64)
        .collect();
    select(&labels, &keep)
}

/// The pixels of the components whose entry in `keep` is set.
pub(crate) fn select(labels: &Plane<u32>, keep: &[bool]) -> Mask {
    labels.map(|&number| number > 0 && keep[number as usize - 1])
}

/// The pixels of component `index`, cut out of `labels`.
pub(crate) fn component_mask(labels: &Plane<u32>, index: usize) -> Mask {
    labels.map(|&number| number as usize == index + 1)
}

/// The pixels of `free` that are joined (by edges) to the `border` of the plane.
pub(crate) fn connected_to_border(free: &Mask, border: Border) -> Mask {
    let (labels, parts) = label(free, Connectivity::Four);
    let touches = |r: &Rect| {
        r.y0 == 0 || r.x0 == 0 || r.x1 == free.width || (border.bottom && r.y1 == free.height)
    };
    let keep: Vec<bool> = parts.iter().map(|p| touches(&p.bounds)).collect();
    select(&labels, &keep)
}

/// The components of `mask` that contain a pixel of `seed`.
pub(crate) fn connected_to_seed(mask: &Mask, seed: &Mask, connectivity: Connectivity) -> Mask {
    let (labels, parts) = label(mask, connectivity);
    let mut keep = vec![false; parts.len()];
    for number in labels.select(seed) {
        if number > 0 {
            keep[number as usize - 1] = true;
        }
    }
    select(&labels, &keep)
}

#[derive(Clone, Copy)]
struct Span {
    y: usize,
    first: usize,
    last: usize,
}

/// Union-find over the horizontal runs of a mask.
struct Forest {
    runs: Vec<Span>,
    parent: Vec<u32>,
}

impl Forest {
    fn new(mask: &Mask, connectivity: Connectivity) -> Self {
        let reach = usize::from(connectivity == Connectivity::Eight);
        let mut forest = Self {
            runs: Vec::new(),
            parent: Vec::new(),
        };
        let mut above = 0..0;
        for y in 0..mask.height {
            let start = forest.runs.len();
            for run in runs(mask, y) {
                let (first, last) = (run.start, run.end);
                forest.parent.push(forest.runs.len() as u32);
                forest.runs.push(Span { y, first, last });
            }
            let current = start..forest.runs.len();
            forest.join_rows(above, current.clone(), reach);
            above = current;
        }
        forest
    }

    /// Joins the touching runs of two neighbouring rows, both sorted from the left.
    fn join_rows(
        &mut self,
        mut above: std::ops::Range<usize>,
        below: std::ops::Range<usize>,
        reach: usize,
    ) {
        for b in below {
            let run = self.runs[b];
            while above.start < above.end && self.runs[above.start].last + reach < run.first {
                above.start += 1;
            }
            for a in above.clone() {
                if self.runs[a].first > run.last + reach {
                    break;
                }
                self.join(a, b);
            }
        }
    }

    fn find(&mut self, mut index: usize) -> usize {
        while self.parent[index] as usize != index {
            let grandparent = self.parent[self.parent[index] as usize];
            self.parent[index] = grandparent;
            index = grandparent as usize;
        }
        index
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.parent[a.max(b)] = a.min(b) as u32;
    }
}

/// What accumulates into a [`Component`].
struct Sums {
    area: usize,
    x: f64,
    y: f64,
    bounds: Rect,
    first: (usize, usize),
}

impl Sums {
    fn new(run: Span) -> Self {
        Self {
            area: 0,
            x: 0.0,
            y: 0.0,
            bounds: Rect {
                x0: run.first,
                y0: run.y,
                x1: run.last + 1,
                y1: run.y + 1,
            },
            first: (run.first, run.y),
        }
    }

    fn add(&mut self, run: Span) {
        let length = run.last + 1 - run.first;
        self.area += length;
        self.x += length as f64 * (run.first + run.last) as f64 / 2.0;
        self.y += (length * run.y) as f64;
        self.bounds.x0 = self.bounds.x0.min(run.first);
        self.bounds.x1 = self.bounds.x1.max(run.last + 1);
        self.bounds.y1 = run.y + 1;
    }

    fn finish(self) -> Component {
        let area = self.area as f64;
        Component {
            area: self.area,
            bounds: self.bounds,
            centroid: (self.x / area, self.y / area),
            first: self.first,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(rows: &[&str]) -> Mask {
        Mask::from_fn(rows[0].len(), rows.len(), |x, y| {
            rows[y].as_bytes()[x] == b'#'
        })
    }

    #[test]
    fn corners_join_under_eight_neighbours_only() {
        let mask = mask(&["##..#", "..#..", "..#.#", ".#..#"]);
        let (_, four) = label(&mask, Connectivity::Four);
        let (labels, eight) = label(&mask, Connectivity::Eight);
        assert_eq!((four.len(), eight.len()), (5, 3));
        assert_eq!(eight.iter().map(|c| c.area).collect::<Vec<_>>(), [5, 1, 2]);
        assert_eq!((labels[(1, 3)], labels[(4, 0)], labels[(4, 3)]), (1, 2, 3));
    }

    #[test]
    fn a_spiral_is_one_part() {
        let spiral = mask(&[
            "#######", "......#", "#####.#", "#...#.#", "#.###.#", "#.....#", "#######",
        ]);
        let (_, parts) = label(&spiral, Connectivity::Four);
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].area, spiral.count());
        assert_eq!(parts[0].first, (0, 0));
    }

    #[test]
    fn components_know_their_box_and_centre() {
        let (_, parts) = label(&mask(&["....", ".##.", ".##.", "...."]), Connectivity::Four);
        assert_eq!(
            parts[0].bounds,
            Rect {
                x0: 1,
                y0: 1,
                x1: 3,
                y1: 3
            }
        );
        assert_eq!(parts[0].centroid, (1.5, 1.5));
    }

    #[test]
    fn floods_enter_through_the_named_sides() {
        let free = mask(&["#....", "...#.", "..##.", "..#.."]);
        assert_eq!(connected_to_border(&free, Border::ALL).count(), 5);
        assert_eq!(
            connected_to_border(&free, Border { bottom: false }).count(),
            1
        );
    }

    #[test]
    fn seeds_select_the_parts_they_lie_in() {
        let both = mask(&["##.##", "##.##"]);
        let seed = mask(&["....#", "....."]);
        let found = connected_to_seed(&both, &seed, Connectivity::Four);
        assert_eq!(found, mask(&["...##", "...##"]));
    }

    #[test]
    fn small_parts_are_dropped() {
        let all = mask(&["####.#", "####..", "####.#", "......", "###..."]);
        assert_eq!(keep_largest(&all, 0.25).count(), 15);
        assert_eq!(keep_largest(&Mask::new(4, 4, false), 0.25).count(), 0);
    }
}
