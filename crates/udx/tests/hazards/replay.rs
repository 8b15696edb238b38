//! The recorded conversations of real peers, one side of each replaced by our endpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use gapless_udx::wire::{ConnectionId, Datagram, Frame, Packet, VERSION};
use gapless_udx::{CloseReason, ConnectionHandle, Instant, Peer, StreamId};

use crate::rig::{Hand, Rig, Seen, home, pattern};

pub(crate) struct Line {
    pub(crate) at: Duration,
    pub(crate) to_acceptor: bool,
    pub(crate) dropped: bool,
    pub(crate) datagram: Vec<u8>,
}

fn folder() -> PathBuf {
    folder_of("v3")
}

/// Where the conversations of a version are.
pub(crate) fn folder_of(version: &str) -> PathBuf {
    let vectors = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    vectors.join(version).join("conversations")
}

/// A recorded conversation; times from its first datagram on.
pub(crate) fn recorded(name: &str) -> Vec<Line> {
    recorded_in(&folder(), name)
}

pub(crate) fn recorded_in(folder: &std::path::Path, name: &str) -> Vec<Line> {
    let text = std::fs::read_to_string(folder.join(name).with_extension("jsonl")).unwrap();
    let mut lines: Vec<Line> = text.lines().map(line).collect();
    let start = lines[0].at;
    lines.iter_mut().for_each(|line| line.at -= start);
    lines
}

fn line(line: &str) -> Line {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let hex = line["hex"].as_str().unwrap();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    Line {
        at: Duration::from_micros(line["t_us"].as_u64().unwrap()),
        to_acceptor: line["dir"] == "c2s",
        dropped: line["dropped"] == true,
        datagram: (0..hex.len()).step_by(2).map(byte).collect(),
    }
}

/// What our acceptor made of a recorded dialer.
pub(crate) struct Accepted {
    pub(crate) rig: Rig,
    /// What was sent while the conversation lasted.
    pub(crate) seen: Vec<Seen>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) closed: Vec<Option<CloseReason>>,
    /// What was read of each stream, in the order of opening, and whether it ended.
    pub(crate) streams: Vec<(Vec<u8>, bool)>,
    /// Numbers of packets that have to be acknowledged.
    numbers: BTreeSet<u64>,
}

/// The connections that an application accepted, and what it read of each stream, in the order of opening, and whether that ended.
pub(crate) struct Application {
    pub(crate) handles: Vec<ConnectionHandle>,
    pub(crate) streams: Vec<(Vec<u8>, bool)>,
    open: Vec<(ConnectionHandle, StreamId, usize)>,
    echoes: bool,
}

impl Application {
    pub(crate) fn new(echoes: bool) -> Self {
        Self {
            handles: Vec::new(),
            streams: Vec::new(),
            open: Vec::new(),
            echoes,
        }
    }

    /// Gives the endpoint what the dialer said, each datagram in its time. All that there is to read is read at once.
    pub(crate) fn hears(&mut self, rig: &mut Rig, lines: &[Line]) {
        let start = rig.now;
        for line in said_by_dialer(lines) {
            rig.wait((start + line.at).saturating_duration_since(rig.now));
            rig.give(home(), &line.datagram);
            self.accept_all(rig);
            self.read_all(rig);
            rig.drain();
        }
        rig.wait(Duration::from_millis(100));
    }

    pub(crate) fn peers(&self, rig: &Rig) -> Vec<Peer> {
        let peer = |handle| rig.endpoint.connection(handle).unwrap().peer();
        self.handles.iter().copied().map(peer).collect()
    }

    pub(crate) fn closed(&self, rig: &Rig) -> Vec<Option<CloseReason>> {
        let reason = |handle| rig.endpoint.connection(handle).unwrap().close_reason();
        let reasons = self.handles.iter().copied().map(reason);
        reasons.map(Option::<&CloseReason>::cloned).collect()
    }

