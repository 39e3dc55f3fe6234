//! Products with the same input and neighbouring weights.

use std::{collections::BTreeMap, ops::Range};

use super::super::{
    super::Activation,
    command::Scales,
    graph::{Graph, Node, Op},
};

/// What products have in common that can be one: their inputs but for the part, and their form.
type Form<'a> = (&'a [usize], bool, Scales);

/// Products of one input with parts of one matrix become one product, and each of them some of its
/// columns. One with an activation is left alone: the others have none.
pub(super) fn together(graph: &Graph) -> Graph {
    let groups = groups(graph);
    let mut out = Graph::new(graph.storage);
    let mut new = Vec::with_capacity(graph.nodes.len());
    // The product of each group, once its first member is met.
    let mut products: Vec<Option<usize>> = vec![None; groups.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        let inputs: Vec<usize> = node.inputs.iter().map(|input| new[*input]).collect();
        let group = groups.iter().position(|group| group.members.contains(&id));
        let Some(group) = group else {
            new.push(out.push(node.op.clone(), inputs, node.shape.clone()));
            continue;
        };
        let all = &groups[group].part;
        let product = *products[group].get_or_insert_with(|| {
            let (op, shape) = product(node, all);
            out.push(op, inputs, shape)
        });
        let (part, _) = parts(node).expect("BUG: a group is of products");
        let columns = part.start - all.start..part.end - all.start;
        new.push(out.push(Op::Columns(columns), vec![product], node.shape.clone()));
    }
    out.outputs = graph.outputs.iter().map(|output| new[*output]).collect();
    out
}

/// Products that can be one.
struct Group {
    members: Vec<usize>,
    /// The rows of the matrix that they have together.
    part: Range<usize>,
}

fn groups(graph: &Graph) -> Vec<Group> {
    let mut by_form: BTreeMap<(Vec<usize>, bool, bool), Vec<usize>> = BTreeMap::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        if let Some((_, (inputs, bias, scales))) = parts(node) {
            let key = (inputs.to_vec(), bias, scales == Scales::None);
            by_form.entry(key).or_default().push(id);
        }
    }
    let groups = by_form.into_values().map(|mut members| {
        let part = |id: &usize| {
            let (part, _) = parts(&graph.nodes[*id]).expect("BUG: a group is of products");
            part
        };
        members.sort_by_key(|id| part(id).start);
        let whole = part(&members[0]).start..part(&members[members.len() - 1]).end;
        let mut neighbours = members.windows(2);
        let gapless = neighbours.all(|pair| part(&pair[0]).end == part(&pair[1]).start);
        (members, whole, gapless)
    });
    groups
        .filter(|(members, _, gapless)| members.len() > 1 && *gapless)
        .map(|(members, part, _)| Group { members, part })
        .collect()
}

fn parts(node: &Node) -> Option<(Range<usize>, Form<'_>)> {
    match &node.op {
        Op::Linear {
            activation: Activation::None,
            part,
            bias,
            scales,
        } => Some((part.clone(), (&node.inputs, *bias, *scales))),
        _ => None,
    }
}

fn product(node: &Node, all: &Range<usize>) -> (Op, Vec<usize>) {
    let Op::Linear {
        activation,
        bias,
        scales,
        ..
    } = node.op
    else {
        unreachable!("BUG: a group is of products");
    };
    let mut shape = node.shape.clone();
    *shape.last_mut().expect("BUG: a tensor has a dimension") = all.len();
    let part = all.clone();
    let op = Op::Linear {
        activation,
        part,
        bias,
        scales,
    };
    (op, shape)
}
