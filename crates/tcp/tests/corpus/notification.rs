//! Explicit congestion notification (RFC 3168).

use super::script::*;
use gapless_tcp::Config;
use gapless_tcp::wire::{Ecn, Flags};

const ECE: Flags = Flags::ECE;
const CWR: Flags = Flags::CWR;

fn with_ecn() -> Config {
    Config {
        ecn: true,
        ..plain()
    }
}

/// Dialed to a peer that takes the offer, with a window of ten segments on the way.
fn agreed() -> Script {
    let mut script = Script::dialing(with_ecn(), 1000, 2000);
    assert_eq!(script.fetch_one().flags, SYN | ECE | CWR);
    script.send(SYN | ACK | ECE, 0, 1, 60_000, b"");
    let answer = script.fetch_one();
    assert_eq!((answer.flags, script.engine.ecn()), (ACK, Ecn::NotCapable));
    script
}

fn flags(script: &mut Script) -> Vec<Flags> {
    script.fetch().iter().map(|sent| sent.flags).collect()
}

/// RFC 3168 6.1.1: both sides of the negotiation, and peers that know nothing of it or send back every bit (6.1.1.1).
#[test]
fn rfc3168_6_1_1_negotiation() {
    for (answer, agrees) in [
        (ECE, true),
        (Flags::NONE, false),
        (ECE | CWR, false),
        (CWR, false),
    ] {
        let mut script = Script::dialing(with_ecn(), 1000, 2000);
        script.fetch_one();
        script.send(SYN | ACK | answer, 0, 1, 60_000, b"");
        script.fetch_one();
        script.write(b"data");
        assert_eq!(script.fetch_one().flags, ACK);
        assert_eq!(script.engine.ecn() == Ecn::Capable0, agrees, "{answer}");
    }
    for (offer, answer) in [
        (ECE | CWR, SYN | ACK | ECE),
        (ECE, SYN | ACK),
        (CWR, SYN | ACK),
        (Flags::NONE, SYN | ACK),
    ] {
        let header = gapless_tcp::wire::Header {
            window: 1000,
            ..header(SYN | offer, 5, 0)
        };
        let mut script = Script::dialed_with(plain(), 1, 5, header);
        assert_eq!(script.fetch_one().flags, answer, "{offer}");
        assert_eq!(
            script.engine.ecn(),
            Ecn::NotCapable,
            "a SYN|ACK is not marked"
        );
    }
}

/// A path that drops SYNs with the offer gets one without it.
#[test]
fn rfc3168_6_1_1_1_the_offer_is_made_once() {
    let mut script = Script::dialing(with_ecn(), 1000, 2000);
    assert_eq!(script.fetch_one().flags, SYN | ECE | CWR);
    let again = script.wait(ms(3500));
    assert!(again.len() >= 2);
    assert!(again.iter().all(|(_, sent)| sent.flags == SYN), "{again:?}");
    // What the peer says to the first one counts all the same.
    script.send(SYN | ACK | ECE, 0, 1, 60_000, b"");
    script.fetch_one();
    script.write(b"data");
    script.fetch_one();
    assert_eq!(script.engine.ecn(), Ecn::Capable0);
}

/// RFC 3168 6.1.3: marks are told until the peer says that it heard.
#[test]
fn rfc3168_6_1_3_marks_are_echoed_until_heard() {
    let mut script = agreed();
    script.send(ACK, 1, 1, 60_000, b"a");
    assert_eq!(flags(&mut script), [ACK]);
    script.send_marked(ACK, 2, 1, b"b");
    assert_eq!(flags(&mut script), [ACK | ECE]);
    script.send(ACK, 3, 1, 60_000, b"c");
    assert_eq!(flags(&mut script), [ACK | ECE]);
    script.write(b"x");
    assert_eq!(flags(&mut script), [ACK | ECE]);
    script.send(ACK | CWR, 4, 2, 60_000, b"d");
    assert_eq!(flags(&mut script), [ACK]);
    // With a mark of its own it begins again.
    script.send_marked(ACK | CWR, 5, 2, b"e");
    assert_eq!(flags(&mut script), [ACK | ECE]);
    // A mark on what has no data is nobody's business, nor one without an agreement.
    let mut script = agreed();
    script.send_marked(ACK, 1, 1, b"");
    script.write(b"x");
    assert_eq!(flags(&mut script), [ACK]);
    let mut script = Script::established(with_ecn(), 60_000);
    script.send_marked(ACK, 1, 1, b"b");
    assert_eq!(flags(&mut script), [ACK]);
}

/// RFC 3168 6.1.2: one reduction for each round trip, told by the next new segment.
#[test]
fn rfc3168_6_1_2_the_window_falls_once_a_round_trip() {
    let mut script = agreed();
    script.write(&[1; 30_000]);
    let sent = script.fetch();
    assert!(sent.iter().all(|sent| sent.flags == ACK));
    let window = script.engine.stats().congestion_window;
    let (size, flight) = (sent[0].len() as u32, sent.len() as u32);
    script.pass(ms(50));
    let mut reduced = Vec::new();
    for at in 1..=flight {
        script.pass(ms(1));
        script.send(ACK | ECE, 1, 1 + at * size, 60_000, b"");
        reduced.extend(script.fetch());
        assert_eq!(script.engine.stats().recovery.congestion_events, 1);
    }
    assert!(script.engine.stats().congestion_window < window);
    let told: Vec<bool> = reduced.iter().map(|sent| sent.flags.has(CWR)).collect();
    assert!(told.len() > 3, "it goes on sending");
    assert!(told[0] && told[1..].iter().all(|told| !told), "{told:?}");
    assert_eq!(script.engine.stats().recovery.packets_resent, 0);
    // The next round trip, the next reduction.
    let end = reduced.last().map(|sent| sent.seq + sent.len() as u32);
    script.pass(ms(50));
    script.send(ACK | ECE, 1, end.unwrap(), 60_000, b"");
    assert_eq!(script.engine.stats().recovery.congestion_events, 2);
}

/// Only what is new is marked (RFC 3168 6.1.4 to 6.1.6); and where the first marked segments are lost there are no others.
#[test]
fn a_path_that_drops_marked_segments() {
    let mut script = agreed();
    script.write(b"lost");
    script.fetch_one();
    assert_eq!(script.engine.ecn(), Ecn::Capable0);
    let again = script.wait(ms(1100));
    assert!(!again.is_empty());
    assert_eq!(script.engine.ecn(), Ecn::NotCapable);
    script.send(ACK, 1, 5, 60_000, b"");
    script.write(b"new");
    script.fetch_one();
    assert_eq!(script.engine.ecn(), Ecn::NotCapable);
    // A timeout later on says nothing about marks.
    let mut script = agreed();
    script.write(b"arrives");
    script.fetch_one();
    script.send(ACK, 1, 8, 60_000, b"");
    script.write(b"lost");
    script.fetch_one();
    script.wait(ms(1100));
    assert_eq!(script.engine.ecn(), Ecn::NotCapable);
    script.send(ACK, 1, 12, 60_000, b"");
    script.write(b"new");
    script.fetch_one();
    assert_eq!(script.engine.ecn(), Ecn::Capable0);
}
