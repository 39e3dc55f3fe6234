//! What comes before the transformer and after it.

use super::{Measured, Memory, Work, total};
use crate::backend::{
    Activation, Pairing,
    cuda::{Command, DeviceError, Element, Kind, Mask, Operand, Scales, Window, driver::Gpu},
};

/// Tokens of a prompt with two pictures.
const TOKENS: usize = 560;

/// A layer of Qwen2.5-VL-7B over a prompt with two pictures: each command for itself, and their
/// sum. There are 28 layers.
pub fn text_layer(device: &Gpu) -> Result<Vec<Measured>, DeviceError> {
    let (width, kv, inner, heads, kv_heads) = (3584, 512, 18_944, 28, 4);
    let mut memory = Memory::new(device);
    let bf16 = Element::Bf16;
    let x = memory.random([TOKENS, width], bf16)?;
    let normed = memory.blank([TOKENS, width], bf16)?;
    let weight = memory.random([1, width], Element::F32)?;
    let angles = memory.random([TOKENS, width / heads / 2], Element::F32)?;
    let qkv = memory.blank([TOKENS, width + 2 * kv], bf16)?;
    let (q, k) = (columns(qkv, 0, width), columns(qkv, width, kv));
    let v = columns(qkv, width + kv, kv);
    let (turned_q, turned_k) = (
        memory.blank([TOKENS, width], bf16)?,
        memory.blank([TOKENS, kv], bf16)?,
    );
    let both = memory.blank([TOKENS, 2 * inner], bf16)?;
    let narrow = memory.blank([TOKENS, inner], bf16)?;
    let turn = Kind::Turn(Pairing::Halves);
    let attend = Kind::Attend {
        heads,
        kv_heads,
        scale: 0.1.into(),
        mask: Mask::Causal,
    };
    // Half of the pairs are seen.
    let pairs = 2.0 * (TOKENS * TOKENS * width) as f64;
    let halves = [columns(both, 0, inner), columns(both, inner, inner)];
    let all = [
        (
            "rms norm",
            work(
                Kind::RmsNorm { eps: 1e-6.into() },
                &[x, weight],
                normed,
                0.0,
            ),
        ),
        ("product to q, k, v", product(&mut memory, normed, qkv)?),
        (
            "turn of queries",
            work(turn, &[q, angles, angles], turned_q, 0.0),
        ),
        (
            "turn of keys",
            work(turn, &[k, angles, angles], turned_k, 0.0),
        ),
        (
            "attention",
            work(attend, &[turned_q, turned_k, v], normed, pairs),
        ),
        ("product of the attention", product(&mut memory, normed, x)?),
        ("add", work(Kind::Add, &[x, normed], x, 0.0)),
        (
            "product to gate and up",
            product(&mut memory, normed, both)?,
        ),
        ("swiglu", work(Kind::Swiglu, &halves, narrow, 0.0)),
        ("product down", product(&mut memory, narrow, x)?),
    ];
    let mut measured = Vec::new();
    for (what, work) in &all {
        measured.push(memory.measure(what, work)?);
    }
    measured.push(total("layer".to_owned(), &measured));
    Ok(measured)
}

/// The convolutions of the VAE's decoder, with the norms before them, for a picture of
/// 1024x1024; and their sum.
pub fn vae_decoder(device: &Gpu) -> Result<Vec<Measured>, DeviceError> {
    // Side, channels, outputs, how often; a norm comes before all but the first and those that
    // follow a doubling.
    let convolutions = [
        (128, 16, 384, 1, false),
        (128, 384, 384, 10, true),
        (256, 384, 192, 1, false),
        (256, 192, 384, 1, true),
        (256, 384, 384, 5, true),
        (512, 384, 192, 1, false),
        (512, 192, 192, 6, true),
        (1024, 192, 96, 1, false),
        (1024, 96, 96, 6, true),
        (1024, 96, 3, 1, true),
    ];
    let mut measured = Vec::new();
    for (side, channels, outputs, times, normed) in convolutions {
        let mut parts = vec![convolution(device, side, channels, outputs)?];
        if normed {
            parts.push(channel_norm(device, side, channels)?);
        }
        let what = format!("{times} x {channels} to {outputs} at {side}x{side}");
        let mut sum = total(what, &parts);
        sum.seconds *= f64::from(times);
        sum.operations *= f64::from(times);
        sum.bytes *= f64::from(times);
        measured.push(sum);
    }
    measured.push(total("decoder".to_owned(), &measured));
    Ok(measured)
}

fn convolution(
    device: &Gpu,
    side: usize,
    channels: usize,
    outputs: usize,
) -> Result<Measured, DeviceError> {
    let mut memory = Memory::new(device);
    let x = memory.random([side * side, channels], Element::Bf16)?;
    let weight = memory.random([outputs, 9 * channels], Element::Bf16)?;
    let bias = memory.random([1, outputs], Element::F32)?;
    let y = memory.blank([side * side, outputs], Element::Bf16)?;
    let window = Window {
        from: [side, side],
        to: [side, side],
        kernel: 3,
        stride: 1,
        before: [1, 1],
        depthwise: false,
    };
    let kind = Kind::Conv { window, bias: true };
    let operations = 2.0 * (side * side * 9 * channels * outputs) as f64;
    memory.measure(
        "convolution",
        &work(kind, &[x, weight, bias], y, operations),
    )
}

fn channel_norm(device: &Gpu, side: usize, channels: usize) -> Result<Measured, DeviceError> {
    let mut memory = Memory::new(device);
    let x = memory.random([side * side, channels], Element::Bf16)?;
    let gamma = memory.random([1, channels], Element::F32)?;
    let y = memory.blank([side * side, channels], Element::Bf16)?;
    let kind = Kind::ChannelNorm(Activation::Silu);
    memory.measure("norm", &work(kind, &[x, gamma], y, 0.0))
}

fn product(memory: &mut Memory<'_>, x: Operand, y: Operand) -> Result<Work, DeviceError> {
    let weight = memory.random([y.width, x.width], Element::Bf16)?;
    let kind = Kind::Matmul {
        activation: Activation::None,
        bias: false,
        scales: Scales::None,
    };
    let operations = 2.0 * (x.rows * x.width * y.width) as f64;
    Ok(work(kind, &[x, weight], y, operations))
}

fn work(kind: Kind, reads: &[Operand], write: Operand, operations: f64) -> Work {
    let command = Command {
        kind,
        reads: reads.to_vec(),
        writes: vec![write],
    };
    Work::new(command, operations)
}

/// So many columns of a matrix.
fn columns(whole: Operand, first: usize, width: usize) -> Operand {
    Operand {
        at: whole.at + (first * whole.element.size()) as u64,
        width,
        ..whole
    }
}
