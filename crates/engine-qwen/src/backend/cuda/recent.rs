//! What is kept of what was used last.

use std::{collections::HashMap, hash::Hash};

/// Values by their keys, so many at most: one more takes the place of the one that was not used
/// for longest.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    most: usize,
    /// Uses so far.
    uses: u64,
    /// With when each was used last.
    values: HashMap<K, (u64, V)>,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// Room for `most` values, of which there are none yet.
    ///
    /// # Panics
    ///
    /// If that is none at all.
    pub(super) fn new(most: usize) -> Self {
        assert!(most > 0, "BUG: what was just put in is kept");
        Self {
            most,
            uses: 0,
            values: HashMap::new(),
        }
    }

    /// The value of a key, if it is kept; it was used now.
    pub(super) fn find(&mut self, key: &K) -> Option<&mut V> {
        let (used, value) = self.values.get_mut(key)?;
        self.uses += 1;
        *used = self.uses;
        Some(value)
    }

    /// The value of a key without its being a use.
    pub(super) fn peek(&self, key: &K) -> Option<&V> {
        self.values.get(key).map(|(_, value)| value)
    }

    /// The value that was used last.
    pub(super) fn last(&self) -> Option<&V> {
        let last = self.values.values().max_by_key(|(used, _)| *used);
        last.map(|(_, value)| value)
    }

    /// Keeps a value, used now. What it takes the place of is given back: the key's former one, or
    /// the oldest of all if there is no more room.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let mut gone = self.remove(&key);
        if self.values.len() == self.most {
            let oldest = self.values.values().map(|(used, _)| *used).min();
            let mut oldest = self.values.extract_if(|_, (used, _)| Some(*used) == oldest);
            gone = oldest.next().map(|(_, (_, value))| value);
        }
        self.uses += 1;
        self.values.insert(key, (self.uses, value));
        gone
    }

    /// Takes out the value of a key.
    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        self.values.remove(key).map(|(_, value)| value)
    }

    /// Drops every value whose key is not one of these.
    pub(super) fn retain(&mut self, mut kept: impl FnMut(&K) -> bool) {
        self.values.retain(|key, _| kept(key));
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        self.values.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::Recent;

    fn keys(recent: &Recent<u32, &'static str>) -> Vec<u32> {
        let mut keys: Vec<u32> = recent.values.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn the_one_that_was_not_used_for_longest_goes() {
        let mut recent = Recent::new(3);
        for (key, value) in [(1, "one"), (2, "two"), (3, "three")] {
            assert_eq!(recent.insert(key, value), None);
        }
        assert_eq!(recent.last(), Some(&"three"));
        assert_eq!(recent.find(&1), Some(&mut "one"));
        assert_eq!(recent.last(), Some(&"one"));
        assert_eq!(recent.peek(&2), Some(&"two"), "which is no use");
        assert_eq!(recent.insert(4, "four"), Some("two"));
        assert_eq!(keys(&recent), [1, 3, 4]);
        assert_eq!(recent.insert(3, "again"), Some("three"));
        assert_eq!(keys(&recent), [1, 3, 4], "a key has one value");
        assert_eq!(recent.insert(5, "five"), Some("one"));
        assert_eq!(keys(&recent), [3, 4, 5]);
        assert_eq!(recent.find(&1), None);
        recent.retain(|key| *key != 4);
        assert_eq!(keys(&recent), [3, 5]);
    }

    #[test]
    fn what_goes_is_dropped() {
        let mut recent = Recent::new(2);
        let value = Rc::new(());
        for key in 0..5 {
            recent.insert(key, Rc::clone(&value));
        }
        assert_eq!(Rc::strong_count(&value), 3);
        assert!(recent.remove(&4).is_some());
        assert_eq!(recent.remove(&0), None);
        assert_eq!(Rc::strong_count(&value), 2);
        recent.clear();
        assert_eq!(Rc::strong_count(&value), 1);
    }
}
