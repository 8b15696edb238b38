//! Acknowledged runs: entries that need no further look are jumped over.
//!
//! An acknowledgement repeats what earlier ones said. Each closed entry therefore knows a distance upwards within
//! which everything is closed, and a walk over a range shortens the distances it meets (path compression, as in a
//! union-find structure). A repeated range costs a few steps, whatever its length.

use crate::num::narrow;
use crate::ring::Ring;

pub(crate) trait Closable {
    /// Distance to the next entry that may be open; `None` when this one is open.
    fn closed(&self) -> Option<u32>;
    fn close(&mut self, distance: u32);
}

/// Shows the open entries at `from..to` in ascending order to `visit` and closes them. Returns the number of steps.
pub(crate) fn close_range<T: Closable>(
    ring: &mut Ring<T>,
    from: u64,
    to: u64,
    mut visit: impl FnMut(u64, &mut T),
) -> u64 {
    let to = to.min(ring.next());
    let mut at = from.max(ring.first());
    let mut steps: u64 = 0;
    while at < to {
        let Some(entry) = ring.get_mut(at) else { break };
        steps = steps.saturating_add(1);
        let rest = narrow(to.saturating_sub(at));
        match entry.closed() {
            Some(distance) => {
                // Everything up to `to` is closed when this walk ends.
                entry.close(distance.max(rest));
                at = at.saturating_add(u64::from(distance.max(1)));
            }
            None => {
                visit(at, entry);
                entry.close(rest);
                at = at.saturating_add(1);
            }
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    struct Entry(Option<u32>);

    impl Closable for Entry {
        fn closed(&self) -> Option<u32> {
            self.0
        }
        fn close(&mut self, distance: u32) {
            self.0 = Some(distance);
        }
    }

    fn ring(len: u64) -> Ring<Entry> {
        let mut ring = Ring::starting_at(0);
        for _ in 0..len {
            ring.push(Entry(None)).unwrap();
        }
        ring
    }

    #[test]
    fn agrees_with_a_set_for_random_ranges() {
        let mut state: u64 = 1;
        let mut next = move |bound: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % bound
        };
        for _ in 0..200 {
            let mut ring = ring(100);
            let mut seen = [false; 100];
            for _ in 0..60 {
                let from = next(100);
                let to = from + next(101 - from);
                close_range(&mut ring, from, to, |at, _| {
                    let at = usize::try_from(at).unwrap();
                    assert!(!seen[at], "visited twice");
                    seen[at] = true;
                });
                let (from, to) = (usize::try_from(from).unwrap(), usize::try_from(to).unwrap());
                assert!(seen[from..to].iter().all(|&seen| seen));
            }
        }
    }

    #[test]
    fn a_repeated_growing_range_costs_what_it_adds() {
        let mut ring = ring(10_000);
        let mut steps = Vec::new();
        for end in 1..=10_000 {
            steps.push(close_range(&mut ring, 0, end, |_, _| ()));
        }
        assert!(
            steps.iter().all(|&steps| steps <= 2),
            "one jump and one new entry"
        );
    }
}
