//! The autoencoder against the reference.

use image::RgbImage;
use tryon_engine_qwen::{
    backend::Cpu,
    golden::{Golden, Recorder},
    image::{Filter, dims, resize},
    vae::{Vae, VaeConfig, to_image},
    weights::Weights,
};

use crate::golden;

fn tiny() -> Vae<Cpu> {
    let folder = golden::path("checkpoint/tiny-2511/vae");
    let config = VaeConfig::read(&folder.join("config.json")).unwrap();
    Vae::load(&Cpu, &Weights::open(&folder).unwrap(), config).unwrap()
}

/// The first picture of a golden file at the autoencoder's size.
fn picture(golden: &Golden) -> RgbImage {
    let raw = golden::get(golden, "img.0.raw_u8");
    let bytes = raw.values.iter().map(|byte| *byte as u8).collect();
    let raw = RgbImage::from_raw(raw.shape[1] as u32, raw.shape[0] as u32, bytes).unwrap();
    let area = golden.metadata("vae_area").unwrap().parse().unwrap();
    let (width, height) = dims(area, raw.dimensions()).unwrap();
    resize(&raw, width, height, Filter::Lanczos)
}

/// Fails when the first temporal tap is taken instead of the last, when a picture is padded at the
/// left and the top before it is halved, when a latent is drawn instead of taken, and when mean and
/// deviation are left out: each was done once.
#[test]
fn every_tensor_is_the_references() {
    let golden = golden::open("edit2511_4step_vae");
    let vae = tiny();
    let mut seen = Recorder::all();
    let latent = vae.encode(&Cpu, &picture(&golden), &mut seen).unwrap();
    let moments = golden::get(&golden, "vae.enc.moments");
    assert_eq!(2 * latent.len(), moments.values.len());
    let z = golden::floats(&golden, "vae.dec.z");
    // Undone here, since the decoder does it first.
    let config = vae.config();
    let places = z.len() / config.z_dim;
    let statistics = |i: usize| {
        (
            config.latents_mean[i / places],
            config.latents_std[i / places],
        )
    };
    let latent: Vec<f32> = z
        .iter()
        .enumerate()
        .map(|(i, z)| (z - statistics(i).0) / statistics(i).1)
        .collect();
    let size = vae.latent_size(48, 80, 2);
    let decoded = vae.decode(&Cpu, &latent, size, &mut seen).unwrap();
    golden::check(&golden, &seen, "", |name| name.starts_with("vae."));
    let shown = vae.decode_to_image(&Cpu, &latent, size).unwrap();
    assert_eq!(shown.dimensions(), (48, 80));
    assert_eq!(shown, to_image(&decoded, 48, 80));
}

#[test]
fn the_latent_is_the_mean_of_the_moments_as_all_pictures_have_it() {
    let golden = golden::open("edit2511_4step_vae");
    let vae = tiny();
    let latent = vae
        .encode(&Cpu, &picture(&golden), &mut Recorder::all())
        .unwrap();
    let moments = golden::floats(&golden, "vae.enc.moments");
    let config = vae.config();
    let places = latent.len() / config.z_dim;
    for (i, (found, moment)) in latent.iter().zip(&moments).enumerate() {
        let channel = i / places;
        let exact = (moment - config.latents_mean[channel]) / config.latents_std[channel];
        assert!((found - exact).abs() < 1e-4, "{i}: {found}, not {exact}");
    }
}
