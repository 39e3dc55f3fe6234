//! Neighbouring commands that become one.

use std::collections::HashSet;

use super::super::{
    command::{Command, Kind, Operand},
    lower::Place,
};

type Commands = Vec<Command<Place>>;

/// Queries and keys that are normed and turned, and values that are copied, all of one product,
/// are read together.
pub(super) fn qkv(commands: Commands) -> Commands {
    let mut merged: Vec<(usize, [usize; 3], Command<Place>)> = Vec::new();
    for (at, command) in commands.iter().enumerate() {
        if !matches!(command.kind, Kind::Matmul { .. }) {
            continue;
        }
        let readers = readers(&commands, &command.writes[0]);
        if let [first, second, third] = *readers
            && let Some(whole) = together(&command.writes[0], &commands, [first, second, third])
        {
            merged.push((at, [first, second, third], whole));
        }
    }
    let mut out = Vec::with_capacity(commands.len());
    for (at, command) in commands.into_iter().enumerate() {
        // Where the first of the three was; the tables and weights are there from the start.
        match merged.iter().find(|(_, parts, _)| parts.contains(&at)) {
            Some((_, [first, ..], whole)) if *first == at => out.push(whole.clone()),
            Some(_) => {}
            None => out.push(command),
        }
    }
    out
}

/// Commands that read of what this one wrote.
fn readers(commands: &[Command<Place>], written: &Operand<Place>) -> Vec<usize> {
    let reads = |command: &Command<Place>| {
        let mut reads = command.reads.iter();
        reads.any(|read| read.at.is_of(written.at))
    };
    let commands = commands.iter().enumerate();
    let readers = commands.filter(|(_, command)| reads(command));
    readers.map(|(at, _)| at).collect()
}

/// The three as one, in whichever order they are.
fn together(
    product: &Operand<Place>,
    commands: &[Command<Place>],
    mut parts: [usize; 3],
) -> Option<Command<Place>> {
    if !matches!(product.at, Place::Arena { .. }) {
        return None;
    }
    parts.sort_by_key(|part| commands[*part].reads[0].at.offset());
    let [q, k, v] = parts.map(|part| &commands[part]);
    let (Kind::HeadNormTurn { eps }, Kind::HeadNormTurn { eps: other }, Kind::Copy) =
        (q.kind, k.kind, v.kind)
    else {
        return None;
    };
    let third = product.width / 3;
    let covers = [q, k, v].iter().enumerate().all(|(i, part)| {
        let read = part.reads[0];
        let offset = product.at.offset() + i * third * product.element.size();
        read.width == third && read.rows == product.rows && read.at.offset() == offset
    });
    let same = eps == other && q.reads[2..] == k.reads[2..];
    let dense = v.writes[0].is_dense() && v.writes[0].element == product.element;
    let constant = [&q.reads[1..], &k.reads[1..]].concat();
    let constant = constant.iter().all(|read| read.at.is_leaf());
    (covers && same && dense && constant).then(|| Command {
        kind: Kind::QkvNormTurn { eps },
        reads: vec![*product, q.reads[1], k.reads[1], q.reads[2], q.reads[3]],
        writes: vec![q.writes[0], k.writes[0], v.writes[0]],
    })
}

/// A gated sum and the norm of it.
pub(super) fn norms(commands: &[Command<Place>]) -> Commands {
    let mut gone = HashSet::new();
    let mut out = commands.to_vec();
    for (at, sum) in commands.iter().enumerate() {
        let Kind::AddGated { split } = sum.kind else {
            continue;
        };
        let later = commands.iter().enumerate().skip(at + 1);
        let mut norms = later.filter(|(_, norm)| {
            matches!(norm.kind, Kind::ModulatedNorm { .. })
                && norm.reads[0] == sum.writes[0]
                && norm.reads[1..].iter().all(|read| read.at.is_leaf())
        });
        let Some((place, norm)) = norms.next() else {
            continue;
        };
        let Kind::ModulatedNorm { eps, splits, .. } = norm.kind else {
            unreachable!("BUG: it was found to be a norm");
        };
        gone.insert(place);
        out[at] = Command {
            kind: Kind::AddGatedNorm {
                eps,
                splits: [split, splits[0], splits[1]],
                quantise: false,
            },
            reads: [&sum.reads[..], &norm.reads[1..]].concat(),
            writes: vec![sum.writes[0], norm.writes[0]],
        };
    }
    without(out, &gone)
}

/// A norm whose result is quantised, and not looked at otherwise.
pub(super) fn quantisation(commands: &[Command<Place>]) -> Commands {
    let mut gone = HashSet::new();
    let mut out = commands.to_vec();
    for (at, norm) in commands.iter().enumerate() {
        let Some(normed) = norm.writes.last() else {
            continue;
        };
        let kind = match norm.kind {
            Kind::ModulatedNorm { eps, splits, .. } => Kind::ModulatedNorm {
                eps,
                splits,
                quantise: true,
            },
            Kind::AddGatedNorm { eps, splits, .. } => Kind::AddGatedNorm {
                eps,
                splits,
                quantise: true,
            },
            _ => continue,
        };
        let readers = readers(commands, normed);
        let [reader] = *readers else { continue };
        let quantised = &commands[reader];
        let arena = matches!(normed.at, Place::Arena { .. });
        if quantised.kind != Kind::Quantise || quantised.reads[0] != *normed || !arena {
            continue;
        }
        gone.insert(reader);
        let first = &norm.writes[..norm.writes.len() - 1];
        out[at] = Command {
            kind,
            reads: norm.reads.clone(),
            writes: [first, &quantised.writes[..]].concat(),
        };
    }
    without(out, &gone)
}

fn without(commands: Commands, gone: &HashSet<usize>) -> Commands {
    let commands = commands.into_iter().enumerate();
    let kept = commands.filter(|(at, _)| !gone.contains(at));
    kept.map(|(_, command)| command).collect()
}
