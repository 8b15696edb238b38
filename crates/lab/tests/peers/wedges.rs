//! Numbers that nobody sends again, between two peers that have the defect: the stream wedges, and neither side is told.
//!
//! Corpus, section 9: the seed's bug (U1), and the five later variants of it (U2, U3, U4, U5, U14).

use crate::table::{End, Table, Talk};
use gapless_lab::peers::Kind;
use gapless_lab::peers::dart::Release;
use gapless_lab::peers::wire::{Frame, Numbering, Packet, decode};
use gapless_link::Profile;
use std::time::Duration;

/// Both write, and both go on writing after what goes wrong.
fn both_ways(release: Release) -> Table<'static> {
    let ends = [1, 2].map(|seed| End::model(Kind::Dart(release), seed));
    Table::new(ends, [200_000; 2].map(talk), &link("delay=5ms"))
}

pub(crate) fn talk(writes: usize) -> Talk {
    Talk {
        writes,
        ..Talk::default()
    }
}

pub(crate) fn link(text: &str) -> Profile {
    text.parse().unwrap()
}

fn read(datagram: &[u8]) -> Packet {
    decode(datagram, Numbering::Dart).expect("a packet")
}

fn is_ack(packet: &Packet) -> bool {
    matches!(packet.frames[..], [Frame::Ack { .. }])
}

/// Ten minutes more change nothing: the expected number is stuck, later packets are buffered, nothing is delivered, and nobody
/// says that it failed.
#[track_caller]
fn assert_wedged(table: &mut Table<'_>, side: usize) {
    assert!(!table.run(Duration::from_secs(60)), "{:?}", table.seen);
    let order = table.ends[side].order().expect("an order of numbers");
    let (read, last_at) = (table.seen[side].read, table.seen[side].last_at);
    assert!(order.buffered > 0, "{order:?}");
    assert!(!table.run(Duration::from_secs(600)));
    assert_eq!(table.ends[side].order(), Some(order));
    let seen = &table.seen[side];
    assert_eq!((seen.read, seen.last_at), (read, last_at));
    assert!(seen.read < 200_000 && seen.is_intact && !seen.ended);
    assert_eq!(seen.error, None, "an error would be an answer");
}

/// U1, the seed: one ACK is lost, its number is never sent again, and all that follows is buffered for ever.
#[test]
fn u1_one_lost_ack_wedges_the_stream() {
    let mut lost = None;
    let mut table = both_ways(Release::Before200).meddle(|now, side, datagram| {
        let packet = read(datagram);
        let is_it = side == 1 && is_ack(&packet) && now.as_nanos() > 50_000_000;
        if is_it && lost.is_none() {
            lost = Some(packet.sequence);
            return None;
        }
        Some(Duration::ZERO)
    });
    assert_wedged(&mut table, 0);
    let expected = table.ends[0].order().unwrap().expected;
    drop(table);
    assert_eq!(Some(expected), lost);
}

/// The repair of U1: the same loss costs nothing.
#[test]
fn u1_repaired() {
    for release in [Release::V200, Release::V201, Release::V203Repaired] {
        let mut lost = 0;
        let mut table = both_ways(release).meddle(|_, side, datagram| {
            // 2.0.1 also burns numbers for window updates, but each of them arrives here.
            let is_it = side == 1 && is_ack(&read(datagram)) && lost < 20;
            lost += u32::from(is_it);
            (!is_it).then_some(Duration::ZERO)
        });
        let is_over = table.run(Duration::from_secs(300));
        assert!(
            is_over && table.is_delivered(),
            "{release:?}: {:?}",
            table.seen
        );
    }
}

