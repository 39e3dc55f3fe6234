//! Tensors that are not computed until somebody wants to see them.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    command::{Element, Operand},
    graph::{Graph, Op},
    pool::Memory,
};

/// A tensor: in memory, or what is to be done to have it there. Cloning shares it.
#[derive(Clone)]
pub struct CudaTensor(Arc<Recorded>);

struct Recorded {
    shape: Vec<usize>,
    state: Mutex<State>,
}

enum State {
    /// Not computed yet.
    Wanted {
        op: Op,
        inputs: Vec<CudaTensor>,
        weights: Vec<Stored>,
    },
    /// Computed.
    Stored(Stored),
}

/// A tensor in memory.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) memory: Arc<Memory>,
    /// Bytes from the start of that.
    pub(super) offset: usize,
    pub(super) element: Element,
    pub(super) shape: Vec<usize>,
}

impl Stored {
    pub(super) fn new(memory: Memory, element: Element, shape: &[usize]) -> Self {
        Self {
            memory: Arc::new(memory),
            offset: 0,
            element,
            shape: shape.to_vec(),
        }
    }

    /// Where its first number is.
    pub(super) fn at(&self) -> u64 {
        self.memory.at() + self.offset as u64
    }

    /// As a matrix.
    pub(super) fn operand(&self) -> Operand {
        let width = *self.shape.last().expect("BUG: a tensor has a dimension");
        Operand {
            at: self.at(),
            element: self.element,
            rows: self.shape.iter().product::<usize>() / width,
            width,
            stride: width,
        }
    }
}

impl CudaTensor {
    pub(super) fn stored(stored: Stored) -> Self {
        Self(Arc::new(Recorded {
            shape: stored.shape.clone(),
            state: Mutex::new(State::Stored(stored)),
        }))
    }

    /// What `op` makes of others. What only looks at memory otherwise is there at once.
    pub(super) fn of(op: Op, inputs: &[&Self], weights: Vec<Stored>, shape: Vec<usize>) -> Self {
        if let [input] = inputs
            && let Some(view) = input.0.view(&op, &shape)
        {
            return Self::stored(view);
        }
        Self(Arc::new(Recorded {
            shape,
            state: Mutex::new(State::Wanted {
                op,
                inputs: inputs.iter().map(|input| (*input).clone()).collect(),
                weights,
            }),
        }))
    }

    pub(super) fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// The numbers of a row.
    pub(super) fn width(&self) -> usize {
        *self.0.shape.last().expect("BUG: a tensor has a dimension")
    }

    /// Where it lies, if it was computed.
    pub(super) fn found(&self) -> Option<Stored> {
        match &*self.0.state() {
            State::Stored(stored) => Some(stored.clone()),
            State::Wanted { .. } => None,
        }
    }
}

impl Recorded {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A view of what lies in memory.
    fn view(&self, op: &Op, shape: &[usize]) -> Option<Stored> {
        let State::Stored(stored) = &*self.state() else {
            return None;
        };
        let skipped = match op {
            Op::Reshape => 0,
            Op::Rows(rows) => rows.start * self.shape[1..].iter().product::<usize>(),
            Op::Columns(columns) if stored.operand().rows == 1 => columns.start,
            _ => return None,
        };
        Some(Stored {
            offset: stored.offset + skipped * stored.element.size(),
            shape: shape.to_vec(),
            ..stored.clone()
        })
    }
}

// One by one: a recording may be thousands of operations deep, and each would take a part of the
// stack.
impl Drop for Recorded {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut dropped = inputs_of(state);
        while let Some(CudaTensor(tensor)) = dropped.pop() {
            if let Some(mut last) = Arc::into_inner(tensor) {
                let state = last.state.get_mut().unwrap_or_else(PoisonError::into_inner);
                dropped.extend(inputs_of(state));
            }
        }
    }
}

fn inputs_of(state: &mut State) -> Vec<CudaTensor> {
    match state {
        State::Wanted { inputs, .. } => mem::take(inputs),
        State::Stored(_) => Vec::new(),
    }
}

/// What has to be done to have some tensors.
pub(super) struct Trace {
    pub(super) graph: Graph,
    /// The leaves of the graph, in their order.
    pub(super) leaves: Vec<Stored>,
    /// The outputs of the graph, in their order.
    outputs: Vec<CudaTensor>,
}

