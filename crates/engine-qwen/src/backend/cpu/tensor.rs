//! The numbers of a tensor.

use std::ops::Deref;

use candle_core::{CpuStorage, Device, Storage, Tensor};

use super::Result;

/// The numbers of a tensor, row by row, for as long as its storage is held.
struct Values<Guard> {
    storage: Guard,
    start: usize,
    length: usize,
}

/// The numbers of `tensor`, where they lie: every tensor of this backend is contiguous.
pub(super) fn values(tensor: &Tensor) -> impl Deref<Target = [f32]> + Sync + '_ {
    let (storage, layout) = tensor.storage_and_layout();
    let (start, end) = layout
        .contiguous_offsets()
        .expect("BUG: tensors of this backend are contiguous");
    Values {
        storage,
        start,
        length: end - start,
    }
}

impl<Guard: Deref<Target = Storage>> Deref for Values<Guard> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.start..][..self.length],
            _ => panic!("BUG: tensors of this backend are 32-bit and on the CPU"),
        }
    }
}

/// A tensor of these numbers.
pub(super) fn tensor(values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// Numbers to be written, each of them once. Zeroed: the pages come from the system as they are.
pub(super) fn blank(length: usize) -> Vec<f32> {
    vec![0.0; length]
}

/// The length of the last dimension.
pub(super) fn width(tensor: &Tensor) -> usize {
    *tensor.dims().last().expect("BUG: a tensor has a dimension")
}
