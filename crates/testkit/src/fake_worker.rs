//! A worker process whose engine does what a request's prompt says.
//!
//! The test binary executes itself as the worker, so that tests run the real protocol between real
//! processes without another binary to build. In `tests/it/main.rs`:
//!
//! ```
//! tryon_testkit::fake_worker!();
//! ```
//!
//! and then start a supervisor with [`command`]. A prompt is words joined by `,`, done in turn, all but
//! `step-sleep` in the stage [`Stage::EncodeInputs`]:
//!
//! | word | does |
//! |---|---|
//! | `sleep:500` | nothing for so many milliseconds, and does not see that it is cancelled |
//! | `step-sleep:500` | the same before each of the request's steps, where it does see it |
//! | `hang` | nothing, for ever |
//! | `crash` `kill` `abort` `exit:3` | ends the process: as a segmentation fault does, as the system does that is out of memory, by its own hand |
//! | `panic` `fault:words` | fails as an engine may |
//! | `oom` `refuse:pose`, `input` or `moderation` | says why there is no picture |
//! | `print` | writes to standard output |
//!
//! Of a photo that is asked about, the category says what its parser does:
//!
//! | category | does |
//! |---|---|
//! | `tops` | finds the left half |
//! | `bottoms` | finds nothing |
//! | `one-pieces` | refuses the photo |
//! | `eyewear` | panics |
//! | `footwear` | nothing, for ever |
//! | `headwear` | ends the process |

use std::{ffi::OsString, path::Path, process, sync::Arc, thread, time::Duration};

use image::{DynamicImage, RgbImage, RgbaImage};
use rustix::process::{Signal, getpid, kill_process};
use tryon_core::{
    category::Category,
    task::{Provider, Task},
};
use tryon_engine::{
    Description, Engine, EngineError, Monitor, Output, Parser, Refusal, Request, Stage, Step,
    supervisor::WorkerCommand, worker,
};
use tryon_picture::Mask;

/// The variable that makes the test binary a worker; its value chooses how loading goes.
const VARIABLE: &str = "TRYON_FAKE_WORKER";

/// Lets the test binary be a worker. Use it once, in the root of the test crate.
#[macro_export]
macro_rules! fake_worker {
    () => {
        #[test]
        fn fake_worker() {
            $crate::fake_worker::serve_if_asked();
        }
    };
}

/// What `fake_worker!` expands to: serves when this process was started as a worker.
pub fn serve_if_asked() {
    if let Ok(load) = std::env::var(VARIABLE) {
        worker::serve(&move || load_as(&load));
    }
}

/// The command that starts this test binary as a worker that loads at once.
pub fn command() -> WorkerCommand {
    command_with("ok")
}

/// The same, with another way to load: `ok`, `load-fail`, `load-crash`, `load-sleep:MS`, or
/// `load-when:PATH`, which waits until that file is there.
pub fn command_with(load: &str) -> WorkerCommand {
    WorkerCommand {
        program: std::env::current_exe().expect("a test binary knows its own path"),
        args: ["fake_worker", "--exact", "--nocapture"]
            .map(OsString::from)
            .to_vec(),
        env: vec![(VARIABLE.into(), load.into())],
    }
}

fn load_as(load: &str) -> Result<Box<dyn Engine>, EngineError> {
    match load.split_once(':').unwrap_or((load, "")) {
        ("load-fail", _) => return Err(EngineError::Fault("the weights are missing".into())),
        ("load-crash", _) => end_by(Signal::SEGV),
        ("load-sleep", millis) => sleep(millis),
        ("load-when", path) => {
            while !Path::new(path).exists() {
                sleep("2");
            }
        }
        _ => {}
    }
    Ok(Box::new(FakeEngine))
}

/// Answers the person's picture, dimmed by the seed.
struct FakeEngine;

