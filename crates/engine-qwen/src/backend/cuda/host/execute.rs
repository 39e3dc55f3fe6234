//! What commands compute.

use candle_core::Tensor;

use super::{
    super::{
        command::{Command, Element, Kind, Mask, Operand, Scales, Window},
        linear::{narrow, widen},
    },
    Memory,
};
use crate::{
    backend::{
        Activation, Attention, Backend, ConvShape, Cpu, Modulation, Pairing, Rotary, Visible,
    },
    fp8,
    weights::{LinearWeights, Matrix},
};

/// Carries out a command.
pub(super) fn execute(memory: &mut Memory, command: &Command) {
    let results = Inputs { memory, command }.compute();
    assert_eq!(results.len(), command.writes.len(), "BUG: one for each");
    for (operand, values) in command.writes.iter().zip(results) {
        let bytes = match operand.element {
            Element::U8 => values.iter().map(|byte| *byte as u8).collect(),
            Element::F8 => values.iter().map(|v| fp8::quantise(*v).to_bits()).collect(),
            element => narrow(&values, element),
        };
        memory.scatter(operand, &bytes);
    }
}

struct Inputs<'a> {
    memory: &'a mut Memory,
    command: &'a Command,
}

impl Inputs<'_> {
    fn operand(&self, i: usize) -> &Operand {
        &self.command.reads[i]
    }

    fn numbers(&mut self, i: usize) -> Vec<f32> {
        let operand = self.command.reads[i];
        widen(&self.memory.gather(&operand), operand.element)
    }

    fn order(&mut self, i: usize) -> Vec<usize> {
        let bytes = self.memory.gather(&self.command.reads[i]);
        let (numbers, _) = bytes.as_chunks::<4>();
        let numbers = numbers.iter().map(|b| u32::from_le_bytes(*b) as usize);
        numbers.collect()
    }

    fn matrix(&mut self, i: usize) -> Tensor {
        let shape = [self.operand(i).rows, self.operand(i).width];
        shaped(self.numbers(i), &shape)
    }

    fn vector(&mut self, i: usize) -> Tensor {
        let width = self.operand(i).width;
        shaped(self.numbers(i), &[width])
    }

    fn picture(&mut self, i: usize, [height, width]: [usize; 2]) -> Tensor {
        let channels = self.operand(i).width;
        shaped(self.numbers(i), &[height, width, channels])
    }

    fn rotary(&mut self, first: usize, pairing: Pairing) -> Rotary<Tensor> {
        Rotary {
            cos: self.matrix(first),
            sin: self.matrix(first + 1),
            pairing,
        }
    }

    fn compute(&mut self) -> Vec<Vec<f32>> {
        let result = match self.command.kind {
            Kind::Matmul {
                activation,
                bias,
                scales,
            } => return vec![self.matmul(activation, bias, scales)],
            Kind::Attend {
                heads,
                kv_heads,
                scale,
                mask,
            } => self.attend((heads, kv_heads), scale.get(), mask),
            Kind::HeadNormTurn { eps } => {
                let (x, rotary) = (self.matrix(0), self.rotary(2, Pairing::Interleaved));
                norm_turn(&x, &self.vector(1), &rotary, eps.get())
            }
            Kind::QkvNormTurn { eps } => return self.qkv(eps.get()),
            Kind::RmsNorm { eps } => {
                { Cpu.rms_norm(&self.matrix(0), &self.vector(1), eps.get()) }.unwrap_numbers()
            }
            Kind::LayerNorm { eps } => {
                let (x, weight, bias) = (self.matrix(0), self.vector(1), self.vector(2));
                Cpu.layer_norm(&x, &weight, &bias, eps.get())
                    .unwrap_numbers()
            }
            Kind::ModulatedNorm {
                eps,
                splits,
                quantise,
            } => {
                let x = self.matrix(0);
                let normed = self.modulated(&x, 1, splits, eps.get());
                return either(normed, self.operand(0).width, quantise);
            }
            Kind::AddGated { split } => self.add_gated(split),
            Kind::AddGatedNorm {
                eps,
                splits: [gate, shift, scale],
                quantise,
            } => {
                let sum = self.add_gated(gate);
                // The norm is of what was rounded: so it is the same fused as not.
                let width = self.operand(0).width;
                let rounded = round(&sum, self.operand(0).element);
                let x = shaped(rounded, &[self.operand(0).rows, width]);
                let normed = self.modulated(&x, 3, [shift, scale], eps.get());
                let mut results = vec![sum];
                results.extend(either(normed, width, quantise));
                return results;
            }
            Kind::Quantise => {
                let width = self.operand(0).width;
                return quantised(&self.numbers(0), width);
            }
            Kind::Add => Cpu.add(&self.matrix(0), &self.matrix(1)).unwrap_numbers(),
            Kind::Swiglu => Cpu
                .swiglu(&self.matrix(0), &self.matrix(1))
                .unwrap_numbers(),
            Kind::Activate(activation) => {
                Cpu.activate(&self.matrix(0), activation).unwrap_numbers()
            }
            Kind::Turn(pairing) => {
                let rotary = self.rotary(1, pairing);
                let x = self.matrix(0);
                Cpu.rotate(&x, heads(&x, &rotary), &rotary).unwrap_numbers()
            }
            Kind::Copy => self.numbers(0),
            Kind::Gather => {
                let order = self.order(1);
                Cpu.gather(&self.matrix(0), &order).unwrap_numbers()
            }
            Kind::Conv { window, bias } => self.conv(&window, bias),
            Kind::ChannelNorm(activation) => {
                let (x, gamma) = (self.matrix(0), self.vector(1));
                Cpu.channel_norm(&x, &gamma, activation).unwrap_numbers()
            }
            Kind::Upsample { from } => Cpu.upsample(&self.picture(0, from)).unwrap_numbers(),
            Kind::Resize { from, to } => {
                let picture = self.picture(0, from);
                Cpu.resize(&picture, to[1], to[0]).unwrap_numbers()
            }
            Kind::Bytes => {
                let bytes = Cpu.to_bytes(&self.matrix(0));
                let bytes = bytes.expect("BUG: the CPU has room").into_iter();
                bytes.map(f32::from).collect()
            }
            Kind::Forget => unreachable!("BUG: it computes nothing"),
        };
        vec![result]
    }

    fn matmul(&mut self, activation: Activation, bias: bool, scales: Scales) -> Vec<f32> {
        let x = self.matrix(0);
        let (outputs, inputs) = (self.operand(1).rows, self.operand(1).width);
        let mut next = 2;
        let mut take = |there: bool, inputs: &mut Self| {
            there.then(|| {
                next += 1;
                inputs.numbers(next - 1)
            })
        };
        let bias = take(bias, self);
        let by_output = take(scales != Scales::None, self);
        let by_row = take(scales == Scales::Both, self);
        // As the reference does it: bias and activation come after the scales.
        let (inner_bias, inner) = if by_output.is_some() {
            (None, Activation::None)
        } else {
            (bias.clone(), activation)
        };
        let linear = Cpu.prepare_linear(LinearWeights {
            matrix: Matrix::F32(self.numbers(1)),
            inputs,
            outputs,
            bias: inner_bias,
        });
        let linear = linear.expect("BUG: the CPU takes any matrix");
        let mut y = Cpu.linear(&x, &linear, inner).unwrap_numbers();
        let Some(by_output) = by_output else { return y };
        for (row, y) in y.chunks_exact_mut(outputs).enumerate() {
            let by_row = by_row.as_ref().map_or(1.0, |scales| scales[row]);
            for (i, y) in y.iter_mut().enumerate() {
                *y = *y * by_row * by_output[i] + bias.as_ref().map_or(0.0, |bias| bias[i]);
            }
        }
        let shape = [y.len() / outputs, outputs];
        Cpu.activate(&shaped(y, &shape), activation)
            .unwrap_numbers()
    }

    fn attend(&mut self, (heads, kv_heads): (usize, usize), scale: f32, mask: Mask) -> Vec<f32> {
        let ends = match mask {
            Mask::Blocks => self.order(3),
            Mask::All | Mask::Causal => Vec::new(),
        };
        let form = Attention {
            heads,
            kv_heads,
            scale,
            visible: match mask {
                Mask::All => Visible::All,
                Mask::Causal => Visible::Causal,
                Mask::Blocks => Visible::Blocks(&ends),
            },
        };
        let (q, k, v) = (self.matrix(0), self.matrix(1), self.matrix(2));
        Cpu.attend(&q, &k, &v, form).unwrap_numbers()
    }

    fn qkv(&mut self, eps: f32) -> Vec<Vec<f32>> {
        let qkv = self.matrix(0);
        let width = self.operand(0).width / 3;
        let rotary = self.rotary(3, Pairing::Interleaved);
        let part = |i: usize| {
            let part = Cpu.columns(&qkv, i * width..(i + 1) * width);
            part.expect("BUG: the CPU has room")
        };
        vec![
            norm_turn(&part(0), &self.vector(1), &rotary, eps),
            norm_turn(&part(1), &self.vector(2), &rotary, eps),
            Ok(part(2)).unwrap_numbers(),
        ]
    }

    fn add_gated(&mut self, split: usize) -> Vec<f32> {
        let (x, y, gate) = (self.matrix(0), self.matrix(1), self.matrix(2));
        let gate = Modulation { rows: &gate, split };
        Cpu.add_gated(&x, &y, gate).unwrap_numbers()
    }

    /// Rows of shift are operand `first`, of scale the next.
    fn modulated(&mut self, x: &Tensor, first: usize, splits: [usize; 2], eps: f32) -> Vec<f32> {
        let (shift, scale) = (self.matrix(first), self.matrix(first + 1));
        let rows = |rows, split| Modulation { rows, split };
        let (shift, scale) = (rows(&shift, splits[0]), rows(&scale, splits[1]));
        Cpu.modulated_norm(x, shift, scale, eps).unwrap_numbers()
    }

    fn conv(&mut self, window: &Window, bias: bool) -> Vec<f32> {
        let x = self.picture(0, window.from);
        let channels = self.operand(0).width;
        let outputs = self.command.writes[0].width;
        let inputs = if window.depthwise { 1 } else { channels };
        // Zeros after the last column and row: as many as are reached.
        let after = |i: usize| {
            let reached = (window.to[i] - 1) * window.stride + window.kernel;
            let before = window.before[1 - i];
            reached.saturating_sub(window.from[i] + before)
        };
        let shape = ConvShape {
            stride: window.stride,
            padding: [window.before[0], after(1), window.before[1], after(0)],
            groups: if window.depthwise { channels } else { 1 },
        };
        let own = self.numbers(1);
        let area = window.kernel * window.kernel;
        let mut weight = vec![0.0; own.len()];
        for (at, value) in weight.iter_mut().enumerate() {
            let (output, input, place) = (at / area / inputs, at / area % inputs, at % area);
            *value = own[if window.depthwise {
                place * outputs + output
            } else {
                (output * area + place) * inputs + input
            }];
        }
        let bias = bias.then(|| self.numbers(2));
        let form = [outputs, inputs, window.kernel, window.kernel];
        let conv = Cpu.prepare_conv(weight, form, bias, shape);
        let conv = conv.expect("BUG: the CPU takes any convolution");
        Cpu.conv(&x, &conv).unwrap_numbers()
    }
}

