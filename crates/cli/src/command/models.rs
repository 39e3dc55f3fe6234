//! `tryon models`: what a node can be equipped with, and equipping it.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use indicatif::DecimalBytes;
use tryon_node::config::ModelConfig;

use crate::{
    config::{Service, Source, load_node, load_serve},
    failure::Failure,
    model::{
        catalogue::{CATALOGUE, Model, parse},
        file::Finding,
        hub::Hub,
        manifest::{MANIFEST, Manifest},
        place::gathered,
        progress::Progress,
        pull::Pull,
    },
};

/// Models, and where they are.
#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    /// The folder that models are installed in; the configuration's `model.dir` where absent
    #[arg(long, global = true, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// Show the models there are, and which are installed
    List,
    /// Install a model, go on with a pull that was cut short, or mend what is damaged
    ///
    /// `HF_ENDPOINT` names another hub than huggingface.co, and `HF_TOKEN` an account there.
    Pull {
        /// The model's name, such as `qwen-image-edit-2511`
        #[arg(value_parser = parse)]
        name: &'static Model,
        /// A branch, a tag or a commit of its repository
        #[arg(long, default_value = "main")]
        revision: String,
    },
    /// Read every file of a model, or of all that are installed, and compare their digests
    Verify {
        /// The model's name
        #[arg(value_parser = parse)]
        name: Option<&'static Model>,
    },
}

/// Does what it was told.
pub(crate) async fn run(args: ModelsArgs, source: Source, data: &Path) -> Result<(), Failure> {
    let environment = source.environment.clone();
    let dir = args.dir.map_or_else(|| configured_dir(source, data), Ok)?;
    match args.command {
        ModelsCommand::List => list(&dir),
        ModelsCommand::Pull { name, revision } => {
            let hub = Hub::from_environment(&environment)?;
            pull(&hub, name, &revision, &dir).await
        }
        ModelsCommand::Verify { name } => verify(name, &dir),
    }
}

/// Where a node that is started here looks for models.
fn configured_dir(source: Source, data: &Path) -> Result<PathBuf, Failure> {
    match Service::of(&source) {
        Service::Node => Ok(load_node(&source)?.model.dir),
        Service::Serve => Ok(load_serve(source, data)?.node.model.dir),
        // A gateway has no models: those of a node without a configuration are meant.
        Service::Gateway => Ok(ModelConfig::default().dir),
    }
}

fn list(dir: &Path) -> Result<(), Failure> {
    for model in CATALOGUE {
        let folder = dir.join(model.name);
        let (state, size) = match find_manifest(&folder)? {
            Some(manifest) => (format!("at {:.7}", manifest.commit), manifest.size()),
            None if folder.is_dir() => ("by hand".to_owned(), model.size),
            None => ("no".to_owned(), model.size),
        };
        let size = DecimalBytes(size).to_string();
        let (name, licence) = (model.name, model.licence);
        let rest = match gathered(dir, name).map_err(|error| unreadable(dir, &error))? {
            0 => String::new(),
            bytes => format!("  ({} of a pull that was cut short)", DecimalBytes(bytes)),
        };
        println!("{name:<22} installed: {state:<11} {size:>10}  {licence}{rest}");
    }
    Ok(())
}

fn unreadable(dir: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("`{}` cannot be read: {error}", dir.display()))
        .hint("`--dir` or `model.dir` name the folder that models are installed in")
}

async fn pull(hub: &Hub, model: &Model, revision: &str, dir: &Path) -> Result<(), Failure> {
    if let Some(caution) = model.caution {
        eprintln!("note: {caution}");
    }
    let pull = Pull {
        hub,
        model,
        revision,
        dir,
    };
    pull.run().await?;
    println!("{}", dir.join(model.name).display());
    Ok(())
}

fn verify(model: Option<&'static Model>, dir: &Path) -> Result<(), Failure> {
    let manifests = match model {
        Some(model) => vec![get_manifest(model, dir)?],
        None => installed(dir)?,
    };
    if manifests.is_empty() {
        println!("no model was pulled into `{}`", dir.display());
        return Ok(());
    }
    let progress = Progress::of(manifests.iter().map(Manifest::size).sum());
    let mut wrong = Vec::new();
    for manifest in &manifests {
        if !verify_one(manifest, dir, &progress) {
            wrong.push(manifest.name.as_str());
        }
    }
    drop(progress);
    if wrong.is_empty() {
        return Ok(());
    }
    let wrong = wrong.join("`, `");
    Err(
        Failure::new(format!("files of `{wrong}` are not as published"))
            .hint("`tryon models pull NAME` gets those files again"),
    )
}

/// Says of each file whether it is as published; tells whether all are.
fn verify_one(manifest: &Manifest, dir: &Path, progress: &Progress) -> bool {
    let folder = dir.join(&manifest.name);
    let mut all = true;
    for file in &manifest.files {
        let name = format!("{}/{}", manifest.name, file.path.as_str());
        progress.name(&name);
        let found = file.inspect(&folder, progress);
        all &= matches!(found, Ok(Finding::Intact));
        // A reader that has seen enough does not end the verification.
        progress.print(|| {
            let _ = writeln!(io::stdout(), "{:<8} {name}", verdict(found));
        });
    }
    all
}

fn verdict(found: io::Result<Finding>) -> String {
    match found {
        Ok(Finding::Intact) => "ok".to_owned(),
        Ok(Finding::Missing) => "missing".to_owned(),
        Ok(Finding::Damaged) => "damaged".to_owned(),
        Err(error) => format!("unreadable ({error})"),
    }
}

/// The manifests of the models that were pulled.
fn installed(dir: &Path) -> Result<Vec<Manifest>, Failure> {
    let found = CATALOGUE
        .iter()
        .map(|model| find_manifest(&dir.join(model.name)));
    found.filter_map(Result::transpose).collect()
}

fn get_manifest(model: &Model, dir: &Path) -> Result<Manifest, Failure> {
    let (name, folder) = (model.name, dir.join(model.name));
    find_manifest(&folder)?.ok_or_else(|| {
        let message = format!("`{}` was not pulled, so nothing says", folder.display());
        Failure::new(message + " what belongs there")
            .hint(format!("`tryon models pull {name}` keeps what is right"))
    })
}

fn find_manifest(folder: &Path) -> Result<Option<Manifest>, Failure> {
    Manifest::find(folder).map_err(|error| {
        let path = folder.join(MANIFEST);
        Failure::new(format!("`{}` cannot be read: {error}", path.display()))
            .hint("`tryon models pull NAME` writes it again and keeps what is right")
    })
}
