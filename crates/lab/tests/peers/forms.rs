//! The datagrams that Dart is known to write, from reading it: the models write the same.
//!
//! A vector's connection and stream IDs are its own; everything else has to be equal, to the last byte.

use crate::table::address;
use crate::vectors::{folder, hex, json};
use gapless_lab::peers::dart::{Dart, Release};
use gapless_lab::peers::wire::{
    Frame, Negotiation, Numbering, Packet, decode, decode_negotiation, encode,
};
use gapless_lab::peers::{Connection, Foreign, Stream};
use gapless_udx::Instant;
use std::path::Path;
use std::time::Duration;

/// A model, and a peer that is written by hand.
struct Desk {
    release: Release,
    model: Dart,
    now: Instant,
    connection: Connection,
    stream: Stream,
    /// As the peer names them.
    ids: Ids,
}

/// What the peer's packets bear.
#[derive(Clone, Default)]
struct Ids {
    destination: Vec<u8>,
    source: Vec<u8>,
    destination_stream: u32,
    source_stream: u32,
}

impl Desk {
    /// The model dials; what it sends first comes along.
    fn dialed(release: Release) -> (Self, Vec<Packet>) {
        let mut model = Dart::new(release, 3);
        let now = Instant::ZERO;
        let connection = model.connect(now, address(1));
        let stream = model.open(now, connection).unwrap();
        let mut desk = Self {
            release,
            model,
            now,
            connection,
            stream,
            ids: Ids::default(),
        };
        let first = desk.sent();
        desk.ids = Ids {
            destination: first[0].source.clone(),
            source: first[0].destination.clone(),
            destination_stream: first[0].source_stream,
            source_stream: first[0].destination_stream,
        };
        (desk, first)
    }

    /// The model is dialed, by a SYN with these stream IDs; what it answers comes along.
    fn accepted(
        release: Release,
        destination_stream: u32,
        source_stream: u32,
    ) -> (Self, Vec<Packet>) {
        let mut desk = Self {
            release,
            model: Dart::new(release, 3),
            now: Instant::ZERO,
            connection: Connection(0),
            stream: Stream(0),
            ids: Ids {
                destination: vec![0xa1; 8],
                source: vec![0xd1; 8],
                destination_stream,
                source_stream,
            },
        };
        let mut answers = desk.answers(0, vec![Frame::syn()]);
        // A second datagram releases what the budget held back (UDX2 5.4).
        answers.extend(desk.answers(0, vec![Frame::Padding]));
        desk.connection = desk.model.accept().unwrap();
        desk.stream = desk
            .model
            .accept_stream(desk.connection)
            .unwrap_or(Stream(0));
        (desk, answers)
    }

    fn sent(&mut self) -> Vec<Packet> {
        let numbering = numbering(self.release);
        std::iter::from_fn(|| self.model.poll_transmit(self.now))
            .map(|(_, datagram)| {
                let packet = decode(&datagram, numbering).expect("a packet");
                assert_eq!(encode(&packet, numbering), datagram);
                packet
            })
            .collect()
    }

    fn answers(&mut self, sequence: u32, frames: Vec<Frame>) -> Vec<Packet> {
        let packet = Packet {
            version: if self.release >= Release::V300 { 3 } else { 2 },
            destination: self.ids.destination.clone(),
            source: self.ids.source.clone(),
            sequence,
            destination_stream: self.ids.destination_stream,
            source_stream: self.ids.source_stream,
            frames,
        };
        let datagram = encode(&packet, numbering(self.release));
        self.model.handle(self.now, address(1), &datagram);
        self.sent()
    }

    fn wait(&mut self, millis: u64) -> Vec<Packet> {
        let end = self.now + Duration::from_millis(millis);
        let mut sent = Vec::new();
        while let Some(next) = self.model.next_deadline().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.model.handle_timeout(self.now);
            sent.extend(self.sent());
        }
        self.now = end;
        sent
    }

    fn write(&mut self, data: &[u8]) -> Vec<Packet> {
        let taken = self
            .model
            .write(self.now, self.connection, self.stream, data);
        assert_eq!(taken, data.len());
        self.sent()
    }
}