    fn accept_all(&mut self, rig: &mut Rig) {
        self.handles
            .extend(std::iter::from_fn(|| rig.endpoint.accept()));
        for handle in &self.handles {
            while let Some(id) = rig.endpoint.connection_mut(*handle).unwrap().accept() {
                self.open.push((*handle, id, self.streams.len()));
                self.streams.push((Vec::new(), false));
            }
        }
    }

    fn read_all(&mut self, rig: &mut Rig) {
        for (handle, id, n) in &self.open {
            let connection = rig.endpoint.connection_mut(*handle).unwrap();
            loop {
                match connection.read(*id, usize::MAX) {
                    Ok(Some(mut bytes)) => {
                        self.streams[*n].0.extend_from_slice(&bytes);
                        if self.echoes {
                            let _ = connection.write(*id, &mut bytes);
                        }
                    }
                    Ok(None) => break self.streams[*n].1 = true,
                    Err(_) => break,
                }
            }
        }
    }
}

/// What came to the acceptor of a conversation.
pub(crate) fn said_by_dialer(lines: &[Line]) -> impl Iterator<Item = &Line> {
    lines
        .iter()
        .filter(|line| line.to_acceptor && !line.dropped)
}

/// Replays what the dialer said. The application reads everything at once.
pub(crate) fn accept(name: &str) -> Accepted {
    let mut rig = Rig::new();
    let lines = recorded(name);
    let mut numbers = BTreeSet::new();
    let mut closed_ids: BTreeSet<ConnectionId> = BTreeSet::new();
    for line in said_by_dialer(&lines) {
        if let Ok(packet) = version_3(&line.datagram) {
            let id = packet.header().destination;
            let numbered = |frame: &Frame<'_>| matches!(frame, Frame::Stream(s) if s.is_numbered());
            if packet.frames().any(|frame| numbered(&frame)) && !closed_ids.contains(&id) {
                numbers.insert(packet.header().number.raw());
            }
            if packet
                .frames()
                .any(|f| matches!(f, Frame::ConnectionClose { .. }))
            {
                closed_ids.insert(id);
            }
        }
    }
    let mut application = Application::new(false);
    application.hears(&mut rig, &lines);
    let raw = std::mem::take(&mut rig.raw);
    let seen = raw
        .into_iter()
        .filter(|(.., datagram)| version_3(datagram).is_ok())
        .map(|(at, to, datagram)| crate::rig::decode(at, to, datagram))
        .collect();
    Accepted {
        seen,
        peers: application.peers(&rig),
        closed: application.closed(&rig),
        streams: application.streams,
        numbers,
        rig,
    }
}

fn version_3(datagram: &[u8]) -> Result<Packet<'_>, ()> {
    match Datagram::decode(datagram) {
        Ok(Datagram::Packet(packet)) if packet.header().version == VERSION => Ok(packet),
        _ => Err(()),
    }
}

impl Accepted {
    fn unacknowledged(&self) -> Vec<u64> {
        let acknowledged: BTreeSet<u64> =
            crate::rig::acknowledged(&self.seen).into_iter().collect();
        self.numbers.difference(&acknowledged).copied().collect()
    }
}

/// UDX 18.1, and what is said of each stream: bytes, and whether it ends.
type Expected = (&'static str, Peer, &'static [(usize, bool)]);

const DIALERS: [Expected; 18] = [
    ("js-dial-echo-close", Peer::Js, &[(17, true)]),
    ("js-200KiB-clean", Peer::Js, &[(204_800, true)]),
    ("js-200KiB-loss2", Peer::Js, &[(204_800, true)]),
    ("js-reset", Peer::Js, &[(6, false)]),
    ("js-ping-keepalive", Peer::Js, &[]),
    ("js-rebinding", Peer::Js, &[(30_000, true)]),
    ("js-dials-go-echo", Peer::Js, &[(3000, true)]),
    ("go-dials-js-echo", Peer::Go, &[(3000, true)]),
    ("go-dial-echo-close", Peer::Go, &[(17, true)]),
    ("go-100KiB-loss2", Peer::Go, &[(102_400, true)]),
    ("js-dialer-unanswered", Peer::Js, &[(17, true)]),
    ("go-dialer-unanswered", Peer::Go, &[(17, true)]),
    ("js-fin-overtakes-open", Peer::Js, &[(17, true)]),
    ("go-fin-overtakes-open", Peer::Go, &[(17, true)]),
    ("js-late-syn-after-close", Peer::Go, &[(2, false)]),
    ("go-late-syn-after-close", Peer::Go, &[(2, false)]),
    (
        "js-stream-opened-in-first-packet",
        Peer::Unknown,
        &[(5, false), (6, false)],
    ),
    (
        "go-stream-opened-in-first-packet",
        Peer::Unknown,
        &[(5, false), (6, false)],
    ),
];

