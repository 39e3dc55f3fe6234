//! `tryon submit`: one try-on through a running gateway.

use std::path::PathBuf;

use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tryon_core::{
    secret::Secret,
    task::{Haircut, Mode, Region, Task},
};

use super::{output_format, region};
use crate::{
    client::{Client, data_url},
    failure::Failure,
    picture_file,
};

/// A try-on through a running gateway.
#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// The photo of the person (or face, or body)
    person: PathBuf,
    /// The photo of the garment, or the tattoo's design; a hairstyle has none
    garment: Option<PathBuf>,
    /// Where to write the picture; several samples are numbered
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The gateway
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The API key
    #[arg(long, env = "TRYON_API_KEY", hide_env_values = true)]
    key: String,
    /// The kind of try-on
    #[arg(long, default_value = "clothes")]
    task: Task,
    /// What the garment is, such as `tops`
    #[arg(long, default_value = "auto")]
    category: String,
    /// The finer kind, where the category needs one
    #[arg(long)]
    subcategory: Option<String>,
    /// Speed against quality
    #[arg(long, default_value = "balanced")]
    mode: Mode,
    /// Where to ink: `x,y,w,h` as shares of the picture
    #[arg(long, value_parser = region)]
    region: Option<Region>,
    /// The haircut, for a hairstyle
    #[arg(long)]
    haircut: Option<Haircut>,
    /// Pictures to make
    #[arg(long, default_value_t = 1)]
    samples: u8,
    /// The seed; drawn at random where absent
    #[arg(long)]
    seed: Option<u64>,
}

/// Submits, waits and downloads.
pub(crate) async fn run(args: &SubmitArgs) -> Result<(), Failure> {
    let client = Client::new(&args.url, Secret::new(args.key.clone()))?;
    let body = body(args)?;
    let spinner = ProgressBar::new_spinner().with_message("waiting for the gateway");
    spinner.enable_steady_tick(std::time::Duration::from_millis(100));
    let id = client.submit(args.task.as_str(), &body).await?;
    spinner.set_message(format!("job {id}"));
    let outputs = client.wait(&id).await?;
    spinner.finish_and_clear();
    let several = outputs.len() > 1;
    for (number, url) in (1..).zip(&outputs) {
        let path = if several {
            numbered(&args.output, number)
        } else {
            args.output.clone()
        };
        picture_file::write(&path, &client.download(url).await?)?;
        println!("{}", path.display());
    }
    Ok(())
}

fn numbered(path: &std::path::Path, number: usize) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(extension) => format!("{stem}-{number}.{}", extension.to_string_lossy()),
        None => format!("{stem}-{number}"),
    };
    path.with_file_name(name)
}

fn body(args: &SubmitArgs) -> Result<Value, Failure> {
    let person = data_url(&picture_file::read(&args.person)?, &args.person);
    let garment = args
        .garment
        .as_ref()
        .map(|path| picture_file::read(path).map(|bytes| data_url(&bytes, path)));
    let garment = garment.transpose()?;
    let mut body = match args.task {
        Task::Clothes => json!({
            "model_image": person, "garment_image": garment, "category": args.category,
            "subcategory": args.subcategory, "mode": args.mode,
        }),
        Task::Hairstyle => json!({"face_image": person, "haircut": args.haircut}),
        Task::Tattoo => {
            json!({"body_image": person, "design_image": garment, "region": args.region})
        }
    };
    body["num_samples"] = json!(args.samples);
    body["seed"] = json!(args.seed);
    body["output_format"] = json!(output_format(&args.output));
    Ok(body)
}
