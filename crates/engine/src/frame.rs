//! What crosses the pipes between a node and its worker.
//!
//! A frame is a length (4 bytes, little endian), that many bytes of JSON, and the raw pixels that
//! the JSON announces. Pixels are written from, and read into, the pictures' own buffers.

use std::io::{self, Read, Write};

use image::{RgbImage, RgbaImage};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tryon_core::{category::Category, task::Provider};

use crate::{
    engine::{Description, Masked, Options, Output, Refusal, Request, Step},
    stage::StageTime,
};

/// The longest header. A prompt is its only part without a limit of its own.
const MAX_HEADER: u32 = 1 << 20;

/// The most bytes of pixels in one picture: what a corrupt header can make us allocate.
const MAX_PIXEL_BYTES: usize = 1 << 30;

/// Width and height in pixels.
type Size = (u32, u32);

/// From the node to its worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// Run this; the pixels of the person and of the garment follow.
    Run {
        run: u64,
        provider: Provider,
        options: Options,
        person: Size,
        garment: Option<Size>,
    },
    /// Stop this run at its next step boundary.
    Cancel { run: u64 },
    /// Tell what of a photo would be masked; its pixels follow. It does not wait for a run.
    Parse {
        question: u64,
        category: Category,
        photo: Size,
    },
}

/// From a worker to its node.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromWorker {
    /// The engine is loaded.
    Ready { description: Description },
    /// The engine cannot be loaded; the worker ends.
    LoadFailed { reason: String },
    /// A step ended.
    Stepped { run: u64, step: Step },
    /// A run ended with a picture; its pixels follow.
    Finished {
        run: u64,
        size: Size,
        metadata: Vec<(String, String)>,
        stages: Vec<StageTime>,
    },
    /// A run ended without one.
    Stopped {
        run: u64,
        stop: Stop,
        stages: Vec<StageTime>,
    },
    /// What of a photo would be masked, or why that cannot be told.
    Parsed {
        question: u64,
        answer: Result<Option<Masked>, Stop>,
    },
}

/// Why a run ended without a picture.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Stop {
    Refused {
        refusal: Refusal,
        message: String,
    },
    Cancelled,
    OutOfMemory {
        needed: String,
    },
    /// The worker ends after this.
    Fault {
        reason: String,
    },
}

fn write_header(to: &mut impl Write, header: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(header)?;
    let length = u32::try_from(json.len())
        .ok()
        .filter(|length| *length <= MAX_HEADER);
    let length = length.ok_or_else(|| invalid("a header is too long"))?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&json)
}