fn numbering(release: Release) -> Numbering {
    match release {
        Release::V310 => Numbering::Go,
        _ => Numbering::Dart,
    }
}

/// A packet with the IDs that the model or the vector drew taken out: 0 stays 0, others become a mark.
fn bare(mut packet: Packet) -> Packet {
    packet.destination = vec![0; packet.destination.len()];
    packet.source = vec![0; packet.source.len()];
    for id in [&mut packet.destination_stream, &mut packet.source_stream] {
        *id = (*id).min(1);
    }
    for frame in &mut packet.frames {
        match frame {
            Frame::PathChallenge(nonce) => *nonce = [0; 8],
            Frame::StopSending { stream, .. } => *stream = 0,
            _ => {}
        }
    }
    packet
}

/// A vector of version 2 by the number in front of its name.
fn form_2(number: &str) -> Packet {
    let entries = std::fs::read_dir(folder("v2").join("dart-frames")).unwrap();
    let path = entries
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            Path::file_name(path)
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(number)
        })
        .unwrap();
    decode(&hex(&json(&path)["hex"]), Numbering::Dart).unwrap()
}

/// A vector of version 3 by the start of its name, for a release.
fn form_3(name: &str, release: Release) -> Packet {
    let forms = json(&folder("v3").join("dart-v3-forms.json"));
    let version = match release {
        Release::V310 => "3.1.0",
        _ => "3.0.0",
    };
    let is_it = |form: &&serde_json::Value| {
        let (has, is_for) = (
            form["name"].as_str().unwrap(),
            form["version"].as_str().unwrap(),
        );
        has.starts_with(name) && (is_for == "all" || is_for == version)
    };
    let form = forms["datagrams"]
        .as_array()
        .unwrap()
        .iter()
        .find(is_it)
        .unwrap();
    decode(&hex(&form["hex"]), numbering(release)).unwrap()
}

#[track_caller]
fn assert_form(packet: &Packet, form: Packet) {
    assert_eq!(bare(packet.clone()), bare(form));
}

const VERSION_2: [Release; 2] = [Release::V203, Release::V203Repaired];
const VERSION_3: [Release; 2] = [Release::V300, Release::V310];

#[test]
fn dials_and_accepts_of_version_2() {
    for release in VERSION_2 {
        let (_, dial) = Desk::dialed(release);
        assert_eq!(dial.len(), 3);
        assert_form(&dial[0], form_2("01"));
        assert_form(&dial[1], form_2("02"));
        assert_form(&dial[2], form_2("03"));

        let (_, accept) = Desk::accepted(release, 7, 9);
        assert_eq!(accept.len(), 3);
        assert_form(&accept[0], form_2("04"));
        assert_eq!(
            (accept[0].source_stream, accept[0].destination_stream),
            (7, 9)
        );
        assert_form(&accept[1], form_2("05"));
        assert_form(&accept[2], form_2("09"));

        // Go's dial names no ID for the stream: it gets 0.
        let (_, accept) = Desk::accepted(release, 0, 1);
        assert_eq!(bare(accept[0].clone()), bare(form_2("06")));
    }
}

#[test]
fn packets_of_version_2() {
    for release in VERSION_2 {
        let (mut desk, _) = Desk::dialed(release);
        desk.answers(0, vec![Frame::syn()]);
        let pattern: Vec<u8> = (0..5 * 1384)
            .map(|at| ((31 * at + at / 251) % 256) as u8)
            .collect();
        // The fifth packet bears the number 5, and the pattern from its start.
        let sent = desk.write(&[&pattern[..4 * 1384], &pattern[..1384]].concat());
        assert_form(&sent[4], form_2("07"));

        let mut ack = desk.answers(9, vec![data(b"x")]).remove(0);
        if let Frame::Ack { delay, .. } = &mut ack.frames[0] {
            *delay = 1;
        }
        assert_form(&ack, form_2("08"));

        let probe = desk
            .wait(400)
            .into_iter()
            .find(|packet| packet.frames == [Frame::Ping]);
        assert_form(&probe.unwrap(), form_2("10"));

        desk.model.ping(desk.now, desk.connection);
        assert_form(&desk.sent()[0], form_2("11"));

        let challenge = desk.answers(
            0,
            vec![Frame::PathChallenge(*b"\xa0\xa1\xa2\xa3\xa4\xa5\xa6\xa7")],
        );
        assert_form(&challenge[0], form_2("18"));

        desk.model.reset(desk.now, desk.connection, desk.stream, 7);
        assert_form(&desk.sent()[0], form_2("13"));
    }
}

