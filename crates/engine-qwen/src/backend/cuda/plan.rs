//! Commands with their places in the arena, and what was captured of them.

use super::{
    arena::{Span, arrange},
    command::{Command, Element, Kind, Operand},
    device::{Device, DeviceError},
    fuse,
    graph::Graph,
    lower::{Output, Place, lower},
    recent::Recent,
};

/// A plan of fewer commands is as quickly sent to the device as a capture of it.
const WORTH_CAPTURING: usize = 32;

/// What to do for a graph.
pub(super) struct Plan {
    /// No other plan's.
    pub(super) id: u64,
    commands: Vec<Command<Place>>,
    /// Of each buffer in the arena.
    offsets: Vec<usize>,
    /// Bytes of the arena.
    pub(super) arena: usize,
    pub(super) outputs: Vec<Output>,
    /// Whether it was ever carried out.
    warm: bool,
    /// Whether the device refused to capture it.
    refused: bool,
}

/// What was captured of all plans, by the plan's number and the addresses.
pub(super) type Captures<D> = Recent<(u64, Addresses), <D as Device>::Graph>;

/// Where the memory is that a plan works on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Addresses {
    pub(super) arena: u64,
    pub(super) leaves: Vec<u64>,
    pub(super) outputs: Vec<u64>,
}

/// How a plan was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Command by command.
    Sent,
    /// Captured and replayed.
    Captured,
    /// As it was captured before.
    Replayed,
}

impl Plan {
    /// Plans a graph, under a number that no other plan has. With `forgetting`, the device is told
    /// what is read no more.
    pub(super) fn of(id: u64, graph: &Graph, forgetting: bool) -> Self {
        let lowered = lower(&fuse::graph(graph));
        let mut commands = fuse::commands(lowered.commands);
        let spans = spans(&commands, &lowered.buffers);
        let (offsets, arena) = arrange(&spans);
        if forgetting {
            commands = forget(commands, &spans);
        }
        Self {
            id,
            commands,
            offsets,
            arena,
            outputs: lowered.outputs,
            warm: false,
            refused: false,
        }
    }

    /// What is computed, without what is forgotten.
    pub(super) fn kinds(&self) -> impl Iterator<Item = Kind> {
        let kinds = self.commands.iter().map(|command| command.kind);
        kinds.filter(|kind| *kind != Kind::Forget)
    }

    /// Carries it out. The first time command by command, so that the device finds out what it has
    /// to; from then on captured, once for each set of addresses, unless the device does not do that.
    pub(super) fn run<D: Device>(
        &mut self,
        device: &D,
        addresses: Addresses,
        captures: &mut Captures<D>,
    ) -> Result<Way, DeviceError> {
        let key = (self.id, addresses);
        if let Some(graph) = captures.find(&key) {
            device.replay(graph)?;
            return Ok(Way::Replayed);
        }
        let commands = self.bind(&key.1);
        if self.warm && !self.refused && commands.len() >= WORTH_CAPTURING {
            let captured = device.capture(&commands).and_then(|graph| {
                device.replay(&graph)?;
                Ok(graph)
            });
            match captured {
                Ok(graph) => {
                    captures.insert(key, graph);
                    return Ok(Way::Captured);
                }
                // Nothing of it was done. It would be refused each time.
                Err(error) if error.is_refusal() => self.refused = true,
                Err(error) => return Err(error),
            }
        }
        device.run(&commands)?;
        self.warm = true;
        Ok(Way::Sent)
    }

    fn bind(&self, addresses: &Addresses) -> Vec<Command> {
        let place = |place| match place {
            Place::Arena { buffer, offset } => {
                addresses.arena + (self.offsets[buffer] + offset) as u64
            }
            Place::Leaf { leaf, offset } => addresses.leaves[leaf] + offset as u64,
            Place::Output { output, offset } => addresses.outputs[output] + offset as u64,
        };
        let commands = self.commands.iter();
        commands.map(|command| command.map(place)).collect()
    }
}

/// From when to when each buffer is needed. One that no command mentions any more takes nothing.
fn spans(commands: &[Command<Place>], buffers: &[usize]) -> Vec<Span> {
    let none = Span {
        bytes: 0,
        first: usize::MAX,
        last: 0,
    };
    let mut spans = vec![none; buffers.len()];
    for (at, command) in commands.iter().enumerate() {
        for operand in command.reads.iter().chain(&command.writes) {
            if let Place::Arena { buffer, .. } = operand.at {
                let span = &mut spans[buffer];
                span.bytes = buffers[buffer];
                span.first = span.first.min(at);
                span.last = at;
            }
        }
    }
    spans
}

/// The same with what is read no more forgotten at once.
fn forget(commands: Vec<Command<Place>>, spans: &[Span]) -> Vec<Command<Place>> {
    let mut out = Vec::with_capacity(2 * commands.len());
    for (at, command) in commands.into_iter().enumerate() {
        out.push(command);
        let spans = spans.iter().enumerate();
        let ended = spans.filter(|(_, span)| span.bytes > 0 && span.last == at);
        let writes: Vec<Operand<Place>> = ended
            .map(|(buffer, span)| Operand {
                at: Place::Arena { buffer, offset: 0 },
                element: Element::F8,
                rows: 1,
                width: span.bytes,
                stride: span.bytes,
            })
            .collect();
        if !writes.is_empty() {
            out.push(Command {
                kind: Kind::Forget,
                reads: Vec::new(),
                writes,
            });
        }
    }
    out
}
