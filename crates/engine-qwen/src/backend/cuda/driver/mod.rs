//! A real GPU: a device on NVIDIA's driver and libraries, all of them opened while the program
//! runs.
//!
//! Everything is asked for on one stream, so it happens in order. A plan's products and attentions
//! are timed when they are met first, in the ways that the libraries and the kernels have; what
//! was the fastest is used from then on, and that of products is kept on disk.

mod alias;
mod compile;
mod context;
mod error;
mod fused;
mod graph;
mod kernels;
mod library;
mod product;
mod provoke;
mod transfer;
mod version;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use self::{
    context::Context,
    fused::{Fused, Held},
    graph::Graph,
    kernels::Kernels,
    product::Products,
    transfer::Staging,
};
pub use self::{
    context::{Listed, devices},
    error::OpenError,
    library::Library,
    transfer::Written,
    version::{CudaVersion, driver_version},
};
use super::{Command, Device, DeviceError, DeviceMemory, Kind, kernel, recent::Recent};

/// Attentions of which it is known what is the faster for them: several for each of the library's
/// plans, as the kernel's are among them.
const ATTENTIONS: usize = 256;

/// Which GPU, and what it is used with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Its number, from 0 on.
    pub ordinal: usize,
    /// Folders in which NVIDIA's libraries are looked for first.
    pub libraries: Vec<PathBuf>,
    /// Where compiled kernels and timed algorithms are kept; nowhere if it is not said.
    pub cache: Option<PathBuf>,
}

/// A GPU.
pub struct Gpu {
    kernels: Kernels,
    tools: Mutex<Tools>,
    context: Arc<Context>,
}

/// Commands that were captured.
pub struct Captured {
    graph: Graph,
    // What it computes by, for as long as it may.
    _attentions: Vec<Arc<Held>>,
}

/// What one thread at a time uses.
struct Tools {
    products: Products,
    fused: Option<Fused>,
    /// Whether the library is faster than the kernel, by the shape of an attention.
    attentions: Recent<Command, bool>,
    staging: Staging,
}

impl Gpu {
    /// Opens a GPU: compiles the kernels, if they are not in the cache, and opens the libraries.
    ///
    /// # Errors
    ///
    /// A library that is not there, with everywhere that it was looked for, or cannot be used; a GPU
    /// that is not there, or too old; a driver that refuses. cuDNN may be missing: there is a kernel
    /// for what it does.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let context = Arc::new(Context::open(options.ordinal, &options.libraries)?);
        Library::Nvrtc.open(&options.libraries)?;
        Library::CublasLt.open(&options.libraries)?;
        let fused = match Library::Cudnn.open(&options.libraries) {
            Ok(_) => context.tried(Fused::open(&context))?.flatten(),
            Err(_) => None,
        };
        let tools = Tools {
            products: Products::open(&context, options.cache.clone())?,
            fused,
            attentions: Recent::new(ATTENTIONS),
            staging: Staging::new(&context)?,
        };
        Ok(Self {
            kernels: Kernels::load(&context, options.cache.as_deref())?,
            tools: Mutex::new(tools),
            context,
        })
    }

    /// What the driver says of it.
    pub fn listed(&self) -> &Listed {
        &self.context.listed
    }

    /// The newest CUDA that the driver knows, and each library that is used, with its version.
    pub fn versions(&self) -> Vec<(&'static str, String)> {
        version::all(self.tools().fused.is_some())
    }

    /// How much was put on it so far, and how fast.
    pub fn written(&self) -> Written {
        self.tools().staging.written()
    }

    /// Whether an error has ended its use by this process, which has to be started anew.
    pub fn is_lost(&self) -> bool {
        self.context.is_lost()
    }

    /// What there is of its memory.
    pub fn memory(&self) -> Result<DeviceMemory, DeviceError> {
        self.context.examined(self.context.memory())
    }

    /// Whether it multiplies FP8 matrices.
    pub fn has_fp8(&self) -> bool {
        self.context.listed.capability >= (8, 9)
    }

    /// How long it works on these commands, in seconds, once what has to be found out about them
    /// is known.
    pub(crate) fn time(&self, commands: &[Command]) -> Result<f64, DeviceError> {
        self.run(commands)?;
        self.guarded(|tools| {
            let all = || self.send(tools, commands);
            self.context.time(all)
        })
    }

    /// Which of the two attends as this command wants, and was the faster: whether it is cuDNN.
    pub(crate) fn is_fused(&self, command: &Command) -> bool {
        self.tools().attentions.peek(&placeless(command)) == Some(&true)
    }

    fn tools(&self) -> MutexGuard<'_, Tools> {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something with the device, in its context.
    fn guarded<T>(
        &self,
        work: impl FnOnce(&mut Tools) -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        let mut tools = self.tools();
        let done = self.context.enter().and_then(|()| work(&mut tools));
        self.context.examined(done)
    }

    fn send(&self, tools: &mut Tools, commands: &[Command]) -> Result<(), DeviceError> {
        commands
            .iter()
            .try_for_each(|command| self.one(tools, command))
    }

    fn one(&self, tools: &mut Tools, command: &Command) -> Result<(), DeviceError> {
        match command.kind {
            Kind::Forget => Ok(()),
            Kind::Matmul { .. } => {
                let rest = tools.products.multiply(command)?;
                let mut rest = rest.iter();
                rest.try_for_each(|launch| self.kernels.launch(&self.context, launch))
            }
            Kind::Attend { .. } => self.attend(tools, command),
            _ => self.kernel(command),
        }
    }

    fn kernel(&self, command: &Command) -> Result<(), DeviceError> {
        let launch = kernel::launch(command).expect("BUG: it is a kernel's");
        self.kernels.launch(&self.context, &launch)
    }

    fn attend(&self, tools: &mut Tools, command: &Command) -> Result<(), DeviceError> {
        let fused = self.is_to_be_fused(tools, command)?;
        if fused
            && let Some(library) = &mut tools.fused
            && library.can(command)?
        {
            return library.attend(command);
        }
        self.kernel(command)
    }

    /// Whether the library is to do it, found out if it is not known.
    fn is_to_be_fused(&self, tools: &mut Tools, command: &Command) -> Result<bool, DeviceError> {
        let key = placeless(command);
        if let Some(fused) = tools.attentions.find(&key) {
            return Ok(*fused);
        }
        let fused = self.is_faster_fused(tools, command)?;
        tools.attentions.insert(key, fused);
        Ok(fused)
    }

    /// Each is done once before it is timed.
    fn is_faster_fused(&self, tools: &mut Tools, command: &Command) -> Result<bool, DeviceError> {
        let Some(library) = &mut tools.fused else {
            return Ok(false);
        };
        if !library.can(command)? {
            return Ok(false);
        }
        // A library that plans and then does not do it is done without.
        let attended = library.attend(command);
        if self.context.tried(attended)?.is_none() {
            library.forget(command);
            return Ok(false);
        }
        let fused = self.context.time(|| library.attend(command))?;
        self.kernel(command)?;
        let own = self.context.time(|| self.kernel(command))?;
        Ok(fused < own)
    }

    /// What the library attends with in these commands. What was given up since they were carried out
    /// is found out and planned again here, since it cannot be while they are captured; what is timed
    /// writes where the commands write anyway.
    fn attentions(
        &self,
        tools: &mut Tools,
        commands: &[Command],
    ) -> Result<Vec<Arc<Held>>, DeviceError> {
        let mut held = Vec::new();
        for command in commands {
            if matches!(command.kind, Kind::Attend { .. })
                && self.is_to_be_fused(tools, command)?
                && let Some(library) = &mut tools.fused
            {
                held.extend(library.plan(command)?);
            }
        }
        Ok(held)
    }
}