/// 17000 bytes came in order: 65536 more than that is said, under number 0.
#[test]
fn window_updates_of_version_2() {
    let (mut desk, _) = Desk::dialed(Release::V203Repaired);
    desk.answers(0, vec![Frame::syn()]);
    let chunk = vec![1; 1000];
    let answers: Vec<Packet> = (1..=17)
        .flat_map(|number| desk.answers(number, vec![data(&chunk)]))
        .collect();
    let is_update = |packet: &&Packet| matches!(packet.frames[..], [Frame::WindowUpdate(_)]);
    let updates: Vec<&Packet> = answers.iter().filter(is_update).collect();
    assert_eq!(updates.len(), 1);
    assert_form(updates[0], form_2("12"));
}

/// A FIN takes a number as data do; the one that is refused for being too many is told under 0, with the IDs swapped.
#[test]
fn ends_and_limits_of_version_2() {
    let (mut desk, _) = Desk::dialed(Release::V203Repaired);
    desk.answers(0, vec![Frame::syn()]);
    let data_packets = desk.write(&vec![0; 7 * 1384]);
    assert_eq!(data_packets.last().unwrap().sequence, 7);
    desk.model.finish(desk.now, desk.connection, desk.stream);
    assert_form(&desk.sent()[0], form_2("15"));

    let (mut desk, _) = Desk::accepted(Release::V203Repaired, 1, 1001);
    for number in 1..100 {
        (desk.ids.destination_stream, desk.ids.source_stream) = (1 + number, 1001 + number);
        desk.answers(number, vec![Frame::syn()]);
    }
    (desk.ids.destination_stream, desk.ids.source_stream) = (500, 600);
    let answers = desk.answers(100, vec![Frame::syn()]);
    assert_form(&answers[0], form_2("14"));
    assert_eq!(
        (answers[0].source_stream, answers[0].destination_stream),
        (500, 600)
    );
}

/// Another version gets the list, and the object stays: the same connection goes on in version 2 (UDX 13).
#[test]
fn version_negotiation_of_version_2() {
    let mut model = Dart::new(Release::V203Repaired, 3);
    let syn = |version| Packet {
        version,
        destination: vec![0xa1; 8],
        source: vec![0xd1; 8],
        sequence: 0,
        destination_stream: 7,
        source_stream: 9,
        frames: vec![Frame::syn()],
    };
    model.handle(Instant::ZERO, address(0), &encode(&syn(3), Numbering::Go));
    let (_, answer) = model.poll_transmit(Instant::ZERO).unwrap();
    let expected = Negotiation {
        destination: vec![0xd1; 8],
        source: vec![0xa1; 8],
        versions: vec![2, 1],
    };
    assert_eq!(decode_negotiation(&answer), Some(expected));
    assert_eq!(model.poll_transmit(Instant::ZERO), None);
    model.handle(Instant::ZERO, address(0), &encode(&syn(2), Numbering::Go));
    let (_, answer) = model.poll_transmit(Instant::ZERO).unwrap();
    assert_form(&decode(&answer, Numbering::Dart).unwrap(), form_2("04"));
}

