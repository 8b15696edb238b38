//! JS's model where no recording reaches, and our engine beside it.

use crate::table::{End, Table, Talk, address};
use crate::wedges::{link, talk};
use gapless_lab::peers::js::{Js, Options};
use gapless_lab::peers::wire::{Frame, Numbering, Packet, decode, encode, reset_token};
use gapless_lab::peers::{Foreign, Kind};
use gapless_udx::{Instant, Version, VersionChoice};
use std::time::Duration;

fn syn(frames: Vec<Frame>) -> Vec<u8> {
    let packet = Packet {
        version: 3,
        destination: vec![0xa1; 8],
        source: vec![0xd1; 8],
        sequence: 0,
        destination_stream: 0,
        source_stream: 0,
        frames: [vec![Frame::syn()], frames].concat(),
    };
    encode(&packet, Numbering::Go)
}

/// V14: one field beyond 2^53-1, and the packet was never there.
#[test]
fn v14_fields_beyond_what_its_numbers_hold() {
    for (limit, is_taken) in [((1 << 53) - 1, true), (1 << 53, false)] {
        let mut model = Js::new(Options::default(), 1);
        model.handle(Instant::ZERO, address(0), &syn(vec![Frame::MaxData(limit)]));
        assert_eq!(model.accept().is_some(), is_taken, "{limit}");
        assert_eq!(model.poll_transmit(Instant::ZERO).is_some(), is_taken);
    }
}

/// UDX 14: who restarts with the same secret answers with the token that it gave before, once an ID stayed unknown for 3 s.
#[test]
fn a_restart_is_told_by_a_stateless_reset() {
    let with_secret = || {
        let options = Options {
            reset_secret: Some(vec![7; 32]),
            ..Options::default()
        };
        Js::new(options, 1)
    };
    let mut before = with_secret();
    // As long as a JS dialer's: three times 60 bytes let the token out.
    let first = syn(vec![Frame::MaxData(16 << 20), Frame::MaxStreams(1024)]);
    before.handle(Instant::ZERO, address(0), &first);
    let sent = std::iter::from_fn(|| before.poll_transmit(Instant::ZERO));
    let tokens: Vec<[u8; 16]> = sent
        .filter_map(|(_, datagram)| decode(&datagram, Numbering::Go))
        .flat_map(|packet| packet.frames)
        .filter_map(|frame| match frame {
            Frame::NewConnectionId { token, .. } => Some(token),
            _ => None,
        })
        .collect();
    assert_eq!(tokens.len(), 1);

    let mut after = with_secret();
    let mut packet = decode(&syn(Vec::new()), Numbering::Go).unwrap();
    packet.frames = vec![Frame::Stream {
        syn: false,
        fin: false,
        offset: 17,
        data: vec![0; 100],
    }];
    let datagram = encode(&packet, Numbering::Go);
    let at = |millis| Instant::ZERO + Duration::from_millis(millis);
    for early in [0, 1000, 2990] {
        after.handle(at(early), address(0), &datagram);
        assert_eq!(after.poll_transmit(at(early)), None);
    }
    // UDX 14: not to a packet that is no longer than the reset.
    packet.frames = vec![Frame::Ping];
    after.handle(at(3000), address(0), &encode(&packet, Numbering::Go));
    assert_eq!(after.poll_transmit(at(3000)), None);
    after.handle(at(3000), address(0), &datagram);
    let (_, reset) = after.poll_transmit(at(3000)).expect("a reset");
    assert_eq!(reset_token(&reset), Some(tokens[0]));
    assert!(reset.len() < datagram.len() && reset[0] & 0x80 != 0);
}

/// Our engine on either side of it, over a good and over a bad link.
#[test]
fn ours_beside_js() {
    for (profile, writes) in [
        ("delay=5ms", 3_000_000),
        ("delay=10ms,loss=2%,reorder=5%,duplicate=2%", 500_000),
    ] {
        for dials in [0, 1] {
            let mut ends = [
                End::model(Kind::Js, 7),
                End::ours(1, VersionChoice::Only(Version::V3)),
            ];
            ends.rotate_left(dials);
            let talks: [Talk; 2] = [talk(writes), talk(writes)];
            let mut table = Table::new(ends, talks, &link(profile));
            table.run(Duration::from_secs(120));
            assert!(table.is_delivered(), "{profile} {dials}: {:?}", table.seen);
        }
    }
}
