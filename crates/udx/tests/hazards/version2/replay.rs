//! The recorded conversations of real peers of version 2, one side of each replaced by our endpoint.

use std::collections::BTreeSet;
use std::time::Duration;

use gapless_udx::wire::{Datagram, Dialect, Frame, Packet, Version};
use gapless_udx::{
    CloseReason, ConnectionConfig, EndpointConfig, Event, Peer, StreamId, VersionChoice,
};

use crate::replay::{Application, Line, folder_of, recorded_in, said_by_dialer};
use crate::rig::{Hand, Rig, Seen, acknowledged, pattern, version2};

fn version_2(datagram: &[u8]) -> Option<Packet<'_>> {
    match Datagram::decode_as(datagram, Dialect::V2) {
        Ok(Datagram::Packet(packet)) if packet.header().version == 2 => Some(packet),
        _ => None,
    }
}

fn recorded(name: &str) -> Vec<Line> {
    recorded_in(&folder_of("v2"), name)
}

/// What our acceptor made of a recorded dialer.
struct Accepted {
    rig: Rig,
    /// How many datagrams and bytes were sent while the conversation lasted, and how many came.
    sent: usize,
    came: usize,
    seen: Vec<Seen>,
    peers: Vec<Peer>,
    closed: Vec<Option<CloseReason>>,
    /// What was read of each stream, in the order of opening, and whether it ended.
    streams: Vec<(Vec<u8>, bool)>,
    /// Numbers of packets that have to be acknowledged.
    numbers: BTreeSet<u64>,
    /// How many packets asked for an acknowledgement.
    asking: usize,
}

/// Replays what the dialer said. The application reads everything at once, and echoes it.
fn accept(name: &str) -> Accepted {
    let mut rig = Rig::with(version2());
    let lines = recorded(name);
    let (mut numbers, mut asking, mut closed) = (BTreeSet::new(), 0, false);
    for line in said_by_dialer(&lines) {
        if let Some(packet) = version_2(&line.datagram) {
            if packet.frames().any(|frame| frame.is_numbered_stream()) && !closed {
                numbers.insert(packet.header().number.raw());
                asking += 1;
            }
            asking += usize::from(packet.frames().any(|frame| matches!(frame, Frame::Ping)));
            closed |= packet
                .frames()
                .any(|f| matches!(f, Frame::ConnectionClose { .. }));
        }
    }
    let came = said_by_dialer(&lines).count();
    let mut application = Application::new(true);
    application.hears(&mut rig, &lines);
    let sent = rig.raw.len();
    let raw = std::mem::take(&mut rig.raw);
    let seen = raw
        .into_iter()
        .filter(|(.., datagram)| version_2(datagram).is_some())
        .map(|(at, to, datagram)| crate::rig::decode(at, to, datagram))
        .collect();
    Accepted {
        sent,
        came,
        seen,
        peers: application.peers(&rig),
        closed: application.closed(&rig),
        streams: application.streams,
        numbers,
        asking,
        rig,
    }
}

/// Bytes of each stream, and whether it ends.
type Expected = (&'static str, Peer, &'static [(usize, bool)]);

const DIALERS: [Expected; 10] = [
    ("go-dial-echo-close", Peer::Go, &[(17, true)]),
    // The reset comes with what was read.
    ("go-dial-echo-reset", Peer::Go, &[(17, false)]),
    ("go-200KiB-clean", Peer::Go, &[(204_800, true)]),
    ("go-200KiB-loss2", Peer::Go, &[(204_800, true)]),
    ("go-eight-byte-reply-lost", Peer::Go, &[(2, false)]),
    ("go-ack-storm-idle", Peer::Go, &[(100, false)]),
    ("go-dialer-unanswered", Peer::Go, &[(5, false)]),
    ("go-dial-to-dartform", Peer::Go, &[(17, true)]),
    ("dartform-dial-to-go", Peer::Dart, &[(15, true)]),
    ("advised-dial-to-go", Peer::Dart, &[(35, true)]),
];

#[test]
fn recorded_dialers_are_known_and_understood() {
    for (name, peer, expected) in DIALERS {
        let replay = accept(name);
        let peers: Vec<Peer> = replay.peers.clone();
        assert_eq!(peers.len(), 1, "{name}: one connection, no ghosts");
        // A hand-made dialer with one packet is like Dart's first one.
        if name != "advised-dial-to-go" {
            assert_eq!(peers, [peer], "{name}");
        }
        let streams: Vec<_> = replay
            .streams
            .iter()
            .map(|(data, end)| (data.len(), *end))
            .collect();
        assert_eq!(streams, expected, "{name}");
        if expected[0].0 > 1000 {
            assert!(replay.streams[0].0 == pattern(expected[0].0), "{name}");
        }
        let told: BTreeSet<u64> = acknowledged(&replay.seen).into_iter().collect();
        let missing: Vec<_> = replay.numbers.difference(&told).collect();
        assert!(missing.is_empty(), "{name}: {missing:?}");
        assert!(
            told.iter().all(|number| replay.numbers.contains(number)),
            "{name}"
        );
    }
}

#[test]
fn recorded_closes_and_resets_are_obeyed() {
    for name in [
        "go-dial-echo-close",
        "go-dial-echo-reset",
        "go-dial-to-dartform",
    ] {
        let replay = accept(name);
        assert!(
            matches!(replay.closed[0], Some(CloseReason::Peer { code: 0, .. })),
            "{name}"
        );
    }
    let reset = accept("go-dial-echo-reset");
    let told = |event: &Event| matches!(event, Event::Reset { code: 7, .. });
    assert!(reset.rig.events.iter().any(told));
}

