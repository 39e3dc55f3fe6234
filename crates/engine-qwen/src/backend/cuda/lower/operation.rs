//! What each operation is lowered to.

use std::ops::Range;

use super::{
    super::{
        super::Activation,
        command::{Element, Kind, Operand, Scales},
        graph::Op,
    },
    Lowering, Place, some_rows,
};

const EXACT: Element = Element::F32;

impl Lowering<'_> {
    /// Lowers a value whose inputs are there, and tells where it lies.
    pub(super) fn value(&mut self, id: usize) -> Operand<Place> {
        let graph = self.graph;
        let node = &graph.nodes[id];
        let inputs = &node.inputs;
        let storage = graph.storage;
        let (kind, reads) = match &node.op {
            Op::Leaf(element) => return self.leaf(id, *element),
            Op::Reshape => return self.reshape(id),
            Op::Rows(rows) => return self.rows(id, rows),
            Op::Columns(columns) => return columns_of(self.at(inputs[0]), columns),
            Op::Concat => return self.concat(id),
            Op::Linear { .. } => return self.linear(id),
            Op::Conv { window, bias } => {
                let mut reads = self.all_dense(&inputs[..2], storage);
                reads.extend(self.all_dense(&inputs[2..], EXACT));
                let (window, bias) = (*window, *bias);
                (Kind::Conv { window, bias }, reads)
            }
            Op::Attend {
                heads,
                kv_heads,
                scale,
                mask,
            } => {
                let mut reads = self.all_typed(&inputs[..3], storage);
                reads.extend(inputs[3..].iter().map(|ends| self.at(*ends)));
                let kind = Kind::Attend {
                    heads: *heads,
                    kv_heads: *kv_heads,
                    scale: *scale,
                    mask: *mask,
                };
                (kind, reads)
            }
            Op::HeadNormTurn { eps } => {
                let mut reads = self.all_typed(&inputs[..1], storage);
                reads.extend(self.all_dense(&inputs[1..], EXACT));
                (Kind::HeadNormTurn { eps: *eps }, reads)
            }
            Op::Turn(pairing) => {
                let mut reads = self.all_typed(&inputs[..1], storage);
                reads.extend(self.all_dense(&inputs[1..], EXACT));
                (Kind::Turn(*pairing), reads)
            }
            Op::Gather => {
                let element = self.elements[id];
                let mut reads = self.all_dense(&inputs[..1], element);
                reads.push(self.at(inputs[1]));
                (Kind::Gather, reads)
            }
            Op::Swiglu => (Kind::Swiglu, self.all_typed(inputs, storage)),
            Op::RmsNorm { eps } => (Kind::RmsNorm { eps: *eps }, self.normed(inputs)),
            Op::LayerNorm { eps } => (Kind::LayerNorm { eps: *eps }, self.normed(inputs)),
            Op::ChannelNorm(activation) => (Kind::ChannelNorm(*activation), self.normed(inputs)),
            Op::ModulatedNorm { eps, splits } => {
                let kind = Kind::ModulatedNorm {
                    eps: *eps,
                    splits: *splits,
                    quantise: false,
                };
                (kind, self.all_dense(inputs, storage))
            }
            Op::AddGated { split } => {
                let kind = Kind::AddGated { split: *split };
                (kind, self.all_dense(inputs, storage))
            }
            Op::Add => (Kind::Add, self.all_dense(inputs, storage)),
            Op::Activate(activation) => {
                (Kind::Activate(*activation), self.all_dense(inputs, storage))
            }
            Op::Bytes => (Kind::Bytes, self.all_dense(inputs, storage)),
            Op::Upsample => {
                let from = graph.nodes[inputs[0]].pixels();
                (Kind::Upsample { from }, self.all_dense(inputs, storage))
            }
            Op::Resize => {
                let (from, to) = (graph.nodes[inputs[0]].pixels(), node.pixels());
                (Kind::Resize { from, to }, self.all_dense(inputs, storage))
            }
        };
        let target = self.target(id);
        self.push(kind, reads, vec![target]);
        target
    }

    fn all_dense(&mut self, ids: &[usize], element: Element) -> Vec<Operand<Place>> {
        ids.iter().map(|id| self.dense(*id, element)).collect()
    }

    fn all_typed(&mut self, ids: &[usize], element: Element) -> Vec<Operand<Place>> {
        ids.iter().map(|id| self.typed(*id, element)).collect()
    }

    /// What is normed, and its exact weights.
    fn normed(&mut self, inputs: &[usize]) -> Vec<Operand<Place>> {
        let mut reads = self.all_dense(&inputs[..1], self.graph.storage);
        reads.extend(self.all_dense(&inputs[1..], EXACT));
        reads
    }

    fn leaf(&mut self, id: usize, element: Element) -> Operand<Place> {
        let node = &self.graph.nodes[id];
        let leaf = self.leaves;
        self.leaves += 1;
        Operand {
            at: Place::Leaf { leaf, offset: 0 },
            element,
            rows: node.rows(),
            width: node.width(),
            stride: node.width(),
        }
    }

    fn reshape(&mut self, id: usize) -> Operand<Place> {
        let node = &self.graph.nodes[id];
        let value = self.at(node.inputs[0]);
        let value = if value.is_dense() {
            value
        } else {
            self.convert(value, value.element)
        };
        Operand {
            rows: node.rows(),
            width: node.width(),
            stride: node.width(),
            ..value
        }
    }

    /// Rows of the first dimension: in a picture, as many rows of pixels.
    fn rows(&mut self, id: usize, rows: &Range<usize>) -> Operand<Place> {
        let input = self.graph.nodes[id].inputs[0];
        let shape = &self.graph.nodes[input].shape;
        let each: usize = shape[1..shape.len() - 1].iter().product();
        some_rows(self.at(input), rows.start * each, rows.len() * each)
    }

    /// Copies what was not written where it belongs.
    fn concat(&mut self, id: usize) -> Operand<Place> {
        let target = self.target(id);
        let mut row = 0;
        for part in &self.graph.nodes[id].inputs {
            let value = self.at(*part);
            let there = some_rows(target, row, value.rows);
            if value.at != there.at {
                self.push(Kind::Copy, vec![value], vec![there]);
            }
            row += value.rows;
        }
        target
    }

    fn linear(&mut self, id: usize) -> Operand<Place> {
        let node = &self.graph.nodes[id];
        let Op::Linear {
            activation,
            part,
            bias,
            scales,
        } = &node.op
        else {
            unreachable!("BUG: only a product is lowered as one");
        };
        let (x, weights) = (node.inputs[0], &node.inputs[1..]);
        let matrix = some_rows(self.at(weights[0]), part.start, part.len());
        let vectors = weights[1..].iter().map(|id| columns_of(self.at(*id), part));
        let vectors: Vec<Operand<Place>> = vectors.collect();
        let mut reads = Vec::with_capacity(5);
        if *scales == Scales::Both {
            let [codes, rows] = self.quantise(x);
            reads.extend([codes, matrix]);
            reads.extend(vectors);
            reads.push(rows);
        } else {
            reads.extend([self.typed(x, self.graph.storage), matrix]);
            reads.extend(vectors);
        }
        let target = self.target(id);
        // What a product's library does not do on the way follows in place.
        let (within, after) = match activation {
            Activation::None | Activation::GeluTanh => (*activation, Activation::None),
            other => (Activation::None, *other),
        };
        let kind = Kind::Matmul {
            activation: within,
            bias: *bias,
            scales: *scales,
        };
        self.push(kind, reads, vec![target]);
        if after != Activation::None {
            self.push(Kind::Activate(after), vec![target], vec![target]);
        }
        target
    }
}

fn columns_of(matrix: Operand<Place>, columns: &Range<usize>) -> Operand<Place> {
    let skipped = columns.start * matrix.element.size();
    Operand {
        at: matrix.at.after(skipped),
        width: columns.len(),
        ..matrix
    }
}