impl Engine for FakeEngine {
    fn describe(&self) -> Description {
        Description {
            providers: vec![Provider::Preview],
            tasks: vec![Task::Clothes, Task::Tattoo],
            model_type: "fake".to_owned(),
            model_version: "1.0.0".to_owned(),
            backend: "cpu".to_owned(),
            notice: Some("a test double".to_owned()),
            default_steps: 2,
            stages: vec![Stage::EncodeInputs, Stage::Denoise, Stage::DecodeLatents],
        }
    }

    fn run(&mut self, request: &Request, monitor: &mut dyn Monitor) -> Result<Output, EngineError> {
        monitor.stage(Stage::EncodeInputs);
        let prompt = request.options.prompt.as_deref().unwrap_or_default();
        for word in prompt.split(',').filter(|word| !word.is_empty()) {
            act(word)?;
        }
        monitor.stage(Stage::Denoise);
        let total = request.options.steps;
        for done in 1..=total {
            if let Some(millis) = word_value(prompt, "step-sleep") {
                sleep(millis);
            }
            monitor.step(Step { done, total })?;
        }
        monitor.stage(Stage::DecodeLatents);
        Ok(dimmed(request))
    }

    fn parser(&self) -> Option<Arc<dyn Parser>> {
        Some(Arc::new(FakeParser))
    }
}

struct FakeParser;

impl Parser for FakeParser {
    fn parse(&self, photo: &RgbaImage, category: Category) -> Result<Option<Mask>, EngineError> {
        match category {
            Category::OnePieces => act("refuse:pose")?,
            Category::Eyewear => act("panic")?,
            Category::Footwear => act("hang")?,
            Category::Headwear => act("kill")?,
            _ => {}
        }
        let (width, height) = photo.dimensions();
        let left = Mask::from_fn(width, height, |x, _| x < width / 2);
        Ok((category != Category::Bottoms).then_some(left))
    }
}

fn word_value<'a>(prompt: &'a str, name: &str) -> Option<&'a str> {
    prompt
        .split(',')
        .find_map(|word| word.strip_prefix(name)?.strip_prefix(':'))
}

fn act(word: &str) -> Result<(), EngineError> {
    let (name, value) = word.split_once(':').unwrap_or((word, ""));
    match name {
        "sleep" => sleep(value),
        "crash" => end_by(Signal::SEGV),
        "kill" => end_by(Signal::KILL),
        "abort" => process::abort(),
        "exit" => process::exit(value.parse().unwrap_or(1)),
        "oom" => {
            return Err(EngineError::OutOfMemory {
                needed: "7 GiB".to_owned(),
            });
        }
        "fault" => return Err(EngineError::Fault(value.to_owned().into())),
        "panic" => panic!("asked to panic"),
        "print" => println!("what an engine prints"),
        "hang" => loop {
            thread::park();
        },
        "refuse" => {
            return Err(EngineError::refused(
                refusal(value),
                format!("refused: {value}"),
            ));
        }
        _ => {}
    }
    Ok(())
}

fn refusal(name: &str) -> Refusal {
    match name {
        "pose" => Refusal::Pose,
        "moderation" => Refusal::Moderation,
        _ => Refusal::Input,
    }
}

fn sleep(millis: &str) {
    thread::sleep(Duration::from_millis(millis.parse().unwrap_or(0)));
}

/// Sends itself a signal until it is dead: the runtime's handler swallows the first SIGSEGV.
fn end_by(signal: Signal) -> ! {
    loop {
        let _ = kill_process(getpid(), signal);
    }
}

fn dimmed(request: &Request) -> Output {
    let mut picture: RgbImage = DynamicImage::ImageRgba8(request.person.clone()).into_rgb8();
    let dim = u8::try_from(request.options.seed % 32).unwrap_or(0);
    picture
        .iter_mut()
        .for_each(|value| *value = value.saturating_sub(dim));
    Output {
        picture,
        metadata: vec![("Comment".to_owned(), "a test double".to_owned())],
    }
}
