//! Commands as one launch.
#![expect(unsafe_code, reason = "the driver is a C library")]

use std::sync::Arc;

use cudarc::driver::{
    result::{graph, stream},
    sys,
};

use super::{super::DeviceError, context::Context, error::Called as _};

/// Commands that were captured.
pub struct Graph {
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
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream lives as long as the context.
        unsafe { stream::begin_capture(context.stream, mode) }.called("cuStreamBeginCapture")?;
        let done = work();
        // Also of work that failed: the stream is of no use before.
        // SAFETY: as above.
        let captured = unsafe { stream::end_capture(context.stream) };
        done?;
        let captured = captured.called("cuStreamEndCapture")?;
        // SAFETY: the graph was just captured.
        let executable = unsafe { graph::instantiate(captured, sys::CUgraphInstantiate_flags(0)) };
        // SAFETY: what is instantiated does not need it.
        let _ = unsafe { graph::destroy(captured) };
        let executable = executable.called("cuGraphInstantiate")?;
        let this = Self {
            executable,
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

impl Drop for Graph {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: it is launched no more; the driver waits for a launch that is under way.
            let _ = unsafe { graph::exec_destroy(self.executable) };
        }
    }
}
