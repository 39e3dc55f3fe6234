//! What the device is doing, asked for once a second and kept for whoever wants to know.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use nvml_wrapper::{Device, Nvml};
use tryon_engine::supervisor::Supervisor;

const INTERVAL: Duration = Duration::from_secs(1);

/// The last readings; all zero without an NVIDIA driver.
#[derive(Debug, Default)]
pub(crate) struct Readings {
    memory_used_bytes: AtomicU64,
    utilization_percent: AtomicU64,
}

impl Readings {
    /// Device memory in use, in bytes.
    pub(crate) fn memory_used_bytes(&self) -> u64 {
        self.memory_used_bytes.load(Ordering::Relaxed)
    }

    /// Device utilisation, 0–100.
    pub(crate) fn utilization_percent(&self) -> u64 {
        self.utilization_percent.load(Ordering::Relaxed)
    }

    fn take(&self, device: &Device<'_>) {
        if let Ok(memory) = device.memory_info() {
            self.memory_used_bytes.store(memory.used, Ordering::Relaxed);
        }
        if let Ok(utilization) = device.utilization_rates() {
            self.utilization_percent
                .store(u64::from(utilization.gpu), Ordering::Relaxed);
        }
    }
}

/// Reads the device until dropped.
pub(crate) struct Meter {
    readings: Arc<Readings>,
    _stop: mpsc::Sender<()>,
}

impl Meter {
    /// Begins to read the device that the engine's worker computes on.
    pub(crate) fn start(supervisor: Supervisor) -> Self {
        let readings = Arc::new(Readings::default());
        let (stop, stopped) = mpsc::channel();
        let meter = Self {
            readings: Arc::clone(&readings),
            _stop: stop,
        };
        let reading = move || read(&readings, &supervisor, &stopped);
        // Without the thread the readings stay zero, which is no reason not to serve.
        if let Err(error) = thread::Builder::new()
            .name("gpu-meter".to_owned())
            .spawn(reading)
        {
            tracing::warn!(%error, "the device is not metered");
        }
        meter
    }

    pub(crate) fn readings(&self) -> &Readings {
        &self.readings
    }
}

fn read(readings: &Readings, supervisor: &Supervisor, stopped: &mpsc::Receiver<()>) {
    let nvml = match Nvml::init() {
        Ok(nvml) => nvml,
        Err(error) => return tracing::debug!(%error, "there is no NVIDIA device to meter"),
    };
    while stopped.recv_timeout(INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
        if let Some(device) = find_device(&nvml, supervisor.pid()) {
            readings.take(&device);
        }
    }
}

/// The device that the process `pid` computes on; the first where that cannot be told, as in a
/// container that counts processes by itself.
fn find_device(nvml: &Nvml, pid: Option<u32>) -> Option<Device<'_>> {
    let count = nvml.device_count().ok()?;
    let runs_worker = |device: &Device<'_>| {
        let processes = device.running_compute_processes().unwrap_or_default();
        processes.iter().any(|process| Some(process.pid) == pid)
    };
    let mut devices = (0..count).filter_map(|index| nvml.device_by_index(index).ok());
    devices
        .find(runs_worker)
        .or_else(|| nvml.device_by_index(0).ok())
}