/// A command wherever its operands are: what is found out about it is the same.
fn placeless(command: &Command) -> Command {
    command.map(|at| at % 16)
}

impl Device for Gpu {
    type Graph = Captured;

    fn memory(&self) -> Result<DeviceMemory, DeviceError> {
        self.memory()
    }

    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError> {
        self.context.examined(self.context.allocate(bytes))
    }

    fn free(&self, at: u64, _bytes: usize) {
        let _ = self.context.examined(self.context.free(at));
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        self.guarded(|tools| tools.staging.write(at, bytes))
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), DeviceError> {
        self.guarded(|tools| tools.staging.read(at, bytes))
    }

    fn run(&self, commands: &[Command]) -> Result<(), DeviceError> {
        self.guarded(|tools| {
            let sent = self.send(tools, commands);
            tools.products.save();
            sent
        })
    }

    fn capture(&self, commands: &[Command]) -> Result<Captured, DeviceError> {
        self.guarded(|tools| {
            let attentions = self.attentions(tools, commands)?;
            let graph = Graph::capture(&self.context, || self.send(tools, commands))?;
            Ok(Captured {
                graph,
                _attentions: attentions,
            })
        })
    }

    fn replay(&self, captured: &Captured) -> Result<(), DeviceError> {
        self.guarded(|_| captured.graph.launch())
    }

    fn release(&self) {
        if let Some(library) = &mut self.tools().fused {
            library.release();
        }
    }

    fn has_fp8(&self) -> bool {
        self.has_fp8()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With or without a driver: nothing panics, and what is missing is named.
    #[test]
    fn a_machine_without_a_gpu_says_what_it_lacks() {
        match Gpu::open(&Options {
            ordinal: 1000,
            ..Options::default()
        }) {
            Err(OpenError::Missing {
                library, places, ..
            }) => {
                assert!(library == Library::Cuda.name() && !places.is_empty());
            }
            Err(OpenError::NoDevice { ordinal, .. }) => assert_eq!(ordinal, 1000),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("no machine has a thousand GPUs"),
        }
    }
}