#[test]
fn dials_and_accepts_of_version_3() {
    for release in VERSION_3 {
        let (mut desk, dial) = Desk::dialed(release);
        assert_eq!(dial.len(), 3);
        for (at, packet) in dial.iter().enumerate() {
            assert_form(packet, form_3(&format!("dial {}", at + 1), release));
        }
        // Data wait for any valid packet.
        let first = b"\x13/multistream/1.0.0\n";
        assert_eq!(desk.write(first), []);
        let sent = desk.answers(0, vec![Frame::MaxData(1 << 20)]);
        assert_form(&sent[0], form_3("first data", release));

        let (_, accept) = Desk::accepted(release, 7, 9);
        assert_form(&accept[0], form_3("accept 1: SYN back under", release));
        assert_eq!(
            (accept[0].source_stream, accept[0].destination_stream),
            (7, 9)
        );
        assert_form(&accept[1], form_3("accept 2", release));
        assert_form(&accept[2], form_3("accept 3", release));

        let (_, accept) = Desk::accepted(release, 0, 1);
        let form = form_3("accept 1: SYN back to a stream addressed to 0", release);
        assert_eq!(accept[0].source_stream, form.source_stream);
        assert_form(&accept[0], form);
    }
}

#[test]
fn packets_of_version_3() {
    for release in VERSION_3 {
        let (mut desk, _) = Desk::accepted(release, 7, 9);
        // Eight whole fragments under 1 to 8, then eight bytes under 9 to 12.
        let mut sent = desk.write(&vec![0; 7 * 1384 + 1376]);
        for _ in 0..4 {
            sent.extend(desk.write(&[0; 2]));
        }
        assert_eq!(sent.last().unwrap().sequence, 12);

        let mut ack = desk.answers(7, vec![data(b"")]).remove(0);
        if let Frame::Ack { delay, .. } = &mut ack.frames[0] {
            *delay = 1;
        }
        assert_form(&ack, form_3("ACK of number 7", release));
        desk.model.ping(desk.now, desk.connection);
        assert_form(&desk.sent()[0], form_3("ping call", release));
        desk.model.finish(desk.now, desk.connection, desk.stream);
        let fin = desk.sent().remove(0);
        let Frame::Stream { offset, .. } = fin.frames[0] else {
            panic!("{fin:?}");
        };
        assert_eq!(offset, 7 * 1384 + 1376 + 8);

        // The timer: everything under fresh numbers, and a PING under the last of them.
        let again = desk.wait(400);
        let number = |packet: &&Packet| packet.is_numbered().then_some(packet.sequence);
        let numbers: Vec<u32> = again.iter().filter_map(|packet| number(&packet)).collect();
        assert_eq!(numbers, (15..15 + 14).collect::<Vec<u32>>());
        let probe = again
            .iter()
            .find(|packet| packet.frames == [Frame::Ping])
            .unwrap();
        assert_eq!(probe.sequence, 28);
        assert_eq!(probe.frames, form_3("timeout probe", release).frames);

        let stop = form_3("STOP_SENDING", release);
        assert_eq!(
            encode(&stop, numbering(release))[34],
            if release == Release::V310 { 0x0d } else { 0x0c }
        );
        desk.answers(0, stop.frames);
        assert_eq!(
            desk.model
                .write(desk.now, desk.connection, desk.stream, b"more"),
            0
        );
    }
}

/// Another version gets a list of three, and nothing is kept.
#[test]
fn version_negotiation_of_version_3() {
    for release in VERSION_3 {
        let mut model = Dart::new(release, 3);
        let form = form_3("dial 1", release);
        let strange = Packet { version: 4, ..form };
        model.handle(Instant::ZERO, address(0), &encode(&strange, Numbering::Go));
        let (_, answer) = model.poll_transmit(Instant::ZERO).unwrap();
        let forms = json(&folder("v3").join("dart-v3-forms.json"));
        let last = forms["datagrams"].as_array().unwrap().last().unwrap();
        assert_eq!(answer, hex(&last["hex"]));
        assert_eq!(model.accept(), None);
    }
}

fn data(data: &[u8]) -> Frame {
    Frame::Stream {
        syn: false,
        fin: false,
        offset: 0,
        data: data.to_vec(),
    }
}
