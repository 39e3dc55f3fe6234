//! From values to commands on memory that is not placed yet.

mod operation;

use std::collections::HashMap;

use super::{
    command::{Command, Element, Kind, Operand},
    graph::{Graph, Op},
};

/// Memory that a plan knows, with an offset in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// A buffer that is to be placed in the arena.
    Arena { buffer: usize, offset: usize },
    /// What lay in memory before.
    Leaf { leaf: usize, offset: usize },
    /// What is wanted.
    Output { output: usize, offset: usize },
}

impl Place {
    /// Bytes further.
    fn after(self, bytes: usize) -> Self {
        match self {
            Self::Arena { buffer, offset } => Self::Arena {
                buffer,
                offset: offset + bytes,
            },
            Self::Leaf { leaf, offset } => Self::Leaf {
                leaf,
                offset: offset + bytes,
            },
            Self::Output { output, offset } => Self::Output {
                output,
                offset: offset + bytes,
            },
        }
    }

    pub(super) const fn offset(self) -> usize {
        match self {
            Self::Arena { offset, .. }
            | Self::Leaf { offset, .. }
            | Self::Output { offset, .. } => offset,
        }
    }

    /// Whether it is of the same memory, wherever in it.
    pub(super) fn is_of(self, other: Self) -> bool {
        match (self, other) {
            (Self::Arena { buffer: one, .. }, Self::Arena { buffer: other, .. }) => one == other,
            (Self::Leaf { leaf: one, .. }, Self::Leaf { leaf: other, .. })
            | (Self::Output { output: one, .. }, Self::Output { output: other, .. }) => {
                one == other
            }
            _ => false,
        }
    }

    /// Whether it is written by nothing in the plan.
    pub(super) const fn is_leaf(self) -> bool {
        matches!(self, Self::Leaf { .. })
    }
}

/// A value that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) element: Element,
    pub(super) shape: Vec<usize>,
}

/// Commands, the sizes in bytes of the buffers that they need, and what comes out.
pub(super) struct Lowered {
    pub(super) commands: Vec<Command<Place>>,
    pub(super) buffers: Vec<usize>,
    pub(super) outputs: Vec<Output>,
}

/// Lowers a graph value by value.
pub(super) struct Lowering<'a> {
    graph: &'a Graph,
    elements: Vec<Element>,
    /// The joint that a value is a part of, and from which row of it on.
    joined: HashMap<usize, (usize, usize)>,
    commands: Vec<Command<Place>>,
    buffers: Vec<usize>,
    /// Where values lie.
    values: Vec<Option<Operand<Place>>>,
    /// Where values go, for those that are asked for before they are there.
    targets: HashMap<usize, Operand<Place>>,
    /// Values of another type, or dense, than they are.
    converted: HashMap<(Operand<Place>, Element), Operand<Place>>,
    /// Rows in FP8, and their scales.
    quantised: HashMap<Operand<Place>, [Operand<Place>; 2]>,
    leaves: usize,
}

/// Lowers a graph.
pub(super) fn lower(graph: &Graph) -> Lowered {
    let elements = graph.elements();
    let outputs = graph.outputs.iter().map(|output| Output {
        element: elements[*output],
        shape: graph.nodes[*output].shape.clone(),
    });
    let outputs = outputs.collect();
    let mut lowering = Lowering {
        joined: joined(graph, &elements),
        elements,
        commands: Vec::new(),
        buffers: Vec::new(),
        values: vec![None; graph.nodes.len()],
        targets: HashMap::new(),
        converted: HashMap::new(),
        quantised: HashMap::new(),
        leaves: 0,
        graph,
    };
    for id in 0..graph.nodes.len() {
        let value = lowering.value(id);
        lowering.values[id] = Some(value);
    }
    lowering.finish_views();
    Lowered {
        commands: lowering.commands,
        buffers: lowering.buffers,
        outputs,
    }
}

