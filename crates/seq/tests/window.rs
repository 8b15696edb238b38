//! Windows, exhaustively over small ones at both ends of `u64`.
#![allow(clippy::arithmetic_side_effects, clippy::as_conversions)]

use gapless_seq::Window;
use std::ops::Range;

/// Small universes of positions at 0, somewhere, and up to `u64::MAX`.
const UNIVERSES: [Range<u64>; 3] = [0..7, 1 << 32..(1 << 32) + 7, u64::MAX - 6..u64::MAX];

/// Every position of `universe`, and its end.
fn places(universe: &Range<u64>) -> impl Iterator<Item = u64> + Clone + use<> {
    universe.start..=universe.end
}

/// Calls `f` with every window of every universe.
fn for_every_window(mut f: impl FnMut(&Range<u64>, Window)) {
    for universe in UNIVERSES {
        for start in places(&universe) {
            for end in places(&universe) {
                let window = Window::from_edges(start, end);
                assert_eq!(window.is_some(), start <= end);
                if let Some(window) = window {
                    assert_eq!((window.start(), window.end()), (start, end));
                    f(&universe, window);
                }
            }
        }
    }
}

#[test]
fn says_what_is_inside() {
    for_every_window(|universe, window| {
        let inside = |position| window.start() <= position && position < window.end();
        let count = places(universe)
            .filter(|&position| inside(position))
            .count();
        assert_eq!(window.len(), count as u64);
        assert_eq!(window.is_empty(), count == 0);
        for position in places(universe) {
            assert_eq!(window.contains(position), inside(position));
            let room = places(universe).filter(|&other| other >= position && inside(other));
            assert_eq!(window.room_from(position), room.count() as u64);
        }
    });
}

#[test]
fn clips_ranges_to_what_is_inside() {
    for_every_window(|universe, window| {
        for start in places(universe) {
            for end in places(universe) {
                let range = start..end;
                let mut inside = range.clone().filter(|&position| window.contains(position));
                let first = inside.next();
                let last = inside.next_back().or(first);
                let clipped = first.zip(last).map(|(first, last)| first..last + 1);
                assert_eq!(window.clip(&range), clipped);
                let all = range.clone().all(|position| window.contains(position));
                assert_eq!(window.contains_range(&range), all);
            }
        }
    });
}

#[test]
fn no_edge_ever_moves_left() {
    for_every_window(|universe, window| {
        for position in places(universe) {
            let mut moved = window;
            let did = moved.advance_start_to(position);
            assert_eq!(did, window.start() < position && position <= window.end());
            assert_eq!(moved.start(), if did { position } else { window.start() });
            assert_eq!(moved.end(), window.end());

            let mut moved = window;
            let did = moved.extend_end_to(position);
            assert_eq!(did, position > window.end());
            assert_eq!(moved.end(), if did { position } else { window.end() });
            assert_eq!(moved.start(), window.start());
        }
    });
}

#[test]
fn is_shorter_where_u64_ends() {
    assert_eq!(Window::new(5, 10), Window::from_edges(5, 15).unwrap());
    assert_eq!(Window::new(u64::MAX - 3, 10).len(), 3);
    assert_eq!(Window::new(0, u64::MAX).len(), u64::MAX);
    assert!(Window::new(u64::MAX, u64::MAX).is_empty());
    assert_eq!(Window::default(), Window::new(0, 0));
}
