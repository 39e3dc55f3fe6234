//! Telling a loop that there is work for it.

use tokio::sync::Notify;

/// One bell for each loop. They only save waiting: each loop also looks by itself, so that a lost
/// ring delays work and never loses it.
#[derive(Debug, Default)]
pub struct Wake {
    /// A job was accepted: its inputs can be prepared.
    pub prepare: Notify,
    /// A sample is due, or a node is idle.
    pub dispatch: Notify,
    /// A job ended: there is something to erase.
    pub sweep: Notify,
}
