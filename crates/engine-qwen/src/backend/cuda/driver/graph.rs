//! Commands as one launch.
#![expect(unsafe_code, reason = "the driver is a C library")]

use std::sync::Arc;

use cudarc::driver::{
    result::{graph, stream},
    sys,
};

use super::{super::DeviceError, context::Context, error::Called as _};

/// Commands that were captured.
pub(super) struct Graph {
    executable: sys::CUgraphExec,
    // Destroyed in it, so it has to live as long.
    context: Arc<Context>,
}

// SAFETY: a graph may be launched by any thread that has entered its context.
unsafe impl Send for Graph {}

impl Graph {
    /// Captures what `work` asks for, none of which is carried out.
    pub(super) fn capture(
        context: &Arc<Context>,
        work: impl FnOnce() -> Result<(), DeviceError>,
    ) -> Result<Self, DeviceError> {
        let capture = Capture::begin(context)?;
        work()?;
        let captured = capture.end()?;
        let flags = sys::CUgraphInstantiate_flags(0);
        // SAFETY: the graph was just captured.
        let executable = unsafe { graph::instantiate(captured.0, flags) };
        let this = Self {
            executable: executable.called("cuGraphInstantiate")?,
            context: Arc::clone(context),
        };
        // SAFETY: both live.
        unsafe { graph::upload(this.executable, context.stream) }.called("cuGraphUpload")?;
        Ok(this)
    }

    pub(super) fn launch(&self) -> Result<(), DeviceError> {
        // SAFETY: both live.
        unsafe { graph::launch(self.executable, self.context.stream) }.called("cuGraphLaunch")
    }
}

/// What is captured from here on. A stream is of no use before that ends, so it does in any case.
struct Capture<'a>(&'a Context);

impl<'a> Capture<'a> {
    fn begin(context: &'a Context) -> Result<Self, DeviceError> {
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream lives as long as the context.
        unsafe { stream::begin_capture(context.stream, mode) }.called("cuStreamBeginCapture")?;
        Ok(Self(context))
    }

    fn end(self) -> Result<Captured, DeviceError> {
        let Self(context) = self;
        std::mem::forget(self);
        // SAFETY: as above; it captures.
        let captured = unsafe { stream::end_capture(context.stream) };
        captured.called("cuStreamEndCapture").map(Captured)
    }
}

impl Drop for Capture<'_> {
    fn drop(&mut self) {
        // SAFETY: as in `end`, which this has not come to.
        let captured = unsafe { stream::end_capture(self.0.stream) };
        drop(captured.map(Captured));
    }
}

/// What was captured; what is instantiated of it does not need it.
struct Captured(sys::CUgraph);

impl Drop for Captured {
    fn drop(&mut self) {
        // SAFETY: the driver has given it to this alone, and nothing uses it any more.
        let _ = unsafe { graph::destroy(self.0) };
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: it is launched no more; the driver waits for a launch that is under way.
            let _ = unsafe { graph::exec_destroy(self.executable) };
        }
    }
}
