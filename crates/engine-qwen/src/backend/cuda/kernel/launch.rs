//! A kernel, ready to be put on a stream.

use crate::backend::{
    Activation,
    cuda::command::{Element, Operand},
};

/// An argument of a kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::backend::cuda) enum Argument {
    /// 64 bits: an address, 0 for what is left out.
    Address(u64),
    /// 32 bits.
    U32(u32),
    /// 32 bits.
    F32(f32),
}

impl Argument {
    /// As a kernel finds it in its parameters: the bits, in the lower bytes where there are fewer.
    pub(in crate::backend::cuda) const fn bits(self) -> u64 {
        match self {
            Self::Address(address) => address,
            Self::U32(number) => number as u64,
            Self::F32(number) => number.to_bits() as u64,
        }
    }
}

impl From<u64> for Argument {
    fn from(address: u64) -> Self {
        Self::Address(address)
    }
}

impl From<usize> for Argument {
    fn from(number: usize) -> Self {
        Self::U32(small(number))
    }
}

impl From<f32> for Argument {
    fn from(number: f32) -> Self {
        Self::F32(number)
    }
}

impl From<bool> for Argument {
    fn from(flag: bool) -> Self {
        Self::U32(u32::from(flag))
    }
}

impl From<Activation> for Argument {
    fn from(activation: Activation) -> Self {
        Self::U32(match activation {
            Activation::None => 0,
            Activation::Silu => 1,
            Activation::GeluErf => 2,
            Activation::GeluTanh => 3,
            Activation::Relu => 4,
        })
    }
}

/// A kernel with its geometry and arguments.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::backend::cuda) struct Launch {
    /// As it is called in its source.
    pub(in crate::backend::cuda) kernel: &'static str,
    /// Blocks.
    pub(in crate::backend::cuda) grid: [u32; 3],
    /// Threads of a block.
    pub(in crate::backend::cuda) block: u32,
    /// Bytes of shared memory that are not in the kernel's own declarations.
    pub(in crate::backend::cuda) shared: u32,
    /// In the order of the kernel's parameters.
    pub(in crate::backend::cuda) arguments: Vec<Argument>,
}

/// A size as kernels count.
pub(super) fn small(number: usize) -> u32 {
    u32::try_from(number).expect("BUG: a kernel counts in 32 bits")
}

/// The first row of a modulation and the last, which may be the same.
pub(super) fn modulation(rows: &Operand) -> [Argument; 2] {
    let bytes = (rows.rows - 1) * rows.stride * rows.element.size();
    [rows.at.into(), (rows.at + bytes as u64).into()]
}

/// A name for each type of storage.
#[derive(Clone, Copy)]
pub(super) struct Names {
    f32: &'static str,
    bf16: &'static str,
}

impl Names {
    pub(super) const fn new(f32: &'static str, bf16: &'static str) -> Self {
        Self { f32, bf16 }
    }

    pub(super) fn of(self, element: Element) -> &'static str {
        match element {
            Element::F32 => self.f32,
            Element::Bf16 => self.bf16,
            Element::F8 | Element::U32 | Element::U8 => {
                panic!("BUG: activations are not {element:?}")
            }
        }
    }
}

/// The names of a kernel.
macro_rules! names {
    ($name:literal) => {
        $crate::backend::cuda::kernel::launch::Names::new(
            concat!($name, "_f32"),
            concat!($name, "_bf16"),
        )
    };
}

/// Arguments in the order in which they stand.
macro_rules! arguments {
    ($($argument:expr),* $(,)?) => {
        vec![$($crate::backend::cuda::kernel::Argument::from($argument)),*]
    };
}

pub(super) use {arguments, names};
