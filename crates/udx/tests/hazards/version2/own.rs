//! Two endpoints of this kind that speak version 2 with each other.

use std::time::Duration;

use gapless_udx::wire::Version;
use gapless_udx::{EndpointConfig, Peer};

use crate::duo::Duo;
use crate::rig::{MS, pattern, version2};

fn exchange(duo: &mut Duo, len: usize) {
    let (_, stream) = duo.dial();
    let bytes = pattern(len);
    let (mut written, mut answered) = (0, 0);
    let (mut there, mut arrived, mut back) = (None, Vec::new(), Vec::new());
    for _ in 0..20_000 {
        written += duo.dialer.write(stream, &bytes[written..]);
        duo.run(20 * MS);
        if there.is_none() && duo.acceptor.endpoint.connections().next().is_some() {
            there = duo.there().accept();
        }
        if let Some(id) = there {
            arrived.extend(duo.acceptor.read(id));
            answered += duo.acceptor.write(id, &bytes[answered..]);
        }
        back.extend(duo.dialer.read(stream));
        if arrived.len() == len && back.len() == len {
            break;
        }
    }
    assert!(arrived == bytes, "{} there", arrived.len());
    assert!(back == bytes, "{} back", back.len());
    duo.dialer.finish(stream);
    duo.acceptor.finish(there.unwrap());
    duo.run(Duration::from_secs(5));
    assert!(duo.dialer.ended(stream) && duo.acceptor.ended(there.unwrap()));
}

#[test]
fn both_sides_know_each_other() {
    let mut duo = Duo::with(version2(), version2());
    let (stream, _) = duo.opened();
    assert_eq!(duo.dialer.connection().peer(), Peer::Own);
    assert_eq!(duo.there().peer(), Peer::Own);
    assert_eq!(duo.there().version(), Some(Version::V2));
    assert!(!duo.dialer.ended(stream));
}

#[test]
fn bytes_arrive_whatever_is_lost() {
    for every in [usize::MAX, 50, 13, 5] {
        let mut duo = Duo::with(version2(), version2());
        duo.passes = Box::new(move |_, n, _| n % every != every / 2);
        exchange(&mut duo, 400_000);
    }
}

/// H1: between two of this kind numbers pass the wrap.
#[test]
fn h01_u18_numbers_pass_the_wrap() {
    for first in [(1 << 32) - 20, (1 << 33) - 3] {
        let config = || {
            let mut config: EndpointConfig = version2();
            config.connection.first_number = first;
            config
        };
        let mut duo = Duo::with(config(), config());
        duo.passes = Box::new(|_, n, _| n % 13 != 5);
        exchange(&mut duo, 200_000);
    }
}

#[test]
fn two_idle_sides_stay_alive_for_an_hour_on_little() {
    let mut duo = Duo::with(version2(), version2());
    let (stream, there) = duo.opened();
    duo.dialer.finish(stream);
    duo.acceptor.finish(there);
    duo.run(Duration::from_secs(10));
    let before = duo.sizes[0].len() + duo.sizes[1].len();
    duo.run(Duration::from_secs(3600));
    assert!(!duo.dialer.connection().is_closed() && !duo.there().is_closed());
    let sent = duo.sizes[0].len() + duo.sizes[1].len() - before;
    assert!(sent < 3600 / 10 * 8, "{sent} packets");
}

/// U8: whichever packet is lost, and whatever came of it.
#[test]
fn u08_any_packet_may_be_lost_once() {
    for lost in 0..24 {
        for direction in [true, false] {
            let mut duo = Duo::with(version2(), version2());
            duo.passes = Box::new(move |to_acceptor, n, _| to_acceptor != direction || n != lost);
            exchange(&mut duo, 20_000);
        }
    }
}

/// U14: a window whose next update moves out of reach stops a stream that lasts.
#[test]
fn u14_a_stream_passes_4_gib() {
    let config = || {
        let mut config: EndpointConfig = version2();
        config.connection.first_position = (1 << 32) - 150_000;
        config
    };
    let mut duo = Duo::with(config(), config());
    duo.passes = Box::new(|_, n, _| n % 29 != 7);
    exchange(&mut duo, 400_000);
}