impl Trace {
    /// Everything up to `roots` that is not in memory. What else somebody holds on to on the way is
    /// an output too, so that it is not computed again.
    pub(super) fn of(storage: Element, roots: &[&CudaTensor]) -> Self {
        let order = in_order(roots);
        let mut trace = Self {
            graph: Graph::new(storage),
            leaves: Vec::new(),
            outputs: Vec::new(),
        };
        let mut ids = HashMap::new();
        let mut by_place = HashMap::new();
        let mut inner: HashMap<*const Recorded, usize> = HashMap::new();
        for tensor in &order {
            let id = trace.add(tensor, &ids, &mut by_place, &mut inner);
            ids.insert(Arc::as_ptr(&tensor.0), id);
        }
        for tensor in &order {
            let place = Arc::as_ptr(&tensor.0);
            let wanted = matches!(&*tensor.0.state(), State::Wanted { .. });
            // Those of the recording, and the one in `order`.
            let known = inner.get(&place).copied().unwrap_or(0) + 1;
            if wanted && Arc::strong_count(&tensor.0) > known {
                trace.graph.outputs.push(ids[&place]);
                trace.outputs.push(tensor.clone());
            }
        }
        trace
    }

    fn add(
        &mut self,
        tensor: &CudaTensor,
        ids: &HashMap<*const Recorded, usize>,
        by_place: &mut HashMap<(u64, Element, Vec<usize>), usize>,
        inner: &mut HashMap<*const Recorded, usize>,
    ) -> usize {
        match &*tensor.0.state() {
            State::Stored(stored) => self.leaf(stored, by_place),
            State::Wanted {
                op,
                inputs,
                weights,
            } => {
                let mut used = Vec::with_capacity(inputs.len() + weights.len());
                for input in inputs {
                    let place = Arc::as_ptr(&input.0);
                    *inner.entry(place).or_default() += 1;
                    used.push(ids[&place]);
                }
                for weight in weights {
                    used.push(self.leaf(weight, by_place));
                }
                let shape = tensor.0.shape.clone();
                self.graph.push(op.clone(), used, shape)
            }
        }
    }

    /// A leaf, the same for the same memory.
    fn leaf(
        &mut self,
        stored: &Stored,
        by_place: &mut HashMap<(u64, Element, Vec<usize>), usize>,
    ) -> usize {
        let key = (stored.at(), stored.element, stored.shape.clone());
        *by_place.entry(key).or_insert_with(|| {
            self.leaves.push(stored.clone());
            let shape = stored.shape.clone();
            self.graph.push(Op::Leaf(stored.element), Vec::new(), shape)
        })
    }

    /// Tells the tensors that were wanted where they are.
    pub(super) fn settle(self, stored: Vec<Stored>) {
        let mut forgotten = Vec::new();
        for (tensor, stored) in self.outputs.iter().zip(stored) {
            let before = mem::replace(&mut *tensor.0.state(), State::Stored(stored));
            forgotten.push(before);
        }
        for mut state in forgotten {
            drop(inputs_of(&mut state));
        }
    }
}

/// Every tensor that has to be computed for `roots` or lies below those, inputs first.
fn in_order(roots: &[&CudaTensor]) -> Vec<CudaTensor> {
    enum Visit {
        Enter(CudaTensor),
        Leave(CudaTensor),
    }
    let mut entered = std::collections::HashSet::new();
    let mut order = Vec::new();
    let roots = roots.iter().rev();
    let mut stack: Vec<Visit> = roots.map(|root| Visit::Enter((*root).clone())).collect();
    while let Some(visit) = stack.pop() {
        match visit {
            Visit::Leave(tensor) => order.push(tensor),
            Visit::Enter(tensor) => {
                if !entered.insert(Arc::as_ptr(&tensor.0)) {
                    continue;
                }
                stack.push(Visit::Leave(tensor.clone()));
                if let State::Wanted { inputs, .. } = &*tensor.0.state() {
                    stack.extend(inputs.iter().rev().cloned().map(Visit::Enter));
                }
            }
        }
    }
    order
}
