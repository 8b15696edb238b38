//! Records: what must arrive, in a slab with two orders threaded through it.

use alloc::vec::Vec;

use gapless_seq::mark;

use crate::config::Class;
use crate::num::{index, narrow, wide};
use crate::ring::OutOfMemory;

/// Names a record for as long as it waits for acknowledgement.
///
/// A record that was acknowledged, abandoned or split leaves its name behind; asking for it is answered as unknown. (A name
/// could come back after 2^32 further records in the same slot.)
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub struct RecordId {
    slot: u32,
    generation: u32,
}

impl RecordId {
    /// Never given to a record: the slab has fewer slots.
    pub(crate) const NONE: RecordId = RecordId {
        slot: NIL,
        generation: 0,
    };
}

const NIL: u32 = u32::MAX;

#[cfg_attr(test, derive(Clone, Hash))]
#[derive(Debug)]
pub(crate) struct Record<R> {
    pub(crate) what: R,
    /// Order of the newest transmission.
    pub(crate) latest: u64,
    /// Order of the transmission before; equal to `latest` if there is none.
    pub(crate) previous: u64,
    /// First number it got; what `Numbering::Reuse` sends it under.
    pub(crate) number: u64,
    older: u32,
    newer: u32,
    queue_before: u32,
    queue_after: u32,
    pub(crate) class: Class,
    pub(crate) queued: bool,
    pub(crate) resent: bool,
}

#[cfg_attr(test, derive(Clone, Hash))]
#[derive(Debug)]
struct Slot<R> {
    generation: u32,
    next_free: u32,
    record: Option<Record<R>>,
}

/// Reliable records stand in the order of age; those to be sent again also in the queue.
#[cfg_attr(test, derive(Clone, Hash))]
#[derive(Debug)]
pub(crate) struct Records<R> {
    slots: Vec<Slot<R>>,
    free: u32,
    generation: u32,
    oldest: u32,
    newest: u32,
    queue_head: u32,
    queue_tail: u32,
    len: u32,
    reliable: u32,
    queued: u32,
}

