//! The two sides of a picture. Left is the picture's left, whoever is in it.

use std::ops::{Index, IndexMut};

/// A side of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Left, Self::Right];

    /// The direction in x that leads away from the axis: -1 on the left, 1 on the right.
    pub(crate) const fn sign(self) -> f64 {
        match self {
            Self::Left => -1.0,
            Self::Right => 1.0,
        }
    }

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// One value for each side.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Sides<T> {
    pub(crate) left: T,
    pub(crate) right: T,
}

impl<T> Sides<T> {
    pub(crate) const fn new(left: T, right: T) -> Self {
        Self { left, right }
    }

    pub(crate) fn from_fn(mut value: impl FnMut(Side) -> T) -> Self {
        let left = value(Side::Left);
        Self::new(left, value(Side::Right))
    }

    pub(crate) fn map<U>(&self, mut f: impl FnMut(&T) -> U) -> Sides<U> {
        let left = f(&self.left);
        Sides::new(left, f(&self.right))
    }
}

impl Sides<f64> {
    pub(crate) const fn mean(&self) -> f64 {
        f64::midpoint(self.left, self.right)
    }
}

impl<T> Index<Side> for Sides<T> {
    type Output = T;

    fn index(&self, side: Side) -> &T {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }
}

impl<T> IndexMut<Side> for Sides<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }
}