#[test]
fn recorded_dialers_are_known_and_understood() {
    for (name, peer, expected) in DIALERS {
        let replay = accept(name);
        assert_eq!(replay.peers, [peer], "{name}: one connection, no ghosts");
        let streams: Vec<_> = replay
            .streams
            .iter()
            .map(|(data, end)| (data.len(), *end))
            .collect();
        if !expected.is_empty() {
            assert_eq!(streams, expected, "{name}");
        }
        assert_eq!(replay.unacknowledged(), [0; 0], "{name}");
        if expected.len() == 1 && expected[0].0 != 6 && expected[0].0 != 2 {
            assert!(replay.streams[0].0 == pattern(expected[0].0), "{name}");
        }
    }
}

#[test]
fn every_recorded_dialer_is_survived() {
    let mut count = 0;
    for file in std::fs::read_dir(folder()).unwrap() {
        let name = file.unwrap().path();
        let name = name.file_stem().unwrap().to_str().unwrap();
        let mut replay = accept(name);
        assert_eq!(replay.unacknowledged(), [0; 0], "{name}");
        replay.rig.wait(Duration::from_secs(60));
        for handle in replay.rig.endpoint.connections().collect::<Vec<_>>() {
            let connection = replay.rig.endpoint.connection(handle).unwrap();
            assert!(connection.is_closed(), "{name}: nobody is there");
        }
        count += 1;
    }
    assert_eq!(count, 34);
}

#[test]
fn v01_recorded_retransmissions_with_other_boundaries_lose_nothing() {
    for (name, size) in [
        ("js-rechunked-retransmission", 2000),
        ("go-rechunked-retransmission", 2000),
        ("js-coalesced-retransmission", 2000),
        ("go-coalesced-retransmission", 2000),
    ] {
        let replay = accept(name);
        let bytes: Vec<u8> = (0..size).map(|i| i as u8).collect();
        assert!(
            replay.streams[0].0 == bytes,
            "{name}: {} bytes",
            replay.streams[0].0.len()
        );
    }
}

#[test]
fn v03_recorded_late_syns_are_answered_by_nothing_new() {
    for name in ["js-late-syn-after-close", "go-late-syn-after-close"] {
        let replay = accept(name);
        assert!(
            matches!(replay.closed[0], Some(CloseReason::Peer { code: 0, .. })),
            "{name}"
        );
        assert!(replay.rig.endpoint.stats().after_close >= 2, "{name}");
    }
}

#[test]
fn four_recorded_streams_are_kept_apart() {
    let replay = accept("js-4-streams");
    assert_eq!(replay.streams.len(), 4);
    let mut starts = BTreeSet::new();
    for (data, ended) in &replay.streams {
        assert_eq!((data.len(), *ended), (5000, true));
        // Stream k starts the pattern at k.
        let k = (0..20)
            .find(|k| pattern(5000 + k)[*k..] == data[..])
            .expect("a pattern");
        starts.insert(k);
    }
    assert_eq!(starts.len(), 4);
}

