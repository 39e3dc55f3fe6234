//! A device, its context and its one stream.
#![expect(unsafe_code, reason = "the driver is a C library")]

use std::{path::PathBuf, time::Instant};

use cudarc::driver::{
    result::{self, ctx, device, event, primary_ctx, stream},
    sys::{self, CUdevice_attribute as Attribute},
};

use super::{
    super::{DeviceError, DeviceMemory},
    error::{Called as _, Code as _, OpenError},
    library::Library,
};

/// A device that the driver knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number, from 0 on.
    pub ordinal: usize,
    /// A name such as `NVIDIA H200`.
    pub name: String,
    /// Compute capability, major and minor.
    pub capability: (u32, u32),
    /// All of its memory, in bytes.
    pub memory: u64,
    /// Where it is: the domain, the bus and the number on it. Its own number, which depends on
    /// `CUDA_VISIBLE_DEVICES`, means another device to others.
    pub pci: (u32, u32, u32),
}

/// The devices that the driver knows; `folders` are looked into first for the driver's library.
///
/// # Errors
///
/// A driver that is not there, or cannot be talked to.
pub fn devices(folders: &[PathBuf]) -> Result<Vec<Listed>, OpenError> {
    Library::Cuda.open(folders)?;
    match result::init() {
        Err(error) if error.0 == sys::cudaError_enum::CUDA_ERROR_NO_DEVICE => return Ok(Vec::new()),
        initialised => initialised.called("cuInit")?,
    }
    let count = device::get_count().called("cuDeviceGetCount")?;
    let listed = (0..count).map(|ordinal| listed(ordinal).map_err(OpenError::from));
    listed.collect()
}

fn listed(ordinal: i32) -> Result<Listed, DeviceError> {
    let device = device::get(ordinal).called("cuDeviceGet")?;
    let attribute = |attribute| {
        // SAFETY: the driver has just given this device.
        let value = unsafe { device::get_attribute(device, attribute) };
        value.called("cuDeviceGetAttribute").map(i32::cast_unsigned)
    };
    Ok(Listed {
        ordinal: ordinal as usize,
        name: device::get_name(device).called("cuDeviceGetName")?,
        capability: (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        // SAFETY: as above.
        memory: unsafe { device::total_mem(device) }.called("cuDeviceTotalMem")? as u64,
        pci: (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_PCI_BUS_ID)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID)?,
        ),
    })
}

/// The device's context, entered by whichever thread uses it, and a stream on which everything
/// happens in order.
pub(super) struct Context {
    pub(super) listed: Listed,
    pub(super) stream: sys::CUstream,
    device: sys::CUdevice,
    handle: sys::CUcontext,
}

// SAFETY: a context may be entered by any thread, and by several; so may its handles be used.
unsafe impl Send for Context {}
// SAFETY: likewise.
unsafe impl Sync for Context {}

impl Context {
    pub(super) fn open(ordinal: usize, folders: &[PathBuf]) -> Result<Self, OpenError> {
        let mut known = devices(folders)?;
        if ordinal >= known.len() {
            return Err(OpenError::NoDevice {
                ordinal,
                known: known.len(),
            });
        }
        let listed = known.swap_remove(ordinal);
        if listed.capability < (8, 0) {
            return Err(OpenError::TooOld {
                name: listed.name,
                capability: listed.capability,
            });
        }
        let device = device::get(ordinal as i32).called("cuDeviceGet")?;
        // SAFETY: the driver has just given this device.
        let context = unsafe { primary_ctx::retain(device) }.called("cuDevicePrimaryCtxRetain")?;
        // SAFETY: the context was just retained.
        unsafe { ctx::set_current(context) }.called("cuCtxSetCurrent")?;
        let stream = stream::create(stream::StreamKind::NonBlocking).called("cuStreamCreate")?;
        Ok(Self {
            listed,
            stream,
            device,
            handle: context,
        })
    }

    /// Has this thread talk to the device.
    pub(super) fn enter(&self) -> Result<(), DeviceError> {
        // SAFETY: the context is retained for as long as this lives.
        unsafe { ctx::set_current(self.handle) }.called("cuCtxSetCurrent")
    }

    /// Waits for everything that was asked for.
    pub(super) fn finish(&self) -> Result<(), DeviceError> {
        // SAFETY: the stream lives as long as this.
        unsafe { stream::synchronize(self.stream) }.called("cuStreamSynchronize")
    }

    pub(super) fn memory(&self) -> Result<DeviceMemory, DeviceError> {
        self.enter()?;
        let (free, total) = result::mem_get_info().called("cuMemGetInfo")?;
        Ok(DeviceMemory {
            free: free as u64,
            total: total as u64,
        })
    }

    /// An error of memory says how much was asked for.
    pub(super) fn allocate(&self, bytes: usize) -> Result<u64, DeviceError> {
        self.enter()?;
        // SAFETY: what is allocated is not read before it is written, by the plan's making.
        match unsafe { result::malloc_sync(bytes.max(1)) }.called("cuMemAlloc") {
            Err(DeviceError::OutOfMemory { .. }) => Err(DeviceError::OutOfMemory { bytes }),
            allocated => allocated,
        }
    }

    /// The driver waits until nothing uses it. Of a device that is lost there is nothing to free.
    pub(super) fn free(&self, at: u64) {
        if self.enter().is_ok() {
            // SAFETY: it was allocated here, and its owner gives it back once.
            let _ = unsafe { result::free_sync(at) };
        }
    }

    /// What is to be made of an error of another library: the driver's, if the device is lost.
    pub(super) fn examined(&self, error: DeviceError) -> DeviceError {
        if matches!(error, DeviceError::Failed { sticky: true, .. }) || self.enter().is_err() {
            return error;
        }
        match ctx::synchronize().map_err(|code| code.of("cuCtxSynchronize")) {
            Err(lost @ DeviceError::Failed { sticky: true, .. }) => lost,
            _ => error,
        }
    }

    /// How long it takes until what is asked for is done, in seconds. By this machine's clock: what
    /// the bindings of CUDA 13 have for it, drivers before 12.8 do not.
    pub(super) fn time(
        &self,
        work: impl FnOnce() -> Result<(), DeviceError>,
    ) -> Result<f64, DeviceError> {
        self.finish()?;
        let start = Instant::now();
        work()?;
        self.finish()?;
        Ok(start.elapsed().as_secs_f64())
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: nothing uses stream or context any more: what does borrows or precedes this.
        unsafe {
            let _ = stream::destroy(self.stream);
            let _ = primary_ctx::release(self.device);
        }
    }
}

/// A place on a stream.
pub(super) struct Event(sys::CUevent);

// SAFETY: an event may be recorded and waited for by any thread.
unsafe impl Send for Event {}

impl Event {
    pub(super) fn new() -> Result<Self, DeviceError> {
        let event = event::create(sys::CUevent_flags::CU_EVENT_DEFAULT);
        event.called("cuEventCreate").map(Self)
    }

    pub(super) fn record(&self, stream: sys::CUstream) -> Result<(), DeviceError> {
        // SAFETY: both live.
        unsafe { event::record(self.0, stream) }.called("cuEventRecord")
    }

    /// Waits until the stream is past it; at once if it was never recorded.
    pub(super) fn wait(&self) -> Result<(), DeviceError> {
        // SAFETY: it lives.
        unsafe { event::synchronize(self.0) }.called("cuEventSynchronize")
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: it is used no more.
        let _ = unsafe { event::destroy(self.0) };
    }
}