/// Parts that can be written where they are joined: those that are computed and nothing else's.
fn joined(graph: &Graph, elements: &[Element]) -> HashMap<usize, (usize, usize)> {
    let mut joined = HashMap::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        if !matches!(node.op, Op::Concat) {
            continue;
        }
        let mut row = 0;
        for part in &node.inputs {
            let computed = !matches!(graph.nodes[*part].op, Op::Leaf(_));
            let computed = computed && !graph.nodes[*part].op.is_view();
            let wanted = graph.outputs.contains(part);
            if computed && !wanted && elements[*part] == elements[id] {
                joined.entry(*part).or_insert((id, row));
            }
            row += graph.nodes[*part].rows();
        }
    }
    joined
}

impl Lowering<'_> {
    /// Where a value lies.
    fn at(&self, id: usize) -> Operand<Place> {
        self.values[id].expect("BUG: inputs come before what is made of them")
    }

    /// A buffer for such a matrix.
    fn buffer(&mut self, element: Element, rows: usize, width: usize) -> Operand<Place> {
        self.buffers.push(rows * width * element.size());
        Operand {
            at: Place::Arena {
                buffer: self.buffers.len() - 1,
                offset: 0,
            },
            element,
            rows,
            width,
            stride: width,
        }
    }

    /// Where a value that is computed goes.
    fn target(&mut self, id: usize) -> Operand<Place> {
        if let Some(target) = self.targets.get(&id) {
            return *target;
        }
        let node = &self.graph.nodes[id];
        let (rows, width) = (node.rows(), node.width());
        let wanted = self.graph.outputs.iter().position(|output| *output == id);
        let target = if let Some(output) = wanted {
            Operand {
                at: Place::Output { output, offset: 0 },
                element: self.elements[id],
                rows,
                width,
                stride: width,
            }
        } else if let Some((joint, row)) = self.joined.get(&id).copied() {
            some_rows(self.target(joint), row, rows)
        } else {
            self.buffer(self.elements[id], rows, width)
        };
        self.targets.insert(id, target);
        target
    }

    fn push(&mut self, kind: Kind, reads: Vec<Operand<Place>>, writes: Vec<Operand<Place>>) {
        self.commands.push(Command {
            kind,
            reads,
            writes,
        });
    }

    /// The value in this type; rows may lie apart.
    fn typed(&mut self, id: usize, element: Element) -> Operand<Place> {
        let value = self.at(id);
        if value.element == element {
            return value;
        }
        self.convert(value, element)
    }

    /// The value in this type and without gaps.
    fn dense(&mut self, id: usize, element: Element) -> Operand<Place> {
        let value = self.at(id);
        if value.element == element && value.is_dense() {
            return value;
        }
        self.convert(value, element)
    }

    fn convert(&mut self, value: Operand<Place>, element: Element) -> Operand<Place> {
        if let Some(converted) = self.converted.get(&(value, element)) {
            return *converted;
        }
        let converted = self.buffer(element, value.rows, value.width);
        self.push(Kind::Copy, vec![value], vec![converted]);
        self.converted.insert((value, element), converted);
        converted
    }

    /// Rows in FP8, and their scales.
    fn quantise(&mut self, id: usize) -> [Operand<Place>; 2] {
        let x = self.dense(id, self.graph.storage);
        if let Some(quantised) = self.quantised.get(&x) {
            return *quantised;
        }
        let codes = self.buffer(Element::F8, x.rows, x.width);
        let scales = self.buffer(Element::F32, x.rows, 1);
        self.push(Kind::Quantise, vec![x], vec![codes, scales]);
        self.quantised.insert(x, [codes, scales]);
        [codes, scales]
    }

    /// What is wanted and lies somewhere else is copied there.
    fn finish_views(&mut self) {
        for (output, id) in self.graph.outputs.iter().enumerate() {
            let value = self.at(*id);
            let at = Place::Output { output, offset: 0 };
            if value.at == at {
                continue;
            }
            let there = Operand {
                at,
                stride: value.width,
                ..value
            };
            self.push(Kind::Copy, vec![value], vec![there]);
        }
    }
}

/// Rows of a matrix.
fn some_rows(matrix: Operand<Place>, first: usize, rows: usize) -> Operand<Place> {
    let skipped = first * matrix.stride * matrix.element.size();
    Operand {
        at: matrix.at.after(skipped),
        rows,
        ..matrix
    }
}
