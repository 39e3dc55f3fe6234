//! Heads that are turned as they are normed.

use super::super::{
    super::Pairing,
    graph::{Graph, Op},
};

/// The turn of parts that were normed and joined becomes the joint of parts that are normed and
/// turned: each part is read once, and written where it belongs.
pub(super) fn before_joining(graph: &Graph) -> Graph {
    let mut out = Graph::new(graph.storage);
    let mut new: Vec<usize> = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.nodes.iter().enumerate() {
        let turned = match node.op {
            Op::Turn(Pairing::Interleaved) => turned(graph, id, &new, &mut out),
            _ => None,
        };
        new.push(turned.unwrap_or_else(|| {
            let inputs = node.inputs.iter().map(|input| new[*input]).collect();
            out.push(node.op.clone(), inputs, node.shape.clone())
        }));
    }
    out.outputs = graph.outputs.iter().map(|output| new[*output]).collect();
    out
}

/// The turn `id` as the joint of its parts, if every one of them was normed head by head.
fn turned(graph: &Graph, id: usize, new: &[usize], out: &mut Graph) -> Option<usize> {
    let node = &graph.nodes[id];
    let [x, cos, sin] = *node.inputs else {
        unreachable!("BUG: a turn has three inputs");
    };
    let joint = &graph.nodes[x];
    let parts = match joint.op {
        Op::Concat => joint.inputs.clone(),
        _ => vec![x],
    };
    let half = graph.nodes[cos].width();
    let fits = |part: &usize| {
        let part = &graph.nodes[*part];
        matches!(part.op, Op::RmsNorm { .. }) && graph.nodes[part.inputs[1]].width() == 2 * half
    };
    if !parts.iter().all(fits) {
        return None;
    }
    let mut turned = Vec::with_capacity(parts.len());
    let mut row = 0;
    for part in parts {
        let part = &graph.nodes[part];
        let Op::RmsNorm { eps } = part.op else {
            unreachable!("BUG: every part is a norm");
        };
        let rows = row..row + part.rows();
        row = rows.end;
        let mut angles = |table: usize| {
            let shape = vec![rows.len(), half];
            out.push(Op::Rows(rows.clone()), vec![new[table]], shape)
        };
        let (cos, sin) = (angles(cos), angles(sin));
        let inputs = vec![new[part.inputs[0]], new[part.inputs[1]], cos, sin];
        turned.push(out.push(Op::HeadNormTurn { eps }, inputs, part.shape.clone()));
    }
    Some(match *turned {
        [alone] => alone,
        _ => out.push(Op::Concat, turned, node.shape.clone()),
    })
}
