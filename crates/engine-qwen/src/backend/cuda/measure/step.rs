//! A step of the transformer.

use std::time::Instant;

use super::{
    Case, Measured, Memory, Work,
    case::{BLOCKS, WIDTH},
};
use crate::backend::{
    Activation,
    cuda::{
        Command, Device as _, DeviceError, Element, Kind, Mask, Operand, Scales,
        driver::{Captured, Gpu},
    },
};

/// Numbers of a head, and heads.
const HEAD: usize = 128;
const HEADS: usize = WIDTH / HEAD;
/// Replays that are timed.
const REPLAYS: usize = 4;

/// The weights of a stream of a block.
struct Stream {
    qkv: Linear,
    out: Linear,
    up: Linear,
    down: Linear,
}

struct Linear {
    weight: Operand,
    bias: Operand,
    /// Of FP8.
    scales: Option<Operand>,
}

/// What a stream is computed in.
struct Buffers {
    x: Operand,
    norm: Operand,
    /// The norm and the attention's result in FP8, and the scales of their rows.
    quantised: Option<(Operand, Operand)>,
    qkv: Operand,
    attended: Operand,
    inner: Operand,
    out: Operand,
}

/// Both streams' tokens, one after the other: queries, keys, values, and what comes of them.
struct Joint {
    q: Operand,
    k: Operand,
    v: Operand,
    out: Operand,
}

/// A step on a device, with weights of its own for every block.
pub struct Step<'a> {
    memory: Memory<'a>,
    case: Case,
    fp8: bool,
    blocks: Vec<[Stream; 2]>,
    streams: [Buffers; 2],
    joint: Joint,
    /// A row of a modulation, weights of the norms of heads, cosines and sines.
    row: Operand,
    head: Operand,
    angles: Operand,
    /// How fast the weights were put there, in 10⁹ bytes a second.
    loaded: f64,
}

impl<'a> Step<'a> {
    /// Puts random weights on the device, 27 GB of them, or 18 where all but the second layer of
    /// each MLP are FP8.
    ///
    /// # Errors
    ///
    /// Those of the device, too little memory among them.
    pub fn new(device: &'a Gpu, case: Case, fp8: bool) -> Result<Self, DeviceError> {
        let mut memory = Memory::new(device);
        let before = device.written();
        let streams = || [(); 2];
        let mut blocks = Vec::with_capacity(BLOCKS);
        for _ in 0..BLOCKS {
            let [image, text] = streams().map(|()| Stream::new(&mut memory, fp8));
            blocks.push([image?, text?]);
        }
        let after = device.written();
        let seconds = after.busy.saturating_sub(before.busy).as_secs_f64();
        let [image, text] = [case.image(), case.text].map(|n| Buffers::new(&mut memory, n, fp8));
        let mut joint = || memory.blank([case.tokens(), WIDTH], Element::Bf16);
        let joint = Joint {
            q: joint()?,
            k: joint()?,
            v: joint()?,
            out: joint()?,
        };
        let loaded = (after.bytes - before.bytes) as f64 / seconds / 1e9;
        Ok(Self {
            case,
            fp8,
            blocks,
            streams: [image?, text?],
            joint,
            row: memory.random([1, WIDTH], Element::Bf16)?,
            head: memory.random([1, HEAD], Element::F32)?,
            angles: memory.random([case.tokens(), HEAD / 2], Element::F32)?,
            loaded,
            memory,
        })
    }

    /// How fast its weights were put on the device, in 10⁹ bytes a second.
    pub fn gb_per_second(&self) -> f64 {
        self.loaded
    }

    /// Each command of a block for itself, with how often the step has it.
    pub fn parts(&self) -> Result<Vec<Measured>, DeviceError> {
        let names = [
            "modulated norm",
            "product to q, k, v",
            "norm and turn of heads",
            "attention",
            "product of the attention",
            "gated sum and norm",
            "product up, GELU",
            "product down",
            "gated sum",
        ];
        let mut parts: Vec<Measured> = names.iter().map(|name| nothing(name)).collect();
        for (place, work) in self.block(&self.blocks[0]) {
            let measured = self.memory.measure(names[place], &work)?;
            let part = &mut parts[place];
            part.seconds += measured.seconds;
            part.operations += measured.operations;
            part.bytes += measured.bytes;
        }
        Ok(parts)
    }

