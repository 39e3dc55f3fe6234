//! A picture in the making: lit surfaces laid over each other.

use image::RgbImage;

use super::colour::Light;
use super::field::{Field, pixels};
use super::relief::inflate;
use super::{HEIGHT, WIDTH, noise};

/// A shape with relief and colour, ready to be lit.
pub(super) struct Surface {
    pub(super) coverage: Field,
    height: Field,
    colour: Vec<Light>,
    /// Strength of the highlights, 0 to 1.
    pub(super) gloss: f32,
    /// How far light travels under the surface: 0 for cloth, about 0.3 for skin.
    pub(super) translucency: f32,
}

impl Surface {
    /// A shape inflated to `roundness` times its natural height (1 makes limbs round).
    pub(super) fn inflated(coverage: Field, colour: Light, roundness: f32) -> Self {
        let height = inflate(&coverage).scaled(roundness);
        Self::with_height(coverage, height, colour)
    }

    /// A shape that lies flat but for its edges, which are `thickness` pixels high.
    pub(super) fn flat(coverage: Field, colour: Light, thickness: f32) -> Self {
        let height = inflate(&coverage).map(|h| thickness * (h / (3.0 * thickness)).tanh());
        Self::with_height(coverage, height, colour)
    }

    fn with_height(coverage: Field, height: Field, colour: Light) -> Self {
        Self {
            coverage,
            height,
            colour: vec![colour; WIDTH * HEIGHT],
            gloss: 0.0,
            translucency: 0.0,
        }
    }

    /// Raises the surface by pixels (negative: dents it).
    pub(super) fn emboss(&mut self, relief: &Field) {
        self.height = std::mem::replace(&mut self.height, Field::filled(0.0)).plus(relief);
    }

    /// Blends a colour in where `mask` is not 0.
    pub(super) fn tint(&mut self, mask: &Field, colour: Light) {
        for (pixel, &amount) in self.colour.iter_mut().zip(mask.values()) {
            *pixel = pixel.mix(colour, amount.clamp(0.0, 1.0));
        }
    }

    /// Multiplies the colour by a factor for each pixel.
    pub(super) fn vary(&mut self, factor: impl Fn(f32, f32) -> f32) {
        for (pixel, (x, y)) in self.colour.iter_mut().zip(pixels()) {
            *pixel = *pixel * factor(x, y);
        }
    }

    /// The unit normal at a pixel, as (right, down, towards the viewer).
    fn normal(&self, x: usize, y: usize) -> [f32; 3] {
        let h = |x: usize, y: usize| self.height.at(x.min(WIDTH - 1), y.min(HEIGHT - 1));
        let dx = (h(x + 1, y) - h(x.saturating_sub(1), y)) / 2.0;
        let dy = (h(x, y + 1) - h(x, y.saturating_sub(1))) / 2.0;
        let length = (dx * dx + dy * dy + 1.0).sqrt();
        [-dx / length, -dy / length, 1.0 / length]
    }
}

/// A soft shadow that a shape casts on what lies under it.
#[derive(Clone, Copy)]
pub(super) struct Shadow {
    /// Standard deviation of its blur, in pixels.
    pub(super) softness: f32,
    /// Where it falls, in pixels right and down of the shape.
    pub(super) offset: (isize, isize),
    /// Light taken away in its core, 0 to 1.
    pub(super) strength: f32,
}

/// The picture so far.
pub(super) struct Canvas {
    pixels: Vec<Light>,
    /// What the figure covers: only that receives its own shadows.
    pub(super) figure: Field,
}

impl Canvas {
    pub(super) fn new(backdrop: impl Fn(f32, f32) -> Light) -> Self {
        Self {
            pixels: pixels().map(|(x, y)| backdrop(x, y)).collect(),
            figure: Field::filled(0.0),
        }
    }

