//! From the two ends of a connection to its place: a hash table whose growth can fail, and in which strangers cannot make long searches.

use crate::num::{index, low, wide};
use alloc::vec::Vec;
use core::fmt;
use core::hash::Hasher;
use core::net::{IpAddr, SocketAddr};
use siphasher::sip::SipHasher13;

/// Both ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tuple {
    /// Ours.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
}

/// The allocator refused, or there are as many as a `u32` counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Full;

/// The first allocation, entries.
const FIRST_CAPACITY: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    slot: u32,
}

impl Entry {
    /// The place of none: no slot has this number.
    const VACANT: Self = Self {
        hash: 0,
        slot: u32::MAX,
    };

    fn taken(self) -> Option<Self> {
        (self.slot != Self::VACANT.slot).then_some(self)
    }
}

/// Open addressing with linear probing: entries stand at or behind the place that their hash says, with no gap between. The hash has a
/// key (a stranger who knew it could put all his connections into one place).
pub(super) struct Table {
    entries: Vec<Entry>,
    len: usize,
    key: [u64; 2],
}

/// The key stays unknown.
impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl Table {
    pub(super) const fn new(key: [u64; 2]) -> Self {
        Self {
            entries: Vec::new(),
            len: 0,
            key,
        }
    }

    /// What entries are found by.
    pub(super) fn hash(&self, tuple: &Tuple) -> u32 {
        low(self.full_hash(tuple))
    }

    pub(super) fn full_hash(&self, tuple: &Tuple) -> u64 {
        let [first, second] = self.key;
        let mut hasher = SipHasher13::new_with_keys(first, second);
        for end in [tuple.local, tuple.remote] {
            match end.ip() {
                IpAddr::V4(address) => hasher.write_u32(address.to_bits()),
                IpAddr::V6(address) => hasher.write(&address.octets()),
            }
        }
        let ports = [tuple.local.port(), tuple.remote.port()].map(u32::from);
        let [local, remote] = ports;
        hasher.write_u32(local.wrapping_shl(16) | remote);
        hasher.finish()
    }

    /// The slot of those with this hash for which `is_it` holds.
    pub(super) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash);
        for _ in 0..self.entries.len() {
            let entry = self.at(at)?;
            if entry.hash == hash && is_it(entry.slot) {
                return Some(entry.slot);
            }
            at = self.after(at);
        }
        None
    }

    pub(super) fn insert(&mut self, hash: u32, slot: u32) -> Result<(), Full> {
        // At most three quarters full: searches stay short.
        let wanted = self.len.saturating_add(1).saturating_mul(4);
        if wanted > self.entries.len().saturating_mul(3) {
            self.grow()?;
        }
        self.put(Entry { hash, slot });
        self.len = self.len.saturating_add(1);
        Ok(())
    }

    /// Takes the entry out and moves those behind it up, so that no gap is left before any of them.
    pub(super) fn remove(&mut self, hash: u32, slot: u32) {
        let mut gap = self.home(hash);
        for _ in 0..self.entries.len() {
            match self.at(gap) {
                None => return,
                Some(entry) if entry.hash == hash && entry.slot == slot => break,
                Some(_) => gap = self.after(gap),
            }
        }
        self.len = self.len.saturating_sub(1);
        let mut at = self.after(gap);
        for _ in 0..self.entries.len() {
            let Some(entry) = self.at(at) else {
                break;
            };
            // It may move to the gap if the gap is not before its home.
            let home = self.home(entry.hash);
            if self.distance(home, gap) <= self.distance(home, at) {
                self.set(gap, entry);
                gap = at;
            }
            at = self.after(at);
        }
        self.set(gap, Entry::VACANT);
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Heap memory held, octets.
    pub(super) fn memory(&self) -> usize {
        self.entries.capacity().saturating_mul(size_of::<Entry>())
    }

    #[cold]
    fn grow(&mut self) -> Result<(), Full> {
        let capacity = self
            .entries
            .len()
            .checked_mul(2)
            .ok_or(Full)?
            .max(FIRST_CAPACITY);
        let mut entries: Vec<Entry> = Vec::new();
        entries.try_reserve_exact(capacity).map_err(|_| Full)?;
        while entries.len() < capacity {
            // The growing path, which can fail, is only left out of the program if it is seen here that there is room.
            if entries.len() == entries.capacity() {
                return Err(Full);
            }
            entries.push(Entry::VACANT);
        }
        let old = core::mem::replace(&mut self.entries, entries);
        for entry in old.into_iter().filter_map(Entry::taken) {
            self.put(entry);
        }
        Ok(())
    }

    fn put(&mut self, entry: Entry) {
        let mut at = self.home(entry.hash);
        for _ in 0..self.entries.len() {
            if self.at(at).is_none() {
                self.set(at, entry);
                return;
            }
            at = self.after(at);
        }
    }

    fn at(&self, at: usize) -> Option<Entry> {
        self.entries.get(at).copied().and_then(Entry::taken)
    }

    fn set(&mut self, at: usize, entry: Entry) {
        if let Some(place) = self.entries.get_mut(at) {
            *place = entry;
        }
    }

    fn home(&self, hash: u32) -> usize {
        index(u64::from(hash) & self.mask())
    }

    fn after(&self, at: usize) -> usize {
        index(wide(at).wrapping_add(1) & self.mask())
    }

    fn distance(&self, from: usize, to: usize) -> u64 {
        wide(to).wrapping_sub(wide(from)) & self.mask()
    }

    fn mask(&self) -> u64 {
        wide(self.entries.len()).wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        /// Against a map; few different homes, so that entries stand in each other's way.
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0_u32..12, 0_u32..40, any::<bool>()), 1..400)) {
            let mut table = Table::new([1, 2]);
            let mut model: BTreeMap<u32, u32> = BTreeMap::new();
            for (hash, slot, adds) in steps {
                match (adds, model.get(&slot).copied()) {
                    (true, None) => {
                        table.insert(hash, slot).unwrap();
                        model.insert(slot, hash);
                    }
                    (false, Some(hash)) => {
                        table.remove(hash, slot);
                        model.remove(&slot);
                    }
                    _ => {}
                }
                prop_assert_eq!(table.len(), model.len());
                for (slot, hash) in &model {
                    prop_assert_eq!(table.find(*hash, |found| found == *slot), Some(*slot));
                }
            }
            for slot in 0..40 {
                if !model.contains_key(&slot) {
                    prop_assert_eq!((0..12).find_map(|hash| table.find(hash, |found| found == slot)), None);
                }
            }
        }
    }

    #[test]
    fn all_four_parts_count() {
        let table = Table::new([3, 4]);
        let tuple = |a: &str, b: &str| Tuple {
            local: a.parse().unwrap(),
            remote: b.parse().unwrap(),
        };
        let all = [
            tuple("192.0.2.1:1", "192.0.2.2:2"),
            tuple("192.0.2.1:2", "192.0.2.2:1"),
            tuple("192.0.2.2:1", "192.0.2.1:2"),
            tuple("192.0.2.1:1", "192.0.2.2:3"),
            tuple("[::1]:1", "[::2]:2"),
        ];
        let mut hashes: Vec<u32> = all.iter().map(|tuple| table.hash(tuple)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), all.len());
    }
}