    /// Whether the attention is cuDNN's, once it was measured.
    pub fn is_fused(&self) -> bool {
        let block = self.block(&self.blocks[0]);
        let attention = block.iter().find(|(_, work)| is_attention(&work.command));
        attention.is_some_and(|(_, work)| self.memory.device.is_fused(&work.command))
    }

    /// The whole of it as one launch, and how many commands that is.
    pub fn whole(&self) -> Result<(Measured, usize), DeviceError> {
        let device = self.memory.device;
        let all = self.blocks.iter().flat_map(|block| self.block(block));
        let commands: Vec<Command> = all.map(|(_, work)| work.command).collect();
        device.run(&commands)?;
        let graph = device.capture(&commands)?;
        self.replay(device, &graph, 1)?;
        let seconds = self.replay(device, &graph, REPLAYS)? / REPLAYS as f64;
        let measured = Measured {
            what: "step".to_owned(),
            seconds,
            operations: self.case.operations(),
            bytes: 0.0,
        };
        Ok((measured, commands.len()))
    }

    fn replay(&self, device: &Gpu, graph: &Captured, times: usize) -> Result<f64, DeviceError> {
        // What was asked for before is over once something is read.
        device.read(self.joint.out.at, &mut [0; 2])?;
        let start = Instant::now();
        (0..times).try_for_each(|_| device.replay(graph))?;
        device.read(self.joint.out.at, &mut [0; 2])?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// The commands of a block, each with its place among the parts.
    fn block(&self, block: &[Stream; 2]) -> Vec<(usize, Work)> {
        let mut all = Vec::new();
        let firsts = [self.case.text, 0];
        for ((stream, buffers), first) in block.iter().zip(&self.streams).zip(firsts) {
            all.push((0, self.norm(buffers)));
            all.push((
                1,
                stream
                    .qkv
                    .work(Activation::None, buffers.input(), buffers.qkv),
            ));
            all.push((2, self.heads(buffers, first)));
        }
        all.push((3, self.attention()));
        for ((stream, buffers), first) in block.iter().zip(&self.streams).zip(firsts) {
            let attended = at_row(self.joint.out, first, buffers.x.rows);
            if let Some((codes, scales)) = buffers.quantised {
                let quantise = command(Kind::Quantise, &[attended], &[codes, scales]);
                all.push((4, Work::new(quantise, 0.0)));
            }
            let input = match buffers.quantised {
                Some((codes, scales)) => (codes, Some(scales)),
                None => (attended, None),
            };
            all.push((
                4,
                stream.out.work(Activation::None, input, buffers.attended),
            ));
            all.push((5, self.gated_norm(buffers)));
            all.push((
                6,
                stream
                    .up
                    .work(Activation::GeluTanh, buffers.input(), buffers.inner),
            ));
            let input = (buffers.inner, None);
            all.push((7, stream.down.work(Activation::None, input, buffers.out)));
            let kind = Kind::AddGated { split: 1 };
            let reads = [buffers.x, buffers.out, self.row];
            all.push((8, Work::new(command(kind, &reads, &[buffers.x]), 0.0)));
        }
        all
    }

    fn norm(&self, buffers: &Buffers) -> Work {
        let kind = Kind::ModulatedNorm {
            eps: 1e-6.into(),
            splits: [1, 1],
            quantise: self.fp8,
        };
        let reads = [buffers.x, self.row, self.row];
        Work::new(command(kind, &reads, &buffers.normed()), 0.0)
    }

    fn gated_norm(&self, buffers: &Buffers) -> Work {
        let kind = Kind::AddGatedNorm {
            eps: 1e-6.into(),
            splits: [1, 1, 1],
            quantise: self.fp8,
        };
        let row = self.row;
        let reads = [buffers.x, buffers.attended, row, row, row];
        let writes: Vec<Operand> = [buffers.x].into_iter().chain(buffers.normed()).collect();
        Work::new(command(kind, &reads, &writes), 0.0)
    }

    fn heads(&self, buffers: &Buffers, first: usize) -> Work {
        let rows = buffers.x.rows;
        let kind = Kind::QkvNormTurn { eps: 1e-6.into() };
        let angles = at_row(self.angles, first, rows);
        let reads = [buffers.qkv, self.head, self.head, angles, angles];
        let Joint { q, k, v, .. } = self.joint;
        let writes = [q, k, v].map(|whole| at_row(whole, first, rows));
        Work::new(command(kind, &reads, &writes), 0.0)
    }

    fn attention(&self) -> Work {
        let kind = Kind::Attend {
            heads: HEADS,
            kv_heads: HEADS,
            scale: (HEAD as f32).sqrt().recip().into(),
            mask: Mask::All,
        };
        let Joint { q, k, v, out } = self.joint;
        let tokens = self.case.tokens() as f64;
        let operations = 4.0 * tokens * tokens * WIDTH as f64;
        Work::new(command(kind, &[q, k, v], &[out]), operations)
    }
}

impl Stream {
    fn new(memory: &mut Memory<'_>, fp8: bool) -> Result<Self, DeviceError> {
        Ok(Self {
            qkv: Linear::new(memory, WIDTH, 3 * WIDTH, fp8)?,
            out: Linear::new(memory, WIDTH, WIDTH, fp8)?,
            up: Linear::new(memory, WIDTH, 4 * WIDTH, fp8)?,
            down: Linear::new(memory, 4 * WIDTH, WIDTH, false)?,
        })
    }
}

impl Linear {
    fn new(
        memory: &mut Memory<'_>,
        inputs: usize,
        outputs: usize,
        fp8: bool,
    ) -> Result<Self, DeviceError> {
        let element = if fp8 { Element::F8 } else { Element::Bf16 };
        let scales = fp8.then(|| memory.random([1, outputs], Element::F32));
        Ok(Self {
            weight: memory.random([outputs, inputs], element)?,
            bias: memory.random([1, outputs], Element::Bf16)?,
            scales: scales.transpose()?,
        })
    }