    /// Lights a surface and lays it on top.
    pub(super) fn lay(&mut self, surface: &Surface) {
        for y in 0..HEIGHT {
            for x in 0..WIDTH {
                let at = y * WIDTH + x;
                let coverage = surface.coverage.values()[at];
                if coverage > 0.0 {
                    let lit = shade(surface, surface.normal(x, y), surface.colour[at]);
                    self.pixels[at] = self.pixels[at].mix(lit, coverage);
                }
            }
        }
        let figure = std::mem::replace(&mut self.figure, Field::filled(0.0));
        self.figure = figure.max(&surface.coverage);
    }

    /// Lays a surface on top that shades the figure under it.
    pub(super) fn lay_with_shadow(&mut self, surface: &Surface, shadow: Shadow) {
        let receiver = self.figure.clone();
        self.shade(&surface.coverage, &receiver, shadow);
        self.lay(surface);
    }

    /// Lays a surface on top that shades only what `receiver` covers.
    pub(super) fn lay_within(&mut self, surface: &Surface, receiver: &Field, shadow: Shadow) {
        self.shade(&surface.coverage, receiver, shadow);
        self.lay(surface);
    }

    /// Darkens what `receiver` covers by the shadow of a shape.
    pub(super) fn shade(&mut self, caster: &Field, receiver: &Field, shadow: Shadow) {
        let (dx, dy) = shadow.offset;
        let cast = caster.clone().blurred(shadow.softness).shifted(dx, dy);
        self.darken(&cast.times(receiver).scaled(shadow.strength));
    }

    /// Takes light away, the more the higher `amount` (0 to 1).
    pub(super) fn darken(&mut self, amount: &Field) {
        for (pixel, &amount) in self.pixels.iter_mut().zip(amount.values()) {
            // Shadows are warmer than what they fall on: some light has passed through.
            *pixel = pixel.times(Light([
                1.0 - 0.86 * amount,
                1.0 - 0.98 * amount,
                1.0 - amount,
            ]));
        }
    }

    /// Paints a plain colour, unlit.
    pub(super) fn paint(&mut self, mask: &Field, colour: Light) {
        for (pixel, &amount) in self.pixels.iter_mut().zip(mask.values()) {
            *pixel = pixel.mix(colour, amount.clamp(0.0, 1.0));
        }
    }

    /// The finished photograph, with the grain of a good camera.
    pub(super) fn into_photo(self) -> RgbImage {
        const GRAIN: f32 = 0.9;
        let bytes = self.pixels.iter().zip(pixels());
        let bytes: Vec<u8> = bytes
            .flat_map(|(pixel, (x, y))| pixel.to_srgb(GRAIN * noise::white(x, y, 7)))
            .collect();
        let [width, height] = [WIDTH, HEIGHT].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
        RgbImage::from_raw(width, height, bytes).expect("BUG: three bytes for each pixel")
    }
}

/// A studio: a large soft light from the upper left, a weaker one from the right, and the room.
fn shade(surface: &Surface, normal: [f32; 3], colour: Light) -> Light {
    const KEY: [f32; 3] = [-0.42, -0.52, 0.744];
    const FILL: [f32; 3] = [0.74, -0.10, 0.665];
    // The key light's direction halved with the viewer's.
    const HIGHLIGHT: [f32; 3] = [-0.225, -0.278, 0.934];
    let wrapped =
        |light: [f32; 3], wrap: f32| ((dot(normal, light) + wrap) / (1.0 + wrap)).max(0.0);
    let room = 0.5 - 0.5 * normal[1];
    let channel = |bleed: f32| {
        let wrap = 0.35 + surface.translucency * bleed;
        0.70 * wrapped(KEY, wrap) + 0.24 * wrapped(FILL, 0.4) + 0.30 * room
    };
    // Translucent matter carries red furthest.
    let diffuse = Light([channel(1.6), channel(0.7), channel(0.4)]);
    let gleam = dot(normal, HIGHLIGHT).max(0.0).powi(24) * surface.gloss;
    colour.times(diffuse) + Light::WHITE * (0.25 * gleam)
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}
