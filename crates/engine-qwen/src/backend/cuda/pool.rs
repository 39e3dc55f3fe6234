//! Memory that tensors and weights lie in.
//!
//! Large pieces are the device's own; small ones are cut from slabs, because a device hands out
//! memory by the megabyte. A piece of a size that was just given back is found where it was, so
//! that steps of the same kind use the same addresses.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    arena::{Space, aligned},
    device::{Device, DeviceError},
};

/// Bytes of a slab.
const SLAB: usize = 32 << 20;
/// What is as large has memory of its own.
const LARGE: usize = 4 << 20;

/// A piece of a device's memory, given back when it is dropped.
pub(super) struct Memory {
    at: u64,
    bytes: usize,
    owner: Arc<dyn Owner>,
}

/// Whom memory is given back to.
trait Owner: Send + Sync {
    fn give(&self, at: u64, bytes: usize);
}

/// A device's memory.
pub(super) struct Pool<D: Device> {
    device: Arc<D>,
    /// By their first address.
    slabs: Mutex<BTreeMap<u64, Space>>,
}

impl Memory {
    /// Its first address.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// How much there is of it.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.owner.give(self.at, self.bytes);
    }
}

impl<D: Device> Pool<D> {
    pub(super) fn new(device: Arc<D>) -> Arc<Self> {
        Arc::new(Self {
            device,
            slabs: Mutex::default(),
        })
    }

    /// Takes memory, at a multiple of 256.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Result<Memory, DeviceError> {
        let bytes = aligned(bytes.max(1));
        let at = if bytes >= LARGE {
            self.device.allocate(bytes)?
        } else {
            self.cut(bytes)?
        };
        Ok(Memory {
            at,
            bytes,
            owner: Arc::<Self>::clone(self),
        })
    }

    fn cut(&self, bytes: usize) -> Result<u64, DeviceError> {
        let mut slabs = self.slabs.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, space) in slabs.iter_mut() {
            if let Some(offset) = space.find(bytes) {
                return Ok(at + offset as u64);
            }
        }
        let at = self.device.allocate(SLAB)?;
        let mut space = Space::of(SLAB);
        let offset = space.find(bytes).expect("BUG: a slab has room for a piece");
        slabs.insert(at, space);
        Ok(at + offset as u64)
    }
}

impl<D: Device> Owner for Pool<D> {
    fn give(&self, at: u64, bytes: usize) {
        if bytes >= LARGE {
            return self.device.free(at, bytes);
        }
        let mut slabs = self.slabs.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, space) = slabs
            .range_mut(..=at)
            .next_back()
            .expect("BUG: a small piece is of a slab");
        let start = *start;
        space.give((at - start) as usize, bytes);
        if space.is_free() {
            slabs.remove(&start);
            self.device.free(start, SLAB);
        }
    }
}
