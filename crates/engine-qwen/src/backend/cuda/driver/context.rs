//! A device, its context and its one stream.
#![expect(unsafe_code, reason = "the driver is a C library")]

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use cudarc::driver::{
    result::{self, ctx, device, event, primary_ctx, stream},
    sys::{self, CUdevice_attribute as Attribute},
};

use super::{
    super::{DeviceError, DeviceMemory},
    error::{Called as _, OpenError},
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
    primary: Primary,
    /// Whether an error has ended the device's use by this process.
    lost: AtomicBool,
}

/// A device's primary context, retained.
struct Primary {
    device: sys::CUdevice,
    handle: sys::CUcontext,
}

impl Primary {
    fn retain(device: sys::CUdevice) -> Result<Self, DeviceError> {
        // SAFETY: the driver has given this device.
        let handle = unsafe { primary_ctx::retain(device) };
        let handle = handle.called("cuDevicePrimaryCtxRetain")?;
        Ok(Self { device, handle })
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        // SAFETY: it was retained, and nothing uses it any more: what does keeps it.
        let _ = unsafe { primary_ctx::release(self.device) };
    }
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
        let primary = Primary::retain(device)?;
        // SAFETY: the context was just retained.
        unsafe { ctx::set_current(primary.handle) }.called("cuCtxSetCurrent")?;
        let stream = stream::create(stream::StreamKind::NonBlocking).called("cuStreamCreate")?;
        Ok(Self {
            listed,
            stream,
            primary,
            lost: AtomicBool::new(false),
        })
    }

    /// Has this thread talk to the device.
    pub(super) fn enter(&self) -> Result<(), DeviceError> {
        // SAFETY: the context is retained for as long as this lives.
        unsafe { ctx::set_current(self.primary.handle) }.called("cuCtxSetCurrent")
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
    pub(super) fn free(&self, at: u64) -> Result<(), DeviceError> {
        self.enter()?;
        // SAFETY: it was allocated here, and its owner gives it back once.
        unsafe { result::free_sync(at) }.called("cuMemFree")
    }

    /// Whether an error that [was looked at](Self::examined) has ended the device's use.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// What was done, or what is to be made of its error, which may be another library's: the
    /// driver's, if the device is lost. That it is, is remembered.
    pub(super) fn examined<T>(&self, done: Result<T, DeviceError>) -> Result<T, DeviceError> {
        done.map_err(|error| {
            let error = self.cause_of(error);
            if error.is_sticky() {
                self.lost.store(true, Ordering::Relaxed);
            }
            error
        })
    }

    /// `None` of what a library refuses. Memory that runs out and a device that is lost are errors:
    /// they say nothing of what was tried.
    pub(super) fn tried<T>(&self, done: Result<T, DeviceError>) -> Result<Option<T>, DeviceError> {
        match self.examined(done) {
            Err(error) if error.is_refusal() => Ok(None),
            done => done.map(Some),
        }
    }

    fn cause_of(&self, error: DeviceError) -> DeviceError {
        if error.is_sticky() {
            return error;
        }
        let known = self.enter();
        match known.and_then(|()| ctx::synchronize().called("cuCtxSynchronize")) {
            Err(lost) if lost.is_sticky() => lost,
            _ => error,
        }
    }

    /// Whether what is asked for is captured and not carried out.
    pub(super) fn is_capturing(&self) -> Result<bool, DeviceError> {
        // SAFETY: the stream lives as long as this.
        let status = unsafe { stream::is_capturing(self.stream) };
        let status = status.called("cuStreamIsCapturing")?;
        Ok(status != sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE)
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
        // SAFETY: nothing uses it any more: what does keeps or borrows this.
        let _ = unsafe { stream::destroy(self.stream) };
    }
}

/// Memory of the device, given back when it is dropped.
pub(super) struct Scratch {
    at: u64,
    context: Arc<Context>,
}

impl Scratch {
    pub(super) fn new(context: &Arc<Context>, bytes: usize) -> Result<Self, DeviceError> {
        Ok(Self {
            at: context.allocate(bytes)?,
            context: Arc::clone(context),
        })
    }

    /// Its first address.
    pub(super) fn at(&self) -> u64 {
        self.at
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = self.context.examined(self.context.free(self.at));
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
