//! Attention by cuDNN: a graph of operations that the library knows as one.
//!
//! cudnn-frontend 1.x, `node/scaled_dot_product_flash_attention.h` and `node/softmax.h`
//! (`CompositeSDPANode`, `CompositeSoftmaxNode`), is where the operations and their types are from.
#![expect(unsafe_code, reason = "cuDNN is a C library")]

mod descriptor;
mod graph;
mod plan;

use std::sync::Arc;

use cudarc::cudnn::{result, sys};

use self::plan::Plan;
use super::{
    super::{Command, DeviceError, Element, Kind, Mask, Operand, recent::Recent},
    context::Context,
    error::Called as _,
};

/// The oldest version whose sequences may have any length.
const OLDEST: usize = 90_000;

/// Plans that are kept: a prompt of another length makes shapes of its own.
const PLANS: usize = 48;

/// What a plan depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    heads: usize,
    kv_heads: usize,
    width: usize,
    queries: usize,
    keys: usize,
    /// Of queries, keys, values and the result.
    strides: [usize; 4],
}

impl Shape {
    /// `None` of what the library has no fast kernel for.
    fn of(command: &Command) -> Option<Self> {
        let Kind::Attend {
            heads,
            kv_heads,
            mask: Mask::All,
            ..
        } = command.kind
        else {
            return None;
        };
        let [q, k, v] = &command.reads[..] else {
            return None;
        };
        let out = &command.writes[0];
        let width = q.width / heads;
        let fits = |operand: &Operand| {
            operand.element == Element::Bf16 && operand.stride % 8 == 0 && operand.at % 16 == 0
        };
        let fit = [q, k, v, out].into_iter().all(fits) && width % 8 == 0 && width <= 128;
        fit.then_some(Self {
            heads,
            kv_heads,
            width,
            queries: q.rows,
            keys: k.rows,
            strides: [q.stride, k.stride, v.stride, out.stride],
        })
    }
}

/// The library, and a plan for each shape that it has one for.
pub(super) struct Fused {
    handle: sys::cudnnHandle_t,
    plans: Recent<Shape, Option<Arc<Held>>>,
    context: Arc<Context>,
}

/// A plan that is kept, or that a capture needs after it is not kept any more: its kernels and its
/// workspace are the plan's.
pub(super) struct Held {
    plan: Plan,
    context: Arc<Context>,
}

// SAFETY: a plan is executed by whoever has the library, one thread at a time, and dropped by its
// last owner.
unsafe impl Send for Held {}
// SAFETY: likewise.
unsafe impl Sync for Held {}

/// What was asked for of it may be under way.
impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.context.enter().and_then(|()| self.context.finish());
    }
}

// SAFETY: a handle and its descriptors may be used by any thread, by one at a time.
unsafe impl Send for Fused {}

impl Fused {
    /// `None` if the library is too old.
    pub(super) fn open(context: &Arc<Context>) -> Result<Option<Self>, DeviceError> {
        // SAFETY: it reads a number of the library.
        if unsafe { sys::cudnnGetVersion() } < OLDEST {
            return Ok(None);
        }
        let mut handle = std::ptr::null_mut();
        // SAFETY: the context is this thread's.
        unsafe { sys::cudnnCreate(&raw mut handle) }.called("cudnnCreate")?;
        let this = Self {
            handle,
            plans: Recent::new(PLANS),
            context: Arc::clone(context),
        };
        // SAFETY: handle and stream live.
        unsafe { sys::cudnnSetStream(handle, context.stream.cast()) }.called("cudnnSetStream")?;
        Ok(Some(this))
    }

    /// Whether it attends as this command wants; planned if it was not.
    pub(super) fn can(&mut self, command: &Command) -> Result<bool, DeviceError> {
        Ok(self.plan(command)?.is_some())
    }

    /// What it attends with as this command wants, planned if it was not, which cannot be done
    /// while something is captured.
    pub(super) fn plan(&mut self, command: &Command) -> Result<Option<Arc<Held>>, DeviceError> {
        let Some(shape) = Shape::of(command) else {
            return Ok(None);
        };
        if let Some(known) = self.plans.find(&shape) {
            return Ok(known.clone());
        }
        // What the library refuses the own kernel does.
        let plan = Plan::new(self.handle, &self.context, &shape);
        let plan = self.context.tried(plan)?;
        let context = Arc::clone(&self.context);
        let held = plan.map(|plan| Arc::new(Held { plan, context }));
        self.plans.insert(shape, held.clone());
        Ok(held)
    }

    /// Does not use the plan for this command's shape any more.
    pub(super) fn forget(&mut self, command: &Command) {
        if let Some(shape) = Shape::of(command) {
            self.plans.insert(shape, None);
        }
    }

    /// Gives back every plan that no capture needs.
    pub(super) fn release(&mut self) {
        self.plans.clear();
    }

    /// # Panics
    ///
    /// If it [cannot](Self::can).
    pub(super) fn attend(&self, command: &Command) -> Result<(), DeviceError> {
        let held = Shape::of(command).and_then(|shape| self.plans.peek(&shape)?.as_ref());
        let held = held.expect("BUG: it was asked whether it can");
        held.plan.execute(self.handle, command)
    }
}

impl Drop for Fused {
    fn drop(&mut self) {
        self.plans.clear();
        if self.context.enter().is_ok() {
            // SAFETY: nothing uses it any more.
            let _ = unsafe { result::destroy_handle(self.handle) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(mask: Mask, element: Element, heads: usize) -> Command {
        let operand = |rows| Operand {
            at: 256,
            element,
            rows,
            width: 256,
            stride: 256,
        };
        Command {
            kind: Kind::Attend {
                heads,
                kv_heads: heads,
                scale: 0.1.into(),
                mask,
            },
            reads: vec![operand(5), operand(9), operand(9)],
            writes: vec![operand(5)],
        }
    }

    #[test]
    fn what_the_library_is_not_fast_at_is_not_its() {
        let shape = Shape::of(&command(Mask::All, Element::Bf16, 2)).unwrap();
        assert_eq!((shape.queries, shape.keys, shape.width), (5, 9, 128));
        for other in [
            command(Mask::Causal, Element::Bf16, 2),
            command(Mask::All, Element::F32, 2),
            command(Mask::All, Element::Bf16, 1),
            command(Mask::All, Element::Bf16, 64),
        ] {
            assert_eq!(Shape::of(&other), None);
        }
    }
}
