//! NVIDIA GPUs.
//!
//! Operations are recorded and not carried out until somebody wants to see a value (`trace`).
//! What was recorded is then made into fewer and larger operations (`fuse`), lowered to commands
//! (`lower`, `command`), and placed in one arena (`arena`, `plan`): a step of the
//! transformer allocates nothing, and once it was captured is one launch. A plan is found again
//! by what was recorded, so the same shapes are planned once.
//!
//! A `Device` carries commands out. [`Host`] does it in ordinary memory with the arithmetic of
//! [`Cpu`](super::Cpu), which shows, on any machine, that all of the above changes no result.
#![expect(
    private_bounds,
    reason = "what is public works on the devices of this module and on no others"
)]

mod arena;
pub mod check;
mod command;
mod device;
pub mod driver;
mod fuse;
mod graph;
mod host;
mod kernel;
mod linear;
mod lower;
pub mod measure;
mod plan;
mod pool;
mod recent;
mod record;
#[cfg(test)]
mod tests;
mod trace;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use self::device::Device;
pub use self::{
    command::{Command, Element, Kind, Mask, Operand, Real, Scales, Window},
    device::{DeviceError, DeviceMemory},
    host::Host,
    linear::{CudaConv, CudaLinear},
    trace::CudaTensor,
};
use self::{
    graph::Graph,
    linear::{Store, widen},
    plan::{Addresses, Captures, Plan, Way},
    pool::{Memory, Pool},
    recent::Recent,
    trace::{Stored, Trace},
};
use super::Result;
use crate::error::ComputeError;

/// Plans that are kept: each prompt of another length has its own.
const PLANS: usize = 48;

/// Captures that are kept, of all plans. They take memory of the device. The longest schedule is of
/// forty steps with guidance, two captures at each: 80. Around them are the vision tower, the text
/// encoder for either prompt, and the VAE's encoder and decoder: 85. One less than a job has, and none
/// would be there when the next one asks for it; so there is room for pictures of other sizes too.
const CAPTURES: usize = 128;

/// How numbers are kept and multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Precision {
    /// The type of weights and activations: [`Element::Bf16`], or [`Element::F32`] to compare with
    /// a reference. Sums and norms are 32-bit in either.
    pub storage: Element,
    /// Whether an MLP's second layer multiplies in FP8 too, where its weights are in FP8. Its input
    /// has the widest range of all, so it does not by default.
    pub fp8_narrowing: bool,
}

impl Default for Precision {
    fn default() -> Self {
        Self {
            storage: Element::Bf16,
            fp8_narrowing: false,
        }
    }
}

/// A GPU, or what stands for one.
pub struct Cuda<D: Device> {
    // Dropped before the device that it is of.
    state: Mutex<State<D>>,
    device: Arc<D>,
    pool: Arc<Pool<D>>,
    precision: Precision,
}

/// What is kept from one computation to the next.
struct State<D: Device> {
    plans: Recent<Graph, Plan>,
    captures: Captures<D>,
    arena: Option<Memory>,
    counts: Counts,
}

/// What was done since a backend was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Recordings that were carried out.
    pub runs: u64,
    /// Of these, such as had to be planned.
    pub planned: u64,
    /// Such as were captured.
    pub captured: u64,
    /// Such as had been captured before.
    pub replayed: u64,
}

