//! Ordinary memory as a device, and the arithmetic of [`Cpu`](crate::backend::Cpu).
//!
//! It carries commands out as a GPU would, on memory that it was told to use and on nothing else.
//! What was never written, or is to be forgotten, is no number; so a value that is read from where
//! it should not be spoils everything that comes of it.

mod execute;
#[cfg(test)]
pub(super) mod refusing;

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    command::{Command, Kind, Operand},
    device::{Device, DeviceError, DeviceMemory},
};

/// A device in ordinary memory.
#[derive(Debug)]
pub struct Host {
    memory: Mutex<Memory>,
    total: u64,
}

#[derive(Debug, Default)]
struct Memory {
    /// By their first address.
    pieces: BTreeMap<u64, Vec<u8>>,
    taken: u64,
    /// How often memory was asked for.
    allocations: u64,
    /// How often it was told to give back what it keeps.
    releases: u64,
}

/// The first address: 0 is nobody's.
const FIRST: u64 = 1 << 20;

/// A byte of what is no number in any type.
const NOTHING: u8 = 0xff;

impl Host {
    /// A device with this much memory.
    pub fn with_memory(total: u64) -> Self {
        Self {
            memory: Mutex::default(),
            total,
        }
    }

    /// How often memory was asked for.
    pub fn allocations(&self) -> u64 {
        self.memory().allocations
    }

    /// How often it was told to give back what it keeps, of which there is nothing.
    pub fn releases(&self) -> u64 {
        self.memory().releases
    }

    /// Bytes that are taken.
    pub fn taken(&self) -> u64 {
        self.memory().taken
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::with_memory(1 << 40)
    }
}

impl Memory {
    /// The piece that has these bytes, and where in it they are.
    fn find(&mut self, at: u64, bytes: usize) -> &mut [u8] {
        let (start, piece) = self
            .pieces
            .range_mut(..=at)
            .next_back()
            .expect("BUG: an address before all memory");
        let offset = (at - start) as usize;
        assert!(
            offset + bytes <= piece.len(),
            "BUG: {bytes} bytes at {at:#x} are not all of one piece"
        );
        &mut piece[offset..][..bytes]
    }

    /// The bytes of a matrix, row by row.
    fn gather(&mut self, operand: &Operand) -> Vec<u8> {
        let size = operand.element.size();
        let bytes = self.find(operand.at, operand.bytes());
        let rows = bytes.chunks(operand.stride * size);
        rows.flat_map(|row| &row[..operand.width * size])
            .copied()
            .collect()
    }

    /// Writes a matrix, row by row.
    fn scatter(&mut self, operand: &Operand, values: &[u8]) {
        let size = operand.element.size();
        let (width, stride) = (operand.width * size, operand.stride * size);
        assert_eq!(
            values.len(),
            width * operand.rows,
            "BUG: as many values as the operand has"
        );
        let bytes = self.find(operand.at, operand.bytes());
        for (row, values) in bytes.chunks_mut(stride).zip(values.chunks(width)) {
            row[..width].copy_from_slice(values);
        }
    }
}

impl Device for Host {
    type Graph = Vec<Command>;

    fn memory(&self) -> Result<DeviceMemory, DeviceError> {
        Ok(DeviceMemory {
            free: self.total - self.taken(),
            total: self.total,
        })
    }

    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError> {
        let mut memory = self.memory();
        if memory.taken + bytes as u64 > self.total {
            return Err(DeviceError::OutOfMemory { bytes });
        }
        // Apart from each other, so that what runs over an end is found out.
        let last = memory.pieces.last_key_value();
        let at = last.map_or(FIRST, |(at, piece)| {
            (at + piece.len() as u64).next_multiple_of(256) + 4096
        });
        memory.pieces.insert(at, vec![NOTHING; bytes]);
        memory.taken += bytes as u64;
        memory.allocations += 1;
        Ok(at)
    }

    fn free(&self, at: u64, bytes: usize) {
        let mut memory = self.memory();
        let piece = memory.pieces.remove(&at);
        assert_eq!(
            piece.map(|piece| piece.len()),
            Some(bytes),
            "BUG: what was taken is given back"
        );
        memory.taken -= bytes as u64;
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        self.memory().find(at, bytes.len()).copy_from_slice(bytes);
        Ok(())
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), DeviceError> {
        bytes.copy_from_slice(self.memory().find(at, bytes.len()));
        Ok(())
    }

    fn run(&self, commands: &[Command]) -> Result<(), DeviceError> {
        let mut memory = self.memory();
        for command in commands {
            if command.kind == Kind::Forget {
                for gone in &command.writes {
                    memory.find(gone.at, gone.bytes()).fill(NOTHING);
                }
            } else {
                execute::execute(&mut memory, command);
            }
        }
        Ok(())
    }

    fn capture(&self, commands: &[Command]) -> Result<Vec<Command>, DeviceError> {
        Ok(commands.to_vec())
    }

    fn replay(&self, graph: &Vec<Command>) -> Result<(), DeviceError> {
        self.run(graph)
    }

    fn release(&self) {
        self.memory().releases += 1;
    }

    fn wants_forgetting(&self) -> bool {
        true
    }

    fn has_fp8(&self) -> bool {
        true
    }
}
