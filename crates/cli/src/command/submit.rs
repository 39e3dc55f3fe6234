//! `tryon submit`: one try-on through a running gateway.

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;
use tryon_client::{
    Client, Clothes, Haircut, Hairstyle, Mode, Picture, Progress, Region, Secret, Stage,
    Submission, Task, Tattoo,
};

use super::{output_format, region};
use crate::{client, failure::Failure, picture_file};

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
    let submission = submission(args)?;
    let spinner = ProgressBar::new_spinner().with_message("waiting for the gateway");
    spinner.enable_steady_tick(std::time::Duration::from_millis(100));
    let job = client.submit(submission).await?;
    spinner.set_message(format!("job {job}"));
    let tell = |progress: &Progress| {
        spinner.set_message(format!("job {job}: {}", describe(progress)));
    };
    let outputs = client.wait_telling(job, tell).await?.outputs;
    spinner.finish_and_clear();
    let several = outputs.len() > 1;
    for (number, url) in (1..).zip(&outputs) {
        let path = if several {
            numbered(&args.output, number)
        } else {
            args.output.clone()
        };
        picture_file::write(&path, &client::download(&client, url).await?)?;
        println!("{}", path.display());
    }
    Ok(())
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(extension) => format!("{stem}-{number}.{}", extension.to_string_lossy()),
        None => format!("{stem}-{number}"),
    };
    path.with_file_name(name)
}

/// What a job is at, in a few words.
fn describe(progress: &Progress) -> String {
    let stage = match (progress.stage, progress.queue_position) {
        (Stage::Preparing, _) => "preparing the pictures".to_owned(),
        (_, Some(place)) => format!("number {place} in the queue"),
        (Stage::Queued, None) => "waiting for a node".to_owned(),
        (Stage::Running, None) => match count_steps(progress) {
            Some((step, steps)) => format!("step {step} of {steps}"),
            None => "at work".to_owned(),
        },
    };
    match progress.remaining_ms {
        Some(left) => format!("{stage}, about {} s left", left.div_ceil(1000)),
        None => stage,
    }
}

/// The steps of all of its pictures of which a node tells them.
fn count_steps(progress: &Progress) -> Option<(u32, u32)> {
    let steps = progress.samples.iter();
    let steps = steps.filter_map(|sample| Some((sample.step?, sample.steps?)));
    steps.reduce(|(step, steps), (more, in_all)| (step + more, steps + in_all))
}

fn submission(args: &SubmitArgs) -> Result<Submission, Failure> {
    let person = read(&args.person)?;
    let (samples, seed) = (args.samples, args.seed);
    let format = output_format(&args.output);
    Ok(match args.task {
        Task::Clothes => {
            let request = clothes(args, person)?;
            let request = request.samples(samples).seed(seed);
            request.output_format(format).into()
        }
        Task::Hairstyle => {
            let request = Hairstyle::new(person, haircut(args)?);
            let request = request.samples(samples).seed(seed);
            request.output_format(format).into()
        }
        Task::Tattoo => {
            let request = Tattoo::new(person, garment(args)?).region(args.region);
            let request = request.samples(samples).seed(seed);
            request.output_format(format).into()
        }
    })
}

fn clothes(args: &SubmitArgs, person: Picture) -> Result<Clothes, Failure> {
    let clothes = Clothes::new(person, garment(args)?)
        .category_text(&args.category)
        .mode(args.mode);
    Ok(match &args.subcategory {
        Some(subcategory) => clothes.subcategory(subcategory),
        None => clothes,
    })
}

fn garment(args: &SubmitArgs) -> Result<Picture, Failure> {
    let path = args.garment.as_ref().ok_or_else(|| {
        Failure::new(format!("`{}` needs a second picture", args.task))
            .hint("name the garment's file, or the design's, after the person's")
    })?;
    read(path)
}

fn haircut(args: &SubmitArgs) -> Result<Haircut, Failure> {
    args.haircut.ok_or_else(|| {
        Failure::new("a hairstyle needs a haircut")
            .hint("name one with `--haircut`, such as BobCut")
    })
}

fn read(path: &Path) -> Result<Picture, Failure> {
    client::picture(&picture_file::read(path)?)
}

#[cfg(test)]
mod tests {
    use tryon_client::{SampleProgress, SampleStatus};

    use super::*;

    #[test]
    fn what_a_job_is_at_is_told_in_a_few_words() {
        let sample = |step| SampleProgress {
            status: SampleStatus::Running,
            step,
            steps: step.map(|_| 8),
        };
        let mut progress = Progress {
            stage: Stage::Preparing,
            queue_position: None,
            remaining_ms: None,
            samples: vec![sample(None)],
        };
        assert_eq!(describe(&progress), "preparing the pictures");
        progress.stage = Stage::Queued;
        assert_eq!(describe(&progress), "waiting for a node");
        progress.queue_position = Some(3);
        progress.remaining_ms = Some(4200);
        assert_eq!(describe(&progress), "number 3 in the queue, about 5 s left");
        progress.stage = Stage::Running;
        (progress.queue_position, progress.remaining_ms) = (None, None);
        assert_eq!(describe(&progress), "at work");
        progress.samples = vec![sample(Some(8)), sample(Some(2)), sample(None)];
        assert_eq!(describe(&progress), "step 10 of 16");
    }
}
