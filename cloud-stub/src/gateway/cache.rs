//! A map that never holds more than so many bytes: what was used longest ago goes first.
//!
//! Bytes that are on their way are counted before they come (`reserve`), so kept and coming together stay within
//! the bound at every moment. No clock, no IO: time is an argument.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// The map.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    bound: u64,
    kept: u64,
    reserved: u64,
    uses: u64,
    entries: HashMap<K, Entry<V>>,
    /// Keys by when they were last used.
    order: BTreeMap<u64, K>,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    cost: u64,
    used: u64,
    until: Instant,
}

impl<K: Clone + Eq + Hash, V> Cache<K, V> {
    /// An empty map for at most `bound` bytes.
    pub(super) fn new(bound: u64) -> Self {
        Self { bound, kept: 0, reserved: 0, uses: 0, entries: HashMap::new(), order: BTreeMap::new() }
    }

    /// What is kept under this key, if it is still true.
    pub(super) fn get(&mut self, key: &K, now: Instant) -> Option<&V> {
        if self.entries.get(key)?.until <= now {
            self.remove(key);
            return None;
        }
        let entry = self.entries.get_mut(key)?;
        self.uses += 1;
        if let Some(key) = self.order.remove(&entry.used) {
            self.order.insert(self.uses, key);
        }
        entry.used = self.uses;
        Some(&entry.value)
    }

    /// Keeps `value`, counted as `cost` bytes, until `until`. False, and nothing is kept, when it does not fit in beside
    /// what is reserved.
    pub(super) fn insert(&mut self, key: K, value: V, cost: u64, until: Instant) -> bool {
        self.remove(&key);
        if !self.make_room(cost) {
            return false;
        }
        self.uses += 1;
        self.kept += cost;
        self.order.insert(self.uses, key.clone());
        self.entries.insert(key, Entry { value, cost, used: self.uses, until });
        true
    }

    /// Makes room for `bytes` that are on their way. False, and nothing is reserved, when others that are on their way
    /// leave no room.
    pub(super) fn reserve(&mut self, bytes: u64) -> bool {
        let fits = self.make_room(bytes);
        if fits {
            self.reserved += bytes;
        }
        fits
    }

    /// Gives back what was reserved.
    pub(super) fn release(&mut self, bytes: u64) {
        self.reserved = self.reserved.saturating_sub(bytes);
    }

    /// Drops what `keep` does not name.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&K) -> bool) {
        let Self { entries, order, kept, .. } = self;
        entries.retain(|key, entry| {
            let stays = keep(key);
            if !stays {
                *kept -= entry.cost;
                order.remove(&entry.used);
            }
            stays
        });
    }

    /// Drops what is no longer true.
    pub(super) fn expire(&mut self, now: Instant) {
        let Self { entries, order, kept, .. } = self;
        entries.retain(|_, entry| {
            let stays = entry.until > now;
            if !stays {
                *kept -= entry.cost;
                order.remove(&entry.used);
            }
            stays
        });
    }

    /// Every key that is kept.
    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.keys()
    }

    /// Bytes kept now.
    pub(super) fn kept(&self) -> u64 {
        self.kept
    }

    /// Entries kept now.
    pub(super) fn objects(&self) -> usize {
        self.entries.len()
    }

    fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.kept -= entry.cost;
            self.order.remove(&entry.used);
        }
    }

    /// Drops what was used longest ago until `bytes` fit in; nothing when they cannot.
    fn make_room(&mut self, bytes: u64) -> bool {
        let Some(most) = self.bound.checked_sub(self.reserved).and_then(|left| left.checked_sub(bytes))
        else {
            return false;
        };
        while self.kept > most {
            let Some((_, key)) = self.order.pop_first() else { break };
            if let Some(entry) = self.entries.remove(&key) {
                self.kept -= entry.cost;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    impl<K: Clone + Eq + Hash, V> Cache<K, V> {
        /// Everything that must hold at every moment.
        fn check(&self) {
            let sum: u64 = self.entries.values().map(|entry| entry.cost).sum();
            assert_eq!(sum, self.kept, "the sum is exact");
            assert!(self.kept + self.reserved <= self.bound, "within the bound");
            assert_eq!(self.entries.len(), self.order.len());
            for (used, key) in &self.order {
                assert_eq!(self.entries[key].used, *used);
            }
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u8, u64, u64),
        Get(u8),
        Reserve(u64),
        Release,
        Drop(u8),
        Wait(u64),
        Expire,
    }

    fn step() -> impl Strategy<Value = Step> {
        let bytes = prop_oneof![0..400u64, Just(0), Just(1000), Just(1001), Just(u64::MAX)];
        prop_oneof![
            4 => (any::<u8>(), bytes.clone(), 0..50u64).prop_map(|(key, cost, life)| Step::Insert(key % 40, cost, life)),
            4 => any::<u8>().prop_map(|key| Step::Get(key % 40)),
            2 => bytes.prop_map(Step::Reserve),
            2 => Just(Step::Release),
            1 => any::<u8>().prop_map(|key| Step::Drop(key % 40)),
            1 => (0..20u64).prop_map(Step::Wait),
            1 => Just(Step::Expire),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_the_bytes_stay_within_the_bound_and_add_up(steps in prop::collection::vec(step(), 1..300)) {
            let start = Instant::now();
            let (mut cache, mut model, mut at) = (Cache::new(1000), HashMap::new(), 0);
            let mut reserved = Vec::new();
            for step in steps {
                let now = start + Duration::from_millis(at);
                match step {
                    Step::Insert(key, cost, life) => {
                        let room = 1000 - reserved.iter().sum::<u64>();
                        let fits = cache.insert(key, cost, cost, now + Duration::from_millis(life));
                        prop_assert_eq!(fits, cost <= room, "it fits whenever what is kept can go");
                        model.remove(&key);
                        if fits { model.insert(key, (cost, at + life)); }
                    }
                    Step::Get(key) => if let Some(found) = cache.get(&key, now) {
                        let (cost, until) = model[&key];
                        prop_assert_eq!(*found, cost, "what was put last");
                        prop_assert!(until > at, "nothing that is over");
                    },
                    Step::Reserve(bytes) => if cache.reserve(bytes) { reserved.push(bytes) },
                    Step::Release => if let Some(bytes) = reserved.pop() { cache.release(bytes) },
                    Step::Drop(key) => { cache.retain(|kept| *kept != key); model.remove(&key); }
                    Step::Wait(ms) => at += ms,
                    Step::Expire => { cache.expire(now); prop_assert!(cache.keys().all(|key| model[key].1 > at)); }
                }
                cache.check();
            }
        }
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut cache = Cache::new(30);
        for key in 1..=3 {
            assert!(cache.insert(key, key, 10, later));
        }
        assert_eq!(cache.get(&1, now), Some(&1));
        assert!(cache.insert(4, 4, 10, later));
        assert_eq!(cache.get(&2, now), None, "the one that nobody used");
        assert!(cache.reserve(20));
        assert_eq!(cache.get(&1, now), None);
        assert_eq!(cache.get(&4, now), Some(&4));
        assert_eq!(cache.kept(), 10);
        assert!(!cache.reserve(11) && cache.get(&4, now).is_some(), "what cannot fit pushes nothing out");
    }
}
