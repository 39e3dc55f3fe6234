//! Bytes to and from the device, through memory that the device reads by itself.
//!
//! Of two buffers one is filled by every core, which is what reads a mapped file from its disk,
//! while the device fetches the other.
#![expect(unsafe_code, reason = "the driver is a C library")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cudarc::driver::result::{free_host, malloc_host, memcpy_dtoh_async, memcpy_htod_async};
use rayon::prelude::*;

use super::{
    super::DeviceError,
    context::{Context, Event},
    error::Called as _,
};

/// Bytes of a buffer.
const BUFFER: usize = 32 << 20;
/// Bytes that a core copies at a time.
const PIECE: usize = 1 << 20;

/// How much was put on a device, and how long that took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Written {
    /// Bytes.
    pub bytes: u64,
    /// From a call to its return.
    pub busy: Duration,
}

impl Written {
    /// 10⁹ bytes a second; 0 before anything was written.
    pub fn gb_per_second(&self) -> f64 {
        let seconds = self.busy.as_secs_f64();
        if seconds == 0.0 {
            return 0.0;
        }
        self.bytes as f64 / seconds / 1e9
    }
}

/// Memory of this machine that stays where it is: [`BUFFER`] bytes.
struct Pinned {
    at: *mut u8,
    /// When the device is done with it.
    free: Event,
    // Freed in it, so it has to live as long.
    context: Arc<Context>,
}

// SAFETY: it is memory like other memory, owned by one.
unsafe impl Send for Pinned {}

impl Pinned {
    /// Zeros.
    fn new(context: &Arc<Context>) -> Result<Self, DeviceError> {
        let free = Event::new()?;
        // SAFETY: it is written to below, before anybody reads it.
        let at = unsafe { malloc_host(BUFFER, 0) }.called("cuMemHostAlloc")?;
        let at = at.cast::<u8>();
        // SAFETY: there are as many bytes.
        unsafe { at.write_bytes(0, BUFFER) };
        Ok(Self {
            at,
            free,
            context: Arc::clone(context),
        })
    }

    /// The first bytes of it, at most all, once the device is done with them.
    fn bytes(&mut self, count: usize) -> Result<&mut [u8], DeviceError> {
        self.free.wait()?;
        // SAFETY: there are `BUFFER` bytes, each of which was written to, in use by nobody else since
        // the event.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.at, count.min(BUFFER)) })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let done = self.context.enter().and_then(|()| self.context.finish());
        // What a lost device still does with it, nobody knows: it is left to the process.
        if self.context.examined(done).is_ok() {
            // SAFETY: nothing reads it any more.
            let _ = unsafe { free_host(self.at.cast()) };
        }
    }
}

/// The two buffers.
pub(super) struct Staging {
    buffers: [Pinned; 2],
    /// Which of them is taken next, also by the next writing: one is filled while the other is sent.
    next: usize,
    written: Written,
    context: Arc<Context>,
}

impl Staging {
    pub(super) fn new(context: &Arc<Context>) -> Result<Self, DeviceError> {
        Ok(Self {
            buffers: [Pinned::new(context)?, Pinned::new(context)?],
            next: 0,
            written: Written::default(),
            context: Arc::clone(context),
        })
    }

    pub(super) fn written(&self) -> Written {
        self.written
    }

    pub(super) fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        let start = Instant::now();
        for (i, chunk) in bytes.chunks(BUFFER).enumerate() {
            let pinned = &mut self.buffers[self.next];
            self.next = 1 - self.next;
            let buffer = pinned.bytes(chunk.len())?;
            let pieces = buffer.par_chunks_mut(PIECE).zip(chunk.par_chunks(PIECE));
            pieces.for_each(|(to, from)| to.copy_from_slice(from));
            let to = at + (i * BUFFER) as u64;
            // SAFETY: the caller owns as much memory from `at` on; the buffer is not touched
            // before the event that follows.
            unsafe { memcpy_htod_async(to, buffer, self.context.stream) }
                .called("cuMemcpyHtoDAsync")?;
            pinned.free.record(self.context.stream)?;
        }
        self.written.bytes += bytes.len() as u64;
        self.written.busy += start.elapsed();
        Ok(())
    }

    pub(super) fn read(&mut self, at: u64, bytes: &mut [u8]) -> Result<(), DeviceError> {
        for (i, chunk) in bytes.chunks_mut(BUFFER).enumerate() {
            let buffer = self.buffers[0].bytes(chunk.len())?;
            let from = at + (i * BUFFER) as u64;
            // SAFETY: the caller owns as much memory from `at` on, and the buffer is waited for.
            unsafe { memcpy_dtoh_async(buffer, from, self.context.stream) }
                .called("cuMemcpyDtoHAsync")?;
            self.context.finish()?;
            chunk.copy_from_slice(buffer);
        }
        Ok(())
    }
}