fn shaped(values: Vec<f32>, shape: &[usize]) -> Tensor {
    Cpu.upload(values, shape).expect("BUG: the CPU has room")
}

fn heads(x: &Tensor, rotary: &Rotary<Tensor>) -> usize {
    let width = |tensor: &Tensor| *tensor.dims().last().expect("BUG: a matrix");
    width(x) / (2 * width(&rotary.cos))
}

fn norm_turn(x: &Tensor, weight: &Tensor, rotary: &Rotary<Tensor>, eps: f32) -> Vec<f32> {
    let normed = Cpu.rms_norm(x, weight, eps);
    let normed = normed.expect("BUG: the CPU has room");
    Cpu.rotate(&normed, heads(x, rotary), rotary)
        .unwrap_numbers()
}

/// Numbers as this type has them.
fn round(values: &[f32], element: Element) -> Vec<f32> {
    widen(&narrow(values, element), element)
}

/// The numbers, or their codes and the scales of rows.
fn either(values: Vec<f32>, width: usize, quantise: bool) -> Vec<Vec<f32>> {
    if quantise {
        quantised(&values, width)
    } else {
        vec![values]
    }
}

fn quantised(values: &[f32], width: usize) -> Vec<Vec<f32>> {
    let scales: Vec<f32> = values.chunks(width).map(fp8::activation_scale).collect();
    let rows = values.chunks(width).zip(&scales);
    let codes = rows.flat_map(|(row, scale)| row.iter().map(move |value| value / scale));
    vec![codes.collect(), scales]
}

/// The numbers of a result.
trait Numbers {
    fn unwrap_numbers(self) -> Vec<f32>;
}

impl Numbers for crate::backend::Result<Tensor> {
    fn unwrap_numbers(self) -> Vec<f32> {
        let tensor = self.expect("BUG: the CPU has room");
        Cpu.download(&tensor).expect("BUG: the CPU has room")
    }
}
