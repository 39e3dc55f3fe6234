//! What was recorded, as a graph.
//!
//! Two recordings that do the same with tensors of the same shapes are equal, whatever the tensors:
//! so a plan is found again.

use std::ops::Range;

use super::{
    super::{Activation, Pairing},
    command::{Element, Mask, Real, Scales, Window},
};

/// What makes a value of others. The inputs' order is that of [`Backend`](super::super::Backend)'s
/// parameters, weights last.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Op {
    /// Lies in memory.
    Leaf(Element),
    /// x, W, \[bias\], \[scales\].
    Linear {
        activation: Activation,
        /// Which of the rows of `W`, and of what goes with them.
        part: Range<usize>,
        bias: bool,
        scales: Scales,
    },
    Activate(Activation),
    Swiglu,
    RmsNorm {
        eps: Real,
    },
    LayerNorm {
        eps: Real,
    },
    ModulatedNorm {
        eps: Real,
        splits: [usize; 2],
    },
    AddGated {
        split: usize,
    },
    Add,
    Turn(Pairing),
    /// [`Self::RmsNorm`], then [`Self::Turn`] of neighbours: x, weight, cosines, sines. Nobody
    /// records it: it is what two become.
    HeadNormTurn {
        eps: Real,
    },
    Attend {
        heads: usize,
        kv_heads: usize,
        scale: Real,
        mask: Mask,
    },
    Concat,
    Rows(Range<usize>),
    Columns(Range<usize>),
    Gather,
    Reshape,
    Conv {
        window: Window,
        bias: bool,
    },
    ChannelNorm(Activation),
    Upsample,
    Resize,
    /// Numbers of a picture as it is shown.
    Bytes,
}

impl Op {
    /// Whether it is another way of looking at its input.
    pub(super) const fn is_view(&self) -> bool {
        matches!(self, Self::Rows(_) | Self::Columns(_) | Self::Reshape)
    }
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) op: Op,
    /// Nodes before this one.
    pub(super) inputs: Vec<usize>,
    pub(super) shape: Vec<usize>,
}

impl Node {
    /// Numbers of a row.
    pub(super) fn width(&self) -> usize {
        *self.shape.last().expect("BUG: a tensor has a dimension")
    }

    /// Rows, whatever they are counted by.
    pub(super) fn rows(&self) -> usize {
        self.shape[..self.shape.len() - 1].iter().product()
    }

    /// Height and width of a picture.
    pub(super) fn pixels(&self) -> [usize; 2] {
        let [height, width, _] = *self.shape else {
            panic!("BUG: a picture has three dimensions");
        };
        [height, width]
    }
}

/// Values in an order in which they can be computed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Graph {
    /// The type of what is computed.
    pub(super) storage: Element,
    pub(super) nodes: Vec<Node>,
    /// Those that are wanted.
    pub(super) outputs: Vec<usize>,
}

impl Graph {
    pub(super) const fn new(storage: Element) -> Self {
        Self {
            storage,
            nodes: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// Appends a value.
    pub(super) fn push(&mut self, op: Op, inputs: Vec<usize>, shape: Vec<usize>) -> usize {
        self.nodes.push(Node { op, inputs, shape });
        self.nodes.len() - 1
    }

    /// The type of each value's numbers. What only moves numbers leaves their type, so that
    /// the tables of a rotary embedding stay exact.
    pub(super) fn elements(&self) -> Vec<Element> {
        let mut elements: Vec<Element> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let element = match &node.op {
                Op::Leaf(element) => *element,
                Op::Bytes => Element::U8,
                Op::Rows(_) | Op::Columns(_) | Op::Reshape | Op::Gather => elements[node.inputs[0]],
                Op::Concat => {
                    let first = elements[node.inputs[0]];
                    let same = node.inputs.iter().all(|input| elements[*input] == first);
                    if same { first } else { self.storage }
                }
                _ => self.storage,
            };
            elements.push(element);
        }
        elements
    }

    /// Without what nothing wanted depends on. Leaves stay: they are bound by their number.
    pub(super) fn without_the_unused(self) -> Self {
        let mut used = vec![false; self.nodes.len()];
        for output in &self.outputs {
            used[*output] = true;
        }
        for id in (0..self.nodes.len()).rev() {
            used[id] |= matches!(self.nodes[id].op, Op::Leaf(_));
            if used[id] {
                for input in &self.nodes[id].inputs {
                    used[*input] = true;
                }
            }
        }
        let mut kept = Self::new(self.storage);
        let mut new = vec![usize::MAX; self.nodes.len()];
        for (id, mut node) in self.nodes.into_iter().enumerate() {
            if used[id] {
                for input in &mut node.inputs {
                    *input = new[*input];
                }
                new[id] = kept.nodes.len();
                kept.nodes.push(node);
            }
        }
        kept.outputs = self.outputs.iter().map(|output| new[*output]).collect();
        kept
    }
}
