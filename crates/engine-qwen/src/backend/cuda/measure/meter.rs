//! How much of a device's memory is taken at most.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::backend::cuda::{Command, Device, DeviceError, DeviceMemory};

/// A device that counts what is taken of its memory.
pub(super) struct Metered<D> {
    device: Arc<D>,
    taken: AtomicU64,
    most: AtomicU64,
}

impl<D: Device> Metered<D> {
    /// Counts from now on.
    pub(super) fn new(device: Arc<D>) -> Self {
        Self {
            device,
            taken: AtomicU64::new(0),
            most: AtomicU64::new(0),
        }
    }

    /// Bytes that are taken.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Forgets what was taken before.
    pub(super) fn restart(&self) {
        self.most.store(self.taken(), Ordering::Relaxed);
    }

    /// Bytes of the device that were in use at most since then: by this, by the libraries and by
    /// anybody else.
    pub(super) fn peak(&self) -> Result<u64, DeviceError> {
        let memory = self.device.memory()?;
        let above = self.most.load(Ordering::Relaxed) - self.taken();
        Ok(memory.total - memory.free + above)
    }
}

impl<D: Device> Device for Metered<D> {
    type Graph = D::Graph;

    fn memory(&self) -> Result<DeviceMemory, DeviceError> {
        self.device.memory()
    }

    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError> {
        let at = self.device.allocate(bytes)?;
        let before = self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
        self.most
            .fetch_max(before + bytes as u64, Ordering::Relaxed);
        Ok(at)
    }

    fn free(&self, at: u64, bytes: usize) {
        self.device.free(at, bytes);
        self.taken.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        self.device.write(at, bytes)
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), DeviceError> {
        self.device.read(at, bytes)
    }

    fn run(&self, commands: &[Command]) -> Result<(), DeviceError> {
        self.device.run(commands)
    }

    fn capture(&self, commands: &[Command]) -> Result<Self::Graph, DeviceError> {
        self.device.capture(commands)
    }

    fn replay(&self, graph: &Self::Graph) -> Result<(), DeviceError> {
        self.device.replay(graph)
    }

    fn release(&self) {
        self.device.release();
    }

    fn wants_forgetting(&self) -> bool {
        self.device.wants_forgetting()
    }

    fn has_fp8(&self) -> bool {
        self.device.has_fp8()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cuda::Host;

    #[test]
    fn the_most_is_what_was_taken_at_one_time() {
        let metered = Metered::new(Arc::new(Host::default()));
        let one = metered.allocate(1000).unwrap();
        let other = metered.allocate(200).unwrap();
        metered.free(one, 1000);
        assert_eq!((metered.taken(), metered.peak().unwrap()), (200, 1200));
        metered.restart();
        let third = metered.allocate(30).unwrap();
        assert_eq!(metered.peak().unwrap(), 230);
        metered.free(third, 30);
        metered.free(other, 200);
        assert_eq!((metered.taken(), metered.peak().unwrap()), (0, 230));
    }
}
