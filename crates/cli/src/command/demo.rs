//! `tryon demo`: the platform from end to end, on the example pictures.

use std::{path::Path, time::Instant};

use tryon_client::{Client, Clothes, Region, Secret, Submission, Tattoo};

use super::serve::make_first_account;
use crate::{
    client,
    config::{Source, load_serve},
    failure::Failure,
    picture_file,
    platform::{Platform, open_store},
    secret_file::Secrets,
};

/// An example picture, in the binary.
struct Example {
    name: &'static str,
    bytes: &'static [u8],
}

macro_rules! example {
    ($name:literal) => {
        Example {
            name: $name,
            bytes: include_bytes!(concat!("../../../../examples/", $name)),
        }
    };
}

/// What is tried on, in the order of the sheet. `kind` is the garment's category.
const CASES: &[(Example, Example, &str)] = &[
    (
        example!("person-studio.jpg"),
        example!("garment-tee.jpg"),
        "tops",
    ),
    (
        example!("person-studio.jpg"),
        example!("garment-striped.jpg"),
        "tops",
    ),
    (
        example!("person-studio.jpg"),
        example!("garment-trousers.jpg"),
        "bottoms",
    ),
    (
        example!("person-studio.jpg"),
        example!("garment-dress.jpg"),
        "one-pieces",
    ),
    (
        example!("person-portrait-masked.png"),
        example!("garment-tee.jpg"),
        "tops",
    ),
    (
        example!("person-studio.jpg"),
        example!("tattoo-design.png"),
        TATTOO,
    ),
];

/// Marks the case that is no garment.
const TATTOO: &str = "tattoo";

/// Where the tattoo goes.
const ARM: Region = Region {
    x: 0.305,
    y: 0.305,
    w: 0.075,
    h: 0.12,
};

/// Cases side by side on the sheet.
const CASES_A_ROW: usize = 2;

/// What to do about what only a fault of this program can be.
const A_FAULT: &str = "this is a fault of tryon: please report it with what was printed above";

/// What the sheet says about itself to whoever finds it without its README.
const NOTICE: &str = "made by the preview engine, which is not a generative model";

const PICTURE: &str = "demo.png";
const SHEET: &str = "demo-sheet.png";

/// Starts everything, submits the examples as a client would, and writes what comes back.
pub(crate) async fn run() -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(|error| {
        Failure::from_error("no temporary folder can be had", &error)
            .hint("TMPDIR names a folder to write to")
    })?;
    // Nothing of this machine's own configuration: the demo is the same everywhere.
    let source = Source::default()
        .flag("gateway.server.port", Some(0))
        .flag("node.model.model_type", Some("preview"));
    let config = load_serve(source, folder.path())?;
    let store = open_store(&config.gateway).await?;
    let secrets = Secrets::draw();
    let first = make_first_account(secrets.first_account, config.gateway.default_limits, &store)
        .await?
        .expect("BUG: a fresh store has no account");
    let platform = Platform::start(config, &secrets, store).await?;
    let url = format!("http://{}", platform.gateway.public_addr());
    println!(
        "gateway on {url}, node on http://{}",
        platform.node.local_addr()
    );
    let client = Client::new(&url, Secret::new(first.key))?;
    let shown = show(&client).await;
    platform.shutdown().await;
    shown
}

async fn show(client: &Client) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut jobs = Vec::new();
    for (person, garment, kind) in CASES {
        let id = client.submit(request(person, garment, kind)?).await?;
        println!("submitted {} + {}: job {id}", person.name, garment.name);
        jobs.push(id);
    }
    let mut results = Vec::new();
    for id in jobs {
        let done = client.wait(id).await?;
        results.push(client::download(client, &done.outputs[0]).await?);
        println!(
            "completed job {id} after {:.1} s",
            begun.elapsed().as_secs_f32()
        );
    }
    println!("{} credits are left", client.credits().await?.on_demand);
    picture_file::write(Path::new(PICTURE), &results[0])?;
    let sheet = tokio::task::spawn_blocking(move || draw_sheet(&results)).await;
    sheet
        .map_err(|error| Failure::from_error("the sheet was not drawn", &error).hint(A_FAULT))??;
    println!("wrote {PICTURE} and {SHEET} (person, garment, result)");
    println!("a preview, not a generative model: see README.md");
    Ok(())
}

fn request(person: &Example, garment: &Example, kind: &str) -> Result<Submission, Failure> {
    let (person, garment) = (
        client::picture(person.bytes)?,
        client::picture(garment.bytes)?,
    );
    if kind == TATTOO {
        return Ok(Tattoo::new(person, garment).region(ARM).into());
    }
    let request = Clothes::new(person, garment).category_text(kind).seed(42);
    Ok(request.into())
}

fn draw_sheet(results: &[Vec<u8>]) -> Result<(), Failure> {
    let mut pictures = Vec::new();
    for ((person, garment, _), result) in CASES.iter().zip(results) {
        pictures.push(picture_file::decode(person.bytes, person.name)?);
        pictures.push(picture_file::decode(garment.bytes, garment.name)?);
        pictures.push(picture_file::decode(result, "the result")?);
    }
    let rows: Vec<_> = pictures
        .chunks(3 * CASES_A_ROW)
        .map(<[_]>::to_vec)
        .collect();
    let sheet = picture_file::sheet(&rows);
    let file = tryon_picture::encode_png(&sheet, &[("Comment", NOTICE)]).map_err(|error| {
        Failure::from_error("the sheet cannot be written as a file", &error).hint(A_FAULT)
    })?;
    picture_file::write(Path::new(SHEET), &file)
}
