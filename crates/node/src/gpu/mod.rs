//! What the device is doing, asked for once a second and kept for whoever wants to know.

mod choice;
mod figure;
mod reading;

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use nvml_wrapper::{Device, Nvml};
use tryon_api::node::GpuReport;
use tryon_engine::supervisor::Supervisor;

use self::choice::{Candidate, Counting, choose};
pub(crate) use self::figure::list_figures;

const INTERVAL: Duration = Duration::from_secs(1);

/// The last reading; none without an NVIDIA driver, or where no device can be told.
type Last = Arc<Mutex<Option<GpuReport>>>;

/// Reads the device until dropped.
pub(crate) struct Meter {
    last: Last,
    _stop: mpsc::Sender<()>,
}

impl Meter {
    /// Begins to read the device that the engine's worker computes on.
    pub(crate) fn start(supervisor: Supervisor) -> Self {
        let last = Last::default();
        let (stop, stopped) = mpsc::channel();
        let meter = Self {
            last: Arc::clone(&last),
            _stop: stop,
        };
        let reading = move || read(&last, &supervisor, &stopped);
        // Without the thread there is no reading, which is no reason not to serve.
        if let Err(error) = thread::Builder::new()
            .name("gpu-meter".to_owned())
            .spawn(reading)
        {
            tracing::warn!(%error, "the device is not metered");
        }
        meter
    }

    /// The device, as it was when it was read last.
    pub(crate) fn find_gpu(&self) -> Option<GpuReport> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }
}

fn read(last: &Last, supervisor: &Supervisor, stopped: &mpsc::Receiver<()>) {
    let nvml = match Nvml::init() {
        Ok(nvml) => nvml,
        Err(error) => return tracing::debug!(%error, "there is no NVIDIA device to meter"),
    };
    let counting = Counting::of_environment();
    while stopped.recv_timeout(INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
        let device = find_device(&nvml, supervisor.pid(), &counting);
        let reading = device.as_ref().map(reading::take);
        *last.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }
}

/// The device that the process `pid` computes on, or would.
fn find_device<'nvml>(
    nvml: &'nvml Nvml,
    pid: Option<u32>,
    counting: &Counting,
) -> Option<Device<'nvml>> {
    let indices = 0..nvml.device_count().ok()?;
    let candidates: Vec<_> = indices.filter_map(|index| look_at(nvml, index)).collect();
    let index = choose(&candidates, pid, counting)?;
    nvml.device_by_index(index).ok()
}

fn look_at(nvml: &Nvml, index: u32) -> Option<Candidate> {
    let device = nvml.device_by_index(index).ok()?;
    let processes = device.running_compute_processes().unwrap_or_default();
    Some(Candidate {
        index,
        name: device.name().ok(),
        uuid: device.uuid().ok(),
        pids: processes.iter().map(|process| process.pid).collect(),
    })
}