impl<D: Device> Cuda<D> {
    /// Computes on `device`.
    pub fn new(device: D, precision: Precision) -> Self {
        let device = Arc::new(device);
        Self {
            state: Mutex::new(State {
                plans: Recent::new(PLANS),
                captures: Recent::new(CAPTURES),
                arena: None,
                counts: Counts::default(),
            }),
            pool: Pool::new(Arc::clone(&device)),
            device,
            precision,
        }
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// What the plan of the last computation computes, in order.
    pub fn last_plan(&self) -> Vec<Kind> {
        let state = self.state();
        let last = state.plans.last();
        last.map_or_else(Vec::new, |plan| plan.kinds().collect())
    }

    /// Gives back what is kept to compute faster: plans, captures, the arena, and what the device
    /// keeps itself.
    pub fn release(&self) {
        self.state().release(&self.device);
    }

    fn state(&self) -> MutexGuard<'_, State<D>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> Store<'_, D> {
        Store {
            device: &self.device,
            pool: &self.pool,
            storage: self.precision.storage,
            narrowing: self.precision.fp8_narrowing,
        }
    }

    /// Where a tensor lies, computed if it was not.
    fn get(&self, tensor: &CudaTensor) -> Result<Stored> {
        if tensor.found().is_none() {
            self.compute(&[tensor])?;
        }
        Ok(tensor.found().expect("BUG: it has just been computed"))
    }

    /// Computes these.
    fn compute(&self, tensors: &[&CudaTensor]) -> Result<()> {
        let mut state = self.state();
        let trace = Trace::of(self.precision.storage, tensors);
        if trace.graph.outputs.is_empty() {
            return Ok(());
        }
        let stored = self.retry(&mut state, |state| self.carry_out(state, &trace))?;
        trace.settle(stored);
        Ok(())
    }

    /// Puts something on the device.
    fn put<T>(
        &self,
        mut put: impl FnMut(&Store<'_, D>) -> std::result::Result<T, DeviceError>,
    ) -> Result<T> {
        self.retry(&mut self.state(), |_| put(&self.store()))
    }

    fn carry_out(
        &self,
        state: &mut State<D>,
        trace: &Trace,
    ) -> std::result::Result<Vec<Stored>, DeviceError> {
        state.counts.runs += 1;
        let mut plan = if let Some(plan) = state.plans.remove(&trace.graph) {
            plan
        } else {
            state.counts.planned += 1;
            let forgetting = self.device.wants_forgetting();
            Plan::of(state.counts.planned, &trace.graph, forgetting)
        };
        let outputs = self.carry_out_plan(state, trace, &mut plan);
        // Whatever became of it: it is as good as before.
        if let Some(gone) = state.plans.insert(trace.graph.clone(), plan) {
            state.captures.retain(|(plan, _)| *plan != gone.id);
        }
        outputs
    }

    fn carry_out_plan(
        &self,
        state: &mut State<D>,
        trace: &Trace,
        plan: &mut Plan,
    ) -> std::result::Result<Vec<Stored>, DeviceError> {
        let arena = self.arena(state, plan.arena)?;
        let outputs = plan.outputs.iter().map(|output| {
            let bytes = output.shape.iter().product::<usize>() * output.element.size();
            let memory = self.pool.take(bytes)?;
            Ok(Stored::new(memory, output.element, &output.shape))
        });
        let outputs = outputs.collect::<std::result::Result<Vec<Stored>, DeviceError>>()?;
        let addresses = Addresses {
            arena,
            leaves: trace.leaves.iter().map(Stored::at).collect(),
            outputs: outputs.iter().map(Stored::at).collect(),
        };
        match plan.run(&*self.device, addresses, &mut state.captures)? {
            Way::Sent => {}
            Way::Captured => state.counts.captured += 1,
            Way::Replayed => state.counts.replayed += 1,
        }
        Ok(outputs)
    }

    /// Tries once more without plans, captures and arena if memory runs out: they can be made
    /// again. If there is too little even so, nothing of the attempt is left.
    fn retry<T>(
        &self,
        state: &mut State<D>,
        mut attempt: impl FnMut(&mut State<D>) -> std::result::Result<T, DeviceError>,
    ) -> Result<T> {
        let out_of_memory = |error: &DeviceError| matches!(error, DeviceError::OutOfMemory { .. });
        let mut result = attempt(state);
        for last in [false, true] {
            if result.as_ref().is_err_and(out_of_memory) {
                state.release(&self.device);
                if !last {
                    result = attempt(state);
                }
            }
        }
        result.map_err(ComputeError::from)
    }

    /// The arena, as large as it has to be.
    fn arena(&self, state: &mut State<D>, bytes: usize) -> std::result::Result<u64, DeviceError> {
        if let Some(arena) = &state.arena
            && arena.bytes() >= bytes
        {
            return Ok(arena.at());
        }
        // Of no use at other addresses.
        state.captures.clear();
        // The smaller one first: both may not fit.
        state.arena = None;
        let arena = self.pool.take(bytes)?;
        let at = arena.at();
        state.arena = Some(arena);
        Ok(at)
    }

    fn read(&self, stored: &Stored) -> Result<Vec<f32>> {
        let operand = stored.operand();
        let mut bytes = vec![0; operand.bytes()];
        self.device.read(operand.at, &mut bytes)?;
        Ok(widen(&bytes, operand.element))
    }
}

impl<D: Device> State<D> {
    fn release(&mut self, device: &D) {
        self.plans.clear();
        self.captures.clear();
        self.arena = None;
        device.release();
    }
}
