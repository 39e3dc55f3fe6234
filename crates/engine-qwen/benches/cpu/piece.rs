//! What is timed.

use std::{fs, path::Path, time::Instant};

use serde_json::{Value, json};
use tryon_engine_qwen::{
    backend::{Backend, Cpu},
    dit::{DenoisingStep, Grid, Inputs, Transformer, TransformerConfig},
    image::{Grid as PatchGrid, Processor, VisionInput},
    latent::LatentSize,
    tap::Untapped,
    text::{EncoderConfig, TextEncoder, TokenisedPrompt, Tokeniser},
    vae::{Vae, VaeConfig},
    weights::{Fp8, Weights},
};

use crate::{
    checkpoint::{self, randoms},
    measure::Stopwatch,
};

/// A piece that is ready: how many seconds it takes, each time.
pub(crate) type Piece = Box<dyn FnMut() -> f64>;

/// The pieces, by name.
pub(crate) const ALL: [&str; 3] = ["dit_block", "vae_decode", "text_layer"];

/// Makes a piece ready.
pub(crate) fn make(name: &str) -> Piece {
    match name {
        "dit_block" => dit_block(),
        "vae_decode" => vae_decode(),
        "text_layer" => text_layer(),
        _ => panic!("there is no piece `{name}` (there are {})", ALL.join(", ")),
    }
}

const CPU: Cpu = Cpu;
const FITS: &str = "the checkpoint was written for this model";
const COMPUTES: &str = "the CPU computes whatever fits into memory";

/// A block of the transformer at full width: 1024 picture tokens, of which the last half is of a
/// reference, and 64 text tokens. What the timestep changes is computed once a schedule, not in the
/// block, and so not timed; `PyTorch`'s block computes it each time.
fn dit_block() -> Piece {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("dit.safetensors");
    checkpoint::write("transformer", &file, |name, shape| {
        let wide = shape.iter().map(|size| match (name, *size) {
            (_, size) if size % 48 == 0 => size / 48 * 3072,
            ("img_in.weight" | "proj_out.weight" | "proj_out.bias", 16) => 64,
            (name, 16) if name.contains(".attn.norm_") => 128,
            (_, size) => size,
        });
        (!name.contains("_blocks.1.")).then(|| wide.collect())
    });
    let tiny = checkpoint::tiny().join("transformer/config.json");
    let config = TransformerConfig {
        layers: 1,
        heads: 24,
        head_width: 128,
        channels: 64,
        axes: [16, 56, 56],
        ..TransformerConfig::read(&tiny).expect("the goldens are there")
    };
    let weights = Weights::open(&file).expect(FITS);
    let mut model = Transformer::load(&CPU, weights, Fp8::default(), &config, &[]).expect(FITS);
    let modulation = model.prepare(&CPU, &[1.0]).expect(FITS).remove(0);
    let grid = Grid {
        height: 16,
        width: 32,
    };
    let upload = |rows, width| {
        CPU.upload(randoms(rows * width), &[rows, width])
            .expect(COMPUTES)
    };
    let latents = upload(grid.tokens(), config.channels);
    let inputs = Inputs {
        prompt: &upload(64, config.text_width),
        references: Some(&latents),
        grids: &[grid, grid],
    };
    let condition = model
        .condition(&CPU, &inputs, &mut Untapped)
        .expect(COMPUTES);
    Box::new(move || {
        let step = DenoisingStep {
            condition: &condition,
            modulation: &modulation,
        };
        let mut watch = Stopwatch::new("dit.img_in", "dit.block.0.txt_out");
        let velocity = model.forward(&CPU, &latents, &step, &mut watch);
        velocity.expect(COMPUTES);
        watch.seconds()
    })
}