#[test]
fn acks_come_when_the_policy_says() {
    // UDX 4.2: SYN at once; one packet after 25 ms; two at once; a gap and its filling at once;
    // a duplicate after 25 ms; FIN at once.
    for name in ["js-ack-policy", "go-ack-policy"] {
        let lines = recorded(name);
        let replay = accept(name);
        let start = Instant::from_nanos(1_000_000_000);
        let times: BTreeMap<u64, Duration> = lines
            .iter()
            .filter(|line| line.to_acceptor)
            .filter_map(|line| {
                let packet = version_3(&line.datagram).ok()?;
                let frame = packet.frames().next()?;
                matches!(frame, Frame::Stream(s) if s.is_numbered())
                    .then_some((packet.header().number.raw(), line.at))
            })
            .collect();
        let mut first_ack: BTreeMap<u64, Duration> = BTreeMap::new();
        for seen in &replay.seen {
            for number in crate::rig::acknowledged(std::slice::from_ref(seen)) {
                let at = seen.at.saturating_duration_since(start);
                first_ack.entry(number).or_insert(at);
            }
        }
        // V18: that of the opening waits until the address is proven, which in a recording it is not.
        for (number, at) in times.iter().filter(|(number, _)| **number > 0) {
            let delay = first_ack[number].saturating_sub(*at);
            assert!(
                delay <= Duration::from_millis(26),
                "{name}: {number} after {delay:?}"
            );
        }
    }
}

/// Replays what a recorded acceptor said to our dialer, with the IDs that ours chose.
fn dial(name: &str, streams: usize) -> (Rig, Vec<StreamId>, Hand) {
    let mut rig = Rig::new();
    let (hand, first) = rig.dial();
    let mut ids = vec![first];
    let start = rig.now;
    for _ in 1..streams {
        ids.push(rig.connection().open().unwrap());
    }
    for id in &ids {
        rig.write(*id, b"something to acknowledge");
        rig.finish(*id);
    }
    // Enough numbers that the recorded acknowledgements name sent ones.
    let mut recorded_ids: Vec<u32> = Vec::new();
    for line in recorded(name) {
        let Ok(packet) = version_3(&line.datagram) else {
            continue;
        };
        if line.to_acceptor {
            let source = packet.header().source_stream;
            if source != 0 && !recorded_ids.contains(&source) {
                recorded_ids.push(source);
            }
            continue;
        }
        if line.dropped {
            continue;
        }
        let due: Instant = start + line.at;
        rig.wait(due.saturating_duration_since(rig.now));
        let header = packet.header();
        let place = recorded_ids
            .iter()
            .position(|id| *id == header.destination_stream);
        let destination = place.and_then(|n| ids.get(n)).map_or(0, |id| id.wire_id());
        let frames: Vec<Frame<'_>> = packet.frames().collect();
        let number = header.number.raw() as u32;
        hand.send(
            &mut rig,
            number,
            (destination, header.source_stream),
            &frames,
        );
    }
    (rig, ids, hand)
}

#[test]
fn recorded_acceptors_are_known_and_understood() {
    for (name, peer, len) in [
        ("js-dial-echo-close", Peer::Js, 17),
        ("go-dial-echo-close", Peer::Go, 17),
        ("js-dials-go-echo", Peer::Go, 3000),
        ("go-dials-js-echo", Peer::Js, 3000),
        ("js-rebinding", Peer::Js, 30_000),
    ] {
        let (mut rig, ids, _) = dial(name, 1);
        assert_eq!(rig.connection().peer(), peer, "{name}");
        assert!(rig.read(ids[0]) == pattern(len), "{name}");
        assert!(rig.ended(ids[0]), "{name}");
    }
}

#[test]
fn four_streams_of_a_recorded_acceptor_are_kept_apart() {
    let (mut rig, ids, _) = dial("js-4-streams", 4);
    for id in ids {
        assert_eq!(rig.read(id).len(), 5000);
        assert!(rig.ended(id));
    }
}

#[test]
fn a_recorded_reset_is_seen() {
    let (mut rig, ids, _) = dial("js-reset", 1);
    let read = rig.connection().read(ids[0], 1);
    assert_eq!(read, Err(gapless_udx::ReadError::Reset(0x42)));
}