/// U2: a window update takes a number. Nothing needs to be lost: the first update wedges the direction that it travels in.
#[test]
fn u2_a_window_update_wedges_the_other_direction() {
    let mut burnt = [None; 2];
    let mut table = both_ways(Release::V202).meddle(|_, side, datagram| {
        let packet = read(datagram);
        if let [Frame::WindowUpdate(_)] = packet.frames[..] {
            burnt[side].get_or_insert(packet.sequence);
        }
        Some(Duration::ZERO)
    });
    assert_wedged(&mut table, 1);
    let expected = table.ends[1].order().unwrap().expected;
    drop(table);
    assert_eq!(Some(expected), burnt[0]);
}

/// U3: an ACK that bears the last data packet's number overtakes that packet. The receiver counts it as the packet, and takes the
/// packet itself for an old one: it acknowledges bytes that it drops. The stream goes on with a hole in it.
#[test]
fn u3_an_ack_that_overtakes_its_number_swallows_data() {
    let mut swallowed = None;
    let mut table = both_ways(Release::V201).meddle(|_, side, datagram| {
        let packet = read(datagram);
        // The last packet of the first window, behind which that side has nothing but ACKs to send.
        let is_it = (side, packet.sequence) == (1, 11) && packet.is_numbered();
        if is_it && swallowed.is_none() {
            swallowed = Some(packet.sequence);
            return Some(Duration::from_millis(12));
        }
        Some(Duration::ZERO)
    });
    table.run(Duration::from_secs(60));
    let seen = table.seen[0].clone();
    drop(table);
    assert!(swallowed.is_some());
    assert!(!seen.is_intact, "{seen:?}");
    assert_eq!(seen.error, None);
}

/// U4: one ping call, and no data of that side is ever delivered again.
#[test]
fn u4_a_ping_call_wedges_the_stream() {
    let ends = [1, 2].map(|seed| End::model(Kind::Dart(Release::V203Repaired), seed));
    let mut talks = [200_000; 2].map(talk);
    talks[1].pings = vec![Duration::from_millis(60)];
    let mut burnt = None;
    let mut table = Table::new(ends, talks, &link("delay=5ms")).meddle(|_, side, datagram| {
        let packet = read(datagram);
        if side == 1 && packet.frames == [Frame::Ping] && burnt.is_none() {
            burnt = Some(packet.sequence);
        }
        Some(Duration::ZERO)
    });
    assert_wedged(&mut table, 0);
    let expected = table.ends[0].order().unwrap().expected;
    drop(table);
    assert_eq!(Some(expected), burnt);
}

/// U5: the same through the search for the path's size, where it is awake.
#[test]
fn u5_a_size_probe_wedges_the_stream() {
    let mut burnt = None;
    let mut table = both_ways(Release::V203Probing).meddle(|_, side, datagram| {
        let packet = read(datagram);
        if let (0, [Frame::MtuProbe { .. }]) = (side, &packet.frames[..]) {
            burnt.get_or_insert(packet.sequence);
        }
        Some(Duration::ZERO)
    });
    assert_wedged(&mut table, 1);
    let expected = table.ends[1].order().unwrap().expected;
    drop(table);
    assert_eq!(Some(expected), burnt);
}

/// U14: the threshold of window updates grows with what the updates say, until a sender that obeys them may not send enough to reach
/// it. Nothing is lost, nothing is stuck in the order of numbers: both sides wait for each other.
#[test]
fn u14_an_unreachable_threshold_stops_whoever_obeys() {
    let run = |receiver| {
        let ends = [
            End::model(Kind::GoV2Early, 1),
            End::model(Kind::Dart(receiver), 2),
        ];
        let mut table = Table::new(ends, [talk(2_000_000), talk(0)], &link("delay=5ms"));
        table.run(Duration::from_secs(600));
        table.seen[1].clone()
    };
    let seen = run(Release::V203);
    assert!((250_000..400_000).contains(&seen.read), "{seen:?}");
    assert!(
        seen.is_intact && !seen.ended && seen.error.is_none(),
        "{seen:?}"
    );
    let seen = run(Release::V203Repaired);
    assert!(seen.read == 2_000_000 && seen.ended, "{seen:?}");
}
