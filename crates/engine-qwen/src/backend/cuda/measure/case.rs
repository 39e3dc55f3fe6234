//! What is measured.

use image::RgbImage;

/// Blocks of the published transformer.
pub(super) const BLOCKS: usize = 60;
/// Numbers of a token in it.
pub(super) const WIDTH: usize = 3072;
/// Pixels of the side of a token.
const TOKEN: u32 = 16;

/// A picture to make, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// What it is called.
    pub name: &'static str,
    /// Tokens of the prompt, what the encoder makes of the references among them.
    pub text: usize,
    /// Width and height of each reference.
    pub references: &'static [[u32; 2]],
    /// Width and height of the picture.
    pub result: [u32; 2],
    /// About how many pixels of each reference the text encoder looks at.
    pub condition: u32,
}

impl Case {
    /// Those that the limits were computed for: see docs/performance.md.
    pub const ALL: [Self; 3] = [
        Self {
            name: "2 references of 1024x1024 to 1024x1024",
            text: 500,
            references: &[[1024, 1024]; 2],
            result: [1024, 1024],
            condition: 384 * 384,
        },
        Self {
            name: "2 references of 768x1024 to 768x1024",
            text: 500,
            references: &[[768, 1024]; 2],
            result: [768, 1024],
            condition: 384 * 384,
        },
        Self {
            name: "768x1024 and 512x512 to 768x1024",
            text: 400,
            references: &[[768, 1024], [512, 512]],
            result: [768, 1024],
            condition: 384 * 384,
        },
    ];

    /// The result, then each reference.
    pub(super) fn pictures(&self) -> impl Iterator<Item = [u32; 2]> {
        [self.result]
            .into_iter()
            .chain(self.references.iter().copied())
    }

    /// Tokens of noise and references.
    pub fn image(&self) -> usize {
        let tokens = |[width, height]: [u32; 2]| (width / TOKEN * (height / TOKEN)) as usize;
        self.pictures().map(tokens).sum()
    }

    /// All tokens.
    pub fn tokens(&self) -> usize {
        self.text + self.image()
    }

    /// Operations of a step: products of every token, and attention of every pair.
    pub fn operations(&self) -> f64 {
        let (tokens, width) = (self.tokens() as f64, WIDTH as f64);
        BLOCKS as f64 * (24.0 * tokens * width * width + 4.0 * tokens * tokens * width)
    }

    /// Photos of the references' sizes, no two of them alike.
    pub(super) fn photos(&self) -> Vec<RgbImage> {
        let photo = |(index, [width, height]): (usize, &[u32; 2])| {
            let index = index as u32;
            RgbImage::from_fn(*width, *height, |x, y| {
                let bytes = [x * 7 + index * 31, y * 5 + x, x * y / 64 + index];
                image::Rgb(bytes.map(|byte| (byte % 256) as u8))
            })
        };
        self.references.iter().enumerate().map(photo).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures of docs/performance.md.
    #[test]
    fn operations_are_those_of_the_limits() {
        let peta = Case::ALL.map(|case| 4.0 * case.operations() / 1e15);
        let expected = [1.18, 0.81, 0.58];
        for (found, expected) in peta.iter().zip(expected) {
            assert!((found - expected).abs() < 0.005, "{found}, not {expected}");
        }
        assert_eq!(Case::ALL.map(|case| case.tokens()), [12_788, 9_716, 7_568]);
    }

    #[test]
    fn diffusers_is_measured_with_the_same() {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bench/gpu_diffusers.py");
        let script = std::fs::read_to_string(script).unwrap();
        for case in Case::ALL {
            let named = format!("(\"{}\", {}, [", case.name, case.text);
            let [width, height] = case.result;
            let line = script.lines().find(|line| line.contains(&named));
            let line = line.unwrap_or_else(|| panic!("`{named}` is not there"));
            assert!(line.ends_with(&format!("({width}, {height})),")), "{line}");
        }
    }
}
