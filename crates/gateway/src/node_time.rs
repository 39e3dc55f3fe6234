//! How long each node's pictures took lately, by what this gateway was told.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::bounded::BoundedMap;

/// Pictures of a node that are remembered.
const LATEST: usize = 100;

/// Nodes that are remembered: as many as a gateway is measured with, and half as many besides.
const NODES: usize = 1_500;

/// The times of each node's latest pictures.
#[derive(Debug)]
pub(crate) struct NodeTimes(Mutex<BoundedMap<String, VecDeque<Duration>>>);

impl Default for NodeTimes {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::new(NODES)))
    }
}

impl NodeTimes {
    /// A node's picture took so long.
    pub(crate) fn note(&self, node: &str, took: Duration) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = times.entry(node.to_owned());
        if latest.len() == LATEST {
            latest.pop_front();
        }
        latest.push_back(took);
    }

    /// The times within which half of its latest pictures were made, and 99 of 100.
    pub(crate) fn of(&self, node: &str) -> Option<(Duration, Duration)> {
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut latest: Vec<_> = times.get(&node.to_owned())?.iter().copied().collect();
        drop(times);
        latest.sort_unstable();
        let within = |percent: usize| latest.get((latest.len() * percent).div_ceil(100) - 1);
        Some((*within(50)?, *within(99)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_pictures_of_a_node_count() {
        let times = NodeTimes::default();
        assert_eq!(times.of("a"), None);
        times.note("a", Duration::from_secs(7));
        let seven = Duration::from_secs(7);
        assert_eq!(times.of("a"), Some((seven, seven)));
        for seconds in 1..=100 {
            times.note("a", Duration::from_secs(seconds));
        }
        let expected = (Duration::from_secs(50), Duration::from_secs(99));
        assert_eq!(times.of("a"), Some(expected));
    }
}
