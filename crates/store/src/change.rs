//! Telling whoever waits that something changed.

use std::ops::BitOr;

use tokio::sync::watch;

use crate::record::{Lost, Settled};

/// What changed in the store since somebody last asked. It saves waiting and promises nothing:
/// whoever waits for work also looks by itself now and then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is told to somebody else, and any of them can be told together"
)]
pub struct Change {
    /// A job was submitted: its inputs can be prepared.
    pub submitted: bool,
    /// A sample was queued or a node became idle: work can be given out.
    pub due: bool,
    /// A job ended, or the message about its end is to be sent anew: there are pictures to erase
    /// and somebody to tell.
    pub ended: bool,
    /// There are other nodes than before.
    pub nodes: bool,
}

impl Change {
    pub(crate) const NOTHING: Self = Self {
        submitted: false,
        due: false,
        ended: false,
        nodes: false,
    };
    pub(crate) const SUBMITTED: Self = Self {
        submitted: true,
        ..Self::NOTHING
    };
    pub(crate) const DUE: Self = Self {
        due: true,
        ..Self::NOTHING
    };
    pub(crate) const ENDED: Self = Self {
        ended: true,
        ..Self::NOTHING
    };
    pub(crate) const NODES: Self = Self {
        nodes: true,
        ..Self::NOTHING
    };

    /// Each part with the word for it between processes.
    fn parts(self) -> [(&'static str, bool); 4] {
        [
            ("submitted", self.submitted),
            ("due", self.due),
            ("ended", self.ended),
            ("nodes", self.nodes),
        ]
    }

    /// Its words, as another process reads them.
    pub(crate) fn to_words(self) -> String {
        let words = self.parts().into_iter().filter(|(_, changed)| *changed);
        words.map(|(word, _)| word).collect::<Vec<_>>().join(" ")
    }

    /// What these words say. Words of a newer version say nothing.
    pub(crate) fn from_words(words: &str) -> Self {
        let has = |word| words.split(' ').any(|said| said == word);
        Self {
            submitted: has("submitted"),
            due: has("due"),
            ended: has("ended"),
            nodes: has("nodes"),
        }
    }
}

impl Settled {
    /// What changed with it.
    pub(crate) fn change(&self) -> Change {
        match self {
            Self::Recorded { job_end: Some(_) } => Change::DUE | Change::ENDED,
            Self::Recorded { job_end: None } => Change::DUE,
            Self::Ignored | Self::Unknown => Change::default(),
        }
    }
}

impl Lost {
    /// What changed with it.
    pub(crate) fn change(&self) -> Change {
        match self {
            Self::GivenUp { job_end: Some(_) } => Change::DUE | Change::ENDED,
            Self::GivenUp { job_end: None } | Self::Requeued => Change::DUE,
            Self::Stale => Change::default(),
        }
    }
}

impl BitOr for Change {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            submitted: self.submitted | other.submitted,
            due: self.due | other.due,
            ended: self.ended | other.ended,
            nodes: self.nodes | other.nodes,
        }
    }
}

/// How often each part of a [`Change`] happened.
type Counts = [u64; 4];

/// The changes of a store from now on; see [`crate::Store::changes`].
#[derive(Debug)]
pub struct Changes {
    seen: Counts,
    counts: watch::Receiver<Counts>,
}

impl Changes {
    fn of(sender: &watch::Sender<Counts>) -> Self {
        let counts = sender.subscribe();
        let seen = *counts.borrow();
        Self { seen, counts }
    }

    /// Waits for a change. What changed before this is called, and after the last call, is
    /// answered at once, together. `None` when the store is gone.
    pub async fn next(&mut self) -> Option<Change> {
        self.counts.changed().await.ok()?;
        let counts = *self.counts.borrow_and_update();
        let before = std::mem::replace(&mut self.seen, counts);
        let [submitted, due, ended, nodes] =
            std::array::from_fn(|part| counts[part] != before[part]);
        Some(Change {
            submitted,
            due,
            ended,
            nodes,
        })
    }
}

/// Who is told what changed: those who wait in this process, and whoever tells other processes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bell {
    here: watch::Sender<Counts>,
    elsewhere: watch::Sender<Counts>,
}

impl Bell {
    /// Something changed through this store.
    pub(crate) fn ring(&self, change: Change) {
        self.ring_here(change);
        count(&self.elsewhere, change);
    }

    /// Another process said so.
    pub(crate) fn ring_here(&self, change: Change) {
        count(&self.here, change);
    }

    pub(crate) fn changes(&self) -> Changes {
        Changes::of(&self.here)
    }

    /// What other processes are to be told.
    pub(crate) fn changes_to_tell(&self) -> Changes {
        Changes::of(&self.elsewhere)
    }
}

fn count(counts: &watch::Sender<Counts>, change: Change) {
    if change == Change::default() {
        return;
    }
    counts.send_modify(|counts| {
        for (count, (_, changed)) in counts.iter_mut().zip(change.parts()) {
            *count += u64::from(changed);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_changed_meanwhile_is_told_together() {
        let bell = Bell::default();
        bell.ring(Change::SUBMITTED);
        let mut changes = bell.changes();
        bell.ring(Change::DUE);
        bell.ring(Change::default());
        bell.ring(Change::ENDED);
        bell.ring(Change::DUE);
        assert_eq!(changes.next().await, Some(Change::DUE | Change::ENDED));
        let mut to_tell = bell.changes_to_tell();
        bell.ring_here(Change::SUBMITTED);
        bell.ring(Change::DUE);
        assert_eq!(changes.next().await, Some(Change::SUBMITTED | Change::DUE));
        assert_eq!(to_tell.next().await, Some(Change::DUE));
        drop(bell);
        assert_eq!(changes.next().await, None);
    }

    #[test]
    fn another_process_reads_what_was_written() {
        let both = Change::SUBMITTED | Change::ENDED;
        assert_eq!(both.to_words(), "submitted ended");
        assert_eq!(Change::from_words(&both.to_words()), both);
        assert_eq!(Change::from_words("due later"), Change::DUE);
    }
}