impl<R> Records<R> {
    pub(crate) const fn new() -> Self {
        Records {
            slots: Vec::new(),
            free: NIL,
            generation: 0,
            oldest: NIL,
            newest: NIL,
            queue_head: NIL,
            queue_tail: NIL,
            len: 0,
            reliable: 0,
            queued: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        index(u64::from(self.len))
    }

    pub(crate) fn reliable(&self) -> usize {
        index(u64::from(self.reliable))
    }

    pub(crate) fn queued(&self) -> usize {
        index(u64::from(self.queued))
    }

    pub(crate) fn get(&self, id: RecordId) -> Option<&Record<R>> {
        let slot = self.slots.get(index(u64::from(id.slot)))?;
        if slot.generation == id.generation {
            slot.record.as_ref()
        } else {
            None
        }
    }

    pub(crate) fn get_mut(&mut self, id: RecordId) -> Option<&mut Record<R>> {
        let slot = self.slots.get_mut(index(u64::from(id.slot)))?;
        if slot.generation == id.generation {
            slot.record.as_mut()
        } else {
            None
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (RecordId, &Record<R>)> {
        // Not `enumerate`, whose counter could overflow for all that the compiler knows.
        (0..NIL).zip(&self.slots).filter_map(|(slot, entry)| {
            let id = RecordId {
                slot,
                generation: entry.generation,
            };
            Some((id, entry.record.as_ref()?))
        })
    }

    /// The oldest reliable record.
    pub(crate) fn oldest(&self) -> Option<(RecordId, &Record<R>)> {
        self.named(self.oldest)
    }

    /// The newest reliable record.
    pub(crate) fn newest(&self) -> Option<(RecordId, &Record<R>)> {
        self.named(self.newest)
    }

    pub(crate) fn next_newer(&self, id: RecordId) -> Option<(RecordId, &Record<R>)> {
        self.named(self.get(id)?.newer)
    }

    pub(crate) fn first_queued(&self) -> Option<(RecordId, &Record<R>)> {
        self.named(self.queue_head)
    }

    pub(crate) fn next_queued(&self, id: RecordId) -> Option<RecordId> {
        let (after, _) = self.named(self.get(id)?.queue_after)?;
        Some(after)
    }

    /// Makes room for one more record, so that the next `insert` cannot fail.
    pub(crate) fn reserve(&mut self) -> Result<(), OutOfMemory> {
        if self.free != NIL || self.slots.len() < self.slots.capacity() {
            return Ok(());
        }
        if wide(self.slots.len()) >= u64::from(NIL) {
            return Err(OutOfMemory);
        }
        self.slots.try_reserve(1).map_err(|_| OutOfMemory)
    }

    pub(crate) fn insert(
        &mut self,
        class: Class,
        latest: u64,
        number: u64,
        what: R,
    ) -> Result<RecordId, OutOfMemory> {
        let record = Record {
            what,
            latest,
            previous: latest,
            number,
            older: NIL,
            newer: NIL,
            queue_before: NIL,
            queue_after: NIL,
            class,
            queued: false,
            resent: false,
        };
        let id = self.place(record)?;
        if class == Class::Reliable {
            self.link_after(self.newest, id.slot);
        }
        Ok(id)
    }

    /// A reliable record that is as old as `elder` and was never sent by itself.
    pub(crate) fn insert_after(
        &mut self,
        elder: RecordId,
        number: u64,
        what: R,
    ) -> Result<RecordId, OutOfMemory> {
        let after = if self
            .get(elder)
            .is_some_and(|record| record.class == Class::Reliable)
        {
            elder.slot
        } else {
            self.newest
        };
        let record = Record {
            what,
            latest: u64::MAX,
            previous: u64::MAX,
            number,
            older: NIL,
            newer: NIL,
            queue_before: NIL,
            queue_after: NIL,
            class: Class::Reliable,
            queued: false,
            // What it is a part of was sent: an acknowledgement may mean that (Karn).
            resent: true,
        };
        let id = self.place(record)?;
        self.link_after(after, id.slot);
        Ok(id)
    }

    pub(crate) fn remove(&mut self, id: RecordId) -> Option<Record<R>> {
        let free = self.free;
        let slot = self.slots.get_mut(index(u64::from(id.slot)))?;
        if slot.generation != id.generation {
            return None;
        }
        let record = slot.record.take()?;
        slot.next_free = free;
        self.free = id.slot;
        self.len = self.len.saturating_sub(1);
        if record.queued {
            self.close_queue(record.queue_before, record.queue_after);
        }
        if record.class == Class::Reliable {
            self.close_age(record.older, record.newer);
        }
        Some(record)
    }

    pub(crate) fn remove_where(&mut self, mut f: impl FnMut(&R) -> bool) {
        for slot in 0..narrow(wide(self.slots.len())) {
            if let Some((id, record)) = self.named(slot)
                && f(&record.what)
            {
                mark!(RecordAbandoned);
                self.remove(id);
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        for slot in 0..narrow(wide(self.slots.len())) {
            if let Some((id, _)) = self.named(slot) {
                self.remove(id);
            }
        }
    }

    pub(crate) fn queue_last(&mut self, id: RecordId) {
        self.queue_after(id, self.queue_tail);
    }

    /// What is queued is so from now on in the order of its records. Linear in the number of all.
    pub(crate) fn sort_queue(&mut self) {
        let mut at = self.oldest;
        while let Some((id, record)) = self.named(at) {
            at = record.newer;
            if record.queued {
                self.dequeue(id);
                self.queue_last(id);
            }
        }
    }

    pub(crate) fn queue_first(&mut self, id: RecordId) {
        self.queue_after(id, NIL);
    }

    pub(crate) fn dequeue(&mut self, id: RecordId) {
        let Some(record) = self.get_mut(id) else {
            return;
        };
        if !record.queued {
            return;
        }
        record.queued = false;
        let (before, after) = (record.queue_before, record.queue_after);
        record.queue_before = NIL;
        record.queue_after = NIL;
        self.close_queue(before, after);
    }

    /// Gives the memory back if nothing is stored. Names stay unique: the generation goes on.
    pub(crate) fn release(&mut self) {
        if self.len == 0 {
            self.slots = Vec::new();
            self.free = NIL;
        }
    }

    pub(crate) fn memory(&self) -> usize {
        self.slots.capacity().saturating_mul(size_of::<Slot<R>>())
    }

    fn named(&self, slot: u32) -> Option<(RecordId, &Record<R>)> {
        let entry = self.slots.get(index(u64::from(slot)))?;
        Some((
            RecordId {
                slot,
                generation: entry.generation,
            },
            entry.record.as_ref()?,
        ))
    }

    fn at(&mut self, slot: u32) -> Option<&mut Record<R>> {
        self.slots.get_mut(index(u64::from(slot)))?.record.as_mut()
    }

    fn place(&mut self, record: Record<R>) -> Result<RecordId, OutOfMemory> {
        let generation = self.generation.wrapping_add(1);
        let slot = if let Some(entry) = self.slots.get_mut(index(u64::from(self.free))) {
            let slot = self.free;
            self.free = entry.next_free;
            entry.generation = generation;
            entry.record = Some(record);
            slot
        } else {
            self.reserve()?;
            // `push` would keep its growing path without this proof that it has room.
            if self.slots.len() == self.slots.capacity() {
                return Err(OutOfMemory);
            }
            let slot = narrow(wide(self.slots.len()));
            self.slots.push(Slot {
                generation,
                next_free: NIL,
                record: Some(record),
            });
            slot
        };
        self.generation = generation;
        self.len = self.len.saturating_add(1);
        Ok(RecordId { slot, generation })
    }

    fn link_after(&mut self, older: u32, slot: u32) {
        let newer = match self.at(older) {
            Some(record) => core::mem::replace(&mut record.newer, slot),
            None => core::mem::replace(&mut self.oldest, slot),
        };
        match self.at(newer) {
            Some(record) => record.older = slot,
            None => self.newest = slot,
        }
        if let Some(record) = self.at(slot) {
            record.older = older;
            record.newer = newer;
        }
        self.reliable = self.reliable.saturating_add(1);
    }

    /// What stood between these in the order of age is gone.
    fn close_age(&mut self, older: u32, newer: u32) {
        match self.at(older) {
            Some(record) => record.newer = newer,
            None => self.oldest = newer,
        }
        match self.at(newer) {
            Some(record) => record.older = older,
            None => self.newest = older,
        }
        self.reliable = self.reliable.saturating_sub(1);
    }

    /// What stood between these in the queue is gone.
    fn close_queue(&mut self, before: u32, after: u32) {
        match self.at(before) {
            Some(record) => record.queue_after = after,
            None => self.queue_head = after,
        }
        match self.at(after) {
            Some(record) => record.queue_before = before,
            None => self.queue_tail = before,
        }
        self.queued = self.queued.saturating_sub(1);
    }

    fn queue_after(&mut self, id: RecordId, before: u32) {
        if self.get(id).is_none_or(|record| record.queued) {
            return;
        }
        let after = match self.at(before) {
            Some(record) => core::mem::replace(&mut record.queue_after, id.slot),
            None => core::mem::replace(&mut self.queue_head, id.slot),
        };
        match self.at(after) {
            Some(record) => record.queue_before = id.slot,
            None => self.queue_tail = id.slot,
        }
        if let Some(record) = self.at(id.slot) {
            record.queued = true;
            record.queue_before = before;
            record.queue_after = after;
        }
        self.queued = self.queued.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ages(records: &Records<u32>) -> Vec<u32> {
        let mut found = Vec::new();
        let mut at = records.oldest();
        while let Some((id, record)) = at {
            found.push(record.what);
            at = records.next_newer(id);
        }
        found
    }

    fn queue(records: &mut Records<u32>) -> Vec<u32> {
        let mut found = Vec::new();
        while let Some((id, record)) = records.first_queued() {
            found.push(record.what);
            records.dequeue(id);
        }
        found
    }

    #[test]
    fn age_survives_removal_and_reuse_of_slots() {
        let mut records = Records::new();
        let ids: Vec<RecordId> = (0..5)
            .map(|what| records.insert(Class::Reliable, 0, 0, what).unwrap())
            .collect();
        records.remove(ids[0]).unwrap();
        records.remove(ids[3]).unwrap();
        assert!(records.remove(ids[3]).is_none());
        let again = records.insert(Class::Reliable, 0, 0, 9).unwrap();
        assert!(
            records.get(ids[3]).is_none(),
            "an old name is not the new record's"
        );
        assert_eq!(records.get(again).unwrap().what, 9);
        assert_eq!(ages(&records), [1, 2, 4, 9]);
        assert_eq!((records.len(), records.reliable()), (4, 4));
        let middle = records.insert_after(ids[1], 0, 15).unwrap();
        assert_eq!(ages(&records), [1, 15, 2, 4, 9]);
        records.remove(middle);
        let once = records.insert(Class::Once, 0, 0, 77).unwrap();
        assert_eq!(ages(&records), [1, 2, 4, 9]);
        assert_eq!((records.len(), records.reliable()), (5, 4));
        records.remove(once).unwrap();
        assert_eq!(records.len(), 4);
    }

    #[test]
    fn the_queue_has_two_ends_and_forgets_the_removed() {
        let mut records = Records::new();
        let ids: Vec<RecordId> = (0..5)
            .map(|what| records.insert(Class::Reliable, 0, 0, what).unwrap())
            .collect();
        for id in [ids[2], ids[3], ids[2], ids[4]] {
            records.queue_last(id);
        }
        records.queue_first(ids[1]);
        assert_eq!(records.queued(), 4);
        records.remove(ids[3]);
        records.dequeue(ids[0]);
        assert_eq!(queue(&mut records), [1, 2, 4]);
        assert_eq!(records.queued(), 0);
    }

    #[test]
    fn an_empty_slab_holds_no_memory_and_repeats_no_name() {
        let mut records = Records::new();
        let first = records.insert(Class::Reliable, 0, 0, 1_u32).unwrap();
        records.release();
        assert!(records.memory() > 0);
        records.remove(first).unwrap();
        records.release();
        assert_eq!(records.memory(), 0);
        let second = records.insert(Class::Reliable, 0, 0, 2).unwrap();
        assert_ne!(first, second);
        assert!(records.get(first).is_none());
    }
}