/// H15: two peers of version 2 exchanged a thousand acknowledgements for 150 packets of data, and never stopped.
#[test]
fn h15_recorded_storms_are_answered_with_little() {
    for file in std::fs::read_dir(folder_of("v2")).unwrap() {
        let name = file.unwrap().path();
        let name = name.file_stem().unwrap().to_str().unwrap();
        let mut replay = accept(name);
        let Accepted { sent, came, .. } = replay;
        assert!(sent <= 12 + came, "{name}: {sent} for {came}");
        let is_ack = |frame: &Frame<'_>| matches!(frame, Frame::Ack(_));
        let pure = replay
            .seen
            .iter()
            .filter(|seen| seen.frames.iter().all(is_ack));
        let pure = pure.count();
        // One at most for whatever asks for one: a numbered packet, also when it comes again, and a PING.
        assert!(pure <= replay.asking, "{name}: {pure}");
        replay.rig.wait(Duration::from_secs(60));
        for handle in replay.rig.endpoint.connections().collect::<Vec<_>>() {
            let connection = replay.rig.endpoint.connection(handle).unwrap();
            assert!(connection.is_closed(), "{name}: nobody is there");
        }
    }
}

#[test]
fn d17_the_recorded_unknown_version_is_offered_ours() {
    let replay = accept("go-acceptor-unknown-version");
    assert!(replay.peers.is_empty() && replay.streams.is_empty());
    assert!((1..=2).contains(&replay.sent), "{}", replay.sent);
    assert!(replay.seen.is_empty());
}

/// Replays what a recorded acceptor said to our dialer, with the IDs that ours chose. What ours has to say is as long as what
/// the recorded dialer said.
fn dial(lines: &[Line], version: VersionChoice) -> (Rig, StreamId, Vec<u8>) {
    let config = EndpointConfig {
        connection: ConnectionConfig {
            version,
            ..version2().connection
        },
        ..version2()
    };
    let mut rig = Rig::exactly(config, 7);
    let (hand, id) = rig.dial();
    let hand = Hand {
        version: Version::V2,
        ..hand
    };
    rig.write(id, &pattern(300));
    let mut read = Vec::new();
    let start = rig.now;
    for line in lines {
        let Some(packet) = version_2(&line.datagram) else {
            continue;
        };
        if line.to_acceptor || line.dropped {
            continue;
        }
        rig.wait((start + line.at).saturating_duration_since(rig.now));
        let header = packet.header();
        let destination = if header.destination_stream == 0 {
            0
        } else {
            id.wire_id()
        };
        let frames: Vec<Frame<'_>> = packet.frames().collect();
        let number = header.number.raw() as u32;
        let ids = (destination, header.source_stream);
        hand.send(&mut rig, number, ids, &frames);
        read.extend(rig.read(id));
    }
    (rig, id, read)
}

#[test]
fn recorded_acceptors_are_known_and_understood() {
    for (name, peer, len, ends) in [
        ("go-dial-echo-close", Peer::Go, 17, true),
        ("go-dial-echo-reset", Peer::Go, 17, false),
        // H3: Go itself throws these eight bytes away.
        ("go-eight-byte-reply-lost", Peer::Go, 8, false),
        ("go-ack-storm-idle", Peer::Go, 100, false),
        ("go-dial-to-dartform", Peer::Dart, 17, true),
        ("dartform-dial-to-go", Peer::Go, 15, true),
        ("advised-dial-to-go", Peer::Go, 35, true),
        ("go-acceptor-unknown-version", Peer::Go, 18, false),
        ("go-answers-to-control-frames", Peer::Go, 1, false),
    ] {
        let (mut rig, id, read) = dial(&recorded(name), VersionChoice::Only(Version::V2));
        assert_eq!(rig.connection().peer(), peer, "{name}");
        assert_eq!(read.len(), len, "{name}");
        assert_eq!(rig.ended(id), ends, "{name}");
        // The storm found no answer.
        let sent = rig.sent();
        assert!(sent.len() < 30, "{name}: {}", sent.len());
    }
}

#[test]
fn recorded_acceptors_that_only_receive_cause_no_storm() {
    for name in ["go-200KiB-clean", "go-200KiB-loss2"] {
        let lines = recorded(name);
        let (mut rig, _, read) = dial(&lines, VersionChoice::Only(Version::V2));
        assert_eq!(rig.connection().peer(), Peer::Go);
        assert_eq!(read, b"", "{name}");
        let sent = rig.sent().len();
        assert!(sent < 30, "{name}: {sent} for {}", lines.len());
    }
}

/// The first packet of a dialer that asks for the version was understood by a Go of version 2, which answered in its own.
#[test]
fn a_recorded_go_of_version_2_is_discovered() {
    let lines = recorded_in(&folder_of("v3"), "discovery-v3-syn-at-go-v2");
    let (mut rig, id, read) = dial(&lines, VersionChoice::Discover);
    assert!(rig.saw(&Event::Version(Version::V2)));
    assert_eq!(rig.connection().version(), Some(Version::V2));
    assert_eq!(rig.connection().peer(), Peer::Go);
    assert_eq!(read.len(), 21);
    let sent = rig.sent();
    let (before, after): (Vec<&Seen>, Vec<&Seen>) =
        sent.iter().partition(|seen| seen.header.version == 3);
    // The question, with nothing in it that a peer could lose or misread.
    assert!(!before.is_empty());
    for seen in before {
        let frame = seen.stream().expect("a SYN");
        assert!(frame.syn && frame.data.is_empty());
        assert_eq!((seen.number(), seen.ids().1), (0, id.wire_id()));
    }
    assert!(
        after.iter().any(|seen| seen.is_numbered()),
        "and the data in version 2"
    );
    assert!(
        after
            .iter()
            .all(|seen| !seen.is_numbered() || seen.number() >= 1)
    );
}
