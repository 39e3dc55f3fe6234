//! Where the tokens of a prompt are: in time, in rows and in columns.

use std::ops::Range;

use super::{config::LanguageConfig, template::TokenisedPrompt};
use crate::image::Grid;

/// The position of each token on the three axes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Positions {
    /// Time, row, column; `[3][tokens]`.
    pub(super) axes: [Vec<u32>; 3],
}

impl Positions {
    /// Text counts on on all axes at once. A picture stands still in time, and its rows and
    /// columns count from where it begins; text after it goes on past its longer side.
    ///
    /// transformers 5.23.0, `models/qwen2_5_vl/modeling_qwen2_5_vl.py`, `get_rope_index`.
    pub(super) fn of(prompt: &TokenisedPrompt) -> Self {
        let mut positions = Self {
            axes: Default::default(),
        };
        let (mut next, mut done) = (0, 0);
        for (picture, grid) in prompt.pictures.iter().zip(&prompt.grids) {
            next = positions.text(done..picture.start, next);
            next = positions.picture(*grid, next);
            done = picture.end;
        }
        positions.text(done..prompt.ids.len(), next);
        positions
    }

    fn text(&mut self, tokens: Range<usize>, next: u32) -> u32 {
        let end = next + tokens.len() as u32;
        for axis in &mut self.axes {
            axis.extend(next..end);
        }
        end
    }

    fn picture(&mut self, grid: Grid, next: u32) -> u32 {
        for patch in 0..grid.area() {
            let (row, column) = (patch / grid.width, patch % grid.width);
            self.axes[0].push(next);
            self.axes[1].push(next + row as u32);
            self.axes[2].push(next + column as u32);
        }
        next + grid.height.max(grid.width) as u32
    }

    /// The angle of each pair of a head, token by token: `[tokens, head_width / 2]`.
    ///
    /// `Qwen2_5_VLRotaryEmbedding`: the first pairs turn with the time, then rows, then columns.
    pub(super) fn angles(&self, config: &LanguageConfig) -> Vec<f32> {
        let frequencies = frequencies(config.rope_theta(), config.head_width());
        let axes = config.mrope_section().into_iter().enumerate();
        let axis_of: Vec<usize> = axes
            .flat_map(|(axis, pairs)| std::iter::repeat_n(axis, pairs))
            .collect();
        let tokens = self.axes[0].len();
        let mut angles = Vec::with_capacity(tokens * frequencies.len());
        for token in 0..tokens {
            let pairs = axis_of.iter().zip(&frequencies);
            angles.extend(pairs.map(|(axis, f)| self.axes[*axis][token] as f32 * f));
        }
        angles
    }
}

/// `1 / theta^(2i / width)` for each pair `i` of a head.
///
/// Rounded to 32 bits where the reference rounds. The power is taken in 64, since those of 32 differ
/// from library to library, and positions multiply what they differ by.
pub(super) fn frequencies(theta: f32, width: usize) -> Vec<f32> {
    let power = |twice: usize| {
        let exponent = twice as f32 / width as f32;
        f64::from(theta).powf(f64::from(exponent)) as f32
    };
    let pairs = (0..width).step_by(2);
    pairs.map(|twice| 1.0 / power(twice)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Positions, TokenisedPrompt};
    use crate::text::fixture::{grids, numbers, rows};

    /// A prompt that begins with text and has some after each picture, of as many tokens as the
    /// fixture says.
    fn prompt(row: &Value) -> TokenisedPrompt {
        let text = numbers(&row["text"]);
        let grids = grids(row);
        let (mut ids, mut pictures) = (text[0], Vec::new());
        for (grid, text) in grids.iter().zip(&text[1..]) {
            pictures.push(ids..ids + grid.area());
            ids += grid.area() + text;
        }
        TokenisedPrompt {
            ids: vec![0; ids],
            pictures,
            grids,
            drop: 0,
        }
    }

    /// Fails when text goes on behind a picture's number of tokens, or its shorter side.
    #[test]
    fn positions_are_the_references() {
        for row in rows("positions.json") {
            let found = Positions::of(&prompt(&row)).axes;
            for (axis, wanted) in found.iter().zip(row["position_ids"].as_array().unwrap()) {
                let found: Vec<usize> = axis.iter().map(|place| *place as usize).collect();
                assert_eq!(found, numbers(wanted), "{row}");
            }
        }
    }
}
