//! An engine that takes its time and does nothing else.

use std::{
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use image::{Rgb, RgbImage};
use tryon_core::task::{Provider, Task};
use tryon_engine::{Description, Engine, EngineError, Monitor, Output, Request, engine::Step};

/// What its pictures say of when it began, in milliseconds since the epoch.
const BEGAN: &str = "began";

/// Makes every picture the same, in the time that it is told.
#[derive(Debug)]
pub(crate) struct WaitingEngine(pub(crate) Duration);

impl Engine for WaitingEngine {
    fn describe(&self) -> Description {
        Description {
            providers: vec![Provider::Preview],
            tasks: Task::ALL.to_vec(),
            model_type: "waiting".to_owned(),
            model_version: env!("CARGO_PKG_VERSION").to_owned(),
            backend: "none".to_owned(),
            notice: Some("a benchmark, which makes no pictures".to_owned()),
            default_steps: 1,
            stages: Vec::new(),
        }
    }

    fn run(&mut self, _: &Request, monitor: &mut dyn Monitor) -> Result<Output, EngineError> {
        let began = millis_now();
        thread::sleep(self.0);
        monitor.step(Step { done: 1, total: 1 })?;
        Ok(Output {
            picture: RgbImage::from_pixel(64, 64, Rgb([128; 3])),
            metadata: vec![(BEGAN.to_owned(), began.to_string())],
        })
    }
}

/// Seconds that an engine may take.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number is needed".to_owned())?;
    if (0.0..=3600.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("a number from 0 to 3600 is needed".to_owned())
    }
}

/// When the engine began to make this picture.
pub(super) fn find_beginning(png: &[u8]) -> Option<u128> {
    // As PNG writes it: the keyword, a zero, the text as it is.
    let mark = format!("tEXt{BEGAN}\0");
    let place = png
        .windows(mark.len())
        .position(|window| window == mark.as_bytes())?;
    let digits = png[place + mark.len()..].iter();
    let digits: String = digits
        .map(|byte| char::from(*byte))
        .take_while(char::is_ascii_digit)
        // What follows is a checksum, which may look like one more.
        .take(began_length())
        .collect();
    digits.parse().ok()
}

/// Digits of a time of these centuries.
fn began_length() -> usize {
    millis_now().to_string().len()
}

/// Milliseconds since the epoch.
pub(super) fn millis_now() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_millis()
}

#[cfg(test)]
mod tests {
    use tryon_core::task::OutputFormat;

    use super::*;

    #[test]
    fn a_picture_says_when_it_was_begun() {
        let began = millis_now();
        let output = Output {
            picture: RgbImage::new(4, 4),
            metadata: vec![(BEGAN.to_owned(), began.to_string())],
        };
        let png = output.encode(OutputFormat::Png).unwrap();
        assert_eq!(find_beginning(&png), Some(began));
        assert_eq!(find_beginning(b"no picture"), None);
    }
}
