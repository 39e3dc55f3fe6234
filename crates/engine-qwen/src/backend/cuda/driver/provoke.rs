//! Errors that are provoked, to see what becomes of them.

use super::{
    super::{Command, Device as _, DeviceError, Element, Kind, Operand},
    Gpu,
};

impl Gpu {
    /// Asks for twice the memory that there is, then for some that there is: whether the first is
    /// refused, which it should be.
    ///
    /// # Errors
    ///
    /// The first is refused for another reason than that there is too little; the second is refused.
    pub fn overfill(&self) -> Result<bool, DeviceError> {
        let twice = usize::try_from(2 * self.memory()?.total).unwrap_or(usize::MAX);
        let refused = match self.allocate(twice) {
            Err(DeviceError::OutOfMemory { .. }) => true,
            Err(other) => return Err(other),
            Ok(at) => {
                self.free(at, twice);
                false
            }
        };
        let some = 1 << 20;
        let at = self.allocate(some)?;
        self.free(at, some);
        Ok(refused)
    }

    /// Has a kernel write where nothing is, which ends the device's use by this process. What it
    /// said of it; `None` if it did not mind. Afterwards [`Self::is_lost`] and everything is an
    /// error.
    pub fn lose(&self) -> Option<DeviceError> {
        // No allocation of the driver's is there.
        let nowhere = Operand {
            at: 16,
            element: Element::F32,
            rows: 1,
            width: 8,
            stride: 8,
        };
        let wrong = Command {
            kind: Kind::Add,
            reads: vec![nowhere, nowhere],
            writes: vec![nowhere],
        };
        let sent = self.run(std::slice::from_ref(&wrong));
        sent.and_then(|()| self.read(16, &mut [0; 4])).err()
    }
}