/// The decoder at full width, to a picture of 256x256.
fn vae_decode() -> Piece {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("vae.safetensors");
    checkpoint::write("vae", &file, |name, shape| {
        let wide = shape.iter().enumerate().map(|(axis, size)| match axis {
            0 | 1 if *size % 4 != 0 => *size,
            0 if name.contains("encoder.conv_out.") => 4 * size,
            1 if name == "decoder.conv_in.weight" => 4 * size,
            0 | 1 if name.contains("quant_conv") => 4 * size,
            0 | 1 => 24 * size,
            _ => *size,
        });
        Some(wide.collect())
    });
    let tiny = checkpoint::tiny().join("vae/config.json");
    let config = VaeConfig {
        base_dim: 96,
        z_dim: 16,
        latents_mean: vec![0.0; 16],
        latents_std: vec![1.0; 16],
        ..VaeConfig::read(&tiny).expect("the goldens are there")
    };
    let weights = Weights::open(&file).expect(FITS);
    let vae = Vae::load(&CPU, &weights, config).expect(FITS);
    let size = LatentSize {
        channels: 16,
        height: 32,
        width: 32,
        patch: 2,
    };
    let latent = randoms(16 * 32 * 32);
    Box::new(move || {
        let start = Instant::now();
        let picture = vae.decode(&CPU, &latent, size, &mut Untapped);
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(picture.expect(COMPUTES).len(), 256 * 256 * 3);
        seconds
    })
}

/// A layer of the language model of Qwen2.5-VL-7B, at 256 tokens. The tower beside it is tiny.
fn text_layer() -> Piece {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let encoder = write_encoder(folder.path());
    let prompt = TokenisedPrompt {
        ids: vec![0; 256],
        pictures: std::iter::once(0..1).collect(),
        grids: vec![PatchGrid {
            height: 1,
            width: 1,
        }],
        drop: 0,
    };
    let picture = VisionInput {
        grid: PatchGrid {
            height: 2,
            width: 2,
        },
        pixel_values: randoms(4 * 3 * 2 * 14 * 14),
    };
    let seen = encoder
        .look(&CPU, &[picture], &mut Untapped)
        .expect(COMPUTES);
    Box::new(move || {
        // The angles are the same for every layer, and not of one.
        let mut watch = Stopwatch::new("te.rope_sin", "te.layer.0");
        let states = encoder.encode(&CPU, &prompt, &seen, &mut watch);
        states.expect(COMPUTES);
        watch.seconds()
    })
}

fn write_encoder(checkpoint: &Path) -> TextEncoder<Cpu> {
    let tiny = checkpoint::tiny();
    let part = checkpoint.join("text_encoder");
    fs::create_dir(&part).expect("a folder can be made");
    checkpoint::write(
        "text_encoder",
        &part.join("model.safetensors"),
        |name, shape| {
            let wide = shape.iter().enumerate().map(|(axis, size)| match *size {
                16 if name.starts_with("model.") => 3584,
                16 if name.starts_with("visual.merger.mlp.2.") && axis == 0 => 3584,
                32 if name.contains(".mlp.") && name.starts_with("model.") => 18944,
                8 if name.contains(".self_attn.") => 512,
                size => size,
            });
            let is_first = !name.contains("layers.1.") && !name.contains("blocks.1.");
            let is_used = is_first && !name.contains("blocks.2.") && name != "lm_head.weight";
            is_used.then(|| wide.collect())
        },
    );
    let text = fs::read(tiny.join("text_encoder/config.json")).expect("the goldens are there");
    let mut config: Value = serde_json::from_slice(&text).expect("a golden is as it was written");
    let language = &mut config["text_config"];
    language["hidden_size"] = json!(3584);
    language["intermediate_size"] = json!(18944);
    language["num_hidden_layers"] = json!(1);
    language["num_attention_heads"] = json!(28);
    language["num_key_value_heads"] = json!(4);
    language["rope_parameters"]["mrope_section"] = json!([16, 24, 24]);
    config["vision_config"]["depth"] = json!(1);
    config["vision_config"]["fullatt_block_indexes"] = json!([0]);
    config["vision_config"]["out_hidden_size"] = json!(3584);
    fs::write(part.join("config.json"), config.to_string()).expect("a file can be written");
    let tokeniser = Tokeniser::open(&tiny).expect("the goldens are there");
    let processor = Processor::open(&tiny).expect("the goldens are there");
    let config = EncoderConfig::open(checkpoint, &tokeniser, &processor).expect(FITS);
    TextEncoder::load(&CPU, checkpoint, config).expect(FITS)
}
