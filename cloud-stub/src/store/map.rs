//! A map whose copies share what they hold: a copy costs one reference, a change of a copy the shard that it falls into.
//! The directory is copied at each change of the database, so with 10,000 boxes that is what a change costs.
//!
//! Invariant: a key is in the shard that its hash names, and nowhere else; copies of one map agree on that.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;

/// Shards of a map. A change copies this many references and one shard: with 10,000 entries about as much of both.
const SHARDS: usize = 128;

type Shard<K, V> = Arc<HashMap<K, V>>;

/// The map.
pub(super) struct Map<K, V> {
    hasher: RandomState,
    shards: Arc<[Shard<K, V>]>,
}

impl<K, V> Clone for Map<K, V> {
    fn clone(&self) -> Self {
        Self { hasher: self.hasher.clone(), shards: self.shards.clone() }
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        let empty = Shard::default();
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| empty.clone()).collect() }
    }
}

impl<K, V> std::fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Map").finish_non_exhaustive()
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Map<K, V> {
    /// The value of a key.
    pub(super) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.shards.get(self.shard(key))?.get(key)
    }

    /// Adds a value or replaces the one that was there, which is given back.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.change(&key)?.insert(key, value)
    }

    /// Takes a value out.
    pub(super) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        // What is not there costs no copy.
        self.get(key)?;
        self.change(key)?.remove(key)
    }

    /// All entries, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    /// All values, in no order.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Whether the other is a copy that was not changed since.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shards, &other.shards)
    }

    /// The entries of the shards that are not shared with `old`, which may be an earlier copy: every entry that differs is
    /// among them. All entries when the maps have nothing to do with each other.
    pub(super) fn unlike<'a>(&'a self, old: &'a Self) -> impl Iterator<Item = (&'a K, &'a V)> {
        let pairs = self.shards.iter().zip(old.shards.iter());
        pairs.filter(|(own, old)| !Arc::ptr_eq(own, old)).flat_map(|(own, _)| own.iter())
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        (self.hasher.hash_one(key) % SHARDS as u64) as usize
    }

    /// The shard of a key, this map's own from now on.
    fn change<Q: Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut HashMap<K, V>> {
        let at = self.shard(key);
        if Arc::get_mut(&mut self.shards).is_none() {
            self.shards = self.shards.iter().cloned().collect();
        }
        Arc::get_mut(&mut self.shards)?.get_mut(at).map(Arc::make_mut)
    }
}

impl<K: Clone + Eq + Hash, V: Clone> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(entries: T) -> Self {
        let mut map = Self::default();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_copy_is_what_the_map_was_whatever_is_done_to_either(steps in prop::collection::vec((any::<bool>(), any::<u16>(), any::<u8>()), 0..400)) {
            let (mut map, mut model) = (Map::default(), HashMap::new());
            let mut copies = Vec::new();
            for (index, (put, key, value)) in steps.into_iter().enumerate() {
                let key = key % 200;
                if put {
                    prop_assert_eq!(map.insert(key, value), model.insert(key, value));
                } else {
                    prop_assert_eq!(map.remove(&key), model.remove(&key));
                }
                if index % 16 == 0 { copies.push((map.clone(), model.clone())); }
            }
            copies.push((map, model));
            for (map, model) in &copies {
                let all: HashMap<u16, u8> = map.iter().map(|(key, value)| (*key, *value)).collect();
                prop_assert_eq!(&all, model);
                prop_assert!((0..200).all(|key| map.get(&key) == model.get(&key)));
            }
            for ((old, old_model), (new, new_model)) in copies.iter().zip(copies.iter().skip(1)) {
                let told: HashMap<u16, u8> = new.unlike(old).map(|(key, value)| (*key, *value)).collect();
                let changed = new_model.iter().filter(|(key, value)| old_model.get(key) != Some(value));
                for (key, value) in changed {
                    prop_assert_eq!(told.get(key), Some(value), "a change is told");
                }
            }
        }
    }

    #[test]
    fn a_change_of_a_copy_touches_one_shard() {
        let map: Map<u32, u32> = (0..10_000).map(|n| (n, n)).collect();
        let mut copy = map.clone();
        copy.insert(77, 0);
        let own = copy.shards.iter().zip(map.shards.iter()).filter(|(a, b)| !Arc::ptr_eq(a, b)).count();
        assert_eq!((own, copy.iter().count(), map.get(&77)), (1, 10_000, Some(&77)));
        assert!(map.is(&map.clone()) && !map.is(&copy));
        assert!(copy.unlike(&map).count() < 10_000 / SHARDS * 2);
    }

    /// What a change of one box among 10,000 costs, beside a map that is copied whole; printed with `--nocapture`.
    #[test]
    fn a_change_of_one_box_does_not_cost_the_fleet() {
        use std::time::{Duration, Instant};

        use crate::store::{BoxRow, BoxState, Seen};

        fn quickest(mut change: impl FnMut()) -> Duration {
            let time = |()| {
                let start = Instant::now();
                change();
                start.elapsed()
            };
            std::iter::repeat_n((), 20).map(time).min().unwrap()
        }
        let row = |n: u32| BoxRow {
            id: model::BoxId::new(&enrol::name128(u128::from(n).to_be_bytes())).unwrap(),
            identity: [0; 32],
            tunnel_key: [0; 32],
            address: n.into(),
            owner: "ACME".to_owned(),
            state: BoxState::Active,
            enrolled_ms: 0,
            version: "1.0".to_owned(),
            name: String::new(),
            site: String::new(),
            node: String::new(),
            seen: Seen::default(),
        };
        let rows: Vec<Arc<BoxRow>> = (0..10_000).map(|n| Arc::new(row(n))).collect();
        let entries = || rows.iter().map(|row| (row.id.clone(), row.clone()));
        let (shared, whole): (Map<_, _>, HashMap<_, _>) = (entries().collect(), entries().collect());
        let (id, changed) = (rows[7].id.clone(), Arc::new(row(7)));
        let ours = quickest(|| drop(shared.clone().insert(id.clone(), changed.clone())));
        let theirs = quickest(|| drop(whole.clone().insert(id.clone(), changed.clone())));
        println!("one change among 10,000 boxes: {ours:?}; copied whole: {theirs:?}");
        assert!(ours * 10 < theirs, "{ours:?} beside {theirs:?}");
    }
}
