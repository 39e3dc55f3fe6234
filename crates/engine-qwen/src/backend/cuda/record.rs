//! Recording what is asked for.

use std::ops::Range;

use super::{
    super::{Activation, Attention, Backend, ConvShape, Modulation, Result, Rotary, Visible},
    Cuda,
    command::{Element, Mask, Window},
    device::Device,
    graph::Op,
    linear::{CudaConv, CudaLinear},
    trace::{CudaTensor, Stored},
};
use crate::{
    error::LoadError,
    weights::{Dtype, LinearWeights},
};

impl<D: Device> Backend for Cuda<D> {
    type Tensor = CudaTensor;
    type Linear = CudaLinear;
    type Conv = CudaConv;

    fn name(&self) -> &'static str {
        "cuda"
    }

    /// Rows begin at multiples of 16 bytes in every type, which the libraries' fast products ask
    /// for; in FP8 they are for no other number.
    fn padded_width(&self, width: usize) -> usize {
        width.next_multiple_of(16)
    }

    fn free_memory(&self) -> Option<u64> {
        // A device that does not say so will say that it has too little when it is asked for some.
        let memory = self.device.memory();
        memory.ok().map(|memory| memory.free)
    }

    /// Vectors count as matrices do: they are few.
    fn bytes_of(&self, dtype: Dtype, shape: &[usize]) -> u64 {
        let inputs: usize = shape[1..].iter().product();
        let eight = dtype == Dtype::F8E4M3 && self.store().multiplies_in_fp8(inputs, shape[0]);
        let element = if eight {
            Element::F8
        } else {
            self.precision.storage
        };
        (inputs * shape[0] * element.size()) as u64
    }

    /// In 32 bits: what becomes an activation is narrowed when it does, and tables stay exact.
    fn upload(&self, values: Vec<f32>, shape: &[usize]) -> Result<CudaTensor> {
        assert_eq!(
            values.len(),
            shape.iter().product::<usize>(),
            "BUG: as many values as the shape says"
        );
        let stored = self.put(|store| store.numbers(&values, Element::F32, shape))?;
        Ok(CudaTensor::stored(stored))
    }

    fn download(&self, tensor: &CudaTensor) -> Result<Vec<f32>> {
        self.read(&self.get(tensor)?)
    }

    fn to_bytes(&self, picture: &CudaTensor) -> Result<Vec<u8>> {
        let stored = self.get(&alike(Op::Bytes, &[picture]))?;
        let operand = stored.operand();
        let mut bytes = vec![0; operand.bytes()];
        self.device.read(operand.at, &mut bytes)?;
        Ok(bytes)
    }

    fn shape(&self, tensor: &CudaTensor) -> Vec<usize> {
        tensor.shape().to_vec()
    }

    fn prepare_linear(&self, weights: LinearWeights) -> std::result::Result<CudaLinear, LoadError> {
        let mut layers = self.prepare_linears(vec![weights])?;
        Ok(layers.pop().expect("BUG: a layer for each"))
    }

    fn prepare_linears(
        &self,
        layers: Vec<LinearWeights>,
    ) -> std::result::Result<Vec<CudaLinear>, LoadError> {
        Ok(self.put(|store| store.linears(&layers))?)
    }

    fn settle(&self, tensors: &[&CudaTensor]) -> Result<()> {
        self.compute(tensors)
    }

    fn prepare_conv(
        &self,
        weight: Vec<f32>,
        shape: [usize; 4],
        bias: Option<Vec<f32>>,
        conv: ConvShape,
    ) -> Result<CudaConv> {
        assert_eq!(shape[2], shape[3], "BUG: the kernel is square");
        assert!(
            conv.groups == 1 || (shape[1] == 1 && conv.groups == shape[0]),
            "BUG: groups are of one channel"
        );
        self.put(|store| store.conv(&weight, shape, bias.clone(), conv))
    }

    fn linear(
        &self,
        x: &CudaTensor,
        linear: &CudaLinear,
        activation: Activation,
    ) -> Result<CudaTensor> {
        let pack = &linear.pack;
        assert_eq!(x.width(), pack.inputs, "BUG: a row has another width");
        let mut shape = x.shape().to_vec();
        *shape.last_mut().expect("BUG: a tensor has a dimension") = linear.part.len();
        let weights = [
            Some(&pack.matrix),
            pack.bias.as_ref(),
            pack.outputs.as_ref(),
        ];
        let op = Op::Linear {
            activation,
            part: linear.part.clone(),
            bias: pack.bias.is_some(),
            scales: pack.scales,
        };
        let weights = weights.into_iter().flatten().cloned().collect();
        Ok(CudaTensor::of(op, &[x], weights, shape))
    }

    fn activate(&self, x: &CudaTensor, activation: Activation) -> Result<CudaTensor> {
        Ok(alike(Op::Activate(activation), &[x]))
    }

    fn swiglu(&self, gate: &CudaTensor, up: &CudaTensor) -> Result<CudaTensor> {
        same(gate, up);
        Ok(alike(Op::Swiglu, &[gate, up]))
    }

    fn rms_norm(&self, x: &CudaTensor, weight: &CudaTensor, eps: f32) -> Result<CudaTensor> {
        assert_eq!(
            x.width() % weight.width(),
            0,
            "BUG: a row is not of whole groups"
        );
        Ok(alike(Op::RmsNorm { eps: eps.into() }, &[x, weight]))
    }

    fn layer_norm(
        &self,
        x: &CudaTensor,
        weight: &CudaTensor,
        bias: &CudaTensor,
        eps: f32,
    ) -> Result<CudaTensor> {
        Ok(alike(Op::LayerNorm { eps: eps.into() }, &[x, weight, bias]))
    }

    fn modulated_norm(
        &self,
        x: &CudaTensor,
        shift: Modulation<'_, CudaTensor>,
        scale: Modulation<'_, CudaTensor>,
        eps: f32,
    ) -> Result<CudaTensor> {
        let op = Op::ModulatedNorm {
            eps: eps.into(),
            splits: [split(x, shift), split(x, scale)],
        };
        Ok(alike(op, &[x, shift.rows, scale.rows]))
    }

    fn add_gated(
        &self,
        x: &CudaTensor,
        y: &CudaTensor,
        gate: Modulation<'_, CudaTensor>,
    ) -> Result<CudaTensor> {
        same(x, y);
        let split = split(x, gate);
        Ok(alike(Op::AddGated { split }, &[x, y, gate.rows]))
    }

    fn add(&self, x: &CudaTensor, y: &CudaTensor) -> Result<CudaTensor> {
        same(x, y);
        Ok(alike(Op::Add, &[x, y]))
    }

    fn rotate(
        &self,
        x: &CudaTensor,
        heads: usize,
        rotary: &Rotary<CudaTensor>,
    ) -> Result<CudaTensor> {
        let half = x.width() / heads / 2;
        for table in [&rotary.cos, &rotary.sin] {
            assert_eq!(
                table.shape(),
                [x.shape()[0], half],
                "BUG: angles for other tokens"
            );
        }
        Ok(alike(
            Op::Turn(rotary.pairing),
            &[x, &rotary.cos, &rotary.sin],
        ))
    }

    fn attend(
        &self,
        q: &CudaTensor,
        k: &CudaTensor,
        v: &CudaTensor,
        attention: Attention<'_>,
    ) -> Result<CudaTensor> {
        let Attention {
            heads,
            kv_heads,
            scale,
            visible,
        } = attention;
        same(k, v);
        assert_eq!(
            q.width() / heads * kv_heads,
            k.width(),
            "BUG: keys have another width"
        );
        let (mask, ends) = match visible {
            Visible::All => (Mask::All, None),
            Visible::Causal => (Mask::Causal, None),
            Visible::Blocks(ends) => (Mask::Blocks, Some(self.order(ends)?)),
        };
        let op = Op::Attend {
            heads,
            kv_heads,
            scale: scale.into(),
            mask,
        };
        let shape = q.shape().to_vec();
        let ends = ends.into_iter().collect();
        Ok(CudaTensor::of(op, &[q, k, v], ends, shape))
    }

    fn concat(&self, parts: &[&CudaTensor]) -> Result<CudaTensor> {
        let mut shape = parts[0].shape().to_vec();
        for part in parts {
            assert_eq!(part.shape()[1..], shape[1..], "BUG: parts are of one kind");
        }
        shape[0] = parts.iter().map(|part| part.shape()[0]).sum();
        Ok(CudaTensor::of(Op::Concat, parts, Vec::new(), shape))
    }

    fn rows(&self, x: &CudaTensor, rows: Range<usize>) -> Result<CudaTensor> {
        let mut shape = x.shape().to_vec();
        assert!(rows.end <= shape[0], "BUG: rows beyond the last");
        shape[0] = rows.len();
        Ok(CudaTensor::of(Op::Rows(rows), &[x], Vec::new(), shape))
    }

    fn columns(&self, x: &CudaTensor, columns: Range<usize>) -> Result<CudaTensor> {
        let mut shape = x.shape().to_vec();
        assert!(columns.end <= x.width(), "BUG: columns beyond the last");
        *shape.last_mut().expect("BUG: a tensor has a dimension") = columns.len();
        Ok(CudaTensor::of(
            Op::Columns(columns),
            &[x],
            Vec::new(),
            shape,
        ))
    }

    fn gather(&self, x: &CudaTensor, order: &[usize]) -> Result<CudaTensor> {
        let mut shape = x.shape().to_vec();
        assert!(
            order.iter().all(|row| *row < shape[0]),
            "BUG: rows beyond the last"
        );
        assert_eq!(shape.len(), 2, "BUG: rows are of a matrix");
        shape[0] = order.len();
        let order = self.order(order)?;
        Ok(CudaTensor::of(Op::Gather, &[x], vec![order], shape))
    }

    fn reshape(&self, x: &CudaTensor, shape: &[usize]) -> Result<CudaTensor> {
        let numbers = |shape: &[usize]| shape.iter().product::<usize>();
        assert_eq!(
            numbers(x.shape()),
            numbers(shape),
            "BUG: as many numbers in another shape"
        );
        Ok(CudaTensor::of(
            Op::Reshape,
            &[x],
            Vec::new(),
            shape.to_vec(),
        ))
    }

    fn conv(&self, x: &CudaTensor, conv: &CudaConv) -> Result<CudaTensor> {
        let [height, width, channels] = *x.shape() else {
            panic!("BUG: a picture has three dimensions");
        };
        assert_eq!(channels, conv.inputs, "BUG: another number of channels");
        let [left, right, top, bottom] = conv.shape.padding;
        let steps = |side: usize, padding| (side + padding - conv.kernel) / conv.shape.stride + 1;
        let to = [steps(height, top + bottom), steps(width, left + right)];
        let window = Window {
            from: [height, width],
            to,
            kernel: conv.kernel,
            stride: conv.shape.stride,
            before: [left, top],
            depthwise: conv.shape.groups > 1,
        };
        let bias = conv.bias.is_some();
        let weights = [Some(&conv.matrix), conv.bias.as_ref()];
        let weights = weights.into_iter().flatten().cloned().collect();
        let shape = vec![to[0], to[1], conv.outputs];
        Ok(CudaTensor::of(
            Op::Conv { window, bias },
            &[x],
            weights,
            shape,
        ))
    }

    fn channel_norm(
        &self,
        x: &CudaTensor,
        gamma: &CudaTensor,
        activation: Activation,
    ) -> Result<CudaTensor> {
        assert_eq!(x.width(), gamma.width(), "BUG: another number of channels");
        Ok(alike(Op::ChannelNorm(activation), &[x, gamma]))
    }

    fn upsample(&self, x: &CudaTensor) -> Result<CudaTensor> {
        let [height, width, channels] = *x.shape() else {
            panic!("BUG: a picture has three dimensions");
        };
        let shape = vec![2 * height, 2 * width, channels];
        Ok(CudaTensor::of(Op::Upsample, &[x], Vec::new(), shape))
    }

    fn resize(&self, x: &CudaTensor, width: usize, height: usize) -> Result<CudaTensor> {
        let [from_height, from_width, channels] = *x.shape() else {
            panic!("BUG: a picture has three dimensions");
        };
        if [from_height, from_width] == [height, width] {
            return Ok(x.clone());
        }
        let shape = vec![height, width, channels];
        Ok(CudaTensor::of(Op::Resize, &[x], Vec::new(), shape))
    }
}

impl<D: Device> Cuda<D> {
    /// Rows, or where blocks end, on the device.
    fn order(&self, rows: &[usize]) -> Result<Stored> {
        let rows = rows.iter().map(|row| *row as u32);
        let bytes: Vec<u8> = rows.flat_map(u32::to_le_bytes).collect();
        let shape = [1, bytes.len() / 4];
        self.put(|store| store.put(&bytes, Element::U32, &shape))
    }
}

/// A value of the first input's shape.
fn alike(op: Op, inputs: &[&CudaTensor]) -> CudaTensor {
    let shape = inputs[0].shape().to_vec();
    CudaTensor::of(op, inputs, Vec::new(), shape)
}

fn same(x: &CudaTensor, y: &CudaTensor) {
    assert_eq!(x.shape(), y.shape(), "BUG: the shapes differ");
}

/// How many tokens of `x` take the first row.
fn split(x: &CudaTensor, modulation: Modulation<'_, CudaTensor>) -> usize {
    let width = modulation.rows.width();
    assert_eq!(x.width(), width, "BUG: rows of another width");
    // What is past the last token says no more than that; plans do not differ by it.
    modulation.split.min(x.shape()[0])
}