fn read_header<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > MAX_HEADER {
        return Err(invalid("a header is too long"));
    }
    let mut json = vec![0; length as usize];
    from.read_exact(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

fn read_pixels(
    from: &mut impl Read,
    (width, height): Size,
    channels: usize,
) -> io::Result<Vec<u8>> {
    let bytes = (width as usize)
        .checked_mul(height as usize)
        .and_then(|n| n.checked_mul(channels));
    let bytes = bytes.filter(|bytes| *bytes <= MAX_PIXEL_BYTES);
    let bytes = bytes.ok_or_else(|| invalid("a picture is too large"))?;
    let mut pixels = vec![0; bytes];
    from.read_exact(&mut pixels)?;
    Ok(pixels)
}

fn read_rgba(from: &mut impl Read, size: Size) -> io::Result<RgbaImage> {
    let pixels = read_pixels(from, size, 4)?;
    Ok(RgbaImage::from_raw(size.0, size.1, pixels).expect("BUG: as many bytes as the size needs"))
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Writes a request.
pub(crate) fn write_run(to: &mut impl Write, run: u64, request: &Request) -> io::Result<()> {
    let header = ToWorker::Run {
        run,
        provider: request.provider,
        options: request.options.clone(),
        person: request.person.dimensions(),
        garment: request.garment.as_ref().map(RgbaImage::dimensions),
    };
    write_header(to, &header)?;
    to.write_all(request.person.as_raw())?;
    if let Some(garment) = &request.garment {
        to.write_all(garment.as_raw())?;
    }
    to.flush()
}

/// Asks for a run to be stopped.
pub(crate) fn write_cancel(to: &mut impl Write, run: u64) -> io::Result<()> {
    write_header(to, &ToWorker::Cancel { run })?;
    to.flush()
}

/// A photo of which it is asked what would be masked.
pub(crate) struct Question {
    pub(crate) id: u64,
    pub(crate) category: Category,
    pub(crate) photo: RgbaImage,
}

/// Writes a question.
pub(crate) fn write_question(to: &mut impl Write, question: &Question) -> io::Result<()> {
    let header = ToWorker::Parse {
        question: question.id,
        category: question.category,
        photo: question.photo.dimensions(),
    };
    write_header(to, &header)?;
    to.write_all(question.photo.as_raw())?;
    to.flush()
}

/// What a worker is told.
pub(crate) enum Order {
    /// Run this.
    Run(u64, Box<Request>),
    /// Stop this run.
    Cancel(u64),
    /// Tell what would be masked.
    Parse(Question),
}

/// Reads what the node wrote.
pub(crate) fn read_order(from: &mut impl Read) -> io::Result<Order> {
    let (run, provider, options, person, garment) = match read_header(from)? {
        ToWorker::Cancel { run } => return Ok(Order::Cancel(run)),
        ToWorker::Parse {
            question: id,
            category,
            photo,
        } => {
            let photo = read_rgba(from, photo)?;
            return Ok(Order::Parse(Question {
                id,
                category,
                photo,
            }));
        }
        ToWorker::Run {
            run,
            provider,
            options,
            person,
            garment,
        } => (run, provider, options, person, garment),
    };
    let person = read_rgba(from, person)?;
    let garment = garment.map(|size| read_rgba(from, size)).transpose()?;
    Ok(Order::Run(
        run,
        Box::new(Request {
            provider,
            options,
            person,
            garment,
        }),
    ))
}

/// Writes a report without pixels.
pub(crate) fn write_report(to: &mut impl Write, report: &FromWorker) -> io::Result<()> {
    write_header(to, report)?;
    to.flush()
}

/// Writes the picture that ends a run.
pub(crate) fn write_output(
    to: &mut impl Write,
    run: u64,
    output: Output,
    stages: Vec<StageTime>,
) -> io::Result<()> {
    let size = output.picture.dimensions();
    write_header(
        to,
        &FromWorker::Finished {
            run,
            size,
            metadata: output.metadata,
            stages,
        },
    )?;
    to.write_all(output.picture.as_raw())?;
    to.flush()
}

/// What a worker reports, pixels included.
pub(crate) enum Report {
    Ready(Description),
    LoadFailed(String),
    Stepped(u64, Step),
    Finished(u64, Output, Vec<StageTime>),
    Stopped(u64, Stop, Vec<StageTime>),
    Parsed(u64, Result<Option<Masked>, Stop>),
}

/// Reads what the worker wrote.
pub(crate) fn read_report(from: &mut impl Read) -> io::Result<Report> {
    Ok(match read_header(from)? {
        FromWorker::Ready { description } => Report::Ready(description),
        FromWorker::LoadFailed { reason } => Report::LoadFailed(reason),
        FromWorker::Stepped { run, step } => Report::Stepped(run, step),
        FromWorker::Stopped { run, stop, stages } => Report::Stopped(run, stop, stages),
        FromWorker::Parsed { question, answer } => Report::Parsed(question, answer),
        FromWorker::Finished {
            run,
            size,
            metadata,
            stages,
        } => {
            let pixels = read_pixels(from, size, 3)?;
            let picture = RgbImage::from_raw(size.0, size.1, pixels)
                .expect("BUG: as many bytes as the size needs");
            Report::Finished(run, Output { picture, metadata }, stages)
        }
    })
}