    fn work(
        &self,
        activation: Activation,
        (x, rows): (Operand, Option<Operand>),
        y: Operand,
    ) -> Work {
        let mut reads = vec![x, self.weight, self.bias];
        reads.extend(self.scales);
        reads.extend(rows);
        let scales = match self.scales {
            Some(_) => Scales::Both,
            None => Scales::None,
        };
        let kind = Kind::Matmul {
            activation,
            bias: true,
            scales,
        };
        let operations = 2.0 * (x.rows * x.width * y.width) as f64;
        Work::new(command(kind, &reads, &[y]), operations)
    }
}

impl Buffers {
    fn new(memory: &mut Memory<'_>, rows: usize, fp8: bool) -> Result<Self, DeviceError> {
        let mut blank = |width, element| memory.blank([rows, width], element);
        let quantised = fp8.then(|| Ok((blank(WIDTH, Element::F8)?, blank(1, Element::F32)?)));
        Ok(Self {
            quantised: quantised.transpose()?,
            norm: blank(WIDTH, Element::Bf16)?,
            qkv: blank(3 * WIDTH, Element::Bf16)?,
            attended: blank(WIDTH, Element::Bf16)?,
            inner: blank(4 * WIDTH, Element::Bf16)?,
            out: blank(WIDTH, Element::Bf16)?,
            x: memory.random([rows, WIDTH], Element::Bf16)?,
        })
    }

    /// Where a norm goes.
    fn normed(&self) -> Vec<Operand> {
        match self.quantised {
            Some((codes, scales)) => vec![codes, scales],
            None => vec![self.norm],
        }
    }

    /// What the product after a norm is given.
    fn input(&self) -> (Operand, Option<Operand>) {
        match self.quantised {
            Some((codes, scales)) => (codes, Some(scales)),
            None => (self.norm, None),
        }
    }
}

fn command(kind: Kind, reads: &[Operand], writes: &[Operand]) -> Command {
    Command {
        kind,
        reads: reads.to_vec(),
        writes: writes.to_vec(),
    }
}

fn is_attention(command: &Command) -> bool {
    matches!(command.kind, Kind::Attend { .. })
}

/// So many rows of a matrix.
fn at_row(whole: Operand, first: usize, rows: usize) -> Operand {
    let bytes = first * whole.stride * whole.element.size();
    Operand {
        at: whole.at + bytes as u64,
        rows,
        ..whole
    }
}

fn nothing(name: &str) -> Measured {
    Measured {
        what: name.to_owned(),
        seconds: 0.0,
        operations: 0.0,
        bytes: 0.0,
    }
}
