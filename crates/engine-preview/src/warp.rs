//! Warping a part of a garment along a mesh, at the resolution of the photo.

use crate::geometry::Point;
use crate::plan::Mesh;
use crate::raster::blur::{gaussian, gaussian_color, gaussian_fast};
use crate::raster::order::median;
use crate::raster::plane::{Color, Gray, Mask, Plane, Rect};
use crate::raster::sample::{Border, bicubic, bilinear};

/// Garments shrunk more than this are blurred before they are sampled.
const SHRUNK: f64 = 1.3;

/// A part of a garment: colours and alpha of one size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) colors: &'a Color,
    pub(crate) alpha: &'a Gray,
}

/// How the mesh relates to the pixels of garment and photo.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Zoom {
    /// Garment pixels per unit of the mesh's source.
    pub(crate) source: f64,
    /// Photo pixels per unit of the mesh's target.
    pub(crate) target: f64,
    /// Standard deviation by which the map is smoothed, in photo pixels.
    pub(crate) smooth: f64,
}

/// A warped part on its box in the photo.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) area: Rect,
    pub(crate) colors: Color,
    pub(crate) alpha: Gray,
}

/// Lays `part` along `mesh` onto a photo of `size`; `None` when that lies outside of the photo.
pub(crate) fn warp(part: Part<'_>, mesh: &Mesh, zoom: Zoom, size: (usize, usize)) -> Option<Layer> {
    let map = Map::rasterise(mesh, zoom, size)?.smoothed(zoom.smooth);
    let shrink = map.shrinkage();
    let source = map.source_box(part.alpha.size(), 3.0 * shrink + 3.0)?;
    let (mut colors, mut alpha) = (part.colors.crop(source), part.alpha.crop(source));
    if shrink > SHRUNK {
        colors = gaussian_color(&colors, 0.45 * shrink);
        alpha = gaussian(&alpha, 0.45 * shrink);
    }
    Some(map.sample(&colors, &alpha, source, shrink < SHRUNK))
}

/// Where each pixel of an area of the photo comes from.
struct Map {
    area: Rect,
    /// Pixels that come from anywhere at all.
    covered: Mask,
    x: Gray,
    y: Gray,
}

impl Map {
    /// Draws every quad as two triangles; later quads win.
    fn rasterise(mesh: &Mesh, zoom: Zoom, (width, height): (usize, usize)) -> Option<Self> {
        let target: Vec<Point> = mesh.target.iter().map(|&p| p * zoom.target).collect();
        let area = target_box(&target, width, height)?;
        let mut map = Self {
            area,
            covered: Plane::new(area.width(), area.height(), false),
            x: Plane::new(area.width(), area.height(), 0.0),
            y: Plane::new(area.width(), area.height(), 0.0),
        };
        let corner = |i: usize| {
            let origin = Point::new(area.x0 as f64, area.y0 as f64);
            (mesh.source[i] * zoom.source, target[i] - origin)
        };
        for row in 0..mesh.rows() - 1 {
            for column in 0..mesh.columns - 1 {
                let first = row * mesh.columns + column;
                let below = first + mesh.columns;
                let [a, b, c, d] = [first, first + 1, below + 1, below].map(corner);
                map.draw([a, b, c]);
                map.draw([a, c, d]);
            }
        }
        Some(map)
    }

    /// Draws a triangle of `(source, target)` corners.
    fn draw(&mut self, corners: [(Point, Point); 3]) {
        let [(s0, a), (s1, b), (s2, c)] = corners;
        let area = (b.y - c.y) * (a.x - c.x) + (c.x - b.x) * (a.y - c.y);
        if area.abs() < 1e-6 {
            return;
        }
        let bounds = triangle_box([a, b, c], self.area.width(), self.area.height());
        for y in bounds.y0..bounds.y1 {
            for x in bounds.x0..bounds.x1 {
                let (dx, dy) = (x as f64 - c.x, y as f64 - c.y);
                let u = ((b.y - c.y) * dx + (c.x - b.x) * dy) / area;
                let v = ((c.y - a.y) * dx + (a.x - c.x) * dy) / area;
                let w = 1.0 - u - v;
                if u.min(v).min(w) >= -1e-3 {
                    let source = s0 * u + s1 * v + s2 * w;
                    self.covered[(x, y)] = true;
                    self.x[(x, y)] = source.x as f32;
                    self.y[(x, y)] = source.y as f32;
                }
            }
        }
    }

    /// Rounds the kinks between quads off.
    fn smoothed(mut self, sigma: f64) -> Self {
        let blur = if sigma < 2.0 { gaussian } else { gaussian_fast };
        let weight = blur(&self.covered.to_gray(), sigma);
        for plane in [&mut self.x, &mut self.y] {
            // Uncovered pixels are 0 and weigh nothing.
            *plane = blur(plane, sigma).zip_with(&weight, |&sum, &w| sum / w.max(1e-3));
        }
        self
    }

    /// Garment pixels per photo pixel, along the diagonal, as the median of a sample.
    fn shrinkage(&self) -> f64 {
        const STRIDE: usize = 3;
        let mut steps = Vec::new();
        for y in (0..self.covered.height - 1).step_by(STRIDE) {
            for x in (0..self.covered.width - 1).step_by(STRIDE) {
                if self.covered[(x, y)] && self.covered[(x + 1, y + 1)] {
                    let dx = self.x[(x + 1, y)] - self.x[(x, y)];
                    let dy = self.y[(x + 1, y)] - self.y[(x, y)];
                    steps.push(dx.hypot(dy));
                }
            }
        }
        steps.retain(|&step| step < 50.0);
        if steps.is_empty() {
            1.0
        } else {
            median(&steps)
        }
    }

