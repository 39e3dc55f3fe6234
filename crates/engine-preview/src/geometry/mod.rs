//! Points, sides and curves in picture coordinates: x to the right, y down, in pixels.

mod curve;
mod side;

pub(crate) use curve::{Curve, clamp, even, interpolate};
pub(crate) use side::{Side, Sides};

use std::ops::{Add, Mul, Neg, Sub};

/// A point or a vector in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

impl Point {
    pub(crate) const fn new(x: f64, y: f64) -> Self {
        Self { x, y }
    }

    pub(crate) fn length(self) -> f64 {
        self.x.hypot(self.y)
    }

    pub(crate) fn distance(self, other: Self) -> f64 {
        (self - other).length()
    }

    pub(crate) fn dot(self, other: Self) -> f64 {
        self.x * other.x + self.y * other.y
    }

    /// The vector scaled to length one; the zero vector stays (nearly) zero.
    pub(crate) fn unit(self) -> Self {
        self * (1.0 / (self.length() + 1e-6))
    }

    /// Turned by a quarter: `(-y, x)`.
    pub(crate) fn normal(self) -> Self {
        Self::new(-self.y, self.x)
    }

    /// The point a fraction `t` of the way to `other`; `t` outside 0..1 extrapolates.
    pub(crate) fn toward(self, other: Self, t: f64) -> Self {
        self * (1.0 - t) + other * t
    }
}

impl Add for Point {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::new(self.x + other.x, self.y + other.y)
    }
}

impl Sub for Point {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self::new(self.x - other.x, self.y - other.y)
    }
}

impl Mul<f64> for Point {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self::new(self.x * factor, self.y * factor)
    }
}

impl Neg for Point {
    type Output = Self;

    fn neg(self) -> Self {
        Self::new(-self.x, -self.y)
    }
}

impl From<(i32, i32)> for Point {
    fn from((x, y): (i32, i32)) -> Self {
        Self::new(f64::from(x), f64::from(y))
    }
}
