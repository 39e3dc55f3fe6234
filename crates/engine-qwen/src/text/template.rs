//! The chat that a prompt and its pictures are put into.

use std::ops::Range;

use super::tokeniser::{Special, Tokeniser};
use crate::{error::RunError, image::Grid};

/// What the model was trained to be told first.
///
/// diffusers 0.42.1, `pipelines/qwenimage/pipeline_qwenimage_edit_plus.py`,
/// `prompt_template_encode`.
const SYSTEM: &str = "Describe the key features of the input image (color, shape, size, texture, \
    objects, background), then explain how the user's text instruction should alter or modify the \
    image. Generate a new image that meets the user's requirements while maintaining consistency \
    with the original input where appropriate.";

/// Most characters of a prompt.
pub const MAX_PROMPT: usize = 4000;

/// Refuses a prompt of a client that is empty or too long.
pub fn check_prompt(prompt: &str) -> Result<(), RunError> {
    if prompt.trim().is_empty() {
        return Err(RunError::input(
            "`prompt` is empty: say what to change, or leave it out for the task's own prompt",
        ));
    }
    let length = prompt.chars().count();
    if length > MAX_PROMPT {
        return Err(RunError::input(format!(
            "`prompt` has {length} characters, and {MAX_PROMPT} at most are read: shorten it"
        )));
    }
    Ok(())
}

/// A prompt with its pictures, as ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenisedPrompt {
    /// The ids; a picture has as many in a row as there are merged patches.
    pub ids: Vec<u32>,
    /// Where each picture is among them.
    pub pictures: Vec<Range<usize>>,
    /// The merged grid of each picture.
    pub grids: Vec<Grid>,
    /// How many states at the beginning are not for the transformer: the system prompt's.
    pub drop: usize,
}

impl TokenisedPrompt {
    /// The same with another number of states dropped.
    ///
    /// The reference drops 64, which is the system prompt with the published vocabulary alone;
    /// goldens that were made with another vocabulary say so.
    #[must_use]
    pub fn with_drop(mut self, drop: usize) -> Self {
        self.drop = drop.min(self.ids.len());
        self
    }
}

impl Tokeniser {
    /// Puts a prompt and pictures of these merged grids into the template.
    pub fn prompt(&self, prompt: &str, grids: &[Grid]) -> TokenisedPrompt {
        let mut chat = Chat::new(self);
        chat.special(|special| special.im_start);
        chat.say("system\n");
        chat.say(SYSTEM);
        chat.special(|special| special.im_end);
        chat.say("\n");
        chat.special(|special| special.im_start);
        chat.say("user\n");
        chat.flush();
        let drop = chat.ids.len();
        let picture = |(index, grid): (usize, &Grid)| {
            chat.say(&format!("Picture {}: ", index + 1));
            chat.picture(*grid)
        };
        let pictures = grids.iter().enumerate().map(picture).collect();
        chat.say(prompt);
        chat.special(|special| special.im_end);
        chat.say("\n");
        chat.special(|special| special.im_start);
        chat.say("assistant\n");
        chat.flush();
        TokenisedPrompt {
            ids: chat.ids,
            pictures,
            grids: grids.to_vec(),
            drop,
        }
    }
}

/// Ids, and text between special tokens that is not yet among them. It is tokenised as a whole:
/// where it is cut decides what is merged.
struct Chat<'a> {
    tokeniser: &'a Tokeniser,
    ids: Vec<u32>,
    text: String,
}

impl<'a> Chat<'a> {
    fn new(tokeniser: &'a Tokeniser) -> Self {
        Self {
            tokeniser,
            ids: Vec::new(),
            text: String::new(),
        }
    }

    fn say(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn special(&mut self, choose: impl Fn(Special) -> u32) {
        self.flush();
        self.ids.push(choose(self.tokeniser.special()));
    }

    fn picture(&mut self, grid: Grid) -> Range<usize> {
        self.special(|special| special.vision_start);
        let start = self.ids.len();
        let pads = std::iter::repeat_n(self.tokeniser.image_pad(), grid.area());
        self.ids.extend(pads);
        let end = self.ids.len();
        self.special(|special| special.vision_end);
        start..end
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.ids.extend(self.tokeniser.text(&self.text));
            self.text.clear();
        }
    }
}
