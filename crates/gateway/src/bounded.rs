//! A map that cannot grow without end.

use std::{collections::HashMap, hash::Hash, mem};

/// A map of at most twice `most` entries. Once `most` of them are new or were changed, those that
/// are neither are forgotten: each change costs the same, whoever makes how many.
#[derive(Debug)]
pub(crate) struct BoundedMap<K, V> {
    most: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V: Default> BoundedMap<K, V> {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// The value of `key`, if it is remembered.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// The value of `key`, to be changed; a default one where none is remembered.
    pub(crate) fn entry(&mut self, key: K) -> &mut V {
        let kept = self.old.remove(&key);
        if self.young.len() >= self.most && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        self.young
            .entry(key)
            .or_insert_with(|| kept.unwrap_or_default())
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_remembers_what_is_used() {
        let mut map = BoundedMap::new(10);
        *map.entry(0) = 1;
        for other in 1..1000 {
            *map.entry(other) = 2;
            *map.entry(0) += 1;
            assert!(map.young.len() + map.old.len() <= 20);
        }
        assert_eq!(map.get(&0), Some(&1000));
        assert_eq!((map.get(&1), map.get(&999)), (None, Some(&2)));
        map.remove(&0);
        assert_eq!(map.get(&0), None);
    }
}
