//! What a device is told to do: one command is one launch.
//!
//! A command says what is computed and on which memory; [`super::lower`] writes them, a
//! [`Device`](super::device::Device) carries them out. Every operand is a matrix in device memory,
//! a picture being the matrix of its pixels and a vector one of a single row, so that what is read
//! and written can be told of any command without knowing its kind.

use super::super::{Activation, Pairing};

/// The type of the numbers of an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// 32-bit.
    F32,
    /// The upper half of an [`Self::F32`].
    Bf16,
    /// E4M3, of a matrix with a scale for each row.
    F8,
    /// Rows of a matrix, or where blocks end.
    U32,
    /// Of a picture as it is shown.
    U8,
}

impl Element {
    /// Bytes of a number.
    pub const fn size(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::Bf16 => 2,
            Self::F8 | Self::U8 => 1,
        }
    }
}

/// A matrix in memory. `A` says where: an address, or what becomes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operand<A = u64> {
    /// Where its first number is.
    pub at: A,
    /// The type of its numbers.
    pub element: Element,
    /// How many rows there are.
    pub rows: usize,
    /// Numbers of a row.
    pub width: usize,
    /// Numbers from the start of a row to that of the next.
    pub stride: usize,
}

impl<A> Operand<A> {
    /// Whether its rows follow each other without a gap.
    pub fn is_dense(&self) -> bool {
        self.stride == self.width || self.rows == 1
    }

    /// Bytes from its first number to its last.
    pub fn bytes(&self) -> usize {
        ((self.rows - 1) * self.stride + self.width) * self.element.size()
    }

    /// The same somewhere else.
    pub fn map<B>(self, place: impl FnOnce(A) -> B) -> Operand<B> {
        Operand {
            at: place(self.at),
            element: self.element,
            rows: self.rows,
            width: self.width,
            stride: self.stride,
        }
    }
}

/// Which keys a query sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mask {
    /// All.
    All,
    /// Those up to its own position.
    Causal,
    /// Those of its own block. Where blocks end is an operand.
    Blocks,
}

/// What a product of FP8 matrices, or with one, is multiplied with before its bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scales {
    /// Nothing.
    None,
    /// A number for each output.
    Outputs,
    /// One for each output and one for each row.
    Both,
}

/// A number that compares and hashes by its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Real(u32);

impl From<f32> for Real {
    fn from(value: f32) -> Self {
        Self(value.to_bits())
    }
}

impl Real {
    /// The number.
    pub const fn get(self) -> f32 {
        f32::from_bits(self.0)
    }
}

/// A convolution over a picture of `[height, width]` pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// Pixels of the input, height and width.
    pub from: [usize; 2],
    /// Pixels of the output.
    pub to: [usize; 2],
    /// Side of the kernel.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Zeros before the first column and the first row.
    pub before: [usize; 2],
    /// Whether each channel has a kernel of its own.
    pub depthwise: bool,
}