    /// The box of the garment that the map reads, with a margin.
    fn source_box(&self, (width, height): (usize, usize), margin: f64) -> Option<Rect> {
        let range = |plane: &Gray| {
            let values = plane.data.iter().zip(&self.covered.data);
            values
                .filter(|&(_, &covered)| covered)
                .map(|(&value, _)| f64::from(value))
                .fold((f64::MAX, f64::MIN), |(low, high), v| {
                    (low.min(v), high.max(v))
                })
        };
        let ((x0, x1), (y0, y1)) = (range(&self.x), range(&self.y));
        let bounds = [
            x0 - margin,
            y0 - margin,
            x1 + margin + 1.0,
            y1 + margin + 1.0,
        ];
        let rect = Rect::clamped(bounds, width, height);
        (rect.width() > 1 && rect.height() > 1).then_some(rect)
    }

    /// Reads the garment, of which `source` was cut out, through the map.
    fn sample(self, colors: &Color, alpha: &Gray, source: Rect, sharp: bool) -> Layer {
        let (width, height) = self.covered.size();
        let mut layer = Layer {
            area: self.area,
            colors: Plane::new(width, height, [0.0; 3]),
            alpha: Plane::new(width, height, 0.0),
        };
        for index in (0..width * height).filter(|&i| self.covered.data[i]) {
            let x = f64::from(self.x.data[index]) - source.x0 as f64;
            let y = f64::from(self.y.data[index]) - source.y0 as f64;
            let opacity = bilinear(alpha, x, y, Border::Constant(0.0));
            if opacity > 0.0 {
                layer.alpha.data[index] = opacity;
                layer.colors.data[index] = if sharp {
                    bicubic(colors, x, y, Border::Replicate)
                } else {
                    bilinear(colors, x, y, Border::Replicate)
                };
            }
        }
        layer
    }
}

/// The box of the photo that the mesh covers, unless that is next to nothing.
fn target_box(points: &[Point], width: usize, height: usize) -> Option<Rect> {
    let fold = |pick: fn(&Point) -> f64, least: fn(f64, f64) -> f64| {
        points.iter().map(pick).reduce(least).unwrap_or(0.0)
    };
    let bounds = [
        fold(|p| p.x, f64::min) - 2.0,
        fold(|p| p.y, f64::min) - 2.0,
        fold(|p| p.x, f64::max).ceil() + 3.0,
        fold(|p| p.y, f64::max).ceil() + 3.0,
    ];
    let rect = Rect::clamped(bounds, width, height);
    (rect.width() >= 3 && rect.height() >= 3).then_some(rect)
}

fn triangle_box([a, b, c]: [Point; 3], width: usize, height: usize) -> Rect {
    let bounds = [
        a.x.min(b.x).min(c.x),
        a.y.min(b.y).min(c.y),
        a.x.max(b.x).max(c.x).ceil() + 1.0,
        a.y.max(b.y).max(c.y).ceil() + 1.0,
    ];
    Rect::clamped(bounds, width, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mesh of one quad that moves a `side` wide square to `(x, y)` and doubles it.
    fn doubling(side: f64, x: f64, y: f64) -> Mesh {
        let mut mesh = Mesh::new(2);
        for down in [0.0, side] {
            mesh.push_row([0.0, side].map(|across| {
                let target = Point::new(x + 2.0 * across, y + 2.0 * down);
                (Point::new(across, down), target)
            }));
        }
        mesh
    }

    fn gradient() -> (Color, Gray) {
        let colors = Color::from_fn(32, 32, |x, y| [8.0 * x as f32, 8.0 * y as f32, 0.0]);
        (colors, Gray::new(32, 32, 1.0))
    }

    #[test]
    fn a_quad_is_laid_where_the_mesh_says() {
        let (colors, alpha) = gradient();
        let part = Part {
            colors: &colors,
            alpha: &alpha,
        };
        let zoom = Zoom {
            source: 1.0,
            target: 1.0,
            smooth: 0.5,
        };
        let layer = warp(part, &doubling(20.0, 10.0, 30.0), zoom, (100, 100)).unwrap();
        let at = (40 - layer.area.x0, 50 - layer.area.y0);
        let [r, g, _] = layer.colors[at];
        assert!((r - 8.0 * 15.0).abs() < 1.0, "{r}");
        assert!((g - 8.0 * 10.0).abs() < 1.0, "{g}");
        assert!((layer.alpha[at] - 1.0).abs() < 1e-6);
        assert!(layer.alpha[(0, 0)] < 1e-6);
    }

    #[test]
    fn a_mesh_outside_of_the_photo_gives_nothing() {
        let (colors, alpha) = gradient();
        let part = Part {
            colors: &colors,
            alpha: &alpha,
        };
        let zoom = Zoom {
            source: 1.0,
            target: 1.0,
            smooth: 0.5,
        };
        assert!(warp(part, &doubling(20.0, 200.0, 30.0), zoom, (100, 100)).is_none());
    }
}