/// What is computed. Each says its operands in order, `in… → out…`; those in brackets are there
/// if the kind says so. Activations have one type throughout a plan, that of storage; *exact*
/// operands are 32-bit whatever it is. Rows of a modulation are one or two; tokens from the split
/// on take the last.
///
/// Outputs are dense but for [`Self::Copy`]. Inputs marked *strided* may have gaps between rows;
/// all others are dense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `activation((x · Wᵀ) · scales + bias)`: x (strided), W `[outputs, inputs]`, \[bias\],
    /// \[exact scales of outputs\], \[exact scales of rows, a column\] → y. Both matrices are of
    /// the storage type, or both FP8.
    Matmul {
        /// [`Activation::None`] or [`Activation::GeluTanh`].
        activation: Activation,
        /// Whether there is a bias.
        bias: bool,
        /// Which scales there are.
        scales: Scales,
    },
    /// q, k, v (all strided), \[ends, `u32`\] → out.
    Attend {
        /// Heads of queries.
        heads: usize,
        /// Heads of keys and values.
        kv_heads: usize,
        /// What scores are multiplied with.
        scale: Real,
        /// Which keys are seen.
        mask: Mask,
    },
    /// Norm of each head, then its turn, of neighbouring pairs: x (strided), exact weight
    /// `[1, head]`, exact cosines and sines `[rows, head / 2]` → y.
    HeadNormTurn {
        /// Of the norm.
        eps: Real,
    },
    /// The same of queries and keys that lie side by side with values, which are copied: qkv
    /// `[rows, 3 · width]` (strided), exact weights of q and of k, exact cosines and sines → q, k,
    /// v, `[rows, width]` each.
    QkvNormTurn {
        /// Of the norms.
        eps: Real,
    },
    /// Over groups of the weight's width: x, exact weight → y.
    RmsNorm {
        /// Under the root.
        eps: Real,
    },
    /// x, exact weight, exact bias → y.
    LayerNorm {
        /// Under the root.
        eps: Real,
    },
    /// x, rows of shift, rows of scale → y; or, to FP8, → codes, exact scales (a column).
    ModulatedNorm {
        /// Under the root.
        eps: Real,
        /// Splits of shift and scale.
        splits: [usize; 2],
        /// Whether it is to FP8.
        quantise: bool,
    },
    /// `x + gate · y`: x, y, rows of gate → z.
    AddGated {
        /// Of the gate.
        split: usize,
    },
    /// [`Self::AddGated`], then [`Self::ModulatedNorm`] of the sum: x, y, rows of gate, of shift,
    /// of scale → z, a; or, to FP8, → z, codes, exact scales (a column).
    AddGatedNorm {
        /// Under the root.
        eps: Real,
        /// Splits of gate, shift and scale.
        splits: [usize; 3],
        /// Whether the norm is to FP8.
        quantise: bool,
    },
    /// To FP8, row by row: x → codes, exact scales (a column).
    Quantise,
    /// x, y → z.
    Add,
    /// `silu(gate) · up`: gate, up (both strided) → y.
    Swiglu,
    /// Number by number: x → y, which may be x.
    Activate(Activation),
    /// Turns heads of twice the width of the exact cosines: x (strided), cosines, sines → y.
    Turn(Pairing),
    /// x (strided) → y (strided), of another type perhaps.
    Copy,
    /// Rows in another order: x, order (`u32`, `[1, rows]`) → y.
    Gather,
    /// x, W `[outputs, kernel · kernel · inputs]`, or `[kernel · kernel, outputs]` of a depthwise
    /// one, \[exact bias\] → y.
    Conv {
        /// How it steps.
        window: Window,
        /// Whether there is a bias.
        bias: bool,
    },
    /// `activation(x / max(‖x‖₂, 1e-12) · √c · gamma)` of each row: x, exact gamma → y.
    ChannelNorm(Activation),
    /// Each pixel four times: x → y.
    Upsample {
        /// Height and width before.
        from: [usize; 2],
    },
    /// Bilinear, corners not aligned: x → y.
    Resize {
        /// Height and width before.
        from: [usize; 2],
        /// And after.
        to: [usize; 2],
    },
    /// A picture of -1..1 in bytes: what is outside is cut off, halves go to even, and what is no
    /// number is 0: x → y, `u8`.
    Bytes,
    /// Nothing. Its outputs are read no more, and a device that looks for mistakes may spoil them.
    Forget,
}

/// One launch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Command<A = u64> {
    /// What is computed.
    pub kind: Kind,
    /// What is read, in the order of the kind.
    pub reads: Vec<Operand<A>>,
    /// What is written, likewise.
    pub writes: Vec<Operand<A>>,
}

impl<A: Copy> Command<A> {
    /// The same on other memory.
    pub fn map<B>(&self, mut place: impl FnMut(A) -> B) -> Command<B> {
        let mut all = |operands: &[Operand<A>]| {
            let moved = operands.iter().map(|operand| operand.map(&mut place));
            moved.collect()
        };
        Command {
            kind: self.kind,
            reads: all(&self.reads),
            writes: all(&self.writes),
        }
    }
}
